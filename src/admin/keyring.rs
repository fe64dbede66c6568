//! The file of admin keys, as a running server uses it.
//!
//! The file is read at every use, so that a revoked key is refused at once. Changes of the file while the server runs
//! are logged, because they change who may do what.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::keys::{self, KeyError, KeyRecord};

/// The keys, and the state of the file when it was last read.
#[derive(Debug)]
pub(super) struct Keyring {
    path: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    keys: Vec<KeyRecord>,
    /// Why the file could not be read the last time.
    trouble: Option<String>,
}

impl Keyring {
    /// The keys of a file.
    ///
    /// # Errors
    /// A file that is missing, or not a file of keys.
    pub(super) fn open(path: PathBuf) -> Result<Self, KeyError> {
        let keys = keys::list(&path)?;
        Ok(Self { path, seen: Mutex::new(Seen { keys, trouble: None }) })
    }

    /// Finds the record of a key.
    ///
    /// # Errors
    /// A file that can no longer be read.
    pub(super) fn find(&self, key: &str) -> Result<Option<KeyRecord>, KeyError> {
        Ok(keys::find(&self.read()?, key))
    }

    /// Why no key is accepted, in words; `None` if the file can be read.
    pub(super) fn trouble(&self) -> Option<String> {
        self.read().err().map(|error| format!("no key is accepted, their file cannot be read: {}", error.reason()))
    }

    fn read(&self) -> Result<Vec<KeyRecord>, KeyError> {
        let read = keys::list(&self.path);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match &read {
            Ok(keys) => {
                if seen.trouble.take().is_some() {
                    tracing::info!("the file of admin keys can be read again");
                }
                if *keys != seen.keys {
                    let names = |of: &[KeyRecord], but: &[KeyRecord]| {
                        let names = of.iter().filter(|key| !but.contains(key)).map(|key| key.name.as_str());
                        names.collect::<Vec<_>>().join(", ")
                    };
                    let (new, gone) = (names(keys, &seen.keys), names(&seen.keys, keys));
                    tracing::info!(keys = keys.len(), new, gone, "the file of admin keys has changed");
                    seen.keys.clone_from(keys);
                }
            }
            Err(error) => {
                let told = error.to_string();
                if seen.trouble.as_ref() != Some(&told) {
                    tracing::error!(cause = told, "no admin key is accepted: their file cannot be read");
                    seen.trouble = Some(told);
                }
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::keys::{Scope, create, revoke};

    #[test]
    fn what_becomes_of_the_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        let alice = create(&path, "alice", &[Scope::Read]).unwrap();
        let ring = Keyring::open(path.clone()).unwrap();
        let bob = create(&path, "bob", &[Scope::Read]).unwrap();
        assert_eq!(ring.find(&bob).unwrap().unwrap().name, "bob");
        assert_eq!(ring.seen.lock().unwrap().keys.len(), 2);
        revoke(&path, "alice").unwrap();
        assert_eq!((ring.find(&alice).unwrap(), ring.trouble()), (None, None));
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        assert!(ring.find(&bob).is_err());
        assert!(ring.trouble().unwrap().contains("keys.toml"));
        assert!(ring.seen.lock().unwrap().trouble.is_some());
        fs::rename(folder.path().join("elsewhere"), &path).unwrap();
        assert!(ring.find(&bob).unwrap().is_some() && ring.seen.lock().unwrap().trouble.is_none());
    }
}
