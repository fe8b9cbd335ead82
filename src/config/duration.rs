//! Durations as people write them: `"10m"`, `"30d"`, `"1h 30m"`.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use super::place::{Place, Report};

/// A duration in the config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(Duration);

impl Span {
    /// The duration that `text` is, for keys that take a word as well.
    pub(super) fn parse(text: &str) -> Option<Self> {
        humantime::parse_duration(text).ok().map(Self)
    }

    /// The whole seconds, when they lie within `least` and `most`; else `default`, and a problem.
    pub(super) fn seconds(
        self,
        (least, most): (i64, i64),
        default: i64,
        place: &Place,
        report: &mut Report,
    ) -> i64 {
        let seconds = i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX);
        if self.0.subsec_nanos() != 0 {
            report.problem(place, "must be whole seconds");
        } else if seconds < least || seconds > most {
            let (least, most) = (show_seconds(least), show_seconds(most));
            report.problem(place, format!("must be between {least} and {most}"));
        } else {
            return seconds;
        }
        default
    }

    /// The duration itself.
    pub(super) const fn duration(self) -> Duration {
        self.0
    }
}

/// Seconds as an administrator would write them.
pub(super) fn show_seconds(seconds: i64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let unit = units
        .iter()
        .find(|(length, _)| seconds != 0 && seconds % length == 0);
    match unit {
        Some((length, name)) => format!("{}{name}", seconds / length),
        None => format!("{seconds}s"),
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(SpanText)
    }
}

struct SpanText;

impl Visitor<'_> for SpanText {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with its unit, such as \"10m\" or \"30d\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
        humantime::parse_duration(text)
            .map(Span)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds_are_shown_in_their_largest_unit() {
        for (seconds, shown) in [
            (0, "0s"),
            (90, "90s"),
            (600, "10m"),
            (43_200, "12h"),
            (2_592_000, "30d"),
        ] {
            assert_eq!(show_seconds(seconds), shown);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(seconds in 0..i64::from(u32::MAX), text in "[0-9a-zµ .-]{0,12}") {
            let shown = Span::parse(&show_seconds(seconds)).unwrap();
            prop_assert_eq!(shown.0.as_secs(), u64::try_from(seconds).unwrap());
            prop_assert_eq!(shown.0.subsec_nanos(), 0);
            // A number without a unit would mean seconds to one reader and minutes to the next.
            if Span::parse(&text).is_some() {
                prop_assert!(text == "0" || text.contains(|c: char| c.is_alphabetic()), "{}", text);
            }
        }
    }
}
