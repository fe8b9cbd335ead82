//! Secrets come by reference, and are seen nowhere.

use super::{Folder, MINIMAL, assert_problem, load, set_mode};

fn client(secret: &str) -> String {
    format!(
        "{MINIMAL}\n[[clients]]\nclient_id = \"app\"\nclient_secret = {secret}\nredirect_uris = [\"https://app.example.org/cb\"]\n"
    )
}

#[test]
fn a_secret_is_a_reference() {
    for (written, text) in [
        (
            "\"hunter2hunter2hunter2\"",
            "is not written into the config: use { env",
        ),
        ("1234567890123456789", "must be { env"),
        ("true", "must be { env"),
        (
            "{ value = \"hunter2hunter2hunter2\" }",
            "is not written into the config",
        ),
        ("{ env = \"NOWHERE\" }", "variable NOWHERE is not set"),
        ("{ env = 1 }", "must be the name of an environment variable"),
        ("{ env = \"SECRET\", file = \"x\" }", "keep one of them"),
        ("{ file = [] }", "must be the path"),
    ] {
        assert_problem(&client(written), "clients[0].client_secret", text);
        assert!(!format!("{:?}", load(&client(written))).contains("hunter2"));
    }
    let in_array = "[{ env = \"SECRET\" }, \"hunter2hunter2hunter2\"]";
    assert_problem(
        &client(in_array),
        "clients[0].client_secret[1]",
        "is not written into the config",
    );
}

#[test]
fn a_file_counts_from_the_folder_of_the_config() {
    let folder = Folder::new(&client("{ file = \"secrets/app\" }"));
    let text = |folder: &Folder| {
        folder
            .load(&[])
            .unwrap_err()
            .iter()
            .next()
            .unwrap()
            .text
            .clone()
    };
    assert!(text(&folder).contains("secrets/app cannot be read"));
    folder.write("secrets/app", "\r\n");
    assert!(text(&folder).ends_with("secrets/app is empty"));
    folder.write("secrets/app", [0xff, 0xfe]);
    assert!(text(&folder).ends_with("is not text (UTF-8)"));
    folder.write("secrets/app", "first-line-of-two\nsecond");
    assert!(text(&folder).contains("one line"));

    let path = folder.write("secrets/app", " a-secret-with-spaces \r\n");
    let config = folder.load(&[]).unwrap();
    assert!(config.clients[0].secrets[0].equals(" a-secret-with-spaces "));
    assert!(config.warnings.is_empty());
    folder.write("secrets/app", "\u{feff} a-secret-with-spaces \r\n");
    let config = folder.load(&[]).unwrap();
    assert!(config.clients[0].secrets[0].equals(" a-secret-with-spaces "));

    set_mode(&path, 0o640);
    let config = folder.load(&[]).unwrap();
    assert!(
        config.warnings[0].contains("clients[0].client_secret"),
        "{:?}",
        config.warnings
    );
    assert!(config.warnings[0].contains("chmod 600"));
}

/// The key to every other secret is no worse guarded than they are; before the first start there is none.
#[test]
fn a_master_key_that_others_may_read_is_told() {
    let keys = "[keys]\nmaster_key_file = \"key\"\n";
    let folder = Folder::new(&format!("{MINIMAL}\n{keys}"));
    let warnings = |folder: &Folder| {
        let warnings = folder.load(&[]).unwrap().warnings;
        let of_key = |text: &&String| text.contains("keys.master_key_file");
        warnings.iter().filter(of_key).cloned().collect::<Vec<_>>()
    };
    assert!(warnings(&folder).is_empty());
    let path = folder.write("key", "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=");
    assert!(warnings(&folder).is_empty());
    set_mode(&path, 0o644);
    let told = warnings(&folder);
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("chmod 600"), "{told:?}");
}

#[test]
fn a_secret_shows_nowhere() {
    let main = format!(
        "{}\n[database]\nurl = {{ env = \"DATABASE\" }}\n[keys]\nmaster_key = {{ env = \"MASTER_KEY\" }}\n",
        client("[{ env = \"SECRET\" }, { env = \"OTHER_SECRET\" }]")
    )
    .replace(
        "base_url = \"https://members.example.org\"",
        "base_url = \"https://members.example.org\"\nservice_account = { username = \"u\", password = { env = \"SECRET\" } }",
    );
    let config = load(&main).unwrap();
    for shown in [format!("{config:?}"), config.effective()] {
        for secret in [
            "example-secret-of-length",
            "another-secret-of-length",
            "db-password",
            "AAAAAAAA",
        ] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    assert!(
        config
            .effective()
            .contains("postgres://db.example.org/portico")
    );
    // The same secrets, and something wrong beside each.
    let broken = main
        .replace("username = \"u\"", "user = 1")
        .replace("client_id = \"app\"", "client_id = 1");
    let problems = format!("{0:?} {0}", load(&broken).unwrap_err());
    for secret in [
        "example-secret-of-length",
        "another-secret-of-length",
        "db-password",
        "AAAAAAAA",
    ] {
        assert!(!problems.contains(secret), "{problems}");
    }
}

#[test]
fn a_database_password_is_a_secret_too() {
    for url in [
        "postgres://portico:hunter2@db.example.org/portico",
        "postgres://db.example.org/portico?password=hunter2",
    ] {
        let main = format!(
            "{MINIMAL}\n[database]\nurl = \"{url}\"\n[keys]\nmaster_key = {{ env = \"MASTER_KEY\" }}"
        );
        assert_problem(&main, "database.url", "holds a password");
        assert!(!format!("{}", load(&main).unwrap_err()).contains("hunter2"));
    }
}

/// The parser would show the line, which may hold a secret that should not stand there.
#[test]
fn a_syntax_error_tells_line_and_column_and_not_the_line() {
    let folder =
        Folder::new("issuer = \"https://login.example.org\"\nclient_secret = \"hunter2\nx = = 1\n");
    let problems = folder.load(&[]).unwrap_err();
    let first = problems.iter().next().unwrap();
    assert_eq!(first.line, Some(2));
    assert!(
        first.text.starts_with("is not valid TOML at column "),
        "{first:?}"
    );
    assert!(
        problems.iter().any(|problem| problem.line == Some(3)),
        "all at once"
    );
    assert!(!problems.to_string().contains("hunter2"));
}
