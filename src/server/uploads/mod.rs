//! Uploads: requests, queue, workers, and the registry of running and finished ones.

pub(crate) mod checksums;
pub(crate) mod context;
mod file;
pub(crate) mod file_request;
pub(crate) mod idempotency;
mod outcome;
pub(crate) mod query;
pub(crate) mod queue;
pub(crate) mod random;
pub(crate) mod random_request;
pub(crate) mod registry;
mod throughput;
pub(crate) mod worker;
