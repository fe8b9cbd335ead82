//! What aiM18 has given out: browser sessions, codes, tokens. Each is bound to the application and
//! the user that it was made for.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{alive, hex};
use crate::clock::{UnixTime, random_bytes};

/// All that was given out and lives.
#[derive(Debug, Default)]
pub(super) struct Grants {
    sessions: HashMap<String, i64>,
    codes: HashMap<String, Bound>,
    access: HashMap<String, Bound>,
    refresh: HashMap<String, Bound>,
}

/// What a code or token is bound to.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) uid: i64,
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) expires_at: UnixTime,
}

impl Grants {
    pub(super) fn start_session(&mut self, uid: i64) -> String {
        if self.sessions.len() > MANY {
            // As by a restart.
            self.sessions.clear();
        }
        let id = opaque(false);
        self.sessions.insert(id.clone(), uid);
        id
    }

    pub(super) fn session(&self, id: &str) -> Option<i64> {
        self.sessions.get(id).copied()
    }

    pub(super) fn issue_code(&mut self, bound: Bound, awkward: bool, now: UnixTime) -> String {
        issue(&mut self.codes, bound, awkward, now)
    }

    pub(super) fn issue_access(&mut self, bound: Bound, awkward: bool, now: UnixTime) -> String {
        issue(&mut self.access, bound, awkward, now)
    }

    pub(super) fn issue_refresh(&mut self, bound: Bound, awkward: bool, now: UnixTime) -> String {
        issue(&mut self.refresh, bound, awkward, now)
    }

    /// A code is gone with the first try to redeem it, right or wrong; unless it `stays`.
    pub(super) fn take_code(&mut self, code: &str, stays: bool, now: UnixTime) -> Option<Bound> {
        let bound = if stays {
            self.codes.get(code).cloned()
        } else {
            self.codes.remove(code)
        };
        bound.filter(|bound| alive(bound.expires_at, now))
    }

    /// Ends the access tokens that an application has for a user.
    pub(super) fn end_access(&mut self, uid: i64, client_id: &str) {
        self.access
            .retain(|_, bound| bound.uid != uid || bound.client_id != client_id);
    }

    /// Ends every token of a user, and the user's codes and sessions.
    pub(super) fn end_all_of(&mut self, uid: i64) {
        self.sessions.retain(|_, own| *own != uid);
        for kept in [&mut self.codes, &mut self.access, &mut self.refresh] {
            kept.retain(|_, bound| bound.uid != uid);
        }
    }

    pub(super) fn access(&self, token: &str, now: UnixTime) -> Option<&Bound> {
        self.access
            .get(token)
            .filter(|bound| alive(bound.expires_at, now))
    }

    pub(super) fn refresh(&self, token: &str, now: UnixTime) -> Option<Bound> {
        self.refresh
            .get(token)
            .filter(|bound| alive(bound.expires_at, now))
            .cloned()
    }

    pub(super) fn end_refresh(&mut self, token: &str) {
        self.refresh.remove(token);
    }
}

/// So many codes or tokens are kept before those that have ended are cleared away.
const MANY: usize = 10_000;

fn issue(kept: &mut HashMap<String, Bound>, bound: Bound, awkward: bool, now: UnixTime) -> String {
    if kept.len() > MANY {
        kept.retain(|_, bound| alive(bound.expires_at, now));
    }
    let value = opaque(awkward);
    kept.insert(value.clone(), bound);
    value
}

/// Base64 of a UUID's text, as aiM18 makes its ids and tokens; the awkward ones hold every character that
/// means something else in a query.
fn opaque(awkward: bool) -> String {
    let mut uuid = hex(&random_bytes::<16>());
    for position in [8, 13, 18, 23] {
        uuid.insert(position, '-');
    }
    let plain = STANDARD.encode(uuid);
    if awkward {
        format!("+/&{plain}=%2B==")
    } else {
        plain
    }
}
