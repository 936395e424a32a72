//! Which credentials there are: the search that Google's client libraries document as
//! "application default credentials", over values that the command line has read.
//!
//! Reads the environment never, and asks nobody over the network.
//!
//! See <https://cloud.google.com/docs/authentication/application-default-credentials>.

use std::fmt;
use std::path::{Path, PathBuf};

use super::CredentialsError;
use super::file;

/// The metadata server's name inside Google Cloud.
const METADATA_HOST: &str = "metadata.google.internal";

/// Places where credentials may be found. `None` means that a place was not given.
#[derive(Clone, Default)]
pub struct Settings {
    /// A credentials file: `GOOGLE_APPLICATION_CREDENTIALS`. An empty path counts as none.
    pub credentials_file: Option<PathBuf>,
    /// File that `gcloud auth application-default login` writes
    /// (`~/.config/gcloud/application_default_credentials.json`). Used if it exists.
    pub well_known_file: Option<PathBuf>,
    /// The metadata server, as `host` or `host:port`: `GCE_METADATA_HOST`.
    pub metadata_host: Option<String>,
    /// The proxy through which `https` token endpoints are reached. Plain `http` (the metadata
    /// server, a subject token's URL) never goes through it.
    pub proxy: Option<ureq::Proxy>,
}

/// Credentials that were found. Its `Display` form is a line for a person that names them; it
/// holds nothing secret.
#[derive(Clone)]
pub struct CredentialSource {
    pub(super) source: Source,
    pub(super) proxy: Option<ureq::Proxy>,
    description: String,
}

/// Source of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A credentials file. It is read again for every token, so that a rotated key is used.
    File(PathBuf),
    /// The metadata server at this `host` or `host:port`.
    MetadataServer(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::MetadataServer(host) => write!(f, "the metadata server at {host}"),
        }
    }
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.description)
    }
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Found").field(&self.description).finish()
    }
}

/// Looks for credentials: the file that was named, else the file of gcloud if there is one, else
/// the metadata server.
///
/// # Errors
/// A file that cannot be read or used. That no metadata server answers shows only when a token is
/// asked for.
pub fn discover(settings: &Settings) -> Result<CredentialSource, CredentialsError> {
    if let Some(path) = named_file(settings) {
        return in_file(settings, path, "named by GOOGLE_APPLICATION_CREDENTIALS");
    }
    if let Some(path) = settings.well_known_file.as_deref().filter(|path| path.exists()) {
        return in_file(settings, path, "left by gcloud");
    }
    on_metadata_server(settings)
}

fn named_file(settings: &Settings) -> Option<&Path> {
    settings.credentials_file.as_deref().filter(|path| !path.as_os_str().is_empty())
}

fn in_file(
    settings: &Settings,
    path: &Path,
    how: &str,
) -> Result<CredentialSource, CredentialsError> {
    let credential = file::read(path)?;
    Ok(CredentialSource {
        source: Source::File(path.to_owned()),
        proxy: settings.proxy.clone(),
        description: format!("{} ({how})", credential.describe(path)),
    })
}

fn on_metadata_server(settings: &Settings) -> Result<CredentialSource, CredentialsError> {
    let given = settings.metadata_host.as_deref().filter(|host| !host.is_empty());
    let host = given.unwrap_or(METADATA_HOST);
    if !is_host(host) {
        return Err(CredentialsError {
            source_name: "the metadata server".to_owned(),
            reason: format!(
                "{} is not a host; set GCE_METADATA_HOST to HOST or HOST:PORT, without scheme and \
                 path, or unset it",
                host.escape_debug()
            ),
        });
    }
    let how = if given.is_some() {
        "named by GCE_METADATA_HOST"
    } else {
        "as no credentials file was given"
    };
    Ok(CredentialSource {
        source: Source::MetadataServer(host.to_owned()),
        proxy: settings.proxy.clone(),
        description: format!(
            "metadata server {host}, for the identity of this machine or pod ({how})"
        ),
    })
}

/// Returns whether `text` can be the part between the `//` and the path of a URL, without a user.
fn is_host(text: &str) -> bool {
    let authority = text.parse::<yup_oauth2::hyper::http::uri::Authority>();
    authority.is_ok_and(|authority| !authority.host().is_empty() && !text.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcs::credentials::testing::{self, Folder};

    fn settings(metadata_host: &str) -> Settings {
        Settings { metadata_host: Some(metadata_host.to_owned()), ..Settings::default() }
    }

    #[test]
    fn named_file_takes_precedence_over_gcloud_file() {
        let folder = Folder::new();
        let key = folder.write("key.json", &testing::service_account("https://token.example/"));
        let user = folder.write("user.json", &testing::authorized_user());
        let found = discover(&Settings {
            credentials_file: Some(key.clone()),
            well_known_file: Some(user),
            ..settings("127.0.0.1:1")
        });
        let expected = format!(
            "service-account key {} for uploader@project.iam.gserviceaccount.com (named by \
             GOOGLE_APPLICATION_CREDENTIALS)",
            key.display()
        );
        assert_eq!(found.unwrap().to_string(), expected);
    }

    #[test]
    fn gcloud_file_takes_precedence_over_metadata_server() {
        let folder = Folder::new();
        let user = folder.write("user.json", &testing::authorized_user());
        let found = discover(&Settings {
            credentials_file: Some(PathBuf::new()),
            well_known_file: Some(user.clone()),
            ..settings("127.0.0.1:1")
        });
        let expected = format!("user credentials {} (left by gcloud)", user.display());
        assert_eq!(found.unwrap().to_string(), expected);
    }

    #[test]
    fn metadata_server_is_used_without_a_file() {
        let absent = Some(PathBuf::from("/nonexistent/application_default_credentials.json"));
        let found = discover(&Settings { well_known_file: absent, ..Settings::default() }).unwrap();
        assert_eq!(found.source, Source::MetadataServer(METADATA_HOST.to_owned()));
        let found = discover(&settings("10.1.2.3:8080")).unwrap();
        assert_eq!(
            found.to_string(),
            "metadata server 10.1.2.3:8080, for the identity of this machine or pod (named by \
             GCE_METADATA_HOST)"
        );
    }

    #[test]
    fn missing_named_file_is_an_error_and_not_skipped() {
        let error = discover(&Settings {
            credentials_file: Some(PathBuf::from("/nonexistent/key.json")),
            ..settings("127.0.0.1:1")
        });
        assert_eq!(
            error.unwrap_err().to_string(),
            "no access token from /nonexistent/key.json: the file cannot be read: No such file or \
             directory (os error 2); correct GOOGLE_APPLICATION_CREDENTIALS, or let this user \
             read the file"
        );
    }

    #[test]
    fn invalid_metadata_host_is_rejected() {
        for host in ["http://metadata", "a/b", "user@host", "a b", "host\n"] {
            let error = discover(&settings(host)).unwrap_err();
            assert!(error.reason.contains("HOST:PORT"), "{host}: {error}");
        }
    }
}
