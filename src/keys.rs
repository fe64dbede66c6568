//! Admin keys and their scopes: a file of names, scopes and hashes. The keys themselves are not stored anywhere.
//!
//! A key has 256 random bits, so it cannot be guessed from its plain SHA-256. The file is read at every use, so that
//! a revoked key is refused at once.
//!
//! The file is changed in place, under a lock of the operating system. With a rename, a container that mounts the
//! file alone, or a link to it, would still see the old file. The file's owner and mode do not change.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read jobs, versions and the audit log.
    Read,
    /// Start and cancel jobs, create models.
    Train,
    /// Promote versions and roll back.
    Promote,
}

impl Scope {
    /// The scope's name, as in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Train => "train",
            Self::Promote => "promote",
        }
    }
}

/// Why keys cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file system error.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// The file is not a file of keys.
    #[error("{0}: {1}")]
    Syntax(PathBuf, toml::de::Error),
    /// The file cannot be written as TOML.
    #[error("{0}: {1}")]
    Write(PathBuf, toml::ser::Error),
    /// A name that is taken or not valid.
    #[error("{0}")]
    Name(String),
    /// The operating system gives no random bytes.
    #[error("no randomness: {0}")]
    Random(getrandom::Error),
}

impl KeyError {
    /// The error for clients, without paths and without the file's content.
    pub fn reason(&self) -> String {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match self {
            Self::Io(path, error) => format!("{}: {error}", name(path)),
            Self::Syntax(path, _) => format!("{}: not a file of keys", name(path)),
            Self::Write(path, _) => format!("{}: cannot be written", name(path)),
            Self::Name(_) | Self::Random(_) => self.to_string(),
        }
    }
}

/// The record of one key, without the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// The owner's name, as written to the audit log.
    pub name: String,
    /// What the key allows.
    pub scopes: Vec<Scope>,
    /// SHA-256 of the key, in hexadecimal.
    sha256: String,
}

impl KeyRecord {
    /// Whether the key has this scope.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    #[serde(default)]
    key: Vec<KeyRecord>,
}

/// Makes a key and adds its hash to the file (made if missing). Returns the key, which cannot be shown again.
///
/// # Errors
/// [`KeyError`]; the file is then unchanged.
pub fn create(path: &Path, name: &str, scopes: &[Scope]) -> Result<String, KeyError> {
    if name.is_empty() || name.chars().any(|c| c.is_control()) {
        return Err(KeyError::Name("the name of a key must be a word".to_owned()));
    }
    let held = Held::open(path, true)?;
    let mut file = held.read()?;
    if file.key.iter().any(|key| key.name == name) {
        return Err(KeyError::Name(format!("there is a key of {name} already")));
    }
    let mut random = [0u8; 32];
    getrandom::fill(&mut random).map_err(KeyError::Random)?;
    let key = format!("mcvn_{}", hex(&random));
    file.key.push(KeyRecord { name: name.to_owned(), scopes: scopes.to_vec(), sha256: hash(&key) });
    held.write(&file)?;
    Ok(key)
}

/// Removes a key's hash from the file.
///
/// # Errors
/// [`KeyError`], also if there is no key of that name.
pub fn revoke(path: &Path, name: &str) -> Result<(), KeyError> {
    let held = Held::open(path, false)?;
    let mut file = held.read()?;
    let before = file.key.len();
    file.key.retain(|key| key.name != name);
    if file.key.len() == before {
        return Err(KeyError::Name(format!("there is no key of {name}")));
    }
    held.write(&file)
}

/// The records of all keys in the file.
///
/// # Errors
/// A file that is missing, or not a file of keys.
pub fn list(path: &Path) -> Result<Vec<KeyRecord>, KeyError> {
    Ok(read(path)?.key)
}

/// Finds the record of a key. Takes the same time for every input, valid or not.
pub fn find(keys: &[KeyRecord], key: &str) -> Option<KeyRecord> {
    let presented = hash(key);
    let mut found = None;
    for record in keys {
        if bool::from(record.sha256.as_bytes().ct_eq(presented.as_bytes())) {
            found = Some(record.clone());
        }
    }
    found
}

fn read(path: &Path) -> Result<KeyFile, KeyError> {
    let open = || {
        let file = File::open(path)?;
        // A process that changes the file locks it exclusively.
        file.lock_shared()?;
        Ok(file)
    };
    let file = open().map_err(|error| KeyError::Io(path.to_owned(), error))?;
    Held { path, file }.read()
}

