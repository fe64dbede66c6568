//! Admin keys: who may do what. A file of names, scopes and hashes; the keys themselves are nowhere.
//!
//! Its own because nothing else may see a key. A key has 256 random bits, so a plain SHA-256 of it cannot be
//! guessed back; the file is read at every use, so that a key that is revoked is revoked at once.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// See jobs, versions and the audit log.
    Read,
    /// Start and cancel jobs, create models.
    Train,
    /// Promote versions and roll back.
    Promote,
}

impl Scope {
    /// Its name, as in the file.
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
    /// The file system said no.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// The file is not one of keys.
    #[error("{0}: {1}")]
    Syntax(PathBuf, toml::de::Error),
    /// The file cannot be written as TOML.
    #[error("{0}: {1}")]
    Write(PathBuf, toml::ser::Error),
    /// A name that is taken, or not a name.
    #[error("{0}")]
    Name(String),
    /// The operating system has no randomness.
    #[error("no randomness: {0}")]
    Random(getrandom::Error),
}

/// One key, without the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Whose it is: stands in the audit log.
    pub name: String,
    /// What it is for.
    pub scopes: Vec<Scope>,
    /// SHA-256 of the key, in hexadecimal.
    sha256: String,
}

impl KeyRecord {
    /// Whether the key is for this.
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

/// Makes a key and adds its hash to the file (made where it is missing). Gives the key: it cannot be had
/// again.
///
/// # Errors
/// [`KeyError`]; the file then stays as it was.
pub fn create(path: &Path, name: &str, scopes: &[Scope]) -> Result<String, KeyError> {
    let mut file = if path.exists() { read(path)? } else { KeyFile::default() };
    if name.is_empty() || name.chars().any(|c| c.is_control()) {
        return Err(KeyError::Name("the name of a key must be a word".to_owned()));
    }
    if file.key.iter().any(|key| key.name == name) {
        return Err(KeyError::Name(format!("there is a key of {name} already")));
    }
    let mut random = [0u8; 32];
    getrandom::fill(&mut random).map_err(KeyError::Random)?;
    let key = format!("mcvn_{}", hex(&random));
    file.key.push(KeyRecord { name: name.to_owned(), scopes: scopes.to_vec(), sha256: hash(&key) });
    write(path, &file)?;
    Ok(key)
}

/// Takes a key's hash out of the file.
///
/// # Errors
/// [`KeyError`], also where there is no key of that name.
pub fn revoke(path: &Path, name: &str) -> Result<(), KeyError> {
    let mut file = read(path)?;
    let before = file.key.len();
    file.key.retain(|key| key.name != name);
    if file.key.len() == before {
        return Err(KeyError::Name(format!("there is no key of {name}")));
    }
    write(path, &file)
}

/// All keys of the file, without the keys.
///
/// # Errors
/// A file that is missing, or not one of keys.
pub fn list(path: &Path) -> Result<Vec<KeyRecord>, KeyError> {
    Ok(read(path)?.key)
}

/// Whose key this is. Takes the same time whichever key it is, and whether or not it is one.
///
/// # Errors
/// A file that is missing, or not one of keys.
pub fn authenticate(path: &Path, key: &str) -> Result<Option<KeyRecord>, KeyError> {
    let presented = hash(key);
    let mut found = None;
    for record in read(path)?.key {
        if bool::from(record.sha256.as_bytes().ct_eq(presented.as_bytes())) {
            found = Some(record);
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<KeyFile, KeyError> {
    let text = fs::read_to_string(path).map_err(|error| KeyError::Io(path.to_owned(), error))?;
    toml::from_str(&text).map_err(|error| KeyError::Syntax(path.to_owned(), error))
}

/// Through a temporary file (which is for its owner alone) and a rename.
fn write(path: &Path, file: &KeyFile) -> Result<(), KeyError> {
    let text = toml::to_string(file).map_err(|error| KeyError::Write(path.to_owned(), error))?;
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let replace = || {
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        temporary.write_all(text.as_bytes())?;
        temporary.as_file().sync_all()?;
        temporary.persist(path)?;
        Ok(())
    };
    replace().map_err(|error| KeyError::Io(path.to_owned(), error))
}

fn hash(key: &str) -> String {
    hex(&Sha256::digest(key.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

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
}
