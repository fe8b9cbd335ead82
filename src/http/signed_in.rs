//! The accounts that a browser is signed in with: the current one, and those beside it. Each has a session of its own, and a
//! cookie of its own that lasts as its person asked; the name of one beside says which session it is for. A login, a
//! choice or a logout says anew which is the current one.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use cookie::Cookie;

use crate::clock::UnixTime;
use crate::flow::login::Waiting;
use crate::flow::pick::{Candidate, Picked, pick};
use crate::flow::{Before, Flow, LoggedIn, MAX_ACCOUNTS, NewSession};
use crate::model::authorization::PendingAuthorization;
use crate::model::client::Client;
use crate::model::session::Session;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::{AccountId, SessionId};
use crate::protocol::secret::Secret;
use crate::telemetry::note_session;
use crate::tokens::subject;

use super::cookies::{CookieNames, RequestCookies};
use super::error::PageError;
use super::state::HttpState;

/// The most cookies beside the current one's that are looked up for a request, each a read (T48). What leads nowhere is
/// dropped, so that it does not stand in the way of the others for long.
const MAX_LOOKED_UP: usize = 2 * MAX_ACCOUNTS;

/// An account, and what its cookie holds.
#[derive(Clone)]
struct Here {
    who: LoggedIn,
    secret: Secret,
}

impl Here {
    fn is(&self, id: &SessionId) -> bool {
        self.who.session.id == *id
    }
}

/// Everybody whom a browser is signed in as.
pub(super) struct SignedIn {
    names: CookieNames,
    now: UnixTime,
    /// Whether the current one's cookie came: a POST across sites leaves it at home, and its answer takes away nothing that it did not
    /// show.
    came: bool,
    current: Option<Here>,
    /// The last used first.
    others: Vec<Here>,
    /// Cookies that lead nowhere.
    gone: Vec<String>,
    /// Cookies of sessions that are over by the clock alone, and whose.
    lapsed: Vec<(String, AccountId)>,
}

impl SignedIn {
    async fn read(state: &HttpState, cookies: &RequestCookies) -> Result<Self, OAuthError> {
        let flow = Flow::from_ref(state);
        let names = CookieNames::from_ref(state);
        let mut signed_in = Self {
            names,
            now: flow.clock.now(),
            came: cookies.get(&names.session()).is_some(),
            current: None,
            others: Vec::new(),
            gone: Vec::new(),
            lapsed: Vec::new(),
        };
        if let Some(secret) = cookies.get(&names.session()) {
            let found = flow.find_logged_in(secret).await?;
            signed_in.current = found.map(|who| Here {
                who,
                secret: secret.clone(),
            });
        }
        let beside = cookies
            .iter()
            .filter_map(|(name, secret)| Some((name, names.session_beside_id(name)?, secret)));
        let mut lapsed = Vec::new();
        for (name, id, secret) in beside.take(MAX_LOOKED_UP) {
            // The name is not sealed: whose session it is, the secret alone says.
            let id = SessionId::new(id);
            match flow.find_waiting(secret).await? {
                Waiting::SignedIn(who)
                    if who.session.id == id
                        && signed_in.all().all(|other| other.session.id != id) =>
                {
                    signed_in.others.push(Here {
                        who: *who,
                        secret: secret.clone(),
                    });
                }
                Waiting::Lapsed {
                    session,
                    account,
                    last_seen_at,
                } if session == id => {
                    lapsed.push((last_seen_at, name, account));
                }
                _ => signed_in.gone.push(name.to_owned()),
            }
        }
        // A clock that is ahead for a while takes nobody's cookie away (T21); no more of them than can be looked up beside
        // those that are of use.
        lapsed.sort_unstable_by_key(|(last_seen_at, name, _)| {
            (std::cmp::Reverse(*last_seen_at), *name)
        });
        for (place, (_, name, account)) in lapsed.into_iter().enumerate() {
            if place < MAX_ACCOUNTS {
                signed_in.lapsed.push((name.to_owned(), account));
            } else {
                signed_in.gone.push(name.to_owned());
            }
        }
        signed_in
            .others
            .sort_by_key(|here| std::cmp::Reverse(here.who.session.last_seen_at));
        Ok(signed_in)
    }

    /// The account of the last login or choice.
    pub(super) fn current(&self) -> Option<&LoggedIn> {
        self.current.as_ref().map(|here| &here.who)
    }

    /// Those beside it.
    pub(super) fn others(&self) -> impl Iterator<Item = &LoggedIn> {
        self.others.iter().map(|here| &here.who)
    }

    /// All of them, the current one first.
    pub(super) fn all(&self) -> impl Iterator<Item = &LoggedIn> {
        self.current().into_iter().chain(self.others())
    }

    /// The account that has this session.
    pub(super) fn find(&self, id: &SessionId) -> Option<&LoggedIn> {
        self.all().find(|who| who.session.id == *id)
    }

