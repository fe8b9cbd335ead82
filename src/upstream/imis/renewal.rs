//! New tokens for old ones, by the refresh grant of a client application.

use std::sync::Arc;

use async_trait::async_trait;

use super::api::nonsense;
use super::{Imis, person};
use crate::upstream::outbound::spent;
use crate::upstream::{LoginError, Renewal, UpstreamTokens};

/// Renews what a login gave.
pub(super) struct Renew(pub(super) Arc<Imis>);

#[async_trait]
impl Renewal for Renew {
    /// Asks once: some versions take a refresh token once only, and whether a lost answer spent it nobody knows.
    async fn renew(&self, tokens: &UpstreamTokens) -> Result<UpstreamTokens, LoginError> {
        let gone = |why: &str| LoginError::BadCredentials(Some(why.into()));
        let refresh = tokens.refresh.as_ref().ok_or_else(|| {
            gone("iMIS gave no refresh token, so that only a new login gives a new access token")
        })?;
        let name = tokens.application.as_deref();
        let application = name
            .and_then(|name| self.0.application(name))
            .ok_or_else(|| {
                gone(
                    "no client application is configured that could renew the tokens; \
                     for those of password logins that is renew_with",
                )
            })?;
        let asked = self.0.clock.now();
        let token = self.0.tokens.refresh(application, refresh).await?;
        if let Some(name) = &token.user_name {
            person::refuse_guest(name.trim())?;
        }
        let renewed = token.into_tokens(asked, tokens.application.clone());
        // Not every version tells a name. iMIS takes user names in any letter case.
        let names = tokens.subject.as_deref().zip(renewed.subject.as_deref());
        if names.is_some_and(|(known, told)| known.to_lowercase() != told.to_lowercase()) {
            return Err(spent(nonsense("the renewed token is somebody else's")));
        }
        Ok(UpstreamTokens {
            subject: renewed.subject.or_else(|| tokens.subject.clone()),
            ..renewed
        })
    }
}
