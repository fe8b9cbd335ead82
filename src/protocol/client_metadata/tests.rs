use serde_json::json;

use super::*;

fn read(sent: &Value) -> (ClientMetadata, Vec<String>) {
    let mut faults = Vec::new();
    let read = ClientMetadata::read(sent.as_object().unwrap(), &mut faults);
    (read, faults.iter().map(ToString::to_string).collect())
}

/// RFC 7591 section 2: what is not understood is ignored; RFC 7592 section 2.2: null is nothing.
#[test]
fn what_is_not_known_is_ignored() {
    let (read, faults) = read(&json!({
        "client_id": "mine", "client_secret": "mine", "software_statement": "e30.e30.e30", "whatever": [{"a": 1}],
        "consent": "none", "audience": ["https://api.example.org"], "grant_types": null, "scope": null,
        "tls_client_certificate_bound_access_tokens": false,
    }));
    assert_eq!(read, ClientMetadata::default());
    assert!(faults.is_empty(), "{faults:?}");
}

/// Each piece of a wrong type is told, by its name and with what it has to be.
#[test]
fn every_wrong_type_is_told() {
    for name in [
        "application_type",
        "token_endpoint_auth_method",
        "scope",
        "client_name",
        "client_name#fr",
        "logo_uri",
        "client_uri",
        "policy_uri",
        "tos_uri",
        "initiate_login_uri",
        "id_token_signed_response_alg",
        "subject_type",
        "sector_identifier_uri",
        "software_id",
        "software_version",
    ] {
        for value in [
            json!(1),
            json!(true),
            json!(["x"]),
            json!({}),
            json!(""),
            json!("a\u{1b}b"),
            json!("x".repeat(2049)),
        ] {
            let (_, faults) = read(&json!({name: value}));
            assert_eq!(faults.len(), 1, "{name} {value}: {faults:?}");
            assert!(
                faults[0].starts_with(&format!("{name} must be a text")),
                "{faults:?}"
            );
        }
    }
    for name in [
        "redirect_uris",
        "post_logout_redirect_uris",
        "grant_types",
        "response_types",
        "contacts",
        "default_acr_values",
    ] {
        for (value, at) in [
            (json!("x"), ""),
            (json!({"0": "x"}), ""),
            (json!(["code", 1]), "[1]"),
            (json!([["code"]]), "[0]"),
            (json!(["code", "a\u{0}b"]), "[1]"),
            (json!(vec!["code"; 33]), ""),
        ] {
            let (_, faults) = read(&json!({name: value}));
            assert!(!faults.is_empty(), "{name} {value}");
            assert!(
                faults[0].starts_with(&format!("{name}{at} must ")),
                "{faults:?}"
            );
        }
    }
    for (name, value) in [
        ("default_max_age", json!("1")),
        ("default_max_age", json!(1.5)),
        ("default_max_age", json!(u64::MAX)),
        ("require_auth_time", json!("true")),
        ("require_auth_time", json!(1)),
    ] {
        assert_eq!(read(&json!({name: value})).1.len(), 1, "{name} {value}");
    }
    for (name, value) in [
        ("application_type", "desktop"),
        ("token_endpoint_auth_method", "tls_client_auth"),
        ("subject_type", "Public"),
        ("id_token_signed_response_alg", "none"),
        ("id_token_signed_response_alg", "HS256"),
    ] {
        let (_, faults) = read(&json!({name: value}));
        assert!(
            faults[0].starts_with(&format!("{name} is not one of")),
            "{faults:?}"
        );
    }
    let (_, faults) = read(
        &json!({"grant_types": ["authorization_code", "magic", "more"], "response_types": ["coda"]}),
    );
    assert_eq!(faults.len(), 3, "{faults:?}");
}

/// A client that wants what is not done here is not told yes.
#[test]
fn what_a_client_would_rely_on_in_vain_is_refused() {
    for name in NOT_SUPPORTED {
        let (_, faults) = read(&json!({name: "RSA-OAEP"}));
        assert_eq!(
            faults,
            [format!("{name} is not supported here; leave it out")]
        );
    }
    for name in NOT_SUPPORTED_FLAGS {
        let (_, faults) = read(&json!({name: true}));
        assert_eq!(
            faults,
            [format!("{name} is not supported here; leave it out")]
        );
        assert!(read(&json!({name: false})).1.is_empty());
    }
}

/// RFC 7591 section 2.2.
#[test]
fn texts_come_in_several_languages() {
    let (metadata, faults) = read(&json!({
        "client_name": "App", "client_name#fr": "Appli", "client_name#zh-Hant-HK": "應用程式", "tos_uri#fr": "https://app.example.org/cgu",
        "contacts#fr": 1, "client_names#fr": 1,
    }));
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(metadata.texts.len(), 4);
    assert_eq!(metadata.texts["client_name#zh-Hant-HK"], "應用程式");
    for tag in ["", "-", "fr-", "f_r", "toolongsubtag", "fr#en", "fr "] {
        let (metadata, faults) = read(&json!({format!("client_name#{tag}"): "x"}));
        assert_eq!(faults.len(), 1, "{tag}");
        assert!(metadata.texts.is_empty(), "{tag}");
    }
}
