//! The second bound: a bare server that answers the same requests and does only the work that no server can leave out. It parses
//! what is sent, checks the client's secret, makes each signature with a key that is parsed once, reads and commits one row where
//! a flow must, and asks the upstream as often. There is no session, cookie, consent, audit, throttle, page to be made, or log.

use std::borrow::Cow;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portico::clock::{Clock, random_token};
use portico::simulator::imis::Imis;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, Connection as _, Executor as _};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::crowd::Crowd;
use super::figures::{CALLBACK, Form, SECRET, log_in, open_login, username};
use super::wire::Connection;

/// What the server under test answers and asks, for the bare one to do the same.
#[derive(Serialize, Deserialize)]
pub(crate) struct Plan {
    discovery: String,
    jwks: String,
    login_page: String,
    /// The upstream's address.
    upstream: std::net::SocketAddr,
    /// What it is asked after a password: path and query.
    questions: Vec<String>,
    /// Of whom that was asked: what the username and the ids of each person end with.
    number: String,
}

impl Plan {
    /// Looks at the server under test.
    pub(crate) async fn record(
        server: std::net::SocketAddr,
        imis: &Imis,
        upstream: &str,
        crowd: &Crowd,
    ) -> anyhow::Result<Self> {
        let mut connection = Connection::open(server).await?;
        let discovery = "/.well-known/openid-configuration";
        let discovery = connection.get(discovery, "").await?.body;
        let jwks = connection.get("/jwks", "").await?.body;
        let page = open_login(&mut connection, Form::Rs256, "openid profile", "verifier").await?;
        // Of many digits, which are found in no other place.
        let people = crowd.people();
        let person = *people.last().context("nobody")?;
        // Twice: at the first there is more to ask.
        for _ in 0..2 {
            imis.clear_log();
            connection.forget();
            log_in(&mut connection, Form::Rs256, "openid profile", person).await?;
        }
        let asked = imis.log();
        let (password, questions) = asked.split_first().context("nobody was asked")?;
        ensure!(password.method == "POST", "{password:?}");
        ensure!(questions.iter().all(|asked| asked.method == "GET"));
        let question = |asked: &portico::simulator::Recorded| {
            let mark = if asked.query.is_empty() { "" } else { "?" };
            format!("{}{mark}{}", asked.path, asked.query)
        };
        let address = upstream.strip_prefix("http://");
        Ok(Self {
            discovery,
            jwks,
            login_page: page.body,
            upstream: address.context("no http")?.trim_end_matches('/').parse()?,
            questions: questions.iter().map(question).collect(),
            number: digits(&username(person)).to_owned(),
        })
    }
}

/// The number in a username.
fn digits(username: &str) -> &str {
    username.trim_start_matches(|letter: char| !letter.is_ascii_digit())
}

struct Keys {
    random: SystemRandom,
    rs256: (RsaKeyPair, ParsedPublicKey),
    es256: (EcdsaKeyPair, ParsedPublicKey),
    ed_dsa: (Ed25519KeyPair, ParsedPublicKey),
}

impl Keys {
    fn new() -> anyhow::Result<Self> {
        let rsa = RsaKeyPair::generate(rsa::KeySize::Rsa2048)?;
        let ecdsa = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let edwards = Ed25519KeyPair::generate()?;
        let public = (
            ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, rsa.public_key().as_ref())?,
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, ecdsa.public_key().as_ref())?,
            ParsedPublicKey::new(&ED25519, edwards.public_key().as_ref())?,
        );
        Ok(Self {
            random: SystemRandom::new(),
            rs256: (rsa, public.0),
            es256: (ecdsa, public.1),
            ed_dsa: (edwards, public.2),
        })
    }

    fn sign(&self, form: Form, claims: &Claims<'_>) -> anyhow::Result<String> {
        let header = format!(
            r#"{{"typ":"JWT","alg":"{}","kid":"0123456789abcdef0123456789abcdef0123456789a"}}"#,
            form.name()
        );
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims)?, &mut token);
        let signature = match form {
            Form::Es256 => {
                let signature = self.es256.0.sign(&self.random, token.as_bytes())?;
                signature.as_ref().to_vec()
            }
            Form::EdDsa => self.ed_dsa.0.sign(token.as_bytes()).as_ref().to_vec(),
            Form::Rs256 | Form::Opaque => {
                let pair = &self.rs256.0;
                let mut signature = vec![0; pair.public_modulus_len()];
                let input = token.as_bytes();
                pair.sign(&RSA_PKCS1_SHA256, &self.random, input, &mut signature)?;
                signature
            }
        };
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// What a token says that was signed here.
    fn verify(&self, token: &str) -> anyhow::Result<Told> {
        let (input, signature) = token.rsplit_once('.').context("no signature")?;
        let (header, payload) = input.split_once('.').context("no header")?;
        let header = URL_SAFE_NO_PAD.decode(header)?;
        let header: Header = serde_json::from_slice(&header)?;
        let key = match header.alg.as_ref() {
            "RS256" => &self.rs256.1,
            "ES256" => &self.es256.1,
            _ => &self.ed_dsa.1,
        };
        let signature = URL_SAFE_NO_PAD.decode(signature)?;
        key.verify_sig(input.as_bytes(), &signature)?;
        Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
    }
}

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
}

