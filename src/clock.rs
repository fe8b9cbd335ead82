//! Time and randomness. Nothing else in the crate reads either, so that a test can move the clock
//! and a reader knows where entropy comes from (`clippy.toml` bans the other ways).

use std::cell::RefCell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Seconds since the Unix epoch: the only form in which the crate keeps an instant.
pub type UnixTime = i64;

/// Seconds by which the clocks of two nodes may differ. What one node has just made must be good at the next, whose second
/// may not have begun; where a bound guards against a clock that stepped back, this much is no step.
pub const SKEW: i64 = 5;

/// Seconds in which a request is answered, or given up: however long an upstream is given, nobody waits longer.
pub const ANSWERED_WITHIN: i64 = 60;

/// Seconds, more than any two nodes' clocks differ by. What all nodes hold to (a count of attempts, a lease, a pause) and ends later than what
/// begins now, by more than this, is of a clock that was ahead and has been put right, and is over. With [`SKEW`] in its place
/// nodes whose clocks are further apart than they should be would not hold to one another's.
pub const CLOCKS_APART: i64 = 60 * 60;

/// Whether `since` is less than `seconds` ago. What is from further ahead than [`SKEW`] was noted by a clock that has been put
/// right since, and is as old as can be: it must not last for as long as the step.
pub const fn is_recent(since: UnixTime, seconds: i64, now: UnixTime) -> bool {
    let age = now.saturating_sub(since);
    -SKEW <= age && age < seconds
}

/// Whether `until` is still to come, of what lasts `seconds` at the most; by the same rule.
pub const fn is_ahead(until: UnixTime, seconds: i64, now: UnixTime) -> bool {
    is_recent(until.saturating_sub(seconds), seconds, now)
}

/// How long a clock has to have gone steadily before anything is given up by it for good: a machine that starts with a wrong one is
/// set right within minutes.
const STEADY: Duration = Duration::from_mins(15);
/// Seconds by which a clock may be put right without that.
const STEP: i64 = 60;

/// The clock that everything asks. Cheap to clone; clones of a manual clock move together.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual: Option<Arc<Manual>>,
}

#[derive(Debug)]
struct Manual {
    now: AtomicI64,
    /// Seconds that have passed by it, and not by setting it.
    passed: AtomicU64,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self { manual: None }
    }

    /// A clock that stands at `now` until [`Clock::advance`] moves it.
    pub fn manual(now: UnixTime) -> Self {
        Self {
            manual: Some(Arc::new(Manual {
                now: AtomicI64::new(now),
                passed: AtomicU64::new(0),
            })),
        }
    }

    /// The present, in whole seconds.
    pub fn now(&self) -> UnixTime {
        match &self.manual {
            Some(manual) => manual.now.load(Ordering::SeqCst),
            None => system_seconds(),
        }
    }

    /// Sets a manual clock by `seconds`, which may be negative. The system clock does not move.
    pub fn advance(&self, seconds: i64) {
        if let Some(manual) = &self.manual {
            manual.now.fetch_add(seconds, Ordering::SeqCst);
        }
    }

    /// So many seconds pass by a manual clock, and it has not been set.
    pub fn pass(&self, seconds: u32) {
        if let Some(manual) = &self.manual {
            manual.passed.fetch_add(seconds.into(), Ordering::SeqCst);
        }
        self.advance(seconds.into());
    }

    /// The count of seconds that nobody can set.
    fn counted(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        match &self.manual {
            Some(manual) => Duration::from_secs(manual.passed.load(Ordering::SeqCst)),
            None => START.elapsed(),
        }
    }
}

/// The clock beside the count of seconds that nobody can set. What a clock that stepped forward takes for long over, and deletes
/// or gives up, does not come back when it is put right (T21). Cheap to clone; clones have seen what any of them has.
#[derive(Clone, Debug)]
pub struct ClockWatch {
    clock: Clock,
    seen: Arc<Mutex<Seen>>,
}

