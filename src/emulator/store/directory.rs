//! Storage in a directory.
//!
//! The object `a/b` of the bucket `bucket` is the file `DIR/bucket/a/b`. Its metadata is in
//! `DIR/bucket/.emulator/objects/GENERATION.json`, and uploads in progress are in
//! `DIR/bucket/.emulator/uploads`. Some names cannot be used as a path: `a//b`, `../a`, a trailing
//! slash, a segment longer than a file name may be. Other paths are occupied: by the object `a`, by a
//! link, by a file of someone else. The content of such objects is in
//! `DIR/bucket/.emulator/content/GENERATION`. Files that the emulator did not create are not listed
//! and never touched.
//!
//! If the process is killed at any moment, each object is either in its old or in its new state. A
//! crash of the machine is not covered: nothing is synced to the disk.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::staged::StagedContent;
use crate::emulator::checksum::Checksums;
use crate::emulator::http::BUFFER_SIZE;
use crate::emulator::object::{Content, Object, ObjectMetadata, check_bucket_name};
use crate::emulator::precondition::ObjectVersion;

/// The folder for internal files in each bucket's folder.
const HIDDEN: &str = ".emulator";
/// The lock file of a directory in use.
const LOCK: &str = ".emulator.lock";
/// The longest file name on common file systems, in bytes.
const MAX_SEGMENT: usize = 255;

/// A directory that is locked for this process.
pub(super) struct Directory {
    root: PathBuf,
    uploads: AtomicU64,
    /// Locked until this is dropped.
    _lock: File,
}

/// The reason why a directory cannot be opened as a store.
#[derive(Debug, Error)]
pub(in crate::emulator) enum OpenError {
    #[error("{} cannot be used: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is in use by another emulator", path.display())]
    InUse { path: PathBuf },
}

/// The metadata of an object as a file in `objects`.
#[derive(Serialize, Deserialize)]
struct StoredMetadata {
    #[serde(rename = "description")]
    metadata: ObjectMetadata,
    generation: u64,
    metageneration: u64,
    size: u64,
    crc32c: u32,
    md5: [u8; 16],
    created: SystemTime,
    /// The path of the content, relative to the bucket's folder.
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

    /// Returns name and creation time of the buckets in the directory.
    pub(super) fn buckets(&self) -> Result<Vec<(String, SystemTime)>, OpenError> {
        let failed = |source| OpenError::Io { path: self.root.clone(), source };
        let mut buckets = Vec::new();
        for folder in fs::read_dir(&self.root).map_err(failed)? {
            let Ok(name) = folder.map_err(failed)?.file_name().into_string() else { continue };
            let objects = self.internal_folder(&name, "objects");
            if check_bucket_name(&name).is_ok() && objects.is_dir() {
                let created = fs::metadata(&objects).and_then(|metadata| metadata.created());
                buckets.push((name, created.unwrap_or(SystemTime::UNIX_EPOCH)));
            }
        }
        Ok(buckets)
    }

    pub(super) fn create_bucket(&self, bucket: &str) -> io::Result<()> {
        for folder in ["uploads", "content", "objects"] {
            fs::create_dir_all(self.internal_folder(bucket, folder))?;
        }
        Ok(())
    }

    /// Loads the objects of a bucket, and deletes what a killed process may have left.
    pub(super) fn load(&self, bucket: &str) -> Result<Vec<Object>, OpenError> {
        let failed = |source| OpenError::Io { path: self.root.join(bucket), source };
        self.create_bucket(bucket).map_err(failed)?;
        for upload in fs::read_dir(self.internal_folder(bucket, "uploads")).map_err(failed)? {
            fs::remove_file(upload.map_err(failed)?.path()).map_err(failed)?;
        }
        let mut entries = self.entries(bucket).map_err(failed)?;
        entries.sort_by(|a, b| {
            a.metadata.name.cmp(&b.metadata.name).then(b.generation.cmp(&a.generation))
        });
        let mut objects: Vec<Object> = Vec::new();
        for of_one_name in entries.chunk_by(|a, b| a.metadata.name == b.metadata.name) {
            // Several entries of one name: a process was killed while it replaced the object. The
            // checksum decides which of them belongs to the content.
            let verify_checksum = of_one_name.len() > 1;
            let has_content =
                |entry: &&StoredMetadata| self.has_content(bucket, entry, verify_checksum);
            let kept = of_one_name.iter().find(has_content);
            for entry in of_one_name {
                if kept.is_none_or(|kept| kept.generation != entry.generation) {
                    let name = &entry.metadata.name;
                    log::warn!(
                        "emulator: the content of {bucket}/{name} is missing: object dropped"
                    );
                    fs::remove_file(self.metadata_path(bucket, entry.generation))
                        .map_err(failed)?;
                }
            }
            objects.extend(kept.map(|entry| self.object(bucket, entry)));
        }
        Ok(objects)
    }

    fn entries(&self, bucket: &str) -> io::Result<Vec<StoredMetadata>> {
        let mut entries = Vec::new();
        for file in fs::read_dir(self.internal_folder(bucket, "objects"))? {
            let path = file?.path();
            let entry = fs::read(&path)
                .and_then(|text| Ok(serde_json::from_slice::<StoredMetadata>(&text)?));
            match entry {
                Ok(entry)
                    if is_relative(&entry.file)
                        && path == self.metadata_path(bucket, entry.generation) =>
                {
                    entries.push(entry);
                }
                Ok(_) => {
                    log::warn!("emulator: ignored {}: not an object's metadata", path.display())
                }
                Err(error) => log::warn!("emulator: ignored {}: {error}", path.display()),
            }
        }
        Ok(entries)
    }

