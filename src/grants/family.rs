//! What all grants share that begin with a login: the family that they make, and what it entitles to.

use crate::model::account::Account;
use crate::model::audit::Event;
use crate::model::authorization::{Authorization, Person};
use crate::model::client::Client;
use crate::model::disclosure::Disclosure;
use crate::model::family::{FamilyGrant, TokenFamily};
use crate::model::resource::Aim;
use crate::model::session::Authentication;
use crate::protocol::claims_request::ClaimsRequest;
use crate::protocol::dpop::Thumbprint;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::{AccountId, ClientId, FamilyId};
use crate::protocol::scope::Scope;
use crate::store::{Redemption, Standing};
use crate::telemetry::{self, Entry};
use crate::tokens::subject;

use super::Grants;

/// A login that is to begin a family, and what the person agreed to.
pub(super) struct Agreed<'a> {
    /// The name that the family is to have.
    pub(super) family_id: FamilyId,
    /// The person.
    pub(super) account_id: &'a AccountId,
    /// Their login.
    pub(super) authentication: Authentication,
    /// What the client may have.
    pub(super) scope: &'a Scope,
    /// The claims that it asked for by name.
    pub(super) claims: ClaimsRequest,
    /// The resources that it named.
    pub(super) resources: Vec<String>,
}

impl Grants {
    /// The person as they are known now, of whom a login is to begin `family`. Asks all that T15 wants; nothing is spent or kept
    /// yet.
    pub(super) async fn person_of(
        &self,
        client: &Client,
        family: &TokenFamily,
        agreed: &Scope,
        standing: Option<Standing>,
    ) -> Result<Account, OAuthError> {
        let (account_id, login) = (&family.account_id, &family.authentication);
        let account = match standing {
            None => self.account_for(client, account_id, login).await?,
            standing => self.account_of(client, account_id, login, standing).await?,
        };
        if family.scope.is_empty() && !agreed.is_empty() {
            return Err(OAuthError::invalid_grant(
                "all of this was withdrawn from this client",
            ));
        }
        Ok(account)
    }

    /// The family that a login is to begin. A public client's refresh tokens are bound to `key`.
    pub(super) fn family_of(
        &self,
        client: &Client,
        key: Option<&Thumbprint>,
        agreed: Agreed<'_>,
    ) -> TokenFamily {
        let now = self.clock.now();
        // What was withdrawn since the person agreed is not given (T17).
        let scope = agreed.scope.narrowed_to(&client.scope);
        let generation = client.gets_refresh_token().then_some(0);
        // Without refresh tokens nothing is left of it after its access token, and nothing caps how many there are.
        let expires_at = match generation {
            Some(_) => now + self.family_lifetime.absolute,
            None => self.mint.sole_token_end(now),
        };
        TokenFamily {
            id: agreed.family_id,
            client_id: client.client_id.clone(),
            account_id: agreed.account_id.clone(),
            authentication: agreed.authentication,
            offline: client.is_offline(&scope),
            scope,
            claims: agreed.claims,
            resources: agreed.resources,
            generation,
            created_at: now,
            rotated_at: now,
            expires_at,
            revoked_at: None,
            jkt: client
                .binds_refresh_tokens()
                .then(|| key.cloned())
                .flatten(),
            bound_generation: None,
            bound_at: None,
            recipient: telemetry::recipient(),
        }
    }

    /// What came of spending a code of that kind: whether it has begun `family`. Its replay has ended what it gave, and is told.
    pub(super) async fn has_begun(
        &self,
        redemption: Redemption,
        family: &TokenFamily,
        (kind, replayed): (&'static str, Event),
    ) -> bool {
        match redemption {
            Redemption::Redeemed(ended) => {
                self.note_capped(family, ended);
                true
            }
            Redemption::Replayed => {
                self.metrics.replayed(kind);
                self.record_replay(replayed, family).await;
                false
            }
            Redemption::Gone => false,
        }
    }

    /// Records what a person had too many of, and what has ended as `newest` began (T22).
    pub(super) fn note_capped(&self, newest: &TokenFamily, ended: Vec<(FamilyId, ClientId)>) {
        for (id, client) in ended {
            let entry = Entry::new(Event::FamilyCapped)
                .client(&client)
                .account(&newest.account_id)
                .family(&id);
            self.audit.record(entry);
        }
    }

    /// Notes that the end of the family's session is to be told to the client, if it wants to hear of it: nobody was sent to it
    /// by a browser, which is where this is noted otherwise, or the note has gone since. Whether the session stands, what begins the
    /// family says.
    pub(super) async fn note_told(
        &self,
        client: &Client,
        family: &TokenFamily,
    ) -> Result<(), OAuthError> {
        if client.logout.is_told() {
            let session = &family.authentication.session_id;
            let noted = self.store.note_session_client(session, &client.client_id);
            noted.await?;
        }
        Ok(())
    }

    /// Records that what is good once was used again, and beside who did, who was given tokens of the family last: one of
    /// the two is a thief.
    pub(super) async fn record_replay(&self, event: Event, family: &TokenFamily) {
        // As it is kept: `family` may be the one that the replay would have begun. The replay is acted on, and told, whatever
        // becomes of this.
        let kept = self.store.find_family(&family.id).await.ok().flatten();
        let last = kept.map(|kept| kept.recipient).unwrap_or_default();
        let entry = family_entry(event, family)
            .with("last_address", last.address)
            .with("last_user_agent", last.user_agent);
        self.audit.record(entry);
    }

    /// What a family that has just begun entitles its client to.
    pub(super) fn authorization(
        &self,
        client: &Client,
        family: TokenFamily,
        account: Account,
        nonce: Option<String>,
        aim: Aim,
    ) -> Result<Authorization, OAuthError> {
        let subject = subject::for_client(&self.secrets, client, &account)?;
        let claims = Disclosure {
            client,
            scopes: &self.scopes,
            subject: &subject,
            account: &account,
            authentication: &family.authentication,
            asked: &family.claims,
        }
        .in_id_token();
        Ok(Authorization {
            within_session: false,
            client_id: family.client_id,
            scope: family.scope,
            aim,
            exchanged: None,
            person: Some(Person {
                claims,
                subject,
                account_id: account.id,
                authentication: family.authentication,
                nonce,
                family_id: family.id,
                refresh_generation: family.generation,
            }),
        })
    }
}

/// What is recorded about a family: whose it is, and with which client.
pub(super) fn family_entry(event: Event, family: &TokenFamily) -> Entry {
    let (id, client, account) = (&family.id, &family.client_id, &family.account_id);
    entry(event, id, client, account, &family.authentication)
}

/// The same where a token of it was looked at.
pub(super) fn grant_entry(event: Event, family: &FamilyGrant) -> Entry {
    let (id, client, account) = (&family.id, &family.client_id, &family.account_id);
    entry(event, id, client, account, &family.authentication)
}

fn entry(
    event: Event,
    id: &FamilyId,
    client: &ClientId,
    account: &AccountId,
    login: &Authentication,
) -> Entry {
    Entry::new(event)
        .client(client)
        .account(account)
        .upstream(&login.upstream)
        .session(&login.session_id)
        .family(id)
}
