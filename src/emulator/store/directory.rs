//! The store in a directory.
//!
//! An object `a/b` of the bucket `bucket` is the file `DIR/bucket/a/b`. What is known of it lies in
//! `DIR/bucket/.emulator/objects/GENERATION.json`; content that is still coming in
//! `DIR/bucket/.emulator/uploads`. A name that is no plain path (`a//b`, `../a`, a folder's name
//! with a slash at its end, a segment longer than a file's name may be) or whose path is taken (by
//! the object `a`, by a link, by a file that somebody put there) has its content in
//! `DIR/bucket/.emulator/content/GENERATION`. Files that the emulator has not made are not shown,
//! and never touched.
//!
//! After the process was killed at any moment, each object is there as it was before or as it was
//! to be. The machine's own crash is another matter: nothing is forced to the disk.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::staged::Staged;
use crate::emulator::checksum::Checksums;
use crate::emulator::http::BUFFER;
use crate::emulator::object::{Content, Description, Object, check_bucket_name};
use crate::emulator::precondition::Version;

/// The folder, in a bucket's folder, for what is not for users to see.
const HIDDEN: &str = ".emulator";
/// The file whose lock says that an emulator uses the directory.
const LOCK: &str = ".emulator.lock";
/// The longest file name on the usual file systems, in bytes.
const MAX_SEGMENT: usize = 255;

/// A directory that this process alone uses.
pub(super) struct Directory {
    root: PathBuf,
    uploads: AtomicU64,
    /// Held as long as the store is.
    _lock: File,
}

/// Why a directory cannot be a store.
#[derive(Debug, Error)]
pub(in crate::emulator) enum OpenError {
    #[error("{} cannot be used: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is in use by another emulator", path.display())]
    InUse { path: PathBuf },
}

/// What a file in `objects` says.
#[derive(Serialize, Deserialize)]
struct Entry {
    description: Description,
    generation: u64,
    metageneration: u64,
    size: u64,
    crc32c: u32,
    md5: [u8; 16],
    created: SystemTime,
    /// Where the content is, below the bucket's folder.
    file: PathBuf,
}

