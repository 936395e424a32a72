//! Access log: one line and one count for each request.

use std::net::IpAddr;
use std::time::Instant;

use log::Level;
use tiny_http::Method;

use super::router::{self, Route};
use crate::http::request::Request;
use crate::http::request_id::RequestId;
use crate::http::response::Response;
use crate::redact::without_tokens;
use crate::telemetry::Metrics;

/// Characters of a target and of a user agent that are logged.
const MAX_LOGGED: usize = 256;

/// Line of the access log.
pub(crate) struct AccessLogEntry {
    id: RequestId,
    method: String,
    target: String,
    user_agent: String,
    remote_ip: IpAddr,
    received: Instant,
    level: Level,
    status: u16,
    response_size: u64,
    method_label: &'static str,
    path_label: &'static str,
}

impl AccessLogEntry {
    pub(crate) fn new(request: &Request, response: &Response) -> Self {
        let (path, _) = router::split(&request.target);
        // Requests of machines, every few seconds; but a client that is refused is always logged.
        let frequent = Route::at(path).is_some_and(Route::is_polled);
        let refused = matches!(response.status, 401 | 403);
        let head = request.method == Method::Head;
        Self {
            id: request.id.clone(),
            method: shortened(request.method.as_str()),
            target: shortened(&request.target),
            user_agent: shortened(request.user_agent.as_deref().unwrap_or_default()),
            remote_ip: request.peer(),
            received: request.received,
            level: if frequent && !refused { Level::Debug } else { Level::Info },
            status: response.status,
            response_size: if head { 0 } else { response.body.len() },
            method_label: router::method_label(&request.method),
            path_label: router::path_label(path),
        }
    }

    /// Counts the request and writes its line.
    pub(crate) fn write(&self, metrics: &Metrics) {
        let elapsed = self.received.elapsed();
        metrics.request_completed(self.path_label, self.method_label, self.status, elapsed);
        let latency = format!("{:.6}s", elapsed.as_secs_f64());
        log::log!(
            self.level,
            requestId = self.id.as_str(),
            requestMethod = self.method.as_str(),
            requestUrl = self.target.as_str(),
            status = self.status,
            latency = latency.as_str(),
            remoteIp:% = self.remote_ip,
            userAgent = self.user_agent.as_str(),
            responseSize = self.response_size;
            "{} {} {} in {:.3} s", self.method, self.target, self.status, elapsed.as_secs_f64()
        );
    }
}

fn shortened(text: &str) -> String {
    let text = &*without_tokens(text);
    match text.char_indices().nth(MAX_LOGGED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
