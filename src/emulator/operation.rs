//! What a request asks for: the one place that knows the API's paths.

use tiny_http::Method;

use super::content_range::ContentRange;
use super::error::ApiError;
use super::faults::RequestKind;
use super::http::Head;

/// A request, understood as far as its method, path and query go.
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
    OrderFaults,
    ShowFaults,
    ClearFaults,
    ShowRequests,
    ForgetRequests,
}

impl Operation {
    pub(super) fn of(head: &Head) -> Result<Self, ApiError> {
        let method = match &head.method {
            Method::Head => &Method::Get,
            method => method,
        };
        let path: Vec<&str> = head.path.iter().map(String::as_str).collect();
        let operation = match path.as_slice() {
            ["storage", "v1", "b"] => of_buckets(method),
            ["storage", "v1", "b", bucket] => of_bucket(method, bucket),
            ["storage", "v1", "b", bucket, "o"] => of_objects(method, bucket),
            ["storage", "v1", "b", bucket, "o", name @ ..] => {
                of_object(method, bucket, name.join("/"), head.query.get("alt"))
            }
            ["download", "storage", "v1", "b", bucket, "o", name @ ..] => {
                of_object(method, bucket, name.join("/"), Some("media"))
            }
            ["upload", "storage", "v1", "b", bucket, "o"]
            | ["resumable", "upload", "storage", "v1", "b", bucket, "o"] => {
                of_upload(method, bucket, head)?
            }
            ["_emulator", "faults"] => of_faults(method),
            ["_emulator", "requests"] => of_requests(method),
            _ => return Err(ApiError::new(404, "notFound", "The emulator knows no such path.")),
        };
        operation.ok_or_else(|| {
            let message = format!("The emulator does not do {} on this path.", head.method);
            ApiError::new(501, "notImplemented", message)
        })
    }

    /// Orders to the emulator itself meet no faults.
    pub(super) fn is_control(&self) -> bool {
        matches!(
            self,
            Self::OrderFaults
                | Self::ShowFaults
                | Self::ClearFaults
                | Self::ShowRequests
                | Self::ForgetRequests
        )
    }

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
                Some(ContentRange::Query { total: Some(0) }) => RequestKind::Data,
                Some(ContentRange::Query { .. }) => RequestKind::Status,
                Some(ContentRange::Chunk { .. }) | None => RequestKind::Data,
            },
            Self::CancelSession { .. } => RequestKind::Cancel,
            _ => RequestKind::Other,
        }
    }
}

fn of_buckets(method: &Method) -> Option<Operation> {
    match method {
        Method::Get => Some(Operation::ListBuckets),
        Method::Post => Some(Operation::CreateBucket),
        _ => None,
    }
}

fn of_bucket(method: &Method, bucket: &str) -> Option<Operation> {
    (*method == Method::Get).then(|| Operation::GetBucket { bucket: bucket.to_owned() })
}

fn of_objects(method: &Method, bucket: &str) -> Option<Operation> {
    (*method == Method::Get).then(|| Operation::ListObjects { bucket: bucket.to_owned() })
}

fn of_object(method: &Method, bucket: &str, name: String, alt: Option<&str>) -> Option<Operation> {
    let bucket = bucket.to_owned();
    match method {
        Method::Get if alt == Some("media") => Some(Operation::Download { bucket, name }),
        Method::Get => Some(Operation::GetObject { bucket, name }),
        Method::Delete => Some(Operation::DeleteObject { bucket, name }),
        _ => None,
    }
}

fn of_upload(method: &Method, bucket: &str, head: &Head) -> Result<Option<Operation>, ApiError> {
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
            "Invalid value for uploadType: write media, multipart or resumable.",
        )),
        _ => Ok(None),
    }
}

fn of_faults(method: &Method) -> Option<Operation> {
    match method {
        Method::Post => Some(Operation::OrderFaults),
        Method::Get => Some(Operation::ShowFaults),
        Method::Delete => Some(Operation::ClearFaults),
        _ => None,
    }
}

fn of_requests(method: &Method) -> Option<Operation> {
    match method {
        Method::Get => Some(Operation::ShowRequests),
        Method::Delete => Some(Operation::ForgetRequests),
        _ => None,
    }
}
