//! HTTP server and command line that upload files to a Google Cloud Storage bucket. Each upload
//! either completes exactly once or fails with a reason.
//!
//! The crate serves the `gcs-uploader` binary and is not published. Imports go one way:
//! `cli` → `server`, `emulator` → `gcs` → `content`, with `http` below the servers and `telemetry`
//! below them all. `docs/architecture.md` describes the modules and the invariants.

pub mod cli;
pub mod content;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod gcs;
mod http;
#[cfg(test)]
mod near_miss;
mod redact;
pub mod server;
mod sync;
pub mod telemetry;
