//! Before a session serves one more client: whether its person is still who they were.

use crate::model::authorization::PendingAuthorization;
use crate::model::client::Client;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::recheck::NotStanding;

use super::{Flow, LoggedIn};

impl Flow {
    /// Who is logged in, as their upstream knows them now. `None`: they have to log in again, and `pending` remembers that
    /// this session does not do for it. Where nothing may be shown, an upstream that does not answer is an error for the
    /// client.
    pub async fn confirm(
        &self,
        client: &Client,
        pending: &mut PendingAuthorization,
        who: &LoggedIn,
    ) -> Result<Option<LoggedIn>, OAuthError> {
        if pending.logged_in.as_ref() == Some(&who.session.id) {
            return Ok(Some(who.clone()));
        }
        let (session, account) = (&who.session.id, who.account.clone());
        let standing = match who.known.clone() {
            // Read by this request.
            Some(known) => {
                self.rechecks
                    .standing_as(client, session, account, Some(known))
                    .await
            }
            None => self.rechecks.standing(client, session, account).await,
        };
        match standing {
            Ok(account) => Ok(Some(LoggedIn {
                account,
                ..who.clone()
            })),
            Err(error @ NotStanding::Failed(_)) => Err(error.into()),
            Err(NotStanding::Unknown) if pending.is_silent() => Err(OAuthError::new(
                ErrorCode::TemporarilyUnavailable,
                "the system that knows this person does not answer",
            )),
            Err(NotStanding::Unknown | NotStanding::Refused | NotStanding::LogInAgain) => {
                pending.unconfirmed = Some(who.session.id.clone());
                Ok(None)
            }
        }
    }
}
