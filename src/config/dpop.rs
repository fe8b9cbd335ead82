//! `[dpop]`: proofs of possession (RFC 9449).

use serde::Deserialize;

use super::duration::Span;
use super::place::{Place, Report};
use crate::protocol::dpop::MAX_WINDOW;

/// Proofs of possession.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dpop {
    /// Whether each proof must answer a nonce of ours.
    pub require_nonce: bool,
    /// Seconds that a proof may be old.
    pub window: i64,
}

impl Default for Dpop {
    fn default() -> Self {
        Self {
            require_nonce: false,
            window: 60,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    require_nonce: bool,
    window: Option<Span>,
}

impl Dpop {
    pub(super) fn check(raw: &Raw, at: &Place, report: &mut Report) -> Self {
        let default = Self::default().window;
        let window = raw.window.map_or(default, |span| {
            span.seconds((10, MAX_WINDOW), default, &at.key("window"), report)
        });
        Self {
            require_nonce: raw.require_nonce,
            window,
        }
    }
}
