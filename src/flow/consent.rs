//! Consent: read before the decision, widened after a yes.

use crate::model::audit::Event;
use crate::model::authorization::PendingAuthorization;
use crate::model::client::{Client, ConsentPolicy};
use crate::model::consent::Consent;
use crate::model::disclosure;
use crate::protocol::error::OAuthError;
use crate::telemetry::Entry;

use super::{Flow, LoggedIn};

impl Flow {
    /// What the person agreed to before; read only where the answer matters.
    pub async fn find_consent(
        &self,
        client: &Client,
        logged_in: Option<&LoggedIn>,
    ) -> Result<Option<Consent>, OAuthError> {
        match logged_in {
            Some(who) if client.consent == ConsentPolicy::Once => Ok(self
                .store
                .find_consent(&who.account.id, &client.client_id)
                .await?),
            _ => Ok(None),
        }
    }

    /// Records a yes, and remembers it where the client's policy is to ask once: to the scope, and to the single claims that were
    /// asked for besides.
    pub async fn agreed(
        &self,
        client: &Client,
        pending: &PendingAuthorization,
        who: &LoggedIn,
    ) -> Result<(), OAuthError> {
        let request = &pending.request;
        let beyond = disclosure::beyond(client, &self.scopes, &request.claims, &request.scope);
        let consent = Consent {
            claims: beyond.into_iter().map(ToOwned::to_owned).collect(),
            ..Consent::to(
                who.account.id.clone(),
                pending.client_id.clone(),
                request.scope.clone(),
                &request.resources,
                self.clock.now(),
            )
        };
        let remembered = client.consent == ConsentPolicy::Once;
        if remembered {
            self.store.widen_consent(&consent).await?;
        }
        let entry = Entry::new(Event::Consented)
            .client(&consent.client_id)
            .account(&consent.account_id)
            .session(&who.session.id)
            .with("scope", request.scope.to_string())
            .with("resources", request.resources.join(" "))
            .with("remembered", remembered);
        self.audit.record(entry);
        Ok(())
    }
}
