//! What strangers bring about is recorded so often a minute and no more: they must not fill the database. The log has all of it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Entry;
use crate::clock::UnixTime;
use crate::model::audit::{Event, ProvokedBy};
use crate::model::throttle;

/// Records a minute of what anybody can bring about, from one address: a person in trouble makes a few, a broken app some more.
const OF_ONE: u32 = 60;
/// The same of all addresses: what an outage at a busy hour makes. Logins that come to nothing are counted by themselves.
const OF_ALL: u32 = 1000;
/// Records a minute of the same thing used again, be it from wherever: the first few tell it all.
const OF_ONE_THING: u32 = 10;
/// What is counted within a minute: addresses, and things that are used again. Of those beyond, addresses are one, and things are not
/// counted: each of them was good once, so that nobody has so many.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Limit(Mutex<Window>);

/// A minute.
#[derive(Debug, Default)]
struct Window {
    number: i64,
    errors: Count,
    logins: Count,
    of_things: HashMap<String, u32>,
    left_out: u64,
}

/// Records of one kind, of all addresses and of each.
#[derive(Debug, Default)]
struct Count {
    of_all: u32,
    of_each: HashMap<String, u32>,
}

impl Limit {
    /// Whether an event from `address` is recorded in the database.
    pub(super) fn admits(&self, entry: &Entry, address: Option<&str>, now: UnixTime) -> bool {
        let provoked_by = entry.event.provoked_by();
        if provoked_by == ProvokedBy::Few {
            return true;
        }
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        window.begin(now.div_euclid(60));
        let place = || address.map(throttle::place).unwrap_or_default();
        let admitted = match provoked_by {
            ProvokedBy::Few => true,
            // By what they hold, and by nothing that they share with others: a flood of errors, or of another's replays, must not hide
            // that a token was stolen.
            ProvokedBy::Holders => window.admits_thing(entry.thing().unwrap_or_else(place)),
            // Each attempt too many is a request refused as well: an address's own errors must not hide that it guesses, nor what it is
            // refused without a limit that it is stopped.
            ProvokedBy::Guessers if entry.event == Event::LoginThrottled => {
                window.logins.admits(place() + "\nthrottled")
            }
            ProvokedBy::Guessers => window.logins.admits(place()),
            ProvokedBy::Anybody => window.errors.admits(place()),
        };
        if !admitted {
            window.left_out += 1;
        }
        admitted
    }
}

impl Window {
    fn begin(&mut self, number: i64) {
        if number == self.number {
            return;
        }
        if self.left_out > 0 {
            tracing::warn!(
                left_out = self.left_out,
                "more errors and logins in vain than are recorded in a minute; the others stand in the log alone"
            );
        }
        *self = Self {
            number,
            ..Self::default()
        };
    }

    fn admits_thing(&mut self, thing: String) -> bool {
        if self.of_things.len() >= MOST && !self.of_things.contains_key(&thing) {
            return true;
        }
        let count = self.of_things.entry(thing).or_default();
        *count = count.saturating_add(1);
        *count <= OF_ONE_THING
    }
}

impl Count {
    fn admits(&mut self, mut place: String) -> bool {
        if self.of_each.len() >= MOST && !self.of_each.contains_key(&place) {
            place.clear();
        }
        let count = self.of_each.entry(place).or_default();
        *count = count.saturating_add(1);
        let admitted = *count <= OF_ONE && self.of_all < OF_ALL;
        if admitted {
            self.of_all += 1;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ids::{ClientId, FamilyId};

    fn replay(limit: &Limit, family: &str, place: &str) -> bool {
        let entry = Entry::new(Event::CodeReplayed)
            .client(&ClientId::new("web"))
            .family(&FamilyId::new(family));
        limit.admits(&entry, Some(place), 120)
    }

    #[test]
    fn what_strangers_bring_about_is_recorded_so_often_a_minute() {
        let limit = Limit::default();
        let error =
            |place: &str, now| limit.admits(&Entry::new(Event::RequestRefused), Some(place), now);
        let admitted = (0..100).filter(|_| error("192.0.2.1", 0)).count();
        assert_eq!(admitted, 60);
        assert!(error("192.0.2.2", 0), "another address has its own");
        assert!(error("192.0.2.1", 60), "and the next minute another count");
        let everybody = (0..20_000).filter(|each| error(&format!("host-{each}"), 120));
        assert_eq!(everybody.count(), 1000);
        for event in [
            Event::LoginRefused,
            Event::LoginFailed,
            Event::LoginThrottled,
        ] {
            let limit = Limit::default();
            let admits =
                |event: Event, place: &str| limit.admits(&Entry::new(event), Some(place), 180);
            for each in 0..2000 {
                admits(Event::RequestRefused, &format!("host-{each}"));
            }
            let of_one = (0..100).filter(|_| admits(event, "192.0.2.1"));
            assert_eq!(of_one.count(), 60, "{event:?}, whatever errors there are");
            let of_all = (0..2000).filter(|each| admits(event, &format!("host-{each}")));
            assert_eq!(of_all.count(), 940, "{event:?}");
        }
        assert!(limit.admits(&Entry::new(Event::LoggedIn), Some("192.0.2.3"), 120));
    }

    #[test]
    fn no_flood_hides_a_replay() {
        let limit = Limit::default();
        for each in 0..20_000 {
            let place = ["192.0.2.1".to_owned(), format!("host-{each}")];
            for place in &place {
                limit.admits(&Entry::new(Event::RequestRefused), Some(place), 120);
            }
        }
        assert!(
            replay(&limit, "f", "192.0.2.1"),
            "of errors from the same address"
        );
        for each in 0..20_000 {
            replay(&limit, &format!("other-{each}"), "192.0.2.1");
        }
        assert!(replay(&limit, "g", "192.0.2.1"), "of other replays");
        let again = (0..100).filter(|each| replay(&limit, "f", &format!("host-{each}")));
        assert_eq!(again.count(), 9, "and one that is repeated fills nothing");
    }
}
