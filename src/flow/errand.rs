//! Logins that no client asked for: to the account page, and to what a person may do there only if they have just logged
//! in. They take the way of every other login, with the account page in the client's place.

use crate::clock::{SKEW, UnixTime};
use crate::model::account::Account;
use crate::model::authorization::{Errand, PendingAuthorization};
use crate::model::client::Client;
use crate::protocol::authorize::{AuthorizationRequest, ReturnRequest};
use crate::protocol::error::OAuthError;
use crate::protocol::ids::Subject;
use crate::protocol::issuer::Issuer;
use crate::protocol::params::Params;
use crate::protocol::response::ResponseType;
use crate::protocol::scope;

use super::Step;

/// How long ago a login may be for logins to be linked or unlinked, in seconds: each of the two that take part. Whoever
/// finds a browser that somebody left open must not be able to add a login of their own.
pub const FRESH_SECONDS: i64 = 5 * 60;

/// Begins a flow for `errand`. All but the way to the account page are for the person of `account` alone, and want a
/// fresh login of theirs.
pub fn begin(
    issuer: &Issuer,
    errand: Errand,
    account: Option<&Account>,
    now: UnixTime,
) -> Result<(Client, PendingAuthorization), OAuthError> {
    let client = Client::account_page(issuer)?;
    let params: Params = [
        ("client_id", client.client_id.as_str()),
        ("response_type", ResponseType::Code.as_str()),
        ("scope", scope::OPENID),
    ]
    .into_iter()
    .collect();
    let asked = ReturnRequest::read(&params)?;
    let return_to = client.return_to(&asked, issuer)?;
    let mut request = AuthorizationRequest::read(&params)?;
    if !matches!(errand, Errand::Account) {
        request.max_age = Some(FRESH_SECONDS);
    }
    let mut pending = PendingAuthorization::new(&client, return_to, false, request, now)?;
    // The account page is a public client of ours: its subject is the account's own.
    pending.expected_subject = account.map(|account| Subject::new(account.subject.as_str()));
    pending.errand = Some(errand);
    Ok((client, pending))
}

impl Errand {
    /// What comes next, once the person has logged in as the errand wants it.
    pub(super) fn step(&self, now: UnixTime) -> Step {
        match self {
            Self::Account => Step::AccountPage,
            Self::Link {
                proven: Some(proven),
                ..
            } if (-SKEW..=FRESH_SECONDS).contains(&(now - proven.at)) => Step::Confirm,
            Self::Link { .. } => Step::OtherLogin,
            Self::Unlink { .. } => Step::Confirm,
        }
    }

    /// Whether the login page asks for a login that the account does not have.
    pub const fn asks_for_other(&self) -> bool {
        matches!(self, Self::Link { asked: true, .. })
    }
}
