//! Whether somebody who came in earlier may still, and what is told of them now.

use std::sync::Arc;

use async_trait::async_trait;

use super::api::{ApiError, By};
use super::person::Records;
use super::profile::{self, MEMBERSHIP_STATUS};
use super::{Imis, SERVICE_ADVICE};
use crate::protocol::claims::Profile;
use crate::upstream::{Known, LoginError, NoVerdict, Recheck};

/// Asks anew who a person is.
pub(super) struct Again(pub(super) Arc<Imis>);

#[async_trait]
impl Recheck for Again {
    async fn recheck(&self, person: &Known<'_>) -> Result<Profile, LoginError> {
        let records = self.records(person).await?;
        // Where the claim is something else's, it says nothing about the record's status.
        if !self.0.settings().maps(MEMBERSHIP_STATUS) {
            refuse_ended(&records, person)?;
        }
        let own = person.tokens.map(|tokens| &tokens.access);
        self.0.profile(&records, own, Some(person.profile)).await
    }
}

impl Again {
    /// The records as they are now: read by the service account, which may read everybody, or with the person's token.
    async fn records(&self, person: &Known<'_>) -> Result<Records, LoginError> {
        let api = &self.0.api;
        let own = person.tokens.map(|tokens| &tokens.access);
        let refused = match &self.0.service {
            None => None,
            Some(service) => match api.identify_again(person, By::Service(service)).await {
                Ok(records) => return Ok(records),
                Err(ApiError::Login(error)) => return Err(error),
                Err(refused) => Some(refused),
            },
        };
        match (own, refused) {
            (Some(own), _) => {
                let found = api.identify_again(person, By::Own(own)).await;
                // A token that is not taken any more says nothing about the person.
                found.map_err(|refused| match refused {
                    ApiError::Unauthorized => NoVerdict::TokenRefused(refused.to_string()).into(),
                    other => other.into_login("with the person's own token"),
                })
            }
            (None, Some(refused)) => Err(refused.into_login(SERVICE_ADVICE)),
            (None, None) => Err(NoVerdict::NoToken(
                "configure a service_account with the role RemoteService, which may look everybody up",
            )
            .into()),
        }
    }
}

/// Refuses a record that has become inactive since the login. One that was so at the login already stays: iMIS let the
/// person in with it, so that they can renew a membership that lapsed.
fn refuse_ended(records: &Records, person: &Known<'_>) -> Result<(), LoginError> {
    let Some(status) = profile::status(&records.party).filter(|status| !status.active) else {
        return Ok(());
    };
    // Where nothing was told, nobody knows what it was before.
    match person.profile.more.get(MEMBERSHIP_STATUS) {
        Some(before) if before.as_str() != Some(&status.name) => Err(LoginError::NotAllowed(
            format!("the record's status has become {}", status.name),
        )),
        _ => Ok(()),
    }
}
