//! What clients have us fetch, guarded (T36, T38): their keys, their request objects and their logos. The addresses are theirs, so that
//! nothing of ours may be reached by them: https alone, no redirects, no address but those of the public internet, one that
//! was looked at pinned for the connection, and little time and few bytes.

pub mod address;
pub mod asker;
pub mod client_keys;
pub mod logos;
pub mod logout;
pub mod request_uris;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, StatusCode, redirect};
use tokio::sync::OnceCell;
use url::{Host, Url};

use crate::clock::{Clock, UnixTime, is_recent};
use crate::protocol::error::{BoxError, chain};
use crate::upstream::outbound;

use address::is_public;
pub use asker::Asker;
use asker::Budget;
pub use client_keys::ClientKeys;
pub use logos::Logos;
pub use request_uris::RequestUris;

/// The most that a fetch may take, from the name's look-up to the last byte.
const TIMEOUT: Duration = Duration::from_millis(2500);
/// The most bytes of an answer.
const MAX_BYTES: usize = 64 * 1024;
/// The most bytes of a picture.
const MAX_PICTURE_BYTES: usize = 256 * 1024;
/// The most bytes of an address.
pub const MAX_URL_BYTES: usize = 2048;
/// Seconds after a failure in which the same address is not asked again (T38).
const PAUSE: i64 = 30;
/// Seconds that a budget is for.
const BUDGET: i64 = 60;
/// The most that is remembered of each kind.
const MAX_REMEMBERED: usize = 10_000;

/// What an administrator opens.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Hosts that may be fetched though their addresses are private or loopback; lower case.
    pub allow_hosts: Vec<String>,
    /// Whether they may be fetched for clients that registered themselves, too.
    pub registered_too: bool,
    /// PEM files with certificates to trust besides the system's.
    pub extra_ca: Vec<PathBuf>,
}

/// What an answer is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// JSON (RFC 8259), of whatever kind.
    Json,
    /// A request object (RFC 9101 section 5.2.3), or a JWT as such.
    RequestObject,
    /// A picture. What it is called says nothing; whoever wanted it looks at what is in it.
    Picture,
}

impl Wanted {
    const fn max_bytes(self) -> usize {
        match self {
            Self::Json | Self::RequestObject => MAX_BYTES,
            Self::Picture => MAX_PICTURE_BYTES,
        }
    }

    const fn accept(self) -> &'static str {
        match self {
            Self::Json => "application/jwk-set+json, application/json",
            Self::RequestObject => "application/oauth-authz-req+jwt, application/jwt",
            Self::Picture => "image/png, image/jpeg, image/webp, image/gif",
        }
    }

    fn is(self, content_type: &str) -> bool {
        let kind = content_type.split(';').next().unwrap_or_default();
        let kind = kind.trim().to_ascii_lowercase();
        match self {
            Self::Json => {
                kind == "application/json"
                    || kind.starts_with("application/") && kind.ends_with("+json")
            }
            Self::RequestObject => [
                "application/oauth-authz-req+jwt",
                "application/jwt",
                "application/jose",
            ]
            .contains(&kind.as_str()),
            Self::Picture => true,
        }
    }
}

/// Why there is nothing. For the log, and for the administrator of the client: never for whoever sent the request, whom it
/// would tell what stands behind our firewall.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is none that may be fetched.
    #[error("{0}: only https addresses without user name and fragment are fetched")]
    Address(String),
    /// T36.
    #[error(
        "{0} is not on the public internet; if it has to be fetched, name it in outbound.allow_hosts"
    )]
    Closed(String),
    /// T38.
    #[error("too many addresses were fetched within a minute for this client, or for whoever asks")]
    TooMany,
    /// T38.
    #[error("it failed less than {PAUSE} seconds ago, and is left alone for as long: {0}")]
    Paused(String),
    /// No answer that is of use.
    #[error("{0}")]
    Answer(String),
    /// An answer, which is no.
    #[error("the answer is HTTP {0}; redirects are not followed")]
    Refused(StatusCode),
}

impl FetchError {
    /// Whether whoever was asked is there, and says no to this request.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(status) => {
                !status.is_server_error() && *status != StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }
}

/// Fetches for clients. Cheap to clone; clones share what is remembered.
#[derive(Clone)]
pub struct Fetcher {
    /// For those whom an administrator chose.
    opened: Way,
    /// For all others.
    public: Way,
    clock: Clock,
    remembered: Arc<Mutex<Remembered>>,
    flights: Arc<Mutex<HashMap<String, Flight>>>,
}

