//! What comes next for a pending authorization: one pure decision, taken anew at the resume URL after every page.
//! Pages never lead to one another; each returns here.

pub mod consent;
pub mod issue;
pub mod login;
pub mod logout;
pub mod standing;

use crate::clock::{Clock, UnixTime};
use crate::keys::Secrets;
use crate::model::account::Account;
use crate::model::authorization::PendingAuthorization;
use crate::model::client::{Client, ConsentPolicy};
use crate::model::consent::Consent;
use crate::model::session::{Session, SessionLifetime};
use crate::model::throttle::ThrottlePolicy;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::store::Store;
use crate::vault::Vault;

/// What the steps of a flow work with. Cheap to clone.
#[derive(Clone)]
pub struct Flow {
    /// The database.
    pub store: Store,
    /// For the hashes of codes and session secrets.
    pub secrets: Secrets,
    /// The present.
    pub clock: Clock,
    /// How long sessions last.
    pub session_lifetime: SessionLifetime,
    /// How many wrong passwords a user name may have.
    pub throttle: ThrottlePolicy,
    /// How many an address may have, over all user names.
    pub address_throttle: ThrottlePolicy,
    /// How long a refused login takes at the least (T32).
    pub refusal_floor: login::RefusalFloor,
    /// Where what a login gave to act for the person is kept.
    pub vault: Vault,
}

/// The next step of a pending authorization.
#[derive(Debug)]
pub enum Step {
    /// Show the login page.
    Login,
    /// Show the account of the session, and the way to another.
    SelectAccount,
    /// Ask for consent.
    Consent,
    /// Send a code.
    Issue,
    /// Send an error.
    Refuse(OAuthError),
}

/// Who is logged in, in this browser.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// The session.
    pub session: Session,
    /// Its person.
    pub account: Account,
}

/// What the decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The request.
    pub pending: &'a PendingAuthorization,
    /// Its client, as registered now.
    pub client: &'a Client,
    /// Who is logged in.
    pub logged_in: Option<&'a LoggedIn>,
    /// What they agreed to before.
    pub consent: Option<&'a Consent>,
    /// The present.
    pub now: UnixTime,
}

/// Decides. Where something would have to be shown and the request forbids it (`prompt=none`), that is an error
/// (OpenID Connect Core section 3.1.2.6).
pub fn next_step(situation: Situation<'_>) -> Step {
    let Situation {
        pending,
        client,
        logged_in,
        consent,
        now,
    } = situation;
    let silent = pending.is_silent();
    let show = |step: Step, code: ErrorCode, why: &'static str| {
        if silent {
            Step::Refuse(OAuthError::new(code, why))
        } else {
            step
        }
    };
    let Some(LoggedIn { session, account }) = logged_in.filter(|who| may_use(client, who)) else {
        let why = "the person is not logged in";
        return show(Step::Login, ErrorCode::LoginRequired, why);
    };
    let here = Some(&session.id);
    let just_logged_in = pending.logged_in.as_ref() == here;
    if pending
        .expected_subject
        .as_ref()
        .is_some_and(|expected| *expected != account.subject)
    {
        let why = "another person is logged in than id_token_hint names";
        if just_logged_in {
            // Core section 3.1.2.2: whoever logged in is not who the client expects.
            return Step::Refuse(OAuthError::new(ErrorCode::LoginRequired, why));
        }
        return show(Step::Login, ErrorCode::LoginRequired, why);
    }
    let prompt = pending.request.prompt;
    let recent = session.is_within_max_age(now, pending.request.max_age);
    if !just_logged_in && (prompt.login || !recent) {
        let why = "the person has to log in again";
        return show(Step::Login, ErrorCode::LoginRequired, why);
    }
    if prompt.select_account && !just_logged_in && pending.selected.as_ref() != here {
        let why = "the person has to choose an account";
        return show(
            Step::SelectAccount,
            ErrorCode::AccountSelectionRequired,
            why,
        );
    }
    let wanted = match client.consent {
        _ if prompt.consent => true,
        ConsentPolicy::None => false,
        ConsentPolicy::Always => true,
        ConsentPolicy::Once => {
            consent.is_none_or(|given| !pending.request.scope.is_within(&given.scope))
        }
    };
    if wanted && pending.consented.as_ref() != here {
        let why = "the person has to agree";
        return show(Step::Consent, ErrorCode::ConsentRequired, why);
    }
    Step::Issue
}

/// Whether a login counts at this client: of an upstream that it serves, of an account that is open (T15).
fn may_use(client: &Client, who: &LoggedIn) -> bool {
    client.allows_upstream(&who.session.upstream) && who.account.disabled_at.is_none()
}

#[cfg(test)]
mod tests;
