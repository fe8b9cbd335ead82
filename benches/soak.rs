//! A soak of refresh tokens: many apps refresh for minutes against real servers that are killed and started again, over a
//! network that loses answers, with tabs that refresh at the same moment, and now and then a thief. Half of the apps are bound
//! to a key (DPoP), which some thieves do not have; half have `offline_access`, the others live as long as the browser's session.
//! Nobody may be signed out, no family may have two ends, every thief must be caught, and one without the key must end nothing.
//!
//! `cargo bench --bench soak -- --seconds 120 --clients 1000`; on PostgreSQL, with two nodes, where `TEST_DATABASE_URL` names an
//! administrator's connection (`make soak` does both). Prints figures, and fails where one of them is not what it must be, or
//! where something that it is for has not happened at all.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Parser;
use portico::clock::{Clock, random_id, random_token};
use portico::simulator::imis::Imis;
use portico::simulator::people::JO_SMITH;
use reqwest::{Client, StatusCode, header, redirect};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::AnyPool;
use tokio::task::JoinSet;
use url::Url;

mod support;

use support::{Database, beginning, below, field, free_port, members, portico, serve};

/// Each of these has its share of the apps: one person may have so many families with one client.
const CLIENTS: [&str; 4] = ["soak-1", "bound-1", "soak-2", "bound-2"];
/// What the names of those begin with whose apps prove a key.
const BOUND: &str = "bound-";
const FAMILIES_PER_CLIENT: u64 = 1000;
const REDIRECT_URI: &str = "https://soak.example.org/callback";
/// What an app does next, in percent: its answer is lost; another tab refreshes at the same moment; a thief comes first.
const LOST: u64 = 20;
const TABS: u64 = 20;
const THIEF: u64 = 1;
/// What a thief does. In each dozen of the groups of apps that differ, one is sure to meet the first, the next one the second,
/// and so on: a short soak has all of them.
const THEFTS: [Theft; 4] = [Theft::Old, Theft::Ahead, Theft::Late, Theft::Keyless];
const GROUPS: usize = 12;
/// How long an app waits between refreshes, at the most.
const THINK: Duration = Duration::from_secs(4);
/// For so long the token before the last one is a lost answer.
const RETRY_WINDOW: Duration =
    Duration::from_secs(portico::model::family::RETRY_WINDOW.unsigned_abs());
/// How soon an app asks again that got no answer.
const AGAIN: Duration = Duration::from_millis(100);

/// How long, and how many.
#[derive(Parser)]
struct Options {
    /// How long the apps refresh.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// How many apps.
    #[arg(long, default_value_t = 1000)]
    clients: u64,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a thief does with the tokens of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Theft {
    /// Shows one that is two generations back.
    Old,
    /// Goes on with the newest, and is two generations ahead when the app comes.
    Ahead,
    /// Shows the one before the newest, once it is no lost answer any more.
    Late,
    /// Has tokens that are bound to a key, and another key or none.
    Keyless,
}

/// What happened.
#[derive(Default)]
struct Figures {
    refreshes: AtomicU64,
    with_key: AtomicU64,
    without_key: AtomicU64,
    offline: AtomicU64,
    within_session: AtomicU64,
    lost: AtomicU64,
    unreachable: AtomicU64,
    pairs: AtomicU64,
    different_ends: AtomicU64,
    signed_out: AtomicU64,
    out_of_time: AtomicU64,
    caught: AtomicU64,
    caught_ahead: AtomicU64,
    caught_late: AtomicU64,
    let_in: AtomicU64,
    lived_on: AtomicU64,
    keyless_turned_away: AtomicU64,
    other_key_turned_away: AtomicU64,
    let_in_without_key: AtomicU64,
    ended_without_key: AtomicU64,
    kills: AtomicU64,
}

fn count(figure: &AtomicU64) {
    figure.fetch_add(1, Ordering::Relaxed);
}

fn up_to(longest: Duration) -> Duration {
    let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(below(millis))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    sqlx::any::install_default_drivers();
    let folder = tempfile::tempdir()?;
    let database = Database::fresh(folder.path()).await?;
    let outcome = async {
        let soak = Soak::start(folder.path(), &database).await?;
        soak.run(&options, database.url()).await
    };
    let outcome = outcome.await;
    database.remove().await?;
    outcome
}

const fn number_of_nodes(database: &Database) -> usize {
    match database {
        Database::Sqlite(_) => 1,
        Database::Postgres { .. } => 2,
    }
}

/// A server as an administrator runs it.
struct Node {
    config: PathBuf,
    database: String,
    url: String,
    health: String,
    child: Child,
}

impl Node {
    async fn start(
        config: PathBuf,
        database: String,
        url: String,
        health: String,
    ) -> anyhow::Result<Self> {
        let child = spawn(&config, &database)?;
        let node = Self {
            config,
            database,
            url,
            health,
            child,
        };
        node.ready().await?;
        Ok(node)
    }

