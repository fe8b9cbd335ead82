//! Text that people see.

use super::place::{Place, Report};

/// The most characters of a name on a page.
const MAX_CHARS: usize = 80;

/// Refuses a name that would show as nothing, break a page, or turn the text around it.
pub(super) fn check_label(text: &str, at: &Place, report: &mut Report) {
    let direction = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.trim().is_empty() {
        report.problem(at, "is empty; people see it, so write a name");
    } else if text.chars().count() > MAX_CHARS {
        report.problem(at, format!("must have {MAX_CHARS} characters at the most"));
    } else if text.chars().any(|c| c.is_control() || direction(c)) {
        report.problem(at, "must not hold control characters");
    }
}
