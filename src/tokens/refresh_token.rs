//! Refresh tokens: the family, the generation, and a MAC over both. Nothing of the token is stored, so that a repeat
//! inside the window gives the same successor again without keeping it in plain text anywhere.

use subtle::ConstantTimeEq as _;

use crate::keys::{KeyError, Purpose, Secrets};
use crate::protocol::ids::FamilyId;

/// The most bytes a refresh token can have.
const MAX_BYTES: usize = 128;

/// The refresh token of `generation`.
pub fn write(secrets: &Secrets, family_id: &FamilyId, generation: i64) -> Result<String, KeyError> {
    let mac = secrets.mac(
        Purpose::RefreshToken,
        &[family_id.as_str().as_bytes(), &generation.to_be_bytes()],
    )?;
    Ok(format!("{family_id}.{generation}.{mac}"))
}

/// The family and generation of a token that we wrote; `None` for any other text. What is read is written again
/// and compared whole, so that only the one canonical spelling passes (T23).
pub fn read(secrets: &Secrets, token: &str) -> Result<Option<(FamilyId, i64)>, KeyError> {
    if token.len() > MAX_BYTES {
        return Ok(None);
    }
    let mut parts = token.split('.');
    let (Some(family_id), Some(generation)) = (parts.next(), parts.next()) else {
        return Ok(None);
    };
    let Ok(generation) = generation.parse::<i64>() else {
        return Ok(None);
    };
    let family_id = FamilyId::new(family_id);
    let ours = write(secrets, &family_id, generation)?;
    let same = bool::from(ours.as_bytes().ct_eq(token.as_bytes()));
    Ok(same.then_some((family_id, generation)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::MasterKey;
    use proptest::prelude::*;

    fn secrets() -> Secrets {
        Secrets::derive(&MasterKey::new([3; 32])).unwrap()
    }

    /// T23.
    #[test]
    fn only_the_canonical_spelling_is_read() {
        let secrets = secrets();
        let family = FamilyId::new("AAAAAAAAAAAAAAAAAAAAAA");
        let token = write(&secrets, &family, 7).unwrap();
        assert_eq!(read(&secrets, &token).unwrap(), Some((family, 7)));
        let mac = token.rsplit_once('.').unwrap().1;
        for other in [
            format!("AAAAAAAAAAAAAAAAAAAAAA.8.{mac}"),
            format!("AAAAAAAAAAAAAAAAAAAAAA.07.{mac}"),
            format!("AAAAAAAAAAAAAAAAAAAAAA.+7.{mac}"),
            format!("BAAAAAAAAAAAAAAAAAAAAA.7.{mac}"),
            format!("{token}="),
            format!("{token}."),
            token[..token.len() - 1].to_owned(),
            String::new(),
        ] {
            assert_eq!(read(&secrets, &other).unwrap(), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_refresh_token(text in "[A-Za-z0-9_.+-]{0,140}") {
            prop_assert_eq!(read(&secrets(), &text).unwrap(), None);
        }
    }
}