    /// Whose session a request is about.
    pub(super) async fn pick(
        &self,
        flow: &Flow,
        client: &Client,
        pending: &PendingAuthorization,
    ) -> Result<Picked, OAuthError> {
        let candidate = |who: &LoggedIn| {
            Ok::<_, OAuthError>(Candidate {
                subject: subject::for_client(&flow.secrets, client, &who.account)?,
                who: who.clone(),
            })
        };
        let current = self.current().map(candidate).transpose()?;
        let others = self
            .others()
            .map(candidate)
            .collect::<Result<Vec<_>, _>>()?;
        let picked = pick(pending, client, current.as_ref(), &others);
        if let Some(who) = &picked.who
            && current.is_none_or(|current| current.who.session.id != who.session.id)
        {
            flow.note_use(who).await?;
            note_session(&who.account.id, &who.session.id);
        }
        Ok(picked)
    }

    /// The sessions beside the current one.
    pub(super) fn other_sessions(&self) -> Vec<&Session> {
        self.others().map(|who| &who.session).collect()
    }

    /// What a login finds here; `adds` says whether it leaves the current account where it is. Whoever has several accounts
    /// adds one in any case, and so does who logs in beside those whom a logout has left.
    pub(super) fn before<'a>(&'a self, others: &'a [&'a Session], adds: bool) -> Before<'a> {
        Before {
            current: self.current().map(|who| &who.session),
            others,
            adds: adds || !self.others.is_empty(),
        }
    }

    /// The cookies once somebody has logged in: they are the current one now.
    pub(super) fn with(&self, new: &NewSession) -> Vec<Cookie<'static>> {
        let id = &new.logged_in.session.id;
        let current = Here {
            who: new.logged_in.clone(),
            secret: new.secret.clone(),
        };
        let stays =
            |here: &&Here| !here.is(id) && new.replaced.as_ref().is_none_or(|old| !here.is(old));
        let beside = self.everybody().filter(stays).collect();
        let mut cookies = self.cookies_of(Some(&current), beside);
        // One account has one session in a browser.
        let account = &new.logged_in.account.id;
        cookies.extend(self.remove_lapsed(|whose| whose == account));
        cookies
    }

    /// The cookies once the person has chosen another to be the current one.
    pub(super) fn switched_to(&self, id: &SessionId) -> Vec<Cookie<'static>> {
        let chosen = self.everybody().find(|here| here.is(id));
        let beside = self.everybody().filter(|here| !here.is(id)).collect();
        self.cookies_of(chosen, beside)
    }

    /// The cookies once sessions have ended. Nobody is the current one then: whoever signed out must not find themselves
    /// signed in again as somebody else, at the next click, without having chosen that.
    pub(super) fn without(&self, ended: &[SessionId]) -> Vec<Cookie<'static>> {
        let stays = |here: &&Here| ended.iter().all(|id| !here.is(id));
        let beside = self.everybody().filter(stays).collect();
        let mut cookies = self.cookies_of(None, beside);
        // Whoever signs out leaves nothing behind that a clock put right would bring back (T35).
        cookies.extend(self.remove_lapsed(|_| true));
        cookies
    }

    fn remove_lapsed(
        &self,
        of: impl Fn(&AccountId) -> bool,
    ) -> impl Iterator<Item = Cookie<'static>> {
        let lapsed = self.lapsed.iter().filter(move |(_, whose)| of(whose));
        lapsed.map(|(name, _)| self.names.remove(name.clone()))
    }

    /// Takes away cookies that lead nowhere.
    pub(super) fn dropped(&self) -> impl Iterator<Item = Cookie<'static>> {
        self.gone.iter().map(|name| self.names.remove(name.clone()))
    }

    fn everybody(&self) -> impl Iterator<Item = &Here> {
        self.current.iter().chain(&self.others)
    }

    fn cookies_of(&self, current: Option<&Here>, beside: Vec<&Here>) -> Vec<Cookie<'static>> {
        let name = |here: &Here| self.names.session_beside(&here.who.session.id);
        let mut cookies: Vec<_> = self.dropped().collect();
        let left = self
            .others
            .iter()
            .filter(|here| beside.iter().all(|stays| !stays.is(&here.who.session.id)));
        cookies.extend(left.map(|here| self.names.remove(name(here))));
        let came = beside.into_iter().filter(|here| {
            self.others
                .iter()
                .all(|other| !other.is(&here.who.session.id))
        });
        cookies.extend(came.map(|here| self.cookie(name(here), here)));
        match current {
            Some(here) => cookies.push(self.cookie(self.names.session(), here)),
            None if self.came => cookies.push(self.names.remove(self.names.session())),
            None => {}
        }
        cookies
    }

    /// A session's cookie: it lasts as long as the browser runs, or, if the person asked for that, as long as the session can.
    fn cookie(&self, name: String, here: &Here) -> Cookie<'static> {
        let session = &here.who.session;
        let seconds = session.expires_at - self.now;
        let seconds = session.persistent.then_some(seconds);
        self.names
            .make(name, here.secret.expose().to_owned(), seconds)
    }
}

impl<S> FromRequestParts<S> for SignedIn
where
    S: Send + Sync,
    HttpState: FromRef<S>,
{
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let state = HttpState::from_ref(state);
        let Ok(cookies) = RequestCookies::from_request_parts(parts, &state).await;
        let signed_in = Self::read(&state, &cookies).await?;
        if let Some(who) = signed_in.current() {
            note_session(&who.account.id, &who.session.id);
        }
        Ok(signed_in)
    }
}
