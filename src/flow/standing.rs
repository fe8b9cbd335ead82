//! Whether an access token of ours still stands: at our own endpoints a logout, a replay or a closed account ends it at
//! once, however long it would still live at an API that checks it by itself.

use crate::model::account::Account;
use crate::model::family::TokenFamily;
use crate::protocol::claims::AccessTokenClaims;
use crate::protocol::error::OAuthError;

use crate::tokens::subject;

use super::Flow;

impl Flow {
    /// The person behind a token that was read and found current, as the login tells about them that its session began
    /// with, and the token's family; unless that, its session or the account has ended. A family with `offline_access`
    /// outlives its session.
    pub async fn person_behind(
        &self,
        claims: &AccessTokenClaims,
    ) -> Result<Option<(Account, TokenFamily)>, OAuthError> {
        let now = self.clock.now();
        let Some(family_id) = &claims.family else {
            return Ok(None);
        };
        let family = self.store.find_family(family_id).await?;
        let family = family
            .filter(|family| family.is_live(now) && family.client_id == *claims.family_client());
        let Some(family) = family else {
            return Ok(None);
        };
        if !family.offline {
            let session_id = &family.authentication.session_id;
            let session = self.store.find_session(session_id).await?;
            if !session.is_some_and(|session| session.is_live(now, self.session_lifetime)) {
                return Ok(None);
            }
        }
        let Some(stored) = self.store.find_client(&claims.client_id).await? else {
            return Ok(None);
        };
        // The session's row stays as long as a family names it, ended or not.
        let account = self
            .store
            .find_account_of_session(&family.authentication.session_id)
            .await?
            .filter(|account| account.id == family.account_id && account.is_open());
        let Some(account) = account else {
            return Ok(None);
        };
        let subject = subject::for_client(&self.secrets, &stored.client, &account)?;
        Ok((subject.as_str() == claims.sub).then_some((account, family)))
    }
}
