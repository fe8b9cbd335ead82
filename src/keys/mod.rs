//! Keys: the master key and what is derived from it, and the signing keys with their ring, rotation and JWKS.
//!
//! Everything secret that Portico makes comes from one master key, so that all nodes agree and one secret is to be
//! kept (design, section 4).

pub mod master_key;
pub mod ring;
pub mod secrets;
pub mod signer;

pub use master_key::MasterKey;
pub use ring::{KeyRing, TokenRefused};
pub use secrets::{Purpose, Secrets};

/// Why a key could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A signing key in the store cannot be opened: the master key is another one, or the row was tampered with.
    #[error(
        "the signing key {kid} cannot be opened with this master key: it is not the one that the database was made with; put that one back"
    )]
    Sealed {
        /// The key's id.
        kid: String,
    },
    /// A signing key is not what its row says.
    #[error("the signing key {kid} is damaged")]
    Damaged {
        /// The key's id.
        kid: String,
    },
    /// There is no key to sign with.
    #[error("there is no active signing key for {0}")]
    NoActiveKey(&'static str),
    /// The cryptographic library refused.
    #[error("the cryptographic library refused to {0}")]
    Crypto(&'static str),
    /// Claims that cannot be written as JSON.
    #[error("claims cannot be written as JSON")]
    Claims(#[from] serde_json::Error),
}
