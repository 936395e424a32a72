//! Router: maps a request's method, path and query to an operation. No other module knows the
//! API's paths.

use tiny_http::Method;

use super::content_range::ContentRange;
use super::error::ApiError;
use super::faults::RequestKind;
use super::http::RequestHead;

/// An operation of the API, with the parameters that its path and query carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    CreateBucket,
    GetBucket { bucket: String },
    ListBuckets,
    ListObjects { bucket: String },
    GetObject { bucket: String, name: String },
    Download { bucket: String, name: String },
    DeleteObject { bucket: String, name: String },
    UploadMedia { bucket: String },
    UploadMultipart { bucket: String },
    StartSession { bucket: String },
    ContinueSession { id: String },
    CancelSession { id: String },
    InjectFaults,
    ListFaults,
    ClearFaults,
    ListRequests,
    ClearRequests,
}

/// Returns the operation that a request asks for.
pub(super) fn route(head: &RequestHead) -> Result<Operation, ApiError> {
    let method = match &head.method {
        Method::Head => &Method::Get,
        method => method,
    };
    let path: Vec<&str> = head.path.iter().map(String::as_str).collect();
    let operation = match path.as_slice() {
        ["storage", "v1", "b"] => route_buckets(method),
        ["storage", "v1", "b", bucket] => route_bucket(method, bucket),
        ["storage", "v1", "b", bucket, "o"] => route_objects(method, bucket),
        ["storage", "v1", "b", bucket, "o", name @ ..] => {
            route_object(method, bucket, name.join("/"), head.query.get("alt"))
        }
        ["download", "storage", "v1", "b", bucket, "o", name @ ..] => {
            route_object(method, bucket, name.join("/"), Some("media"))
        }
        ["upload", "storage", "v1", "b", bucket, "o"]
        | ["resumable", "upload", "storage", "v1", "b", bucket, "o"] => {
            route_upload(method, bucket, head)?
        }
        ["_emulator", "faults"] => route_faults(method),
        ["_emulator", "requests"] => route_requests(method),
        _ => return Err(ApiError::new(404, "notFound", "No such path.")),
    };
    operation.ok_or_else(|| {
        let message = format!("The emulator does not implement {} on this path.", head.method);
        ApiError::new(501, "notImplemented", message)
    })
}

impl Operation {
    /// True for the emulator's control API, on which no fault acts and which is not recorded.
    pub(super) fn is_control(&self) -> bool {
        matches!(
            self,
            Self::InjectFaults
                | Self::ListFaults
                | Self::ClearFaults
                | Self::ListRequests
                | Self::ClearRequests
        )
    }

    /// The kind under which faults and the record know this operation.
    pub(super) fn kind(&self, range: Option<&ContentRange>) -> RequestKind {
        match self {
            Self::CreateBucket | Self::GetBucket { .. } | Self::ListBuckets => RequestKind::Bucket,
            Self::ListObjects { .. } => RequestKind::List,
            Self::GetObject { .. } => RequestKind::Metadata,
            Self::Download { .. } => RequestKind::Download,
            Self::DeleteObject { .. } => RequestKind::Delete,
            Self::UploadMedia { .. } | Self::UploadMultipart { .. } => RequestKind::Simple,
            Self::StartSession { .. } => RequestKind::Start,
            Self::ContinueSession { .. } => match range {
                Some(ContentRange::Status { total: Some(0) }) => RequestKind::Data,
                Some(ContentRange::Status { .. }) => RequestKind::Status,
                Some(ContentRange::Chunk { .. }) | None => RequestKind::Data,
            },
            Self::CancelSession { .. } => RequestKind::Cancel,
            _ => RequestKind::Other,
        }
    }
}

fn route_buckets(method: &Method) -> Option<Operation> {
    match method {
        Method::Get => Some(Operation::ListBuckets),
        Method::Post => Some(Operation::CreateBucket),
        _ => None,
    }
}

fn route_bucket(method: &Method, bucket: &str) -> Option<Operation> {
    (*method == Method::Get).then(|| Operation::GetBucket { bucket: bucket.to_owned() })
}

fn route_objects(method: &Method, bucket: &str) -> Option<Operation> {
    (*method == Method::Get).then(|| Operation::ListObjects { bucket: bucket.to_owned() })
}

fn route_object(
    method: &Method,
    bucket: &str,
    name: String,
    alt: Option<&str>,
) -> Option<Operation> {
    let bucket = bucket.to_owned();
    match method {
        Method::Get if alt == Some("media") => Some(Operation::Download { bucket, name }),
        Method::Get => Some(Operation::GetObject { bucket, name }),
        Method::Delete => Some(Operation::DeleteObject { bucket, name }),
        _ => None,
    }
}

fn route_upload(
    method: &Method,
    bucket: &str,
    head: &RequestHead,
) -> Result<Option<Operation>, ApiError> {
    let bucket = bucket.to_owned();
    if let Some(id) = head.query.get("upload_id") {
        let id = id.to_owned();
        return Ok(match method {
            Method::Put | Method::Post => Some(Operation::ContinueSession { id }),
            Method::Delete => Some(Operation::CancelSession { id }),
            _ => None,
        });
    }
    match (method, head.query.get("uploadType")) {
        (Method::Post, Some("media")) => Ok(Some(Operation::UploadMedia { bucket })),
        (Method::Post, Some("multipart")) => Ok(Some(Operation::UploadMultipart { bucket })),
        (Method::Post, Some("resumable")) => Ok(Some(Operation::StartSession { bucket })),
        (Method::Post, _) => Err(ApiError::invalid(
            "Invalid value for uploadType: use media, multipart or resumable.",
        )),
        _ => Ok(None),
    }
}

fn route_faults(method: &Method) -> Option<Operation> {
    match method {
        Method::Post => Some(Operation::InjectFaults),
        Method::Get => Some(Operation::ListFaults),
        Method::Delete => Some(Operation::ClearFaults),
        _ => None,
    }
}

fn route_requests(method: &Method) -> Option<Operation> {
    match method {
        Method::Get => Some(Operation::ListRequests),
        Method::Delete => Some(Operation::ClearRequests),
        _ => None,
    }
}
