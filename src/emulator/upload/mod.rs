//! Uploads: in one request, or over a session
//! (<https://docs.cloud.google.com/storage/docs/uploads-downloads>).

mod multipart;
mod session;
mod simple;

pub(super) use self::session::{CANCELLED, Outcome, STEP, Session, Sessions};
pub(super) use self::simple::{upload_media, upload_multipart};

use super::checksum::Announced;
use super::error::ApiError;
use super::http::Head;

/// Adds what the request's `x-goog-hash` headers announce.
fn announce_headers(announced: &mut Announced, head: &Head) -> Result<(), ApiError> {
    head.headers("x-goog-hash").try_for_each(|header| announced.announce_header(header))
}
