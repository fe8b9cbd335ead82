//! A server of its own for each test: real listeners, a real database, simulated upstreams over HTTP, a clock that the
//! test moves. Built from a config file exactly as `portico serve` builds it. Dropped: stopped.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use portico::app::{App, Listeners};
use portico::clock::Clock;
use portico::config;
use portico::keys::ring::new_key;
use portico::keys::{MasterKey, Secrets};
use portico::model::signing_key::SigningKeyRecord;
use portico::protocol::jws::SigningAlgorithm;
use portico::simulator::Running;
use portico::simulator::aim18::{self, Aim18};
use portico::simulator::imis::{ClientApplication, Imis};
use portico::simulator::people;
use portico::store::Store;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::database::TestDatabase;
use super::signing::{ClientKey, jwks_line};

/// Where the clock of every test begins: in the past of the machine's clock, so that whoever reads that one instead
/// is found out.
pub(crate) const START: i64 = 1_700_000_000;

/// The usual master key, base64.
const MASTER_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// A client whose secret a human chose, so that it is kept as Argon2id. Not among the usual ones: each start would take a thirtieth of a
/// second for it.
pub(crate) const CHOSEN_CLIENT: &str = r#"
[[clients]]
client_id = "chosen"
client_secret = { env = "CHOSEN_SECRET" }
redirect_uris = ["https://chosen.example.org/callback"]
scope = "openid"
"#;
/// The secret of that one.
pub(crate) const CHOSEN_SECRET: &str = "client-secret-for-tests-of-a-human";
/// The secret of the client `web`, in the form that `portico client secret` makes, so kept as a keyed hash; as are the next two.
pub(crate) const WEB_SECRET: &str = "portico_secret_CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC";
/// The secret of the client `post`.
pub(crate) const POST_SECRET: &str = "portico_secret_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// The secret of the client `service`.
pub(crate) const SERVICE_SECRET: &str =
    "portico_secret_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";

/// The secret of the client `shared`, which it signs with.
pub(crate) const SHARED_SECRET: &str = "shared-client-secret-for-tests-32";

/// The secret of the simulated iMIS's client applications.
const IMIS_SSO_SECRET: &str = "sso-demo-secret";

/// What a test may change before the server starts.
pub(crate) struct Setup {
    /// The issuer; `{port}` stands for the port.
    pub(crate) issuer: String,
    /// The whole configuration instead of the usual one; `{issuer}` stands for the issuer, `{imis}` for the address of the simulated iMIS.
    pub(crate) config: Option<String>,
    /// The text of `[server]`, after its addresses.
    pub(crate) server: String,
    /// Whole sections: `[lifetimes]`, `[login]`, …
    pub(crate) sections: String,
    /// More keys of the upstream `members`; `{imis}` stands for the address of the simulated iMIS.
    pub(crate) members: String,
    /// The text of `[upstreams.profile]` of the upstream `staff`.
    pub(crate) profile: String,
    /// More upstreams.
    pub(crate) upstreams: String,
    /// More clients.
    pub(crate) clients: String,
    /// Files beside the config: name and content.
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
    /// The master key, base64.
    pub(crate) master_key: String,
    /// Whether its database is one of SQLite, whatever the tests run on.
    pub(crate) on_sqlite: bool,
    /// Whether it makes an RSA key of its own, as the first server on a database does. The usual ones share one: to make it takes longer
    /// than most of what is asked with it.
    pub(crate) own_key: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            issuer: "http://127.0.0.1:{port}".to_owned(),
            config: None,
            server: String::new(),
            // Refusals must not take half a second each in tests.
            sections: "[login]\nrefusal_floor = \"0s\"\n".to_owned(),
            members: String::new(),
            profile: "module = \"user\"\nfields = { name = \"desc\", preferred_username = \"code\", email = \"email\" }\n"
                .to_owned(),
            upstreams: String::new(),
            clients: String::new(),
            files: Vec::new(),
            master_key: MASTER_KEY.to_owned(),
            on_sqlite: false,
            own_key: false,
        }
    }
}

