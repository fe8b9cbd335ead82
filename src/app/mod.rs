//! The composition root: from a [`Config`] to an [`App`] that serves. The only room, with `cli`, that sees all others.

mod audit;
mod certificate;
mod clients;
mod configuration;
mod housekeeping;
mod keys;
mod moving;
mod serve;
mod unread;

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::future::pending;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::FromRef as _;

use crate::backchannel::{Backchannel, BackchannelParts};
use crate::beside::UnderWay;
use crate::clock::{Clock, ClockWatch, UnixTime};
use crate::config::{Config, Tls, UpstreamConfig, UpstreamSettings};
use crate::fetch::{self, ClientKeys, Fetcher, Logos, RequestUris};
use crate::flow::{Flow, FlowParts};
use crate::gateway::{Gateway, GatewayParts};
use crate::grants::{Grants, GrantsParts};
use crate::http::brand::BrandPages;
use crate::http::discovery::Discovery;
use crate::http::state::{ParPolicy, Settings};
use crate::http::{self, HttpParts, HttpState};
use crate::keys::{KeyError, KeyRing, Secrets};
use crate::logins::{Logins, RefusalFloor};
use crate::model::account::RecheckPolicy;
use crate::model::acr::AcrPolicies;
use crate::model::audit::Event;
use crate::model::family::FamilyCaps;
use crate::model::resource::Resources;
use crate::model::scopes::Scopes;
use crate::model::throttle::{ThrottlePolicy, WindowStart};
use crate::passwords::Passwords;
use crate::protocol::discovery::{Metadata, Supported};
use crate::protocol::error::BoxError;
use crate::protocol::ids::UpstreamId;
use crate::protocol::response::ResponseType;
use crate::protocol::scope::{self, Scope};
use crate::protocol::token::GrantType;
use crate::recheck::{RecheckParts, Rechecks, Rounds};
use crate::registrar::{Registrar, RegistrarParts};
use crate::store::{MoveError, Store, StoreError};
use crate::telemetry::{Audit, Entry, Metrics};
use crate::tokens::possession::{Possession, PossessionParts, ProofPolicy};
use crate::tokens::standing::AccessTokens;
use crate::tokens::{Mint, MintParts, TokenLifetimes};
use crate::upstream::breaker::Breaker;
use crate::upstream::{
    Shelf, Surroundings, Upstream, Upstreams, aim18, imis, oidc, outbound, users,
};
use crate::vault::{ServiceShelf, Vault};

pub use audit::{AuditWriter, open_audit};
pub use certificate::check_certificate;
pub use keys::{end_unnamed_at_once, open_secrets, rotate};
pub use moving::move_database;

/// How long a server waits for PostgreSQL at each statement: longer than any statement of one takes, also behind a schema that is being
/// brought up to date, and shorter than people and apps wait.
const DATABASE_ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// Why the server could not be put together or run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The database cannot be opened, or its schema not be brought up to date.
    #[error("the database {shown}")]
    Database {
        /// Its URL, without a password.
        shown: String,
        /// What is wrong with it.
        source: StoreError,
    },
    /// The database, later on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The master key's file cannot be read, or not be made.
    #[error("the master key {}", .path.display())]
    MasterKey {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The master key's file is not there, though the database has keys that were sealed with it.
    #[error(
        "the master key {} is not there, and the database has keys that are sealed with it; put the file back from its backup",
        .path.display()
    )]
    NoMasterKey {
        /// The file.
        path: PathBuf,
    },
    /// An upstream.
    #[error("the upstream {id}")]
    Upstream {
        /// Its name.
        id: String,
        /// What is wrong with it.
        source: BoxError,
    },
    /// What we fetch with.
    #[error("the outbound HTTP client: {0}")]
    Outbound(BoxError),
    /// The discovery document.
    #[error("the discovery document")]
    Discovery(#[from] serde_json::Error),
    /// A socket or a certificate.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// What is moved goes into PostgreSQL.
    #[error(
        "an SQLite file is moved into PostgreSQL, and database.url names none: write the new database there, and name the file here"
    )]
    MoveTarget,
    /// The database could not be moved, and nothing has been.
    #[error("nothing was moved")]
    Move(#[from] MoveError),
    /// The configuration has another master key than the database that would be moved.
    #[error(
        "nothing was moved: keys.master_key is not the one that {} was used with (made by itself, it is in the file beside it whose name ends in .master-key, which keys.master_key = {{ file = \"path\" }} reads)",
        .path.display()
    )]
    MoveMasterKey {
        /// The file of the database.
        path: PathBuf,
        /// What does not open.
        source: KeyError,
    },
    /// The files hold no client at all, and the database does.
    #[error(
        "the configuration has no clients, but the database has; is clients.d in its place? (Removing the last client \
         would end every token; leave one, and remove it when another is there.)"
    )]
    NoClients,
    /// A client secret could not be hashed.
    #[error("a client secret could not be hashed: {0}")]
    Hash(BoxError),
}

