//! The path of a call, taken apart once and for good: what a rule looked at is what the upstream is asked for (T50, T62).

use percent_encoding::percent_decode_str;

/// The most bytes of a path (T48).
const MAX_BYTES: usize = 2048;

/// The decoded segments of a raw path; `None` for one that two servers could read in two ways: an empty or dot segment,
/// a segment that holds a slash, a semicolon or a percent sign once it is decoded, a control character, text that is not
/// UTF-8.
pub fn segments(raw: &str) -> Option<Vec<String>> {
    if raw.len() > MAX_BYTES {
        return None;
    }
    raw.split('/').map(segment).collect()
}

fn segment(raw: &str) -> Option<String> {
    let decoded = percent_decode_str(raw).decode_utf8().ok()?;
    let ambiguous = |c: char| matches!(c, '/' | '\\' | ';' | '%') || c.is_control();
    // A `%` that begins no escape stays, and is refused with those that an escape made.
    let fits = !matches!(decoded.trim(), "" | "." | "..")
        && decoded.trim() == decoded
        && !decoded.ends_with('.')
        && !decoded.contains(ambiguous);
    fits.then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// T50.
    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_none() {
        assert_eq!(
            segments("Party/20457").as_deref(),
            Some(&["Party".to_owned(), "20457".to_owned()][..])
        );
        assert_eq!(
            segments("Party/J%C3%B8%20S").as_deref(),
            Some(&["Party".to_owned(), "Jø S".to_owned()][..])
        );
        for raw in [
            "",
            "/",
            "Party/",
            "//Party",
            "Party//1",
            ".",
            "..",
            "Party/../User",
            "Party/%2e%2e/User",
            "Party/%2E",
            "Party%2f1",
            "Party%2F..%2FUser",
            "Party%5c1",
            "Party\\1",
            "Party;x=1/1",
            "Party%3bx",
            "Party%252e",
            "Party%",
            "Party%00",
            "Party%0d%0a",
            "Party%ff",
            "Party.",
            "Party%20",
            "%20Party",
            "Party/...",
        ] {
            assert_eq!(segments(raw), None, "{raw}");
        }
        assert_eq!(segments(&"a".repeat(MAX_BYTES + 1)), None);
    }

    proptest! {
        /// T50: what is taken means the same decoded once more, and written anew.
        #[test]
        fn a_path_that_is_taken_has_one_reading(raw in "([A-Za-z0-9 .;%/\\\\-]|%2[eEfF5]|%[0-9a-f]{2}|é){0,24}", any in any::<String>()) {
            let _ = segments(&any);
            if let Some(segments_) = segments(&raw) {
                prop_assert_eq!(segments_.len(), raw.split('/').count());
                for segment in &segments_ {
                    prop_assert!(!["", ".", ".."].contains(&segment.as_str()));
                    prop_assert!(!segment.contains(['/', '\\', ';', '%', '\0', '\n']));
                    prop_assert_eq!(percent_decode_str(segment).decode_utf8().unwrap(), segment.as_str());
                }
                let written: Vec<String> = segments_.iter()
                    .map(|each| percent_encoding::utf8_percent_encode(each, percent_encoding::NON_ALPHANUMERIC).to_string())
                    .collect();
                prop_assert_eq!(segments(&written.join("/")), Some(segments_));
            }
        }
    }
}
