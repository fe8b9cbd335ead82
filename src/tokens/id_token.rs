//! ID tokens (OpenID Connect Core sections 2, 3.1.3.6, 3.2.2.10 and 3.3.2.11).

use serde_json::Value;

use crate::clock::UnixTime;
use crate::keys::{KeyError, TokenRefused};
use crate::model::authorization::Person;
use crate::model::client::Client;
use crate::protocol::claims::IdTokenClaims;
use crate::protocol::jws::{self, TokenKind, half_hash};

use super::Mint;

/// What an ID token comes with in the same answer, and vouches for.
#[derive(Clone, Copy, Default)]
pub(super) struct Companions<'a> {
    /// The access token: `at_hash` (Core sections 3.1.3.6, 3.2.2.10 and 3.3.2.11).
    pub(super) access_token: Option<&'a str>,
    /// The code: `c_hash` (Core section 3.3.2.11).
    pub(super) code: Option<&'a str>,
}

impl Mint {
    pub(super) async fn id_token(
        &self,
        client: &Client,
        person: &Person,
        companions: Companions<'_>,
        now: UnixTime,
    ) -> Result<String, KeyError> {
        let wanted = client.id_token_signed_response_alg;
        let algorithm = self.ring.algorithm_in_force(wanted, now);
        let hashed = |companion: Option<&str>| companion.map(|text| half_hash(algorithm, text));
        let claims = IdTokenClaims {
            iss: self.issuer.clone(),
            sub: person.subject.to_string(),
            aud: client.client_id.clone(),
            exp: now + self.lifetimes.id_token,
            iat: now,
            auth_time: person.authentication.auth_time,
            nonce: person.nonce.clone(),
            at_hash: hashed(companions.access_token),
            c_hash: hashed(companions.code),
            acr: person.authentication.acr.clone(),
            amr: person.authentication.amr.clone(),
            sid: Some(person.authentication.session_id.clone()),
            more: person.claims.clone(),
        };
        let kind = TokenKind::IdToken;
        self.ring.sign_in_turn(kind, algorithm, &claims, now).await
    }

    /// Whether `token` calls itself ours, and names a key that is not here: that of an old ID token may have gone, by itself or at
    /// once after a leak. Nothing else that it says may be believed.
    pub fn has_lost_the_key_of(&self, token: &str) -> bool {
        let Some((header, claims)) = jws::unverified(token) else {
            return false;
        };
        let text = |from: &Value, name: &str| from.get(name)?.as_str().map(ToOwned::to_owned);
        text(&claims, "iss").as_deref() == Some(self.issuer.as_str())
            && text(&header, "kid").is_some_and(|kid| !self.ring.has(&kid, self.clock.now()))
    }

    /// Reads an `id_token_hint`: one of our ID tokens, whose end may have passed (OpenID Connect Core section 3.1.2.1,
    /// RP-Initiated Logout section 2), signed by a key that we still publish.
    pub fn read_id_token_hint(&self, token: &str) -> Result<IdTokenClaims, TokenRefused> {
        let now = self.clock.now();
        let claims: IdTokenClaims = self.ring.verify(TokenKind::IdToken, token, now)?;
        if claims.iss == self.issuer {
            Ok(claims)
        } else {
            Err(TokenRefused)
        }
    }
}
