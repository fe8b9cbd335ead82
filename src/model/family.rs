//! A family of refresh tokens: one row, a generation that counts up, a window in which the last step may be repeated.

use crate::clock::UnixTime;
use crate::protocol::claims_request::ClaimsRequest;
use crate::protocol::dpop::Thumbprint;
use crate::protocol::ids::{AccountId, ClientId, FamilyId};
use crate::protocol::scope::Scope;

use super::session::Authentication;

/// Seconds in which a spent refresh token gives the same successor again: a lost answer, or a second tab (T20).
pub const RETRY_WINDOW: i64 = 30;

/// How long refresh tokens last, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyLifetime {
    /// Without use.
    pub idle: i64,
    /// In all.
    pub absolute: i64,
}

/// The most live families with refresh tokens that one person may have (T22).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyCaps {
    /// At one client.
    pub per_client: i64,
    /// With all clients.
    pub per_person: i64,
}

/// A family as the store keeps it. Every redemption of a code makes one, with or without refresh tokens: access
/// tokens name it, and die with it at our own endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFamily {
    /// Its name, part of each of its refresh tokens.
    pub id: FamilyId,
    /// The client.
    pub client_id: ClientId,
    /// The person.
    pub account_id: AccountId,
    /// The login it began with.
    pub authentication: Authentication,
    /// What was granted.
    pub scope: Scope,
    /// The resources that the authorization request named.
    pub resources: Vec<String>,
    /// What was asked for beside it, by the parameter `claims`.
    pub claims: ClaimsRequest,
    /// Whether it outlives the session (`offline_access`).
    pub offline: bool,
    /// The generation of the refresh token that may be spent next; `None`: it has no refresh tokens.
    pub generation: Option<i64>,
    /// When it began.
    pub created_at: UnixTime,
    /// When the last refresh token was spent, or the family began.
    pub rotated_at: UnixTime,
    /// When it ends whatever happens.
    pub expires_at: UnixTime,
    /// When it was revoked, if it was.
    pub revoked_at: Option<UnixTime>,
    /// The key that whoever spends a refresh token of a public client has to prove (RFC 9449 section 5).
    pub jkt: Option<Thumbprint>,
    /// The generation of the token that it was bound by, if that was not at its beginning.
    pub bound_generation: Option<i64>,
    /// When it was bound, if that was not at its beginning.
    pub bound_at: Option<UnixTime>,
    /// Whom its tokens went to last.
    pub recipient: Recipient,
}

/// Whom tokens were given to, as far as it is known: when one of them is used twice, one of two such is a thief.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipient {
    /// From where it asked.
    pub address: Option<String>,
    /// The program, as it calls itself.
    pub user_agent: Option<String>,
}

/// What to do with a refresh token of a family. Which of two racers advances is decided by the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spend {
    /// The newest: the family moves from this generation to the next.
    Advance,
    /// Spent a moment ago: answer with the same successor, and change nothing.
    Repeat,
    /// Spent long ago, or its successor was spent too: somebody else has it. Revoke the family.
    Replay,
    /// The family has ended: refuse, and change nothing.
    Ended,
}

/// How far a family has come, and whether it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilySpan {
    /// The generation of the refresh token that may be spent next; `None`: it has no refresh tokens.
    pub generation: Option<i64>,
    /// When the last refresh token was spent, or the family began.
    pub rotated_at: UnixTime,
    /// When it ends whatever happens.
    pub expires_at: UnixTime,
    /// When it was revoked, if it was.
    pub revoked_at: Option<UnixTime>,
}

/// A family without what its refreshes alone need: what whoever looks at a token of it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyGrant {
    /// Its name.
    pub id: FamilyId,
    /// The client.
    pub client_id: ClientId,
    /// The person.
    pub account_id: AccountId,
    /// The login it began with.
    pub authentication: Authentication,
    /// What was granted.
    pub scope: Scope,
    /// What was asked for beside it, by the parameter `claims`.
    pub claims: ClaimsRequest,
    /// Whether it outlives the session (`offline_access`).
    pub offline: bool,
    /// How far it has come.
    pub span: FamilySpan,
}

impl TokenFamily {
    /// How far it has come.
    pub const fn span(&self) -> FamilySpan {
        FamilySpan {
            generation: self.generation,
            rotated_at: self.rotated_at,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
        }
    }

    /// Whether the family stands at `now`.
    pub fn is_live(&self, now: UnixTime) -> bool {
        self.span().is_live(now)
    }

    /// When it was bound to its key. An older version, which may run beside this one, does not note it, but takes a refresh for that.
    pub fn key_since(&self) -> UnixTime {
        self.bound_at.unwrap_or(self.rotated_at)
    }

    /// Whether one of two who hold a token of `generation` is a thief, as it is shown at `now` without the family's key: it was given
    /// before the family was bound to that, so whoever bound it had it, too. Not while the binding, which happens once, is a moment ago:
    /// an app that has begun to prove a key may have an older tab, as it may have one that sends a spent token.
    pub fn is_betrayed_without_key(&self, generation: i64, now: UnixTime) -> bool {
        let (Some(newest), Some(bound)) = (self.generation, self.bound_generation) else {
            return false;
        };
        let just_bound = is_a_moment(self.key_since(), now);
        generation <= bound && !(newest - generation <= 1 && just_bound)
    }

    /// Decides about a token of `generation` shown at `now`.
    pub fn spend(&self, generation: i64, now: UnixTime, lifetime: FamilyLifetime) -> Spend {
        self.span().spend(generation, now, lifetime)
    }
}

