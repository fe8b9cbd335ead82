//! Text from outside where people read it: in a log, on a terminal.

use std::fmt::{self, Display, Write as _};

/// Shows what it holds with a sign of replacement for whatever moves a cursor, begins a line, or turns the reading direction.
#[derive(Clone, Copy, Debug)]
pub struct Printable<T>(pub T);

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Filter(f), "{}", self.0)
    }
}

struct Filter<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Filter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|char| {
            self.0
                .write_char(if moves(char) { '\u{fffd}' } else { char })
        })
    }
}

/// Control characters, separators of lines and paragraphs, and those that embed, override or isolate a direction (UAX #9).
fn moves(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// `Default_Ignorable_Code_Point` (Unicode Standard Annex 44): without a glyph, and equal to nothing for a collation.
pub const fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves() {
        let hostile = "a\n2026 logged in\u{1b}[2J\u{9b}\u{7}\r\u{202e}\u{2028}\u{2066}z";
        let shown = Printable(hostile).to_string();
        assert_eq!(shown.matches('\u{fffd}').count(), 8);
        assert!(shown.starts_with('a') && shown.ends_with('z'));
        assert_eq!(Printable("Zoë 陳 'x'").to_string(), "Zoë 陳 'x'");
    }
}
