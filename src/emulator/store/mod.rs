//! Storage of buckets, objects and staged content.
//!
//! Objects appear atomically: content is staged invisibly, and becomes an object in one step, after
//! its checksums and preconditions were checked. This module knows nothing about HTTP.

mod directory;
mod listing;
mod staged;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

pub(super) use self::directory::OpenError;
pub(super) use self::listing::{ListQuery, Listing};
pub(super) use self::staged::StagedContent;

use self::directory::Directory;
use super::checksum::ExpectedChecksums;
use super::error::ApiError;
use super::object::{Content, Object, ObjectMetadata, check_bucket_name};
use super::precondition::{ObjectVersion, Preconditions};

/// Buckets and objects.
pub(super) struct Store {
    /// The directory for content; `None` to keep it in memory.
    directory: Option<Directory>,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    buckets: BTreeMap<String, Bucket>,
    last_generation: u64,
}

struct Bucket {
    created: SystemTime,
    objects: BTreeMap<String, Arc<Object>>,
}

/// A range of an object, opened for reading.
pub(super) struct ObjectRange {
    pub(super) object: Arc<Object>,
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) reader: Box<dyn Read + Send>,
}

impl Store {
    /// Creates a store in memory, which ends with the process.
    pub(super) fn in_memory() -> Self {
        Self { directory: None, inner: RwLock::default() }
    }

    /// Opens the store in a directory, with the objects that it contains.
    pub(super) fn in_directory(root: PathBuf) -> Result<Self, OpenError> {
        let directory = Directory::open(root)?;
        let mut inner = Inner::default();
        for (name, created) in directory.buckets()? {
            let objects = directory.load(&name)?;
            let newest = objects.iter().map(|object| object.version.generation).max();
            inner.last_generation = inner.last_generation.max(newest.unwrap_or(0));
            let objects = objects
                .into_iter()
                .map(|object| (object.name().to_owned(), Arc::new(object)))
                .collect();
            inner.buckets.insert(name, Bucket { created, objects });
        }
        Ok(Self { directory: Some(directory), inner: RwLock::new(inner) })
    }

    /// Creates a bucket; error 409 if it exists.
    pub(super) fn create_bucket(&self, name: &str) -> Result<SystemTime, ApiError> {
        check_bucket_name(name)?;
        let mut inner = self.write();
        if inner.buckets.contains_key(name) {
            return Err(ApiError::new(
                409,
                "conflict",
                "Your previous request to create the named bucket succeeded and you already own it.",
            ));
        }
        if let Some(directory) = &self.directory {
            directory
                .create_bucket(name)
                .map_err(|error| ApiError::storage_failed("create the bucket's folder", &error))?;
        }
        let created = SystemTime::now();
        inner.buckets.insert(name.to_owned(), Bucket { created, objects: BTreeMap::new() });
        Ok(created)
    }

    /// Returns the creation time of a bucket.
    pub(super) fn bucket(&self, name: &str) -> Result<SystemTime, ApiError> {
        self.read().bucket(name).map(|bucket| bucket.created)
    }

    /// Returns name and creation time of all buckets.
    pub(super) fn buckets(&self) -> Vec<(String, SystemTime)> {
        let inner = self.read();
        inner.buckets.iter().map(|(name, bucket)| (name.clone(), bucket.created)).collect()
    }

    /// Starts to stage content for an object of the bucket.
    pub(super) fn stage(&self, bucket: &str) -> Result<StagedContent, ApiError> {
        self.bucket(bucket)?;
        match &self.directory {
            None => Ok(StagedContent::in_memory()),
            Some(directory) => directory
                .stage(bucket)
                .map_err(|error| ApiError::storage_failed("create a file for the upload", &error)),
        }
    }

    /// Checks preconditions against the live object of this name.
    pub(super) fn check(
        &self,
        bucket: &str,
        name: &str,
        preconditions: &Preconditions,
    ) -> Result<(), ApiError> {
        let inner = self.read();
        preconditions.check_write(inner.bucket(bucket)?.objects.get(name).map(|live| live.version))
    }

