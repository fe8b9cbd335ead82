//! `portico client`, where clients register themselves.

use serde_json::{Value, json};

use super::Site;
use crate::harness::browser::http_client;
use crate::harness::relying_party::answer;

/// RFC 7591 section 1.2, from the administrator's command to the client's end.
#[tokio::test]
async fn a_client_registers_with_a_token_of_the_administrators() {
    let site = Site::new().await;
    site.edit(
        "[log]",
        "[registration]\nmode = \"initial_access_token\"\n\n[log]",
    );
    let server = site.serve().await;
    let made = site
        .run(&[
            "client",
            "token",
            "create",
            "--uses",
            "2",
            "--label",
            "reading room",
        ])
        .await;
    made.assert(0, &["portico_initial_"]);
    let token = made.out.trim().to_owned();
    let register = || {
        let body = json!({"redirect_uris": ["https://new.example.org/cb"], "client_name": "New"});
        let url = format!("http://{}/register", server.listen);
        answer(http_client().post(url).bearer_auth(&token).json(&body))
    };
    let registered = register().await;
    assert_eq!(registered.status, 201, "{registered:?}");
    let id = registered.text("client_id").to_owned();

    let listed = site.run(&["client", "token", "list"]).await;
    listed.assert(0, &["good 1", "reading room"]);
    assert!(!listed.out.contains(&token));
    let token_id = listed.rows("token-")[0]
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let listed = site.run(&["client", "list"]).await;
    listed.assert(0, &["registered, unused New", "members-app files"]);
    let shown = site.run(&["client", "show", &id]).await;
    let from = format!("initial access token: {token_id}");
    shown.assert(
        0,
        &["last used: never", "https://new.example.org/cb", &from],
    );
    for secret in ["client_secret", "registration_access_token"] {
        assert!(!shown.out.contains(registered.text(secret)), "{secret}");
    }
    let [token_told] = site
        .run(&["client", "token", "list", "--json"])
        .await
        .objects()
        .try_into()
        .unwrap();
    assert_eq!(token_told["token"], token_id);
    assert_eq!(token_told["state"], "good");
    assert_eq!(token_told["uses_left"], 1);
    assert_eq!(token_told["label"], "reading room");
    let said = site.run(&["client", "show", &id, "--json"]).await;
    for secret in ["client_secret", "registration_access_token"] {
        assert!(!said.out.contains(registered.text(secret)), "{secret}");
    }
    let [told] = said.objects().try_into().unwrap();
    assert_eq!(told["client_id"], id);
    assert_eq!(told["owner"], "registered");
    assert_eq!(told["initial_access_token"], token_id);
    assert_eq!(
        told["registered_at"],
        registered.body["client_id_issued_at"]
    );
    assert_eq!(told["used_at"], Value::Null);
    assert_eq!(told["redirect_uris"], json!(["https://new.example.org/cb"]));
    let shown = site.run(&["client", "show", "reports"]).await;
    shown.assert(0, &["owner: the configuration files"]);
    let unknown = site.run(&["client", "show", "nobody"]).await;
    unknown.assert(1, &["there is no client nobody"]);

    let revoked = site.run(&["client", "token", "revoke", &token_id]).await;
    revoked.assert(0, &["is revoked"]);
    let again = site.run(&["client", "token", "revoke", &token_id]).await;
    again.assert(1, &["there is no token"]);
    register().await.assert_error(401, "invalid_token");

    site.run(&["client", "delete", &id])
        .await
        .assert(0, &["is removed"]);
    let again = site.run(&["client", "delete", &id]).await;
    again.assert(1, &["there is no client"]);
    let of_files = site.run(&["client", "delete", "reports"]).await;
    of_files.assert(1, &["client of the configuration files"]);
    assert_eq!(server.terminate(), Some(0));
}

/// A token that nobody asks for is made all the same, and said to be.
#[tokio::test]
async fn a_token_is_made_with_care() {
    let site = Site::started().await;
    let made = site.run(&["client", "token", "create"]).await;
    made.assert(0, &["portico_initial_", "no server asks for it"]);
    for (arguments, said) in [
        (["--uses", "0"], "0 is not in"),
        (["--lifetime", "1s"], "between 1m and 3650d"),
        (["--lifetime", "forever"], "invalid value"),
        (["--label", "two\nlines"], "one line"),
    ] {
        let mut command = vec!["client", "token", "create"];
        command.extend(arguments);
        let refused = site.run(&command).await;
        assert_ne!(refused.code, Some(0));
        assert!(refused.err.contains(said), "{refused:?}");
    }
    let listed = site.run(&["client", "token", "list"]).await;
    assert_eq!(listed.rows("token-").len(), 1);
}
