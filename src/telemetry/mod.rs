//! Logs and metrics.
//!
//! The lowest layer: this module imports no other module. It takes plain numbers, texts and durations,
//! never a request, an object or a token.

pub mod log;
mod metrics;

pub use metrics::Metrics;
