//! Tokens whose signature was found good: an app shows the same one again and again, and verifying an ES256 signature takes as long as
//! three are made in. Only the signature is taken as seen; whether the key still verifies, and everything that the token says, is asked each time.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{self, SHA256};

/// How many are remembered, half a mebibyte in all. Each has one place, which the next one with that place takes.
const PLACES: usize = 1 << 14;

/// The hash of a whole token, signature included: no other text has it.
pub(super) type TokenHash = [u8; 32];

pub(super) fn hash_of(token: &str) -> Option<TokenHash> {
    let hash = digest::digest(&SHA256, token.as_bytes());
    hash.as_ref().try_into().ok()
}

/// The tokens that one reading of the keys has verified: a key that is gone takes with it what is remembered.
#[derive(Default)]
pub(super) struct Verified(Mutex<Vec<TokenHash>>);

impl Verified {
    pub(super) fn has(&self, hash: &TokenHash) -> bool {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places
            .get(place_of(hash))
            .is_some_and(|known| known == hash)
    }

    pub(super) fn remember(&self, hash: TokenHash) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.is_empty() {
            places.resize(PLACES, TokenHash::default());
        }
        if let Some(place) = places.get_mut(place_of(&hash)) {
            *place = hash;
        }
    }
}

fn place_of(hash: &TokenHash) -> usize {
    let [first, second, ..] = *hash;
    usize::from(u16::from_be_bytes([first, second])) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_no_proof() {
        let verified = Verified::default();
        let [one, other] = [1, 2].map(|last| {
            let mut hash = [7; 32];
            hash[31] = last;
            hash
        });
        assert!(!verified.has(&one));
        verified.remember(one);
        assert!(verified.has(&one));
        // It has the same place.
        assert!(!verified.has(&other));
        verified.remember(other);
        assert!(verified.has(&other) && !verified.has(&one));
        // An empty place is nobody's.
        assert!(!verified.has(&[9; 32]));
    }
}