/// A way out, and what may be reached by it.
#[derive(Clone)]
struct Way {
    client: Client,
    allowed: Arc<BTreeSet<String>>,
}

/// A fetch under way, for all who ask for the same while it is.
type Flight = Arc<OnceCell<Result<Vec<u8>, FetchError>>>;

/// Each node's own: what one cannot reach, another may.
#[derive(Default)]
struct Remembered {
    failures: HashMap<String, (UnixTime, String)>,
    fetches: HashMap<String, (UnixTime, u32)>,
}

impl Fetcher {
    /// Makes the clients, and says in the log what was opened.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, BoxError> {
        if !settings.allow_hosts.is_empty() {
            tracing::warn!(
                hosts = settings.allow_hosts.join(" "),
                registered_clients = settings.registered_too,
                "outbound.allow_hosts: clients may have these hosts fetched wherever they are"
            );
        }
        for file in &settings.extra_ca {
            tracing::warn!(file = %file.display(), "outbound.extra_ca: these certificates are trusted too");
        }
        let opened = Way::new(settings.allow_hosts.iter().cloned(), &settings.extra_ca)?;
        let public = if settings.registered_too {
            opened.clone()
        } else {
            Way::new([], &settings.extra_ca)?
        };
        Ok(Self {
            opened,
            public,
            clock,
            remembered: Arc::default(),
            flights: Arc::default(),
        })
    }

    /// What stands at `url`, for `asker`. Who asks for what is being fetched for the same client gets the same answer.
    pub async fn fetch(
        &self,
        url: &str,
        wanted: Wanted,
        asker: Asker<'_>,
    ) -> Result<Vec<u8>, FetchError> {
        let way = self.way(asker.is_chosen());
        let parsed = way.admit(url)?;
        // By client and by kind: what one has fetched wrongly must not close the address to another.
        let key = format!("{}\n{wanted:?}\n{url}", asker.name());
        self.reserve(&key, asker.budgets(wanted))?;
        let flight = self.board(&key);
        let attempt = || self.attempt(way, parsed, wanted, &key);
        let outcome = flight.get_or_init(attempt).await.clone();
        self.land(&key, &flight);
        outcome
    }

    const fn way(&self, chosen: bool) -> &Way {
        if chosen { &self.opened } else { &self.public }
    }

    /// The fetch that is under way, or that begins now.
    fn board(&self, key: &str) -> Flight {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that everybody has left.
        flights.retain(|_, flight| Arc::strong_count(flight) > 1);
        Arc::clone(flights.entry(key.to_owned()).or_default())
    }

    /// Ends it: the next who asks has it fetched anew.
    fn land(&self, key: &str, flight: &Flight) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if flights
            .get(key)
            .is_some_and(|current| Arc::ptr_eq(current, flight))
        {
            flights.remove(key);
        }
    }

    async fn attempt(
        &self,
        way: &Way,
        url: Url,
        wanted: Wanted,
        key: &str,
    ) -> Result<Vec<u8>, FetchError> {
        let outcome = way.get(url, wanted).await;
        if let Err(error) = &outcome {
            let mut remembered = self.remembered();
            let now = self.clock.now();
            let failures = &mut remembered.failures;
            make_room(failures, |(since, _)| is_recent(*since, PAUSE, now));
            failures.insert(key.to_owned(), (now, error.to_string()));
        }
        outcome
    }

    /// T38.
    fn reserve(&self, key: &str, budgets: Vec<Budget>) -> Result<(), FetchError> {
        let now = self.clock.now();
        let remembered = self.remembered();
        if let Some((since, why)) = remembered.failures.get(key)
            && is_recent(*since, PAUSE, now)
        {
            return Err(FetchError::Paused(why.clone()));
        }
        drop(remembered);
        self.spend(budgets)
    }

    /// Counts one more in each of the budgets, if there is room in all of them.
    fn spend(&self, budgets: Vec<Budget>) -> Result<(), FetchError> {
        let now = self.clock.now();
        let mut remembered = self.remembered();
        if !remembered.has_room(&budgets, now) {
            return Err(FetchError::TooMany);
        }
        remembered.count(budgets, now);
        Ok(())
    }

    fn has_room(&self, budgets: &[Budget]) -> bool {
        self.remembered().has_room(budgets, self.clock.now())
    }

    fn count(&self, budgets: Vec<Budget>) {
        self.remembered().count(budgets, self.clock.now());
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    fn has_room(&self, budgets: &[Budget], now: UnixTime) -> bool {
        let used = |budget: &str| match self.fetches.get(budget) {
            Some((since, count)) if is_recent(*since, BUDGET, now) => *count,
            _ => 0,
        };
        budgets.iter().all(|(budget, most)| used(budget) < *most)
    }

    fn count(&mut self, budgets: Vec<Budget>, now: UnixTime) {
        let lives = |since| is_recent(since, BUDGET, now);
        make_room(&mut self.fetches, |(since, _)| lives(*since));
        for (budget, _) in budgets {
            let (since, count) = self.fetches.entry(budget).or_insert((now, 0));
            if !lives(*since) {
                (*since, *count) = (now, 0);
            }
            *count += 1;
        }
    }
}

