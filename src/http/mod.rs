//! HTTP/1.1 server: accepts connections, reads requests and writes responses.

pub(crate) mod acceptor;
pub(crate) mod body;
pub(crate) mod body_source;
pub(crate) mod chunked;
pub(crate) mod connection;
pub(crate) mod connections;
pub(crate) mod content_disposition;
pub(crate) mod dispatch;
pub(crate) mod header_params;
pub(crate) mod multipart;
pub(crate) mod prefer;
pub(crate) mod request;
pub(crate) mod request_head;
pub(crate) mod request_id;
pub(crate) mod response;
