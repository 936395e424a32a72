//! Base URL of Cloud Storage, and the URLs of its JSON API
//! (<https://docs.cloud.google.com/storage/docs/json_api>).

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;
use url::{Position, Url};

use super::session::Session;

/// All characters except RFC 3986's unreserved ones: correct in a path segment and in a query.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Scheme, host and port of Cloud Storage or an emulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    base: String,
    host: String,
}

/// Error of parsing an [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid endpoint {text:?}: use http://HOST:PORT or HOST:PORT, without a path")]
pub struct EndpointError {
    text: String,
}

impl Endpoint {
    /// The endpoint of Google's Cloud Storage.
    pub fn google() -> Self {
        Self {
            base: "https://storage.googleapis.com".into(),
            host: "storage.googleapis.com".into(),
        }
    }

    /// Parses the value of STORAGE_EMULATOR_HOST. Without a scheme it means http, as in Google's
    /// clients.
    ///
    /// # Errors
    /// The text is not a scheme, a host and a port, of which only the host is required.
    pub fn emulator(text: &str) -> Result<Self, EndpointError> {
        let error = || EndpointError { text: text.chars().take(80).collect() };
        let with_scheme =
            if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&with_scheme).map_err(|_| error())?;
        let bare = url[Position::AfterPort..] == *"/" && url.username().is_empty();
        let host = url.host_str().unwrap_or_default().to_owned();
        if !matches!(url.scheme(), "http" | "https") || !bare || host.is_empty() {
            return Err(error());
        }
        Ok(Self { base: url[..Position::AfterPort].to_owned(), host })
    }

    /// URL that opens a resumable session for a new object. `ifGenerationMatch=0` requires that the
    /// object does not exist.
    pub(super) fn start(&self, bucket: &str, name: &str) -> String {
        format!(
            "{}/upload/storage/v1/b/{}/o?uploadType=resumable&ifGenerationMatch=0&name={}",
            self.base,
            encode(bucket),
            encode(name),
        )
    }

    /// URL of an object's metadata.
    pub fn object(&self, bucket: &str, name: &str) -> String {
        object_url(&self.base, bucket, name)
    }

    /// Parses a session URI from a `Location` header.
    ///
    /// Only the path and query are used, and only if the host matches: the session URI is a secret,
    /// and tokens must not be sent to another host.
    pub(super) fn session(&self, location: &str) -> Result<Session, LocationError> {
        let url = Url::parse(location).map_err(|_| LocationError::InvalidUrl)?;
        match url.host_str() {
            // URLs of other schemes may have no path, and none is a session.
            _ if !matches!(url.scheme(), "http" | "https") => Err(LocationError::InvalidUrl),
            Some(host) if host == self.host => {
                let path = &url[Position::BeforePath..Position::AfterQuery];
                Ok(Session::new(format!("{}{path}", self.base)))
            }
            host => Err(LocationError::OtherHost(host.unwrap_or_default().to_owned())),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// Error of a `Location` header that is not a valid session URI.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum LocationError {
    #[error("is not a valid http or https URL")]
    InvalidUrl,
    #[error("points to another host, {0:?}")]
    OtherHost(String),
}

/// URL of an object in the JSON API of the Cloud Storage at `base`.
pub(super) fn object_url(base: &str, bucket: &str, name: &str) -> String {
    format!("{base}/storage/v1/b/{}/o/{}", encode(bucket), encode(name))
}

fn encode(text: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(text, RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emulator(text: &str) -> Endpoint {
        Endpoint::emulator(text).expect(text)
    }

    #[test]
    fn emulator_endpoint_accepts_what_googles_clients_accept() {
        for text in ["127.0.0.1:9000", "http://127.0.0.1:9000", "http://127.0.0.1:9000/"] {
            assert_eq!(emulator(text).to_string(), "http://127.0.0.1:9000");
        }
        assert_eq!(emulator("gcs:4443").to_string(), "http://gcs:4443");
        assert_eq!(emulator("https://gcs").to_string(), "https://gcs");
        assert_eq!(emulator("http://[::1]:9000").to_string(), "http://[::1]:9000");
    }

    #[test]
    fn endpoint_rejects_invalid_text() {
        for text in ["", "http://", "ftp://h:1", "h:1/path", "h:1?q", "h:1#f", "u:p@h:1", "h:99999"]
        {
            assert!(Endpoint::emulator(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn object_names_are_percent_encoded_completely() {
        assert_eq!(
            emulator("h:1").object("b", "a/b c?d=ü#%"),
            "http://h:1/storage/v1/b/b/o/a%2Fb%20c%3Fd%3D%C3%BC%23%25",
        );
        assert!(emulator("h:1").start("b", "a&b").ends_with("&name=a%26b"));
    }

    #[test]
    fn session_uri_on_the_same_host_is_accepted() {
        let endpoint = emulator("http://127.0.0.1:9000");
        let session = endpoint.session("http://127.0.0.1:9000/upload?upload_id=x").unwrap();
        assert_eq!(session.uri(), "http://127.0.0.1:9000/upload?upload_id=x");
    }

    // Some emulators build the URL from a Host header without its port.
    #[test]
    fn session_uri_without_port_uses_the_endpoints_port() {
        let session = emulator("http://127.0.0.1:9000").session("http://127.0.0.1/u?upload_id=x");
        assert_eq!(session.unwrap().uri(), "http://127.0.0.1:9000/u?upload_id=x");
    }

    #[test]
    fn session_uri_on_another_host_is_rejected() {
        let endpoint = Endpoint::google();
        for location in ["/upload?upload_id=x", "", "s://storage.googleapis.com", "s:u?upload_id=x"]
        {
            assert_eq!(endpoint.session(location), Err(LocationError::InvalidUrl), "{location}");
        }
        for location in ["https://evil.example/u", "https://storage.googleapis.com@evil.example/u"]
        {
            let error = endpoint.session(location).unwrap_err();
            assert_eq!(error, LocationError::OtherHost("evil.example".into()));
        }
    }
}