/// A server that is ready to listen.
pub struct App {
    public: Router,
    internal: Router,
    tls: Option<Tls>,
    store: Store,
    housekeeping: housekeeping::Housekeeping,
    backchannel: Backchannel,
    audit: AuditWriter,
    under_way: UnderWay,
    rounds: Rounds,
    vault: Vault,
    shelf: Arc<ServiceShelf>,
}

/// The two listeners of a server.
pub struct Listeners {
    /// For browsers and clients.
    pub public: TcpListener,
    /// For health checks.
    pub internal: TcpListener,
}

impl Listeners {
    /// Binds both addresses of the config.
    pub fn bind(config: &Config) -> Result<Self, AppError> {
        let bind = |address| {
            TcpListener::bind(address).map_err(|source| AppError::Io {
                what: format!("cannot listen on {address}"),
                source,
            })
        };
        Ok(Self {
            public: bind(config.server.listen)?,
            internal: bind(config.server.internal_listen)?,
        })
    }

    /// Where health and metrics answer, whatever port the config left open.
    pub fn internal_address(&self) -> std::io::Result<SocketAddr> {
        self.internal.local_addr()
    }
}

impl App {
    /// Opens the database (and brings its schema up to date), the keys and the upstreams, and takes over the clients.
    pub async fn open(config: Config, clock: Clock) -> Result<Self, AppError> {
        match Self::open_unless(config, clock, pending()).await? {
            Some(app) => Ok(app),
            // Nobody tells it.
            None => pending().await,
        }
    }

    /// The same, unless it is `told` to end while it waits for the database, which a backup or another node that migrates may hold: `None`
    /// then, and nothing is changed. What comes after that is short, and goes on to its end, or something would be done and not recorded.
    pub async fn open_unless(
        config: Config,
        clock: Clock,
        told: impl Future<Output = ()>,
    ) -> Result<Option<Self>, AppError> {
        let store = tokio::select! {
            biased;
            () = told => return Ok(None),
            store = open_database(&config) => store?,
        };
        let (audit, mut audit_writer) = open_audit(config.audit.database, &store, &clock);
        let assembled = Self::assemble(config, clock, store, audit, &mut audit_writer).await;
        // What the start itself has recorded stands there before the first request, or this is no start. And of one that fails
        // what it has done by then: the next one finds it done, and has nothing to record.
        let recorded = audit_writer.finish().await;
        let assembled = assembled?;
        recorded?;
        Ok(Some(assembled(audit_writer)))
    }

