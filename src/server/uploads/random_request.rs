//! Request for an upload of random bytes.

use crate::content::ByteSize;
use crate::http::prefer::Respond;
use crate::http::request::Request;
use crate::server::auth::Principal;
use crate::server::config::Config;
use crate::server::problem::Problem;
use crate::server::uploads::idempotency::IdempotencyKey;
use crate::server::uploads::query;

/// Request for an upload of random bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RandomUploadRequest {
    pub(crate) size: ByteSize,
    /// `None` where tokens are not required.
    pub(crate) principal: Option<Principal>,
    /// Key that makes repeated requests store one object.
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) respond: Respond,
}

impl RandomUploadRequest {
    /// Parses a request. Authentication comes first: without it, no other error is reported.
    pub(crate) fn parse(
        request: &Request,
        query: Option<&str>,
        config: &Config,
    ) -> Result<Self, Problem> {
        Ok(Self {
            principal: config.auth.uploader(&request.values("Authorization"))?,
            key: IdempotencyKey::from_headers(&request.values("Idempotency-Key"))?,
            size: query::size(query, config)?,
            respond: Respond::from_headers(&request.values("Prefer")),
        })
    }
}
