//! Sections, and what the sections ask of each other.

use portico::config::LogFormat;
use portico::protocol::jws::SigningAlgorithm;

use super::{Folder, MINIMAL, assert_problem, load, problems};

#[test]
fn the_least_config_has_every_default() {
    let folder = Folder::new(MINIMAL);
    let config = folder.load(&[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(
        config.database.sqlite_file(),
        Some(folder.path("portico.db"))
    );
    assert_eq!(
        config.keys.master_key_file,
        Some(folder.path("portico.db.master-key"))
    );
    assert_eq!(config.keys.algorithms, [SigningAlgorithm::RS256]);
    assert_eq!(config.lifetimes.access_token, 600);
    assert_eq!(config.login.throttle.attempts, 4);
    assert_eq!(config.upstreams[0].label.english(), "members");
    assert_eq!(config.upstreams[0].login.len(), 1);
    assert_eq!(
        (config.log.format, config.log.filter.as_str()),
        (LogFormat::Text, "info")
    );
    assert!(config.warnings.is_empty());
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let main = r#"isuer = "https://login.example.org"

[server]
listen = 8080
lissten = "x"

[lifetimes]
access_token = "soon"
id_token = 600

[[upstreams]]
kind = "imis"
base_url = "members.example.org"
lable = "Members"

[[upstreams]]
id = "Staff"
kind = "aim81"

[[clients]]
client_id = "app"
redirect_uris = ["https://app.example.org/cb#x"]
"#;
    let folder = Folder::new(main);
    let problems = folder.load(&[]).unwrap_err();
    let found: Vec<(Option<usize>, &str)> = problems
        .iter()
        .map(|problem| (problem.line, problem.key.as_str()))
        .collect();
    for expected in [
        (Some(1), "isuer"),
        (None, "issuer"),
        (Some(4), "server.listen"),
        (Some(5), "server.lissten"),
        (Some(8), "lifetimes.access_token"),
        (Some(9), "lifetimes.id_token"),
        (Some(11), "upstreams[0].id"),
        (Some(13), "upstreams[0].base_url"),
        (Some(14), "upstreams[0].lable"),
        (Some(17), "upstreams[1].id"),
        (Some(18), "upstreams[1].kind"),
        (Some(20), "clients[0].client_secret"),
        (Some(22), "clients[0].redirect_uris[0]"),
    ] {
        assert!(
            found.contains(&expected),
            "{expected:?} is not in {found:#?}"
        );
    }
    assert_eq!(found.len(), 13, "{problems}");
    let table = problems.to_string();
    assert!(
        table.contains(
            "  line 14  upstreams[0].lable\n      is not a known key; did you mean label?\n"
        ),
        "{table}"
    );
    assert!(table.ends_with("13 problems"), "{table}");
}

#[test]
fn an_upstream_has_a_name_a_kind_and_a_way_in() {
    let with = |from: &str, to: &str| MINIMAL.replace(from, to);
    for (main, key, text) in [
        (
            with("\"members\"", "\"My Members\""),
            "upstreams[0].id",
            "lower-case",
        ),
        (
            with("id = \"members\"", ""),
            "upstreams[0].id",
            "is missing",
        ),
        (
            with("kind = \"imis\"", ""),
            "upstreams[0].kind",
            "\"imis\", \"aim18\", \"oidc\" or \"users\"",
        ),
        (
            with("\"imis\"", "\"imsi\""),
            "upstreams[0].kind",
            "did you mean imis?",
        ),
        (
            with("kind =", "login = []\nkind ="),
            "upstreams[0].login",
            "is empty",
        ),
        (
            with("kind =", "login = [\"passwd\"]\nkind ="),
            "upstreams[0].login[0]",
            "did you mean password?",
        ),
        (
            with("kind =", "login = [\"password\", \"password\"]\nkind ="),
            "upstreams[0].login[1]",
            "twice",
        ),
        (
            with("base_url = \"https://members.example.org\"", ""),
            "upstreams[0].base_url",
            "is missing",
        ),
        // T37.
        (
            with("https://members", "http://members"),
            "upstreams[0].base_url",
            "allow_insecure_upstream",
        ),
        (
            format!("{MINIMAL}{}", &MINIMAL[MINIMAL.find("[[").unwrap()..]),
            "upstreams[1].id",
            "earlier upstream",
        ),
        (
            "issuer = \"https://login.example.org\"".to_owned(),
            "upstreams",
            "is missing",
        ),
    ] {
        assert_problem(&main, key, text);
    }
}

#[test]
fn an_adapter_tells_every_problem_of_one_key() {
    let main = MINIMAL.replace(
        "https://members.example.org",
        "http://members.example.org/api?x",
    );
    assert_eq!(problems(&main).len(), 3, "{:#?}", problems(&main));
}

#[test]
fn the_issuer_is_exact() {
    for (issuer, text) in [
        (
            "https://login.example.org/",
            "write https://login.example.org",
        ),
        ("http://login.example.org", "localhost only"),
        ("login.example.org", "is not a URL"),
    ] {
        assert_problem(
            &MINIMAL.replace("https://login.example.org", issuer),
            "issuer",
            text,
        );
    }
}

#[test]
fn unsafe_choices_are_warned_of() {
    let warnings = |main: &str| load(main).unwrap().warnings;
    let open = format!("{MINIMAL}[server]\nlisten = \"0.0.0.0:8080\"\n");
    assert!(warnings(&open)[0].contains("server.listen: plain HTTP"));
    assert!(warnings(&format!("{open}trusted_proxies = [\"10.0.0.0/8\"]")).is_empty());
    assert!(
        warnings(&format!("{open}trusted_proxies = [\"0.0.0.0/0\"]"))[0].contains("whole Internet")
    );
}

/// OpenID Connect Discovery section 3: RS256 is for everybody.
#[test]
fn a_provider_without_rs256_is_warned() {
    let warnings = |algorithms: &str| {
        let keys = format!("{MINIMAL}[keys]\nalgorithms = {algorithms}\n");
        load(&keys).unwrap().warnings
    };
    assert!(warnings("[\"ES256\", \"EdDSA\"]")[0].contains("keys.algorithms: has no RS256"));
    assert!(warnings("[\"ES256\", \"RS256\"]").is_empty());
}

#[test]
fn tls_files_are_looked_into() {
    let folder = Folder::new(&format!(
        "{MINIMAL}[server.tls]\ncertificate = \"tls/cert.pem\"\nprivate_key = \"tls/key.pem\"\n"
    ));
    let texts = |folder: &Folder| -> Vec<String> {
        folder
            .load(&[])
            .unwrap_err()
            .iter()
            .map(|problem| problem.text.clone())
            .collect()
    };
    assert!(
        texts(&folder)
            .iter()
            .all(|text| text.contains("cannot be read"))
    );
    let issued = rcgen::generate_simple_self_signed(["login.example.org".to_owned()]).unwrap();
    let (certificate, key) = (issued.cert.pem(), issued.signing_key.serialize_pem());
    folder.write("tls/cert.pem", &key);
    folder.write("tls/key.pem", &certificate);
    assert!(texts(&folder)[0].contains("no PEM certificate"));
    assert!(texts(&folder)[1].contains("no PEM private key"));
    folder.write("tls/cert.pem", &certificate);
    folder.write("tls/key.pem", &key);
    let config = folder.load(&[]).unwrap();
    assert_eq!(
        config.server.tls.unwrap().private_key,
        folder.path("tls/key.pem")
    );
    folder.write(
        "portico.toml",
        format!("{MINIMAL}[server]\ntls = {{ certificate = \"tls/cert.pem\" }}\n"),
    );
    assert!(texts(&folder)[0].contains("is missing"));
}

#[test]
fn three_variables_stand_above_the_file() {
    let folder = Folder::new(&format!("{MINIMAL}[server]\nlisten = \"nonsense\"\n"));
    let config = folder
        .load(&[
            ("PORTICO_LISTEN", "127.0.0.1:9000"),
            ("PORTICO_DATABASE_URL", "sqlite:other.db"),
            ("PORTICO_LOG", "debug"),
        ])
        .unwrap();
    assert_eq!(config.server.listen.port(), 9000);
    assert_eq!(config.database.sqlite_file(), Some(folder.path("other.db")));
    assert_eq!(config.log.filter, "debug");
    let problems = folder.load(&[("PORTICO_LISTEN", "9000")]).unwrap_err();
    let problem = problems.iter().next().unwrap();
    assert_eq!(
        (problem.key.as_str(), problem.line),
        ("PORTICO_LISTEN", None)
    );
}

#[test]
fn a_database_url_leads_beside_the_config_unless_it_is_absolute() {
    let folder = Folder::new("");
    let file = |url: &str| {
        folder.write(
            "portico.toml",
            format!("{MINIMAL}[database]\nurl = \"{url}\"\n"),
        );
        folder.load(&[]).unwrap().database.sqlite_file()
    };
    assert_eq!(file("sqlite:a.db"), Some(folder.path("a.db")));
    assert_eq!(file("sqlite://a.db?mode=rwc"), Some(folder.path("a.db")));
    assert_eq!(
        file("sqlite:///var/lib/portico.db"),
        Some("/var/lib/portico.db".into())
    );
    assert_eq!(file("sqlite::memory:"), None);
}

#[test]
fn a_missing_file_is_named() {
    let folder = Folder::new(MINIMAL);
    std::fs::remove_file(folder.path("portico.toml")).unwrap();
    let shown = folder.load(&[]).unwrap_err().to_string();
    assert!(
        shown.contains("portico.toml") && shown.contains("cannot be read"),
        "{shown}"
    );
    assert!(
        problems("")
            .iter()
            .any(|line| line.starts_with("issuer: is missing"))
    );
}
