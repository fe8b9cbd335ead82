//! What a device shows, and what it is answered (RFC 8628 sections 3.2 and 6.1).

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

/// The letters of a code: no vowels, so that no word comes out, and none that looks like a digit (section 6.1).
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// 34 bits with that alphabet; the limits on attempts do the rest (section 5.1).
const LENGTH: usize = 8;
/// The most characters that anybody types for so many.
const MAX_TYPED: usize = 64;

/// Seconds between two questions of a device; each that comes too early adds as many (section 3.5).
pub const INTERVAL: i64 = 5;
/// Where that ends: a device that has lost count of ours and one that has lost its mind are slow enough then.
pub const MAX_INTERVAL: i64 = 60;

/// The code that a person carries from the device to a browser.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCode(String);

impl UserCode {
    /// Makes one of random bytes. Those that would make some letters likelier than others are passed over.
    pub fn from_random(mut byte: impl FnMut() -> u8) -> Self {
        let mut letters = String::with_capacity(LENGTH);
        while letters.len() < LENGTH {
            let byte = usize::from(byte());
            if byte >= 256 - 256 % ALPHABET.len() {
                continue;
            }
            letters.extend(ALPHABET.get(byte % ALPHABET.len()).copied().map(char::from));
        }
        Self(letters)
    }

    /// Reads what somebody typed: in any case or width, with hyphens and spaces wherever they like.
    pub fn parse(typed: &str) -> Option<Self> {
        if typed.chars().count() > MAX_TYPED {
            return None;
        }
        let letters: String = typed
            .nfkc()
            .flat_map(char::to_uppercase)
            .filter(|c| !c.is_whitespace() && !is_dash(*c))
            .collect();
        let known = letters.bytes().all(|byte| ALPHABET.contains(&byte));
        (known && letters.len() == LENGTH).then_some(Self(letters))
    }

    /// The letters alone.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | 'ー' | '_')
}

/// As it is shown: in two halves.
impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at_checked(LENGTH / 2).unwrap_or((&self.0, ""));
        write!(f, "{first}-{second}")
    }
}

/// Not for the log while it is good.
impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode(..)")
    }
}

/// The answer of the device authorization endpoint (section 3.2). No `Debug`: the code in it is a secret.
#[derive(Serialize)]
pub struct DeviceAuthorization {
    /// What the device redeems.
    pub device_code: String,
    /// What it shows.
    pub user_code: String,
    /// Where the person goes with it.
    pub verification_uri: String,
    /// The same with the code in it, for a QR code.
    pub verification_uri_complete: String,
    /// Seconds until both codes end.
    pub expires_in: i64,
    /// Seconds between two questions.
    pub interval: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 8628 section 6.1.
    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let code = UserCode("WDJBMJHT".to_owned());
        assert_eq!(code.to_string(), "WDJB-MJHT");
        for typed in [
            "WDJB-MJHT",
            "wdjbmjht",
            " wdjb mjht ",
            "w d j b - m j h t",
            "WDJB\u{2013}MJHT",
            "ＷＤＪＢーＭＪＨＴ",
        ] {
            assert_eq!(UserCode::parse(typed).as_ref(), Some(&code), "{typed}");
        }
        for other in [
            "",
            "WDJB-MJH",
            "WDJB-MJHTT",
            "WDJB-MJHA",
            "WDJB-MJH1",
            "WDJB-MJHß",
        ] {
            assert_eq!(UserCode::parse(other), None, "{other}");
        }
        assert!(!format!("{code:?}").contains("WDJB"));
    }

    /// T16: every letter is as likely as every other.
    #[test]
    fn no_letter_is_likelier_than_another() {
        let mut bytes = (0..=u8::MAX).cycle();
        let mut seen = std::collections::BTreeMap::<char, usize>::new();
        for _ in 0..30 {
            let code = UserCode::from_random(|| bytes.next().unwrap());
            assert_eq!(UserCode::parse(&code.to_string()), Some(code.clone()));
            for letter in code.as_str().chars() {
                *seen.entry(letter).or_default() += 1;
            }
        }
        assert_eq!(seen.len(), ALPHABET.len());
        assert!(seen.values().all(|count| *count == 12), "{seen:?}");
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_read_or_refused(typed in "\\PC{0,80}") {
            if let Some(code) = UserCode::parse(&typed) {
                prop_assert_eq!(UserCode::parse(&code.to_string()), Some(code));
            }
        }
    }
}
