//! `[audit]`: what is kept of what happened.

use serde::Deserialize;

use super::duration::Span;
use super::place::{Place, Report};

/// What is kept of what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditPolicy {
    /// Whether it is kept in the database, too. The log has it, unless its filter names it and leaves it out.
    pub database: bool,
    /// Seconds that a record is kept there.
    pub keep: i64,
}

const DAY: i64 = 24 * 60 * 60;
const LIMITS: (i64, i64) = (DAY, 3650 * DAY);

impl Default for AuditPolicy {
    fn default() -> Self {
        Self {
            database: true,
            keep: 400 * DAY,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    database: Option<bool>,
    keep: Option<Span>,
}

impl AuditPolicy {
    pub(super) fn check(raw: &Raw, at: &Place, report: &mut Report) -> Self {
        let default = Self::default();
        Self {
            database: raw.database.unwrap_or(default.database),
            keep: raw.keep.map_or(default.keep, |span| {
                span.seconds(LIMITS, default.keep, &at.key("keep"), report)
            }),
        }
    }
}
