//! A request, from its arrival to its answer.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Instant;

use tiny_http::{Method, Request};

use super::answer::Answer;
use super::body::Body;
use super::request_id::RequestId;

/// A request as it came in: clean, and with a body that is still to come where the route takes one
/// (see `head`).
#[derive(Debug)]
pub(super) struct Received {
    pub(super) id: RequestId,
    pub(super) method: Method,
    /// The request's target: path and query, or a whole URL.
    pub(super) target: String,
    pub(super) user_agent: Option<String>,
    pub(super) client: IpAddr,
    pub(super) arrived: Instant,
    pub(super) body: Option<Body>,
    /// Dropped unanswered, it answers 500 by itself.
    request: Request,
}

/// Who learns what became of an upload.
#[derive(Debug)]
pub(super) enum Client {
    /// A request that is still to be answered.
    Waits(Box<Received>),
    /// It was told where to look, see [`prefer`](super::prefer).
    Looks(RequestId),
}

impl Client {
    /// The id of its request.
    pub(super) fn id(&self) -> &RequestId {
        match self {
            Self::Waits(received) => &received.id,
            Self::Looks(id) => id,
        }
    }
}

impl Received {
    pub(super) fn new(request: Request, client: IpAddr, body: Option<Body>) -> Self {
        let header = |name: &'static str| {
            let mut named = request.headers().iter().filter(|header| header.field.equiv(name));
            named.next().map(|header| header.value.as_str())
        };
        Self {
            id: RequestId::choose(header("X-Request-Id")),
            method: request.method().clone(),
            target: request.url().to_owned(),
            user_agent: header("User-Agent").map(str::to_owned),
            client,
            arrived: Instant::now(),
            body,
            request,
        }
    }

    /// The values of all headers of this name.
    pub(super) fn values(&self, name: &'static str) -> Vec<&str> {
        let named = self.request.headers().iter().filter(|header| header.field.equiv(name));
        named.map(|header| header.value.as_str()).collect()
    }

    /// Hands the answer to the gate. Waits for nobody.
    pub(super) fn respond(self, answer: &Answer) -> io::Result<()> {
        let body = if self.method == Method::Head { &[][..] } else { &answer.body };
        let mut writer = self.request.into_writer();
        writer.write_all(&[&answer.head(), body].concat())?;
        writer.flush()
    }
}
