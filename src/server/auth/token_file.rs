//! The file that the tokens are in, as Kubernetes mounts a Secret: replaced at any time, by
//! another file behind a symbolic link.
//!
//! It is looked at when somebody uploads, at most once a second, by the thread that asks. Its
//! content counts from then on; a content that makes no sense does not count, and the last that
//! did stays.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use thiserror::Error;

use super::token_list::{Tokens, TokensError};

/// The largest file that is read, in bytes: as large as a Secret can be.
const LARGEST: u64 = 1 << 20;

/// How often it is looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A file that was changed this short a time ago may be changed again without its time of change
/// being another: that time ticks in steps.
const UNSETTLED: Duration = Duration::from_secs(2);

/// Why there are no tokens from a file.
#[derive(Debug, Error)]
#[error("{}: {reason}", path.display())]
pub struct TokenFileError {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug, Error)]
enum Reason {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("is no file")]
    NoFile,
    #[error("is larger than {LARGEST} bytes")]
    TooLarge,
    #[error(transparent)]
    Senseless(#[from] TokensError),
}

/// The tokens, as the file has them.
#[derive(Debug)]
pub(crate) struct TokenFile {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: Arc<Tokens>,
    /// Which file, in which state, was read; `None` if it may have changed unnoticed.
    stamp: Option<Stamp>,
    looked: Instant,
    /// What was last said to be wrong with it, so that it is said once.
    complaint: Option<String>,
}

/// What changes with a file's content, whoever writes it and however.
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
            log::warn!("{}: there is no token in it, so nobody may upload", path.display());
        }
        let state = State {
            tokens: Arc::new(tokens),
            stamp: Some(stamp).filter(Stamp::is_settled),
            looked: Instant::now(),
            complaint: None,
        };
        Ok(Self { path: path.to_owned(), state: Mutex::new(state) })
    }

    /// The tokens that count now.
    pub(crate) fn tokens(&self) -> Arc<Tokens> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK_EVERY {
            state.looked = Instant::now();
            self.look(&mut state);
        }
        Arc::clone(&state.tokens)
    }

    fn look(&self, state: &mut State) {
        match self.changed(state.stamp.as_ref()) {
            Ok(None) => {}
            Ok(Some((stamp, tokens))) => {
                if *state.tokens != tokens || state.complaint.is_some() {
                    log::info!(
                        "{}: {} tokens count from now on",
                        self.path.display(),
                        tokens.len()
                    );
                }
                state.tokens = Arc::new(tokens);
                state.stamp = Some(stamp).filter(Stamp::is_settled);
                state.complaint = None;
            }
            Err(reason) => {
                let complaint = reason.to_string();
                if state.complaint.as_ref() != Some(&complaint) {
                    log::error!(
                        "{}: {complaint}; the {} tokens that it had before still count",
                        self.path.display(),
                        state.tokens.len()
                    );
                }
                state.stamp = None;
                state.complaint = Some(complaint);
            }
        }
    }

    /// What the file has, unless it is in the state that was read before.
    fn changed(&self, known: Option<&Stamp>) -> Result<Option<(Stamp, Tokens)>, Reason> {
        let stamp = Stamp::of(&self.path.metadata()?);
        if known == Some(&stamp) { Ok(None) } else { read(&self.path).map(Some) }
    }
}

fn read(path: &Path) -> Result<(Stamp, Tokens), Reason> {
    // Opening something else than a file can wait for ever.
    if !path.metadata()?.is_file() {
        return Err(Reason::NoFile);
    }
    let file = File::open(path)?;
    // Before its content: a change in between shows as another stamp.
    let stamp = Stamp::of(&file.metadata()?);
    let mut content = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST {
        return Err(Reason::TooLarge);
    }
    Ok((stamp, Tokens::parse(&content)?))
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

    /// Looks now, and says whose tokens count.
    fn counts(file: &TokenFile, names: &[&str]) -> bool {
        let mut state = file.state.lock().unwrap();
        file.look(&mut state);
        state.tokens.len() == names.len()
            && names.iter().all(|name| state.tokens.find(Fingerprint::of(name)).is_some())
    }

    fn complains(file: &TokenFile) -> Option<String> {
        file.state.lock().unwrap().complaint.clone()
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
        assert!(matches!(reason(&path), Reason::TooLarge));
        assert!(matches!(reason(dir.path()), Reason::NoFile));
        assert!(matches!(reason(&dir.path().join("none")), Reason::Unreadable(_)));
        assert!(matches!(reason(Path::new("/dev/zero")), Reason::NoFile));
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
