//! `gcs-uploader check`: a step-by-step check of credentials and bucket.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::content::{Content as _, RandomContent, Seed};
use crate::gcs::credentials::{self, TokenSource};
use crate::gcs::{Client, NewObject, Object, Uploader as _};

use super::logging::Logging;
use super::storage::Storage;
use super::{Failure, print_line};

/// Time limit for each step.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// Check the credentials and the bucket step by step, and print what is wrong
#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    storage: Storage,

    #[command(flatten)]
    logging: Logging,
}

impl Check {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        self.logging.start("error")?;
        let bucket = self.storage.bucket()?;
        let endpoint = self.storage.endpoint()?;
        match self.steps(&bucket, &endpoint.to_string()) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(reason) => {
                print_line(&format!("✗ {reason}"));
                Ok(ExitCode::FAILURE)
            }
        }
    }

    fn steps(&self, bucket: &str, endpoint: &str) -> Result<(), String> {
        match self.storage.emulator_host() {
            Some(_) => passed(&format!("credentials: not needed for the emulator at {endpoint}")),
            None => {
                let found = credentials::discover(&self.storage.credential_settings());
                passed(&format!("credentials: {}", found.map_err(|error| error.to_string())?));
            }
        }
        let client = self.storage.client(1).map_err(|failure| match failure {
            Failure::Setting(text) | Failure::Runtime(text) => text,
        })?;
        token(&*client.bucket().tokens)?;
        let object = self.create(&client)?;
        passed(&format!("writable: created {} in {bucket}", object.name));
        read_back(&client, &object)?;
        clean_up(&client, &object);
        Ok(())
    }

    fn create(&self, client: &Client) -> Result<Object, String> {
        let name = format!("{}.check", self.storage.object_prefix.random_name());
        let content_type = "application/octet-stream".into();
        let object = NewObject { name, content_type, metadata: Default::default() };
        let empty = RandomContent::new(Seed::new(0), 0);
        let created = client.upload(&object, &empty, STEP_TIMEOUT, &());
        created.map(|uploaded| uploaded.object).map_err(|error| format!("not writable: {error}"))
    }
}

fn token(tokens: &dyn TokenSource) -> Result<(), String> {
    match tokens.token(STEP_TIMEOUT) {
        Ok(None) => passed("token: not needed"),
        Ok(Some(_)) => passed("token: obtained"),
        Err(error) => return Err(format!("token: {error}")),
    }
    Ok(())
}

fn read_back(client: &Client, created: &Object) -> Result<(), String> {
    let empty = RandomContent::new(Seed::new(0), 0);
    match client.bucket().get_metadata(&created.name, STEP_TIMEOUT) {
        Ok(Some(found)) if found == *created && found.crc32c == empty.crc32c() => {
            passed("readable: the object reads back as it was created");
            Ok(())
        }
        Ok(Some(found)) => Err(format!("not readable: the object reads back as {found:?}")),
        Ok(None) => Err("not readable: the object was created, but does not exist".to_owned()),
        Err(error) => Err(format!(
            "not readable: {error}; grant the identity storage.objects.get: without it, an upload \
             whose last response is lost cannot be distinguished from a failed one"
        )),
    }
}

/// Deletes the object. The least-privilege role lacks that permission, which is not a failure.
fn clean_up(client: &Client, object: &Object) {
    match client.bucket().delete(&object.name, &object.generation, STEP_TIMEOUT) {
        Ok(()) => passed("deleted: no object remains"),
        Err(error) => {
            passed(&format!(
                "not deletable, as it should be: {} is left behind ({error})",
                object.gs_uri()
            ));
        }
    }
}

fn passed(step: &str) {
    print_line(&format!("✓ {step}"));
}