impl Directory {
    pub(super) fn open(root: PathBuf) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: root.clone(), source };
        fs::create_dir_all(&root).map_err(failed)?;
        let root = root.canonicalize().map_err(failed)?;
        let lock = File::create(root.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root, uploads: AtomicU64::new(0), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: root }),
            Err(TryLockError::Error(source)) => Err(OpenError::Io { path: root, source }),
        }
    }

    /// The buckets that an emulator made here, and when.
    pub(super) fn buckets(&self) -> Result<Vec<(String, SystemTime)>, OpenError> {
        let failed = |source| OpenError::Io { path: self.root.clone(), source };
        let mut buckets = Vec::new();
        for folder in fs::read_dir(&self.root).map_err(failed)? {
            let Ok(name) = folder.map_err(failed)?.file_name().into_string() else { continue };
            let hidden = self.hidden(&name, "objects");
            if check_bucket_name(&name).is_ok() && hidden.is_dir() {
                let made = fs::metadata(&hidden).and_then(|metadata| metadata.created());
                buckets.push((name, made.unwrap_or(SystemTime::UNIX_EPOCH)));
            }
        }
        Ok(buckets)
    }

    pub(super) fn create_bucket(&self, bucket: &str) -> io::Result<()> {
        for folder in ["uploads", "content", "objects"] {
            fs::create_dir_all(self.hidden(bucket, folder))?;
        }
        Ok(())
    }

    /// The objects of a bucket. Clears away what a process that was killed has left.
    pub(super) fn load(&self, bucket: &str) -> Result<Vec<Object>, OpenError> {
        let failed = |source| OpenError::Io { path: self.root.join(bucket), source };
        self.create_bucket(bucket).map_err(failed)?;
        for upload in fs::read_dir(self.hidden(bucket, "uploads")).map_err(failed)? {
            fs::remove_file(upload.map_err(failed)?.path()).map_err(failed)?;
        }
        let mut entries = self.entries(bucket).map_err(failed)?;
        entries.sort_by(|a, b| {
            a.description.name.cmp(&b.description.name).then(b.generation.cmp(&a.generation))
        });
        let mut objects: Vec<Object> = Vec::new();
        for of_one_name in entries.chunk_by(|a, b| a.description.name == b.description.name) {
            // More than one: a process was killed while it replaced an object.
            let suspicious = of_one_name.len() > 1;
            let sound = |entry: &&Entry| self.is_sound(bucket, entry, suspicious);
            let kept = of_one_name.iter().find(sound);
            for entry in of_one_name {
                if kept.is_none_or(|kept| kept.generation != entry.generation) {
                    let name = &entry.description.name;
                    log::warn!("emulator: {bucket}/{name} has no such content any more: dropped");
                    fs::remove_file(self.entry(bucket, entry.generation)).map_err(failed)?;
                }
            }
            objects.extend(kept.map(|entry| self.object(bucket, entry)));
        }
        Ok(objects)
    }

    fn entries(&self, bucket: &str) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for file in fs::read_dir(self.hidden(bucket, "objects"))? {
            let path = file?.path();
            let entry =
                fs::read(&path).and_then(|text| Ok(serde_json::from_slice::<Entry>(&text)?));
            match entry {
                Ok(entry)
                    if is_below(&entry.file) && path == self.entry(bucket, entry.generation) =>
                {
                    entries.push(entry);
                }
                Ok(_) => log::warn!("emulator: {} is not an entry: ignored", path.display()),
                Err(error) => log::warn!("emulator: {} ignored: {error}", path.display()),
            }
        }
        Ok(entries)
    }

    fn is_sound(&self, bucket: &str, entry: &Entry, suspicious: bool) -> bool {
        let path = self.root.join(bucket).join(&entry.file);
        let metadata = fs::symlink_metadata(&path);
        if !metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() == entry.size) {
            return false;
        }
        !suspicious || crc32c_of(&path).is_ok_and(|crc32c| crc32c == entry.crc32c)
    }

    fn object(&self, bucket: &str, entry: &Entry) -> Object {
        Object {
            bucket: bucket.to_owned(),
            description: entry.description.clone(),
            version: Version { generation: entry.generation, metageneration: entry.metageneration },
            size: entry.size,
            checksums: Checksums { crc32c: entry.crc32c, md5: entry.md5 },
            created: entry.created,
            content: Content::File(self.root.join(bucket).join(&entry.file)),
        }
    }

    /// A file for content that is to come.
    pub(super) fn stage(&self, bucket: &str) -> io::Result<Staged> {
        let number = self.uploads.fetch_add(1, Ordering::Relaxed);
        Staged::in_file(self.hidden(bucket, "uploads").join(number.to_string()))
    }

    /// Makes what was staged the content of `object`, and drops the object that it replaces. The
    /// caller sees to it that nobody else changes the bucket meanwhile.
    pub(super) fn keep(
        &self,
        object: &mut Object,
        staged: Staged,
        replaced: Option<&Object>,
    ) -> io::Result<()> {
        let replaced_path = replaced.and_then(content_path);
        let file = self.place(object, replaced_path);
        let path = self.root.join(&object.bucket).join(&file);
        let staged_file = staged.file()?;
        staged_file.trim(staged.size())?;
        // First the entry: until the content is in its place, it describes nothing that is there.
        let entry = self.write_entry(object, file)?;
        let moved = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::rename(staged_file.path(), &path));
        if let Err(error) = moved {
            fs::remove_file(entry)?;
            return Err(error);
        }
        if let Some(replaced) = replaced {
            let leftover = fs::remove_file(self.entry(&object.bucket, replaced.version.generation));
            warn_of_leftover(&path, leftover);
        }
        if let Some(old) = replaced_path.filter(|old| *old != path) {
            warn_of_leftover(old, fs::remove_file(old));
            self.remove_empty_folders(&object.bucket, old);
        }
        object.content = Content::File(path);
        Ok(())
    }

    pub(super) fn remove(&self, object: &Object) -> io::Result<()> {
        fs::remove_file(self.entry(&object.bucket, object.version.generation))?;
        if let Some(path) = content_path(object) {
            warn_of_leftover(path, fs::remove_file(path));
            self.remove_empty_folders(&object.bucket, path);
        }
        Ok(())
    }

    /// Where the content of an object goes, below its bucket's folder.
    fn place(&self, object: &Object, replaced: Option<&Path>) -> PathBuf {
        let path = PathBuf::from(object.name());
        if is_plain(object.name()) && self.is_free(&object.bucket, &path, replaced) {
            return path;
        }
        Path::new(HIDDEN).join("content").join(object.version.generation.to_string())
    }

    fn is_free(&self, bucket: &str, path: &Path, replaced: Option<&Path>) -> bool {
        let bucket = self.root.join(bucket);
        let above = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
        let folders_only =
            above.into_iter().all(|above| match fs::symlink_metadata(bucket.join(above)) {
                Ok(metadata) => metadata.is_dir(),
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            });
        let path = bucket.join(path);
        match fs::symlink_metadata(&path) {
            _ if !folders_only => false,
            Ok(metadata) => metadata.is_file() && replaced == Some(path.as_path()),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    fn write_entry(&self, object: &Object, file: PathBuf) -> io::Result<PathBuf> {
        let entry = Entry {
            description: object.description.clone(),
            generation: object.version.generation,
            metageneration: object.version.metageneration,
            size: object.size,
            crc32c: object.checksums.crc32c,
            md5: object.checksums.md5,
            created: object.created,
            file,
        };
        let path = self.entry(&object.bucket, entry.generation);
        let unfinished =
            self.hidden(&object.bucket, "uploads").join(format!("{}", entry.generation));
        fs::write(&unfinished, serde_json::to_vec(&entry)?)?;
        fs::rename(&unfinished, &path)?;
        Ok(path)
    }

    fn remove_empty_folders(&self, bucket: &str, path: &Path) {
        let bucket = self.root.join(bucket);
        let hidden = bucket.join(HIDDEN);
        let folders = path.ancestors().skip(1);
        let inside = folders.take_while(|folder| *folder != bucket && !folder.starts_with(&hidden));
        for folder in inside {
            // Fails on the first that is not empty, as it should.
            if fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }

    fn hidden(&self, bucket: &str, folder: &str) -> PathBuf {
        self.root.join(bucket).join(HIDDEN).join(folder)
    }

    fn entry(&self, bucket: &str, generation: u64) -> PathBuf {
        self.hidden(bucket, "objects").join(format!("{generation}.json"))
    }
}

fn content_path(object: &Object) -> Option<&Path> {
    match &object.content {
        Content::File(path) => Some(path),
        Content::Memory(_) => None,
    }
}

/// Whether a name can be a path below the bucket's folder, and is the only name of that path.
fn is_plain(name: &str) -> bool {
    let plain = |segment: &str| {
        !matches!(segment, "" | "." | ".." | HIDDEN)
            && segment.len() <= MAX_SEGMENT
            && !segment.contains(['\0', '\\', ':'])
    };
    name.split('/').all(plain)
}

fn is_below(path: &Path) -> bool {
    path.components().all(|component| matches!(component, Component::Normal(_)))
}

fn warn_of_leftover(path: &Path, outcome: io::Result<()>) {
    if let Err(error) = outcome {
        log::warn!("emulator: {} stays behind: {error}", path.display());
    }
}

fn crc32c_of(path: &Path) -> io::Result<u32> {
    let mut file = BufReader::with_capacity(BUFFER, File::open(path)?);
    let mut buffer = vec![0; BUFFER];
    let mut crc32c = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(crc32c),
            count => crc32c = crc32c::crc32c_append(crc32c, &buffer[..count]),
        }
    }
}