    /// All but the writer of the audit.
    async fn assemble(
        config: Config,
        clock: Clock,
        store: Store,
        audit: Audit,
        audit_writer: &mut AuditWriter,
    ) -> Result<impl FnOnce(AuditWriter) -> Self + use<>, AppError> {
        let passwords = Passwords::default();
        let key_policy = keys::KeyPolicy::of(&config);
        let (secrets, ring) = take_over(
            &config,
            &key_policy,
            &store,
            &passwords,
            (&audit, audit_writer),
            clock.now(),
        )
        .await?;
        let watch = ClockWatch::new(clock.clone());
        let housekeeping = housekeeping::Housekeeping {
            store: store.clone(),
            secrets: secrets.clone(),
            ring: ring.clone(),
            clock: clock.clone(),
            watch: watch.clone(),
            key_policy,
            audit: audit.clone(),
            audit_kept: config.audit.keep,
        };
        let mint = mint(&config, &store, ring, &secrets, &clock);
        let access_tokens = access_tokens(&config, &store, &secrets, &clock);
        let metrics = Metrics::new();
        metrics.config_loaded(config.clients.len(), clock.now());
        let shelf = ServiceShelf::new(store.clone(), clock.clone(), secrets.clone());
        let shelf = Arc::new(shelf);
        let upstreams = open_upstreams(
            &config,
            &passwords,
            &clock,
            Arc::clone(&shelf) as _,
            Some((&metrics, &audit)),
        )?;
        let upstreams = Upstreams::new(upstreams);
        let vault = vault(&store, &clock, &secrets, &upstreams, &metrics);
        let rechecks = rechecks(
            &config,
            &store,
            &clock,
            (&metrics, &audit),
            &vault,
            &upstreams,
        );
        let rounds = Rounds::new(rechecks.clone(), config.session_lifetimes());
        let fetcher = fetcher(&config, &clock)?;
        let logins = Logins {
            store: store.clone(),
            secrets: secrets.clone(),
            clock: clock.clone(),
            session_lifetimes: config.session_lifetimes(),
            sessions_per_person: config.lifetimes.sessions_per_person,
            throttle: config.login.throttle,
            address_throttle: over_all_names(&config, config.login.address_attempts),
            client_throttle: over_all_names(&config, config.login.client_attempts),
            refusal_floor: RefusalFloor::new(config.login.refusal_floor),
            vault: vault.clone(),
            acr: acr_policies(&config),
            metrics: metrics.clone(),
            audit: audit.clone(),
        };
        let flow = flow(&config, logins, &mint, &rechecks, &fetcher);
        let grants = grants(&config, &flow, &access_tokens, &upstreams, &passwords)?;
        let backchannel = backchannel(&config, &flow, watch, fetcher.clone());
        let metadata = Metadata::new(&config.issuer, supported(&config, &upstreams, &flow));
        let state = HttpState::new(HttpParts {
            possession: possession(&config, &flow),
            gateway: gateway(&config, &flow, &upstreams),
            logos: Logos::new(fetcher.clone(), clock, config.registration.show_logos),
            registrar: registrar(&config, &flow, fetcher),
            flow,
            grants,
            mint,
            access_tokens,
            discovery: Discovery::new(&metadata)?,
            settings: settings(&config),
            issuer: config.issuer,
            upstreams,
        });
        Ok(move |audit| Self {
            rounds,
            under_way: UnderWay::from_ref(&state),
            public: http::router(&state),
            internal: http::internal_router(state),
            tls: config.server.tls,
            store,
            housekeeping,
            backchannel,
            vault,
            shelf,
            audit,
        })
    }
}

/// Brings what the database keeps to where the config wants it: keys, and the clients of the files.
async fn take_over(
    config: &Config,
    key_policy: &keys::KeyPolicy,
    store: &Store,
    passwords: &Passwords,
    (audit, audit_writer): (&Audit, &mut AuditWriter),
    now: UnixTime,
) -> Result<(Secrets, KeyRing), AppError> {
    let started = Entry::new(Event::ServerStarted);
    audit.record(started.with("version", env!("CARGO_PKG_VERSION")));
    let secrets = keys::open_or_make_secrets(config, store).await?;
    // Before anything is written under the master key: with another one no key of the ring opens, and clients' secrets that are hashed
    // or sealed under it would be good at none of the nodes that serve.
    let ring = keys::open_ring(store, &secrets, key_policy, audit, now).await?;
    clients::reconcile(store, &secrets, passwords, config, audit, now).await?;
    let policy = &config.registration;
    clients::hold_registered(store, policy, (audit, audit_writer), now).await?;
    // Last: what could not be taken over is in force nowhere.
    configuration::note_changes(store, config, audit, now).await?;
    // What a start has to do may be long; what comes from here on is brief.
    store.wait_at_most(DATABASE_ANSWERS_WITHIN);
    Ok((secrets, ring))
}

/// What flows work with.
fn flow(
    config: &Config,
    logins: Logins,
    mint: &Mint,
    rechecks: &Rechecks,
    fetcher: &Fetcher,
) -> Flow {
    let clock = logins.clock.clone();
    Flow::new(FlowParts {
        client_keys: ClientKeys::new(fetcher.clone(), clock.clone()),
        request_uris: RequestUris::new(fetcher.clone(), clock.clone()),
        store: logins.store.clone(),
        secrets: logins.secrets.clone(),
        mint: mint.clone(),
        clock,
        session_lifetimes: logins.session_lifetimes,
        family_lifetime: config.lifetimes.family(),
        address_throttle: logins.address_throttle,
        registered_unused: config.registration.unused,
        vault: logins.vault.clone(),
        rechecks: rechecks.clone(),
        scopes: Scopes::new(config.scopes.clone()),
        acr: logins.acr.clone(),
        metrics: logins.metrics.clone(),
        audit: logins.audit.clone(),
        logins,
    })
}

