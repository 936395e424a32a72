//! The settings that say which Cloud Storage is meant and who asks, and the client made from them.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::content::ObjectPrefix;
use crate::gcs::clock::SystemClock;
use crate::gcs::credentials::{
    self, CredentialsError, GoogleCredentials, NoCredentials, RefreshConfig, TokenSource,
};
use crate::gcs::http::{HttpConfig, HttpTransport};
use crate::gcs::{Bucket, Client, Endpoint, Retry};

use super::{Failure, settings};

/// Which bucket, where, and as whom.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Cloud Storage")]
pub(super) struct Storage {
    /// The bucket that objects are put into
    #[arg(long, env = "GCS_BUCKET", value_name = "NAME", value_parser = settings::bucket)]
    pub(super) bucket: Option<String>,

    /// What the name of every object begins with, such as reports/2026/
    #[arg(long, env = "OBJECT_PREFIX", value_name = "PREFIX", default_value = "")]
    pub(super) object_prefix: ObjectPrefix,

    /// A stand-in for Cloud Storage to use in its place, as HOST:PORT or http://HOST:PORT; no
    /// credentials are sent to it
    #[arg(long, env = "STORAGE_EMULATOR_HOST", value_name = "URL")]
    pub(super) storage_emulator_host: Option<String>,

    /// The file with the credentials: a service account's key, or what gcloud writes; without it,
    /// those of gcloud's well-known file or of the metadata server
    #[arg(
        long = "credentials",
        env = "GOOGLE_APPLICATION_CREDENTIALS",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub(super) credentials: Option<PathBuf>,

    /// The metadata server that gives tokens on Google Cloud, as HOST or HOST:PORT [default:
    /// metadata.google.internal]
    #[arg(long, env = "GCE_METADATA_HOST", value_name = "HOST")]
    pub(super) metadata_host: Option<String>,
}

impl Storage {
    /// The bucket, which must be named: nothing is ever stored in a place that nobody chose.
    pub(super) fn bucket(&self) -> Result<String, Failure> {
        self.bucket.clone().ok_or_else(|| {
            Failure::Setting(
                "GCS_BUCKET (--bucket) is missing: write the name of the bucket to put objects into"
                    .to_owned(),
            )
        })
    }

    /// Where Cloud Storage is.
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

    /// A stand-in's address. An empty variable is none, as Google's clients have it.
    pub(super) fn emulator_host(&self) -> Option<&str> {
        self.storage_emulator_host.as_deref().filter(|host| !host.is_empty())
    }

    /// Where credentials may be found.
    pub(super) fn credential_settings(&self) -> credentials::Settings {
        credentials::Settings {
            credentials_file: self.credentials.clone(),
            well_known_file: well_known_file(),
            metadata_host: self.metadata_host.clone(),
            proxy: ureq::Proxy::try_from_env(),
        }
    }

    /// The client, with a connection for each of `uploads` at a time.
    pub(super) fn client(&self, uploads: usize) -> Result<Client, Failure> {
        self.client_bucket(uploads).map(Client::new)
    }

    /// The client's bucket, with this many connections that are kept.
    pub(super) fn client_bucket(&self, connections: usize) -> Result<Bucket, Failure> {
        Ok(Bucket {
            endpoint: self.endpoint()?,
            name: self.bucket()?,
            retry: Retry::default(),
            tokens: self.tokens().map_err(|error| Failure::Runtime(error.to_string()))?,
            transport: Arc::new(HttpTransport::new(HttpConfig::for_uploads(connections))),
            clock: Arc::new(SystemClock::default()),
        })
    }

    /// Credentials that are named must be such, before anything begins.
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

/// Where `gcloud auth application-default login` leaves credentials
/// (<https://docs.cloud.google.com/docs/authentication/application-default-credentials#personal>).
fn well_known_file() -> Option<PathBuf> {
    let folder = match std::env::var_os("CLOUDSDK_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None => std::env::home_dir()?.join(".config/gcloud"),
    };
    Some(folder.join("application_default_credentials.json"))
}
