//! Consent: read before the decision, widened after a yes.

use std::collections::BTreeSet;

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
        let consent = Consent {
            claims: self.claims_beyond(client, pending),
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
        let entry = self.answered(Event::Consented, client, pending, who);
        self.audit.record(entry.with("remembered", remembered));
        Ok(())
    }

    /// Leaves of the single claims that a request asks for those that its client may ask for at this moment, which is when its person
    /// agrees.
    pub fn keep_to_admitted(&self, client: &Client, pending: &mut PendingAuthorization) {
        let asked = std::mem::take(&mut pending.request.claims);
        pending.request.claims = disclosure::agreed(client, &self.scopes, asked);
    }

    /// Records a no. What the app is told of it is an error like others, and may be one too many to be recorded.
    pub fn declined(&self, client: &Client, pending: &PendingAuthorization, who: &LoggedIn) {
        let entry = self.answered(Event::ConsentDenied, client, pending, who);
        self.audit.record(entry);
    }

    /// The single claims that the request asks for, and that its scope does not open.
    pub fn claims_beyond(
        &self,
        client: &Client,
        pending: &PendingAuthorization,
    ) -> BTreeSet<String> {
        let request = &pending.request;
        let beyond = disclosure::beyond(client, &self.scopes, &request.claims, &request.scope);
        beyond.into_iter().map(ToOwned::to_owned).collect()
    }

    /// What a person was asked, and by whom.
    fn answered(
        &self,
        event: Event,
        client: &Client,
        pending: &PendingAuthorization,
        who: &LoggedIn,
    ) -> Entry {
        let request = &pending.request;
        let claims: Vec<String> = self.claims_beyond(client, pending).into_iter().collect();
        let claims = Some(claims.join(" ")).filter(|claims| !claims.is_empty());
        Entry::new(event)
            .client(&client.client_id)
            .account(&who.account.id)
            .session(&who.session.id)
            .with("scope", request.scope.to_string())
            .with("resources", request.resources.join(" "))
            .with("claims", claims)
    }
}
