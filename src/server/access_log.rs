//! One line and one count for each request.

use std::io;
use std::net::IpAddr;
use std::time::Instant;

use log::Level;

use crate::http::request::Received;
use crate::http::request_id::RequestId;
use crate::http::response::Answer;
use crate::redact::without_tokens;
use crate::server::router::{self, Route};
use crate::telemetry::Metrics;

/// How much of a target and of a user agent is shown.
const SHOWN: usize = 256;

/// What is remembered of a request for its line.
pub(crate) struct Entry {
    id: RequestId,
    method: String,
    target: String,
    user_agent: String,
    remote_ip: IpAddr,
    arrived: Instant,
    level: Level,
    method_label: &'static str,
    path_label: &'static str,
}

impl Entry {
    pub(crate) fn of(received: &Received) -> Self {
        let (path, _) = router::split(&received.target);
        let probe = Route::at(path).is_some_and(Route::is_probe);
        Self {
            id: received.id.clone(),
            method: shortened(received.method.as_str()),
            target: shortened(&received.target),
            user_agent: shortened(received.user_agent.as_deref().unwrap_or_default()),
            remote_ip: received.client,
            arrived: received.arrived,
            level: if probe { Level::Debug } else { Level::Info },
            method_label: router::method_label(&received.method),
            path_label: router::path_label(path),
        }
    }

    pub(crate) fn write(&self, answer: &Answer, written: &io::Result<()>, metrics: &Metrics) {
        let took = self.arrived.elapsed();
        metrics.answered(self.path_label, self.method_label, answer.status, took);
        let latency = format!("{:.6}s", took.as_secs_f64());
        let fate = match written {
            Ok(()) => String::new(),
            Err(error) => format!(", but the answer was lost: {error}"),
        };
        // Whoever is refused is seen, however often he asks.
        let level = if matches!(answer.status, 401 | 403) { Level::Info } else { self.level };
        log::log!(
            level,
            requestId = self.id.as_str(),
            requestMethod = self.method.as_str(),
            requestUrl = self.target.as_str(),
            status = answer.status,
            latency = latency.as_str(),
            remoteIp:% = self.remote_ip,
            userAgent = self.user_agent.as_str(),
            responseSize = if self.method == "HEAD" { 0 } else { answer.body.len() };
            "{} {} {} in {:.3} s{fate}", self.method, self.target, answer.status, took.as_secs_f64()
        );
    }
}

fn shortened(text: &str) -> String {
    let text = &*without_tokens(text);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
