//! What the emulator keeps: buckets, their objects, and content that is on its way to be one.
//!
//! An object is there whole or not at all: content is staged out of sight, and becomes an object
//! only when its checksums and preconditions hold, in one step. This room knows no HTTP.

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
pub(super) use self::staged::Staged;

use self::directory::Directory;
use super::checksum::Announced;
use super::error::ApiError;
use super::object::{Content, Description, Object, check_bucket_name};
use super::precondition::{Preconditions, Version};

/// Buckets and objects.
pub(super) struct Store {
    /// Where content goes; `None`: into memory.
    directory: Option<Directory>,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    buckets: BTreeMap<String, Bucket>,
    last_generation: u64,
}

struct Bucket {
    created: SystemTime,
    objects: BTreeMap<String, Arc<Object>>,
}

/// Bytes of an object, and which object they are of.
pub(super) struct Slice {
    pub(super) object: Arc<Object>,
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) reader: Box<dyn Read + Send>,
}

impl Store {
    /// A store that ends with the process.
    pub(super) fn in_memory() -> Self {
        Self { directory: None, state: RwLock::default() }
    }

    /// The store in this directory, with what is there from before.
    pub(super) fn in_directory(root: PathBuf) -> Result<Self, OpenError> {
        let directory = Directory::open(root)?;
        let mut state = State::default();
        for (name, created) in directory.buckets()? {
            let objects = directory.load(&name)?;
            let newest = objects.iter().map(|object| object.version.generation).max();
            state.last_generation = state.last_generation.max(newest.unwrap_or(0));
            let objects = objects
                .into_iter()
                .map(|object| (object.name().to_owned(), Arc::new(object)))
                .collect();
            state.buckets.insert(name, Bucket { created, objects });
        }
        Ok(Self { directory: Some(directory), state: RwLock::new(state) })
    }

    /// Makes a bucket; 409 if there is one of this name.
    pub(super) fn create_bucket(&self, name: &str) -> Result<SystemTime, ApiError> {
        check_bucket_name(name)?;
        let mut state = self.write();
        if state.buckets.contains_key(name) {
            return Err(ApiError::new(
                409,
                "conflict",
                "Your previous request to create the named bucket succeeded and you already own it.",
            ));
        }
        if let Some(directory) = &self.directory {
            directory
                .create_bucket(name)
                .map_err(|error| ApiError::store("make the bucket's folder", &error))?;
        }
        let created = SystemTime::now();
        state.buckets.insert(name.to_owned(), Bucket { created, objects: BTreeMap::new() });
        Ok(created)
    }

    /// When the bucket was made.
    pub(super) fn bucket(&self, name: &str) -> Result<SystemTime, ApiError> {
        self.read().bucket(name).map(|bucket| bucket.created)
    }

    /// Every bucket's name, and when it was made.
    pub(super) fn buckets(&self) -> Vec<(String, SystemTime)> {
        let state = self.read();
        state.buckets.iter().map(|(name, bucket)| (name.clone(), bucket.created)).collect()
    }

    /// A place for content that is to become an object of the bucket.
    pub(super) fn stage(&self, bucket: &str) -> Result<Staged, ApiError> {
        self.bucket(bucket)?;
        match &self.directory {
            None => Ok(Staged::in_memory()),
            Some(directory) => directory
                .stage(bucket)
                .map_err(|error| ApiError::store("make a file for the upload", &error)),
        }
    }

    /// Checks preconditions against the live object of this name.
    pub(super) fn check(
        &self,
        bucket: &str,
        name: &str,
        preconditions: &Preconditions,
    ) -> Result<(), ApiError> {
        let state = self.read();
        preconditions.check(state.bucket(bucket)?.objects.get(name).map(|live| live.version))
    }

    /// Makes an object of what was staged, unless its checksums or the preconditions forbid it.
    pub(super) fn put(
        &self,
        bucket: &str,
        description: Description,
        staged: Staged,
        announced: &Announced,
        preconditions: &Preconditions,
    ) -> Result<Arc<Object>, ApiError> {
        let checksums = staged.checksums();
        announced.check(&checksums)?;
        let mut state = self.write();
        let live = state.bucket(bucket)?.objects.get(&description.name).cloned();
        preconditions.check(live.as_ref().map(|live| live.version))?;
        let created = SystemTime::now();
        let version = Version { generation: state.next_generation(created), metageneration: 1 };
        let (bucket_name, size) = (bucket.to_owned(), staged.size());
        let mut object = Object {
            bucket: bucket_name,
            description,
            version,
            size,
            checksums,
            created,
            content: Content::Memory(Vec::new()),
        };
        match &self.directory {
            None => object.content = Content::Memory(staged.into_blocks()),
            Some(directory) => directory
                .keep(&mut object, staged, live.as_deref())
                .map_err(|error| ApiError::store("keep the object's file", &error))?,
        }
        let object = Arc::new(object);
        let objects = &mut state.bucket_mut(bucket)?.objects;
        objects.insert(object.name().to_owned(), Arc::clone(&object));
        Ok(object)
    }

