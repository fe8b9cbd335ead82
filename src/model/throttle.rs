//! How many wrong passwords may be tried: enough for a person, too few to lock them out upstream (T32 to T34).

use std::net::{IpAddr, Ipv6Addr};

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use crate::protocol::ids::{ClientId, UpstreamId};

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
/// person falls into one bucket (T33): case, surrounding space, compatibility forms, full width, and what the
/// collations of the databases behind upstreams pass over: invisible characters and accents.
pub fn bucket(upstream: &UpstreamId, username: &str) -> String {
    let folded: String = username
        .nfkd()
        .flat_map(char::to_lowercase)
        .nfkd()
        .filter(|c| !is_combining_mark(*c) && !is_ignorable(*c))
        .collect();
    let words: Vec<&str> = folded.split_whitespace().collect();
    format!("{upstream}\n{}", words.join(" "))
}

/// `Default_Ignorable_Code_Point` (Unicode Standard Annex 44): without a glyph, and equal to nothing for a collation.
const fn is_ignorable(c: char) -> bool {
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

/// The name under which failures are counted of all names that lead to one person.
pub fn person(upstream: &UpstreamId, subject: &str) -> String {
    format!("person\n{upstream}\n{subject}")
}

/// The name under which an address's failures are counted. Of an IPv6 address the first 64 bits: the rest is the
/// guesser's own to choose (RFC 4291 section 2.5.4), who would have a fresh bucket for each try.
pub fn place(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V6(address)) => {
            let network = Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX));
            format!("address\n{network}/64")
        }
        _ => format!("address\n{address}"),
    }
}

/// The name under which the failures are counted that a client brought with passwords it took itself: whoever types
/// them all comes from the client's own address. Those at names that somebody has logged in by are counted apart, so that
/// who makes names up closes the client to nobody who was here before.
pub fn client(client: &ClientId, is_known: bool) -> String {
    let names = if is_known { "known" } else { "unknown" };
    format!("passwords\n{client}\n{names}")
}

/// The name under which the Guests are counted that come from an address.
pub fn guests(address: &str) -> String {
    format!("guests\n{}", place(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_place() {
        assert_eq!(place("2001:db8:1:2::3"), place("2001:db8:1:2:ffff::4"));
        assert_ne!(place("2001:db8:1:2::3"), place("2001:db8:1:3::3"));
        assert_ne!(place("192.0.2.1"), place("192.0.2.2"));
    }

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
            "js\u{200b}mith",
            "\u{feff}jsmith",
            "jsm\u{ad}ith",
            "jsmith\u{fe0f}",
            "jsmíth",
            "jsmi\u{301}th",
        ] {
            assert_eq!(bucket(&upstream, spelling), plain, "{spelling}");
        }
        assert_ne!(bucket(&upstream, "jsmyth"), plain);
        assert_ne!(bucket(&UpstreamId::new("staff"), "jsmith"), plain);
    }
}
