//! `docs/specifications.md` is true as far as a test can tell: its tables are whole, the tests that it names exist, and every
//! value that discovery advertises stands in it with the test that uses it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use portico::protocol::client_auth::ClientAuthMethod;
use portico::protocol::locale::Locale;
use portico::protocol::response::{ResponseMode, ResponseType};
use portico::protocol::token::GrantType;
use serde_json::Value;

use crate::harness::browser::http_client;
use crate::harness::relying_party::answer;
use crate::harness::server::{Setup, TestServer};

const PAGE: &str = include_str!("../../docs/specifications.md");

/// More pages whose tables name tests, and the first column of theirs that does.
const MORE_PAGES: [(&str, usize); 2] = [
    (include_str!("../../docs/parsers.md"), 2),
    (include_str!("../../docs/relying-parties.md"), 1),
];

/// The heading of the table that is held against the metadata of a running server.
const DISCOVERY: &str = "What discovery says";

/// What the project set out to do by the letter, each by the beginning of its heading.
const SPECIFICATIONS: [&str; 32] = [
    "OpenID Connect Core 1.0",
    "OpenID Connect Discovery 1.0",
    "OpenID Connect Dynamic Client Registration 1.0",
    "OAuth 2.0 Multiple Response Type Encoding Practices",
    "OAuth 2.0 Form Post Response Mode",
    "OpenID Connect RP-Initiated Logout 1.0",
    "OpenID Connect Core Error Code unmet_authentication_requirements 1.0",
    "RFC 6749",
    "RFC 6750",
    "RFC 7009",
    "RFC 7515",
    "RFC 7517",
    "RFC 7518",
    "RFC 7519",
    "RFC 7521",
    "RFC 7523",
    "RFC 7591",
    "RFC 7592",
    "RFC 7636",
    "RFC 7638",
    "RFC 7662",
    "RFC 8414",
    "RFC 8628",
    "RFC 8693",
    "RFC 8707",
    "RFC 8725",
    "RFC 9068",
    "RFC 9101",
    "RFC 9126",
    "RFC 9207",
    "RFC 9449",
    "RFC 9470",
];
/// The rest of them: an array's length is counted by hand, and three short ones are easier to count.
const MORE_SPECIFICATIONS: [&str; 5] = [
    "RFC 9700",
    "RFC 9701",
    "FAPI 2.0 Security Profile",
    "OpenID Connect Back-Channel Logout 1.0",
    "OpenID Connect Front-Channel Logout 1.0",
];

/// A table of the page, under its heading.
struct Table<'a> {
    title: &'a str,
    header: Vec<&'a str>,
    rows: Vec<Vec<&'a str>>,
}

/// The tables, one under each heading of the second level.
fn tables() -> Vec<Table<'static>> {
    let sections = PAGE.split("\n## ").skip(1);
    let table = |section: &'static str| {
        let title = section.lines().next().unwrap();
        let mut lines = section.lines().filter(|line| line.starts_with('|'));
        let cells = |line: &'static str| -> Vec<&'static str> {
            let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
            inner.split('|').map(str::trim).collect()
        };
        let header = lines.next().map(cells).unwrap_or_default();
        assert!(
            lines.next().is_some_and(|line| line.starts_with("|-")),
            "{title}: no table"
        );
        let rows = lines.map(cells).collect();
        Table {
            title,
            header,
            rows,
        }
    };
    sections.map(table).collect()
}

/// What stands in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Every test that there is.
struct Tests {
    /// Module path, function.
    rust: Vec<(Vec<String>, String)>,
    web: BTreeSet<String>,
    authlib: BTreeSet<String>,
}

impl Tests {
    fn find() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut tests = Self {
            rust: Vec::new(),
            web: BTreeSet::new(),
            authlib: BTreeSet::new(),
        };
        for file in files(root, &["src", "tests/it"], "rs") {
            let module = module(file.strip_prefix(root).unwrap());
            let text = fs::read_to_string(&file).unwrap();
            for name in functions(&text) {
                tests.rust.push((module.clone(), name.to_owned()));
            }
        }
        for file in files(root, &["tests/web"], "js") {
            let text = fs::read_to_string(&file).unwrap();
            // A title that is made of parts is named as it stands in the file.
            for quote in ['"', '`'] {
                let opening = format!("test({quote}");
                let titles = text.split(&opening).skip(1);
                let titles = titles.map(|rest| rest.split(quote).next().unwrap().to_owned());
                tests.web.extend(titles);
            }
        }
        for file in files(root, &["tests/authlib"], "py") {
            let text = fs::read_to_string(&file).unwrap();
            let names = text.split("def ").skip(1);
            let names = names.map(|rest| rest.split('(').next().unwrap().to_owned());
            tests
                .authlib
                .extend(names.filter(|name| name.starts_with("test_")));
        }
        tests
    }

    fn have(&self, name: &str) -> bool {
        if let Some(title) = name.strip_prefix("web: ") {
            return self.web.contains(title);
        }
        if let Some(function) = name.strip_prefix("authlib: ") {
            return self.authlib.contains(function);
        }
        let mut path: Vec<String> = name.split("::").map(ToOwned::to_owned).collect();
        let function = path.pop().unwrap_or_default();
        let here =
            |(module, each): &(Vec<String>, String)| *each == function && module.ends_with(&path);
        !path.is_empty() && self.rust.iter().any(here)
    }
}