/// The grants, which work with what a flow works with.
fn grants(
    config: &Config,
    flow: &Flow,
    access_tokens: &AccessTokens,
    upstreams: &Upstreams,
    passwords: &Passwords,
) -> Result<Grants, AppError> {
    Ok(Grants::new(GrantsParts {
        store: flow.store.clone(),
        secrets: flow.secrets.clone(),
        clock: flow.clock.clone(),
        passwords: passwords.clone(),
        stand_in: clients::stand_in()?,
        address_throttle: flow.address_throttle,
        family_lifetime: flow.family_lifetime,
        session_lifetimes: flow.session_lifetimes,
        family_caps: FamilyCaps {
            per_client: config.lifetimes.families_per_client,
            per_person: config.lifetimes.families_per_person,
        },
        device_code_lifetime: config.lifetimes.device_code,
        mint: flow.mint.clone(),
        access_tokens: access_tokens.clone(),
        upstreams: upstreams.clone(),
        vault: flow.vault.clone(),
        logins: flow.logins.clone(),
        rechecks: flow.rechecks.clone(),
        client_keys: flow.client_keys.clone(),
        scopes: flow.scopes.clone(),
        registered_unused: flow.registered_unused,
        metrics: flow.metrics.clone(),
        audit: flow.audit.clone(),
    }))
}

/// How many attempts an address or a client has, over all names.
fn over_all_names(config: &Config, attempts: i64) -> ThrottlePolicy {
    ThrottlePolicy {
        attempts,
        starts_at: WindowStart::FirstAttempt,
        ..config.login.throttle
    }
}

/// What pages and endpoints need of the config besides.
fn settings(config: &Config) -> Settings {
    let clients = config.clients.iter().map(|each| &each.client);
    let initiating = clients.filter(|client| client.initiate_login_uri.is_some());
    Settings {
        brand: Arc::new(BrandPages::new(config.brand.clone())),
        flow_lifetime: config.lifetimes.flow,
        par: ParPolicy {
            required: config.par.required,
            lifetime: config.par.lifetime,
        },
        trusted_proxies: config.server.trusted_proxies.clone(),
        initiating: initiating.map(|client| client.client_id.clone()).collect(),
    }
}

/// What makes the tokens of this config.
fn mint(config: &Config, store: &Store, ring: KeyRing, secrets: &Secrets, clock: &Clock) -> Mint {
    Mint::new(MintParts {
        store: store.clone(),
        issuer: config.issuer.clone(),
        ring,
        secrets: secrets.clone(),
        clock: clock.clone(),
        lifetimes: TokenLifetimes {
            access_token: config.lifetimes.access_token,
            id_token: config.lifetimes.id_token,
        },
        default_algorithm: config.keys.algorithms.first().copied().unwrap_or_default(),
        resources: Resources::new(config.issuer.clone(), config.resources.clone())
            .knowing(own_scopes(config)),
    })
}

/// The scopes that open something here.
fn own_scopes(config: &Config) -> BTreeSet<String> {
    let of_claims = config.scopes.iter().map(|own| own.name.clone());
    let rules = config.upstreams.iter().flat_map(|upstream| &upstream.api);
    of_claims
        .chain(rules.map(|rule| rule.scope.clone()))
        .collect()
}

/// What finds whom an access token stands for.
fn access_tokens(config: &Config, store: &Store, secrets: &Secrets, clock: &Clock) -> AccessTokens {
    AccessTokens {
        store: store.clone(),
        secrets: secrets.clone(),
        clock: clock.clone(),
        session_lifetimes: config.session_lifetimes(),
    }
}

/// Where the tokens that upstreams gave are kept.
fn vault(
    store: &Store,
    clock: &Clock,
    secrets: &Secrets,
    upstreams: &Upstreams,
    metrics: &Metrics,
) -> Vault {
    Vault::new(
        store.clone(),
        clock.clone(),
        secrets.clone(),
        upstreams.clone(),
        metrics.clone(),
    )
}

