//! The HTTP API: handlers, description and page.

pub(crate) mod handlers;
pub(crate) mod openapi;
mod page;