    async fn ready(&self) -> anyhow::Result<()> {
        let http = http_client()?;
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(30) {
            let answer = http.get(&self.health).send().await;
            if answer.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("a node did not become ready within 30 seconds")
    }

    /// As a machine that loses its power, and comes back.
    async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        tokio::time::sleep(up_to(Duration::from_millis(500))).await;
        self.child = spawn(&self.config, &self.database)?;
        self.ready().await
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(config: &Path, database: &str) -> anyhow::Result<Child> {
    serve(&mut Command::new(portico()), config, database)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("portico could not be started")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the apps' side: what guards ours has no place here"
)]
fn http_client() -> reqwest::Result<Client> {
    Client::builder()
        .redirect(redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
}

struct Soak {
    nodes: Vec<Node>,
    /// Where the nodes answer.
    urls: Vec<String>,
    http: Client,
    /// The cookies of a browser in which Jo Smith is signed in.
    session: String,
    _imis: portico::simulator::Running,
}

impl Soak {
    async fn start(folder: &Path, database: &Database) -> anyhow::Result<Self> {
        let imis = Imis::new(Clock::system());
        let imis = imis
            .serve(tokio::net::TcpListener::bind("127.0.0.1:0").await?)
            .await?;
        let mut nodes = Vec::new();
        let mut issuer = None;
        for number in 0..number_of_nodes(database) {
            let (port, internal) = (free_port()?, free_port()?);
            let url = format!("http://127.0.0.1:{port}");
            let issuer = issuer.get_or_insert_with(|| url.clone());
            let config = folder.join(format!("node-{number}.toml"));
            let text = configuration(issuer, port, internal, imis.url());
            std::fs::write(&config, text)?;
            let health = format!("http://127.0.0.1:{internal}/health/ready");
            nodes.push(Node::start(config, database.url().to_owned(), url, health).await?);
        }
        let http = http_client()?;
        let urls: Vec<String> = nodes.iter().map(|node| node.url.clone()).collect();
        let first = urls.first().context("no node")?;
        let session = sign_in(&http, first).await?;
        Ok(Self {
            nodes,
            urls,
            http,
            session,
            _imis: imis,
        })
    }

    async fn run(mut self, options: &Options, database: &str) -> anyhow::Result<()> {
        let world = Arc::new(World {
            urls: self.urls.clone(),
            issuer: self.urls.first().cloned().context("no node")?,
            http: self.http.clone(),
            session: self.session.clone(),
            until: Instant::now() + Duration::from_secs(options.seconds),
            figures: Figures::default(),
        });
        let mut apps = JoinSet::new();
        for number in 0..usize::try_from(options.clients)? {
            let world = Arc::clone(&world);
            let app = App::new(number)?;
            apps.spawn(async move { world.live(&app).await });
        }
        let kills = async {
            while Instant::now() + Duration::from_secs(2) < world.until {
                tokio::time::sleep(Duration::from_secs(2) + up_to(Duration::from_secs(4))).await;
                let chosen = usize::try_from(below(u64::try_from(self.nodes.len())?))?;
                if let Some(node) = self.nodes.get_mut(chosen) {
                    node.kill().await?;
                    count(&world.figures.kills);
                }
            }
            anyhow::Ok(())
        };
        let finished = async {
            let mut live = 0;
            while let Some(app) = apps.join_next().await {
                live += i64::from(app??);
            }
            anyhow::Ok(live)
        };
        let (live, ()) = tokio::try_join!(finished, kills)?;
        let families = live_families(database).await?;
        world
            .figures
            .report(self.nodes.len(), options, live, families)
    }
}

/// The families with a live end, as the database counts them.
async fn live_families(database: &str) -> anyhow::Result<i64> {
    let pool = AnyPool::connect(database).await?;
    let live = sqlx::query_scalar(
        "SELECT COUNT(*) FROM token_family WHERE generation IS NOT NULL AND revoked_at IS NULL",
    )
    .fetch_one(&pool)
    .await?;
    pool.close().await;
    Ok(live)
}

impl Figures {
    #[expect(clippy::print_stdout, reason = "this is what the program is for")]
    fn report(
        &self,
        nodes: usize,
        options: &Options,
        apps: i64,
        families: i64,
    ) -> anyhow::Result<()> {
        let of = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let kind = if nodes > 1 { "PostgreSQL" } else { "SQLite" };
        println!(
            "soak: {kind}, {nodes} node(s), {} apps, {} s",
            options.clients, options.seconds
        );
        println!(
            "{:>8}  requests without a server to answer them",
            of(&self.unreachable)
        );
        let sought = [
            (of(&self.refreshes), "refreshes that were answered"),
            (of(&self.with_key), "of these with a proof of a key (DPoP)"),
            (of(&self.without_key), "without"),
            (of(&self.offline), "with offline_access"),
            (of(&self.within_session), "within the browser's session"),
            (of(&self.lost), "answers lost on their way"),
            (
                of(&self.pairs),
                "pairs of tabs that refreshed at the same moment, and were answered",
            ),
            (of(&self.kills), "times a node was killed and started again"),
            (
                of(&self.caught),
                "thieves caught at once, with a token from two generations back",
            ),
            (
                of(&self.caught_ahead),
                "thieves who had gone on with the newest, caught when the app came",
            ),
            (
                of(&self.caught_late),
                "thieves caught with the last token, when it was no lost answer any more",
            ),
            (
                of(&self.keyless_turned_away),
                "stolen tokens refused without a proof of their key",
            ),
            (
                of(&self.other_key_turned_away),
                "stolen tokens refused with a proof of another key",
            ),
        ];
        for (figure, what) in sought {
            println!("{figure:>8}  {what}");
        }
        println!("{families:>8}  families with a live end, for {apps} apps (must be the same)");
        let wrong = [
            (of(&self.signed_out), "apps signed out without a thief"),
            (
                of(&self.out_of_time),
                "apps that had no answer for 30 s: this machine is too slow for so many",
            ),
            (of(&self.different_ends), "families with two live ends"),
            (of(&self.let_in), "thieves that were let in"),
            (of(&self.lived_on), "families that lived on beside a thief"),
            (
                of(&self.let_in_without_key),
                "thieves without the key that were let in",
            ),
            (
                of(&self.ended_without_key),
                "families that ended by a thief without the key",
            ),
        ];
        for (figure, what) in wrong {
            println!("{figure:>8}  {what} (must be 0)");
        }
        ensure!(
            wrong.iter().all(|(figure, _)| *figure == 0),
            "the soak found a fault"
        );
        ensure!(
            families == apps,
            "the database has another number of live families"
        );
        for (figure, what) in sought {
            ensure!(figure > 0, "this was not soaked: {what}");
        }
        Ok(())
    }
}

/// What every app needs.
struct World {
    urls: Vec<String>,
    issuer: String,
    http: Client,
    session: String,
    until: Instant,
    figures: Figures,
}

/// An app: who it says it is, the key that its tokens are bound to, and whether they outlive the browser's session.
struct App {
    client: &'static str,
    key: Option<EcdsaKeyPair>,
    offline: bool,
    /// What becomes of it first.
    first: Option<Theft>,
}

impl App {
    fn new(number: usize) -> anyhow::Result<Self> {
        let client = CLIENTS.get(number % CLIENTS.len()).context("no client")?;
        let rest = number / CLIENTS.len();
        let key = client.starts_with(BOUND).then(Self::key).transpose()?;
        let first = THEFTS.get(rest / 2 % GROUPS).copied();
        Ok(Self {
            client,
            first: first.filter(|theft| *theft != Theft::Keyless || key.is_some()),
            key,
            offline: rest.is_multiple_of(2),
        })
    }

    const fn scope(&self) -> &'static str {
        if self.offline {
            "openid offline_access"
        } else {
            "openid"
        }
    }

    /// What a thief could do to it.
    fn theft(&self) -> Theft {
        let kinds = THEFTS.len() - usize::from(self.key.is_none());
        let kind = usize::try_from(below(kinds as u64)).unwrap_or_default();
        THEFTS.get(kind).copied().unwrap_or(Theft::Old)
    }

    fn key() -> anyhow::Result<EcdsaKeyPair> {
        let scheme = &ECDSA_P256_SHA256_FIXED_SIGNING;
        EcdsaKeyPair::generate(scheme).context("no key")
    }

    /// Somebody who has what the app keeps, but for its key.
    const fn thief(&self, key: Option<EcdsaKeyPair>) -> Self {
        Self {
            client: self.client,
            key,
            offline: self.offline,
            first: None,
        }
    }

    /// A proof of the key for a request to the token endpoint (RFC 9449 section 4).
    fn proof(&self, issuer: &str) -> anyhow::Result<Option<String>> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = key.public_key().as_ref();
        let (x, y) = (point.get(1..33), point.get(33..));
        let (x, y) = (x.context("no point")?, y.context("no point")?);
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
        let head = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk });
        let claims = json!({
            "jti": random_id(), "htm": "POST", "htu": format!("{issuer}/token"), "iat": Clock::system().now(),
        });
        let parts = [head, claims].map(|part| encode(part.to_string().as_bytes()));
        let signed = parts.join(".");
        let signature = key.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.context("the proof could not be signed")?;
        Ok(Some(format!("{signed}.{}", encode(signature.as_ref()))))
    }
}

