//! Mints: what a grant has proven becomes tokens. Nothing here decides whether somebody may have them; [`standing`] finds
//! what an access token still stands for.

pub mod access_token;
pub mod front_channel;
pub mod id_token;
pub mod possession;
pub mod refresh_token;
pub mod standing;
pub mod subject;

use crate::clock::Clock;
use crate::keys::{KeyError, KeyRing, Secrets};
use crate::model::authorization::Authorization;
use crate::model::client::Client;
use crate::protocol::dpop::{SCHEME, Thumbprint};
use crate::protocol::error::OAuthError;
use crate::protocol::issuer::Issuer;
use crate::protocol::jws::SigningAlgorithm;
use crate::protocol::scope;
use crate::protocol::token::{ACCESS_TOKEN_TYPE, TokenSet};

use id_token::Companions;

/// How long tokens live, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLifetimes {
    /// Access tokens.
    pub access_token: i64,
    /// ID tokens.
    pub id_token: i64,
}

/// Mints and reads tokens. Cheap to clone.
#[derive(Clone)]
pub struct Mint {
    issuer: Issuer,
    ring: KeyRing,
    secrets: Secrets,
    clock: Clock,
    lifetimes: TokenLifetimes,
    access_token_algorithm: SigningAlgorithm,
}

/// What a [`Mint`] is made of.
pub struct MintParts {
    /// The `iss` of everything.
    pub issuer: Issuer,
    /// The signing keys.
    pub ring: KeyRing,
    /// For refresh tokens.
    pub secrets: Secrets,
    /// For `iat` and `exp`.
    pub clock: Clock,
    /// How long tokens live.
    pub lifetimes: TokenLifetimes,
    /// What access tokens are signed with.
    pub access_token_algorithm: SigningAlgorithm,
}

impl Mint {
    /// Opens the mint.
    pub fn new(parts: MintParts) -> Self {
        let MintParts {
            issuer,
            ring,
            secrets,
            clock,
            lifetimes,
            access_token_algorithm,
        } = parts;
        Self {
            issuer,
            ring,
            secrets,
            clock,
            lifetimes,
            access_token_algorithm,
        }
    }

    /// The `iss` of everything.
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Mints everything that `authorization` entitles `client` to. The access token is bound to the `key` that the
    /// request has proven.
    pub fn mint(
        &self,
        client: &Client,
        authorization: &Authorization,
        key: Option<&Thumbprint>,
    ) -> Result<TokenSet, KeyError> {
        let now = self.clock.now();
        let access_token = self.access_token(client, authorization, key, now)?;
        let mut id_token = None;
        let mut refresh_token = None;
        if let Some(person) = &authorization.person {
            if authorization.scope.contains(scope::OPENID) {
                let companions = Companions {
                    access_token: Some(&access_token),
                    code: None,
                };
                id_token = Some(self.id_token(client, person, companions, now)?);
            }
            if let Some(generation) = person.refresh_generation {
                refresh_token = Some(refresh_token::write(
                    &self.secrets,
                    &person.family_id,
                    generation,
                )?);
            }
        }
        Ok(TokenSet {
            access_token,
            issued_token_type: authorization.exchanged.as_ref().map(|_| ACCESS_TOKEN_TYPE),
            token_type: if key.is_some() { SCHEME } else { "Bearer" },
            expires_in: self.access_token_end(authorization, now) - now,
            refresh_token,
            id_token,
            scope: authorization.scope.clone(),
        })
    }

    /// How long access tokens live, in seconds.
    pub const fn access_token_lifetime(&self) -> i64 {
        self.lifetimes.access_token
    }

    /// The public keys, as JSON.
    pub fn jwks(&self) -> String {
        self.ring.jwks(self.clock.now())
    }
}

impl From<KeyError> for OAuthError {
    fn from(error: KeyError) -> Self {
        Self::server_error(error)
    }
}
