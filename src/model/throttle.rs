//! How many wrong passwords may be tried: enough for a person, too few to lock them out upstream (T32 to T34).

use unicode_normalization::UnicodeNormalization as _;

use crate::protocol::ids::UpstreamId;

/// The limit: `attempts` failures within `window` seconds close the bucket until the window ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottlePolicy {
    /// Failures forwarded to the upstream. Must stay below the upstream's own lockout.
    pub attempts: i64,
    /// Seconds.
    pub window: i64,
    /// What the window is counted from.
    pub starts_at: WindowStart,
}

/// What the window of a [`ThrottlePolicy`] is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowStart {
    /// The first attempt: for many people together, who are never all quiet.
    FirstAttempt,
    /// The last attempt: it opens again after a quiet time, so that two bursts at the seam of two windows never
    /// add up to more than the upstream takes (T34).
    LastAttempt,
}

/// The name under which a user name's failures are counted: every spelling the upstream may take for the same
/// person falls into one bucket (T33): case, surrounding space, compatibility forms, full width.
pub fn bucket(upstream: &UpstreamId, username: &str) -> String {
    let folded: String = username
        .nfkc()
        .flat_map(char::to_lowercase)
        .nfkc()
        .collect();
    let words: Vec<&str> = folded.split_whitespace().collect();
    format!("{upstream}\n{}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T33.
    #[test]
    fn every_spelling_falls_into_one_bucket() {
        let upstream = UpstreamId::new("members");
        let plain = bucket(&upstream, "jsmith");
        for spelling in [
            "JSMITH",
            " jsmith ",
            "ＪＳＭＩＴＨ",
            "jsmith\u{a0}",
            "jſmith",
        ] {
            assert_eq!(bucket(&upstream, spelling), plain, "{spelling}");
        }
        assert_ne!(bucket(&upstream, "jsmyth"), plain);
        assert_ne!(bucket(&UpstreamId::new("staff"), "jsmith"), plain);
    }
}