/// What the token endpoint said.
enum Answer {
    Token(String),
    Refused(String),
}

impl World {
    fn node(&self) -> anyhow::Result<&str> {
        let chosen = usize::try_from(below(u64::try_from(self.urls.len())?))?;
        self.urls.get(chosen).map(String::as_str).context("no node")
    }

    /// An app, from its login to the end; whether it is still signed in.
    async fn live(&self, app: &App) -> anyhow::Result<bool> {
        let mut tokens = vec![self.log_in(app).await?];
        let mut first = app.first;
        while Instant::now() < self.until {
            tokio::time::sleep(up_to(THINK)).await;
            let dice = below(100);
            let theft = match (tokens.as_slice(), first) {
                (&[.., _, _, _], Some(_)) => first.take(),
                (&[.., _, _, _], None) => (dice < THIEF).then(|| app.theft()),
                _ => None,
            };
            if let Some(theft) = theft
                && self.steal(app, &tokens, theft).await?
            {
                tokens = vec![self.log_in(app).await?];
                continue;
            }
            let Some(token) = tokens.last().cloned() else {
                bail!("an app without a token");
            };
            let since = Instant::now();
            let next = if dice < THIEF + TABS {
                self.refresh_in_two_tabs(app, &token).await?
            } else {
                if dice < THIEF + TABS + LOST {
                    self.lose_an_answer(app, &token).await?;
                }
                self.refresh(app, &token).await?
            };
            match next {
                Answer::Token(next) => tokens.push(next),
                Answer::Refused(why) => {
                    self.tell_signed_out(&why, since);
                    tokens = vec![self.log_in(app).await?];
                }
            }
        }
        // The last word: it must still be good.
        let last = tokens.last().context("an app without a token")?;
        let since = Instant::now();
        match self.refresh(app, last).await? {
            Answer::Token(_) => Ok(true),
            Answer::Refused(why) => {
                self.tell_signed_out(&why, since);
                Ok(false)
            }
        }
    }