    /// Stores staged content as an object, after checking its checksums and the preconditions.
    pub(super) fn put(
        &self,
        bucket: &str,
        metadata: ObjectMetadata,
        staged: StagedContent,
        expected: &ExpectedChecksums,
        preconditions: &Preconditions,
    ) -> Result<Arc<Object>, ApiError> {
        let checksums = staged.checksums();
        expected.verify(&checksums)?;
        let mut inner = self.write();
        let live = inner.bucket(bucket)?.objects.get(&metadata.name).cloned();
        preconditions.check_write(live.as_ref().map(|live| live.version))?;
        let created = SystemTime::now();
        let version =
            ObjectVersion { generation: inner.next_generation(created), metageneration: 1 };
        let (bucket_name, size) = (bucket.to_owned(), staged.size());
        let mut object = Object {
            bucket: bucket_name,
            metadata,
            version,
            size,
            checksums,
            created,
            content: Content::Memory(Vec::new()),
        };
        match &self.directory {
            None => object.content = Content::Memory(staged.into_blocks()),
            Some(directory) => directory
                .commit(&mut object, staged, live.as_deref())
                .map_err(|error| ApiError::storage_failed("store the object's file", &error))?,
        }
        let object = Arc::new(object);
        let objects = &mut inner.bucket_mut(bucket)?.objects;
        objects.insert(object.name().to_owned(), Arc::clone(&object));
        Ok(object)
    }

    /// Returns the live object of this name. If `generation` is given, it must match.
    pub(super) fn get(
        &self,
        bucket: &str,
        name: &str,
        generation: Option<u64>,
    ) -> Result<Arc<Object>, ApiError> {
        let inner = self.read();
        let object = inner.bucket(bucket)?.objects.get(name);
        object
            .filter(|object| generation.is_none_or(|wanted| wanted == object.version.generation))
            .cloned()
            .ok_or_else(|| ApiError::object_not_found(bucket, name))
    }

    /// Opens a range of an object. `choose` returns start and length once the object and its size are
    /// known. The range stays readable if the object is replaced.
    pub(super) fn open(
        &self,
        bucket: &str,
        name: &str,
        generation: Option<u64>,
        choose: impl FnOnce(&Object) -> Result<(u64, u64), ApiError>,
    ) -> Result<ObjectRange, ApiError> {
        // Holding the lock prevents the file from being moved before it is open.
        let inner = self.read();
        let object = inner.bucket(bucket)?.objects.get(name).cloned();
        let object = object
            .filter(|object| generation.is_none_or(|wanted| wanted == object.version.generation))
            .ok_or_else(|| ApiError::object_not_found(bucket, name))?;
        let (start, length) = choose(&object)?;
        let reader = object
            .read(start, length)
            .map_err(|error| ApiError::storage_failed("open the object's file", &error))?;
        Ok(ObjectRange { object, start, length, reader })
    }

    /// Deletes the live object of this name.
    pub(super) fn delete(
        &self,
        bucket: &str,
        name: &str,
        generation: Option<u64>,
        preconditions: &Preconditions,
    ) -> Result<(), ApiError> {
        let mut inner = self.write();
        let objects = &mut inner.bucket_mut(bucket)?.objects;
        let live = objects
            .get(name)
            .filter(|object| generation.is_none_or(|wanted| wanted == object.version.generation))
            .ok_or_else(|| ApiError::object_not_found(bucket, name))?;
        preconditions.check_write(Some(live.version))?;
        if let Some(directory) = &self.directory {
            directory
                .remove(live)
                .map_err(|error| ApiError::storage_failed("remove the object's file", &error))?;
        }
        objects.remove(name);
        Ok(())
    }

    /// Lists one page of a bucket's objects, sorted by name.
    pub(super) fn list(&self, bucket: &str, query: &ListQuery) -> Result<Listing, ApiError> {
        let inner = self.read();
        Ok(listing::list(&inner.bucket(bucket)?.objects, query))
    }

    /// Returns all objects of a bucket; none if the bucket does not exist.
    pub(super) fn objects(&self, bucket: &str) -> Vec<Arc<Object>> {
        let inner = self.read();
        let bucket = inner.buckets.get(bucket);
        bucket.map_or_else(Vec::new, |bucket| bucket.objects.values().cloned().collect())
    }

    /// Reads the whole content of an object; `None` if it does not exist.
    pub(super) fn content(&self, bucket: &str, name: &str) -> Option<io::Result<Vec<u8>>> {
        let range = self.open(bucket, name, None, |object| Ok((0, object.size)));
        let ObjectRange { mut reader, .. } = range.ok()?;
        let mut bytes = Vec::new();
        Some(reader.read_to_end(&mut bytes).map(|_| bytes))
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn bucket(&self, name: &str) -> Result<&Bucket, ApiError> {
        self.buckets.get(name).ok_or_else(|| ApiError::bucket_not_found(name))
    }

    fn bucket_mut(&mut self, name: &str) -> Result<&mut Bucket, ApiError> {
        self.buckets.get_mut(name).ok_or_else(|| ApiError::bucket_not_found(name))
    }

    /// Returns a new generation: microseconds since 1970, as in Cloud Storage, but always larger than
    /// the last one.
    fn next_generation(&mut self, now: SystemTime) -> u64 {
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX);
        self.last_generation = micros.max(self.last_generation + 1);
        self.last_generation
    }
}
