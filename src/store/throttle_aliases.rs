//! Which names lead to one person, so that a guesser has no fresh attempts for each (T33, T34). Names and people are kept
//! as hashes.

use super::throttles::hash;
use super::{Store, StoreError};
use crate::clock::UnixTime;

/// A name is written as seen at most once in so many seconds.
const SEEN_INTERVAL: i64 = 7 * 24 * 60 * 60;

impl Store {
    /// The bucket of the person that a name's bucket leads to, if anybody is known by it.
    pub async fn find_throttle_alias(&self, bucket: &str) -> Result<Option<String>, StoreError> {
        let person =
            sqlx::query_scalar("SELECT person_hash FROM throttle_alias WHERE bucket_hash = $1")
                .bind(hash(bucket))
                .fetch_optional(&self.reads)
                .await?;
        Ok(person)
    }

    /// Notes that a name's bucket leads to `person`, from now on and to nobody else.
    pub async fn put_throttle_alias(
        &self,
        bucket: &str,
        person: &str,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let (name, person) = (hash(bucket), hash(person));
        // Look first: even an update that changes nothing would stand in the queue of the one writer.
        let current: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM throttle_alias WHERE bucket_hash = $1 AND person_hash = $2 AND seen_at > $3",
        )
        .bind(&name)
        .bind(&person)
        .bind(now.saturating_sub(SEEN_INTERVAL))
        .fetch_one(&self.reads)
        .await?;
        if current == 0 {
            self.writes.execute(sqlx::query(
                "INSERT INTO throttle_alias (bucket_hash, person_hash, seen_at) VALUES ($1, $2, $3)
                 ON CONFLICT (bucket_hash) DO UPDATE SET person_hash = $2, seen_at = $3",
            )
            .bind(&name)
            .bind(&person)
            .bind(now)
            )
            .await?;
        }
        Ok(())
    }

    /// The same of a name that the upstream only tells: it never leads away from somebody else, for people may write what
    /// they like into their own profile (T34).
    pub async fn add_throttle_alias(
        &self,
        bucket: &str,
        person: &str,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        // Look first, as above; one that was swept is noted again at the next login.
        if self.find_throttle_alias(bucket).await?.is_none() {
            self.writes.execute(sqlx::query(
                "INSERT INTO throttle_alias (bucket_hash, person_hash, seen_at) VALUES ($1, $2, $3)
                 ON CONFLICT (bucket_hash) DO NOTHING",
            )
            .bind(hash(bucket))
            .bind(hash(person))
            .bind(now)
            )
            .await?;
        }
        Ok(())
    }
}
