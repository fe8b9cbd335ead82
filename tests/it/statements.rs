//! What each flow asks of the database, statement by statement, as the log of the real binary tells it: what is added to a
//! flow is added to this list, or a test fails that names it. docs/performance.md has the reasons.

use portico::simulator::people::JO_SMITH;
use serde_json::Value;
use url::Url;

use crate::command_line::{Process, SECRETS, Site};
use crate::harness::browser::{Browser, PASSWORD_FORM, Page, http_client};
use crate::harness::relying_party::{Answer, CHALLENGE, VERIFIER, answer};
use crate::store::plans::assert_by_index;

const CALLBACK: &str = "https://app.example.org/callback";

/// The apps whose access tokens are JWTs, and are not.
const JWT: &str = "of-jwt";
const OPAQUE: &str = "of-opaque";

/// A server whose log names its statements, and nobody but its requests writes: the audit stays out of the database.
struct Counted {
    server: Process,
    site: Site,
}

/// The statements of a flow, a line a request: `POST /token: SELECT token_family, UPDATE token_family`.
struct Ran {
    lines: Vec<String>,
    /// The same in full.
    texts: Vec<String>,
    statements: usize,
    /// Those that write.
    transactions: usize,
    /// Whether none of them was shared with somebody else's.
    is_alone: bool,
}

impl Counted {
    async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more sections.
    async fn start_with(sections: &str) -> Self {
        let site = Site::new().await;
        site.edit(
            "format = \"json\"\n",
            &format!(
                "format = \"json\"\nfilter = \"info,sqlx::query=debug\"\n\n[audit]\ndatabase = false\n{sections}"
            ),
        );
        let client = |id: &str, format: &str| {
            format!(
                r#"[[clients]]
client_id = "{id}"
client_secret = {{ env = "REPORTS_SECRET" }}
redirect_uris = ["{CALLBACK}"]
grant_types = ["authorization_code", "refresh_token", "client_credentials"]
scope = "openid profile offline_access reports:read"
upstreams = ["members"]
access_token_format = "{format}"

"#
            )
        };
        let clients = [client(JWT, "jwt"), client(OPAQUE, "opaque")].concat();
        let last = "[[clients]]\nclient_id = \"reports\"";
        site.edit(last, &[&clients, last].concat());
        Self {
            server: site.serve().await,
            site,
        }
    }

    /// From the login page of a request to its code.
    async fn log_in(&self, browser: &mut Browser, client: &str, scope: &str) -> Page {
        let page = browser.open(self.authorize_url(client, scope)).await;
        let fields = [
            ("username", JO_SMITH.username),
            ("password", JO_SMITH.password),
        ];
        browser.submit(&page, PASSWORD_FORM, &fields).await
    }

