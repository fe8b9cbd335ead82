//! The accounts that a browser is signed in with: the current one, and those beside it. Each has a session of its own, and a
//! cookie of its own that lasts as its person asked; the name of one beside says which session it is for. A login, a
//! choice or a logout says anew which is the current one.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use cookie::Cookie;

use crate::clock::UnixTime;
use crate::flow::login::Behind;
use crate::flow::pick::{Candidate, Picked, pick};
use crate::flow::{Before, Flow, LoggedIn, MAX_ACCOUNTS, NewSession};
use crate::model::authorization::PendingAuthorization;
use crate::model::client::Client;
use crate::model::session::{SessionLifetimes, SessionSpan};
use crate::protocol::error::OAuthError;
use crate::protocol::ids::SessionId;
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
    fn new(who: LoggedIn, secret: &Secret) -> Self {
        let secret = secret.clone();
        Self { who, secret }
    }

    fn is(&self, id: &SessionId) -> bool {
        self.who.session.id == *id
    }
}

/// Everybody whom a browser is signed in as.
pub(super) struct SignedIn {
    names: CookieNames,
    now: UnixTime,
    lifetimes: SessionLifetimes,
    /// Whether the current one's cookie came: a POST across sites leaves it at home.
    came: bool,
    current: Option<Here>,
    /// The last used first.
    others: Vec<Here>,
    /// Cookies that lead nowhere.
    gone: Vec<String>,
    /// Whose session is over by the clock alone, of the current one's cookie.
    lapsed_current: Option<Here>,
    /// The same of the cookies beside it; the last used first.
    lapsed_others: Vec<Here>,
    /// Whose session was ended a moment ago.
    just_ended: Vec<LoggedIn>,
}

impl SignedIn {
    async fn read(state: &HttpState, cookies: &RequestCookies) -> Result<Self, OAuthError> {
        let flow = Flow::from_ref(state);
        let names = CookieNames::from_ref(state);
        let current = cookies.get(&names.session());
        let mut signed_in = Self {
            names,
            now: flow.clock.now(),
            lifetimes: flow.session_lifetimes,
            came: current.is_some(),
            current: None,
            others: Vec::new(),
            gone: Vec::new(),
            lapsed_current: None,
            lapsed_others: Vec::new(),
            just_ended: Vec::new(),
        };
        if let Some(secret) = current {
            match flow.find_behind(secret).await? {
                Behind::SignedIn(who) => {
                    flow.note_use(&who).await?;
                    signed_in.current = Some(Here::new(*who, secret));
                }
                Behind::Lapsed(who) => signed_in.lapsed_current = Some(Here::new(*who, secret)),
                Behind::JustEnded(who) => signed_in.just_ended.push(*who),
                Behind::Nobody => {}
            }
        }
        let beside = cookies
            .iter()
            .filter_map(|(name, secret)| Some((name, names.session_beside_id(name)?, secret)));
        for (name, id, secret) in beside.take(MAX_LOOKED_UP) {
            // The name is not sealed: whose session it is, the secret alone says.
            let id = SessionId::new(id);
            let is_another = |who: &LoggedIn| {
                who.session.id == id && signed_in.everybody().all(|other| !other.is(&id))
            };
            match flow.find_behind(secret).await? {
                Behind::SignedIn(who) if is_another(&who) => {
                    signed_in.others.push(Here::new(*who, secret));
                }
                Behind::Lapsed(who) if is_another(&who) => {
                    signed_in.lapsed_others.push(Here::new(*who, secret));
                }
                behind => {
                    signed_in.gone.push(name.to_owned());
                    if let Behind::JustEnded(who) = behind
                        && who.session.id == id
                    {
                        signed_in.just_ended.push(*who);
                    }
                }
            }
        }
        let last_used = |here: &Here| std::cmp::Reverse(here.who.session.last_seen_at);
        signed_in.others.sort_by_key(last_used);
        // A clock that is ahead for a while takes nobody's cookie away (T21); no more of them than can be looked up beside
        // those that are of use.
        signed_in.lapsed_others.sort_by_key(last_used);
        let most = MAX_ACCOUNTS - usize::from(signed_in.lapsed_current.is_some());
        let most = most.min(signed_in.lapsed_others.len());
        let too_many = signed_in.lapsed_others.split_off(most);
        let too_many = too_many.iter().map(|here| &here.who.session.id);
        signed_in
            .gone
            .extend(too_many.map(|id| names.session_beside(id)));
        Ok(signed_in)
    }

