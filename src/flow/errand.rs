//! Logins that no client asked for: to the account page, and to what a person may do there only if they have just logged
//! in. They take the way of every other login, with the account page in the client's place.

use crate::clock::{SKEW, UnixTime};
use crate::model::account::Account;
use crate::model::authorization::{Errand, PendingAuthorization};
use crate::model::client::Client;
use crate::model::device_code::DeviceCode;
use crate::protocol::authorize::{AuthorizationRequest, ReturnRequest};
use crate::protocol::device::UserCode;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::Subject;
use crate::protocol::issuer::Issuer;
use crate::protocol::params::Params;
use crate::protocol::response::ResponseType;

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
    let mut pending = pending_for(issuer, &client, now)?;
    if matches!(errand, Errand::Link { .. } | Errand::Unlink { .. }) {
        pending.request.max_age = Some(FRESH_SECONDS);
    }
    // The account page is a public client of ours: its subject is the account's own.
    pending.expected_subject = account.map(|account| Subject::new(account.subject.as_str()));
    pending.errand = Some(errand);
    Ok((client, pending))
}

/// Begins the flow of a device's code that somebody has typed: a login for its client, and then a question.
pub fn begin_for_device(
    issuer: &Issuer,
    client: &Client,
    code: &DeviceCode,
    user_code: UserCode,
    now: UnixTime,
) -> Result<(Client, PendingAuthorization), OAuthError> {
    let scope = code.scope.narrowed_to(&client.scope);
    let mut resources = code.resources.clone();
    resources.retain(|each| client.may_ask_for(each, issuer));
    let client = client.clone().at_device_page(issuer)?;
    let mut pending = pending_for(issuer, &client, now)?;
    pending.request.scope = scope;
    pending.request.resources = resources;
    pending.errand = Some(Errand::Device {
        user_code: Some(user_code),
    });
    Ok((client, pending))
}

/// A request that nobody made, for everything that `client` may have.
fn pending_for(
    issuer: &Issuer,
    client: &Client,
    now: UnixTime,
) -> Result<PendingAuthorization, OAuthError> {
    let params: Params = [
        ("client_id", client.client_id.as_str()),
        ("response_type", ResponseType::Code.as_str()),
    ]
    .into_iter()
    .collect();
    let asked = ReturnRequest::read(&params)?;
    let return_to = client.return_to(&asked, issuer)?;
    let request = AuthorizationRequest::read(&params)?;
    PendingAuthorization::new(client, return_to, false, request, now)
}

impl Errand {
    /// Whether an app waits for its end.
    pub const fn is_for_device(&self) -> bool {
        matches!(self, Self::Device { .. })
    }

    /// What comes next, once the person has logged in as the errand wants it.
    pub(super) fn step(&self, now: UnixTime) -> Step {
        match self {
            Self::Account => Step::AccountPage,
            Self::Link {
                proven: Some(proven),
                ..
            } if (-SKEW..=FRESH_SECONDS).contains(&(now - proven.at)) => Step::Confirm,
            Self::Link { .. } => Step::OtherLogin,
            Self::Device { user_code: None } => Step::EnterCode,
            Self::Device { .. } | Self::Unlink { .. } => Step::Confirm,
        }
    }

    /// Whether the login page asks for a login that the account does not have.
    pub const fn asks_for_other(&self) -> bool {
        matches!(self, Self::Link { asked: true, .. })
    }
}