/// About as many claims as there are in an access token or an ID token.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    jti: String,
    client_id: &'a str,
    scope: &'a str,
    auth_time: i64,
    sid: &'a str,
    nonce: &'a str,
    name: &'a str,
}

#[derive(Deserialize)]
struct Told {
    sid: String,
    exp: i64,
}

/// A row to be committed, or to be read.
struct Job<T, A> {
    what: T,
    told: oneshot::Sender<A>,
}

type Write = Job<(String, String), ()>;
type Read = Job<String, Option<String>>;

/// One table.
struct Rows {
    writes: mpsc::Sender<Write>,
    reads: mpsc::Sender<Read>,
}

/// As many as the server has for each on PostgreSQL; on SQLite one writes for all.
const CONNECTIONS: usize = 8;
/// As long as the row of a session or of a code.
const ROW: &str = "a row of about as many bytes as that of an authorization code has, which is some three hundred: \
    ........................................................................................................................................\
    ...............................................................";

impl Rows {
    async fn open(url: &str) -> anyhow::Result<Self> {
        sqlx::any::install_default_drivers();
        let is_sqlite = url.starts_with("sqlite:");
        let mut first = AnyConnection::connect(url).await?;
        if is_sqlite {
            first.execute("PRAGMA journal_mode = WAL").await?;
            first.execute("PRAGMA synchronous = FULL").await?;
        }
        first.execute("DROP TABLE IF EXISTS bench_bare").await?;
        first
            .execute("CREATE TABLE bench_bare (id TEXT PRIMARY KEY, value TEXT NOT NULL)")
            .await?;
        let (writes, to_write) = mpsc::channel(1024);
        let (reads, to_read) = mpsc::channel(1024);
        let (to_write, to_read) = (
            Arc::new(Mutex::new(to_write)),
            Arc::new(Mutex::new(to_read)),
        );
        let most = if is_sqlite { 64 } else { 1 };
        tokio::spawn(write(first, Arc::clone(&to_write), most));
        for _ in 0..CONNECTIONS {
            if !is_sqlite {
                let connection = AnyConnection::connect(url).await?;
                tokio::spawn(write(connection, Arc::clone(&to_write), most));
            }
            let connection = AnyConnection::connect(url).await?;
            tokio::spawn(read(connection, Arc::clone(&to_read)));
        }
        Ok(Self { writes, reads })
    }

    /// Hears when it is on the disk.
    async fn commit(&self, id: String) -> anyhow::Result<()> {
        let (told, hears) = oneshot::channel();
        let what = (id, ROW.to_owned());
        self.writes.send(Job { what, told }).await.ok();
        Ok(hears.await?)
    }

    async fn find(&self, id: String) -> anyhow::Result<String> {
        let (told, hears) = oneshot::channel();
        self.reads.send(Job { what: id, told }).await.ok();
        hears.await?.context("no such row")
    }
}

async fn write(
    mut connection: AnyConnection,
    jobs: Arc<Mutex<mpsc::Receiver<Write>>>,
    most: usize,
) -> anyhow::Result<()> {
    let mut many = Vec::new();
    while jobs.lock().await.recv_many(&mut many, most).await > 0 {
        let together = many.len() > 1;
        if together {
            connection.execute("BEGIN IMMEDIATE").await?;
        }
        for Job { what, .. } in &many {
            sqlx::query(
                "INSERT INTO bench_bare (id, value) VALUES ($1, $2)
                 ON CONFLICT (id) DO UPDATE SET value = excluded.value",
            )
            .bind(&what.0)
            .bind(&what.1)
            .execute(&mut connection)
            .await?;
        }
        if together {
            connection.execute("COMMIT").await?;
        }
        for Job { told, .. } in many.drain(..) {
            let _ = told.send(());
        }
    }
    Ok(())
}

