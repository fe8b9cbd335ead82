//! What an administrator writes: `portico.toml`, and `clients.d/*.toml` beside it (design, section 6).
//!
//! Two steps: serde reads what was written, section by section; then each section checks it into domain types. Every
//! problem is told at once, with file, line, key path, and what to write instead. `config/portico.example.toml` is
//! the reference manual; a test keeps it complete.

mod api_rules;
mod audit;
mod brand;
mod brand_file;
mod client_claims;
mod client_keys;
mod client_people;
mod client_secret;
mod client_uris;
mod client_words;
mod clients;
mod database;
mod document;
mod dpop;
mod duration;
mod exchange;
mod keys;
mod known_keys;
mod lifetimes;
mod load;
mod log;
mod login;
mod outbound;
mod par;
mod pem;
mod place;
mod problem;
mod reference;
mod registration;
mod resources;
mod scopes;
mod section;
mod server;
mod show;
mod stylesheet;
mod text;
mod upstream_apis;
mod upstream_tokens;
mod upstreams;
mod wording;

pub use audit::AuditPolicy;
pub use clients::ClientConfig;
pub use database::Database;
pub use document::{Environment, OVERRIDES};
pub use dpop::Dpop;
pub use keys::Keys;
pub use known_keys::known_keys;
pub use lifetimes::Lifetimes;
pub use load::{load, load_with};
pub use log::{Log, LogFormat};
pub use login::LoginPolicy;
pub use outbound::Outbound;
pub use par::Par;
pub use problem::{Problem, Problems};
pub use server::{Server, Tls};
pub use upstreams::{UpstreamConfig, UpstreamSettings};

use crate::model::brand::Brand;
use crate::model::registration::RegistrationPolicy;
use crate::model::resource::Resource;
use crate::model::scopes::OwnScope;
use crate::model::session::SessionLifetimes;
use crate::protocol::issuer::Issuer;

/// The whole configuration, checked: secrets read, URLs parsed, every reference leading somewhere.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who we are, to clients.
    pub issuer: Issuer,
    /// Where to listen.
    pub server: Server,
    /// Where the records are.
    pub database: Database,
    /// What signs and seals.
    pub keys: Keys,
    /// How long things last.
    pub lifetimes: Lifetimes,
    /// What stands between a guesser and the upstream.
    pub login: LoginPolicy,
    /// Pushed authorization requests.
    pub par: Par,
    /// Proofs of possession.
    pub dpop: Dpop,
    /// The credential systems; at least one.
    pub upstreams: Vec<UpstreamConfig>,
    /// The APIs that tokens are for.
    pub resources: Vec<Resource>,
    /// The clients that the files own.
    pub clients: Vec<ClientConfig>,
    /// What clients that register themselves may be.
    pub registration: RegistrationPolicy,
    /// The scopes of the organization's own.
    pub scopes: Vec<OwnScope>,
    /// What Portico may fetch.
    pub outbound: Outbound,
    /// What people see.
    pub brand: Brand,
    /// What the log tells.
    pub log: Log,
    /// What is kept of what happened.
    pub audit: AuditPolicy,
    /// Unsafe choices, to be logged at start.
    pub warnings: Vec<String>,
}

impl Config {
    /// How long sessions last, for people who asked to be kept signed in, too.
    pub fn session_lifetimes(&self) -> SessionLifetimes {
        self.lifetimes.session(self.login.keep_signed_in)
    }
}
