//! Which names lead to one person, so that a guesser has no fresh attempts for each (T33, T34). Names and people are kept
//! as hashes.

use super::record::Record;
use super::statement::{Columns, query};
use super::throttles::hash;
use super::{Store, StoreError};
use crate::clock::UnixTime;

/// A name is written as seen at most once in so many seconds.
const SEEN_INTERVAL: i64 = 7 * 24 * 60 * 60;

impl Store {
    /// The buckets of the people that names' buckets lead to, each once.
    pub async fn find_throttle_aliases(&self, buckets: &[&str]) -> Result<Vec<String>, StoreError> {
        let hashes: Vec<String> = buckets.iter().map(|bucket| hash(bucket)).collect();
        let mut people = Vec::new();
        for alias in self.look_at_aliases(&hashes).await? {
            if !people.contains(&alias.person) {
                people.push(alias.person);
            }
        }
        Ok(people)
    }

    /// Notes that the bucket `proven` leads to `person`, from now on and to nobody else; and those of `told`, names that the
    /// upstream only tells, unless they lead to somebody else: people may write what they like into their own profile (T34).
    pub async fn note_throttle_aliases(
        &self,
        person: &str,
        proven: Option<&str>,
        told: &[&str],
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let person = hash(person);
        let names: Vec<String> = proven.iter().chain(told).map(|name| hash(name)).collect();
        // Look first: even an update that changes nothing would stand in the queue of the one writer.
        let known = self.look_at_aliases(&names).await?;
        for (at, name) in names.iter().enumerate() {
            let known = known.iter().find(|alias| alias.name == *name);
            let (current, text) = if proven.is_some() && at == 0 {
                let seen = now.saturating_sub(SEEN_INTERVAL);
                let current =
                    known.is_some_and(|alias| alias.person == person && alias.seen_at > seen);
                (current, PUT)
            } else {
                // One that was swept is noted again at the next login.
                (known.is_some(), ADD)
            };
            if !current {
                let statement = query(text).at_once().bind(name).bind(&person).bind(now);
                self.writes.execute(statement).await?;
            }
        }
        Ok(())
    }

    /// What is known of these names, in their order.
    async fn look_at_aliases(&self, names: &[String]) -> Result<Vec<Alias>, StoreError> {
        let mut all = Vec::new();
        for three in names.chunks(3) {
            let mut statement = query(
                "SELECT bucket_hash, person_hash, seen_at FROM throttle_alias WHERE bucket_hash IN ($1, $2, $3)",
            ).at_once();
            for at in 0..3 {
                statement = statement.bind(three.get(at).map(String::as_str));
            }
            let rows = statement.fetch_all(&self.reads).await?;
            let mut found = rows.iter().map(alias).collect::<Result<Vec<_>, _>>()?;
            found.sort_by_key(|alias| three.iter().position(|name| *name == alias.name));
            all.append(&mut found);
        }
        Ok(all)
    }
}

const PUT: &str =
    "INSERT INTO throttle_alias (bucket_hash, person_hash, seen_at) VALUES ($1, $2, $3)
     ON CONFLICT (bucket_hash) DO UPDATE SET person_hash = $2, seen_at = $3";
const ADD: &str =
    "INSERT INTO throttle_alias (bucket_hash, person_hash, seen_at) VALUES ($1, $2, $3)
     ON CONFLICT (bucket_hash) DO NOTHING";

/// A name's bucket and the person's that it leads to, as they are kept.
struct Alias {
    name: String,
    person: String,
    seen_at: UnixTime,
}

fn alias(row: &impl Columns) -> Result<Alias, StoreError> {
    let record = Record::new("throttle_alias", "bucket_hash", row);
    Ok(Alias {
        name: record.text("bucket_hash")?,
        person: record.text("person_hash")?,
        seen_at: record.int("seen_at")?,
    })
}
