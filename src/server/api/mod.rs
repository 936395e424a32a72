//! The HTTP API's documents: the description, the page and the metrics.

pub(crate) mod metrics_listener;
pub(crate) mod openapi;
pub(crate) mod page;
