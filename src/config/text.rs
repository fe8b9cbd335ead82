//! Text that people see.

use super::client_words::words;
use super::place::{Place, Report};
use crate::protocol::client_metadata::rules;

/// Refuses a name that would show as nothing, break a page, or turn the text around it.
pub(super) fn check_label(text: &str, at: &Place, report: &mut Report) {
    if let Some(rule) = rules::label(text) {
        report.problem(at, words(&rule));
    }
}