    /// Whether the request showed no session's cookie at all: there is nobody, or it came across sites.
    pub(super) fn is_unseen(&self) -> bool {
        let beside = self.others.iter().chain(&self.lapsed_others);
        !self.came && self.gone.is_empty() && beside.count() == 0
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

    /// Those who were signed in, and are not by the clock alone.
    pub(super) fn lapsed(&self) -> impl Iterator<Item = &LoggedIn> {
        let lapsed = self.lapsed_current.iter().chain(&self.lapsed_others);
        lapsed.map(|here| &here.who)
    }

    /// The account that has this session.
    pub(super) fn find(&self, id: &SessionId) -> Option<&LoggedIn> {
        self.all().find(|who| who.session.id == *id)
    }

    /// The same, whether the session stands or is over by the clock alone.
    pub(super) fn find_to_end(&self, id: &SessionId) -> Option<&LoggedIn> {
        let mut all = self.all().chain(self.lapsed());
        all.find(|who| who.session.id == *id)
    }

    /// Those whose sessions were ended a moment ago, with the cookies that came: a second click finds them.
    pub(super) fn just_ended(&self) -> impl Iterator<Item = &LoggedIn> {
        self.just_ended.iter()
    }

    /// Whether a session stands, or stood until it was ended: it is not over by the clock.
    pub(super) fn stood(&self, who: &LoggedIn) -> bool {
        let until = who.session.ended_at.unwrap_or(self.now);
        let span = SessionSpan {
            ended_at: None,
            ..who.session.span()
        };
        span.is_live(until, self.lifetimes)
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

    /// What a login finds here; `adds` says whether it leaves the current account where it is. Whoever has several accounts
    /// adds one in any case, and so does who logs in beside those whom a logout has left.
    pub(super) fn before(&self, adds: bool) -> Before<'_> {
        Before {
            current: self.current().map(|who| &who.session),
            others: self.others().map(|who| &who.session).collect(),
            lapsed: self.lapsed().map(|who| &who.session).collect(),
            lapsed_alone: self.lapsed_alone().map(|here| &here.who.session),
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
        // One account has one session in a browser.
        let account = &new.logged_in.account.id;
        let alone = self.lapsed_alone().map(|here| &here.who.session.id);
        let lapsed = self.lapsed_current.iter().chain(&self.lapsed_others);
        let lapsed = lapsed
            .filter(|here| here.who.account.id != *account && alone != Some(&here.who.session.id));
        let live = self.current.iter().chain(&self.others);
        let beside = live.chain(lapsed).filter(stays).collect();
        self.cookies_of(Some(&current), beside)
    }

    /// On a plain login page whoever comes takes the place of the one before, also of one whose session is over by the clock.
    fn lapsed_alone(&self) -> Option<&Here> {
        let is_alone = self.others.is_empty() && self.lapsed_others.is_empty();
        self.lapsed_current.as_ref().filter(|_| is_alone)
    }

    /// The cookies once the person has chosen another to be the current one.
    pub(super) fn switched_to(&self, id: &SessionId) -> Vec<Cookie<'static>> {
        let mut live = self.current.iter().chain(&self.others);
        let chosen = live.find(|here| here.is(id));
        let beside = self.everybody().filter(|here| !here.is(id)).collect();
        self.cookies_of(chosen, beside)
    }

    /// The cookies once sessions have ended. Nobody is the current one then: whoever signed out must not find themselves
    /// signed in again as somebody else, at the next click, without having chosen that, nor once a clock is put right. Where all
    /// of them were over by the clock, whoever is the current one has come or been chosen since, and stays so.
    pub(super) fn without(&self, ended: &[&LoggedIn]) -> Vec<Cookie<'static>> {
        let stays = |here: &&Here| ended.iter().all(|who| !here.is(&who.session.id));
        let current = self.current.as_ref().filter(stays);
        if current.is_some() && !ended.iter().any(|who| self.stood(who)) {
            let left = self.with_own_cookie().filter(|here| !stays(here));
            let left = left.map(|here| self.names.session_beside(&here.who.session.id));
            let left = left.map(|name| self.names.remove(name));
            return self.dropped().chain(left).collect();
        }
        let beside = self.everybody().filter(stays).collect();
        self.cookies_of(None, beside)
    }

    /// Takes away cookies that lead nowhere, and not the current one's: it is inert, and by the time of a late answer its name may
    /// be that of a newer login's.
    pub(super) fn dropped(&self) -> impl Iterator<Item = Cookie<'static>> {
        self.gone.iter().map(|name| self.names.remove(name.clone()))
    }

    /// Whether their sessions stand or are over by the clock alone.
    fn everybody(&self) -> impl Iterator<Item = &Here> {
        let current = self.current.iter().chain(&self.lapsed_current);
        current.chain(self.with_own_cookie())
    }

    /// Those beside the current one.
    fn with_own_cookie(&self) -> impl Iterator<Item = &Here> {
        self.others.iter().chain(&self.lapsed_others)
    }

    fn cookies_of(&self, current: Option<&Here>, beside: Vec<&Here>) -> Vec<Cookie<'static>> {
        let name = |here: &Here| self.names.session_beside(&here.who.session.id);
        let mut cookies: Vec<_> = self.dropped().collect();
        let left = self
            .with_own_cookie()
            .filter(|here| beside.iter().all(|stays| !stays.is(&here.who.session.id)));
        cookies.extend(left.map(|here| self.names.remove(name(here))));
        let came = beside.into_iter().filter(|here| {
            self.with_own_cookie()
                .all(|other| !other.is(&here.who.session.id))
        });
        cookies.extend(came.map(|here| self.cookie(name(here), here)));
        match current {
            Some(here) => cookies.push(self.cookie(self.names.session(), here)),
            None if self.current.is_some() || self.lapsed_current.is_some() => {
                cookies.push(self.names.remove(self.names.session()));
            }
            None => {}
        }
        cookies
    }

    /// A session's cookie: it lasts as long as the browser runs, or, if the person asked for that, as long as the session can. How long
    /// that is of one that is over by the clock, only a clock put right will tell.
    fn cookie(&self, name: String, here: &Here) -> Cookie<'static> {
        let session = &here.who.session;
        let seconds = session.expires_at - self.now;
        let seconds = Some(seconds).filter(|seconds| session.persistent && *seconds > 0);
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