impl ClockWatch {
    /// Begins to watch: nothing is known of the clock yet.
    pub fn new(clock: Clock) -> Self {
        let seen = Seen::new(clock.now(), clock.counted());
        let seen = Arc::new(Mutex::new(seen));
        Self { clock, seen }
    }

    /// Whether the clock has gone steadily for long enough, of which this look is a part.
    pub fn is_steady(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_steady(self.clock.now(), self.clock.counted())
    }
}

#[derive(Debug)]
struct Seen {
    wall: UnixTime,
    counted: Duration,
    steady_since: Duration,
}

impl Seen {
    const fn new(wall: UnixTime, counted: Duration) -> Self {
        Self {
            wall,
            counted,
            steady_since: counted,
        }
    }

    fn is_steady(&mut self, wall: UnixTime, counted: Duration) -> bool {
        let passed = counted.saturating_sub(self.counted).as_secs();
        let step = wall - self.wall - i64::try_from(passed).unwrap_or(i64::MAX);
        (self.wall, self.counted) = (wall, counted);
        if step.abs() > STEP {
            tracing::warn!(
                seconds = step,
                "the clock has been set; nothing is deleted because it has expired, and no logout notice is given up, for a quarter of an hour"
            );
            self.steady_since = counted;
        }
        counted.saturating_sub(self.steady_since) >= STEADY
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one reader of the machine's clock"
)]
fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn system_seconds() -> UnixTime {
    i64::try_from(since_epoch().as_secs()).unwrap_or_default()
}

/// `N` bytes from the operating system's generator.
///
/// # Panics
/// When the operating system has no randomness to give: no secret may be made then.
#[expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "the one source of randomness; without it nothing may go on"
)]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

/// 256 random bits as base64url (43 characters): codes, session cookies, secrets.
pub fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

/// 128 random bits as base64url (22 characters): ids that need only be unique and unguessable enough.
pub fn random_id() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<16>())
}

/// The digits of the time that an [`ordered_id`] begins with.
pub const ORDERED_ID_TIME: usize = 11;

/// The length of an [`ordered_id`].
pub const ORDERED_ID_LENGTH: usize = ORDERED_ID_TIME + 16;

/// An id for rows that are many: the millisecond, 11 digits of base 16, and 96 random bits as base64url. Those of one time stand side by side
/// in every index that holds them, as of UUIDs of version 7 (RFC 9562 section 5.7), so that rows which come together are written to a page or
/// two that are at hand, however many there are, and not to a page of its own each. It tells when it was made.
///
/// The time is the machine's, also beside a manual clock, and means nothing: an id that comes out of order is as good.
pub fn ordered_id() -> String {
    let random = URL_SAFE_NO_PAD.encode(drawn_ahead());
    let made = since_epoch().as_millis();
    format!("{made:0ORDERED_ID_TIME$x}{random}")
}

thread_local! {
    static DRAWN: RefCell<Vec<[u8; 12]>> = const { RefCell::new(Vec::new()) };
}

/// As [`random_bytes`], drawn for forty ids at once: to ask the generator for one costs as much as for all of them, and a login makes ten.
/// What is a secret is drawn when it is made, and lies nowhere before.
fn drawn_ahead() -> [u8; 12] {
    DRAWN.with_borrow_mut(|drawn| {
        if drawn.is_empty() {
            drawn.extend(random_bytes::<480>().as_chunks().0);
        }
        drawn.pop().unwrap_or_else(random_bytes)
    })
}

