//! Who is away at an upstream from this browser: a sealed cookie, good for one return each. aiM18 and iMIS know no
//! `state`; this is what ties what comes back to what was sent (T25, T27).

use axum::extract::FromRef as _;
use cookie::Cookie;
use serde::{Deserialize, Serialize};

use crate::clock::{SKEW, UnixTime};
use crate::keys::{Purpose, Secrets};
use crate::protocol::error::OAuthError;
use crate::protocol::ids::UpstreamId;

use super::cookies::{CookieNames, RequestCookies};
use super::flow_cookie::{FlowCookies, Found};
use super::state::HttpState;

/// How long somebody may be away, in seconds.
const AWAY_SECONDS: i64 = 15 * 60;
/// How many may be away from one browser; the oldest is forgotten.
const MAX_AWAY: usize = 4;

/// A flow whose browser is at an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Away {
    pub(super) upstream: UpstreamId,
    pub(super) flow: String,
    pub(super) state: String,
    pub(super) since: UnixTime,
    /// Whether they were sent on to the upstream's sign-in page already.
    #[serde(default)]
    pub(super) sent_to_sign_in: bool,
    /// What the adapter needs when they come back.
    #[serde(default)]
    pub(super) kept: Option<String>,
}

/// Those who are away from this browser.
pub(super) struct AwayList {
    list: Vec<Away>,
    /// Those whose flow is not under way any more: the person came in by another way, or gave up. Nobody waits for an answer to them.
    over: Vec<Away>,
    names: CookieNames,
    secrets: Secrets,
}

/// What an answer says about where it belongs.
pub(super) enum Match {
    /// To this flow.
    One(Away),
    /// To one of several flows, and it does not say which.
    Ambiguous(Away),
    /// To one that is over.
    Over(Away),
    /// To none.
    None,
}

impl AwayList {
    pub(super) async fn read(
        state: &HttpState,
        cookies: &RequestCookies,
        flows: &FlowCookies,
        now: UnixTime,
    ) -> Result<Self, OAuthError> {
        let names = CookieNames::from_ref(state);
        let secrets = Secrets::from_ref(state);
        let list: Vec<Away> = cookies
            .get(&names.away())
            .and_then(|sealed| secrets.open(Purpose::AwayCookie, "", sealed.expose()))
            .and_then(|plain| serde_json::from_slice(&plain).ok())
            .unwrap_or_default();
        let current = |away: &Away| (-SKEW..AWAY_SECONDS).contains(&(now - away.since));
        let mut read = Self {
            list: Vec::new(),
            over: Vec::new(),
            names,
            secrets,
        };
        for away in list.into_iter().filter(current) {
            match flows.find(&away.flow, now).await? {
                Found::Pending(_) => read.list.push(away),
                Found::Done(_) | Found::Nothing => read.over.push(away),
            }
        }
        Ok(read)
    }

    /// Adds somebody who leaves. Who leaves again in the same flow has given up the first try; another tab of the same
    /// client has not (T27).
    pub(super) fn add(&mut self, away: Away) {
        self.list.retain(|other| other.flow != away.flow);
        let too_many = (self.list.len() + 1).saturating_sub(MAX_AWAY);
        self.list.drain(..too_many);
        self.list.push(away);
    }

    /// Takes out whom an answer belongs to (T27): the one with its `state`; without one, the only one who is away at
    /// that upstream, unless the upstream always returns it. A flow that is over stands in nobody's way.
    pub(super) fn take(
        &mut self,
        upstream: &UpstreamId,
        state: Option<&str>,
        state_is_required: bool,
    ) -> Match {
        if state.is_none() && state_is_required {
            return Match::None;
        }
        let belongs = |away: &Away| {
            away.upstream == *upstream && state.is_none_or(|state| away.state == state)
        };
        let several = self.list.iter().filter(|away| belongs(away)).count() > 1;
        let newest = self.list.iter().rposition(belongs);
        match newest.map(|index| self.list.remove(index)) {
            Some(newest) if several => {
                self.list.retain(|away| away.upstream != *upstream);
                Match::Ambiguous(newest)
            }
            Some(only) => Match::One(only),
            None => {
                let over = self.over.iter().rfind(|away| belongs(away));
                over.cloned().map_or(Match::None, Match::Over)
            }
        }
    }

    /// The flow that was last sent to that upstream.
    pub(super) fn newest(&self, upstream: &UpstreamId) -> Option<&str> {
        let mut away = self.list.iter().rev().chain(self.over.iter().rev());
        let away = away.find(|away| away.upstream == *upstream)?;
        Some(&away.flow)
    }

    pub(super) fn cookie(&self) -> Result<Cookie<'static>, OAuthError> {
        if self.list.is_empty() {
            return Ok(self.names.remove(self.names.away()));
        }
        let plain = serde_json::to_vec(&self.list).map_err(OAuthError::server_error)?;
        let sealed = self.secrets.seal(Purpose::AwayCookie, "", &plain)?;
        Ok(self
            .names
            .make(self.names.away(), sealed, Some(AWAY_SECONDS)))
    }
}
