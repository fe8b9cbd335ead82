//! Introspection (RFC 7662): whether a token is good, told to those whom it concerns: the client that it was given to, and
//! the client that stands for an API that it is for. To everybody else it is not active, whatever it is.

use serde_json::Value;

use crate::model::client::Client;
use crate::model::family::Spend;
use crate::protocol::client_auth::invalid_client;
use crate::protocol::error::OAuthError;
use crate::protocol::introspection::Introspection;
use crate::protocol::scope;
use crate::protocol::token::GrantType;
use crate::store::BehindFamily;
use crate::tokens::presented::IssuedToken;
use crate::tokens::standing::Ended;
use crate::tokens::{refresh_token, subject};

use super::{Grants, PresentedToken};

impl Grants {
    /// What `asking` may know of a token. Nothing is spent or ended by looking.
    pub async fn introspect(
        &self,
        asking: &Client,
        token: &PresentedToken,
    ) -> Result<Introspection, OAuthError> {
        // Section 4: whoever can prove nothing could otherwise try which tokens are good.
        if asking.is_public() {
            return Err(invalid_client(
                "introspection is for clients that can keep a secret",
            ));
        }
        let found = match refresh_token::read(&self.secrets, token.expose())? {
            Some((id, generation)) => {
                let behind = self.store.find_behind(&id, None).await?;
                let own = behind.filter(|behind| behind.family.client_id == asking.client_id);
                own.map(|behind| self.look_at_refresh_token(asking, behind, generation))
                    .transpose()?
                    .flatten()
            }
            None => self.look_at_access_token(asking, token).await?,
        };
        Ok(found.unwrap_or_else(Introspection::inactive))
    }

    async fn look_at_access_token(
        &self,
        asking: &Client,
        token: &PresentedToken,
    ) -> Result<Option<Introspection>, OAuthError> {
        let Some(IssuedToken { claims, seen }) =
            self.mint.read_issued_token(token.expose()).await?
        else {
            return Ok(None);
        };
        let own = claims.client_id == asking.client_id;
        let stood_for = self
            .mint
            .resources()
            .stood_for(&asking.client_id, &claims.aud);
        if !own && stood_for.is_empty() {
            return Ok(None);
        }
        let Some(behind) = Ended::or_error(self.access_tokens.behind(&claims, seen).await)? else {
            return Ok(None);
        };
        // As at the gateway: a client that may act for itself no more has no good tokens of its own.
        let acts_for_itself = GrantType::ClientCredentials;
        if behind.person.is_none() && !behind.client.grant_types.contains(&acts_for_itself) {
            return Ok(None);
        }
        if !behind.is_allowed() {
            return Ok(None);
        }
        // What was withdrawn since does not count any more (T17).
        let mut scope = behind.scope_left(&claims.scope.clone().unwrap_or_default());
        if !own {
            // What the token opens elsewhere is not this API's business.
            scope = self.mint.resources().scope_seen(&stood_for, &scope);
        }
        let username = behind
            .person
            .filter(|_| scope.contains(scope::PROFILE))
            .and_then(|person| person.account.profile.preferred_username);
        Ok(Some(
            Introspection::of_access_token(&claims, &scope).with_username(username),
        ))
    }

    fn look_at_refresh_token(
        &self,
        asking: &Client,
        behind: BehindFamily,
        generation: i64,
    ) -> Result<Option<Introspection>, OAuthError> {
        let now = self.clock.now();
        let spend = behind
            .family
            .span
            .spend(generation, now, self.family_lifetime);
        if let Spend::Replay | Spend::Ended = spend {
            return Ok(None);
        }
        let Some(person) = Ended::or_error(self.access_tokens.standing(behind))? else {
            return Ok(None);
        };
        // What a refresh would refuse now is no good token, and tells nothing about the person (T15, T17).
        let scope = person.family.scope.narrowed_to(&asking.scope);
        let withdrawn = !asking.gets_refresh_token()
            || (scope.is_empty() && !person.family.scope.is_empty())
            || (person.family.offline && !scope.contains(scope::OFFLINE_ACCESS));
        if withdrawn || !person.may_use(asking) {
            return Ok(None);
        }
        let (account, family) = (person.account, person.family);
        let sub = subject::for_client(&self.secrets, asking, &account)?;
        let span = family.span;
        let ends = span
            .expires_at
            .min(span.rotated_at + self.family_lifetime.idle);
        let username = account
            .profile
            .preferred_username
            .filter(|_| scope.contains(scope::PROFILE));
        let login = &family.authentication;
        let told = [
            ("iss", Value::from(self.mint.issuer().as_str())),
            ("sub", sub.as_str().into()),
            ("client_id", asking.client_id.as_str().into()),
            ("scope", scope.to_string().into()),
            ("iat", span.rotated_at.into()),
            ("exp", ends.into()),
            ("auth_time", login.auth_time.into()),
            ("sid", login.session_id.as_str().into()),
        ];
        Ok(Some(Introspection::active(told).with_username(username)))
    }
}
