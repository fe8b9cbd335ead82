//! What is measured of the server: each figure is something that connections do again and again.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portico::clock::random_token;
use portico::simulator::imis::Imis;
use portico::simulator::people::{ImisPerson, JO_SMITH, keep};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::crowd::Crowd;
use super::support::field;
use super::wire::{Answer, Connection};

pub(crate) const CALLBACK: &str = "https://app.example.org/callback";
/// In the form that `portico client secret` makes, so no Argon2id is in the way.
pub(crate) const SECRET: &str = "portico_secret_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The person whose login is copied to fill a database; of as many digits as everybody's number has.
pub(crate) const TEMPLATE: u64 = 999_999_999;

/// Has iMIS know those who log in.
pub(crate) fn enroll(imis: &Imis, numbers: &BTreeSet<u64>) {
    for number in numbers {
        imis.enroll(ImisPerson {
            username: keep(&username(*number)),
            id: keep(&format!("7{number:09}")),
            uniform_id: keep(&format!("8d0f3a52-1111-4222-8333-{number:012}")),
            email: keep(&format!("member-{number:09}@example.org")),
            ..JO_SMITH
        });
    }
}

pub(crate) fn username(number: u64) -> String {
    format!("MEMBER{number:09}")
}

/// What a token is signed with, if at all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Rs256,
    Es256,
    EdDsa,
    Opaque,
}

impl Form {
    pub(crate) const ALL: [Self; 4] = [Self::Rs256, Self::Es256, Self::EdDsa, Self::Opaque];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Opaque => "opaque",
        }
    }

    /// The client whose tokens are of this form.
    pub(crate) fn client(self) -> String {
        format!("of-{}", self.name().to_lowercase())
    }
}

/// What a connection does over and over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    Empty,
    Discovery,
    Jwks,
    ClientCredentials(Form),
    Login(Form),
    Refresh(Form),
    Introspection(Form),
    Userinfo(Form),
}

impl Figure {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Empty => "an empty handler".to_owned(),
            Self::Discovery => "discovery".to_owned(),
            Self::Jwks => "JWKS".to_owned(),
            Self::ClientCredentials(form) => format!("client credentials, {}", form.name()),
            Self::Login(form) => format!("login, {}", form.name()),
            Self::Refresh(form) => format!("refresh, {}", form.name()),
            Self::Introspection(form) => format!("introspection, {}", form.name()),
            Self::Userinfo(form) => format!("userinfo, {}", form.name()),
        }
    }
}

/// A connection that does one thing over and over.
pub(crate) struct Actor {
    pub(crate) connection: Connection,
    figure: Figure,
    crowd: Arc<Crowd>,
    /// Those that it asks about in turns, or the one that it renews.
    tokens: Vec<String>,
    /// How many of its answers held a JWT.
    pub(crate) signatures: u64,
    turns: usize,
}

/// Access tokens that one connection asks about, where there are families enough.
const TOKENS: usize = 20;

impl Actor {
    /// Prepared: with the tokens that the figure needs.
    pub(crate) async fn new(
        mut connection: Connection,
        figure: Figure,
        crowd: &Arc<Crowd>,
    ) -> anyhow::Result<Self> {
        let mut tokens = Vec::new();
        match figure {
            Figure::Introspection(form) | Figure::Userinfo(form) if crowd.has_families() => {
                for _ in 0..TOKENS {
                    let token = crowd.refresh_token(form)?;
                    let answer = refresh(&mut connection, form, &token).await?;
                    tokens.push(answer.text("access_token")?);
                }
            }
            Figure::Introspection(form) | Figure::Userinfo(form) => {
                let person = crowd.next_person();
                let answer = log_in(&mut connection, form, "openid", person).await?;
                tokens.push(answer.text("access_token")?);
            }
            Figure::Refresh(form) if !crowd.has_families() => {
                let (scope, person) = ("openid offline_access", crowd.next_person());
                let answer = log_in(&mut connection, form, scope, person).await?;
                tokens.push(answer.text("refresh_token")?);
            }
            _ => {}
        }
        connection.forget();
        Ok(Self {
            connection,
            figure,
            crowd: Arc::clone(crowd),
            tokens,
            signatures: 0,
            turns: 0,
        })
    }

    fn next_token(&mut self) -> anyhow::Result<String> {
        let token = self.tokens.get(self.turns % self.tokens.len().max(1));
        self.turns += 1;
        Ok(token.context("no token")?.clone())
    }