    #[expect(
        clippy::print_stderr,
        reason = "whoever runs this wants to know at once"
    )]
    fn tell_signed_out(&self, why: &str, since: Instant) {
        // Whoever gets no answer for longer than a retry may take is a thief for all that the server knows.
        let in_time = since.elapsed() < RETRY_WINDOW;
        count(if in_time {
            &self.figures.signed_out
        } else {
            &self.figures.out_of_time
        });
        let seconds = since.elapsed().as_secs_f32();
        eprintln!("an app was signed out, {seconds:.1} s after it had asked first: {why}");
    }

    /// A thief comes; whether this ends what they stole from.
    async fn steal(&self, app: &App, tokens: &[String], theft: Theft) -> anyhow::Result<bool> {
        let [.., old, last, current] = tokens else {
            bail!("an app with too few tokens");
        };
        match theft {
            Theft::Old => {
                let caught = self.catch(app, old, current).await?;
                caught.then(|| count(&self.figures.caught));
            }
            Theft::Ahead => {
                let since = Instant::now();
                let mut ahead = current.clone();
                for _ in 0..2 {
                    match self.refresh(app, &ahead).await? {
                        Answer::Token(next) => ahead = next,
                        // Nobody has come twice yet.
                        Answer::Refused(why) => {
                            self.tell_signed_out(&why, since);
                            return Ok(true);
                        }
                    }
                }
                let caught = self.catch(app, current, &ahead).await?;
                caught.then(|| count(&self.figures.caught_ahead));
            }
            Theft::Late => {
                // Two more, for whole seconds are counted.
                tokio::time::sleep(RETRY_WINDOW + Duration::from_secs(2)).await;
                let caught = self.catch(app, last, current).await?;
                caught.then(|| count(&self.figures.caught_late));
            }
            Theft::Keyless => {
                let thieves = [
                    (app.thief(None), &self.figures.keyless_turned_away),
                    (
                        app.thief(Some(App::key()?)),
                        &self.figures.other_key_turned_away,
                    ),
                ];
                for (thief, turned_away) in thieves {
                    for stolen in [old, last, current] {
                        match self.refresh(&thief, stolen).await? {
                            Answer::Token(_) => count(&self.figures.let_in_without_key),
                            Answer::Refused(_) => count(turned_away),
                        }
                    }
                }
                // Whom they stole from notices nothing: what they have must be good, and stays the newest.
                let ended = matches!(self.refresh(app, current).await?, Answer::Refused(_));
                ended.then(|| count(&self.figures.ended_without_key));
                return Ok(ended);
            }
        }
        Ok(true)
    }

    /// Whoever comes with a token that was spent is refused, and so is who has the newest from then on.
    async fn catch(&self, app: &App, spent: &str, newest: &str) -> anyhow::Result<bool> {
        let let_in = matches!(self.refresh(app, spent).await?, Answer::Token(_));
        let lives_on = matches!(self.refresh(app, newest).await?, Answer::Token(_));
        let_in.then(|| count(&self.figures.let_in));
        lives_on.then(|| count(&self.figures.lived_on));
        Ok(!let_in && !lives_on)
    }

    /// Both tabs go on with the same token.
    async fn refresh_in_two_tabs(&self, app: &App, token: &str) -> anyhow::Result<Answer> {
        let (one, other) = tokio::try_join!(self.refresh(app, token), self.refresh(app, token))?;
        Ok(match (one, other) {
            (Answer::Token(one), Answer::Token(other)) => {
                count(&self.figures.pairs);
                if one != other {
                    count(&self.figures.different_ends);
                }
                Answer::Token(one)
            }
            (refused @ Answer::Refused(_), _) | (_, refused) => refused,
        })
    }

    /// A request whose answer the app never sees: it gave up before, or the network ate it.
    async fn lose_an_answer(&self, app: &App, token: &str) -> anyhow::Result<()> {
        count(&self.figures.lost);
        let request = self.request(app, token)?;
        if below(2) == 0 {
            let patience = up_to(Duration::from_millis(30));
            let _ = tokio::time::timeout(patience, request.send()).await;
        } else {
            let _ = request.send().await;
        }
        tokio::time::sleep(up_to(Duration::from_secs(3))).await;
        Ok(())
    }

    fn request(&self, app: &App, token: &str) -> anyhow::Result<reqwest::RequestBuilder> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("client_id", app.client),
        ];
        Ok(self.post(app)?.form(&form))
    }

    /// A request to the token endpoint, with a proof of the key if there is one.
    fn post(&self, app: &App) -> anyhow::Result<reqwest::RequestBuilder> {
        let request = self.http.post(format!("{}/token", self.node()?));
        Ok(match app.proof(&self.issuer)? {
            Some(proof) => request.header("DPoP", proof),
            None => request,
        })
    }

    /// Refreshes, again and again until a server answers.
    async fn refresh(&self, app: &App, token: &str) -> anyhow::Result<Answer> {
        loop {
            let Some(answer) = self.ask(self.request(app, token)?).await? else {
                continue;
            };
            if let Answer::Token(_) = answer {
                let figures = &self.figures;
                count(&figures.refreshes);
                count(
                    app.key
                        .as_ref()
                        .map_or(&figures.without_key, |_| &figures.with_key),
                );
                count(if app.offline {
                    &figures.offline
                } else {
                    &figures.within_session
                });
            }
            return Ok(answer);
        }
    }

    /// `None` where no server answered, or one that could not.
    async fn ask(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Option<Answer>> {
        let answer = match request.send().await {
            Ok(answer) => {
                let status = answer.status();
                answer.json::<Value>().await.ok().map(|body| (status, body))
            }
            Err(_) => None,
        };
        match answer {
            Some((StatusCode::OK, body)) => {
                let token = body.get("refresh_token").and_then(Value::as_str);
                let token = token.context("an answer without a refresh token")?;
                Ok(Some(Answer::Token(token.to_owned())))
            }
            Some((StatusCode::BAD_REQUEST, body)) => Ok(Some(Answer::Refused(body.to_string()))),
            Some((status, body)) if !status.is_server_error() => {
                bail!("the token endpoint said {status}: {body}")
            }
            _ => {
                count(&self.figures.unreachable);
                tokio::time::sleep(AGAIN).await;
                Ok(None)
            }
        }
    }

    /// A code by the session of the browser, and its refresh token. Where the answer got lost, the code is tried again:
    /// redeemed already, it ends what nobody has received.
    async fn log_in(&self, app: &App) -> anyhow::Result<String> {
        loop {
            let verifier = random_token();
            let Some(code) = self.code(app, &verifier).await? else {
                count(&self.figures.unreachable);
                tokio::time::sleep(AGAIN).await;
                continue;
            };
            let form = [
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", REDIRECT_URI),
                ("code_verifier", &verifier),
                ("client_id", app.client),
            ];
            let answer = loop {
                let request = self.post(app)?;
                if let Some(answer) = self.ask(request.form(&form)).await? {
                    break answer;
                }
            };
            if let Answer::Token(token) = answer {
                return Ok(token);
            }
        }
    }

    async fn code(&self, app: &App, verifier: &str) -> anyhow::Result<Option<String>> {
        let url = authorize_url(self.node()?, app.client, app.scope(), verifier)?;
        let request = self.http.get(url).header(header::COOKIE, &self.session);
        let Ok(answer) = request.send().await else {
            return Ok(None);
        };
        if answer.status().is_server_error() {
            return Ok(None);
        }
        let location = location(&answer)?;
        let mut pairs = location.query_pairs();
        let code = pairs.find(|(name, _)| name == "code");
        let code = code.with_context(|| format!("no code at {location}"))?;
        Ok(Some(code.1.into_owned()))
    }
}

