//! Mints: what a grant has proven becomes tokens. Nothing here decides whether somebody may have them; [`standing`] finds
//! what an access token still stands for.

pub mod access_token;
pub mod front_channel;
pub mod id_token;
pub mod introspection;
pub mod logout_token;
pub mod possession;
pub mod presented;
pub mod refresh_token;
pub mod standing;
pub mod subject;
pub mod userinfo;

use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;

use crate::clock::{ANSWERED_WITHIN, Clock, SKEW, UnixTime};
use crate::keys::{KeyError, KeyRing, Secrets};
use crate::model::authorization::Authorization;
use crate::model::client::Client;
use crate::model::resource::{Aim, Resources, Target};
use crate::protocol::dpop::{SCHEME, Thumbprint};
use crate::protocol::error::OAuthError;
use crate::protocol::issuer::Issuer;
use crate::protocol::jws::{SigningAlgorithm, TokenKind};
use crate::protocol::scope::{self, Scope};
use crate::protocol::token::{ACCESS_TOKEN_TYPE, TokenSet};
use crate::store::Store;

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
pub struct Mint(Arc<MintParts>);

/// What a [`Mint`] is made of.
pub struct MintParts {
    /// Where opaque tokens are kept, and what was revoked.
    pub store: Store,
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
    /// What is signed with where nobody has asked for another algorithm.
    pub default_algorithm: SigningAlgorithm,
    /// The APIs that tokens are for.
    pub resources: Resources,
}

impl Mint {
    /// Opens the mint.
    pub fn new(parts: MintParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Mints everything that `authorization` entitles `client` to. The access token is bound to the `key` that the
    /// request has proven.
    pub async fn mint(
        &self,
        client: &Client,
        authorization: &Authorization,
        key: Option<&Thumbprint>,
    ) -> Result<TokenSet, OAuthError> {
        let now = self.clock.now();
        let target = self.target(client, &authorization.scope, &authorization.aim)?;
        let scope = target.scope.clone();
        let access_token = self
            .access_token(client, authorization, key, target, now)
            .await?;
        let mut id_token = None;
        let mut refresh_token = None;
        if let Some(person) = &authorization.person {
            if authorization.scope.contains(scope::OPENID) {
                let companions = Companions {
                    access_token: Some(&access_token),
                    code: None,
                };
                id_token = Some(self.id_token(client, person, companions, now).await?);
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
            scope,
        })
    }

    /// Signs with the algorithm that `wanted` comes to now.
    async fn sign(
        &self,
        kind: TokenKind,
        wanted: SigningAlgorithm,
        claims: &(impl Serialize + Sync),
        now: UnixTime,
    ) -> Result<String, KeyError> {
        let algorithm = self.ring.algorithm_in_force(wanted, now);
        self.ring.sign_in_turn(kind, algorithm, claims, now).await
    }

    /// What an access token is to be. Asked before anything is spent, too: this may refuse.
    pub fn target(
        &self,
        client: &Client,
        granted: &Scope,
        aim: &Aim,
    ) -> Result<Target, OAuthError> {
        self.resources.target(client, granted, aim)
    }

    /// The APIs that tokens are for.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// The `iss` of everything.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// When a family ends that a request of `now` begins for one access token alone: not before that, which is made once an upstream
    /// and the database have answered.
    pub fn sole_token_end(&self, now: UnixTime) -> UnixTime {
        now + ANSWERED_WITHIN + self.lifetimes.access_token + SKEW
    }

    /// The public keys, as JSON.
    pub fn jwks(&self) -> Arc<str> {
        self.ring.jwks(self.clock.now())
    }
}

impl Deref for Mint {
    type Target = MintParts;

    fn deref(&self) -> &MintParts {
        &self.0
    }
}

impl From<KeyError> for OAuthError {
    fn from(error: KeyError) -> Self {
        Self::server_error(error)
    }
}
