//! How many wrong passwords may be tried: enough for a person, too few to lock them out upstream (T32 to T34).

use std::net::{IpAddr, Ipv6Addr};

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use crate::protocol::ids::{ClientId, UpstreamId};
use crate::protocol::printable::is_ignorable;

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

/// Seconds: the longest window that the configuration allows.
pub const MAX_WINDOW: i64 = 24 * 60 * 60;

/// How often a client that registered itself may prove who it is by something that it signed: each is a row until it ends, and
/// anybody may register (T48). Two a second all the time are more than such a client has people for.
pub const REGISTERED_ASSERTIONS: ThrottlePolicy = ThrottlePolicy {
    attempts: 600,
    window: 5 * 60,
    starts_at: WindowStart::FirstAttempt,
};

/// The name under which these are counted.
pub fn registered_assertions(client_id: &ClientId) -> String {
    format!("assertions\n{client_id}")
}

/// The name under which a user name's failures are counted: every spelling the upstream may take for the same
/// person falls into one bucket (T33). Beyond what [`spelling`] passes over, that is what SQL Server's collations and the
/// Unicode Collation Algorithm hold equal at their first level. It is never what is sent to the upstream.
pub fn bucket(upstream: &UpstreamId, username: &str) -> String {
    format!("{upstream}\n{}", folded(username))
}

/// All names under which a user name's failures are counted. There are two where databases are of two minds: a
/// character that is the form of a letter, and younger than Unicode 2.0, is that letter to some and nothing to others.
pub fn buckets(upstream: &UpstreamId, username: &str) -> Vec<String> {
    let old: String = username.chars().filter(|c| has_weight(*c)).collect();
    let mut all = vec![bucket(upstream, username)];
    let without = folded(&old);
    if !without.is_empty() {
        all.push(format!("{upstream}\n{without}"));
    }
    all.dedup();
    all
}

/// Whether no other name shares the bucket but by case and space: only then may a success forget what others tried.
/// Somebody called `jessica` with an invisible letter must not clear the count of `jessica`.
pub fn is_plain(username: &str) -> bool {
    words(username).to_lowercase() == folded(username)
}

/// A user name without case, surrounding space, compatibility forms and width, accents and invisible characters.
pub fn spelling(username: &str) -> String {
    // As most are: none of its characters is taken apart, is a mark, or is ignorable.
    if username.is_ascii() {
        return words(&username.to_ascii_lowercase());
    }
    spelling_of_any(username)
}

fn spelling_of_any(username: &str) -> String {
    let folded: String = username
        .nfkd()
        .flat_map(char::to_lowercase)
        .nfkd()
        .filter(|c| !is_combining_mark(*c) && !is_ignorable(*c))
        .collect();
    words(&folded)
}

/// With one space between words, and none around them.
fn words(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    words.join(" ")
}

/// The spelling, folded further. Where nothing of it has weight it stays as it is: to a database that passes over all of it
/// no person has that name, and in others such names belong to different people.
fn folded(username: &str) -> String {
    let spelled = spelling(username);
    let folded = if spelled.is_ascii() {
        spelled.chars().filter(|c| has_weight(*c)).collect()
    } else {
        folded_of_any(&spelled)
    };
    let folded = words(&folded);
    if folded.is_empty() { spelled } else { folded }
}

fn folded_of_any(spelled: &str) -> String {
    let mut folded = String::new();
    // Upper case, and lower case again, is full case folding: U+00DF becomes ss.
    let letters = spelled.chars().flat_map(char::to_uppercase);
    for c in letters.flat_map(char::to_lowercase).nfkd() {
        match c {
            // Ligatures, and thorn: expansions in every Windows collation.
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            // With a stroke: other letters to accent-sensitive collations, accented ones to the Unicode Collation Algorithm.
            'ø' => folded.push('o'),
            'đ' | 'ð' => folded.push('d'),
            'ħ' => folded.push('h'),
            'ł' => folded.push('l'),
            // Katakana is hiragana unless a collation is sensitive to kana.
            '\u{30a1}'..='\u{30f4}' | '\u{30fd}'..='\u{30fe}' => {
                folded.extend(char::from_u32(u32::from(c) - 0x60));
            }
            c => folded.extend(has_weight(c).then_some(c)),
        }
    }
    folded
}

/// Whether every database's collation has a weight for it. SQL Server passes over what its table does not know, and its
/// usual collations know little of what came after Unicode 2.0 and nothing of the supplementary planes; so all that is
/// dropped, with what is unassigned, of private use or for control, and punctuation that nobody types in a user name.
fn has_weight(c: char) -> bool {
    matches!(c, ' '..='~')
        || c.is_whitespace()
        || LETTERS
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&c))
}

