//! Token file, as Kubernetes mounts a Secret: it may be replaced at any time, by another file behind a
//! symbolic link.
//!
//! The file is checked when a client authenticates, at most once a second, and reloaded when it has
//! changed. Invalid content is reported and not used; the last valid list stays active.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use thiserror::Error;

use crate::sync::LockExt;

use super::token_list::{TokenList, TokenListError};

/// Bytes of the file: the maximum size of a Secret.
const MAX_FILE: u64 = 1 << 20;

/// Minimum interval between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Age of a change below which the file may change again with the same time of change, because that
/// time has a coarse resolution.
const UNSETTLED: Duration = Duration::from_secs(2);

/// Error of a token file.
#[derive(Debug, Error)]
#[error("{}: {reason}", path.display())]
pub struct TokenFileError {
    path: PathBuf,
    reason: FileError,
}

#[derive(Debug, Error)]
enum FileError {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("is not a regular file")]
    NotAFile,
    #[error("is larger than {MAX_FILE} bytes")]
    TooLarge,
    #[error(transparent)]
    Invalid(#[from] TokenListError),
}

/// Token file and its current content.
#[derive(Debug)]
pub(crate) struct TokenFile {
    path: PathBuf,
    state: Mutex<FileState>,
}

#[derive(Debug)]
struct FileState {
    tokens: Arc<TokenList>,
    /// File and state that was read; `None` if it may have changed unnoticed.
    stamp: Option<Stamp>,
    checked: Instant,
    /// Error that was logged last, so that it is logged once.
    logged_error: Option<String>,
}

/// Properties of a file that change with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_settled(&self) -> bool {
        let since_epoch = Duration::from_secs(u64::try_from(self.changed.0).unwrap_or_default());
        let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + since_epoch);
        age.is_ok_and(|age| age > UNSETTLED)
    }
}

impl TokenFile {
    pub(crate) fn open(path: &Path) -> Result<Self, TokenFileError> {
        let failed = |reason| TokenFileError { path: path.to_owned(), reason };
        let (stamp, tokens) = read(path).map_err(failed)?;
        if tokens.len() == 0 {
            log::warn!("{}: the token file is empty, so nobody can upload", path.display());
        }
        let state = FileState {
            tokens: Arc::new(tokens),
            stamp: Some(stamp).filter(Stamp::is_settled),
            checked: Instant::now(),
            logged_error: None,
        };
        Ok(Self { path: path.to_owned(), state: Mutex::new(state) })
    }

    /// Returns the current tokens, after a check of the file if one is due.
    pub(crate) fn tokens(&self) -> Arc<TokenList> {
        let mut state = self.state.lock_ignoring_poison();
        if state.checked.elapsed() >= CHECK_INTERVAL {
            state.checked = Instant::now();
            self.check(&mut state);
        }
        Arc::clone(&state.tokens)
    }

    fn check(&self, state: &mut FileState) {
        match self.changed(state.stamp.as_ref()) {
            Ok(None) => {}
            Ok(Some((stamp, tokens))) => {
                if *state.tokens != tokens || state.logged_error.is_some() {
                    log::info!("{}: reloaded, {} tokens active", self.path.display(), tokens.len());
                }
                state.tokens = Arc::new(tokens);
                state.stamp = Some(stamp).filter(Stamp::is_settled);
                state.logged_error = None;
            }
            Err(reason) => {
                let logged_error = reason.to_string();
                if state.logged_error.as_ref() != Some(&logged_error) {
                    log::error!(
                        "{}: {logged_error}; keeping the {} tokens of before",
                        self.path.display(),
                        state.tokens.len()
                    );
                }
                state.stamp = None;
                state.logged_error = Some(logged_error);
            }
        }
    }

    /// Reads the file, unless it is in the state that was read before.
    fn changed(&self, known: Option<&Stamp>) -> Result<Option<(Stamp, TokenList)>, FileError> {
        let stamp = Stamp::of(&self.path.metadata()?);
        if known == Some(&stamp) { Ok(None) } else { read(&self.path).map(Some) }
    }
}