impl FamilySpan {
    /// Whether the family stands at `now`.
    pub fn is_live(self, now: UnixTime) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }

    /// Decides about a token of `generation` shown at `now`.
    pub fn spend(self, generation: i64, now: UnixTime, lifetime: FamilyLifetime) -> Spend {
        let Some(newest) = self.generation else {
            return Spend::Ended;
        };
        if !self.is_live(now) || now - self.rotated_at >= lifetime.idle {
            return Spend::Ended;
        }
        match newest - generation {
            // A later generation than we remember: the database was restored from a backup. The token is ours
            // (its MAC said so), so the family goes on from there and nobody is signed out.
            ..=0 => Spend::Advance,
            1 if is_a_moment(self.rotated_at, now) => Spend::Repeat,
            _ => Spend::Replay,
        }
    }
}

/// Whether something happened a moment ago. `abs`: after a clock step that may lie in the future, which opens no longer window (T21).
const fn is_a_moment(at: UnixTime, now: UnixTime) -> bool {
    (now - at).abs() <= RETRY_WINDOW
}

/// When a token counts as shown that was shown at `shown_at`, and whose row was read at `now` with something that happened at `at`. What
/// happened while the read waited was not late, however long that was; what lies ahead of the clock is no such thing (T21).
pub fn shown_beside(shown_at: UnixTime, at: UnixTime, now: UnixTime) -> UnixTime {
    if at > shown_at { at.min(now) } else { shown_at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ids::{SessionId, UpstreamId};

    const LIFETIME: FamilyLifetime = FamilyLifetime {
        idle: 1000,
        absolute: 5000,
    };

    fn family(generation: i64) -> TokenFamily {
        TokenFamily {
            id: FamilyId::new("f"),
            client_id: ClientId::new("c"),
            account_id: AccountId::new("a"),
            authentication: Authentication {
                session_id: SessionId::new("s"),
                upstream: UpstreamId::new("u"),
                auth_time: 0,
                amr: vec![],
                acr: None,
            },
            scope: Scope::default(),
            resources: vec![],
            claims: ClaimsRequest::default(),
            offline: false,
            generation: Some(generation),
            created_at: 0,
            rotated_at: 100,
            expires_at: 5000,
            revoked_at: None,
            jkt: None,
            bound_generation: None,
            bound_at: None,
            recipient: Recipient::default(),
        }
    }

    /// T20, T21, T22.
    #[test]
    fn the_table_of_spending() {
        let table = [
            // (generation of the token, now, what happens) for a family at generation 3, rotated at 100.
            (3, 101, Spend::Advance),
            (2, 101, Spend::Repeat),
            (2, 130, Spend::Repeat),
            (2, 131, Spend::Replay),
            (1, 101, Spend::Replay),
            // The clock stepped back.
            (2, 71, Spend::Repeat),
            (2, 10, Spend::Replay),
            // A restored backup: the token is ahead.
            (4, 101, Spend::Advance),
            // Idle, then absolute end.
            (3, 1099, Spend::Advance),
            (3, 1100, Spend::Ended),
            (2, 1100, Spend::Ended),
            (3, 5000, Spend::Ended),
        ];
        for (generation, now, expected) in table {
            assert_eq!(
                family(3).spend(generation, now, LIFETIME),
                expected,
                "{generation} at {now}"
            );
        }
    }

    /// T19.
    #[test]
    fn the_table_of_tokens_without_their_key() {
        let table = [
            // (generation of the token, bound by which, now, whether that tells of a thief), as above.
            (2, 2, 101, false),
            (2, 2, 130, false),
            (2, 2, 131, true),
            (2, 2, 69, true),
            // Bound, and not advanced since.
            (3, 3, 130, false),
            (3, 3, 131, true),
            // Its successor was spent, too.
            (1, 2, 101, true),
            (1, 1, 101, true),
            // Given to whoever has the key.
            (3, 2, 131, false),
        ];
        // A later step of whoever has the key opens it no second time.
        let long_bound = TokenFamily {
            bound_generation: Some(2),
            bound_at: Some(60),
            ..family(3)
        };
        assert!(!long_bound.is_betrayed_without_key(2, 90));
        assert!(long_bound.is_betrayed_without_key(2, 101));
        // Where an older version has bound it, the moment of the last refresh.
        let unknown = TokenFamily {
            bound_at: None,
            ..long_bound
        };
        assert!(!unknown.is_betrayed_without_key(2, 130));
        assert!(unknown.is_betrayed_without_key(2, 131));
        for (generation, bound, now, expected) in table {
            let family = TokenFamily {
                bound_generation: Some(bound),
                bound_at: Some(100),
                ..family(3)
            };
            assert_eq!(
                family.is_betrayed_without_key(generation, now),
                expected,
                "{generation}, bound by {bound}, at {now}"
            );
        }
        assert!(!family(3).is_betrayed_without_key(1, 1000));
    }

    /// T20, T21.
    #[test]
    fn whoever_waits_for_a_read_is_not_late() {
        // (shown, what the row says, read): when it counts as shown.
        for (shown_at, at, now, expected) in [
            (100, 90, 101, 100),
            (100, 133, 134, 133),
            // A restored clock: the row is ahead of it, and opens nothing.
            (100, 500, 101, 101),
        ] {
            assert_eq!(shown_beside(shown_at, at, now), expected);
        }
    }

    #[test]
    fn a_revoked_family_never_comes_back() {
        let revoked = TokenFamily {
            revoked_at: Some(50),
            ..family(3)
        };
        assert_eq!(revoked.spend(3, 101, LIFETIME), Spend::Ended);
        let without = TokenFamily {
            generation: None,
            ..family(3)
        };
        assert_eq!(without.spend(3, 101, LIFETIME), Spend::Ended);
    }
}
