//! `portico check`: each thing that can be wrong, by its name, with what to do about it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use portico::simulator::imis::MemberRights;
use portico::simulator::people;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{NOWHERE, SECRETS, Site, loopback, run};
use crate::harness::database::TestDatabase;
use crate::harness::server::TestServer;
use crate::upstream_outbound::over_tls;

/// Every file below a folder, with its content.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap_or_default())
        })
        .collect()
}

#[tokio::test]
async fn a_good_configuration_is_found_good_by_everything_in_it() {
    let site = Site::started().await;
    let said = site.run(&["check"]).await;
    said.assert(0, &["wrong: 0", "reachable, schema in place"]);
    for row in [
        "config clients: 2, upstreams: 2",
        "keys signing keys: 1, opened with the master key",
        "members: clock agrees",
        "members: token endpoint answers",
        "members: service account's rights may read User and Party",
        "staff: login page answers",
        "staff: token endpoint by GET answers",
    ] {
        said.assert(0, &[&format!("ok {row}")]);
    }
}

#[tokio::test]
async fn a_broken_configuration_is_told_whole_and_without_its_secrets() {
    let mut site = Site::new().await;
    site.edit("[server]", "[sevrer]\n[server]");
    site.edit(
        "scope = \"openid profile\"",
        "scope = \"openid profile\"\nclient_secret = \"correct-horse-battery\"",
    );
    site.edit(
        "https://app.example.org/callback",
        "http://app.example.org/callback",
    );
    site.set("MASTER_KEY", "not-a-master-key-but-secret");
    let said = site.run(&["check"]).await;
    said.assert(
        1,
        &[
            "portico.toml",
            "did you mean server?",
            "keys.master_key",
            "openssl rand -base64 32",
            "clients[0].client_secret",
            "is not written into the config",
            "clients[0].redirect_uris[0]",
            "problems",
        ],
    );
    assert!(!said.err.contains("correct-horse") && !said.err.contains("but-secret"));
}

