//! Access tokens: JWTs for APIs to verify by themselves (RFC 9068), or random text that only we can read.

use crate::clock::{UnixTime, random_id, random_token};
use crate::keys::Purpose;
use crate::model::authorization::Authorization;
use crate::model::client::Client;
use crate::model::resource::Target;
use crate::protocol::claims::{AccessTokenClaims, Audience};
use crate::protocol::dpop::{Confirmation, Thumbprint};
use crate::protocol::error::OAuthError;
use crate::protocol::jws::TokenKind;
use crate::protocol::token::{AccessTokenFormat, OPAQUE_PREFIX};

use super::Mint;

impl Mint {
    pub(super) async fn access_token(
        &self,
        client: &Client,
        authorization: &Authorization,
        key: Option<&Thumbprint>,
        target: Target,
        now: UnixTime,
    ) -> Result<String, OAuthError> {
        let exchanged = authorization.exchanged.as_ref();
        let person = authorization.person.as_ref();
        let claims = AccessTokenClaims {
            iss: self.issuer.clone(),
            sub: person.map_or_else(
                || client.client_id.to_string(),
                |person| person.subject.to_string(),
            ),
            aud: Audience::new(target.audience),
            exp: self.access_token_end(authorization, now),
            iat: now,
            jti: random_id(),
            client_id: client.client_id.clone(),
            scope: Some(target.scope).filter(|scope| !scope.is_empty()),
            auth_time: person.map(|person| person.authentication.auth_time),
            acr: person.and_then(|person| person.authentication.acr.clone()),
            sid: person.map(|person| person.authentication.session_id.clone()),
            family: person.map(|person| person.family_id.clone()),
            within_session: authorization.within_session,
            cnf: key.map(|key| Confirmation { jkt: key.clone() }),
            family_client: exchanged.map(|exchanged| exchanged.family_client.clone()),
            act: exchanged.and_then(|exchanged| exchanged.actor.clone()),
        };
        match target.format {
            AccessTokenFormat::Jwt => {
                let algorithm = target.algorithm.unwrap_or(self.default_algorithm);
                let kind = TokenKind::AccessToken;
                Ok(self.sign(kind, algorithm, &claims, now).await?)
            }
            AccessTokenFormat::Opaque => {
                let token = format!("{OPAQUE_PREFIX}{}", random_token());
                let hash = self.secrets.hash(Purpose::AccessToken, &token)?;
                self.store.insert_access_token(&hash, &claims).await?;
                Ok(token)
            }
        }
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
}