impl Setup {
    fn shares_key(&self) -> bool {
        !self.own_key && self.config.is_none() && self.master_key == MASTER_KEY
    }
}

/// The RSA key of all who share one, sealed.
fn shared_key() -> &'static SigningKeyRecord {
    static KEY: LazyLock<SigningKeyRecord> = LazyLock::new(|| {
        let secrets = Secrets::derive(&MasterKey::parse(MASTER_KEY).unwrap()).unwrap();
        // As one that was made at the first start, which signs at any time.
        new_key(SigningAlgorithm::RS256, &secrets, START, 0).unwrap()
    });
    &KEY
}

/// A running server.
pub(crate) struct TestServer {
    /// The issuer.
    pub(crate) issuer: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where its health can be asked.
    pub(crate) internal: SocketAddr,
    /// The clock of the server and the simulators.
    pub(crate) clock: Clock,
    /// The simulated iMIS behind the upstream `members`.
    pub(crate) imis: Imis,
    /// The simulated aiM18 behind the upstream `staff`.
    pub(crate) aim18: Aim18,
    /// Another node's view of the database.
    pub(crate) store: Store,
    /// The database.
    pub(crate) database: TestDatabase,
    config: String,
    folder: tempfile::TempDir,
    nodes: Vec<Node>,
    simulators: (Running, Running),
}

struct Node {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// A node with a runtime to itself. Dropped: killed, with all that it was about to do.
pub(crate) struct Mortal {
    pub(crate) address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Drop for Mortal {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl TestServer {
    /// The usual server.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A server with changes.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::default();
        change(&mut setup);
        let database = if setup.on_sqlite {
            TestDatabase::embedded()
        } else {
            TestDatabase::migrated().await
        };
        let store = database.store().await;
        if setup.shares_key() {
            assert!(store.insert_first_signing_key(shared_key()).await.unwrap());
        }
        let clock = Clock::manual(START);
        let imis = Imis::new(clock.clone());
        let aim18 = Aim18::new(clock.clone());
        let running = (
            imis.serve(loopback().await).await.unwrap(),
            aim18.serve(loopback().await).await.unwrap(),
        );
        let listeners = bind();
        let address = listeners.public.local_addr().unwrap();
        let internal = listeners.internal.local_addr().unwrap();
        let issuer = setup.issuer.replace("{port}", &address.port().to_string());
        aim18.set_callback(&format!("{issuer}/upstream/staff/callback"));
        for name in ["Portico", "Events"] {
            imis.register(ClientApplication {
                client_id: name.to_owned(),
                client_secret: IMIS_SSO_SECRET.to_owned(),
                refresh_token_minutes: 30,
                login_redirect_url: format!("{issuer}/upstream/members/landing/{name}"),
            });
        }
        let config = config_text(&setup, &issuer, running.0.url(), running.1.url());
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in &setup.files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let mut server = Self {
            issuer,
            address,
            internal,
            clock,
            imis,
            aim18,
            store,
            database,
            config,
            folder,
            nodes: Vec::new(),
            simulators: running,
        };
        server
            .nodes
            .push(server.node(listeners, &setup.master_key).await);
        server
    }

    /// Starts one more node on the same database, and gives its address. It calls itself by the same issuer.
    pub(crate) async fn add_node(&mut self) -> SocketAddr {
        let listeners = bind();
        let address = listeners.public.local_addr().unwrap();
        let node = self.node(listeners, MASTER_KEY).await;
        self.nodes.push(node);
        address
    }

    /// The same with a node that can be killed.
    pub(crate) fn add_mortal(&self) -> Mortal {
        let listeners = bind();
        let address = listeners.public.local_addr().unwrap();
        let (config, clock) = (self.load_config(), self.clock.clone());
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move {
            let app = App::open(config, clock).await.unwrap();
            Box::pin(app.serve(listeners, std::future::pending()))
                .await
                .unwrap();
        });
        Mortal {
            address,
            runtime: Some(runtime),
        }
    }