/// As the system names them; without any no server begins, for whatever it asks would fail.
#[tokio::test]
async fn the_systems_authorities_are_trusted() {
    let mut site = Site::started().await;
    let (pem, url) = over_tls().await;
    let (authority, nowhere) = (site.path("authority.pem"), site.path("nowhere.pem"));
    fs::write(&authority, &pem).unwrap();
    site.edit(
        "kind = \"imis\"\nbase_url = \"",
        &format!("kind = \"imis\"\nbase_url = \"{url}\"\n#\""),
    );
    let stranger = "name its PEM file in outbound.extra_ca";
    site.run(&["check"]).await.assert(1, &[stranger]);
    site.set("SSL_CERT_FILE", authority.to_str().unwrap());
    let said = site.run(&["check"]).await;
    said.assert(1, &["members: token endpoint"]);
    assert!(!said.out.contains(stranger), "{said:?}");

    // What is none of them is told, and the others are trusted.
    let rubbish = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(&authority, [pem.as_str(), rubbish].concat()).unwrap();
    let said = site.run(&["check"]).await;
    let told = "warning certificates 1 of the system's certificates are none that TLS can use";
    said.assert(1, &["members: token endpoint", told]);
    assert!(!said.out.contains(stranger), "{said:?}");

    fs::write(&authority, rubbish).unwrap();
    for (file, reason) in [
        (&authority, "1 of the system's certificates are none"),
        (&nowhere, "nowhere.pem"),
    ] {
        site.set("SSL_CERT_FILE", file.to_str().unwrap());
        for command in ["check", "serve"] {
            let said = site.run(&[command]).await;
            said.assert(1, &["no certificate authority is trusted", reason]);
        }
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_is_named() {
    let site = Site::started().await;
    site.edit(
        "kind = \"imis\"\nbase_url = \"",
        &format!("kind = \"imis\"\nbase_url = \"http://{NOWHERE}\"\n#\""),
    );
    let said = site.run(&["check"]).await;
    said.assert(
        1,
        &["look at base_url, and whether this machine may connect"],
    );
    let wrong = said.rows("WRONG");
    assert!(
        wrong.iter().all(|row| row.contains("members: ")) && wrong.len() == 2,
        "{}",
        said.out
    );
}

#[tokio::test]
async fn a_wrong_service_password_and_a_missing_role_are_told_apart() {
    let mut site = Site::started().await;
    site.imis
        .change(people::SERVICE.username, |person| person.roles = &[]);
    let said = site.run(&["check"]).await;
    said.assert(
        1,
        &["sees no record but its own; give the account the role RemoteService"],
    );
    site.imis
        .switch(|switches| switches.member_rights = MemberRights::Forbidden);
    let said = site.run(&["check"]).await;
    said.assert(
        1,
        &["the API answers 403; give the account the role RemoteService"],
    );

    site.set("IMIS_SERVICE_PASSWORD", "an-old-password");
    let said = site.run(&["check"]).await;
    said.assert(
        1,
        &[
            "WRONG    members: service account",
            "look at service_account",
        ],
    );
    assert_eq!(said.rows("WRONG").len(), 1, "{}", said.out);
    assert!(!said.out.contains("an-old-password"));
}

#[tokio::test]
async fn a_database_that_is_not_ready_is_told_by_what_it_lacks() {
    let mut site = Site::new().await;
    let folder = site.folder.path().display().to_string();
    for (url, code, text) in [
        (
            format!("sqlite:{folder}/new.db"),
            0,
            "new.db is not there; the first start makes it",
        ),
        (
            format!("sqlite:{folder}/no/new.db"),
            1,
            "/no/new.db is not there; make it, writable",
        ),
        (
            // Nobody is asked for a password here: the connection itself is refused.
            format!("postgres://portico:db-password@{NOWHERE}/portico"),
            1,
            "look at database.url, and whether the database runs",
        ),
        (format!("sqlite:{folder}"), 1, "the database"),
        // Nobody may make a file there, whoever it is (Linux).
        (
            "sqlite:/proc/new.db".to_owned(),
            1,
            "/proc cannot be written to",
        ),
    ] {
        site.set("DATABASE", &url);
        let said = site.run(&["check"]).await;
        said.assert(code, &[text]);
        assert!(!said.out.contains("db-password"), "{}", said.out);
        assert!(!site.path("new.db").exists());
    }
    let empty = TestDatabase::fresh().await;
    if let Some(folder) = empty.folder() {
        fs::write(folder.join("portico.db"), "").unwrap();
    }
    site.set("DATABASE", empty.url().expose());
    let said = site.run(&["check"]).await;
    // A server that starts does the same, so that logins do not fail by it.
    said.assert(
        0,
        &["warning  database", "run `portico migrate`", "wrong: 0"],
    );
    assert!(!said.out.contains("whether the database runs"), "{said:?}");
}

#[tokio::test]
async fn a_wrong_master_key_is_told() {
    let mut site = Site::started().await;
    site.set("MASTER_KEY", "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=");
    let said = site.run(&["check"]).await;
    said.assert(
        1,
        &["WRONG    keys", "cannot be opened with this master key"],
    );
    assert_eq!(said.rows("WRONG").len(), 1, "{}", said.out);
}

#[tokio::test]
async fn the_effective_configuration_is_shown_with_its_secrets_covered() {
    let site = Site::new().await;
    let said = site.run(&["check", "--offline", "--show"]).await;
    said.assert(
        0,
        &[
            "client_secret = \"[secret]\"",
            "master_key = \"[secret]\"",
            "session_idle = \"12h\"",
            "client_id = \"members-app\"",
        ],
    );
    // `Site::run` has looked for these; here is what makes sure that it looks for the right ones.
    let secret = |(name, value): &&(String, String)| SECRETS.contains(&(name, value));
    assert_eq!(site.env.iter().filter(secret).count(), SECRETS.len());
}

/// Neither a database nor a schema, neither a key nor, above all, a new master key where the old one was lost.
#[tokio::test]
async fn a_check_makes_nothing() {
    let mut site = Site::new().await;
    site.set(
        "DATABASE",
        &format!("sqlite:{}", site.path("portico.db").display()),
    );
    site.edit("master_key = { env = \"MASTER_KEY\" }\n", "");
    let before = files(site.folder.path());
    site.run(&["check"]).await.assert(0, &[]);
    assert_eq!(files(site.folder.path()), before);

    assert_eq!(site.serve().await.terminate(), Some(0));
    // What the server left in SQLite's log, whoever opens the database next moves into it.
    site.run(&["migrate"]).await.assert(0, &[]);
    let key = site.path("portico.db.master-key");
    fs::remove_file(&key).unwrap();
    let before = files(site.folder.path());
    let lost = [
        "master-key is not there",
        "put the file back from its backup",
    ];
    site.run(&["check"]).await.assert(1, &lost);
    site.run(&["key", "rotate"]).await.assert(1, &lost);
    assert_eq!(files(site.folder.path()), before);
    site.run(&["serve"]).await.assert(1, &lost);
    assert!(!key.exists());
}

#[tokio::test]
async fn the_issuer_is_looked_at_from_outside() {
    let server = TestServer::start().await;
    let site = Site::started().await;
    let said = site.run(&["check"]).await;
    said.assert(
        0,
        &[
            "warning  issuer",
            "if the server runs, look at its name in DNS",
        ],
    );

    // The login page of aiM18 takes the callback of one issuer only.
    let is_now = |issuer: &str| {
        site.aim18
            .set_callback(&format!("{issuer}/upstream/staff/callback"));
    };
    is_now(&server.issuer);
    site.edit(&format!("http://{NOWHERE}"), &server.issuer);
    let said = site.run(&["check"]).await;
    said.assert(0, &["ok       issuer", "warnings: 0"]);

    let same_server = server.issuer.replace("127.0.0.1", "localhost");
    is_now(&same_server);
    site.edit(&server.issuer, &same_server);
    let said = site.run(&["check"]).await;
    let other = format!("says that it is {}", server.issuer);
    said.assert(
        0,
        &["warning  issuer", &other, "apps will refuse every token"],
    );

    let imis = site.simulators.0.url().to_owned();
    is_now(&imis);
    site.edit(
        &format!("issuer = \"{same_server}\""),
        &format!("issuer = \"{imis}\""),
    );
    let said = site.run(&["check"]).await;
    said.assert(
        0,
        &["warning  issuer", "does not show our discovery document"],
    );
}

#[tokio::test]
async fn a_clock_that_is_off_is_noticed() {
    let site = Site::started().await;
    let listener = loopback().await;
    let old = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _ = connection.read(&mut [0; 4096]).await;
            let answer = b"HTTP/1.1 404 Not Found\r\ndate: Tue, 14 Nov 2023 22:13:20 GMT\r\n\
                           content-length: 0\r\nconnection: close\r\n\r\n";
            let _ = connection.write_all(answer).await;
        }
    });
    let aim18 = site.simulators.1.url().to_owned();
    site.edit(&aim18, &old);
    let said = site.run(&["check"]).await;
    said.assert(
        1,
        &[
            "warning  staff: clock",
            "s ahead;",
            "NTP",
            "is base_url right?",
        ],
    );
}

#[tokio::test]
async fn a_config_file_that_is_not_there_is_told() {
    let mut command = super::portico(&["check", "-c", "/nowhere/portico.toml"]);
    command.env_remove("PORTICO_CONFIG");
    run(command, "")
        .await
        .assert(1, &["/nowhere/portico.toml", "cannot be read"]);
}
