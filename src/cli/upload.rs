//! `gcs-uploader upload`: uploads without a server.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::{Value, json};

use crate::content::{ByteSize, ClientNameError, Content, FileContent, RandomContent, Seed};
use crate::gcs::{ErrorKind, NewObject, UploadError, Uploaded, Uploader, Window};

use super::logging::Logging;
use super::progress::Progress;
use super::stdin::Stdin;
use super::stop::Stop;
use super::storage::Storage;
use super::{Failure, print_error, print_line, settings};

/// Name of standard input on the command line.
const STDIN: &str = "-";

/// Upload files, standard input or random bytes without a server; prints one line of JSON per object
/// to standard output
#[derive(Args)]
#[command(after_help = "\
Exit status:
  0    every object is stored, complete and exactly once
  1    at least one upload failed; standard error has the reason, standard output the stored objects
  2    invalid option or setting; nothing was started
  130  interrupted by a signal; standard output lists the objects that are stored")]
pub(super) struct Upload {
    /// Files to upload; - is standard input. Without FILE, random files are uploaded
    ///
    /// The object name is OBJECT_PREFIX plus the file name without its folders. An existing object is
    /// never overwritten: a file that is already stored with the same content counts as uploaded,
    /// any other one fails.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Object name after OBJECT_PREFIX, instead of the file name; for a single FILE
    #[arg(long, value_name = "NAME", requires = "files")]
    name: Option<String>,

    /// Add a UUID to each name, so that it is unique
    #[arg(long, requires = "files")]
    unique: bool,

    /// Media type of the objects [default: guessed from the name's extension, else
    /// application/octet-stream]
    #[arg(
        long,
        value_name = "TYPE",
        requires = "files",
        value_parser = settings::media_type
    )]
    content_type: Option<String>,

    /// Memory for the part of standard input that Cloud Storage has not acknowledged yet, a multiple
    /// of 256KiB
    #[arg(long, env = "UPLOAD_WINDOW", value_name = "SIZE", default_value = "8MiB")]
    upload_window: Window,

    /// Size of each random file: bytes, or a number with a unit (64KiB, 1MiB, 5GB)
    #[arg(
        long,
        env = "UPLOAD_SIZE",
        value_name = "SIZE",
        default_value = "1MiB",
        value_parser = settings::object_size
    )]
    size: ByteSize,

    /// Number of random files, uploaded one after another
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "files")]
    count: u32,

    /// Time limit for one upload, including all retries (40s, 5m); for standard input, the limit for
    /// reading each window and for sending it
    #[arg(
        long,
        env = "UPLOAD_TIMEOUT",
        value_name = "DURATION",
        default_value = "5m",
        value_parser = settings::duration
    )]
    upload_timeout: Duration,

    #[command(flatten)]
    storage: Storage,

    #[command(flatten)]
    logging: Logging,
}

/// Failure of one upload.
struct UploadFailure {
    message: String,
    /// Set if the failure does not affect the uploads that follow.
    can_continue: bool,
}

impl UploadFailure {
    /// Creates the failure of a source, which does not affect other uploads.
    fn of_source(source: &str, reason: impl std::fmt::Display) -> Self {
        Self { message: format!("{source}: {reason}"), can_continue: true }
    }

    /// Creates the failure of an upload. Another object may have a free name and readable bytes, so
    /// a conflict or a failed source does not affect other uploads.
    fn of_upload(source: &str, error: &UploadError) -> Self {
        let can_continue = matches!(error.kind, ErrorKind::Conflict | ErrorKind::Source);
        Self { message: format!("{source}: {}", message(error)), can_continue }
    }
}

impl Upload {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        self.logging.start("warn")?;
        self.check()?;
        let client: Arc<dyn Uploader> = Arc::new(self.storage.client(1)?);
        let run = Run { upload: &self, stop: Stop::on_signals(&client)?, client };
        let all_stored = if self.files.is_empty() {
            run.all((0..self.count).map(|_| ()), |()| run.random())
        } else {
            let upload = |file: &PathBuf| if is_stdin(file) { run.stdin() } else { run.file(file) };
            run.all(&self.files, upload)
        };
        Ok(if all_stored {
            ExitCode::SUCCESS
        } else if run.stop.is_requested() {
            ExitCode::from(130)
        } else {
            ExitCode::from(1)
        })
    }

    /// Checks the arguments before anything is uploaded.
    fn check(&self) -> Result<(), Failure> {
        self.storage.bucket()?;
        self.storage.check_credentials()?;
        let setting = |text: &str| Err(Failure::Setting(text.to_owned()));
        if self.name.is_some() && self.files.len() > 1 {
            return setting("--name names a single object: give one FILE");
        }
        if self.files.iter().filter(|file| is_stdin(file)).count() > 1 {
            return setting("standard input (-) can be uploaded only once");
        }
        match &self.name {
            Some(name) => match self.object_name(name) {
                Ok(_) => Ok(()),
                Err(error) => setting(&format!("--name: the name {error}")),
            },
            None => Ok(()),
        }
    }

    fn object_name(&self, name: &str) -> Result<String, ClientNameError> {
        let prefix = &self.storage.object_prefix;
        if self.unique { prefix.unique_client_name(name) } else { prefix.client_name(name) }
    }

    fn object(&self, name: String, metadata: Option<(&str, String)>) -> NewObject {
        let guess = || mime_guess::from_path(&name).first_or_octet_stream().to_string();
        NewObject {
            content_type: self.content_type.clone().unwrap_or_else(guess),
            metadata: metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            name,
        }
    }
}