fn files(root: &Path, folders: &[&str], extension: &str) -> Vec<PathBuf> {
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("node_modules") {
                open.push(path);
            } else if path.extension().is_some_and(|each| each == extension) {
                found.push(path);
            }
        }
    }
    found
}

/// `src/keys/ring/tests.rs` is `keys::ring`, and so is `src/keys/ring.rs`.
fn module(file: &Path) -> Vec<String> {
    let names = file.with_extension("");
    let mut names: Vec<String> = names
        .iter()
        .map(|name| name.to_str().unwrap().to_owned())
        .collect();
    if names
        .last()
        .is_some_and(|last| last == "mod" || last == "tests")
    {
        names.pop();
    }
    names
}

/// The functions of a source file that are tests.
fn functions(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        let name = line.split_once("fn ").map(|(_, rest)| rest);
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let (true, Some(rest), false) = (marked, name, line.starts_with("//")) {
            found.push(rest.split('(').next().unwrap_or_default());
            marked = false;
        }
    }
    found
}

/// A name that is wrong is found out, in whichever way it is wrong.
#[test]
fn only_tests_that_exist_are_found() {
    let tests = Tests::find();
    for good in [
        "specifications::only_tests_that_exist_are_found",
        "protocol::pkce::the_example_of_the_rfc_fits",
        "keys::ring::the_jwks_is_public",
        "flow::who_has_to_log_in",
        "store::codes::a_code_comes_back_as_it_was",
        "authlib: test_a_wrong_secret_gets_none",
        "web: cannot redeem a code twice",
    ] {
        assert!(tests.have(good), "{good}");
    }
    for bad in [
        "only_tests_that_exist_are_found",
        "specifications::no_such_test",
        "pkce::only_tests_that_exist_are_found",
        "cations::only_tests_that_exist_are_found",
        "specifications::tables",
        "authlib: find",
        "web: cannot redeem a code",
        "",
    ] {
        assert!(!tests.have(bad), "{bad}");
    }
}

