//! `gcs-uploader upload`: the engine without the server.

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
use super::{Failure, settings, terminal};

/// What standard input is called.
const STDIN: &str = "-";

/// Upload files, standard input or random bytes, without a server; one line of JSON for each object
/// on standard output
#[derive(Args)]
#[command(after_help = "\
Exit status:
  0    every object is in the bucket, once and whole
  1    one at least is not: standard error says which and why; the others are there
  2    the command line or a setting makes no sense: nothing was tried
  130  a signal cut it short: what standard output names is there")]
pub(super) struct Upload {
    /// What to upload; - is standard input. Without any, random files are made
    ///
    /// An object is named as its file, without the folders, after OBJECT_PREFIX. One that exists
    /// already is never overwritten: a file that is there byte for byte counts as uploaded, any
    /// other one fails.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The object's name, after OBJECT_PREFIX, in the place of its file's; for one FILE
    #[arg(long, value_name = "NAME", requires = "files")]
    name: Option<String>,

    /// Put a UUID into each name, so that it is not taken
    #[arg(long, requires = "files")]
    unique: bool,

    /// The objects' media type [default: the one that a name's extension stands for, else
    /// application/octet-stream]
    #[arg(
        long,
        value_name = "TYPE",
        requires = "files",
        value_parser = settings::media_type
    )]
    content_type: Option<String>,

    /// How much of standard input is kept until Cloud Storage has it: a multiple of 256KiB
    #[arg(long, env = "UPLOAD_WINDOW", value_name = "SIZE", default_value = "8MiB")]
    upload_window: Window,

    /// How large each random file is: bytes, or a number with a unit (64KiB, 1MiB, 5GB)
    #[arg(
        long,
        env = "UPLOAD_SIZE",
        value_name = "SIZE",
        default_value = "1MiB",
        value_parser = settings::object_size
    )]
    size: ByteSize,

    /// How many random files, one after another
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "files")]
    count: u32,

    /// How long one upload may take, all retries included (40s, 5m); of standard input, how long
    /// each part of a window may take to come, and to be sent
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

/// Why an object is not there.
struct Miss {
    text: String,
    /// Whether the next one may fare better.
    go_on: bool,
}

impl Miss {
    /// Of what is to be uploaded, and not of the bucket.
    fn of(what: &str, why: impl std::fmt::Display) -> Self {
        Self { text: format!("{what}: {why}"), go_on: true }
    }
}

impl Upload {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        self.logging.start("warn")?;
        self.check()?;
        let client: Arc<dyn Uploader> = Arc::new(self.storage.client(1)?);
        let run = Run { upload: &self, stop: Stop::on_signals(&client)?, client };
        let all_there = match self.files.is_empty() {
            true => run.all((0..self.count).map(|_| ()), |()| run.random()),
            false => run.all(&self.files, |file| match file.as_os_str() == STDIN {
                true => run.stdin(),
                false => run.file(file),
            }),
        };
        Ok(match (all_there, run.stop.has_come()) {
            (true, _) => ExitCode::SUCCESS,
            (false, false) => ExitCode::from(1),
            (false, true) => ExitCode::from(130),
        })
    }

    /// Refuses what makes no sense before anything is uploaded.
    fn check(&self) -> Result<(), Failure> {
        self.storage.bucket()?;
        self.storage.check_credentials()?;
        let setting = |text: &str| Err(Failure::Setting(text.to_owned()));
        if self.name.is_some() && self.files.len() > 1 {
            return setting("--name is the name of one object: give one FILE with it");
        }
        if self.files.iter().filter(|file| file.as_os_str() == STDIN).count() > 1 {
            return setting("-, standard input, can be uploaded once");
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
        match self.unique {
            true => prefix.unique_client_name(name),
            false => prefix.client_name(name),
        }
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

/// The command under way.
struct Run<'a> {
    upload: &'a Upload,
    client: Arc<dyn Uploader>,
    stop: Stop,
}

impl Run<'_> {
    /// One after the other; `true` when all are there.
    fn all<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        one: impl Fn(T) -> Result<Value, Miss>,
    ) -> bool {
        let mut all_there = true;
        for item in items {
            match one(item) {
                Ok(line) => terminal::say(&line.to_string()),
                Err(miss) => {
                    terminal::complain(&miss.text);
                    all_there = false;
                    if !miss.go_on || self.stop.has_come() {
                        break;
                    }
                }
            }
        }
        all_there
    }

    fn random(&self) -> Result<Value, Miss> {
        let content = RandomContent::new(Seed::draw(), self.upload.size.as_u64());
        let seed = content.seed().to_string();
        let name = self.upload.storage.object_prefix.random_name();
        let object = self.upload.object(name, Some(("seed", seed.clone())));
        let uploaded = self.content(&object, &content).map_err(|e| miss(&object.name, &e))?;
        Ok(line(&uploaded, Some(("seed", seed))))
    }

    fn file(&self, path: &Path) -> Result<Value, Miss> {
        let shown = path.display().to_string();
        let name = self.file_name(path).map_err(|why| Miss::of(&shown, why))?;
        let (file, before) = open(path).map_err(|error| Miss::of(&shown, error))?;
        let content = FileContent::new(file, &self.stop.come);
        let content = content.map_err(|error| Miss::of(&shown, error))?;
        let object = self.upload.object(name, None);
        match self.content(&object, &content) {
            Ok(uploaded) => Ok(line(&uploaded, Some(("file", shown)))),
            Err(error) if is_changed(content.file(), before) => Err(Miss::of(
                &shown,
                format!("{}; the file was changed meanwhile: upload it again", told(&error)),
            )),
            Err(error) => Err(miss(&shown, &error)),
        }
    }

    /// The name of a file's object.
    fn file_name(&self, path: &Path) -> Result<String, String> {
        let name = match &self.upload.name {
            Some(name) => name,
            None => path
                .file_name()
                .and_then(|name| name.to_str())
                .ok_or("it has no name in UTF-8: write one with --name")?,
        };
        let why = |error| format!("the name {error}; write another with --name");
        self.upload.object_name(name).map_err(why)
    }

    fn stdin(&self) -> Result<Value, Miss> {
        let shown = "standard input";
        let name = match &self.upload.name {
            Some(name) => self.upload.object_name(name).map_err(|error| Miss::of(shown, error))?,
            None => self.upload.storage.object_prefix.random_name(),
        };
        let mut source = Stdin::new(&self.stop.wake).map_err(|error| Miss::of(shown, error))?;
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
        let uploaded = outcome.map_err(|error| miss(shown, &error))?;
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

/// A file, and when it was last changed. Anything but a file has no bytes that could be read again.
fn open(path: &Path) -> io::Result<(File, Option<(u64, SystemTime)>)> {
    // Opening a pipe would wait for its writer.
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(io::Error::other("it is a directory: name the files in it"));
    }
    if !kind.is_file() {
        let what = "it is no file: let standard input read it, and upload -";
        return Err(io::Error::other(what));
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

fn miss(what: &str, error: &UploadError) -> Miss {
    // Another object may have a name that is free, and bytes that can be read.
    let go_on = matches!(error.kind, ErrorKind::Conflict | ErrorKind::Source);
    Miss { text: format!("{what}: {}", told(error)), go_on }
}

fn told(error: &UploadError) -> String {
    let left = match error.absent {
        true => "no object was left behind",
        false => "look whether it is there",
    };
    match error.kind {
        ErrorKind::Conflict => {
            format!("{error}; nothing was overwritten: --unique gives it a name of its own")
        }
        _ => format!("{error}; {left}"),
    }
}

/// What is printed of an object; `origin` says what it was made from.
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
