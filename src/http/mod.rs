//! HTTP/1.1 server: accepts connections, reads requests and writes responses (RFC 9110, RFC 9112).
//!
//! The path of a request: the [`acceptor`] accepts a [`connection`], which reads the head
//! ([`request_head`]) and sends it to tiny_http's accept loop ([`dispatch`]). That loop calls the
//! [`Handler`](handler::Handler), and the [`response`] comes back to the connection over a channel. The
//! [`body`] of a request is read by the handler, directly from the connection.
//!
//! The wire knows no route and no upload: a handler decides what a request means.

pub(crate) mod acceptor;
pub(crate) mod body;
pub(crate) mod body_source;
pub(crate) mod chunked;
mod connection;
pub(crate) mod connections;
pub(crate) mod content_disposition;
pub(crate) mod dispatch;
pub(crate) mod handler;
pub(crate) mod header_params;
pub(crate) mod limits;
mod log_throttle;
pub(crate) mod multipart;
pub(crate) mod policy;
pub(crate) mod prefer;
pub(crate) mod rejection;
pub(crate) mod request;
mod request_head;
pub(crate) mod request_id;
pub(crate) mod response;
#[cfg(test)]
mod tests;
