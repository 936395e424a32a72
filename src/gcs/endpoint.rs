//! Address of Cloud Storage, and the URLs of its JSON API
//! (<https://docs.cloud.google.com/storage/docs/json_api>).

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;
use url::{Position, Url};

use super::session::Session;

/// Everything but RFC 3986's unreserved characters: right in a path segment and in a query alike.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Scheme, host and port of a Cloud Storage, or of a stand-in for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    base: String,
    host: String,
}

/// Error of a text that is not a valid [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid endpoint {text:?}: use http://HOST:PORT or HOST:PORT, without a path")]
pub struct EndpointError {
    text: String,
}

impl Endpoint {
    /// Google's own.
    pub fn google() -> Self {
        Self {
            base: "https://storage.googleapis.com".into(),
            host: "storage.googleapis.com".into(),
        }
    }

    /// The endpoint that STORAGE_EMULATOR_HOST names: as Google's clients do, http where no scheme
    /// is given.
    ///
    /// # Errors
    /// When the text is not a scheme, a host and a port, of which only the host is required.
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

    /// Returns the URL that starts a resumable upload of a new object. The object must not exist:
    /// `ifGenerationMatch=0`.
    pub(super) fn start(&self, bucket: &str, name: &str) -> String {
        format!(
            "{}/upload/storage/v1/b/{}/o?uploadType=resumable&ifGenerationMatch=0&name={}",
            self.base,
            encode(bucket),
            encode(name),
        )
    }

    /// An object's metadata.
    pub fn object(&self, bucket: &str, name: &str) -> String {
        format!("{}/storage/v1/b/{}/o/{}", self.base, encode(bucket), encode(name))
    }

    /// The session that a `Location` header names.
    ///
    /// Only its path and query are used, and only if it points to this host: a session's URI takes
    /// part in the upload's secrets, and tokens go nowhere else.
    pub(super) fn session(&self, location: &str) -> Result<Session, LocationError> {
        let url = Url::parse(location).map_err(|_| LocationError::NoUrl)?;
        match url.host_str() {
            // Another scheme's URL need not have a path, and none names a session.
            _ if !matches!(url.scheme(), "http" | "https") => Err(LocationError::NoUrl),
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

/// Error of a `Location` header that does not name a session of this endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum LocationError {
    #[error("is not an http or https URL")]
    NoUrl,
    #[error("points to another host, {0:?}")]
    OtherHost(String),
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
    fn an_emulator_is_named_as_googles_clients_take_it() {
        for text in ["127.0.0.1:9000", "http://127.0.0.1:9000", "http://127.0.0.1:9000/"] {
            assert_eq!(emulator(text).to_string(), "http://127.0.0.1:9000");
        }
        assert_eq!(emulator("gcs:4443").to_string(), "http://gcs:4443");
        assert_eq!(emulator("https://gcs").to_string(), "https://gcs");
        assert_eq!(emulator("http://[::1]:9000").to_string(), "http://[::1]:9000");
    }

    #[test]
    fn refuses_what_is_no_endpoint() {
        for text in ["", "http://", "ftp://h:1", "h:1/path", "h:1?q", "h:1#f", "u:p@h:1", "h:99999"]
        {
            assert!(Endpoint::emulator(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_are_encoded_whole() {
        assert_eq!(
            emulator("h:1").object("b", "a/b c?d=ü#%"),
            "http://h:1/storage/v1/b/b/o/a%2Fb%20c%3Fd%3D%C3%BC%23%25",
        );
        assert!(emulator("h:1").start("b", "a&b").ends_with("&name=a%26b"));
    }

    #[test]
    fn a_session_lies_on_the_host_that_was_asked() {
        let endpoint = emulator("http://127.0.0.1:9000");
        let session = endpoint.session("http://127.0.0.1:9000/upload?upload_id=x").unwrap();
        assert_eq!(session.uri(), "http://127.0.0.1:9000/upload?upload_id=x");
    }

    // Seen in a stand-in that builds the URL from a Host header without a port.
    #[test]
    fn a_session_without_the_port_is_understood() {
        let session = emulator("http://127.0.0.1:9000").session("http://127.0.0.1/u?upload_id=x");
        assert_eq!(session.unwrap().uri(), "http://127.0.0.1:9000/u?upload_id=x");
    }

    #[test]
    fn a_session_elsewhere_is_refused() {
        let endpoint = Endpoint::google();
        for location in ["/upload?upload_id=x", "", "s://storage.googleapis.com", "s:u?upload_id=x"]
        {
            assert_eq!(endpoint.session(location), Err(LocationError::NoUrl), "{location}");
        }
        for location in ["https://evil.example/u", "https://storage.googleapis.com@evil.example/u"]
        {
            let error = endpoint.session(location).unwrap_err();
            assert_eq!(error, LocationError::OtherHost("evil.example".into()));
        }
    }
}
