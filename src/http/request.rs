//! A request, from its arrival to its answer.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Instant;

use tiny_http::{Method, Request};

use crate::http::body::Body;
use crate::http::request_id::RequestId;
use crate::http::response::Answer;

/// A request as it came in: clean, and with a body that is still to come where the route takes one
/// (see `head`).
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) id: RequestId,
    pub(crate) method: Method,
    /// The request's target: path and query, or a whole URL.
    pub(crate) target: String,
    pub(crate) user_agent: Option<String>,
    pub(crate) client: IpAddr,
    pub(crate) arrived: Instant,
    pub(crate) body: Option<Body>,
    /// Dropped unanswered, it answers 500 by itself.
    request: Request,
}

/// Who learns what became of an upload.
#[derive(Debug)]
pub(crate) enum Client {
    /// A request that is still to be answered.
    Waits(Box<Received>),
    /// It was told where to look, see [`prefer`](crate::http::prefer).
    Looks(RequestId),
}

impl Client {
    /// The id of its request.
    pub(crate) fn id(&self) -> &RequestId {
        match self {
            Self::Waits(received) => &received.id,
            Self::Looks(id) => id,
        }
    }
}

impl Received {
    pub(crate) fn new(request: Request, client: IpAddr, body: Option<Body>) -> Self {
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
    pub(crate) fn values(&self, name: &'static str) -> Vec<&str> {
        let named = self.request.headers().iter().filter(|header| header.field.equiv(name));
        named.map(|header| header.value.as_str()).collect()
    }

    /// Hands the answer to the gate. Waits for nobody.
    pub(crate) fn respond(self, answer: &Answer) -> io::Result<()> {
        let body = if self.method == Method::Head { &[][..] } else { &answer.body };
        let mut writer = self.request.into_writer();
        writer.write_all(&[&answer.head(), body].concat())?;
        writer.flush()
    }
}
