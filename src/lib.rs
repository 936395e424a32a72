//! gcs-uploader puts files into a Google Cloud Storage bucket, and either they are there, once and
//! whole, or the caller is told why not.
//!
//! The rooms, and who may import whom: `cli` → `server`, `emulator` → `gcs` → `content`;
//! `telemetry` lies below them all. `docs/architecture.md` has the map and the invariants.

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
