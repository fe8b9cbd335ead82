//! Access tokens: JWTs for APIs to verify by themselves (RFC 9068).

use crate::clock::{SKEW, UnixTime, random_id};
use crate::keys::{KeyError, TokenRefused};
use crate::model::authorization::Authorization;
use crate::model::client::Client;
use crate::protocol::claims::{AccessTokenClaims, Audience};
use crate::protocol::dpop::{Confirmation, Thumbprint};
use crate::protocol::jws::TokenKind;
use crate::protocol::scope;

use super::Mint;

impl Mint {
    pub(super) fn access_token(
        &self,
        client: &Client,
        authorization: &Authorization,
        key: Option<&Thumbprint>,
        now: UnixTime,
    ) -> Result<String, KeyError> {
        let exchanged = authorization.exchanged.as_ref();
        // Userinfo and the gateway are APIs of ours; a token that may ask one names us beside the client's own APIs. With
        // neither, we are the default resource (RFC 9068 section 3).
        let ours = authorization.scope.contains(scope::OPENID)
            || !client.upstream_apis.is_empty()
            || client.audience.is_empty();
        let audience = client
            .audience
            .iter()
            .cloned()
            .chain(ours.then(|| self.issuer.to_string()));
        let person = authorization.person.as_ref();
        let claims = AccessTokenClaims {
            iss: self.issuer.clone(),
            sub: person.map_or_else(
                || client.client_id.to_string(),
                |person| person.subject.to_string(),
            ),
            aud: match exchanged {
                Some(exchanged) => Audience::One(exchanged.audience.clone()),
                None => Audience::new(audience),
            },
            exp: self.access_token_end(authorization, now),
            iat: now,
            jti: random_id(),
            client_id: client.client_id.clone(),
            scope: Some(authorization.scope.clone()).filter(|scope| !scope.is_empty()),
            auth_time: person.map(|person| person.authentication.auth_time),
            acr: person.and_then(|person| person.authentication.acr.clone()),
            sid: person.map(|person| person.authentication.session_id.clone()),
            family: person.map(|person| person.family_id.clone()),
            cnf: key.map(|key| Confirmation { jkt: key.clone() }),
            family_client: exchanged.map(|exchanged| exchanged.family_client.clone()),
            act: exchanged.and_then(|exchanged| exchanged.actor.clone()),
        };
        self.ring.sign(
            TokenKind::AccessToken,
            self.access_token_algorithm,
            &claims,
            now,
        )
    }

    /// When an access token ends that is made now.
    pub(super) fn access_token_end(
        &self,
        authorization: &Authorization,
        now: UnixTime,
    ) -> UnixTime {
        let latest = authorization
            .exchanged
            .as_ref()
            .map(|exchanged| exchanged.ends);
        let end = now + self.lifetimes.access_token;
        latest.map_or(end, |latest| latest.min(end))
    }

    /// Reads an access token that was sent to an endpoint of ours: signature, kind, issuer, audience and times.
    /// Whether its family still stands is for the caller to ask the store.
    pub fn read_access_token(&self, token: &str) -> Result<AccessTokenClaims, TokenRefused> {
        let claims = self.read_issued_token(token)?;
        if claims.aud.contains(self.issuer.as_str()) {
            Ok(claims)
        } else {
            Err(TokenRefused)
        }
    }

    /// The same for one that is not used here but shown to its issuer, for whatever API it is (RFC 8693 section 2.1).
    pub fn read_issued_token(&self, token: &str) -> Result<AccessTokenClaims, TokenRefused> {
        let now = self.clock.now();
        let claims: AccessTokenClaims = self.ring.verify(TokenKind::AccessToken, token, now)?;
        let current = claims.iat <= now + SKEW && now < claims.exp;
        if current && claims.iss == self.issuer {
            Ok(claims)
        } else {
            Err(TokenRefused)
        }
    }
}