async fn read(
    mut connection: AnyConnection,
    jobs: Arc<Mutex<mpsc::Receiver<Read>>>,
) -> anyhow::Result<()> {
    loop {
        let job = jobs.lock().await.recv().await;
        let Some(Job { what, told }) = job else {
            return Ok(());
        };
        let found = sqlx::query_scalar("SELECT value FROM bench_bare WHERE id = $1")
            .bind(what)
            .fetch_all(&mut connection)
            .await?;
        let _ = told.send(found.into_iter().next());
    }
}

struct Inside {
    plan: Plan,
    keys: Keys,
    rows: Rows,
    clock: Clock,
    secret: [u8; 32],
    /// Connections to the upstream that nobody uses at the moment.
    upstream: Mutex<Vec<Connection>>,
}

type Bare = State<Arc<Inside>>;

/// Whatever goes wrong here is wrong with the bench, which stops at any answer that it does not expect.
struct Wrong(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Wrong {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{:#}", self.0)).into_response()
    }
}

/// Serves until its input ends.
pub(crate) async fn serve() -> anyhow::Result<()> {
    let plan = std::env::var_os("BENCH_PLAN").context("BENCH_PLAN")?;
    let database = std::env::var("BENCH_DATABASE").context("BENCH_DATABASE")?;
    let inside = Arc::new(Inside {
        plan: serde_json::from_slice(&std::fs::read(Path::new(&plan))?)?,
        keys: Keys::new()?,
        rows: Rows::open(&database).await?,
        clock: Clock::system(),
        secret: Sha256::digest(SECRET).into(),
        upstream: Mutex::default(),
    });
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(jwks))
        .route("/authorize", get(authorize))
        .route("/login", get(login_page).post(login))
        .route("/authorize/resume", get(resume))
        .route("/token", post(token))
        .route("/userinfo", get(userinfo))
        .route("/introspect", post(introspect))
        .with_state(inside);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    let until = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    tokio::select! {
        served = axum::serve(listener, router) => Ok(served?),
        _ = until => Ok(()),
    }
}

fn parse(form: &[u8]) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    url::form_urlencoded::parse(form).collect()
}

fn value<'a>(form: &'a [(Cow<'_, str>, Cow<'_, str>)], name: &str) -> anyhow::Result<&'a str> {
    let found = form.iter().find(|(own, _)| own == name);
    Ok(&found.with_context(|| format!("no {name}"))?.1)
}

fn see_other(location: String) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

async fn discovery(State(inside): Bare) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "application/json")],
        inside.plan.discovery.clone(),
    )
}

async fn jwks(State(inside): Bare) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "application/json")],
        inside.plan.jwks.clone(),
    )
}

async fn authorize(RawQuery(query): RawQuery) -> Result<Response, Wrong> {
    let query = query.unwrap_or_default();
    let query = parse(query.as_bytes());
    for name in ["client_id", "redirect_uri", "scope", "code_challenge"] {
        value(&query, name)?;
    }
    Ok(see_other("/login?flow=0123456789abcdefghijkl".to_owned()))
}

async fn login_page(State(inside): Bare) -> impl IntoResponse {
    let html = [(CONTENT_TYPE, "text/html; charset=utf-8")];
    (html, inside.plan.login_page.clone())
}

/// An attempt is counted, the upstream asked, the attempt taken back while a session is begun.
async fn login(State(inside): Bare, body: Bytes) -> Result<Response, Wrong> {
    let form = parse(&body);
    let (name, password) = (value(&form, "username")?, value(&form, "password")?);
    inside.rows.commit(name.to_owned()).await?;
    let connection = inside.upstream.lock().await.pop();
    let mut connection = match connection {
        Some(connection) => connection,
        None => Connection::open(inside.plan.upstream).await?,
    };
    let fields = [
        ("grant_type", "password"),
        ("username", name),
        ("password", password),
    ];
    let token = connection.post("/token", "", &fields).await?;
    let bearer = format!("authorization: Bearer {}\r\n", token.text("access_token")?);
    for question in &inside.plan.questions {
        let question = question.replace(&inside.plan.number, digits(name));
        connection.get(&question, &bearer).await?.json()?;
    }
    inside.upstream.lock().await.push(connection);
    let rows = &inside.rows;
    tokio::try_join!(rows.commit(name.to_owned()), rows.commit(random_token()))?;
    Ok(see_other(
        "/authorize/resume?flow=0123456789abcdefghijkl".to_owned(),
    ))
}