/// The letters and digits of Unicode 2.0 in the scripts that the first Windows tables had, and the forms of full width:
/// `[\p{Present_In: 2.0}&&[\p{L}\p{N}]]` of those blocks.
const LETTERS: &[(char, char)] = &[
    ('\u{aa}', '\u{aa}'),
    ('\u{b2}', '\u{b3}'),
    ('\u{b5}', '\u{b5}'),
    ('\u{b9}', '\u{ba}'),
    ('\u{bc}', '\u{be}'),
    ('\u{c0}', '\u{d6}'),
    ('\u{d8}', '\u{f6}'),
    ('\u{f8}', '\u{1f5}'),
    ('\u{1fa}', '\u{217}'),
    ('\u{250}', '\u{2a8}'),
    ('\u{374}', '\u{374}'),
    ('\u{37a}', '\u{37a}'),
    ('\u{386}', '\u{386}'),
    ('\u{388}', '\u{38a}'),
    ('\u{38c}', '\u{38c}'),
    ('\u{38e}', '\u{3a1}'),
    ('\u{3a3}', '\u{3ce}'),
    ('\u{3d0}', '\u{3d6}'),
    ('\u{3da}', '\u{3da}'),
    ('\u{3dc}', '\u{3dc}'),
    ('\u{3de}', '\u{3de}'),
    ('\u{3e0}', '\u{3e0}'),
    ('\u{3e2}', '\u{3f3}'),
    ('\u{401}', '\u{40c}'),
    ('\u{40e}', '\u{44f}'),
    ('\u{451}', '\u{45c}'),
    ('\u{45e}', '\u{481}'),
    ('\u{490}', '\u{4c4}'),
    ('\u{4c7}', '\u{4c8}'),
    ('\u{4cb}', '\u{4cc}'),
    ('\u{4d0}', '\u{4eb}'),
    ('\u{4ee}', '\u{4f5}'),
    ('\u{4f8}', '\u{4f9}'),
    ('\u{531}', '\u{556}'),
    ('\u{559}', '\u{559}'),
    ('\u{561}', '\u{587}'),
    ('\u{5d0}', '\u{5ea}'),
    ('\u{5f0}', '\u{5f2}'),
    ('\u{621}', '\u{63a}'),
    ('\u{640}', '\u{64a}'),
    ('\u{660}', '\u{669}'),
    ('\u{671}', '\u{6b7}'),
    ('\u{6ba}', '\u{6be}'),
    ('\u{6c0}', '\u{6ce}'),
    ('\u{6d0}', '\u{6d3}'),
    ('\u{6d5}', '\u{6d5}'),
    ('\u{6f0}', '\u{6f9}'),
    ('\u{e01}', '\u{e30}'),
    ('\u{e32}', '\u{e33}'),
    ('\u{e40}', '\u{e46}'),
    ('\u{e50}', '\u{e59}'),
    ('\u{10a0}', '\u{10c5}'),
    ('\u{10d0}', '\u{10f6}'),
    ('\u{1100}', '\u{1159}'),
    ('\u{115f}', '\u{11a2}'),
    ('\u{11a8}', '\u{11f9}'),
    ('\u{1e00}', '\u{1e9b}'),
    ('\u{1ea0}', '\u{1ef9}'),
    ('\u{1f00}', '\u{1f15}'),
    ('\u{1f18}', '\u{1f1d}'),
    ('\u{1f20}', '\u{1f45}'),
    ('\u{1f48}', '\u{1f4d}'),
    ('\u{1f50}', '\u{1f57}'),
    ('\u{1f59}', '\u{1f59}'),
    ('\u{1f5b}', '\u{1f5b}'),
    ('\u{1f5d}', '\u{1f5d}'),
    ('\u{1f5f}', '\u{1f7d}'),
    ('\u{1f80}', '\u{1fb4}'),
    ('\u{1fb6}', '\u{1fbc}'),
    ('\u{1fbe}', '\u{1fbe}'),
    ('\u{1fc2}', '\u{1fc4}'),
    ('\u{1fc6}', '\u{1fcc}'),
    ('\u{1fd0}', '\u{1fd3}'),
    ('\u{1fd6}', '\u{1fdb}'),
    ('\u{1fe0}', '\u{1fec}'),
    ('\u{1ff2}', '\u{1ff4}'),
    ('\u{1ff6}', '\u{1ffc}'),
    ('\u{3041}', '\u{3094}'),
    ('\u{309d}', '\u{309e}'),
    ('\u{30a1}', '\u{30fa}'),
    ('\u{30fc}', '\u{30fe}'),
    ('\u{3105}', '\u{312c}'),
    ('\u{4e00}', '\u{9fa5}'),
    ('\u{ac00}', '\u{d7a3}'),
    ('\u{f900}', '\u{fa2d}'),
    ('\u{fb00}', '\u{fb06}'),
    ('\u{ff01}', '\u{ff5e}'),
    ('\u{ff66}', '\u{ffbe}'),
    ('\u{ffc2}', '\u{ffc7}'),
    ('\u{ffca}', '\u{ffcf}'),
    ('\u{ffd2}', '\u{ffd7}'),
    ('\u{ffda}', '\u{ffdc}'),
];

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
    use proptest::prelude::*;

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

    /// T33: what the collations of SQL Server and the Unicode Collation Algorithm hold equal.
    #[test]
    fn what_collations_hold_equal_falls_into_one_bucket() {
        let upstream = UpstreamId::new("members");
        for (one, other) in [
            ("jeßica", "jessica"),
            ("JEẞICA", "jessica"),
            ("Æsop", "aesop"),
            ("œdipus", "OEDIPUS"),
            ("þor", "Thor"),
            ("Søren", "soren"),
            ("Łukasz", "lukasz"),
            ("jessica😀", "jessica"),
            ("jessica\u{e000}", "jessica"),
            ("jess\u{1}ica", "jessica"),
            ("jessica\u{378}", "jessica"),
            ("jessica\u{1780}", "jessica"),
            ("jessica\u{10ffff}", "jessica"),
            ("ΣΟΦΟΣ", "σοφος"),
            ("σοφός", "σοφοσ"),
            ("ﬁona", "FIONA"),
            ("タロウ", "たろう"),
        ] {
            assert_eq!(bucket(&upstream, one), bucket(&upstream, other), "{one}");
        }
        for (one, other) in [
            ("john.o'neil", "johnoneil"),
            ("a-b", "a_b"),
            ("α", "a"),
            ("李", "王"),
        ] {
            assert_ne!(bucket(&upstream, one), bucket(&upstream, other), "{one}");
        }
        // Of two minds: a mathematical a is an a, or nothing.
        let both = buckets(&upstream, "jessic𝐚");
        assert_eq!(
            both,
            [bucket(&upstream, "jessica"), bucket(&upstream, "jessic")]
        );
        assert_eq!(
            buckets(&upstream, "jessica"),
            [bucket(&upstream, "jessica")]
        );
    }

    /// Names without any weight are still counted, each for itself.
    #[test]
    fn a_name_that_folds_to_nothing_has_a_bucket_of_its_own() {
        let upstream = UpstreamId::new("members");
        let all = ["😀", "😂", "\u{1780}", "jessica"].map(|name| bucket(&upstream, name));
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "{one}");
        }
        assert_eq!(buckets(&upstream, "😀").len(), 1);
    }

    /// T34: a success at a name that only folds to another's clears nothing of that one's.
    #[test]
    fn only_a_plain_name_may_forget() {
        for plain in ["jessica", "JSMITH", " John  Smith ", "李"] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [
            "jessica😀",
            "jeßica",
            "jessicá",
            "jessic𝐚",
            "jes\u{200b}sica",
        ] {
            assert!(!is_plain(other), "{other}");
        }
    }

    proptest! {
        /// T33.
        #[test]
        fn folding_twice_is_folding_once(name in any::<String>(), near in "[a-zA-ZßæŒþıİſΣς𝐚ǅŉ\u{1e9e}\u{345} \u{e000}😀カｶﾞ]{0,8}") {
            for name in [name, near] {
                let once = folded(&name);
                prop_assert_eq!(folded(&once), once.clone(), "{:?}", name);
                // Whoever our own list of people takes for one person has one bucket.
                prop_assert_eq!(folded(&spelling(&name)), once, "{:?}", name);
            }
        }

        /// T33: the short way of ASCII is the way of all others.
        #[test]
        fn ascii_falls_where_it_would_without_a_way_of_its_own(name in "[\\x00-\\x7f]{0,12}") {
            let spelled = spelling_of_any(&name);
            prop_assert_eq!(spelling(&name), spelled.clone());
            let far = words(&folded_of_any(&spelled));
            prop_assert_eq!(folded(&name), if far.is_empty() { spelled } else { far });
        }

        /// T33: characters without weight make no other name.
        #[test]
        fn what_has_no_weight_makes_no_other_bucket(
            name in "[a-z0-9.æß李]{1,12}", at in 0usize..12,
            weightless in prop_oneof![
                prop::char::range('\u{10000}', '\u{10ffff}'), prop::char::range('\u{e000}', '\u{f8ff}'),
                prop::char::range('\u{fe00}', '\u{fe0f}'), prop::char::range('\u{200b}', '\u{200f}'),
                prop::char::range('\u{1}', '\u{8}'), prop::char::range('\u{1200}', '\u{137f}'),
            ],
        ) {
            let upstream = UpstreamId::new("members");
            let place = name.char_indices().nth(at).map_or(name.len(), |(place, _)| place);
            let mut other = name.clone();
            other.insert(place, weightless);
            let plain = bucket(&upstream, &name);
            prop_assert!(buckets(&upstream, &other).contains(&plain), "{:?} and {:?}", name, other);
        }
    }
}
