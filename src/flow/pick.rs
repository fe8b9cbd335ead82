//! Whose session a request is about, in a browser that is signed in with several accounts. Where nothing says it, it is the
//! account that the person used last by their own choice; never one that happens to be there beside it.

use crate::model::authorization::PendingAuthorization;
use crate::model::client::Client;
use crate::protocol::ids::{SessionId, Subject};

use super::{LoggedIn, counts, may_use};

/// An account that a browser is signed in with.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Who.
    pub who: LoggedIn,
    /// Their `sub` at the client.
    pub subject: Subject,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Picked {
    /// The account that the request is about; whether it will do, the next step says.
    pub who: Option<LoggedIn>,
    /// The accounts that the answer may be about, that one included.
    pub choice: Vec<LoggedIn>,
}

impl Picked {
    /// The same, once it is known that the account does not do.
    #[must_use]
    pub fn without(&self, session: &SessionId) -> Self {
        let mut choice = self.choice.clone();
        choice.retain(|who| who.session.id != *session);
        Self { who: None, choice }
    }
}

/// Picks. `current` is the account of the last login or choice; after a logout there is none until the next. In this order:
/// what the person chose or did in this very flow; whom `id_token_hint` or the claim `sub` names; whom `login_hint` names; the
/// current account.
pub fn pick(
    pending: &PendingAuthorization,
    client: &Client,
    current: Option<&Candidate>,
    others: &[Candidate],
) -> Picked {
    let all = || current.into_iter().chain(others);
    let will_do: Vec<&Candidate> = all()
        .filter(|each| {
            may_use(client, &each.who)
                && counts(pending, &each.who.session)
                && pending.expects(&each.subject)
        })
        .collect();
    let in_flow = |id: &Option<SessionId>| {
        let id = id.as_ref()?;
        all().find(|each| each.who.session.id == *id)
    };
    let only = |mut found: Vec<&'_ Candidate>| found.pop().filter(|_| found.is_empty()).cloned();
    let here = current.filter(|here| {
        let id = &here.who.session.id;
        will_do.iter().any(|each| each.who.session.id == *id)
    });
    let named = || {
        // Of two that are named, the current one; otherwise the person says which.
        let found = || here.cloned().or_else(|| only(will_do.clone()));
        pending.names_somebody().then(found).flatten()
    };
    let hinted = || {
        let hint = pending.request.login_hint.as_deref();
        // Where nothing is shown, it would tell who else is signed in here; and after a logout the person chooses.
        let hint = hint.filter(|_| !pending.is_silent() && current.is_some())?;
        let answers = |each: &&Candidate| each.who.account.profile.has_login_name(hint);
        only(will_do.iter().copied().filter(answers).collect())
    };
    let picked = if pending.selected.is_some() || pending.logged_in.is_some() {
        // Whoever answered in this flow and is not here any more (another tab was signed in meanwhile) is nobody else.
        in_flow(&pending.selected)
            .or_else(|| in_flow(&pending.logged_in))
            .cloned()
    } else {
        named().or_else(hinted).or_else(|| current.cloned())
    };
    Picked {
        who: picked.map(|each| each.who),
        choice: will_do.into_iter().map(|each| each.who.clone()).collect(),
    }
}