/// What asks about people anew.
fn rechecks(
    config: &Config,
    store: &Store,
    clock: &Clock,
    (metrics, audit): (&Metrics, &Audit),
    vault: &Vault,
    upstreams: &Upstreams,
) -> Rechecks {
    Rechecks::new(RecheckParts {
        store: store.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        audit: audit.clone(),
        vault: vault.clone(),
        upstreams: upstreams.clone(),
        policies: policies(config),
    })
}

/// How often whose people are asked about anew.
fn policies(config: &Config) -> HashMap<UpstreamId, RecheckPolicy> {
    let upstreams = config.upstreams.iter();
    upstreams
        .map(|upstream| (upstream.id.clone(), upstream.recheck))
        .collect()
}

/// What proves the keys of clients.
fn possession(config: &Config, flow: &Flow) -> Possession {
    Possession::new(PossessionParts {
        store: flow.store.clone(),
        secrets: flow.secrets.clone(),
        clock: flow.clock.clone(),
        issuer: config.issuer.clone(),
        policy: ProofPolicy {
            require_nonce: config.dpop.require_nonce,
            window: config.dpop.window,
        },
        metrics: flow.metrics.clone(),
        audit: flow.audit.clone(),
    })
}

/// What calls upstreams' APIs for clients, by the rules of the config.
fn gateway(config: &Config, flow: &Flow, upstreams: &Upstreams) -> Gateway {
    let rules = config.upstreams.iter();
    let rules = rules
        .map(|upstream| (upstream.id.clone(), upstream.api.clone()))
        .filter(|(_, rules)| !rules.is_empty());
    Gateway::new(GatewayParts {
        store: flow.store.clone(),
        clock: flow.clock.clone(),
        upstreams: upstreams.clone(),
        vault: flow.vault.clone(),
        rechecks: flow.rechecks.clone(),
        metrics: flow.metrics.clone(),
        audit: flow.audit.clone(),
        rules: rules.collect(),
    })
}

/// Opens the database of the config and brings its schema up to date.
pub async fn open_database(config: &Config) -> Result<Store, AppError> {
    let opened = async {
        let store = Store::open(&config.database.url).await?;
        store.migrate().await?;
        Ok(store)
    };
    opened.await.map_err(|source| AppError::Database {
        shown: config.database.shown(),
        source,
    })
}

/// What logins prove, as the configuration says.
fn acr_policies(config: &Config) -> AcrPolicies {
    let policies = config.upstreams.iter();
    AcrPolicies::new(
        policies
            .map(|each| (each.id.clone(), each.acr.clone()))
            .collect(),
    )
}

/// What the configuration turns on, for discovery.
fn supported(config: &Config, upstreams: &Upstreams, flow: &Flow) -> Supported {
    let clients = || config.clients.iter().map(|written| &written.client);
    let types = clients().flat_map(|client| client.response_types.iter().copied());
    let mut response_types: BTreeSet<ResponseType> = types.collect();
    if config.registration.is_on() {
        response_types.extend(config.registration.response_types());
    }
    let grants = clients().flat_map(|client| client.grant_types.iter().copied());
    let mut grants: BTreeSet<GrantType> = grants.collect();
    if config.registration.is_on() {
        grants.extend(&config.registration.grant_types);
    }
    if response_types.is_empty() {
        // The list must name one (Discovery section 3).
        response_types.insert(ResponseType::Code);
    }
    let scopes = supported_scopes(config);
    let told = upstreams.allowed(|_| true).flat_map(|each| &each.claims);
    // A claim that no client may ask for is not on.
    let all = Scope::parse(&scopes.join(" ")).unwrap_or_default();
    let opened = |claim: &&String| flow.scopes.open(&all, claim);
    let named = clients().flat_map(|client| client.claims.names());
    let claims = told.filter(opened).chain(named).cloned().collect();
    Supported {
        algorithms: config.keys.algorithms.clone(),
        scopes,
        grants,
        response_types,
        acr_values: flow.acr.all(),
        claims,
        registration: config.registration.is_on(),
        require_pushed_authorization_requests: config.par.required,
    }
}

/// Every scope that some client may ask for, and those that OpenID Connect names.
fn supported_scopes(config: &Config) -> Vec<String> {
    let known = [
        scope::OPENID,
        scope::PROFILE,
        scope::EMAIL,
        scope::OFFLINE_ACCESS,
    ];
    let mut scopes: Vec<String> = known.map(ToOwned::to_owned).to_vec();
    let of_files = config.clients.iter();
    let of_files = of_files.flat_map(|client| client.client.scope.iter());
    let registration = Some(&config.registration).filter(|policy| policy.is_on());
    let of_registered = registration
        .into_iter()
        .flat_map(|policy| policy.scope.iter());
    for token in of_files.chain(of_registered) {
        if !scopes.iter().any(|known| known == token) {
            scopes.push(token.to_owned());
        }
    }
    scopes
}

