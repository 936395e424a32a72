//! A request, from its dispatch to its response.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;
use tiny_http::Method;

use super::body::Body;
use super::connections::ConnectionHandle;
use super::request_id::RequestId;
use super::response::Response;

/// A valid request, with a body that is still to be read where the handler accepts one.
///
/// Dropping it without [`respond`](Self::respond) sends 500.
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) method: Method,
    /// Request target: path and query, or a whole URL.
    pub(crate) target: String,
    pub(crate) user_agent: Option<String>,
    pub(crate) received: Instant,
    pub(crate) body: Option<Body>,
    connection: Arc<ConnectionHandle>,
    reply: Sender<Reply>,
    /// Taken when dropped: tiny_http would respond to it with 500 on the stream.
    head: Option<tiny_http::Request>,
}

/// Message from the handler to the connection's thread.
#[derive(Debug)]
pub(crate) enum Reply {
    Response(Response),
    /// The handler has dealt with the connection by itself. Nothing is written any more.
    #[cfg_attr(not(feature = "emulator"), allow(dead_code))]
    TakenOver,
}

impl Request {
    pub(crate) fn new(
        head: tiny_http::Request,
        connection: Arc<ConnectionHandle>,
        body: Option<Body>,
        reply: Sender<Reply>,
    ) -> Self {
        let header = |name: &'static str| {
            let mut named = head.headers().iter().filter(|header| header.field.equiv(name));
            named.next().map(|header| header.value.as_str())
        };
        Self {
            id: RequestId::from_header_or_new(header("X-Request-Id")),
            method: head.method().clone(),
            target: head.url().to_owned(),
            user_agent: header("User-Agent").map(str::to_owned),
            received: Instant::now(),
            body,
            connection,
            reply,
            head: Some(head),
        }
    }

    /// Returns the address of the client.
    pub(crate) fn peer(&self) -> IpAddr {
        self.connection.peer
    }

    /// Returns the values of all headers with this name.
    pub(crate) fn values(&self, name: &'static str) -> Vec<&str> {
        let headers = self.headers().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        headers.map(|(_, value)| value).collect()
    }

    /// Returns all headers that were forwarded.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.head.iter().flat_map(tiny_http::Request::headers);
        headers.map(|header| (header.field.as_str().as_str(), header.value.as_str()))
    }

    /// Hands the response to the connection. Never blocks.
    pub(crate) fn respond(self, response: Response) {
        // The connection's thread waits for it, or is gone with its client.
        let _ = self.reply.try_send(Reply::Response(response));
    }

    /// Keeps the connection's thread from writing: the caller deals with the client by itself.
    #[cfg(feature = "emulator")]
    pub(crate) fn take_over(self) -> Arc<ConnectionHandle> {
        let _ = self.reply.try_send(Reply::TakenOver);
        Arc::clone(&self.connection)
    }

    /// Returns the connection that the request came on.
    #[cfg(feature = "emulator")]
    pub(crate) fn connection(&self) -> &Arc<ConnectionHandle> {
        &self.connection
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // Dropped unused, tiny_http's writer writes nothing.
        drop(self.head.take().map(tiny_http::Request::into_writer));
    }
}