    fn authorize_url(&self, client: &str, scope: &str) -> Url {
        let parameters = [
            ("client_id", client),
            ("response_type", "code"),
            ("redirect_uri", CALLBACK),
            ("scope", scope),
            ("state", "the-state"),
            ("nonce", "the-nonce"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        Url::parse_with_params(&self.server.url("/authorize"), parameters).unwrap()
    }

    async fn post(&self, path: &str, client: &str, fields: &[(&str, &str)]) -> Answer {
        let (_, secret) = SECRETS[3];
        let request = http_client()
            .post(self.server.url(path))
            .basic_auth(client, Some(secret));
        let answer = answer(request.form(fields)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    async fn redeem(&self, client: &str, page: &Page) -> Answer {
        let code = page.answer().remove("code");
        let code = code.unwrap_or_else(|| panic!("no code: {page:?}"));
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.post("/token", client, &fields).await
    }

    async fn refresh(&self, client: &str, token: &str) -> Answer {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.post("/token", client, &fields).await
    }

    async fn userinfo(&self, token: &str) -> Answer {
        let request = http_client().get(self.server.url("/userinfo"));
        let answer = answer(request.bearer_auth(token)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    /// Somebody who has been here before, in a browser that has not: what is noted of names and people is noted.
    async fn tokens(&self, client: &str, scope: &str) -> Answer {
        let mut last = None;
        for _ in 0..2 {
            let page = self.log_in(&mut Browser::new(), client, scope).await;
            last = Some(self.redeem(client, &page).await);
        }
        last.unwrap()
    }

    /// What has run since the last time, up to the request that has this number.
    async fn ran_until(&mut self, id: &str) -> Ran {
        let mut requests: Vec<(String, String, Vec<String>)> = Vec::new();
        loop {
            let line = self.server.next_line().await.expect("the server ended");
            let Ok(line) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            // What the server does by itself belongs to no request.
            let Some(of) = line["span"]["id"].as_str() else {
                continue;
            };
            let at = requests.iter().position(|(known, _, _)| known == of);
            let at = at.unwrap_or_else(|| {
                let span = &line["span"];
                let [method, path] = ["method", "path"].map(|name| span[name].as_str().unwrap());
                requests.push((of.to_owned(), format!("{method} {path}"), Vec::new()));
                requests.len() - 1
            });
            let fields = &line["fields"];
            if line["target"] == "sqlx::query" {
                let whole = fields["db.statement"].as_str().unwrap().trim();
                let whole = Some(whole).filter(|text| !text.is_empty());
                let text = whole.or(fields["summary"].as_str()).unwrap();
                requests[at].2.push(text.to_owned());
            } else if fields["message"] == "answered" && of == id {
                return Ran::of(requests.into_iter().map(|(_, name, texts)| (name, texts)));
            }
        }
    }
}

impl Ran {
    fn of(requests: impl Iterator<Item = (String, Vec<String>)>) -> Self {
        let mut ran = Self {
            lines: Vec::new(),
            texts: Vec::new(),
            statements: 0,
            transactions: 0,
            is_alone: true,
        };
        for (name, texts) in requests {
            let mut briefs = Vec::new();
            let mut is_within = false;
            for text in texts {
                let Some(brief) = brief(&text) else { continue };
                match brief.as_str() {
                    "BEGIN" => {
                        ran.is_alone &= !is_within;
                        is_within = true;
                        ran.transactions += 1;
                    }
                    "COMMIT" | "ROLLBACK" => is_within = false,
                    "SAVEPOINT" | "RELEASE" => ran.is_alone = false,
                    reading if reading.starts_with("SELECT ") => {}
                    _ => ran.transactions += usize::from(!is_within),
                }
                ran.texts.push(text);
                briefs.push(brief);
            }
            ran.is_alone &= !is_within;
            ran.statements += briefs.len();
            let line = format!("{name}: {}", briefs.join(", "));
            ran.lines.push(line.trim_end().to_owned());
        }
        ran
    }

    #[track_caller]
    fn assert(&self, (statements, transactions): (usize, usize), expected: &[&str]) {
        let texts = self.texts.join("\n\n");
        assert_eq!(self.lines, expected, "these ran:\n\n{texts}\n");
        let counted = (self.statements, self.transactions);
        assert_eq!(counted, (statements, transactions), "of:\n\n{texts}\n");
    }
}

/// What a statement does, and to which table; what PostgreSQL is told as one (`store::chain`) link by link. Nothing for what a new connection is set up with, and for the look at a client,
/// which is kept for a second: how often that is taken, the machine's clock says.
fn brief(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let verb = words.next()?;
    let table = match verb {
        "BEGIN" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" => return Some(verb.to_owned()),
        "UPDATE" => words.next()?,
        "INSERT" | "DELETE" => words.nth(1)?,
        "SELECT" => {
            // A column may be a question of its own, in parentheses.
            let mut depth = 0;
            words.find(|word| {
                depth += word.matches('(').count();
                depth -= word.matches(')').count();
                depth == 0 && *word == "FROM"
            })?;
            words.next()?
        }
        "WITH" => {
            let links = text.split(" AS MATERIALIZED (").skip(1);
            let links: Vec<String> = links.filter_map(brief).collect();
            return (!links.is_empty()).then(|| links.join(" > "));
        }
        _ => return None,
    };
    (table != "client").then(|| format!("{verb} {table}"))
}

/// Runs a flow, which says the number of its last request: once more where a writer that is none of it shared a commit with it.
macro_rules! ran {
    // One that writes two things at the same time.
    ($counted:ident, shared, $flow:expr) => {{
        let before = $counted.server.url("/.well-known/openid-configuration");
        let before = answer(http_client().get(before)).await;
        $counted.ran_until(&number(&before)).await;
        let id: String = $flow;
        $counted.ran_until(&id).await
    }};
    ($counted:ident, $flow:expr) => {{
        let mut tries = 0;
        loop {
            let ran = ran!($counted, shared, $flow);
            tries += 1;
            if ran.is_alone || tries == 5 {
                assert!(ran.is_alone, "{:#?}", ran.texts);
                break ran;
            }
        }
    }};
}

fn number(answer: &Answer) -> String {
    answer.headers["x-request-id"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_login_runs_these_statements() {
    let mut counted = Counted::start().await;
    counted.tokens(JWT, "openid profile").await;
    let ran = ran!(counted, shared, {
        let page = counted
            .log_in(&mut Browser::new(), JWT, "openid profile")
            .await;
        let tokens = counted.redeem(JWT, &page).await;
        number(&counted.userinfo(tokens.text("access_token")).await)
    });
    let [authorize, page, posted, rest @ ..] = ran.lines.as_slice() else {
        panic!("{:#?}", ran.lines);
    };
    assert_eq!([authorize, page], ["GET /authorize:", "GET /login:"]);
    // The attempt is taken back while the session is begun: in which order, and by whose transaction, is as it happens.
    let posted = posted.strip_prefix("POST /login: ").unwrap();
    let marks = ["BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"];
    let mut posted: Vec<&str> = posted.split(", ").collect();
    let at = |wanted| posted.iter().position(|brief| *brief == wanted).unwrap();
    // PostgreSQL is told it as one.
    let is_file = counted.site.database.folder().is_some();
    let begins = [
        "UPDATE upstream_login",
        "SELECT account",
        "INSERT session",
        "INSERT vault_entry",
    ];
    let as_one = begins.join(" > ");
    if is_file {
        let (before, after) = posted.split_at(at("UPDATE upstream_login"));
        let begun = before.iter().rfind(|brief| marks.contains(brief));
        assert!(
            matches!(begun, Some(&"BEGIN" | &"SAVEPOINT")),
            "{:#?}",
            ran.texts
        );
        let kept = after
            .iter()
            .position(|brief| *brief == "INSERT vault_entry");
        let within = &after[..kept.unwrap()];
        assert!(within.contains(&"INSERT session"), "{:#?}", ran.texts);
        let ends = |brief: &&str| ["COMMIT", "RELEASE"].contains(brief);
        assert!(
            !within.iter().any(ends),
            "one transaction: {:#?}",
            ran.texts
        );
    } else {
        assert!(!posted.contains(&"BEGIN"), "{:#?}", ran.texts);
    }
    posted.retain(|brief| !marks.contains(brief));
    assert_eq!(posted[..2], ["SELECT throttle_alias", "INSERT throttle"]);
    let mut expected = vec![
        "SELECT throttle_alias",
        "INSERT throttle",
        "SELECT throttle_alias",
        "SELECT upstream_login",
        "INSERT throttle",
        "SELECT session",
    ];
    if is_file {
        expected.extend(begins);
    } else {
        expected.push(&as_one);
    }
    posted.sort_unstable();
    expected.sort_unstable();
    assert_eq!(posted, expected, "{:#?}", ran.texts);
    let redeems = [
        "UPDATE session",
        "SELECT account",
        "UPDATE authorization_code",
        "INSERT token_family",
    ];
    let redeems = if is_file {
        format!("BEGIN, {}, COMMIT", redeems.join(", "))
    } else {
        redeems.join(" > ")
    };
    let token = format!("POST /token: SELECT authorization_code, {redeems}, SELECT token_family");
    let expected = [
        "GET /authorize/resume: SELECT session, INSERT authorization_code",
        &token,
        "GET /userinfo: SELECT token_family",
    ];
    assert_eq!(rest, expected);
    // No source holds what links are composed to.
    let composed = ran.texts.iter().filter(|text| text.starts_with("WITH "));
    let composed: Vec<_> = composed.collect();
    assert_eq!(composed.len(), if is_file { 0 } else { 2 });
    for text in composed {
        assert_by_index(&counted.site.database, text).await;
    }
}

/// Somebody who has more logins of apps than one app may have has nothing to end as long as none has too many: only then it is a
/// transaction, which holds the account.
#[tokio::test]
async fn who_uses_many_apps_is_counted_and_not_held() {
    let mut counted = Counted::start_with("\n[lifetimes]\nfamilies_per_client = 2\n").await;
    counted.tokens(JWT, "openid").await;
    for client in [OPAQUE, JWT] {
        let page = counted.log_in(&mut Browser::new(), client, "openid").await;
        let ran = ran!(
            counted,
            shared,
            number(&counted.redeem(client, &page).await)
        );
        let line = ran.lines.last().unwrap();
        let (_, after) = line.split_once("INSERT token_family").unwrap();
        let after = after
            .trim_start_matches(", COMMIT")
            .trim_start_matches(", ");
        let looks = "SELECT token_family, SELECT token_family, ";
        let rest = after.strip_prefix(looks).unwrap();
        if client == OPAQUE {
            assert_eq!(rest, "INSERT access_token", "{:#?}", ran.texts);
        } else {
            assert!(rest.contains("UPDATE token_family"), "{:#?}", ran.texts);
        }
    }
}

#[tokio::test]
async fn an_authorization_within_a_session_runs_these_statements() {
    let mut counted = Counted::start().await;
    let mut browser = Browser::new();
    counted.log_in(&mut browser, JWT, "openid").await;
    let ran = ran!(counted, {
        let page = browser.open(counted.authorize_url(JWT, "openid")).await;
        assert!(page.answer().contains_key("code"), "{page:?}");
        page.header("x-request-id").to_owned()
    });
    ran.assert(
        (2, 1),
        &["GET /authorize: SELECT session, INSERT authorization_code"],
    );
}

#[tokio::test]
async fn a_refresh_runs_these_statements() {
    let mut counted = Counted::start().await;
    for scope in ["openid", "openid offline_access"] {
        let tokens = counted.tokens(JWT, scope).await;
        let mut token = tokens.text("refresh_token").to_owned();
        let ran = ran!(counted, {
            let tokens = counted.refresh(JWT, &token).await;
            tokens.text("refresh_token").clone_into(&mut token);
            number(&tokens)
        });
        ran.assert(
            (2, 1),
            &["POST /token: SELECT token_family, UPDATE token_family"],
        );
    }
}

#[tokio::test]
async fn client_credentials_run_these_statements() {
    let mut counted = Counted::start().await;
    let fields = [
        ("grant_type", "client_credentials"),
        ("scope", "reports:read"),
    ];
    let ran = ran!(counted, number(&counted.post("/token", JWT, &fields).await));
    ran.assert((0, 0), &["POST /token:"]);
    let ran = ran!(
        counted,
        number(&counted.post("/token", OPAQUE, &fields).await)
    );
    ran.assert((1, 1), &["POST /token: INSERT access_token"]);
}

#[tokio::test]
async fn userinfo_runs_these_statements() {
    let mut counted = Counted::start().await;
    let tokens = counted.tokens(JWT, "openid").await;
    let token = tokens.text("access_token");
    let ran = ran!(counted, number(&counted.userinfo(token).await));
    ran.assert((1, 0), &["GET /userinfo: SELECT token_family"]);
    let tokens = counted.tokens(OPAQUE, "openid").await;
    let token = tokens.text("access_token");
    let ran = ran!(counted, number(&counted.userinfo(token).await));
    ran.assert((1, 0), &["GET /userinfo: SELECT access_token"]);
}

#[tokio::test]
async fn an_introspection_runs_these_statements() {
    let mut counted = Counted::start().await;
    let mut counts = Vec::new();
    for (client, kind) in [
        (JWT, "access_token"),
        (OPAQUE, "access_token"),
        (JWT, "refresh_token"),
    ] {
        let tokens = counted.tokens(client, "openid").await;
        let fields = [("token", tokens.text(kind))];
        let ran = ran!(counted, {
            let told = counted.post("/introspect", client, &fields).await;
            assert_eq!(told.body["active"], true, "{told:?}");
            number(&told)
        });
        counts.push(ran);
    }
    let [jwt, opaque, refresh_token] = counts.try_into().ok().unwrap();
    jwt.assert((1, 0), &["POST /introspect: SELECT token_family"]);
    opaque.assert((1, 0), &["POST /introspect: SELECT access_token"]);
    refresh_token.assert((1, 0), &["POST /introspect: SELECT token_family"]);
}
