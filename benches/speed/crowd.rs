//! Who logs in, and whose tokens are refreshed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use portico::keys::{MasterKey, Secrets};
use portico::protocol::ids::FamilyId;
use portico::tokens::refresh_token;

use super::figures::Form;
use super::fill::{Of, Sizes, ordered_key};
use super::support::MASTER_KEY;

/// How many people log in, in turns: fewer would soon have more sessions and tokens than people have, and each login would look whose end
/// is due.
const PEOPLE: u64 = 2_000;
/// As many do where little is counted, so that all have been here before when it begins.
const FEW: u64 = 10;
/// Without a common divisor with any number of families that is likely: they are drawn from all over the table.
const STEP: u64 = 48_271;

/// In a filled database, people and families are drawn from all that are there.
pub(crate) struct Crowd {
    accounts: u64,
    size: u64,
    logins: AtomicU64,
    families: Option<Families>,
}

struct Families {
    /// Of each form.
    count: u64,
    /// Behind all of them.
    sessions: u64,
    /// Of what is filled in.
    generation: i64,
    secrets: Secrets,
    used: [AtomicU64; Form::ALL.len()],
}

impl Crowd {
    /// Of an empty database.
    pub(crate) const fn new() -> Self {
        Self {
            accounts: PEOPLE,
            size: PEOPLE,
            logins: AtomicU64::new(0),
            families: None,
        }
    }

    /// Of an empty database, a few people.
    pub(crate) const fn few() -> Self {
        Self {
            accounts: FEW,
            size: FEW,
            logins: AtomicU64::new(0),
            families: None,
        }
    }

    /// Of one that holds so many accounts, of which so many log in, and families of this generation.
    pub(crate) fn of(sizes: Sizes, people: u64, generation: i64) -> anyhow::Result<Self> {
        let master = MasterKey::parse(MASTER_KEY).ok().context("no master key")?;
        Ok(Self {
            accounts: sizes.accounts,
            size: people.min(PEOPLE).min(sizes.accounts),
            logins: AtomicU64::new(0),
            families: Some(Families {
                count: sizes.families / 8,
                sessions: sizes.sessions(),
                generation,
                secrets: Secrets::derive(&master)?,
                used: Default::default(),
            }),
        })
    }

    fn person(&self, place: u64) -> u64 {
        place % self.size * (self.accounts / self.size)
    }

    /// The numbers of all who log in.
    pub(crate) fn people(&self) -> BTreeSet<u64> {
        (0..self.size).map(|place| self.person(place)).collect()
    }

    /// How many these are.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn next_person(&self) -> u64 {
        self.person(self.logins.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) const fn has_families(&self) -> bool {
        self.families.is_some()
    }

    /// The refresh token of the next family of that form: of another one each time, until all have had their turn.
    pub(crate) fn refresh_token(&self, form: Form) -> anyhow::Result<String> {
        let families = self.families.as_ref().context("no families")?;
        let place = Form::ALL.iter().position(|other| *other == form);
        let place = place.context("no such form")?;
        let used = families.used.get(place).context("no such form")?;
        let turn = used.fetch_add(1, Ordering::Relaxed);
        let number = turn % families.count * STEP % families.count * 8 + u64::try_from(place)?;
        let generation = families.generation + i64::try_from(turn / families.count)?;
        let family = FamilyId::new(ordered_key(Of::Family, number, number % families.sessions)?);
        Ok(refresh_token::write(
            &families.secrets,
            &family,
            generation,
        )?)
    }
}
