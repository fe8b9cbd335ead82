//! The spelling of a secret key of ours: 32 bytes, as an administrator writes them.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// The bytes of a secret key; wiped when dropped.
pub type KeyBytes = Zeroizing<[u8; 32]>;

/// Reads 32 bytes written as hexadecimal, base64 or base64url, padded or not, with white space around them; `None` for
/// anything else.
pub fn key_bytes(text: &str) -> Option<KeyBytes> {
    let text = text.trim();
    let bytes = Zeroizing::new(if text.len() == 64 {
        from_hex(text)?
    } else {
        let alphabet = if text.contains(['-', '_']) {
            alphabet::URL_SAFE
        } else {
            alphabet::STANDARD
        };
        let lenient =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        GeneralPurpose::new(&alphabet, lenient).decode(text).ok()?
    });
    let bytes: [u8; 32] = bytes.as_slice().try_into().ok()?;
    Some(Zeroizing::new(bytes))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let byte = |pair: &[u32]| {
        let (high, low) = (pair.first()?, pair.last()?);
        u8::try_from(high * 16 + low).ok()
    };
    digits?.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_is_32_bytes_in_any_usual_spelling() {
        for good in [
            "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "-_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            " AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        ] {
            assert!(key_bytes(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "correct horse battery staple",
            "AAAA",
            &"g".repeat(64),
            &"é".repeat(32),
        ] {
            assert!(key_bytes(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_key_is_the_bytes_that_were_written(bytes in any::<[u8; 32]>(), other in "[ -~é]{0,70}") {
            use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
            use std::fmt::Write as _;
            let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            let spelled = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|engine| engine.encode(bytes));
            for text in spelled.into_iter().chain([hex]) {
                prop_assert_eq!(key_bytes(&format!(" {text}\n")).map(|key| *key), Some(bytes), "{}", text);
            }
            let _ = key_bytes(&other);
        }
    }
}
