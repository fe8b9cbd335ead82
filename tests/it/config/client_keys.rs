//! Keys of clients, and what they sign.

use super::{Folder, MINIMAL, assert_problem, load};

const EC: &str = r#"{ kty = "EC", crv = "P-256", x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", kid = "1" }"#;

fn signing(lines: &str) -> String {
    format!(
        "{MINIMAL}[[clients]]\nclient_id = \"app\"\ntoken_endpoint_auth_method = \"private_key_jwt\"\n\
         redirect_uris = [\"https://app.example.org/cb\"]\n{lines}\n"
    )
}

#[test]
fn keys_are_written_or_in_a_file_or_at_an_address() {
    let written = load(&signing(&format!("jwks = {{ keys = [{EC}] }}"))).unwrap();
    let jwks = written.clients[0].client.jwks.clone().unwrap();
    assert!(jwks.names("1") && written.clients[0].secrets.is_empty());

    let folder = Folder::new(&signing("jwks_file = \"app.jwks.json\""));
    let shown = serde_json::to_string(&jwks).unwrap();
    folder.write("app.jwks.json", shown);
    let config = folder.load(&[]).unwrap();
    assert_eq!(config.clients[0].client.jwks, Some(jwks));

    let at = load(&signing("jwks_uri = \"https://app.example.org/jwks\"")).unwrap();
    let uri = at.clients[0].client.jwks_uri.as_deref();
    assert_eq!(uri, Some("https://app.example.org/jwks"));
    assert!(at.warnings.is_empty());
}

/// T39, T42: told at once, with what to write instead.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_wrong_about_keys_is_told() {
    let keys = format!("jwks = {{ keys = [{EC}] }}\n");
    let private = EC.replace("kid = \"1\"", "kid = \"1\", d = \"AQAB\"");
    for (lines, key, text) in [
        (String::new(), "jwks", "is missing"),
        ("jwks = { keys = [] }".to_owned(), "jwks", "no key"),
        ("jwks = \"text\"".to_owned(), "jwks", "JSON Web Key Set"),
        (
            format!("jwks = {{ keys = [{private}] }}"),
            "jwks",
            "private key",
        ),
        (
            format!("jwks = {{ keys = [{EC}, {EC}] }}"),
            "jwks",
            "one kid",
        ),
        (
            format!("{keys}jwks_uri = \"https://app.example.org/\""),
            "jwks",
            "keep one of",
        ),
        (
            "jwks_file = \"missing.json\"".to_owned(),
            "jwks_file",
            "cannot be read",
        ),
        (
            "jwks_uri = \"http://app.example.org/\"".to_owned(),
            "jwks_uri",
            "https://",
        ),
        (
            "jwks_uri = \"https://me@app.example.org/\"".to_owned(),
            "jwks_uri",
            "user name",
        ),
        (
            format!("{keys}client_secret = {{ env = \"SECRET\" }}"),
            "client_secret",
            "private_key_jwt",
        ),
        (
            format!("{keys}token_endpoint_auth_signing_alg = \"RS256\""),
            "token_endpoint_auth_signing_alg",
            "none of the app's keys",
        ),
        (
            format!("{keys}token_endpoint_auth_signing_alg = \"HS256\""),
            "token_endpoint_auth_signing_alg",
            "needs a secret",
        ),
        (
            format!("{keys}token_endpoint_auth_signing_alg = \"none\""),
            "token_endpoint_auth_signing_alg",
            "ES256",
        ),
    ] {
        assert_problem(&signing(&lines), &format!("clients[0].{key}"), text);
    }
    for (lines, key, text) in [
        (
            format!("{keys}request_object_signing_alg = \"RS256\""),
            "request_object_signing_alg",
            "none of the app's keys",
        ),
        (
            format!(
                "{keys}request_object_signing_alg = \"none\"\nrequire_signed_request_object = true"
            ),
            "require_signed_request_object",
            "needs keys",
        ),
        (
            format!("{keys}request_uris = [\"http://app.example.org/r\"]"),
            "request_uris[0]",
            "https://",
        ),
    ] {
        assert_problem(&signing(&lines), &format!("clients[0].{key}"), text);
    }
    for (lines, key) in [
        (
            "request_object_signing_alg = \"ES256\"",
            "request_object_signing_alg",
        ),
        (
            "require_signed_request_object = true",
            "require_signed_request_object",
        ),
        (
            "request_uris = [\"https://app.example.org/r#x\"]",
            "request_uris",
        ),
    ] {
        let public = signing(lines).replace("private_key_jwt", "none");
        assert_problem(&public, &format!("clients[0].{key}"), "jwks_uri");
    }
    let shared = |lines: &str| signing(lines).replace("private_key_jwt", "client_secret_jwt");
    for (lines, key, text) in [
        (
            "client_secret = { env = \"SECRET\" }",
            "client_secret",
            "32 bytes",
        ),
        ("", "client_secret", "is missing"),
    ] {
        assert_problem(&shared(lines), &format!("clients[0].{key}"), text);
    }
    for line in [
        "token_endpoint_auth_signing_alg = \"ES256\"",
        "allow_token_endpoint_audience = true",
    ] {
        let public = signing(line).replace("private_key_jwt", "none");
        let key = line.split(' ').next().unwrap();
        assert_problem(&public, &format!("clients[0].{key}"), "for apps that sign");
    }
}

/// A weaker check is taken on purpose, and never silently.
#[test]
fn another_audience_is_a_warning() {
    let lines = format!("jwks = {{ keys = [{EC}] }}\nallow_token_endpoint_audience = true");
    let config = load(&signing(&lines)).unwrap();
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("allow_token_endpoint_audience"));
}
