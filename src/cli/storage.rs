//! Settings for Cloud Storage: bucket, endpoint and credentials; the client made from them.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::content::ObjectPrefix;
use crate::gcs::clock::SystemClock;
use crate::gcs::credentials::{
    self, CredentialsError, GoogleCredentials, NoCredentials, RefreshConfig, TokenSource,
};
use crate::gcs::http::{HttpConfig, HttpTransport};
use crate::gcs::{Bucket, Client, Endpoint, RetryConfig};

use super::{Failure, settings};

/// Settings for Cloud Storage.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Cloud Storage")]
pub(super) struct Storage {
    /// Bucket to upload to
    #[arg(long, env = "GCS_BUCKET", value_name = "NAME", value_parser = settings::bucket)]
    pub(super) bucket: Option<String>,

    /// Prefix of all object names, such as reports/2026/
    #[arg(long, env = "OBJECT_PREFIX", value_name = "PREFIX", default_value = "")]
    pub(super) object_prefix: ObjectPrefix,

    /// Cloud Storage emulator to use instead of Cloud Storage, as HOST:PORT or http://HOST:PORT; no
    /// credentials are sent to it
    #[arg(long, env = "STORAGE_EMULATOR_HOST", value_name = "URL")]
    pub(super) storage_emulator_host: Option<String>,

    /// Credentials file: a service account key, or a file written by gcloud; without it, gcloud's
    /// well-known file or the metadata server is used
    #[arg(
        long = "credentials",
        env = "GOOGLE_APPLICATION_CREDENTIALS",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub(super) credentials: Option<PathBuf>,

    /// Metadata server that provides tokens on Google Cloud, as HOST or HOST:PORT [default:
    /// metadata.google.internal]
    #[arg(long, env = "GCE_METADATA_HOST", value_name = "HOST")]
    pub(super) metadata_host: Option<String>,
}

impl Storage {
    /// Returns the bucket, which has no default: nothing is stored where nobody chose to.
    pub(super) fn bucket(&self) -> Result<String, Failure> {
        self.bucket.clone().ok_or_else(|| {
            Failure::Setting(
                "GCS_BUCKET (--bucket) is missing: set it to the name of the bucket to upload to"
                    .to_owned(),
            )
        })
    }

    /// Returns the endpoint of Cloud Storage or of the emulator.
    pub(super) fn endpoint(&self) -> Result<Endpoint, Failure> {
        match self.emulator_host() {
            None => Ok(Endpoint::google()),
            Some(host) => Endpoint::emulator(host).map_err(|error| {
                Failure::Setting(format!(
                    "STORAGE_EMULATOR_HOST (--storage-emulator-host): {error}"
                ))
            }),
        }
    }

    /// Returns the address of the emulator. An empty variable counts as unset, as in Google's clients.
    pub(super) fn emulator_host(&self) -> Option<&str> {
        self.storage_emulator_host.as_deref().filter(|host| !host.is_empty())
    }

    /// Returns the settings for credential discovery.
    pub(super) fn credential_settings(&self) -> credentials::Settings {
        credentials::Settings {
            credentials_file: self.credentials.clone(),
            well_known_file: well_known_file(),
            metadata_host: self.metadata_host.clone(),
            proxy: ureq::Proxy::try_from_env(),
        }
    }

    /// Creates a client that keeps a connection for each of `uploads` concurrent uploads.
    pub(super) fn client(&self, uploads: usize) -> Result<Client, Failure> {
        self.client_bucket(uploads).map(Client::new)
    }

    /// Creates the client's bucket, which keeps up to `connections` idle connections.
    pub(super) fn client_bucket(&self, connections: usize) -> Result<Bucket, Failure> {
        Ok(Bucket {
            endpoint: self.endpoint()?,
            name: self.bucket()?,
            retry: RetryConfig::default(),
            tokens: self.tokens().map_err(|error| Failure::Runtime(error.to_string()))?,
            transport: Arc::new(HttpTransport::new(HttpConfig::for_uploads(connections))),
            clock: Arc::new(SystemClock::default()),
        })
    }

    /// Checks the configured credentials before anything starts.
    pub(super) fn check_credentials(&self) -> Result<(), Failure> {
        if self.emulator_host().is_some() {
            return Ok(());
        }
        match (credentials::discover(&self.credential_settings()), &self.credentials) {
            (Ok(_), _) => Ok(()),
            (Err(error), Some(file)) if !file.as_os_str().is_empty() => Err(Failure::Setting(
                format!("GOOGLE_APPLICATION_CREDENTIALS (--credentials): {error}"),
            )),
            (Err(error), _) => Err(Failure::Setting(error.to_string())),
        }
    }

    fn tokens(&self) -> Result<Arc<dyn TokenSource>, CredentialsError> {
        if self.emulator_host().is_some() {
            return Ok(Arc::new(NoCredentials));
        }
        let found = credentials::discover(&self.credential_settings())?;
        log::info!("credentials: {found}");
        Ok(Arc::new(GoogleCredentials::start(&found, RefreshConfig::default())?))
    }
}

/// Path to which `gcloud auth application-default login` writes credentials
/// (<https://docs.cloud.google.com/docs/authentication/application-default-credentials#personal>).
fn well_known_file() -> Option<PathBuf> {
    let folder = match std::env::var_os("CLOUDSDK_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None => std::env::home_dir()?.join(".config/gcloud"),
    };
    Some(folder.join("application_default_credentials.json"))
}
