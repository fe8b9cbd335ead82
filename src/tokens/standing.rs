//! Whether an access token of ours still stands: at our own endpoints a logout, a replay or a closed account ends it at
//! once, however long it would still live at an API that checks it by itself.

use crate::model::account::Account;
use crate::model::client::Client;
use crate::model::family::TokenFamily;
use crate::protocol::claims::AccessTokenClaims;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::ClientId;
use crate::protocol::token::GrantType;

use super::{Mint, subject};

/// What stands behind a token that was read and found current.
pub struct Standing {
    /// The client that it was given to, as registered now.
    pub client: Client,
    /// The person, as the login tells about them that their session began with, and the token's family; `None`: the client
    /// acts for itself.
    pub person: Option<(Account, TokenFamily)>,
}

impl Mint {
    /// Who stands behind an access token; `None` when the client is gone or may act for itself no more, or when the token's
    /// family, session or account has ended.
    pub async fn standing(
        &self,
        claims: &AccessTokenClaims,
    ) -> Result<Option<Standing>, OAuthError> {
        let Some(client) = self.registered(&claims.client_id).await? else {
            return Ok(None);
        };
        let Some(family_id) = &claims.family else {
            let acts = client.grant_types.contains(&GrantType::ClientCredentials);
            return Ok(acts.then_some(Standing {
                client,
                person: None,
            }));
        };
        let Some(family) = self.store.find_family(family_id).await? else {
            return Ok(None);
        };
        if family.client_id != claims.client_id {
            return Ok(None);
        }
        let Some(account) = self.person_of(&family).await? else {
            return Ok(None);
        };
        let subject = subject::for_client(&self.secrets, &client, &account)?;
        Ok((subject.as_str() == claims.sub).then_some(Standing {
            client,
            person: Some((account, family)),
        }))
    }

    /// The client of that name, while it is registered.
    pub async fn registered(&self, id: &ClientId) -> Result<Option<Client>, OAuthError> {
        let stored = self.store.find_client(id).await?;
        Ok(stored.map(|stored| stored.client))
    }

    /// The person whom a family belongs to, while it, its session and the account stand. A family with `offline_access`
    /// outlives its session.
    pub async fn person_of(&self, family: &TokenFamily) -> Result<Option<Account>, OAuthError> {
        let now = self.clock.now();
        if !family.is_live(now) {
            return Ok(None);
        }
        let session_id = &family.authentication.session_id;
        if !family.offline {
            let session = self.store.find_session(session_id).await?;
            if !session.is_some_and(|session| session.is_live(now, self.session_lifetime)) {
                return Ok(None);
            }
        }
        // The session's row stays as long as a family names it, ended or not.
        let account = self.store.find_account_of_session(session_id).await?;
        Ok(account.filter(|account| account.id == family.account_id && account.is_open()))
    }
}
