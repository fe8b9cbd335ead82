//! The master key: 32 bytes from the config, or made at first start beside an SQLite database.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::clock::{random_bytes, random_id};
use crate::protocol::key_bytes::key_bytes;

/// The secret that every other secret of ours is derived from.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// Text that is no master key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a master key is 32 random bytes in base64 (make one with: openssl rand -base64 32)")]
pub struct NotAMasterKey;

impl MasterKey {
    /// Takes the bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A fresh one.
    pub fn generate() -> Self {
        Self::new(random_bytes())
    }

    /// Reads it as the config and the key file hold it: base64 or hexadecimal.
    pub fn parse(text: &str) -> Result<Self, NotAMasterKey> {
        key_bytes(text).map(Self).ok_or(NotAMasterKey)
    }

    /// Reads the key file. An error of the kind `NotFound` means that there is none.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = Zeroizing::new(fs::read_to_string(path)?);
        Self::parse(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Reads the key file, or makes it, readable by its owner alone. Two processes that start at once end with
    /// the same key: the file appears whole or not at all, and the first one wins.
    pub fn read_or_create(path: &Path) -> io::Result<Self> {
        if !path.exists() {
            let fresh = Self::generate();
            // In a container every process has the same number: what a start that was killed has left must not be in the way.
            let draft = path.with_extension(format!("{}.tmp", random_id()));
            let linked = write_private(&draft, &STANDARD.encode(fresh.bytes()))
                // `hard_link` fails when the name is taken, where `rename` would replace another's key.
                .and_then(|()| fs::hard_link(&draft, path));
            let removed = fs::remove_file(&draft);
            match linked {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => removed?,
            }
        }
        Self::read(path)
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[master key]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_made_once_and_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portico.key");
        let first = MasterKey::read_or_create(&path).unwrap();
        let second = MasterKey::read_or_create(&path).unwrap();
        assert_eq!(first.bytes(), second.bytes());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_draft_that_was_left_is_not_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portico.key");
        let left = path.with_extension(format!("{}.tmp", std::process::id()));
        fs::write(&left, "half a k").unwrap();
        MasterKey::read_or_create(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        // And a start that cannot make the file leaves no draft.
        let taken = folder.path().join("folder");
        let unreachable = taken.join("portico.key");
        assert!(MasterKey::read_or_create(&unreachable).is_err());
        assert!(!taken.exists());
    }

    #[test]
    fn what_is_no_key_file_is_told_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portico.key");
        assert_eq!(
            MasterKey::read(&path).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        fs::write(&path, "password").unwrap();
        let error = MasterKey::read_or_create(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(fs::read_to_string(&path).unwrap(), "password");
    }
}
