//! Routes: methods and paths. Paths match exactly, byte for byte; the path of an upload may end with a
//! name.

use tiny_http::Method;

use crate::server::problem::{self, Problem, quoted};
use crate::server::upload_id::UploadId;

/// Route of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Health,
    Ready,
    Metrics,
    OpenApi,
    Upload,
    UploadRandom,
    Uploads,
    UploadById(UploadId),
    Page,
}

/// Prefix of a path that ends with a file's name, as `curl -T` sends it.
const NAME_PREFIX: &str = "/api/upload/";

const ROUTES: [(&str, Route); 8] = [
    ("/api/health", Route::Health),
    ("/api/ready", Route::Ready),
    ("/metrics", Route::Metrics),
    ("/api/openapi.json", Route::OpenApi),
    ("/api/upload", Route::Upload),
    ("/api/upload-random", Route::UploadRandom),
    ("/api/uploads", Route::Uploads),
    ("/", Route::Page),
];

/// Prefix of the path of one upload.
const ID_PREFIX: &str = "/api/uploads/";

/// Template of that path, for messages and as a metric's label.
const UPLOAD_TEMPLATE: &str = "/api/uploads/{id}";

/// Routes of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteSet {
    All,
    /// All but the metrics, which have a listener of their own.
    WithoutMetrics,
    /// Metrics, health and readiness.
    Operations,
}

impl RouteSet {
    fn contains(self, route: Route) -> bool {
        match self {
            Self::All => true,
            Self::WithoutMetrics => route != Route::Metrics,
            Self::Operations => matches!(route, Route::Metrics | Route::Health | Route::Ready),
        }
    }

    /// Returns the paths, with a template where an id follows.
    pub(crate) fn paths(self) -> Vec<&'static str> {
        let routes = ROUTES.iter().filter(|&&(_, route)| self.contains(route));
        let upload = self.contains(Route::Uploads).then_some(UPLOAD_TEMPLATE);
        routes.map(|&(path, _)| path).chain(upload).collect()
    }
}

impl Route {
    /// Returns the route at a path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        let known = find(path).map(|&(_, route)| route);
        let id = || path.strip_prefix(ID_PREFIX).and_then(UploadId::parse);
        known.or_else(|| id().map(Self::UploadById))
    }

    /// Returns whether a request with this method has a body that is read.
    pub(crate) fn accepts_body(self, method: &str) -> bool {
        self == Self::Upload && matches!(method, "POST" | "PUT")
    }

    /// Returns whether machines send such requests every few seconds.
    pub(crate) fn is_polled(self) -> bool {
        match self {
            Self::Health | Self::Ready | Self::Metrics | Self::Uploads | Self::UploadById(_) => {
                true
            }
            Self::OpenApi | Self::Upload | Self::UploadRandom | Self::Page => false,
        }
    }

    fn methods(self) -> &'static [Method] {
        match self {
            Self::Upload => &[Method::Post, Method::Put],
            Self::UploadRandom => &[Method::Post],
            Self::Health
            | Self::Ready
            | Self::Metrics
            | Self::OpenApi
            | Self::Uploads
            | Self::UploadById(_)
            | Self::Page => &[Method::Get, Method::Head],
        }
    }
}

fn find(path: &str) -> Option<&'static (&'static str, Route)> {
    let path = if path.starts_with(NAME_PREFIX) { NAME_PREFIX.trim_end_matches('/') } else { path };
    ROUTES.iter().find(|(known, _)| *known == path)
}

/// Returns the name, still encoded, at the end of an upload's path; empty if there is none.
pub(crate) fn name_in(path: &str) -> &str {
    path.strip_prefix(NAME_PREFIX).unwrap_or_default()
}

/// Returns the route of a request.
pub(crate) fn route(method: &Method, path: &str, routes: RouteSet) -> Result<Route, Problem> {
    let route = Route::at(path).filter(|&route| routes.contains(route)).ok_or_else(|| {
        let detail =
            format!("No such path: {}. Paths: {}.", quoted(path), routes.paths().join(", "));
        Problem::new(&problem::NOT_FOUND, detail)
    })?;
    if route.methods().contains(method) {
        return Ok(route);
    }
    let methods: Vec<_> = route.methods().iter().map(Method::as_str).collect();
    let methods = methods.join(", ");
    let detail = format!("The path {} supports only {methods}.", quoted(path));
    Err(Problem::new(&problem::METHOD_NOT_ALLOWED, detail).with_header("Allow", methods))
}

/// Splits a target into path and query. It may be a whole URL (RFC 9112, section 3.2.2).
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

/// Returns the path as a metric's label: a known path, or `other`.
pub(crate) fn path_label(path: &str) -> &'static str {
    let known = find(path).map(|(known, _)| *known);
    known.or_else(|| Route::at(path).map(|_| UPLOAD_TEMPLATE)).unwrap_or("other")
}

/// Returns the method as a metric's label: a standard method, or `other`.
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
    fn target_is_a_path_or_a_whole_url() {
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
    fn path_of_an_upload_may_end_with_a_name() {
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
