//! What strangers bring about is recorded so often a minute and no more: they must not fill the database. The log has all of it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::clock::UnixTime;
use crate::model::audit::{Event, ProvokedBy};
use crate::model::throttle;

/// Records a minute of what one address brings about: a person in trouble makes a few, a broken app some more.
const OF_ONE: u32 = 60;
/// Records a minute of what anybody can bring about, of all addresses: what an outage at a busy hour makes.
const OF_ALL: u32 = 1000;
/// Addresses that are counted within a minute; those beyond are one.
const MOST_PLACES: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Limit(Mutex<Window>);

/// A minute.
#[derive(Debug, Default)]
struct Window {
    number: i64,
    of_all: u32,
    of_each: HashMap<String, u32>,
    left_out: u64,
}

impl Limit {
    /// Whether an event from `address` is recorded in the database.
    pub(super) fn admits(&self, event: Event, address: Option<&str>, now: UnixTime) -> bool {
        let provoked_by = event.provoked_by();
        if provoked_by == ProvokedBy::Few {
            return true;
        }
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        window.begin(now.div_euclid(60));
        let mut place = address.map(throttle::place).unwrap_or_default();
        // Each attempt too many is a request refused as well: an address's own errors must not hide that it guesses.
        if event == Event::LoginThrottled {
            place.push_str("\nthrottled");
        }
        if window.of_each.len() >= MOST_PLACES && !window.of_each.contains_key(&place) {
            place.clear();
        }
        let of_place = window.of_each.entry(place).or_default();
        let admitted = *of_place < OF_ONE;
        *of_place = of_place.saturating_add(1);
        // What only a holder of something can do must not be hidden behind what anybody can.
        let admitted = admitted && (provoked_by == ProvokedBy::Holders || window.of_all < OF_ALL);
        if !admitted {
            window.left_out += 1;
        } else if provoked_by == ProvokedBy::Anybody {
            window.of_all += 1;
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
                "more errors than are recorded in a minute; the others stand in the log alone"
            );
        }
        *self = Self {
            number,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_bring_about_is_recorded_so_often_a_minute() {
        let limit = Limit::default();
        let error = |place: &str, now| limit.admits(Event::RequestRefused, Some(place), now);
        let admitted = (0..100).filter(|_| error("192.0.2.1", 0)).count();
        assert_eq!(admitted, 60);
        assert!(error("192.0.2.2", 0), "another address has its own");
        assert!(error("192.0.2.1", 60), "and the next minute another count");
        let everybody = (0..5000).filter(|each| error(&format!("host-{each}"), 120));
        assert_eq!(everybody.count(), 1000);
        // What matters more is not hidden behind it.
        let replay = |place| limit.admits(Event::CodeReplayed, Some(place), 120);
        assert!(replay("192.0.2.1"));
        assert_eq!((0..100).filter(|_| replay("192.0.2.3")).count(), 60);
        let throttled = || limit.admits(Event::LoginThrottled, Some("192.0.2.1"), 180);
        assert_eq!((0..100).filter(|_| error("192.0.2.1", 180)).count(), 60);
        assert_eq!((0..100).filter(|_| throttled()).count(), 60);
        assert!(limit.admits(Event::LoggedIn, Some("192.0.2.3"), 120));
    }
}
