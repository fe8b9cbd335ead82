//! What is derived from the master key: sealing (AEAD), keyed hashes and MACs, each purpose with a key of its own.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::random_bytes;

use super::{KeyError, MasterKey};

/// What a derived key is for. A text sealed or hashed for one purpose is nothing for another (T12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The pending authorization in this tab's cookie.
    FlowCookie,
    /// The cookie that waits for the browser to come back from an upstream.
    AwayCookie,
    /// The token in our forms.
    FormToken,
    /// The hash under which a session is stored.
    SessionSecret,
    /// The hash under which an authorization code is stored.
    AuthorizationCode,
    /// The hash under which an oversize pending request is stored.
    PendingRequest,
    /// The refresh token of a generation.
    RefreshToken,
    /// The hash of a client secret that we made.
    ClientSecret,
    /// A signing key at rest.
    SigningKey,
    /// A logout request that waits for a yes.
    LogoutRequest,
    /// Who has arrived from an upstream's page.
    Arrival,
    /// Tokens of an upstream at rest.
    VaultEntry,
    /// The `sub` of a person in a sector.
    PairwiseSubject,
    /// The hash of a registration access token.
    RegistrationToken,
    /// The hash of an initial access token.
    InitialAccessToken,
    /// A client secret at rest, of a client that signs with it.
    ClientSecretKey,
    /// A pushed authorization request at rest, and the hash of its `request_uri`.
    PushedRequest,
    /// The hash under which a device code is stored.
    DeviceCode,
    /// The hash that finds a device code by what the person types.
    UserCode,
    /// The nonces that proofs of possession answer.
    DpopNonce,
    /// The hash under which an opaque access token is stored.
    AccessToken,
    /// The hash of a user name that was typed in vain.
    TypedName,
    /// The name of an app's logo at our origin.
    AppLogo,
}

impl Purpose {
    const ALL: [Self; 23] = [
        Self::FlowCookie,
        Self::AwayCookie,
        Self::FormToken,
        Self::SessionSecret,
        Self::AuthorizationCode,
        Self::PendingRequest,
        Self::RefreshToken,
        Self::ClientSecret,
        Self::SigningKey,
        Self::LogoutRequest,
        Self::Arrival,
        Self::VaultEntry,
        Self::PairwiseSubject,
        Self::RegistrationToken,
        Self::InitialAccessToken,
        Self::ClientSecretKey,
        Self::PushedRequest,
        Self::DeviceCode,
        Self::UserCode,
        Self::DpopNonce,
        Self::AccessToken,
        Self::TypedName,
        Self::AppLogo,
    ];

    /// Part of the derivation: a word that never changes.
    const fn label(self) -> &'static str {
        match self {
            Self::FlowCookie => "flow-cookie",
            Self::AwayCookie => "away-cookie",
            Self::FormToken => "form-token",
            Self::SessionSecret => "session-secret",
            Self::AuthorizationCode => "authorization-code",
            Self::PendingRequest => "pending-request",
            Self::RefreshToken => "refresh-token",
            Self::ClientSecret => "client-secret",
            Self::SigningKey => "signing-key",
            Self::LogoutRequest => "logout-request",
            Self::Arrival => "arrival",
            Self::VaultEntry => "vault-entry",
            Self::PairwiseSubject => "pairwise-subject",
            Self::RegistrationToken => "registration-token",
            Self::InitialAccessToken => "initial-access-token",
            Self::ClientSecretKey => "client-secret-key",
            Self::PushedRequest => "pushed-request",
            Self::DeviceCode => "device-code",
            Self::UserCode => "user-code",
            Self::DpopNonce => "dpop-nonce",
            Self::AccessToken => "access-token",
            Self::TypedName => "typed-name",
            Self::AppLogo => "app-logo",
        }
    }
}

/// The derived keys. Cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    keys: Arc<Derived>,
}

struct Derived {
    /// Says which master key sealed something, so that the master key can be changed.
    key_id: [u8; 4],
    purposes: Vec<(LessSafeKey, hmac::Key)>,
}

const VERSION: u8 = 1;
const HEADER_LEN: usize = 1 + 4;

impl Secrets {
    /// Derives every key (HKDF-SHA-256, RFC 5869).
    pub fn derive(master: &MasterKey) -> Result<Self, KeyError> {
        let mut key_id = [0; 4];
        expand(master, "key-id", &mut key_id)?;
        let mut purposes = Vec::with_capacity(Purpose::ALL.len());
        for purpose in Purpose::ALL {
            let mut bytes = zeroize::Zeroizing::new([0u8; 64]);
            expand(master, purpose.label(), bytes.as_mut_slice())?;
            let (seal, mac) = bytes.split_at(32);
            let seal = UnboundKey::new(&AES_256_GCM_SIV, seal)
                .map_err(|_| KeyError::Crypto("derive a key"))?;
            purposes.push((
                LessSafeKey::new(seal),
                hmac::Key::new(hmac::HMAC_SHA256, mac),
            ));
        }
        Ok(Self {
            keys: Arc::new(Derived { key_id, purposes }),
        })
    }

    fn key(&self, purpose: Purpose) -> Result<&(LessSafeKey, hmac::Key), KeyError> {
        self.keys
            .purposes
            .get(purpose as usize)
            .ok_or(KeyError::Crypto("find a derived key"))
    }

