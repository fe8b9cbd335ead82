//! What comes next for a pending authorization: one pure decision, taken anew at the resume URL after every page.
//! Pages never lead to one another; each returns here.

pub mod accounts;
pub mod confirm;
pub mod consent;
pub mod device;
pub mod errand;
pub mod issue;
pub mod login;
pub mod logout;
pub mod pick;
pub mod request_object;

use std::ops::Deref;
use std::sync::Arc;

use crate::clock::{Clock, UnixTime};
use crate::fetch::{ClientKeys, RequestUris};
use crate::keys::Secrets;
use crate::logins::Logins;
pub use crate::logins::{Accepted, Before, LoggedIn, MAX_ACCOUNTS, NewSession, Origin};
use crate::model::acr::{AcrPolicies, WantedAcr};
use crate::model::authorization::{Errand, PendingAuthorization};
use crate::model::client::{Client, ConsentPolicy};
use crate::model::consent::Consent;
use crate::model::disclosure;
use crate::model::family::FamilyLifetime;
use crate::model::scopes::Scopes;
use crate::model::session::{Session, SessionLifetimes};
use crate::model::throttle::ThrottlePolicy;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::Subject;
use crate::recheck::Rechecks;
use crate::store::Store;
use crate::telemetry::{Audit, Metrics};
use crate::tokens::Mint;
use crate::vault::Vault;

/// What the steps of a flow work with. Cheap to clone.
#[derive(Clone)]
pub struct Flow(Arc<FlowParts>);

/// What a [`Flow`] is made of.
pub struct FlowParts {
    /// The database.
    pub store: Store,
    /// For the hashes of codes and session secrets.
    pub secrets: Secrets,
    /// For ID tokens that the browser carries to the client.
    pub mint: Mint,
    /// The present.
    pub clock: Clock,
    /// How long sessions last.
    pub session_lifetimes: SessionLifetimes,
    /// How long refresh tokens last.
    pub family_lifetime: FamilyLifetime,
    /// How many requests an address may have that led to nothing.
    pub address_throttle: ThrottlePolicy,
    /// What logs people in.
    pub logins: Logins,
    /// Where what a login gave to act for the person is kept.
    pub vault: Vault,
    /// Whether people are still who they were.
    pub rechecks: Rechecks,
    /// The keys of clients that sign their requests.
    pub client_keys: ClientKeys,
    /// Requests that stand elsewhere.
    pub request_uris: RequestUris,
    /// Which scope opens which claims.
    pub scopes: Scopes,
    /// What logins prove.
    pub acr: AcrPolicies,
    /// For how many seconds a client that registered itself stays unless it is used.
    pub registered_unused: Option<i64>,
    /// What is counted.
    pub metrics: Metrics,
    /// What is recorded.
    pub audit: Audit,
}