    fn has_content(&self, bucket: &str, entry: &StoredMetadata, verify_checksum: bool) -> bool {
        let path = self.root.join(bucket).join(&entry.file);
        let metadata = fs::symlink_metadata(&path);
        if !metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() == entry.size) {
            return false;
        }
        !verify_checksum || crc32c_of(&path).is_ok_and(|crc32c| crc32c == entry.crc32c)
    }

    fn object(&self, bucket: &str, entry: &StoredMetadata) -> Object {
        Object {
            bucket: bucket.to_owned(),
            metadata: entry.metadata.clone(),
            version: ObjectVersion {
                generation: entry.generation,
                metageneration: entry.metageneration,
            },
            size: entry.size,
            checksums: Checksums { crc32c: entry.crc32c, md5: entry.md5 },
            created: entry.created,
            content: Content::File(self.root.join(bucket).join(&entry.file)),
        }
    }

    /// Creates a file to stage content in.
    pub(super) fn stage(&self, bucket: &str) -> io::Result<StagedContent> {
        let number = self.uploads.fetch_add(1, Ordering::Relaxed);
        StagedContent::in_file(self.internal_folder(bucket, "uploads").join(number.to_string()))
    }

    /// Stores staged content as the content of `object`, and removes the object that it replaces. The
    /// caller must hold the lock of the store.
    pub(super) fn commit(
        &self,
        object: &mut Object,
        staged: StagedContent,
        replaced: Option<&Object>,
    ) -> io::Result<()> {
        let replaced_path = replaced.and_then(content_path);
        let file = self.choose_path(object, replaced_path);
        let path = self.root.join(&object.bucket).join(&file);
        let staged_file = staged.file()?;
        staged_file.truncate(staged.size())?;
        // Metadata first: an entry without its content is dropped when the bucket is loaded.
        let entry = self.write_metadata(object, file)?;
        let moved = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::rename(staged_file.path(), &path));
        if let Err(error) = moved {
            fs::remove_file(entry)?;
            return Err(error);
        }
        if let Some(replaced) = replaced {
            let leftover =
                fs::remove_file(self.metadata_path(&object.bucket, replaced.version.generation));
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
        fs::remove_file(self.metadata_path(&object.bucket, object.version.generation))?;
        if let Some(path) = content_path(object) {
            warn_of_leftover(path, fs::remove_file(path));
            self.remove_empty_folders(&object.bucket, path);
        }
        Ok(())
    }

    /// Chooses the path of an object's content, relative to its bucket's folder.
    fn choose_path(&self, object: &Object, replaced: Option<&Path>) -> PathBuf {
        let path = PathBuf::from(object.name());
        if is_safe_path(object.name()) && self.is_free(&object.bucket, &path, replaced) {
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

    fn write_metadata(&self, object: &Object, file: PathBuf) -> io::Result<PathBuf> {
        let entry = StoredMetadata {
            metadata: object.metadata.clone(),
            generation: object.version.generation,
            metageneration: object.version.metageneration,
            size: object.size,
            crc32c: object.checksums.crc32c,
            md5: object.checksums.md5,
            created: object.created,
            file,
        };
        let path = self.metadata_path(&object.bucket, entry.generation);
        let unfinished =
            self.internal_folder(&object.bucket, "uploads").join(format!("{}", entry.generation));
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
            // Stops at the first folder that is not empty.
            if fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }

    fn internal_folder(&self, bucket: &str, folder: &str) -> PathBuf {
        self.root.join(bucket).join(HIDDEN).join(folder)
    }

    fn metadata_path(&self, bucket: &str, generation: u64) -> PathBuf {
        self.internal_folder(bucket, "objects").join(format!("{generation}.json"))
    }
}

fn content_path(object: &Object) -> Option<&Path> {
    match &object.content {
        Content::File(path) => Some(path),
        Content::Memory(_) => None,
    }
}

/// True if a name can be used as a path in the bucket's folder, and no other name has that path.
fn is_safe_path(name: &str) -> bool {
    let is_safe = |segment: &str| {
        !matches!(segment, "" | "." | ".." | HIDDEN)
            && segment.len() <= MAX_SEGMENT
            && !segment.contains(['\0', '\\', ':'])
    };
    name.split('/').all(is_safe)
}

fn is_relative(path: &Path) -> bool {
    path.components().all(|component| matches!(component, Component::Normal(_)))
}

fn warn_of_leftover(path: &Path, deleted: io::Result<()>) {
    if let Err(error) = deleted {
        log::warn!("emulator: could not delete {}: {error}", path.display());
    }
}

fn crc32c_of(path: &Path) -> io::Result<u32> {
    let mut file = BufReader::with_capacity(BUFFER_SIZE, File::open(path)?);
    let mut buffer = vec![0; BUFFER_SIZE];
    let mut crc32c = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(crc32c),
            count => crc32c = crc32c::crc32c_append(crc32c, &buffer[..count]),
        }
    }
}
