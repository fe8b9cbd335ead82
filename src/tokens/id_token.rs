//! ID tokens (OpenID Connect Core sections 2, 3.1.3.6 and 3.3.2.11).

use crate::clock::UnixTime;
use crate::keys::{KeyError, TokenRefused};
use crate::model::authorization::Person;
use crate::model::client::Client;
use crate::protocol::claims::IdTokenClaims;
use crate::protocol::jws::{TokenKind, half_hash};

use super::Mint;

/// What an ID token comes with, and vouches for.
#[derive(Clone, Copy)]
pub(super) enum Companion<'a> {
    /// The access token of the same answer.
    AccessToken(&'a str),
    /// The code of the same answer.
    Code(&'a str),
}

impl Mint {
    /// The ID token that travels through the browser beside `code`.
    pub fn id_token_for_code(
        &self,
        client: &Client,
        person: &Person,
        code: &str,
    ) -> Result<String, KeyError> {
        let now = self.clock.now();
        self.id_token(client, person, Companion::Code(code), now)
    }

    pub(super) fn id_token(
        &self,
        client: &Client,
        person: &Person,
        companion: Companion<'_>,
        now: UnixTime,
    ) -> Result<String, KeyError> {
        let wanted = client.id_token_signed_response_alg;
        let algorithm = self.ring.algorithm_in_force(wanted, now);
        let (at_hash, c_hash) = match companion {
            Companion::AccessToken(token) => (Some(half_hash(algorithm, token)), None),
            Companion::Code(code) => (None, Some(half_hash(algorithm, code))),
        };
        let claims = IdTokenClaims {
            iss: self.issuer.clone(),
            sub: person.subject.to_string(),
            aud: client.client_id.clone(),
            exp: now + self.lifetimes.id_token,
            iat: now,
            auth_time: person.authentication.auth_time,
            nonce: person.nonce.clone(),
            at_hash,
            c_hash,
            amr: person.authentication.amr.clone(),
            sid: Some(person.authentication.session_id.clone()),
            more: person.claims.clone(),
        };
        self.ring.sign(TokenKind::IdToken, algorithm, &claims, now)
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
