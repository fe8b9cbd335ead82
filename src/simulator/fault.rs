//! What can go wrong between a client and either simulator: the network, a proxy, the machine.
//! (Variants of a well-formed answer are switches of the simulator itself.)

use std::fmt;
use std::time::Duration;

use url::Url;

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
    /// 400, JSON, with a description that repeats what the request held: its parameters and its token.
    Echo,
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
    /// It meets every so-manieth of the requests only.
    every: u32,
    seen: u32,
}

impl Planned {
    /// The fault meets every request whose path contains `place` (in any letter case): `"/token"`,
    /// `"/api/party"`, `""` for all.
    pub fn on(place: &str, fault: Fault) -> Self {
        Self {
            place: place.to_lowercase(),
            fault,
            left: None,
            every: 1,
            seen: 0,
        }
    }

    /// The same, for the next `count` of these requests only.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.left = Some(count);
        self
    }

    /// The same, for every `nth` of these requests only.
    #[must_use]
    pub fn every(mut self, nth: u32) -> Self {
        self.every = nth.max(1);
        self
    }

    /// Reads `PLACE=FAULT`, with `,times=N` or `,every=N` after it: `/token=status-503,times=2`.
    ///
    /// # Errors
    /// When there is no such fault or number: what to write instead.
    pub fn read(text: &str) -> Result<Self, String> {
        let (place, mut rest) = text
            .split_once('=')
            .ok_or("write PLACE=FAULT, such as /token=status-503")?;
        let mut limits = Vec::new();
        while let Some((before, limit)) = rest.rsplit_once(',') {
            let Some((name @ ("times" | "every"), number)) = limit.split_once('=') else {
                break;
            };
            let number: u32 = number
                .parse()
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| format!("{name}: write a number from 1"))?;
            limits.push((name, number));
            rest = before;
        }
        let mut planned = Self::on(place, Fault::read(rest)?);
        for (name, number) in limits {
            planned = match name {
                "times" => planned.times(number),
                _ => planned.every(number),
            };
        }
        Ok(planned)
    }

    /// Whether it will meet no request any more.
    pub(super) fn is_over(&self) -> bool {
        self.left == Some(0)
    }
}

/// As [`Planned::read`] reads it.
impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.place, self.fault)?;
        if self.every > 1 {
            write!(f, ",every={}", self.every)?;
        }
        match self.left {
            Some(left) => write!(f, ",times={left}"),
            None => Ok(()),
        }
    }
}

/// The first planned fault that fits the request; one with a number of times is counted down.
pub(super) fn next(plan: &mut [Planned], request: &Recorded) -> Option<Fault> {
    let path = request.path.to_lowercase();
    let planned = plan
        .iter_mut()
        .filter(|planned| !planned.is_over() && path.contains(&planned.place))
        .find_map(|planned| {
            planned.seen = planned.seen.wrapping_add(1);
            planned
                .seen
                .is_multiple_of(planned.every)
                .then_some(planned)
        })?;
    if let Some(left) = &mut planned.left {
        *left -= 1;
    }
    Some(planned.fault.clone())
}

/// Every fault as it is written, with its meaning. `N` stands for a number, `URL` for an address.
pub const FAULTS: [(&str, &str); 13] = [
    (
        "status-N",
        "This status with a line of plain text: 401 on a valid token, 503.",
    ),
    ("throttled", "429 without Retry-After."),
    ("throttled-N", "429 with Retry-After of so many seconds."),
    ("error-page", "500 with the error page of a web framework."),
    (
        "echo",
        "400, JSON, with a description that repeats the request's parameters and token.",
    ),
    ("page", "200 with a page where JSON belongs."),
    ("nonsense", "200, JSON by its content type, and nonsense."),
    ("empty-body", "200 with no body."),
    ("redirect-URL", "A 302 to this address."),
    (
        "oversized",
        "The right answer behind eight megabytes of white space.",
    ),
    ("slow-N", "The right answer after so many milliseconds."),
    ("hang", "No answer until the simulator stops."),
    (
        "close-after-N",
        "The connection closes after so many bytes of the right answer.",
    ),
];

impl Fault {
    /// Reads one of [`FAULTS`].
    ///
    /// # Errors
    /// When there is no such fault: what to write instead.
    pub fn read(text: &str) -> Result<Self, String> {
        let known = match text {
            "throttled" => Some(Self::Throttled(None)),
            "error-page" => Some(Self::ErrorPage),
            "echo" => Some(Self::Echo),
            "page" => Some(Self::Page),
            "nonsense" => Some(Self::Nonsense),
            "empty-body" => Some(Self::EmptyBody),
            "oversized" => Some(Self::Oversized),
            "hang" => Some(Self::Hang),
            _ => Self::read_with_value(text),
        };
        known.ok_or_else(|| {
            let words: Vec<&str> = FAULTS.iter().map(|(word, _)| *word).collect();
            format!("write a fault: {}", words.join(", "))
        })
    }

    fn read_with_value(text: &str) -> Option<Self> {
        let after = |word: &str| text.strip_prefix(word);
        if let Some(address) = after("redirect-") {
            let url = Url::parse(address).ok()?;
            let web = matches!(url.scheme(), "http" | "https");
            return web.then(|| Self::Redirect(address.to_owned()));
        }
        if let Some(status) = after("status-") {
            let status = status
                .parse()
                .ok()
                .filter(|status| (200..=599).contains(status))?;
            return Some(Self::Status(status));
        }
        if let Some(seconds) = after("throttled-") {
            return Some(Self::Throttled(Some(seconds.parse().ok()?)));
        }
        if let Some(milliseconds) = after("slow-") {
            let milliseconds = milliseconds.parse().ok().filter(|most| *most <= 600_000)?;
            return Some(Self::Slow(Duration::from_millis(milliseconds)));
        }
        let bytes = after("close-after-")?;
        Some(Self::CloseAfter(bytes.parse().ok()?))
    }
}

/// As [`Fault::read`] reads it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status-{status}"),
            Self::Throttled(None) => write!(f, "throttled"),
            Self::Throttled(Some(seconds)) => write!(f, "throttled-{seconds}"),
            Self::ErrorPage => write!(f, "error-page"),
            Self::Echo => write!(f, "echo"),
            Self::Page => write!(f, "page"),
            Self::Nonsense => write!(f, "nonsense"),
            Self::EmptyBody => write!(f, "empty-body"),
            Self::Redirect(address) => write!(f, "redirect-{address}"),
            Self::Oversized => write!(f, "oversized"),
            Self::Slow(delay) => write!(f, "slow-{}", delay.as_millis()),
            Self::Hang => write!(f, "hang"),
            Self::CloseAfter(bytes) => write!(f, "close-after-{bytes}"),
        }
    }
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
            Self::Echo => echo(request),
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

/// A refusal that is too talkative, as some proxies and application firewalls are.
fn echo(request: &Recorded) -> Reply {
    let parameters = request.query_pairs().into_iter().chain(request.form());
    let mut held: Vec<String> = parameters.map(|(_, value)| value).collect();
    held.extend(request.bearer().map(ToOwned::to_owned));
    Reply::json(
        400,
        &serde_json::json!({
            "error": "invalid_request",
            "error_description": format!("not understood: {}", held.join(" ")),
        }),
    )
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