/// Whether a text looks like an [`ordered_id`] of the last or the next year: hardly anything does that people write.
pub fn is_ordered_id(text: &str) -> bool {
    const YEAR: u128 = 365 * 24 * 60 * 60 * 1000;
    let parts = text.split_at_checked(ORDERED_ID_TIME);
    parts.is_some_and(|(made, random)| {
        let is_written_so = made.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        let made = u128::from_str_radix(made, 16)
            .ok()
            .filter(|_| is_written_so);
        let is_near = made.is_some_and(|made| since_epoch().as_millis().abs_diff(made) < YEAR);
        is_near && random.len() == 16 && URL_SAFE_NO_PAD.decode(random).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread::sleep;
    use std::time::Duration;

    use super::{
        Clock, ClockWatch, ORDERED_ID_LENGTH, ORDERED_ID_TIME, SKEW, Seen, is_ahead, is_ordered_id,
        is_recent, ordered_id,
    };

    #[test]
    fn nothing_is_recent_that_a_clock_noted_which_was_ahead() {
        for (since, wanted) in [
            (940, false),
            (941, true),
            (1000, true),
            (1000 + SKEW, true),
            (1001 + SKEW, false),
            (i64::MAX, false),
            (i64::MIN, false),
        ] {
            assert_eq!(is_recent(since, 60, 1000), wanted, "{since}");
            let until = since.saturating_add(60);
            assert_eq!(is_ahead(until, 60, 1000), wanted, "{until}");
        }
    }

    /// T21: neither a clock that is wrong at the start nor one that steps deletes anything before it has gone steadily.
    #[test]
    fn nothing_is_deleted_by_a_clock_that_has_just_been_set() {
        const YEAR: i64 = 365 * 24 * 60 * 60;
        let start = Duration::from_secs(7);
        let mut seen = Seen::new(1000, start);
        let mut steady = |wall, minutes: u64| {
            seen.is_steady(1000 + wall, start + Duration::from_secs(60 * minutes))
        };
        assert!(!steady(0, 0));
        assert!(!steady(14 * 60, 14));
        assert!(steady(15 * 60, 15));
        // Put right by less than a minute, either way.
        assert!(steady(16 * 60 + 59, 16));
        assert!(steady(17 * 60, 17));
        assert!(!steady(YEAR + 18 * 60, 18));
        assert!(!steady(YEAR + 19 * 60, 19));
        // And back.
        assert!(!steady(20 * 60, 20));
        assert!(!steady(34 * 60, 34));
        assert!(steady(35 * 60, 35));
    }

    /// Looks seconds apart are no way around it, whoever looks; and a clock that goes on is no clock that is set.
    #[test]
    fn whoever_looks_at_a_clock_sees_what_the_others_have_seen() {
        let clock = Clock::manual(1000);
        let watch = ClockWatch::new(clock.clone());
        let other = watch.clone();
        clock.pass(15 * 60);
        assert!(watch.is_steady());
        clock.advance(24 * 60 * 60);
        assert!(!other.is_steady());
        clock.pass(14 * 60);
        assert!(!watch.is_steady());
        clock.pass(2 * 60);
        assert!(watch.is_steady() && other.is_steady());
    }

    #[test]
    fn ordered_ids_differ_and_follow_each_other() {
        let ids: BTreeSet<String> = (0..1000).map(|_| ordered_id()).collect();
        assert_eq!(ids.len(), 1000);
        // Not by their time alone.
        let random: BTreeSet<&str> = ids.iter().map(|id| &id[ORDERED_ID_TIME..]).collect();
        assert_eq!(random.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == ORDERED_ID_LENGTH));
        let last = ids.last().unwrap();
        sleep(Duration::from_millis(3));
        assert!(ordered_id() > *last);
    }

    #[test]
    fn what_people_write_is_no_ordered_id() {
        let id = ordered_id();
        assert!(is_ordered_id(&id));
        for other in [
            "",
            "not-the-password-of-anybody",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "00000000000AAAAAAAAAAAAAAAA",
            &id[1..],
            &format!("{id}A"),
            &format!("+{}", &id[1..]),
            &format!("1A{}", &id[2..]),
            &format!("{}$$$$$$$$$$$$$$$$", &id[..11]),
            &format!("{}ä{}", &id[..10], &id[12..]),
        ] {
            assert!(!is_ordered_id(other), "{other}");
        }
    }
}
