//! Which path and method mean what. Paths match exactly, byte for byte; that of an upload may go on
//! with a name.

use tiny_http::Method;

use crate::server::problem::{self, Problem, quoted};
use crate::server::upload_id::UploadId;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Health,
    Ready,
    Metrics,
    Description,
    Upload,
    UploadRandom,
    Uploads,
    UploadById(UploadId),
    Page,
}

/// What a file's own name may follow, as `curl -T` has it.
const BEFORE_NAME: &str = "/api/upload/";

const ROUTES: [(&str, Route); 8] = [
    ("/api/health", Route::Health),
    ("/api/ready", Route::Ready),
    ("/metrics", Route::Metrics),
    ("/api/openapi.json", Route::Description),
    ("/api/upload", Route::Upload),
    ("/api/upload-random", Route::UploadRandom),
    ("/api/uploads", Route::Uploads),
    ("/", Route::Page),
];

/// What the path of one upload begins with.
const BEFORE_ID: &str = "/api/uploads/";

/// That path for a person, and as a metric's label.
const ANY_UPLOAD: &str = "/api/uploads/{id}";

/// What a listener has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Everything,
    /// Everything but the metrics, which have a listener of their own.
    Uploads,
    /// The metrics alone.
    Metrics,
}

impl Offer {
    fn has(self, route: Route) -> bool {
        match self {
            Self::Everything => true,
            Self::Uploads => route != Route::Metrics,
            Self::Metrics => route == Route::Metrics,
        }
    }

    fn paths(self) -> String {
        let paths = ROUTES.iter().filter(|&&(_, route)| self.has(route)).map(|&(path, _)| path);
        let any_upload = self.has(Route::Uploads).then_some(ANY_UPLOAD);
        paths.chain(any_upload).collect::<Vec<_>>().join(", ")
    }
}

impl Route {
    /// The route that `path` names.
    pub(crate) fn at(path: &str) -> Option<Self> {
        let known = find(path).map(|&(_, route)| route);
        let id = || path.strip_prefix(BEFORE_ID).and_then(UploadId::parse);
        known.or_else(|| id().map(Self::UploadById))
    }

    /// Whether a request by this method has a body that is read.
    pub(crate) fn takes_body(self, method: &str) -> bool {
        self == Self::Upload && matches!(method, "POST" | "PUT")
    }

    /// Asked for by machines, every few seconds.
    pub(crate) fn is_probe(self) -> bool {
        match self {
            Self::Health | Self::Ready | Self::Metrics | Self::Uploads | Self::UploadById(_) => {
                true
            }
            Self::Description | Self::Upload | Self::UploadRandom | Self::Page => false,
        }
    }

    fn methods(self) -> &'static [Method] {
        match self {
            Self::Upload => &[Method::Post, Method::Put],
            Self::UploadRandom => &[Method::Post],
            Self::Health
            | Self::Ready
            | Self::Metrics
            | Self::Description
            | Self::Uploads
            | Self::UploadById(_)
            | Self::Page => &[Method::Get, Method::Head],
        }
    }
}

fn find(path: &str) -> Option<&'static (&'static str, Route)> {
    let path = if path.starts_with(BEFORE_NAME) { BEFORE_NAME.trim_end_matches('/') } else { path };
    ROUTES.iter().find(|(known, _)| *known == path)
}

/// The name, still encoded, that an upload's path ends with; empty if it ends with none.
pub(crate) fn name_in(path: &str) -> &str {
    path.strip_prefix(BEFORE_NAME).unwrap_or_default()
}

/// The route that a request takes.
pub(crate) fn route(method: &Method, path: &str, offer: Offer) -> Result<Route, Problem> {
    let route = Route::at(path).filter(|&route| offer.has(route)).ok_or_else(|| {
        let detail = format!("There is nothing at {}; there is {}.", quoted(path), offer.paths());
        Problem::new(&problem::NOT_FOUND, detail)
    })?;
    if route.methods().contains(method) {
        return Ok(route);
    }
    let methods: Vec<_> = route.methods().iter().map(Method::as_str).collect();
    let methods = methods.join(", ");
    let detail = format!("{} takes {methods} only.", quoted(path));
    Err(Problem::new(&problem::METHOD_NOT_ALLOWED, detail).with_header("Allow", methods))
}

/// Path and query of a request's target, which may be a whole URL (RFC 9112, 3.2.2).
pub(crate) fn split(target: &str) -> (&str, Option<&str>) {
    let local = match target.split_once("://") {
        Some(("http" | "https", rest)) => rest.find(['/', '?']).map_or("/", |at| &rest[at..]),
        _ => target,
    };
    match local.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (local, None),
    }
}

/// The path as a metric's label: one of ours, or `other`.
pub(crate) fn path_label(path: &str) -> &'static str {
    let known = find(path).map(|(known, _)| *known);
    known.or_else(|| Route::at(path).map(|_| ANY_UPLOAD)).unwrap_or("other")
}

/// The method as a metric's label: a standard one, or `other`.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::NonStandard(_) => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_path_or_a_whole_url() {
        for (target, path, query) in [
            ("/api/health", "/api/health", None),
            ("/api/health?", "/api/health", Some("")),
            ("/a?b?c", "/a", Some("b?c")),
            ("http://host:4545/metrics?x=1", "/metrics", Some("x=1")),
            ("https://host", "/", None),
            ("https://host?q", "", Some("q")),
            ("*", "*", None),
            ("", "", None),
        ] {
            assert_eq!(split(target), (path, query), "{target}");
        }
    }

    #[test]
    fn the_path_of_an_upload_may_end_with_a_name() {
        for (path, name) in [
            ("/api/upload", ""),
            ("/api/upload/", ""),
            ("/api/upload/a.pdf", "a.pdf"),
            ("/api/upload/a/%C3%A4", "a/%C3%A4"),
            ("/api/upload/../health", "../health"),
        ] {
            assert_eq!((Route::at(path), name_in(path)), (Some(Route::Upload), name), "{path}");
            assert_eq!(path_label(path), "/api/upload");
        }
        assert_eq!(Route::at("/api/uploadx"), None);
    }

    #[test]
    fn paths_match_exactly() {
        for path in
            ["/api/health/", "//api/health", "/api/%68ealth", "/API/health", "/api/./health", ""]
        {
            assert!(Route::at(path).is_none(), "{path}");
            assert_eq!(path_label(path), "other");
        }
    }
}
