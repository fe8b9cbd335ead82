//! What can go wrong between a client and either simulator: the network, a proxy, the machine.
//! (Variants of a well-formed answer are switches of the simulator itself.)

use std::time::Duration;

use super::wire::{Recorded, Reply};

/// Eight megabytes: more than any sensible cap on an upstream's answer.
const OVERSIZE: usize = 8 * 1024 * 1024;

/// A fault of transport or of the server as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status with a line of plain text: 401 on a valid token, 503, ...
    Status(u16),
    /// 429, with `Retry-After` in seconds if given.
    Throttled(Option<u32>),
    /// 500 with the error page of a web framework, stack trace included.
    ErrorPage,
    /// 200 with a page where JSON belongs (a proxy's login or maintenance page).
    Page,
    /// 200, JSON by its content type, and nonsense.
    Nonsense,
    /// 200 with no body.
    EmptyBody,
    /// A 302 to this address; whoever follows it takes the secrets of the request along.
    Redirect(String),
    /// The right answer, behind eight megabytes of white space (so that it still parses).
    Oversized,
    /// The right answer, after this long.
    Slow(Duration),
    /// No answer until the simulator stops.
    Hang,
    /// The connection closes after this many bytes of the right answer; 0: without any.
    CloseAfter(usize),
}

/// A fault for the requests of one place, now or a number of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    place: String,
    fault: Fault,
    left: Option<u32>,
}

impl Planned {
    /// The fault meets every request whose path contains `place` (in any letter case): `"/token"`,
    /// `"/api/party"`, `""` for all.
    pub fn on(place: &str, fault: Fault) -> Self {
        Self {
            place: place.to_lowercase(),
            fault,
            left: None,
        }
    }

    /// The same, for the next `count` of these requests only.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.left = Some(count);
        self
    }
}

/// The first planned fault that fits the request; one with a number of times is counted down.
pub(super) fn next(plan: &mut [Planned], request: &Recorded) -> Option<Fault> {
    let path = request.path.to_lowercase();
    let planned = plan
        .iter_mut()
        .find(|planned| planned.left != Some(0) && path.contains(&planned.place))?;
    if let Some(left) = &mut planned.left {
        *left -= 1;
    }
    Some(planned.fault.clone())
}

/// A fault as the server carries it out.
pub(super) enum Broken {
    /// The right answer.
    Nothing,
    /// This answer in place of the right one.
    Instead(Reply),
    /// The right answer behind so many spaces.
    Padded(usize),
    /// The right answer, late.
    Late(Duration),
    /// No answer.
    Never,
    /// So many bytes of the right answer.
    CutAfter(usize),
}

impl Fault {
    pub(super) fn into_broken(self, request: &Recorded) -> Broken {
        Broken::Instead(match self {
            Self::Status(status) => Reply::text(status, format!("Status {status} (simulated)")),
            Self::Throttled(seconds) => {
                let reply = Reply::text(429, "Too many requests (simulated)");
                match seconds {
                    Some(seconds) => reply.with("retry-after", seconds.to_string()),
                    None => reply,
                }
            }
            Self::ErrorPage => error_page(request),
            Self::Page => Reply::html(
                200,
                "<!DOCTYPE html><html lang=\"en\"><head><title>Maintenance</title></head>\
                 <body><h1>We will be right back</h1></body></html>",
            ),
            Self::Nonsense => Reply::new(
                200,
                "application/json",
                "{\"access_token\": [{\"$values\":, \u{0}",
            ),
            Self::EmptyBody => Reply::empty(200),
            Self::Redirect(location) => Reply::redirect(302, location),
            Self::Oversized => return Broken::Padded(OVERSIZE),
            Self::Slow(delay) => return Broken::Late(delay),
            Self::Hang => return Broken::Never,
            Self::CloseAfter(bytes) => return Broken::CutAfter(bytes),
        })
    }
}

/// The error page names the address that failed, as such pages do: with it goes whatever secret stood
/// in the query, which a client must therefore not copy into its log.
pub(super) fn error_page(request: &Recorded) -> Reply {
    Reply::html(
        500,
        format!(
            "<!DOCTYPE html><html lang=\"en\"><head><title>Runtime Error</title></head><body>\
             <h1>Server Error</h1><p>Requested URL: {}?{}</p>\
             <pre>[NullReferenceException] at Example.Simulated.Handler.Process()</pre></body></html>",
            super::page::escape(&request.path),
            super::page::escape(&request.query),
        ),
    )
}
