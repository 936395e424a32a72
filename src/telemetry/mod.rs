//! Logs and metrics: what the process tells those who run it.
//!
//! Lies below all other rooms and imports none of them: it takes plain numbers, texts and
//! durations, and never a request, an object or a token.

pub mod log;
mod metrics;

pub use metrics::Metrics;
