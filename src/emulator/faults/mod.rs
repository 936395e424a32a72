//! Fault injection, and the record of requests.

mod request_log;
mod rule;

use std::sync::{Mutex, MutexGuard};

pub use self::request_log::{RecordedRequest, Violation};
pub use self::rule::{Action, Break, Processing, RawResponse, RequestKind, Rule, Target};

use self::request_log::RequestLog;
use crate::sync::LockExt;

/// Injected faults that are still pending, and the record of requests.
///
/// A [`Rule`] selects requests and an [`Action`] that goes wrong with them. Rules are tried in the
/// order in which they were injected. The first rule that matches a request, and has no more
/// requests to skip, acts on it; later rules do not see that request. A rule is removed after it
/// has acted as many times as it says.
///
/// The same over HTTP: `POST /_emulator/faults` with a rule or a list of rules in JSON, `GET` to
/// list the pending rules, `DELETE` to clear them:
///
/// ```json
/// {"on": "data", "after": 1, "times": 2, "object": "reports/7",
///  "action": {"status": {"status": 503, "retry_after": "2"}}}
/// ```
///
/// `after` (default 0), `times` (default 1) and `object` (default any) are optional. [`Action`]
/// lists the JSON name of each action. `GET /_emulator/requests` returns each [`RecordedRequest`] and
/// [`Violation`]; `DELETE` clears them. No fault acts on requests below `/_emulator/`, and they are
/// not recorded.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<Rule>>,
    request_log: Mutex<RequestLog>,
}

impl Faults {
    /// Adds a rule after the existing ones.
    pub fn inject(&self, rule: Rule) {
        self.rules().push(rule);
    }

    /// The rules that have not acted as many times as they say.
    pub fn pending(&self) -> Vec<Rule> {
        self.rules().clone()
    }

    /// Removes all pending rules.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// The last 10,000 requests that are finished or were broken off, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.request_log().requests()
    }

    /// The first 1,000 violations of the protocol, which no fault excuses.
    pub fn violations(&self) -> Vec<Violation> {
        self.request_log().violations()
    }

    /// Clears the recorded requests and violations.
    pub fn clear_requests(&self) {
        self.request_log().clear();
    }

    /// Returns the action for this request, if a rule acts on it, and counts it for that rule.
    pub(super) fn next_action(&self, kind: RequestKind, object: Option<&str>) -> Option<Action> {
        let mut rules = self.rules();
        let index = rules
            .iter_mut()
            .position(|rule| rule.times > 0 && rule.matches(kind, object) && rule.skip_or_act())?;
        let rule = &mut rules[index];
        rule.times -= 1;
        let action = rule.action.clone();
        rules.retain(|rule| rule.times > 0);
        Some(action)
    }

    pub(super) fn record_request(&self, request: RecordedRequest) {
        self.request_log().push_request(request);
    }

    pub(super) fn record_violation(&self, violation: Violation) {
        self.request_log().push_violation(violation);
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock_ignoring_poison()
    }

    fn request_log(&self) -> MutexGuard<'_, RequestLog> {
        self.request_log.lock_ignoring_poison()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> Action {
        Action::Status { status, retry_after: None }
    }

    fn injected_status(faults: &Faults, kind: RequestKind, object: &str) -> Option<u16> {
        match faults.next_action(kind, Some(object)) {
            Some(Action::Status { status, .. }) => Some(status),
            Some(other) => panic!("unexpected action {other:?}"),
            None => None,
        }
    }

    #[test]
    fn rules_act_in_order_and_as_many_times_as_they_say() {
        let faults = Faults::default();
        faults.inject(Rule::on(RequestKind::Data, status(500)).times(2));
        faults.inject(Rule::on(RequestKind::Data, status(408)));
        let seen: Vec<_> =
            (0..4).map(|_| injected_status(&faults, RequestKind::Data, "a")).collect();
        assert_eq!(seen, [Some(500), Some(500), Some(408), None]);
        assert_eq!(faults.pending(), []);
    }

    #[test]
    fn rule_leaves_the_requests_that_it_skips_to_later_rules() {
        let faults = Faults::default();
        faults.inject(Rule::on(Target::Any, status(500)).after(1));
        faults.inject(Rule::on(RequestKind::Status, status(408)));
        assert_eq!(injected_status(&faults, RequestKind::Status, "a"), Some(408));
        assert_eq!(injected_status(&faults, RequestKind::Start, "a"), Some(500));
    }

    #[test]
    fn rule_acts_only_on_its_kind_and_its_object() {
        let faults = Faults::default();
        faults.inject(Rule::on(RequestKind::Delete, status(500)).object("a"));
        assert_eq!(injected_status(&faults, RequestKind::Cancel, "a"), None);
        assert_eq!(injected_status(&faults, RequestKind::Delete, "b"), None);
        assert_eq!(injected_status(&faults, RequestKind::Delete, "a"), Some(500));
    }

    #[test]
    fn target_is_any_or_a_kind_in_json() {
        for (target, json) in
            [(Target::Any, "\"any\""), (Target::Kind(RequestKind::Status), "\"status\"")]
        {
            assert_eq!(serde_json::to_string(&target).unwrap(), json);
            assert_eq!(serde_json::from_str::<Target>(json).unwrap(), target);
        }
        assert!(serde_json::from_str::<Target>("\"every\"").is_err());
    }

    #[test]
    fn documented_json_is_parsed() {
        let rule: Rule = serde_json::from_str(
            r#"{"on": "data", "after": 1, "times": 2, "object": "reports/7",
                "action": {"status": {"status": 503, "retry_after": "2"}}}"#,
        )
        .unwrap();
        let action = Action::Status { status: 503, retry_after: Some("2".to_owned()) };
        assert_eq!(rule, Rule::on(RequestKind::Data, action).after(1).times(2).object("reports/7"));
        assert!(serde_json::from_str::<Rule>(r#"{"on": "data", "actoin": {}}"#).is_err());
    }
}
