//! Uploads: in one request, or in a session
//! (<https://docs.cloud.google.com/storage/docs/uploads-downloads>).

mod multipart;
mod session;
mod simple;

pub(super) use self::session::{CANCELLED, STEP, Session, SessionProgress, Sessions};
pub(super) use self::simple::{upload_media, upload_multipart};

use super::checksum::ExpectedChecksums;
use super::error::ApiError;
use super::http::RequestHead;

/// Adds the checksums in the request's `x-goog-hash` headers.
fn expect_header_checksums(
    expected: &mut ExpectedChecksums,
    head: &RequestHead,
) -> Result<(), ApiError> {
    head.headers("x-goog-hash").try_for_each(|header| expected.expect_header(header))
}