    /// The configuration as a node with the usual master key reads it: for what commands do beside a running server.
    pub(crate) fn load_config(&self) -> config::Config {
        self.load_config_with(MASTER_KEY)
    }

    fn load_config_with(&self, master_key: &str) -> config::Config {
        let file = self.write_config();
        let variables = self.variables(master_key);
        let env = |name: &str| {
            let known = variables.iter().find(|(known, _)| *known == name);
            known.map(|(_, value)| value.clone())
        };
        config::load_with(&file, &env).unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// The configuration's file, as a node would read it now.
    pub(crate) fn write_config(&self) -> PathBuf {
        let file = self.folder.path().join("portico.toml");
        std::fs::write(&file, &self.config).unwrap();
        file
    }

    /// The environment variables that the configuration names.
    pub(crate) fn variables(&self, master_key: &str) -> Vec<(&'static str, String)> {
        let database_url = self.database.url().expose();
        [
            ("DATABASE_URL", database_url),
            ("MASTER_KEY", master_key),
            ("IMIS_SERVICE_PASSWORD", people::SERVICE.password),
            ("IMIS_SSO_SECRET", IMIS_SSO_SECRET),
            ("AIM18_CLIENT_SECRET", aim18::CLIENT_SECRET),
            ("CHOSEN_SECRET", CHOSEN_SECRET),
            ("WEB_SECRET", WEB_SECRET),
            ("POST_SECRET", POST_SECRET),
            ("SERVICE_SECRET", SERVICE_SECRET),
            ("SHARED_SECRET", SHARED_SECRET),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into()
    }

    async fn node(&self, listeners: Listeners, master_key: &str) -> Node {
        let config = self.load_config_with(master_key);
        let app = App::open(config, self.clock.clone()).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            Box::pin(app.serve(listeners, shutdown)).await.unwrap();
        });
        Node {
            stop: Some(stop),
            task,
        }
    }

    /// Stops every node in good order.
    pub(crate) async fn stop(&mut self) {
        for mut node in self.nodes.drain(..) {
            let _ = node.stop.take().map(|stop| stop.send(()));
            node.task.await.unwrap();
        }
    }

    /// Stops every node and starts one again at the same address, on the same database: a restart.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        let listeners = Listeners {
            public: bind_again(self.address).await,
            internal: bind_again(self.internal).await,
        };
        let node = self.node(listeners, MASTER_KEY).await;
        self.nodes.push(node);
    }

    /// Goes on with another database, as whoever restores a backup does. The server brings its schema up to date.
    pub(crate) async fn move_to(&mut self, database: TestDatabase) {
        self.stop().await;
        self.database = database;
        self.restart().await;
        self.store = self.database.store().await;
    }

    /// Replaces part of the configuration, for the next start.
    pub(crate) fn edit_config(&mut self, from: &str, to: &str) {
        assert!(
            self.config.contains(from),
            "the configuration has no {from}"
        );
        self.config = self.config.replace(from, to);
    }

    /// Where the web site and the API of the simulated iMIS are.
    pub(crate) fn imis_url(&self) -> &str {
        self.simulators.0.url()
    }

    /// Where the login page and the API of the simulated aiM18 are.
    pub(crate) fn aim18_url(&self) -> &str {
        self.simulators.1.url()
    }

    /// A URL of this server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.task.abort();
        }
    }
}

fn bind() -> Listeners {
    // Below the ports that the system gives to whoever wants any, so that nobody else has it when a server comes back to its own.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let bind = || loop {
        let next = std::process::id() + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (next % 12_000) as u16;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            break listener;
        }
    };
    Listeners {
        public: bind(),
        internal: bind(),
    }
}

async fn loopback() -> tokio::net::TcpListener {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()
}