impl Way {
    fn new(
        allowed: impl IntoIterator<Item = String>,
        extra_ca: &[PathBuf],
    ) -> Result<Self, BoxError> {
        let allowed: Arc<BTreeSet<String>> = Arc::new(allowed.into_iter().collect());
        let resolver = PublicOnly {
            allowed: Arc::clone(&allowed),
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "what clients have us fetch has a client of its own, with the limits of T36"
        )]
        let client = Client::builder()
            .user_agent(concat!("Portico/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .timeout(TIMEOUT)
            // No connection outlives its fetch: the address is looked at each time.
            .pool_max_idle_per_host(0)
            .dns_resolver(Arc::new(resolver))
            .tls_certs_only(outbound::trusted(extra_ca)?)
            .build()?;
        Ok(Self { client, allowed })
    }

    /// What can be told from the address alone. The resolver looks at names: an address that is written out never gets there.
    fn admit(&self, text: &str) -> Result<Url, FetchError> {
        let refused = || FetchError::Address(shown(text));
        if text.len() > MAX_URL_BYTES {
            return Err(refused());
        }
        let url = Url::parse(text).map_err(|_| refused())?;
        let host = url.host().ok_or_else(refused)?;
        let named = url.host_str().unwrap_or_default();
        let opened = self.allowed.contains(named);
        let has_user = !url.username().is_empty() || url.password().is_some();
        let scheme = match url.scheme() {
            "https" => true,
            // Nothing that is sent there leaves the machine.
            "http" => opened && is_this_machine(&host),
            _ => false,
        };
        if !scheme || has_user || url.fragment().is_some() {
            return Err(refused());
        }
        let literal = match host {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(_) => None,
        };
        if literal.is_some_and(|address| !opened && !is_public(address)) {
            return Err(FetchError::Closed(shown(named)));
        }
        Ok(url)
    }

    async fn get(&self, url: Url, wanted: Wanted) -> Result<Vec<u8>, FetchError> {
        let trouble = |error: reqwest::Error| FetchError::Answer(chain(&error.without_url()));
        let request = self.client.get(url).header(ACCEPT, wanted.accept());
        let mut response = request.send().await.map_err(trouble)?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(FetchError::Refused(status));
        }
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !wanted.is(kind) {
            return Err(FetchError::Answer(format!(
                "the answer's content type is none of {}",
                wanted.accept()
            )));
        }
        let (mut body, most) = (Vec::new(), wanted.max_bytes());
        while let Some(chunk) = response.chunk().await.map_err(trouble)? {
            if body.len() + chunk.len() > most {
                return Err(FetchError::Answer(format!(
                    "the answer is longer than {most} bytes"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// Forgets what has ended when there is too much, and everything when that is not enough.
fn make_room<K: Eq + std::hash::Hash, V>(map: &mut HashMap<K, V>, lives: impl Fn(&V) -> bool) {
    if map.len() >= MAX_REMEMBERED {
        map.retain(|_, value| lives(value));
    }
    if map.len() >= MAX_REMEMBERED {
        map.clear();
    }
}

fn is_this_machine(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Somebody else's text, fit for our log.
fn shown(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(200).map(clean).collect()
}

/// Knows no address but those that may be connected to, so that whatever is connected to was looked at: the name is not
/// asked for again (T36, DNS rebinding).
struct PublicOnly {
    allowed: Arc<BTreeSet<String>>,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = Arc::clone(&self.allowed);
        Box::pin(async move {
            let name = name.as_str();
            let found = tokio::net::lookup_host((name, 0)).await?;
            let opened = allowed.contains(name);
            let public: Vec<SocketAddr> = found
                .filter(|address| opened || is_public(address.ip()))
                .collect();
            if public.is_empty() {
                return Err(FetchError::Closed(shown(name)).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}
