//! Upload of random bytes: a request becomes an object in the bucket, and its outcome a response.

use crate::content::{RandomContent, Seed};
use crate::gcs::{ErrorKind, NewObject, Observer, PooledUpload, UploadError, Uploaded};
use crate::http::request_id::RequestId;
use crate::http::response::Response;
use crate::server::auth::Principal;
use crate::server::config::Config;
use crate::server::problem::{self, Problem};
use crate::server::uploads::context::{Context, HandlerResult};
use crate::server::uploads::idempotency::Identity;
use crate::server::uploads::outcome::{
    self, Created, ObjectState, UploadFailure, request_metadata,
};
use crate::server::uploads::random_request::RandomUploadRequest;
use crate::server::uploads::registry::UploadHandle;

/// Media type of random files.
pub const CONTENT_TYPE: &str = "application/octet-stream";

/// Object of random bytes to be uploaded.
enum RandomObject {
    /// An object without a session.
    New(NewObject, RandomContent),
    /// An object whose session was opened in advance.
    Pooled(PooledUpload),
}

impl RandomObject {
    /// Takes a session that was opened in advance, unless an idempotency key determines the object.
    fn new(context: &Context, id: &RequestId, request: &RandomUploadRequest) -> Self {
        let (mut metadata, size) =
            (request_metadata(id, request.principal.as_ref()), request.size.as_u64());
        let pooled = match request.key {
            Some(_) => None,
            None => context.uploader.take_pooled(&metadata, size),
        };
        if let Some(object) = pooled {
            return Self::Pooled(object);
        }
        let (name, seed) = identity(&context.config, request);
        metadata.insert("seed".to_owned(), seed.to_string());
        let object = NewObject { name, content_type: CONTENT_TYPE.to_owned(), metadata };
        Self::New(object, RandomContent::new(seed, size))
    }

    fn object(&self) -> &NewObject {
        match self {
            Self::New(object, _) => object,
            Self::Pooled(object) => object.object(),
        }
    }

    fn content(&self) -> &RandomContent {
        match self {
            Self::New(_, content) => content,
            Self::Pooled(object) => object.content(),
        }
    }

    fn upload(&self, context: &Context, observer: &dyn Observer) -> Result<Uploaded, UploadError> {
        let timeout = context.config.upload_timeout;
        match self {
            Self::New(object, content) => {
                context.uploader.upload(object, content, timeout, observer)
            }
            Self::Pooled(object) => context.uploader.upload_pooled(object, timeout, observer),
        }
    }
}

/// Uploads the object of a request.
pub(crate) fn upload(
    context: &Context,
    id: &RequestId,
    request: &RandomUploadRequest,
    handle: &UploadHandle,
) -> HandlerResult {
    let random = RandomObject::new(context, id, request);
    let object = random.object();
    let seed = random.content().seed();
    let uploaded = outcome::run(context, id, &object.name, handle, |observer| {
        random.upload(context, observer)
    })?;
    match uploaded {
        Ok(uploaded) => Ok(stored(context, id, request, seed, &uploaded)),
        Err(error) => Err(failed(context, id, request, &object.name, &error)),
    }
}

/// Returns the name and the seed of the object: those of the idempotency key, or new ones.
fn identity(config: &Config, request: &RandomUploadRequest) -> (String, Seed) {
    let prefix = &config.object_prefix;
    match &request.key {
        Some(key) => {
            let Identity { name, seed } = key.identity(request.principal.as_ref(), prefix);
            (name, seed)
        }
        None => (prefix.random_name(), Seed::random()),
    }
}

/// Returns whether the object existed before: it has bytes, and none of them was sent. If some were,
/// or the object is empty, that cannot be known.
fn is_replayed(request: &RandomUploadRequest, uploaded: &Uploaded) -> bool {
    request.key.is_some() && uploaded.bytes_sent == 0 && uploaded.object.size > 0
}

fn stored(
    context: &Context,
    id: &RequestId,
    request: &RandomUploadRequest,
    seed: Seed,
    uploaded: &Uploaded,
) -> Response {
    let object = &uploaded.object;
    let replayed = is_replayed(request, uploaded);
    let (outcome, verb) =
        if replayed { ("replayed", "had already stored") } else { ("stored", "stored") };
    context.metrics.upload_ended(outcome, uploaded.elapsed);
    if !replayed {
        context.metrics.object_stored(object.size);
    }
    log::info!(
        requestId = id.as_str(),
        caller = Principal::log_name(request.principal.as_ref()),
        name = object.name.as_str(),
        size = object.size,
        crc32c:% = object.crc32c,
        generation = object.generation.as_str(),
        seed:% = seed,
        resumed = uploaded.resumed,
        retried = uploaded.retried,
        bytesSent = uploaded.bytes_sent,
        durationSeconds = uploaded.elapsed.as_secs_f64();
        "{verb} {}", object.gs_uri()
    );
    let response = Response::json(201, &Created::new(uploaded, id, Some(seed)))
        .with_header("Location", &object.self_link(&context.config.endpoint));
    if replayed { response.with_header("Idempotency-Replayed", "true") } else { response }
}

fn failed(
    context: &Context,
    id: &RequestId,
    request: &RandomUploadRequest,
    name: &str,
    error: &UploadError,
) -> Problem {
    let failure = match (error.kind(), &request.key) {
        (ErrorKind::Conflict, Some(_)) => {
            UploadFailure { problem: &problem::IDEMPOTENCY_KEY_REUSED, outcome: "key-reused" }
        }
        (kind, _) => UploadFailure::of(kind),
    };
    failure.record(context, id, Principal::log_name(request.principal.as_ref()), name, error);
    let detail = match (error.kind(), &request.key) {
        (ErrorKind::Conflict, Some(_)) => format!(
            "The Idempotency-Key was used for another upload: {error}. Nothing was stored or \
             changed: send the size of that upload, or another key."
        ),
        _ => format!("{error}. {}", ObjectState::after(error).sentence(name)),
    };
    failure.to_problem(name, error, detail)
}