async fn resume(State(inside): Bare) -> Result<Response, Wrong> {
    let code = random_token();
    inside.rows.commit(hashed(&code)).await?;
    Ok(see_other(format!(
        "{CALLBACK}?code={code}&state=of-the-bench"
    )))
}

fn hashed(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(secret))
}

/// The client that has proven who it is.
fn client(inside: &Inside, headers: &HeaderMap) -> anyhow::Result<Form> {
    let header = headers.get(AUTHORIZATION).context("no client")?.to_str()?;
    let credentials = header.strip_prefix("Basic ").context("not Basic")?;
    let credentials = String::from_utf8(STANDARD.decode(credentials)?)?;
    let (id, secret) = credentials.split_once(':').context("no secret")?;
    verify_slices_are_equal(&Sha256::digest(secret), &inside.secret)?;
    let form = Form::ALL.into_iter().find(|form| form.client() == id);
    form.context("an unknown client")
}

#[derive(Serialize)]
struct Tokens {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
    scope: &'static str,
}

async fn token(State(inside): Bare, headers: HeaderMap, body: Bytes) -> Result<Response, Wrong> {
    let form = parse(&body);
    let of = client(&inside, &headers)?;
    let family = match value(&form, "grant_type")? {
        "client_credentials" => None,
        "refresh_token" => {
            let token = value(&form, "refresh_token")?;
            Some(hashed(token.get(..43).context("no such token")?))
        }
        _ => {
            hashed(value(&form, "code_verifier")?);
            Some(hashed(value(&form, "code")?))
        }
    };
    let now = inside.clock.now();
    let claims = |sid| Claims {
        iss: "http://127.0.0.1:12345",
        sub: "0123456789abcdefghijkl",
        aud: "http://127.0.0.1:12345",
        exp: now + 600,
        iat: now,
        jti: portico::clock::random_id(),
        client_id: "of-the-bench",
        scope: "openid profile",
        auth_time: now,
        sid,
        nonce: "of-the-bench",
        name: "Jo Smith",
    };
    if let Some(family) = &family {
        inside.rows.commit(family.clone()).await?;
    }
    let sid = family.as_deref().unwrap_or("0123456789abcdefghijkl");
    let access_token = if of == Form::Opaque {
        let token = random_token();
        inside.rows.commit(hashed(&token)).await?;
        token
    } else {
        inside.keys.sign(of, &claims(sid))?
    };
    let id_token = match &family {
        Some(_) => Some(inside.keys.sign(of, &claims(sid))?),
        None => None,
    };
    let tokens = Tokens {
        access_token,
        token_type: "Bearer",
        expires_in: 600,
        refresh_token: family.is_some().then(random_token),
        id_token,
        scope: "openid profile",
    };
    Ok(axum::Json(tokens).into_response())
}

/// Reads an access token, and the one row behind it.
async fn look(inside: &Inside, token: &str) -> anyhow::Result<()> {
    let row = if token.contains('.') {
        let told = inside.keys.verify(token)?;
        ensure!(inside.clock.now() < told.exp, "it has expired");
        told.sid
    } else {
        hashed(token)
    };
    inside.rows.find(row).await.map(drop)
}

async fn userinfo(State(inside): Bare, headers: HeaderMap) -> Result<Response, Wrong> {
    let header = headers.get(AUTHORIZATION).context("no token")?.to_str()?;
    let token = header.strip_prefix("Bearer ").context("not Bearer")?;
    look(&inside, token).await?;
    let told = [
        ("sub", "0123456789abcdefghijkl"),
        ("name", "Jo Smith"),
        ("given_name", "Jo"),
        ("family_name", "Smith"),
        ("preferred_username", "MEMBER000000000"),
    ];
    let told: std::collections::BTreeMap<_, _> = told.into();
    Ok(axum::Json(told).into_response())
}

#[derive(Serialize)]
struct Introspection {
    active: bool,
    client_id: &'static str,
    sub: &'static str,
    scope: &'static str,
    exp: i64,
    iat: i64,
}

async fn introspect(
    State(inside): Bare,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Wrong> {
    let form = parse(&body);
    client(&inside, &headers)?;
    look(&inside, value(&form, "token")?).await?;
    let now = inside.clock.now();
    let told = Introspection {
        active: true,
        client_id: "of-the-bench",
        sub: "0123456789abcdefghijkl",
        scope: "openid",
        exp: now + 600,
        iat: now,
    };
    Ok(axum::Json(told).into_response())
}
