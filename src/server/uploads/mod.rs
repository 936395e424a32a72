//! Uploads: their requests, the queue, the workers, and the record of what was uploaded.

pub(crate) mod checksums;
pub(crate) mod context;
pub(crate) mod file;
pub(crate) mod file_request;
pub(crate) mod idempotency;
pub(crate) mod query;
pub(crate) mod queue;
pub(crate) mod random;
pub(crate) mod random_request;
pub(crate) mod rate;
pub(crate) mod registry;
pub(crate) mod throughput;