/// Running command.
struct Run<'a> {
    upload: &'a Upload,
    client: Arc<dyn Uploader>,
    stop: Stop,
}

impl Run<'_> {
    /// Uploads the items one after the other. Returns `true` if all are stored.
    fn all<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        upload: impl Fn(T) -> Result<Value, UploadFailure>,
    ) -> bool {
        let mut all_stored = true;
        for item in items {
            match upload(item) {
                Ok(line) => print_line(&line.to_string()),
                Err(failure) => {
                    print_error(&failure.message);
                    all_stored = false;
                    if !failure.can_continue || self.stop.is_requested() {
                        break;
                    }
                }
            }
        }
        all_stored
    }

    fn random(&self) -> Result<Value, UploadFailure> {
        let content = RandomContent::new(Seed::random(), self.upload.size.as_u64());
        let seed = content.seed().to_string();
        let name = self.upload.storage.object_prefix.random_name();
        let object = self.upload.object(name, Some(("seed", seed.clone())));
        let uploaded = self
            .content(&object, &content)
            .map_err(|error| UploadFailure::of_upload(&object.name, &error))?;
        Ok(line(&uploaded, Some(("seed", seed))))
    }

    fn file(&self, path: &Path) -> Result<Value, UploadFailure> {
        let shown = path.display().to_string();
        let failed = |reason: &dyn std::fmt::Display| UploadFailure::of_source(&shown, reason);
        let name = self.file_name(path).map_err(|reason| failed(&reason))?;
        let (file, before) = open(path).map_err(|error| failed(&error))?;
        let content = FileContent::new(file, &self.stop.requested);
        let content = content.map_err(|error| failed(&error))?;
        let object = self.upload.object(name, None);
        match self.content(&object, &content) {
            Ok(uploaded) => Ok(line(&uploaded, Some(("file", shown)))),
            Err(error) if is_changed(content.file(), before) => {
                let message = message(&error);
                Err(failed(&format!("{message}; the file changed meanwhile: upload it again")))
            }
            Err(error) => Err(UploadFailure::of_upload(&shown, &error)),
        }
    }

    /// Returns the object name for a file.
    fn file_name(&self, path: &Path) -> Result<String, String> {
        let name = match &self.upload.name {
            Some(name) => name,
            None => path
                .file_name()
                .and_then(|name| name.to_str())
                .ok_or("the file name is not valid UTF-8: set a name with --name")?,
        };
        let explain = |error| format!("the name {error}; set another with --name");
        self.upload.object_name(name).map_err(explain)
    }

    fn stdin(&self) -> Result<Value, UploadFailure> {
        let shown = "standard input";
        let name = match &self.upload.name {
            Some(name) => self
                .upload
                .object_name(name)
                .map_err(|error| UploadFailure::of_source(shown, error))?,
            None => self.upload.storage.object_prefix.random_name(),
        };
        let mut source =
            Stdin::new(&self.stop.wake).map_err(|error| UploadFailure::of_source(shown, error))?;
        let object = self.upload.object(name, None);
        let progress = Progress::new(&object.name, None);
        let outcome = self.client.upload_stream(
            &object,
            &mut source,
            self.upload.upload_window,
            self.upload.upload_timeout,
            &progress,
        );
        progress.clear();
        let uploaded = outcome.map_err(|error| UploadFailure::of_upload(shown, &error))?;
        Ok(line(&uploaded, None))
    }

    fn content(&self, object: &NewObject, content: &dyn Content) -> Result<Uploaded, UploadError> {
        let progress = Progress::new(&object.name, Some(content.size()));
        let timeout = self.upload.upload_timeout;
        let outcome = self.client.upload(object, content, timeout, &progress);
        progress.clear();
        outcome
    }
}

/// Opens a regular file and returns its state. Other kinds of files cannot be read again from an
/// offset.
fn open(path: &Path) -> io::Result<(File, Option<(u64, SystemTime)>)> {
    // Opening a named pipe would wait for its writer.
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(io::Error::other("this is a directory: name the files in it"));
    }
    if !kind.is_file() {
        let message = "not a regular file: redirect it to standard input and upload -";
        return Err(io::Error::other(message));
    }
    let file = File::open(path)?;
    let state = file.metadata().ok().and_then(state);
    Ok((file, state))
}

fn state(metadata: Metadata) -> Option<(u64, SystemTime)> {
    Some((metadata.len(), metadata.modified().ok()?))
}

fn is_changed(file: &File, before: Option<(u64, SystemTime)>) -> bool {
    file.metadata().ok().and_then(state) != before
}

/// Returns the message for a failed upload.
fn message(error: &UploadError) -> String {
    if error.kind == ErrorKind::Conflict {
        return format!("{error}; nothing was overwritten: use --unique for a unique name");
    }
    let object =
        if error.absent { "no object was left behind" } else { "check whether the object exists" };
    format!("{error}; {object}")
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == STDIN
}

/// Returns the line for a stored object. `origin` is the file or the seed that it was made from.
fn line(uploaded: &Uploaded, origin: Option<(&str, String)>) -> Value {
    let object = &uploaded.object;
    let mut line = json!({
        "bucket": object.bucket,
        "name": object.name,
        "size": object.size,
        "crc32c": object.crc32c,
        "generation": object.generation,
        "contentType": object.content_type,
        "uri": object.gs_uri(),
        "resumed": uploaded.resumed,
        "retried": uploaded.retried,
        "bytesSent": uploaded.bytes_sent,
        "durationSeconds": uploaded.elapsed.as_secs_f64(),
    });
    if let Some((key, value)) = origin {
        line[key] = value.into();
    }
    line
}
