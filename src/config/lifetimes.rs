//! `[lifetimes]`: how long things last.

use serde::Deserialize;

use super::duration::{Span, show_seconds};
use super::place::{Place, Report};
use crate::model::family::FamilyLifetime;
use crate::model::session::{SessionLifetime, SessionLifetimes};

/// How long things last, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// An access token.
    pub access_token: i64,
    /// An ID token.
    pub id_token: i64,
    /// A session without use.
    pub session_idle: i64,
    /// A session in all.
    pub session_absolute: i64,
    /// A session whose person asked to be kept signed in, without use.
    pub persistent_session_idle: i64,
    /// The same in all.
    pub persistent_session_absolute: i64,
    /// A refresh token without use.
    pub refresh_idle: i64,
    /// A family of refresh tokens in all.
    pub refresh_absolute: i64,
    /// The time a person has to log in once an app has sent them.
    pub flow: i64,
    /// The codes of a device that waits for its person.
    pub device_code: i64,
    /// The time in which a client that does not answer is told of a logout again.
    pub logout_notice: i64,
    /// Not a time: the most families one person has with one client; the oldest ends.
    pub families_per_client: i64,
    /// The same with all clients; the one used the longest ago ends.
    pub families_per_person: i64,
    /// The most sessions of one person; likewise.
    pub sessions_per_person: i64,
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            access_token: 10 * MINUTE,
            id_token: 10 * MINUTE,
            session_idle: 12 * HOUR,
            session_absolute: 7 * DAY,
            persistent_session_idle: 30 * DAY,
            persistent_session_absolute: 90 * DAY,
            refresh_idle: 30 * DAY,
            refresh_absolute: 365 * DAY,
            flow: 30 * MINUTE,
            device_code: 10 * MINUTE,
            logout_notice: DAY,
            families_per_client: 20,
            families_per_person: 200,
            sessions_per_person: 100,
        }
    }
}

impl Lifetimes {
    /// The part that sessions ask for, and whether people are asked whether they want to be kept signed in.
    pub(super) fn session(&self, keep_signed_in: bool) -> SessionLifetimes {
        SessionLifetimes {
            usual: SessionLifetime {
                idle: self.session_idle,
                absolute: self.session_absolute,
            },
            persistent: keep_signed_in.then_some(SessionLifetime {
                idle: self.persistent_session_idle,
                absolute: self.persistent_session_absolute,
            }),
        }
    }

    /// The part that refresh tokens ask for.
    pub const fn family(&self) -> FamilyLifetime {
        FamilyLifetime {
            idle: self.refresh_idle,
            absolute: self.refresh_absolute,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    access_token: Option<Span>,
    id_token: Option<Span>,
    session_idle: Option<Span>,
    session_absolute: Option<Span>,
    persistent_session_idle: Option<Span>,
    persistent_session_absolute: Option<Span>,
    refresh_idle: Option<Span>,
    refresh_absolute: Option<Span>,
    flow: Option<Span>,
    device_code: Option<Span>,
    logout_notice: Option<Span>,
    families_per_client: Option<i64>,
    families_per_person: Option<i64>,
    sessions_per_person: Option<i64>,
}

impl Lifetimes {
    pub(super) fn check(raw: &Raw, at: &Place, report: &mut Report) -> Self {
        let default = Self::default();
        let mut span = |key: &str, written: Option<Span>, default: i64, limits: (i64, i64)| {
            written.map_or(default, |span| {
                span.seconds(limits, default, &at.key(key), report)
            })
        };
        // A token cannot be called back where an API checks it alone, so a day is the end (RFC 9700 section 2.2).
        let token = (MINUTE, DAY);
        let long = (5 * MINUTE, 3650 * DAY);
        let lifetimes = Self {
            access_token: span(
                "access_token",
                raw.access_token,
                default.access_token,
                token,
            ),
            id_token: span("id_token", raw.id_token, default.id_token, token),
            session_idle: span("session_idle", raw.session_idle, default.session_idle, long),
            session_absolute: span(
                "session_absolute",
                raw.session_absolute,
                default.session_absolute,
                long,
            ),
            persistent_session_idle: span(
                "persistent_session_idle",
                raw.persistent_session_idle,
                default.persistent_session_idle,
                long,
            ),
            persistent_session_absolute: span(
                "persistent_session_absolute",
                raw.persistent_session_absolute,
                default.persistent_session_absolute,
                long,
            ),
            refresh_idle: span("refresh_idle", raw.refresh_idle, default.refresh_idle, long),
            refresh_absolute: span(
                "refresh_absolute",
                raw.refresh_absolute,
                default.refresh_absolute,
                long,
            ),
            flow: span("flow", raw.flow, default.flow, (MINUTE, DAY)),
            device_code: span(
                "device_code",
                raw.device_code,
                default.device_code,
                // A code that lives longer can be guessed at for longer (RFC 8628 section 5.1).
                (MINUTE, 30 * MINUTE),
            ),
            logout_notice: span(
                "logout_notice",
                raw.logout_notice,
                default.logout_notice,
                (MINUTE, 30 * DAY),
            ),
            families_per_client: raw
                .families_per_client
                .unwrap_or(default.families_per_client),
            families_per_person: raw
                .families_per_person
                .unwrap_or(default.families_per_person),
            sessions_per_person: raw
                .sessions_per_person
                .unwrap_or(default.sessions_per_person),
        };
        for (key, number, most) in [
            ("families_per_client", lifetimes.families_per_client, 1000),
            ("families_per_person", lifetimes.families_per_person, 10_000),
            ("sessions_per_person", lifetimes.sessions_per_person, 10_000),
        ] {
            if !(1..=most).contains(&number) {
                report.problem(&at.key(key), format!("must be between 1 and {most}"));
            }
        }
        lifetimes.check_pairs(at, report);
        lifetimes
    }

    /// Nothing ends by lack of use after it has ended anyway.
    fn check_pairs(&self, at: &Place, report: &mut Report) {
        let lifetimes = self;
        for (idle, absolute, name) in [
            (
                lifetimes.session_idle,
                lifetimes.session_absolute,
                "session",
            ),
            (
                lifetimes.persistent_session_idle,
                lifetimes.persistent_session_absolute,
                "persistent_session",
            ),
            (
                lifetimes.refresh_idle,
                lifetimes.refresh_absolute,
                "refresh",
            ),
        ] {
            if idle > absolute {
                report.problem(
                    &at.key(&format!("{name}_idle")),
                    format!(
                        "must not be longer than {name}_absolute ({})",
                        show_seconds(absolute)
                    ),
                );
            }
        }
    }
}