    /// The live object of this name; with a generation, only if it is that one.
    pub(super) fn get(
        &self,
        bucket: &str,
        name: &str,
        generation: Option<u64>,
    ) -> Result<Arc<Object>, ApiError> {
        let state = self.read();
        let object = state.bucket(bucket)?.objects.get(name);
        object
            .filter(|object| generation.is_none_or(|wanted| wanted == object.version.generation))
            .cloned()
            .ok_or_else(|| ApiError::no_object(bucket, name))
    }

    /// Opens an object's bytes. The range is chosen once the object, and with it the size, is
    /// known; what was opened stays readable when the object is replaced.
    pub(super) fn open(
        &self,
        bucket: &str,
        name: &str,
        generation: Option<u64>,
        choose: impl FnOnce(&Object) -> Result<(u64, u64), ApiError>,
    ) -> Result<Slice, ApiError> {
        // The lock keeps the object's file where it is until it is open.
        let state = self.read();
        let object = state.bucket(bucket)?.objects.get(name).cloned();
        let object = object
            .filter(|object| generation.is_none_or(|wanted| wanted == object.version.generation))
            .ok_or_else(|| ApiError::no_object(bucket, name))?;
        let (start, length) = choose(&object)?;
        let reader = object
            .read(start, length)
            .map_err(|error| ApiError::store("open the object's file", &error))?;
        Ok(Slice { object, start, length, reader })
    }

    /// Deletes the live object of this name.
    pub(super) fn delete(
        &self,
        bucket: &str,
        name: &str,
        generation: Option<u64>,
        preconditions: &Preconditions,
    ) -> Result<(), ApiError> {
        let mut state = self.write();
        let objects = &mut state.bucket_mut(bucket)?.objects;
        let live = objects
            .get(name)
            .filter(|object| generation.is_none_or(|wanted| wanted == object.version.generation))
            .ok_or_else(|| ApiError::no_object(bucket, name))?;
        preconditions.check(Some(live.version))?;
        if let Some(directory) = &self.directory {
            directory
                .remove(live)
                .map_err(|error| ApiError::store("remove the object's file", &error))?;
        }
        objects.remove(name);
        Ok(())
    }

    /// One page of a bucket's objects, in the order of their names.
    pub(super) fn list(&self, bucket: &str, query: &ListQuery) -> Result<Listing, ApiError> {
        let state = self.read();
        Ok(listing::list(&state.bucket(bucket)?.objects, query))
    }

    /// Every object of a bucket; none if there is no such bucket.
    pub(super) fn all(&self, bucket: &str) -> Vec<Arc<Object>> {
        let state = self.read();
        let bucket = state.buckets.get(bucket);
        bucket.map_or_else(Vec::new, |bucket| bucket.objects.values().cloned().collect())
    }

    /// The whole content of an object.
    pub(super) fn content(&self, bucket: &str, name: &str) -> Option<io::Result<Vec<u8>>> {
        let slice = self.open(bucket, name, None, |object| Ok((0, object.size)));
        let Slice { mut reader, .. } = slice.ok()?;
        let mut bytes = Vec::new();
        Some(reader.read_to_end(&mut bytes).map(|_| bytes))
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn bucket(&self, name: &str) -> Result<&Bucket, ApiError> {
        self.buckets.get(name).ok_or_else(|| ApiError::no_bucket(name))
    }

    fn bucket_mut(&mut self, name: &str) -> Result<&mut Bucket, ApiError> {
        self.buckets.get_mut(name).ok_or_else(|| ApiError::no_bucket(name))
    }

    /// Microseconds since 1970, as Cloud Storage does it, but never the same twice.
    fn next_generation(&mut self, now: SystemTime) -> u64 {
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX);
        self.last_generation = micros.max(self.last_generation + 1);
        self.last_generation
    }
}