fn authorize_url(node: &str, client: &str, scope: &str, verifier: &str) -> anyhow::Result<Url> {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    let parameters = [
        ("client_id", client),
        ("response_type", "code"),
        ("scope", scope),
        ("redirect_uri", REDIRECT_URI),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    Ok(Url::parse_with_params(
        &format!("{node}/authorize"),
        parameters,
    )?)
}

fn location(answer: &reqwest::Response) -> anyhow::Result<Url> {
    let location = answer.headers().get(header::LOCATION);
    let location = location.with_context(|| format!("no redirect but {}", answer.status()))?;
    Ok(answer.url().join(location.to_str()?)?)
}

/// The cookies of an answer, as the browser sends them back.
fn cookies(answer: &reqwest::Response) -> String {
    let set = answer.headers().get_all(header::SET_COOKIE).iter();
    let pairs = set.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
    pairs.collect::<Vec<_>>().join("; ")
}

/// Signs Jo Smith in, by the login page's form; the cookie of the session.
async fn sign_in(http: &Client, node: &str) -> anyhow::Result<String> {
    let answer = http
        .get(authorize_url(node, CLIENTS[0], "openid", &random_token())?)
        .send()
        .await?;
    let flow_cookie = cookies(&answer);
    let page = http
        .get(location(&answer)?)
        .header(header::COOKIE, &flow_cookie);
    let page = page.send().await?.text().await?;
    let form = [
        ("flow", field(&page, "flow")?),
        ("form_token", field(&page, "form_token")?),
        ("upstream", "members".to_owned()),
        ("username", JO_SMITH.username.to_owned()),
        ("password", JO_SMITH.password.to_owned()),
    ];
    let answer = http.post(format!("{node}/login"));
    let answer = answer
        .header(header::COOKIE, &flow_cookie)
        .form(&form)
        .send()
        .await?;
    ensure!(
        answer.status() == StatusCode::SEE_OTHER,
        "the login was refused"
    );
    Ok(cookies(&answer))
}

fn configuration(issuer: &str, port: u16, internal: u16, imis: &str) -> String {
    let client = |client: &str| {
        format!(
            r#"
[[clients]]
client_id = "{client}"
token_endpoint_auth_method = "none"
redirect_uris = ["{REDIRECT_URI}"]
grant_types = ["authorization_code", "refresh_token"]
scope = "openid offline_access"
"#
        )
    };
    let clients = CLIENTS.map(client).concat();
    let (beginning, members) = (beginning(issuer, port, internal), members(imis));
    format!(
        "{beginning}\n[lifetimes]\nfamilies_per_client = {FAMILIES_PER_CLIENT}\nfamilies_per_person = 10000\n{members}{clients}"
    )
}
