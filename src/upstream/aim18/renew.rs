//! What is done with a login later on: its tokens renewed, the person looked at again.

use std::sync::Arc;

use async_trait::async_trait;

use super::call::Refused;
use super::settings::{ProfileLookup, ReadWith};
use super::token::Grant;
use super::{Aim18, profile, subject, uid_of};
use crate::protocol::claims::Profile;
use crate::protocol::error::BoxError;
use crate::upstream::outbound::spent;
use crate::upstream::{Known, LoginError, NoVerdict, Recheck, Renewal, UpstreamTokens};

/// Renews a person's tokens.
pub(super) struct Renew(pub(super) Arc<Aim18>);

#[async_trait]
impl Renewal for Renew {
    async fn renew(&self, tokens: &UpstreamTokens) -> Result<UpstreamTokens, LoginError> {
        let aim18 = &self.0;
        let gone = |why: &str| LoginError::BadCredentials(Some(why.into()));
        let ours = &aim18.settings.client_id;
        if tokens.application.as_ref().is_some_and(|of| of != ours) {
            return Err(gone("the tokens belong to another OAuth application"));
        }
        let refresh = tokens.refresh.as_ref();
        let refresh = refresh.ok_or_else(|| gone("aiM18 gave no refresh token"))?;
        let callback = &aim18.callback;
        let token = aim18
            .tokens
            .ask(&Grant::Refresh { refresh, callback })
            .await?;
        let told = token.uid.map(subject);
        if let (Some(told), Some(known)) = (&told, &tokens.subject)
            && told != known
        {
            return Err(spent(LoginError::Protocol(
                "the renewed token is somebody else's".into(),
            )));
        }
        let renewed = aim18.upstream_tokens(token);
        Ok(UpstreamTokens {
            // Whether they rotate is not documented: the newest that there is counts.
            refresh: renewed.refresh.or_else(|| tokens.refresh.clone()),
            subject: tokens.subject.clone().or(told),
            ..renewed
        })
    }
}

/// Looks at a person again.
pub(super) struct Look(pub(super) Arc<Aim18>);

#[async_trait]
impl Recheck for Look {
    async fn recheck(&self, person: &Known<'_>) -> Result<Profile, LoginError> {
        let aim18 = &self.0;
        let known = person.profile;
        let own = person.tokens.map(|tokens| &tokens.access);
        let Some(lookup) = &aim18.settings.profile else {
            let own = own.ok_or(NoVerdict::NoToken(NO_TOKEN))?;
            return match aim18.try_token(own).await {
                Ok(()) => Ok(known.clone()),
                Err(refused) => Err(verdict(refused)),
            };
        };
        let uid = uid_of(person.subject)
            .ok_or_else(|| LoginError::Protocol("the subject is none that aiM18 gives".into()))?;
        let asked = profile::Asked {
            uid,
            name: known.preferred_username.as_deref(),
            own,
        };
        if lookup.with == ReadWith::User && own.is_none() {
            return Err(NoVerdict::NoToken(NO_TOKEN).into());
        }
        // What was read of the person once can be read; so a record that is missing now has gone.
        let was_there = profile::tells_more_than_a_name(known);
        let found = match profile::record(aim18, lookup, &asked).await {
            Err(Refused::Missing(why)) if was_there && finds_itself(aim18, lookup).await? => {
                return Err(LoginError::NotAllowed(format!("the record is gone: {why}")));
            }
            answer => answer.map_err(verdict)?,
        };
        profile::check_active(lookup, &found)?;
        let mut profile = profile::profile(aim18, lookup, &found);
        if profile.preferred_username.is_none() {
            profile
                .preferred_username
                .clone_from(&known.preferred_username);
        }
        Ok(profile)
    }
}

const NO_TOKEN: &str = "a profile that is read with = \"service_account\" needs none";

/// Whether the service account is shown its own record by the way that showed no other one. A right that was lost, or a proxy that answers
/// in aiM18's place, looks like a record that is gone; so does what a person's own token does not show.
async fn finds_itself(aim18: &Arc<Aim18>, lookup: &ProfileLookup) -> Result<bool, LoginError> {
    if lookup.with != ReadWith::ServiceAccount {
        return Ok(false);
    }
    let own = aim18.service_token(None).await?;
    let Some(uid) = own.subject.as_deref().and_then(uid_of) else {
        return Ok(false);
    };
    let asked = profile::Asked {
        uid,
        name: None,
        own: None,
    };
    let read = profile::read(aim18, lookup, &asked, &own.access).await;
    match read {
        Err(Refused::Login(error)) => Err(error),
        found => Ok(found.is_ok()),
    }
}

/// What a refusal says about the person: of what is missing, nothing by itself.
fn verdict(refused: Refused) -> LoginError {
    let told = |text: String| -> BoxError { text.into() };
    match refused {
        Refused::Login(error) => error,
        // A token ends early, or with another login, too: whoever asks renews it first.
        Refused::Token(why) => NoVerdict::TokenRefused(why).into(),
        Refused::Missing(why) | Refused::Other(why) => LoginError::Protocol(told(why)),
    }
}