/// The file, locked exclusively.
struct Held<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> Held<'a> {
    /// Waits until no other process reads or changes the file. A new file is readable for its owner only.
    fn open(path: &'a Path, create: bool) -> Result<Self, KeyError> {
        let open = || {
            let file =
                OpenOptions::new().read(true).write(true).create(create).truncate(false).mode(0o600).open(path)?;
            file.lock()?;
            Ok(file)
        };
        open().map(|file| Self { path, file }).map_err(|error| KeyError::Io(path.to_owned(), error))
    }

    fn read(&self) -> Result<KeyFile, KeyError> {
        let mut text = String::new();
        (&self.file).read_to_string(&mut text).map_err(|error| KeyError::Io(self.path.to_owned(), error))?;
        toml::from_str(&text).map_err(|error| KeyError::Syntax(self.path.to_owned(), error))
    }

    /// Writes with one call and covers the old text with blanks, so that the file stays valid wherever the process is
    /// killed.
    fn write(&self, file: &KeyFile) -> Result<(), KeyError> {
        let text = toml::to_string(file).map_err(|error| KeyError::Write(self.path.to_owned(), error))?;
        let replace = || {
            let before = self.file.metadata()?.len() as usize;
            self.file.write_all_at(format!("{text:<before$}").as_bytes(), 0)?;
            self.file.sync_all()?;
            self.file.set_len(text.len() as u64)?;
            self.file.sync_all()
        };
        replace().map_err(|error| KeyError::Io(self.path.to_owned(), error))
    }
}

fn hash(key: &str) -> String {
    hex(&Sha256::digest(key.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn authenticate(path: &Path, key: &str) -> Result<Option<KeyRecord>, KeyError> {
        Ok(find(&list(path)?, key))
    }

    #[test]
    fn keys_open_what_they_are_for_until_they_are_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        let alice = create(&path, "alice", &[Scope::Read, Scope::Train]).unwrap();
        let bob = create(&path, "bob", &[Scope::Promote]).unwrap();
        assert!(alice != bob && alice.len() == 69);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&alice[5..]), "the key itself is not in the file");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let record = authenticate(&path, &alice).unwrap().unwrap();
        assert!(record.name == "alice" && record.may(Scope::Train) && !record.may(Scope::Promote));
        assert_eq!(authenticate(&path, &alice[..60]).unwrap(), None);
        assert!(matches!(create(&path, "bob", &[Scope::Read]), Err(KeyError::Name(_))));
        revoke(&path, "alice").unwrap();
        assert_eq!(authenticate(&path, &alice).unwrap(), None);
        assert!(authenticate(&path, &bob).unwrap().is_some());
        assert!(matches!(revoke(&path, "alice"), Err(KeyError::Name(_))));
        fs::write(&path, "[[key]]\ncolour = 1\n").unwrap();
        assert!(matches!(list(&path), Err(KeyError::Syntax(..))));
    }

    #[test]
    fn nobody_loses_what_another_changes_at_the_same_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        for round in 0..20 {
            let old = create(&path, &format!("old{round}"), &[Scope::Read]).unwrap();
            let made: Vec<String> = std::thread::scope(|scope| {
                let make = |number: usize| {
                    let (path, name) = (&path, format!("{round}-{number}"));
                    scope.spawn(move || create(path, &name, &[Scope::Read]).unwrap())
                };
                let made: Vec<_> = (0..4).map(make).collect();
                scope.spawn(|| revoke(&path, &format!("old{round}")).unwrap());
                made.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(authenticate(&path, &old).unwrap(), None, "revoked");
            assert!(made.iter().all(|key| authenticate(&path, key).unwrap().is_some()), "printed");
        }
    }

    #[test]
    fn the_file_stays_the_same_one_for_whoever_mounts_or_links_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("keys.toml"), folder.path().join("link"));
        let key = create(&path, "a-name-of-some-length", &[Scope::Read]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&path, &link).unwrap();
        let mounted = File::open(&path).unwrap();
        revoke(&link, "a-name-of-some-length").unwrap();
        create(&link, "b", &[Scope::Read]).unwrap();
        assert_eq!(mounted.metadata().unwrap().ino(), fs::metadata(&path).unwrap().ino());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(authenticate(&path, &key).unwrap(), None);
        assert_eq!(list(&path).unwrap().len(), 1);
    }
}