fn read(path: &Path) -> Result<(Stamp, TokenList), FileError> {
    // Opening anything but a regular file can block forever.
    if !path.metadata()?.is_file() {
        return Err(FileError::NotAFile);
    }
    let file = File::open(path)?;
    // Before the content: a change in between results in another stamp.
    let stamp = Stamp::of(&file.metadata()?);
    let mut content = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE {
        return Err(FileError::TooLarge);
    }
    Ok((stamp, TokenList::parse(&content)?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::super::token::Fingerprint;
    use super::*;

    fn list(names: &[&str]) -> String {
        names.iter().map(|name| format!("{} {name}\n", Fingerprint::of(name))).collect()
    }

    fn dir_with(content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        fs::write(&path, content).unwrap();
        (dir, path)
    }

    /// Checks the file now. Returns whether exactly these tokens are active.
    fn counts(file: &TokenFile, names: &[&str]) -> bool {
        let mut state = file.state.lock().unwrap();
        file.check(&mut state);
        state.tokens.len() == names.len()
            && names.iter().all(|name| state.tokens.find(Fingerprint::of(name)).is_some())
    }

    fn complains(file: &TokenFile) -> Option<String> {
        file.state.lock().unwrap().logged_error.clone()
    }

    #[test]
    fn what_is_written_into_the_file_counts() {
        let (_dir, path) = dir_with(list(&["a"]));
        let file = TokenFile::open(&path).unwrap();
        assert!(counts(&file, &["a"]));
        // Of the same size, and perhaps within one tick of the file system's clock.
        fs::write(&path, list(&["b"])).unwrap();
        assert!(counts(&file, &["b"]));
        fs::write(&path, "").unwrap();
        assert!(counts(&file, &[]));
    }

    #[test]
    fn a_secret_that_kubernetes_replaces_counts() {
        let dir = tempfile::tempdir().unwrap();
        for (version, names) in [("..1", ["a"]), ("..2", ["b"])] {
            fs::create_dir(dir.path().join(version)).unwrap();
            fs::write(dir.path().join(version).join("tokens"), list(&names)).unwrap();
        }
        symlink("..1", dir.path().join("..data")).unwrap();
        symlink("..data/tokens", dir.path().join("tokens")).unwrap();
        let file = TokenFile::open(&dir.path().join("tokens")).unwrap();
        assert!(counts(&file, &["a"]));
        symlink("..2", dir.path().join("..data_tmp")).unwrap();
        fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
        assert!(counts(&file, &["b"]));
    }

    #[test]
    fn what_makes_no_sense_does_not_count() {
        let (_dir, path) = dir_with(list(&["a"]));
        let file = TokenFile::open(&path).unwrap();
        fs::write(&path, format!("{}oops\n", list(&["b"]))).unwrap();
        assert!(counts(&file, &["a"]));
        assert!(complains(&file).unwrap().starts_with("line 2: "));
        fs::remove_file(&path).unwrap();
        assert!(counts(&file, &["a"]));
        assert!(complains(&file).unwrap().starts_with("cannot be read: "));
        fs::write(&path, list(&["a"])).unwrap();
        assert!(counts(&file, &["a"]));
        assert_eq!(complains(&file), None);
    }

    #[test]
    fn what_cannot_be_read_is_refused_at_once() {
        let (dir, path) = dir_with(vec![b'\n'; 1 << 20]);
        assert!(TokenFile::open(&path).is_ok());
        fs::write(&path, vec![b'\n'; (1 << 20) + 1]).unwrap();
        let reason = |path: &Path| TokenFile::open(path).unwrap_err().reason;
        assert!(matches!(reason(&path), FileError::TooLarge));
        assert!(matches!(reason(dir.path()), FileError::NotAFile));
        assert!(matches!(reason(&dir.path().join("none")), FileError::Unreadable(_)));
        assert!(matches!(reason(Path::new("/dev/zero")), FileError::NotAFile));
    }

    #[test]
    fn a_file_that_rests_is_not_read_again() {
        let (_dir, path) = dir_with(list(&["a"]));
        let (stamp, _) = read(&path).unwrap();
        let file = TokenFile::open(&path).unwrap();
        assert!(file.changed(Some(&stamp)).unwrap().is_none());
        assert!(!stamp.is_settled(), "a moment ago");
        assert!(Stamp { changed: (1, 0), ..stamp }.is_settled());
    }
}