/// What fetches from upstreams, and looks at ourselves from outside for `portico check`.
pub fn outbound(config: &Config) -> Result<outbound::Http, AppError> {
    let settings = outbound::Settings {
        extra_ca: config.outbound.extra_ca.clone(),
    };
    outbound::Http::new(&settings).map_err(AppError::Outbound)
}

/// What tells clients of logouts.
fn backchannel(config: &Config, flow: &Flow, watch: ClockWatch, fetcher: Fetcher) -> Backchannel {
    Backchannel::new(BackchannelParts {
        store: flow.store.clone(),
        secrets: flow.secrets.clone(),
        clock: flow.clock.clone(),
        watch,
        mint: flow.mint.clone(),
        fetcher,
        metrics: flow.metrics.clone(),
        audit: flow.audit.clone(),
        lifetime: config.lifetimes.logout_notice,
    })
}

/// What registers clients, within the policy of the config.
fn registrar(config: &Config, flow: &Flow, fetcher: Fetcher) -> Registrar {
    Registrar::new(RegistrarParts {
        store: flow.store.clone(),
        secrets: flow.secrets.clone(),
        clock: flow.clock.clone(),
        metrics: flow.metrics.clone(),
        audit: flow.audit.clone(),
        issuer: config.issuer.clone(),
        policy: config.registration.clone(),
        fetcher,
    })
}

/// What fetches for clients.
fn fetcher(config: &Config, clock: &Clock) -> Result<Fetcher, AppError> {
    let settings = fetch::Settings {
        allow_hosts: config.outbound.allow_hosts.clone(),
        registered_too: config.registration.fetch_allowed_hosts,
        extra_ca: config.outbound.extra_ca.clone(),
    };
    Fetcher::new(&settings, clock.clone()).map_err(AppError::Outbound)
}

/// Opens every upstream of the config. `shelf` keeps the tokens of their service accounts. If they are `watched`, a breaker
/// stands before each; a command that asks once wants to hear every failure.
pub fn open_upstreams(
    config: &Config,
    passwords: &Passwords,
    clock: &Clock,
    shelf: Arc<dyn Shelf>,
    watched: Option<(&Metrics, &Audit)>,
) -> Result<Vec<Upstream>, AppError> {
    let surroundings = Surroundings {
        http: outbound(config)?,
        clock: clock.clone(),
        shelf,
        issuer: config.issuer.clone(),
    };
    let open = |upstream: &UpstreamConfig| {
        let UpstreamConfig {
            id,
            label,
            login,
            settings,
            ..
        } = upstream.clone();
        let name = id.to_string();
        let base_url = settings.base_url();
        // People in the config are asked over no network.
        let breaker = watched
            .filter(|_| !matches!(settings, UpstreamSettings::Users(_)))
            .map(|(metrics, audit)| {
                Breaker::new(id.clone(), clock.clone(), metrics.clone(), audit.clone())
            });
        let mut surroundings = surroundings.clone();
        if let Some(timeout) = settings.timeout() {
            let http = surroundings.http.for_timeout(timeout);
            surroundings.http = http.map_err(AppError::Outbound)?;
        }
        if let Some(breaker) = &breaker {
            surroundings.http = surroundings.http.with_breaker(breaker.clone());
        }
        let opened = match settings {
            UpstreamSettings::Imis(settings) => {
                imis::open(id, label, login, settings, &surroundings)
            }
            UpstreamSettings::Aim18(settings) => {
                aim18::open(id, label, login, settings, &surroundings)
            }
            UpstreamSettings::Oidc(settings) => {
                oidc::open(id, label, login, settings, &surroundings)
            }
            UpstreamSettings::Users(settings) => {
                users::open(id, label, login, settings, passwords.clone())
            }
        };
        let opened = opened.map_err(|source| AppError::Upstream {
            id: name,
            source: Box::new(source),
        })?;
        Ok(Upstream {
            base_url,
            breaker,
            ..opened
        })
    };
    config.upstreams.iter().map(open).collect()
}
