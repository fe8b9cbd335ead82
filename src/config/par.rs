//! `[par]`: pushed authorization requests (RFC 9126).

use serde::Deserialize;

use super::duration::Span;
use super::place::{Place, Report};

/// Pushed authorization requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Par {
    /// Whether every client must push; the key of a client asks it of that one alone.
    pub required: bool,
    /// Seconds in which a browser must bring a pushed request (`expires_in`).
    pub lifetime: i64,
}

impl Default for Par {
    fn default() -> Self {
        Self {
            required: false,
            lifetime: 90,
        }
    }
}

/// FAPI 2.0 Security Profile section 5.3.2.2 wants less than 600.
const LIMITS: (i64, i64) = (10, 599);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    required: bool,
    lifetime: Option<Span>,
}

impl Par {
    pub(super) fn check(raw: &Raw, at: &Place, report: &mut Report) -> Self {
        let default = Self::default().lifetime;
        let lifetime = raw.lifetime.map_or(default, |span| {
            span.seconds(LIMITS, default, &at.key("lifetime"), report)
        });
        Self {
            required: raw.required,
            lifetime,
        }
    }
}
