//! Access tokens: JWTs for APIs to verify by themselves (RFC 9068), or random text that only we can read.

use crate::clock::{UnixTime, random_id, random_token};
use crate::keys::Purpose;
use crate::model::authorization::Authorization;
use crate::model::client::Client;
use crate::protocol::claims::{AccessTokenClaims, Audience};
use crate::protocol::error::OAuthError;
use crate::protocol::jws::TokenKind;
use crate::protocol::scope;
use crate::protocol::token::{AccessTokenFormat, OPAQUE_PREFIX};

use super::Mint;

impl Mint {
    pub(super) async fn access_token(
        &self,
        client: &Client,
        authorization: &Authorization,
        now: UnixTime,
    ) -> Result<String, OAuthError> {
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
            aud: Audience::new(audience),
            exp: now + self.lifetimes.access_token,
            iat: now,
            jti: random_id(),
            client_id: client.client_id.clone(),
            scope: Some(authorization.scope.clone()).filter(|scope| !scope.is_empty()),
            auth_time: person.map(|person| person.authentication.auth_time),
            sid: person.map(|person| person.authentication.session_id.clone()),
            family: person.map(|person| person.family_id.clone()),
        };
        match client.access_token_format {
            AccessTokenFormat::Jwt => {
                let registered = client.access_token_signed_response_alg;
                let algorithm = registered.unwrap_or(self.default_algorithm);
                let kind = TokenKind::AccessToken;
                Ok(self.ring.sign(kind, algorithm, &claims, now)?)
            }
            AccessTokenFormat::Opaque => {
                let token = format!("{OPAQUE_PREFIX}{}", random_token());
                let hash = self.secrets.hash(Purpose::AccessToken, &token)?;
                self.store.insert_access_token(&hash, &claims).await?;
                Ok(token)
            }
        }
    }
}