    /// Seals `plain`, bound to `context` (the row or handle it belongs to), as base64url text.
    ///
    /// AES-256-GCM-SIV (RFC 8452): cookies are sealed by every node without coordination, and random nonces may
    /// then meet; this mode survives it.
    pub fn seal(&self, purpose: Purpose, context: &str, plain: &[u8]) -> Result<String, KeyError> {
        let (key, _) = self.key(purpose)?;
        let nonce = random_bytes::<NONCE_LEN>();
        let mut sealed = plain.to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context),
            &mut sealed,
        )
        .map_err(|_| KeyError::Crypto("seal"))?;
        let mut out = Vec::with_capacity(HEADER_LEN + NONCE_LEN + sealed.len());
        out.push(VERSION);
        out.extend(self.keys.key_id);
        out.extend(nonce);
        out.extend(sealed);
        Ok(URL_SAFE_NO_PAD.encode(out))
    }

    /// Opens what [`Secrets::seal`] made; `None` for anything else.
    pub fn open(&self, purpose: Purpose, context: &str, sealed: &str) -> Option<Vec<u8>> {
        let (key, _) = self.key(purpose).ok()?;
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (header, rest) = bytes.split_at_checked(HEADER_LEN)?;
        let (version, key_id) = header.split_first()?;
        if *version != VERSION || key_id != self.keys.key_id {
            return None;
        }
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut opened = sealed.to_vec();
        let length = key
            .open_in_place(nonce, Aad::from(context), &mut opened)
            .ok()?
            .len();
        opened.truncate(length);
        Some(opened)
    }

    /// A MAC (HMAC-SHA-256) over `parts`, each preceded by its length so that they cannot run into each other.
    pub fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> Result<String, KeyError> {
        let (_, key) = self.key(purpose)?;
        let mut context = hmac::Context::with_key(key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        Ok(URL_SAFE_NO_PAD.encode(context.sign()))
    }

    /// The keyed hash under which a random secret is stored: who steals the database can use nothing in it.
    pub fn hash(&self, purpose: Purpose, secret: &str) -> Result<String, KeyError> {
        self.mac(purpose, &[secret.as_bytes()])
    }
}

struct OutputLength(usize);

impl hkdf::KeyType for OutputLength {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand(master: &MasterKey, label: &str, out: &mut [u8]) -> Result<(), KeyError> {
    let failed = |_| KeyError::Crypto("derive a key");
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"portico").extract(master.bytes());
    prk.expand(&[label.as_bytes()], OutputLength(out.len()))
        .and_then(|okm| okm.fill(out))
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secrets(byte: u8) -> Secrets {
        Secrets::derive(&MasterKey::new([byte; 32])).unwrap()
    }

    #[test]
    fn purposes_are_in_the_order_of_their_keys() {
        for (index, purpose) in Purpose::ALL.into_iter().enumerate() {
            assert_eq!(purpose as usize, index);
        }
    }

    /// T12, T63: another purpose, another row, another key, one changed bit: nothing opens.
    #[test]
    fn only_the_same_purpose_context_and_key_open() {
        let ours = secrets(1);
        let sealed = ours.seal(Purpose::FlowCookie, "a", b"plain").unwrap();
        assert_eq!(
            ours.open(Purpose::FlowCookie, "a", &sealed).as_deref(),
            Some(&b"plain"[..])
        );
        assert_eq!(ours.open(Purpose::AwayCookie, "a", &sealed), None);
        assert_eq!(ours.open(Purpose::FlowCookie, "b", &sealed), None);
        assert_eq!(secrets(2).open(Purpose::FlowCookie, "a", &sealed), None);
        assert_eq!(
            ours.open(Purpose::FlowCookie, "a", &format!("{sealed}A")),
            None
        );
        let mut bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(&bytes);
            assert_eq!(
                ours.open(Purpose::FlowCookie, "a", &changed),
                None,
                "byte {index}"
            );
            bytes[index] ^= 1;
        }
    }

    #[test]
    fn macs_tell_their_parts_apart() {
        let ours = secrets(1);
        let mac = |parts: &[&[u8]]| ours.mac(Purpose::FormToken, parts).unwrap();
        assert_ne!(mac(&[b"ab", b"c"]), mac(&[b"a", b"bc"]));
        assert_ne!(
            ours.hash(Purpose::AuthorizationCode, "x").unwrap(),
            ours.hash(Purpose::SessionSecret, "x").unwrap()
        );
    }

    proptest! {
        /// Whatever a browser sends in the place of what we sealed.
        #[test]
        fn nothing_else_opens(text in "[A-Za-z0-9_=-]{0,120}", any in any::<String>(), plain in any::<Vec<u8>>(), context in any::<String>()) {
            let ours = secrets(1);
            prop_assert_eq!(ours.open(Purpose::FlowCookie, "a", &text), None);
            prop_assert_eq!(ours.open(Purpose::FlowCookie, "a", &any), None);
            let sealed = ours.seal(Purpose::FlowCookie, &context, &plain).unwrap();
            prop_assert_eq!(ours.open(Purpose::FlowCookie, &context, &sealed), Some(plain));
            prop_assert_eq!(ours.open(Purpose::FlowCookie, &format!("{context}x"), &sealed), None);
        }
    }
}