#[expect(
    clippy::too_many_lines,
    reason = "a file as an administrator writes it"
)]
fn config_text(setup: &Setup, issuer: &str, imis: &str, aim18: &str) -> String {
    if let Some(config) = &setup.config {
        return config.replace("{issuer}", issuer).replace("{imis}", imis);
    }
    let Setup {
        server,
        sections,
        profile,
        upstreams,
        clients,
        ..
    } = setup;
    let signed_keys = jwks_line(&[&ClientKey::of_signed()]);
    let members = setup.members.replace("{imis}", imis);
    let (service_name, aim18_client) = (people::SERVICE.username, aim18::CLIENT_ID);
    format!(
        r#"issuer = "{issuer}"

[server]
{server}

[database]
url = {{ env = "DATABASE_URL" }}

[keys]
master_key = {{ env = "MASTER_KEY" }}
algorithms = ["RS256", "ES256"]

{sections}

[[upstreams]]
id = "members"
kind = "imis"
label = "Member login"
login = ["password", "redirect"]
base_url = "{imis}"
sign_in_url = "{imis}/Sign-in.aspx?ReturnUrl={{page_path}}"
service_account = {{ username = "{service_name}", password = {{ env = "IMIS_SERVICE_PASSWORD" }} }}
{members}

[[upstreams.sso_pages]]
client_id = "Portico"
client_secret = {{ env = "IMIS_SSO_SECRET" }}
page_url = "{imis}/SSO/Portico.aspx"

[[upstreams.sso_pages]]
client_id = "Events"
client_secret = {{ env = "IMIS_SSO_SECRET" }}
page_url = "{imis}/SSO/Events.aspx"
client = "spa"

[[upstreams]]
id = "staff"
kind = "aim18"
label = "Staff login"
login = ["redirect", "password"]
base_url = "{aim18}"
client_id = "{aim18_client}"
client_secret = {{ env = "AIM18_CLIENT_SECRET" }}

[upstreams.profile]
{profile}

{upstreams}

[[clients]]
client_id = "spa"
client_name = "Browser app"
client_uri = "https://spa.example.org/"
token_endpoint_auth_method = "none"
redirect_uris = ["https://spa.example.org/callback", "http://127.0.0.1/callback"]
post_logout_redirect_uris = ["https://spa.example.org/"]
grant_types = ["authorization_code", "refresh_token"]
scope = "openid profile email offline_access"

[[clients]]
client_id = "web"
client_name = "Web app"
client_secret = {{ env = "WEB_SECRET" }}
redirect_uris = ["https://web.example.org/callback"]
post_logout_redirect_uris = ["https://web.example.org/bye", "https://web.example.org/bye?from=portico"]
grant_types = ["authorization_code", "refresh_token"]
scope = "openid profile email offline_access"

[[clients]]
client_id = "post"
token_endpoint_auth_method = "client_secret_post"
client_secret = {{ env = "POST_SECRET" }}
redirect_uris = ["https://post.example.org/callback"]
id_token_signed_response_alg = "ES256"
scope = "openid email"

[[clients]]
client_id = "asking"
client_name = "Asking app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://asking.example.org/callback"]
scope = "openid profile email reports:read"
consent = "once"

[[clients]]
client_id = "staff-app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://staff.example.org/callback"]
grant_types = ["authorization_code", "refresh_token"]
scope = "openid profile email offline_access"
upstreams = ["staff"]

[[clients]]
client_id = "signed"
token_endpoint_auth_method = "private_key_jwt"
redirect_uris = ["https://signed.example.org/callback"]
grant_types = ["authorization_code", "refresh_token", "client_credentials"]
scope = "openid reports:read"
{signed_keys}

[[clients]]
client_id = "shared"
token_endpoint_auth_method = "client_secret_jwt"
client_secret = {{ env = "SHARED_SECRET" }}
redirect_uris = ["https://shared.example.org/callback"]
scope = "openid"

[[clients]]
client_id = "service"
client_secret = {{ env = "SERVICE_SECRET" }}
grant_types = ["client_credentials"]
scope = "reports:read reports:write"
audience = ["https://api.example.org"]

{clients}
"#
    )
}

/// An address that was ours a moment ago. Somebody's outgoing connection may have been given its port meanwhile, for a moment.
async fn bind_again(address: SocketAddr) -> TcpListener {
    for _ in 0..50 {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            bound => return bound.unwrap(),
        }
    }
    TcpListener::bind(address).unwrap()
}