impl Flow {
    /// Puts it together.
    pub fn new(parts: FlowParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for Flow {
    type Target = FlowParts;

    fn deref(&self) -> &FlowParts {
        &self.0
    }
}

/// The next step of a pending authorization.
#[derive(Debug)]
pub enum Step {
    /// Show the login page.
    Login,
    /// Show the accounts that are signed in here, and the way to another.
    SelectAccount,
    /// Say that the account of the session may not use the client, and show the way to another.
    OtherAccount,
    /// Ask for consent.
    Consent,
    /// Send what was asked for: a code, and what comes with it.
    Issue,
    /// Show the account page.
    AccountPage,
    /// Ask for the login that is to be linked, which leaves the session as it is.
    OtherLogin,
    /// Ask whether logins are to be linked or unlinked, or whether a device may have what it asks for.
    Confirm,
    /// Ask for the code that a device shows.
    EnterCode,
    /// Send an error.
    Refuse(OAuthError),
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
    /// How many accounts of this browser the answer may be about.
    pub choice: usize,
    /// Their `sub` at this client.
    pub subject: Option<&'a Subject>,
    /// What they agreed to before.
    pub consent: Option<&'a Consent>,
    /// Which scope opens which claims.
    pub scopes: &'a Scopes,
    /// What logins prove.
    pub acr: &'a AcrPolicies,
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
        choice,
        subject,
        acr,
        now,
        ..
    } = situation;
    // The registration may have changed while the person was at a page.
    let request = &pending.request;
    if let Err(refusal) = client.require_response_type(request.response_type, &request.scope) {
        return Step::Refuse(refusal);
    }
    let wanted_acr = WantedAcr::of(request);
    let reachable = |wanted: &WantedAcr| acr.are_within_reach(client, wanted);
    if wanted_acr
        .as_ref()
        .is_some_and(|wanted| wanted.essential && !reachable(wanted))
    {
        return Step::Refuse(unmet());
    }
    let silent = pending.is_silent();
    let show = |step: Step, code: ErrorCode, why: &'static str| {
        if silent {
            Step::Refuse(OAuthError::new(code, why))
        } else {
            step
        }
    };
    let log_in = |why| show(Step::Login, ErrorCode::LoginRequired, why);
    let select = |why| {
        let code = ErrorCode::AccountSelectionRequired;
        show(Step::SelectAccount, code, why)
    };
    let Some(LoggedIn {
        session, account, ..
    }) = logged_in.filter(|who| may_use(client, who) && counts(pending, &who.session))
    else {
        if choice > 0 {
            // After a logout, too: nobody takes the place of who has left without being chosen.
            let why = "the person has to choose among the accounts that are signed in";
            return select(why);
        }
        let why = "the person is not logged in";
        return log_in(why);
    };
    let here = Some(&session.id);
    let just_logged_in = pending.logged_in.as_ref() == here;
    if !subject.is_some_and(|subject| pending.expects(subject)) {
        let why = "another person is logged in than id_token_hint or the claim sub names";
        if just_logged_in && pending.errand.is_none() {
            // Core section 3.1.2.2: whoever logged in is not who the client expects.
            return Step::Refuse(OAuthError::new(ErrorCode::LoginRequired, why));
        }
        if choice > 0 {
            let why = "the request names several of the accounts that are signed in";
            return select(why);
        }
        return log_in(why);
    }
    let prompt = pending.request.prompt;
    let unchosen = !just_logged_in && pending.selected.as_ref() != here;
    if prompt.select_account && choice > 1 && unchosen {
        // Before a new login is asked for, whose it is to be.
        return Step::SelectAccount;
    }
    let recent = session.is_within_max_age(now, pending.request.max_age);
    // An errand to the account waits for more than one page: its login may have become too old on the way.
    let for_client = pending.errand.as_ref().is_none_or(Errand::is_for_device);
    let counts = just_logged_in && for_client;
    if !counts && (prompt.login || !recent) {
        let why = "the person has to log in again";
        return log_in(why);
    }
    if let Some(wanted) = wanted_acr.filter(|wanted| !wanted.is_met_by(session.acr.as_deref())) {
        // Essential, and this very login has not proven it: Unmet Authentication Requirements section 2.
        if just_logged_in && wanted.essential {
            return Step::Refuse(unmet());
        }
        // What is only wished for is tried once, and not at all where nothing may be shown (Core section 3.1.2.1).
        if !just_logged_in && reachable(&wanted) && (wanted.essential || !silent) {
            let why = "the login does not prove what the request asks for; the person has to log in again";
            return log_in(why);
        }
    }
    if client.lacking(&account.profile).is_some() {
        let why = "this person may not use this client";
        return show(Step::OtherAccount, ErrorCode::AccessDenied, why);
    }
    if prompt.select_account && unchosen {
        let why = "the person has to choose an account";
        return select(why);
    }
    // The page about a device asks in any case, and for the same.
    if wants_consent(situation) && pending.errand.is_none() && pending.consented.as_ref() != here {
        let why = "the person has to agree";
        return show(Step::Consent, ErrorCode::ConsentRequired, why);
    }
    if let Some(errand) = &pending.errand {
        return errand.step(now);
    }
    Step::Issue
}

/// Whether the person has to agree, by the client's policy and what they agreed to before.
fn wants_consent(situation: Situation<'_>) -> bool {
    let Situation {
        pending,
        client,
        consent,
        scopes,
        ..
    } = situation;
    let request = &pending.request;
    match client.consent {
        _ if request.prompt.consent => true,
        ConsentPolicy::None => false,
        ConsentPolicy::Always => true,
        ConsentPolicy::Once => consent.is_none_or(|given| {
            let scope = &request.scope;
            let beyond = disclosure::beyond(client, scopes, &request.claims, scope);
            let everything = given.everything();
            let agreed =
                |claim: &str| given.claims.contains(claim) || scopes.open(&everything, claim);
            !given.covers(scope, &request.resources) || !beyond.into_iter().all(agreed)
        }),
    }
}

/// The login does not prove what the client cannot do without, and no login here would, or the one just made did not.
fn unmet() -> OAuthError {
    OAuthError::new(
        ErrorCode::UnmetAuthenticationRequirements,
        "no login that this client serves proves the acr that the request calls essential",
    )
}

/// Whether a login counts at this client: of an upstream that it serves, of an account that is open (T15).
fn may_use(client: &Client, who: &LoggedIn) -> bool {
    client.allows_upstream(&who.session.upstream) && who.account.is_open()
}

/// Whether a session is not one that could not be confirmed in this flow; a login since confirms it.
fn counts(pending: &PendingAuthorization, session: &Session) -> bool {
    let id = Some(&session.id);
    pending.unconfirmed.as_ref() != id || pending.logged_in.as_ref() == id
}

#[cfg(test)]
mod tests;