    /// Once.
    pub(crate) async fn act(&mut self) -> anyhow::Result<()> {
        let figure = self.figure;
        let token = match figure {
            Figure::Refresh(form) if self.crowd.has_families() => self.crowd.refresh_token(form)?,
            Figure::Refresh(_) | Figure::Introspection(_) | Figure::Userinfo(_) => {
                self.next_token()?
            }
            _ => String::new(),
        };
        let connection = &mut self.connection;
        match figure {
            Figure::Empty => {
                let answer = connection.get("/", "").await?;
                ensure!(answer.body == "ok", "{}", answer.status);
            }
            Figure::Discovery => {
                let answer = connection
                    .get("/.well-known/openid-configuration", "")
                    .await?;
                ensure!(answer.status == 200, "{}", answer.status);
            }
            Figure::Jwks => {
                let answer = connection.get("/jwks", "").await?;
                ensure!(answer.status == 200, "{}", answer.status);
            }
            Figure::ClientCredentials(form) => {
                let fields = [
                    ("grant_type", "client_credentials"),
                    ("scope", "reports:read"),
                ];
                let answer = connection
                    .post("/token", &basic(&form.client()), &fields)
                    .await?;
                self.signatures += signatures(&answer)?;
            }
            Figure::Login(form) => {
                connection.forget();
                let tokens =
                    log_in(connection, form, "openid profile", self.crowd.next_person()).await?;
                self.signatures += signatures(&tokens)?;
                let told = userinfo(connection, &tokens.text("access_token")?).await?;
                ensure!(told.json()?.get("name").is_some(), "{}", told.body);
            }
            Figure::Refresh(form) => {
                let answer = refresh(connection, form, &token).await?;
                self.signatures += signatures(&answer)?;
                if let Some(token) = self.tokens.first_mut() {
                    *token = answer.text("refresh_token")?;
                }
            }
            Figure::Introspection(form) => {
                let fields = [("token", token.as_str())];
                let answer = connection
                    .post("/introspect", &basic(&form.client()), &fields)
                    .await?;
                ensure!(answer.body.contains("\"active\":true"), "{}", answer.body);
            }
            Figure::Userinfo(_) => {
                let answer = userinfo(connection, &token).await?;
                ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
            }
        }
        Ok(())
    }
}

fn basic(client: &str) -> String {
    let credentials = STANDARD.encode(format!("{client}:{SECRET}"));
    format!("authorization: Basic {credentials}\r\n")
}

async fn refresh(connection: &mut Connection, form: Form, token: &str) -> anyhow::Result<Answer> {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
    connection
        .post("/token", &basic(&form.client()), &fields)
        .await
}

async fn userinfo(connection: &mut Connection, token: &str) -> anyhow::Result<Answer> {
    let bearer = format!("authorization: Bearer {token}\r\n");
    connection.get("/userinfo", &bearer).await
}

fn signatures(answer: &Answer) -> anyhow::Result<u64> {
    let json = answer.json()?;
    let members = json.as_object().context("no object")?.values();
    let signed = members.filter(|value| value.as_str().is_some_and(|text| text.starts_with("eyJ")));
    Ok(u64::try_from(signed.count())?)
}

/// From the request to the login page.
pub(crate) async fn open_login(
    connection: &mut Connection,
    form: Form,
    scope: &str,
    verifier: &str,
) -> anyhow::Result<Answer> {
    let client = form.client();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("client_id", client.as_str()),
            ("response_type", "code"),
            ("redirect_uri", CALLBACK),
            ("scope", scope),
            ("state", "of-the-bench"),
            ("nonce", "of-the-bench"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ])
        .finish();
    let answer = connection.get(&format!("/authorize?{query}"), "").await?;
    let page = connection.get(&path(&answer)?, "").await?;
    ensure!(page.status == 200, "{} {}", page.status, page.body);
    Ok(page)
}

/// From the request to the tokens, by the login page's form and with PKCE.
pub(crate) async fn log_in(
    connection: &mut Connection,
    form: Form,
    scope: &str,
    person: u64,
) -> anyhow::Result<Answer> {
    let (client, verifier) = (form.client(), random_token());
    let page = open_login(connection, form, scope, &verifier).await?;
    let fields = [
        ("flow", field(&page.body, "flow")?),
        ("form_token", field(&page.body, "form_token")?),
        ("upstream", "members".to_owned()),
        ("username", username(person)),
        ("password", JO_SMITH.password.to_owned()),
    ];
    let fields = fields
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let mut answer = connection.post("/login", "", &fields).await?;
    let location = loop {
        let location = answer.header("location");
        let location = location.with_context(|| format!("no redirect: {}", answer.body))?;
        if location.starts_with(CALLBACK) {
            break Url::parse(location)?;
        }
        answer = connection.get(&path(&answer)?, "").await?;
    };
    let code = location.query_pairs().find(|(name, _)| name == "code");
    let (_, code) = code.with_context(|| format!("no code: {location}"))?;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", &verifier),
    ];
    let tokens = connection.post("/token", &basic(&client), &fields).await?;
    ensure!(tokens.status == 200, "{} {}", tokens.status, tokens.body);
    Ok(tokens)
}

/// Where an answer sends the browser on this server.
fn path(answer: &Answer) -> anyhow::Result<String> {
    let location = answer.header("location");
    let location = location.with_context(|| format!("no redirect: {}", answer.body))?;
    match Url::parse(location) {
        Ok(url) => Ok(format!(
            "{}?{}",
            url.path(),
            url.query().unwrap_or_default()
        )),
        Err(_) => Ok(location.to_owned()),
    }
}
