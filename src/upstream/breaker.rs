//! What stands before an upstream that is away: after a row of failures nothing is sent for a while, so that people hear at
//! once what they would have waited for, and the upstream can get up; then one request tries.
//!
//! Only what says that the upstream is away counts: no connection, no answer, 429, 502, 503, 504. A refusal ends the row,
//! and a 500 does neither: a stranger could provoke it with odd input, and must not be able to shut the door for members
//! (T34). For the same reason a request that was given up here, such as when a browser hangs up, says nothing.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::{Clock, UnixTime, is_ahead};
use crate::model::audit::Event;
use crate::protocol::ids::UpstreamId;
use crate::telemetry::{Audit, Entry, Metrics};

/// Failures in a row that open it.
pub const FAILURES: u32 = 5;
/// Seconds that it then stays open.
pub const REST: i64 = 10;
/// Seconds after which a try that has not come back no longer keeps others from trying.
const TRY: i64 = 60;

/// The breaker of one upstream. Clones share their state.
#[derive(Clone, Debug)]
pub struct Breaker {
    upstream: UpstreamId,
    clock: Clock,
    metrics: Metrics,
    audit: Audit,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Requests pass; so many failed in a row.
    Closed(u32),
    /// None pass before this instant; then one does.
    Open(UnixTime),
}

/// What a request says about the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answered.
    There,
    /// It is away.
    Away,
    /// Neither.
    Nothing,
}

impl Breaker {
    /// Closed: requests pass.
    pub fn new(upstream: UpstreamId, clock: Clock, metrics: Metrics, audit: Audit) -> Self {
        metrics.breaker(&upstream, false);
        Self {
            upstream,
            clock,
            metrics,
            audit,
            state: Arc::new(Mutex::new(State::Closed(0))),
        }
    }

    /// Whether the upstream counts as away. Somebody may try all the same: that is how its return is noticed.
    pub fn is_open(&self) -> bool {
        matches!(*self.state(), State::Open(_))
    }

    /// Whether a request may be sent. Whoever is let through while it is open is the one that tries.
    pub(super) fn admits(&self) -> bool {
        let now = self.clock.now();
        let mut state = self.state();
        match *state {
            State::Closed(_) => true,
            State::Open(until) if is_ahead(until, TRY, now) => false,
            State::Open(_) => {
                *state = State::Open(now + TRY);
                true
            }
        }
    }

    /// Takes what came of a request that was admitted.
    pub(super) fn learn(&self, sign: Sign, why: &str) {
        let now = self.clock.now();
        let mut state = self.state();
        match (*state, sign) {
            (State::Closed(_), Sign::There) => *state = State::Closed(0),
            (State::Closed(failed), Sign::Away) if failed + 1 < FAILURES => {
                *state = State::Closed(failed + 1);
            }
            (State::Closed(_), Sign::Away) => {
                *state = State::Open(now + REST);
                self.metrics.breaker(&self.upstream, true);
                let down = Entry::new(Event::UpstreamDown).upstream(&self.upstream);
                self.audit.record(down.with("reason", why));
            }
            (State::Open(_), Sign::There) => {
                *state = State::Closed(0);
                self.metrics.breaker(&self.upstream, false);
                self.audit
                    .record(Entry::new(Event::UpstreamUp).upstream(&self.upstream));
            }
            (State::Open(_), Sign::Away) => *state = State::Open(now + REST),
            // The try told nothing: the next one may.
            (State::Open(_), Sign::Nothing) => *state = State::Open(now),
            (State::Closed(_), Sign::Nothing) => {}
        }
    }

    /// What a request that is about to be sent holds on to: dropped without an answer, it says nothing.
    pub(super) const fn watch(&self) -> Watch<'_> {
        Watch {
            breaker: self,
            answered: false,
        }
    }

    pub(super) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) const fn upstream(&self) -> &UpstreamId {
        &self.upstream
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way.
pub(super) struct Watch<'a> {
    breaker: &'a Breaker,
    answered: bool,
}

impl Watch<'_> {
    pub(super) fn learn(mut self, sign: Sign, why: &str) {
        self.answered = true;
        self.breaker.learn(sign, why);
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.breaker.learn(Sign::Nothing, "given up");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> (Breaker, Clock) {
        let clock = Clock::manual(1000);
        let id = UpstreamId::new("members");
        let audit = Audit::log_alone(clock.clone());
        (
            Breaker::new(id, clock.clone(), Metrics::new(), audit),
            clock,
        )
    }

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            assert!(breaker.admits());
            breaker.learn(Sign::Away, "test");
        }
    }

    #[test]
    fn a_row_of_failures_opens_it_and_one_success_closes_it() {
        let (breaker, clock) = breaker();
        fail(&breaker, FAILURES);
        assert!(breaker.is_open() && !breaker.admits());
        clock.advance(REST - 1);
        assert!(!breaker.admits());
        clock.advance(1);
        assert!(breaker.admits(), "one tries");
        assert!(!breaker.admits(), "one only");
        breaker.learn(Sign::Away, "test");
        assert!(!breaker.admits());
        clock.advance(REST);
        assert!(breaker.admits());
        breaker.learn(Sign::There, "test");
        assert!(!breaker.is_open() && breaker.admits() && breaker.admits());
    }

    /// T34.
    #[test]
    fn what_a_stranger_can_provoke_does_not_open_it() {
        let (breaker, _) = breaker();
        fail(&breaker, FAILURES - 1);
        breaker.learn(Sign::There, "a refusal");
        for _ in 0..100 {
            breaker.learn(Sign::Nothing, "500, or hung up");
        }
        fail(&breaker, FAILURES - 1);
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_try_that_is_given_up_lets_the_next_one_try() {
        let (breaker, clock) = breaker();
        fail(&breaker, FAILURES);
        clock.advance(REST);
        assert!(breaker.admits());
        drop(breaker.watch());
        assert!(breaker.admits());
        assert!(!breaker.admits());
        clock.advance(TRY);
        assert!(breaker.admits(), "it has not come back for a minute");
    }

    #[test]
    fn a_clock_that_steps_back_does_not_keep_it_open() {
        let (breaker, clock) = breaker();
        fail(&breaker, FAILURES);
        clock.advance(-3600);
        assert!(breaker.admits());
    }
}