/// Acceptance: a row for each section, with what we do and the test that shows it.
#[test]
fn every_row_is_whole_and_its_tests_exist() {
    let tests = Tests::find();
    let mut problems = Vec::new();
    for table in tables() {
        let title = table.title;
        let columns: &[&str] = match title {
            DISCOVERY => &["member", "value", "test"],
            _ => &["section", "what binds us", "what we do", "test"],
        };
        if table.header != columns {
            problems.push(format!("{title}: the columns are {:?}", table.header));
        }
        if table.rows.is_empty() {
            problems.push(format!("{title}: no rows"));
        }
        for row in table.rows {
            let place = format!("{title}, {}", row[0]);
            if row.len() != columns.len() || row.iter().any(|cell| cell.is_empty()) {
                problems.push(format!("{place}: {} cells, or an empty one", row.len()));
                continue;
            }
            let named: Vec<&str> = quoted(row[columns.len() - 1]).collect();
            let off = columns.len() == 4 && row[2].starts_with("off: ");
            if named.is_empty() && !off {
                problems.push(format!("{place}: no test"));
            }
            let missing = named.into_iter().filter(|name| !tests.have(name));
            problems.extend(missing.map(|name| format!("{place}: there is no test {name}")));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn tests_that_other_pages_name_exist() {
    let tests = Tests::find();
    for (page, first) in MORE_PAGES {
        let rows = page.lines().filter(|line| line.starts_with("| "));
        let cells = rows.flat_map(|row| row.trim_matches('|').split('|').skip(first));
        let named: Vec<&str> = cells.flat_map(quoted).collect();
        assert!(named.len() > 20, "{} names {}", &page[..40], named.len());
        let missing: Vec<_> = named.into_iter().filter(|name| !tests.have(name)).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }
}

#[test]
fn every_specification_has_its_table() {
    let titles: Vec<&str> = tables().iter().map(|table| table.title).collect();
    for wanted in SPECIFICATIONS.iter().chain(&MORE_SPECIFICATIONS) {
        let named = titles.iter().filter(|title| {
            let rest = title.strip_prefix(wanted);
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        });
        assert_eq!(named.count(), 1, "{wanted}");
    }
    assert_eq!(
        titles.len(),
        SPECIFICATIONS.len() + MORE_SPECIFICATIONS.len() + 1
    );
}

/// A configuration that turns everything on that discovery may say.
fn everything(setup: &mut Setup) {
    setup
        .members
        .push_str("roles = true\nacr = \"urn:example:password\"\n");
    // Nobody logs in here: what could be told of these people is what counts.
    setup.upstreams.push_str(
        r#"
[[upstreams]]
id = "people"
kind = "users"
label = "People"

[[upstreams.people]]
id = "1"
username = "alex"
password_hash = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
name = "Alex Admin"
email = "alex@example.org"
address = { street_address = "1 Main Street", country = "Canada" }
claims = { middle_name = "B", nickname = "Al", profile = "https://example.org/alex", picture = "https://example.org/alex.png", website = "https://alex.example.org", gender = "female", birthdate = "0000-02-29", zoneinfo = "America/Toronto", locale = "fr-CA", updated_at = 1700000000, phone_number = "+1 555 0100", phone_number_verified = true, points = 12 }

[[scopes]]
name = "training"
claims = ["points"]
"#,
    );
    setup.sections.push_str("[registration]\nmode = \"open\"\n");
    setup.clients.push_str(
        r#"
[[clients]]
client_id = "hybrid"
client_secret = { env = "WEB_SECRET" }
redirect_uris = ["https://hybrid.example.org/callback"]
response_types = ["code", "code id_token", "code token", "code id_token token", "id_token", "id_token token", "none"]
scope = "openid profile email address phone groups membership training upstream:members"
upstream_tokens = ["members"]
grant_types = ["authorization_code", "implicit", "urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:grant-type:device_code"]
"#,
    );
}

/// Member and value, as the table writes them.
fn advertised(document: &Value) -> BTreeSet<(String, String)> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut found = BTreeSet::new();
    for (member, value) in document.as_object().unwrap() {
        match value {
            Value::Array(values) => {
                found.extend(values.iter().map(|value| (member.clone(), text(value))));
            }
            Value::String(_) => {
                found.insert((member.clone(), "a URL".to_owned()));
            }
            other => {
                found.insert((member.clone(), text(other)));
            }
        }
    }
    found
}

/// Every advertised value is exercised by a test, and what the page lists is advertised.
#[tokio::test]
async fn what_discovery_says_is_listed_with_its_test() {
    let mut server = TestServer::start_with(everything).await;
    server.edit_config(
        "algorithms = [\"RS256\", \"ES256\"]",
        "algorithms = [\"RS256\", \"PS256\", \"ES256\", \"EdDSA\"]",
    );
    server.restart().await;
    let url = server.url("/.well-known/openid-configuration");
    let document = answer(http_client().get(url)).await.body;
    let mut listed = BTreeSet::new();
    for table in tables() {
        for row in table.rows.iter().filter(|_| table.title == DISCOVERY) {
            for value in quoted(row[1]) {
                let entry = (row[0].trim_matches('`').to_owned(), value.to_owned());
                assert!(
                    listed.insert(entry),
                    "{} {value} stands there twice",
                    row[0]
                );
            }
        }
    }
    let said = advertised(&document);
    let unlisted: Vec<_> = said.difference(&listed).collect();
    assert!(unlisted.is_empty(), "not in the table: {unlisted:?}");
    let unsaid: Vec<_> = listed.difference(&said).collect();
    assert!(unsaid.is_empty(), "not advertised: {unsaid:?}");
    // And the configuration above leaves nothing out that the code could say.
    let members: [(&str, Vec<&str>); 5] = [
        (
            "response_types_supported",
            ResponseType::ALL.map(ResponseType::as_str).to_vec(),
        ),
        (
            "response_modes_supported",
            ResponseMode::ALL.map(ResponseMode::as_str).to_vec(),
        ),
        (
            "grant_types_supported",
            GrantType::ALL.map(GrantType::as_str).to_vec(),
        ),
        (
            "token_endpoint_auth_methods_supported",
            ClientAuthMethod::ALL.map(ClientAuthMethod::as_str).to_vec(),
        ),
        (
            "ui_locales_supported",
            Locale::ALL.map(Locale::tag).to_vec(),
        ),
    ];
    for (member, values) in members {
        for value in values {
            let entry = (member.to_owned(), value.to_owned());
            assert!(said.contains(&entry), "turn {value} on in `everything`");
        }
    }
}
