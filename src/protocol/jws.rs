//! Signing algorithms, the `typ` of each kind of token, and strict compact serialization (RFC 7515, RFC 8725).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The algorithms that Portico signs with (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256: what every client understands, and the default.
    #[default]
    RS256,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl SigningAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 4] = [Self::RS256, Self::PS256, Self::ES256, Self::EdDSA];

    /// Whether its keys are RSA keys, with which signing takes long.
    pub const fn is_rsa(self) -> bool {
        matches!(self, Self::RS256 | Self::PS256)
    }

    /// The name in the `alg` header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::PS256 => "PS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The algorithm of a name, as [`Self::as_str`] gives it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// The algorithm of a header or a key that somebody else made: `Ed25519` (RFC 9864 section 2.2) is what we call by the
    /// older name.
    pub fn parse_foreign(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::RS256,
            "PS256" => Self::PS256,
            "ES256" => Self::ES256,
            "EdDSA" | "Ed25519" => Self::EdDSA,
            _ => return None,
        })
    }
}

/// The kinds of token we sign. Each has a `typ` of its own, so that none passes for another (T41).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// An ID token (OpenID Connect Core section 2); its `typ` is `JWT`, as clients know it.
    IdToken,
    /// An access token (RFC 9068 section 2.1).
    AccessToken,
    /// What introspection says (RFC 9701 section 5).
    TokenIntrospection,
    /// That somebody has logged out (OpenID Connect Back-Channel Logout 1.0 section 2.4).
    LogoutToken,
    /// What userinfo says (OpenID Connect Core section 5.3.2), which names no `typ`: some clients know no other than `JWT`,
    /// and that one is the ID token's.
    Userinfo,
}

impl TokenKind {
    /// Every kind, in the order of the variants.
    pub const ALL: [Self; 5] = [
        Self::IdToken,
        Self::AccessToken,
        Self::TokenIntrospection,
        Self::LogoutToken,
        Self::Userinfo,
    ];

    /// The `typ` header; none is a `typ` of its own, too.
    pub const fn typ(self) -> Option<&'static str> {
        match self {
            Self::IdToken => Some("JWT"),
            Self::AccessToken => Some("at+jwt"),
            Self::TokenIntrospection => Some("token-introspection+jwt"),
            Self::LogoutToken => Some("logout+jwt"),
            Self::Userinfo => None,
        }
    }

    /// How long one may be that comes back (T48).
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::IdToken => MAX_ID_TOKEN_BYTES,
            _ => MAX_BYTES,
        }
    }
}

/// The most bytes a token sent to us may have (T48).
pub const MAX_BYTES: usize = 8192;

/// The most of an ID token of ours that comes back as a hint. It may name some 200 groups of its person: with 150 bytes each it has
/// 41,000. Longer ones would not get here: an address is 64 KiB at the most.
pub const MAX_ID_TOKEN_BYTES: usize = 48 * 1024;

/// Whether `token` is one canonical compact JWS: three non-empty base64url parts without padding, in the
/// only spelling that decodes to their bytes (T23, T49).
pub fn is_strict_compact(token: &str) -> bool {
    is_strict_within(MAX_BYTES, token)
}

/// The same of one that may have so many bytes.
pub fn is_strict_within(max: usize, token: &str) -> bool {
    let mut parts = token.split('.');
    let mut canonical = || parts.next().is_some_and(is_canonical_base64url);
    token.len() <= max && canonical() && canonical() && canonical() && parts.next().is_none()
}

/// Whether `part` is non-empty base64url in its canonical spelling.
pub fn is_canonical_base64url(part: &str) -> bool {
    // The engine refuses padding and stray trailing bits.
    !part.is_empty() && URL_SAFE_NO_PAD.decode(part).is_ok()
}

/// The header and the claims of what calls itself an ID token of ours, as it says them. Nothing of it is verified.
pub fn unverified(token: &str) -> Option<(Value, Value)> {
    if !is_strict_within(MAX_ID_TOKEN_BYTES, token) {
        return None;
    }
    let mut parts = token.split('.').map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice(&bytes).ok()
    });
    Some((parts.next()??, parts.next()??))
}

/// `at_hash` and `c_hash`: the left half of the hash that the signature uses (OpenID Connect Core section 3.1.3.6).
pub fn half_hash(algorithm: SigningAlgorithm, value: &str) -> String {
    use sha2::{Digest as _, Sha256, Sha512};
    match algorithm {
        // Ed25519 hashes with SHA-512 (RFC 8032 section 5.1), which is what relying parties compute here.
        SigningAlgorithm::EdDSA => {
            let digest = Sha512::digest(value.as_bytes());
            URL_SAFE_NO_PAD.encode(digest.get(..32).unwrap_or_default())
        }
        SigningAlgorithm::RS256 | SigningAlgorithm::PS256 | SigningAlgorithm::ES256 => {
            let digest = Sha256::digest(value.as_bytes());
            URL_SAFE_NO_PAD.encode(digest.get(..16).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// OpenID Connect Core appendix A.3.
    #[test]
    fn at_hash_is_the_left_half() {
        assert_eq!(
            half_hash(
                SigningAlgorithm::RS256,
                "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
            ),
            "77QmUPtjPfzWtF2AnpK9RQ"
        );
    }

    /// T23, T49.
    #[test]
    fn only_the_canonical_spelling_is_a_token() {
        assert!(is_strict_compact("e30.e30.AA"));
        // T48: our own ID tokens may be long, and no other token.
        let long = format!("e30.{}.AA", "e30A".repeat(MAX_BYTES / 4));
        assert!(!is_strict_compact(&long));
        for kind in TokenKind::ALL {
            let may = is_strict_within(kind.max_bytes(), &long);
            assert_eq!(may, kind == TokenKind::IdToken);
        }
        let longer = format!("e30.{}.AA", "e30A".repeat(MAX_ID_TOKEN_BYTES / 4));
        assert!(!is_strict_within(TokenKind::IdToken.max_bytes(), &longer));
        for bad in [
            "e30.e30",
            "e30.e30.AA.AA",
            "e30.e30.",
            "e30..AA",
            "e30.e30.AB",
            "e30=.e30.AA",
            "e30.e30.A+",
        ] {
            assert!(!is_strict_compact(bad), "{bad}");
        }
    }

    proptest! {
        /// T23, T49: one text for the bytes of each part.
        #[test]
        fn a_compact_token_has_one_spelling(token in "[A-Za-z0-9_=+/-]{0,9}(\\.[A-Za-z0-9_=-]{0,9}){0,4}") {
            let parts: Vec<&str> = token.split('.').collect();
            let canonical = |part: &&str| {
                let bytes = URL_SAFE_NO_PAD.decode(part);
                !part.is_empty() && bytes.is_ok_and(|bytes| URL_SAFE_NO_PAD.encode(bytes) == **part)
            };
            prop_assert_eq!(is_strict_compact(&token), parts.len() == 3 && parts.iter().all(canonical));
        }
    }
}
