//! The master key: 32 bytes from the config, or made at first start beside an SQLite database.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::clock::random_bytes;

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

    /// Reads base64, with or without padding, of either alphabet.
    pub fn parse(text: &str) -> Result<Self, NotAMasterKey> {
        let text = text.trim();
        let decoded = STANDARD
            .decode(text)
            .or_else(|_| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')))
            .map(Zeroizing::new)
            .map_err(|_| NotAMasterKey)?;
        let bytes = decoded.as_slice().try_into().map_err(|_| NotAMasterKey)?;
        Ok(Self::new(bytes))
    }

    /// Reads the key file, or makes it, readable by its owner alone. Two processes that start at once end with
    /// the same key: the file appears whole or not at all, and the first one wins.
    pub fn read_or_create(path: &Path) -> io::Result<Self> {
        if !path.exists() {
            let fresh = Self::generate();
            let draft = path.with_extension(format!("{}.tmp", std::process::id()));
            write_private(&draft, &STANDARD.encode(fresh.bytes()))?;
            // `hard_link` fails when the name is taken, where `rename` would replace another's key.
            let linked = fs::hard_link(&draft, path);
            fs::remove_file(&draft)?;
            match linked {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        let text = Zeroizing::new(fs::read_to_string(path)?);
        Self::parse(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
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
    fn only_32_bytes_are_a_key() {
        assert!(MasterKey::parse(&STANDARD.encode([7; 32])).is_ok());
        assert!(MasterKey::parse(&URL_SAFE_NO_PAD.encode([255; 32])).is_ok());
        assert!(MasterKey::parse(&STANDARD.encode([7; 31])).is_err());
        assert!(MasterKey::parse("password").is_err());
    }
}
