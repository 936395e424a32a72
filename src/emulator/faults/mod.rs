//! Faults to order, and what was seen on the way.

mod record;
mod rule;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use self::record::{SeenRequest, Violation};
pub use self::rule::{Action, Processing, RawAnswer, RequestKind, Rule, Target};

use self::record::Record;

/// The faults that were ordered and have not happened yet, and the record of requests.
///
/// A [`Rule`] says on which requests something goes wrong, and what. Rules are considered in the
/// order in which they were given: the first that matches a request and has nothing left to let
/// pass acts on it, and those after it do not see the request. A rule that has acted as often as it
/// says is gone.
///
/// Over HTTP the same is `POST /_emulator/faults` with a rule or a list of rules in JSON, `GET` for
/// those that are left, `DELETE` to clear them:
///
/// ```json
/// {"on": "data", "after": 1, "times": 2, "object": "reports/7",
///  "action": {"status": {"status": 503, "retry_after": "2"}}}
/// ```
///
/// `after` (0), `times` (1) and `object` (any) may be left out. The actions are those of
/// [`Action`], in lower case with underscores. `GET /_emulator/requests` answers what was seen:
/// [`SeenRequest`] and [`Violation`]; `DELETE` forgets it. Requests under `/_emulator/` meet no
/// faults and are not recorded.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<Rule>>,
    record: Mutex<Record>,
}

impl Faults {
    /// Orders a fault, behind those ordered before.
    pub fn order(&self, rule: Rule) {
        self.rules().push(rule);
    }

    /// The rules that have not acted as often as they say.
    pub fn pending(&self) -> Vec<Rule> {
        self.rules().clone()
    }

    /// Takes back what has not happened yet.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// The last 10,000 requests that were answered or broken off, oldest first.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.record().requests()
    }

    /// The first 1,000 requests that no client should ever make, whatever went wrong before.
    pub fn violations(&self) -> Vec<Violation> {
        self.record().violations()
    }

    /// Forgets the requests and the violations.
    pub fn forget(&self) {
        self.record().forget();
    }

    /// What is to go wrong with this request, if anything.
    pub(super) fn strike(&self, kind: RequestKind, object: Option<&str>) -> Option<Action> {
        let mut rules = self.rules();
        let index = rules
            .iter_mut()
            .position(|rule| rule.times > 0 && rule.matches(kind, object) && rule.let_pass())?;
        let rule = &mut rules[index];
        rule.times -= 1;
        let action = rule.action.clone();
        rules.retain(|rule| rule.times > 0);
        Some(action)
    }

    pub(super) fn saw(&self, request: SeenRequest) {
        self.record().push(request);
    }

    pub(super) fn violated(&self, violation: Violation) {
        self.record().violated(violation);
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> Action {
        Action::Status { status, retry_after: None }
    }

    fn struck(faults: &Faults, kind: RequestKind, object: &str) -> Option<u16> {
        match faults.strike(kind, Some(object)) {
            Some(Action::Status { status, .. }) => Some(status),
            Some(other) => panic!("{other:?} was not ordered"),
            None => None,
        }
    }

    #[test]
    fn rules_act_in_order_and_as_often_as_they_say() {
        let faults = Faults::default();
        faults.order(Rule::on(Target::Data, status(500)).times(2));
        faults.order(Rule::on(Target::Data, status(408)));
        let seen: Vec<_> = (0..4).map(|_| struck(&faults, RequestKind::Data, "a")).collect();
        assert_eq!(seen, [Some(500), Some(500), Some(408), None]);
        assert_eq!(faults.pending(), []);
    }

    #[test]
    fn a_rule_lets_pass_what_it_says_and_leaves_it_to_later_rules() {
        let faults = Faults::default();
        faults.order(Rule::on(Target::Any, status(500)).after(1));
        faults.order(Rule::on(Target::Status, status(408)));
        assert_eq!(struck(&faults, RequestKind::Status, "a"), Some(408));
        assert_eq!(struck(&faults, RequestKind::Start, "a"), Some(500));
    }

    #[test]
    fn a_rule_keeps_to_its_kind_and_its_object() {
        let faults = Faults::default();
        faults.order(Rule::on(Target::Delete, status(500)).object("a"));
        assert_eq!(struck(&faults, RequestKind::Cancel, "a"), None);
        assert_eq!(struck(&faults, RequestKind::Delete, "b"), None);
        assert_eq!(struck(&faults, RequestKind::Delete, "a"), Some(500));
    }

    #[test]
    fn reads_the_json_that_the_documentation_shows() {
        let rule: Rule = serde_json::from_str(
            r#"{"on": "data", "after": 1, "times": 2, "object": "reports/7",
                "action": {"status": {"status": 503, "retry_after": "2"}}}"#,
        )
        .unwrap();
        let action = Action::Status { status: 503, retry_after: Some("2".to_owned()) };
        assert_eq!(rule, Rule::on(Target::Data, action).after(1).times(2).object("reports/7"));
        assert!(serde_json::from_str::<Rule>(r#"{"on": "data", "actoin": {}}"#).is_err());
    }
}
