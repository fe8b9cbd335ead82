use super::*;

fn policy() -> RegistrationPolicy {
    RegistrationPolicy {
        allow_token_endpoint_audience: false,
        mode: RegistrationMode::Open,
        redirect_hosts: Vec::new(),
        scope: Scope::parse("openid profile email offline_access").unwrap(),
        grant_types: [
            GrantType::AuthorizationCode,
            GrantType::RefreshToken,
            GrantType::ClientCredentials,
        ]
        .into(),
        token_endpoint_auth_methods: ClientAuthMethod::ALL.to_vec(),
        upstreams: [UpstreamId::new("members")].into(),
        consent: ConsentPolicy::Once,
        max_clients: 10,
        max_per_address: 10,
        unused: None,
        fetch_allowed_hosts: false,
        show_logos: false,
        algorithms: vec![SigningAlgorithm::ES256, SigningAlgorithm::RS256],
    }
}

/// The client that the policy makes of what was sent, or its faults.
fn admit(policy: &RegistrationPolicy, sent: &Value) -> Result<Client, Vec<String>> {
    let mut faults = Vec::new();
    let metadata = ClientMetadata::read(sent.as_object().unwrap(), &mut faults);
    let client = policy.admit(ClientId::new("id"), metadata, &mut faults);
    if faults.is_empty() {
        Ok(client)
    } else {
        Err(faults.iter().map(ToString::to_string).collect())
    }
}

/// `more` beside a good address.
fn with(more: &Value) -> Value {
    let mut sent = json!({"redirect_uris": ["https://app.example.org/cb"]});
    let fields = more.as_object().unwrap().clone();
    sent.as_object_mut().unwrap().extend(fields);
    sent
}

fn fault(more: &Value) -> String {
    let faults = admit(&policy(), &with(more)).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.into_iter().next().unwrap()
}

/// OpenID Connect Dynamic Registration section 2, RFC 7591 section 2: what is meant where nothing is said.
#[test]
fn the_defaults_are_those_of_the_specifications() {
    let client = admit(&policy(), &with(&json!({}))).unwrap();
    let told = Value::Object(metadata_of(&client));
    let expected = json!({
        "application_type": "web",
        "redirect_uris": ["https://app.example.org/cb"],
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "scope": "email openid profile",
        "id_token_signed_response_alg": "RS256",
        "subject_type": "public",
    });
    assert_eq!(told, expected);
    let only = RegistrationPolicy {
        algorithms: vec![SigningAlgorithm::ES256],
        ..policy()
    };
    let client = admit(&only, &with(&json!({}))).unwrap();
    assert_eq!(client.id_token_signed_response_alg, SigningAlgorithm::ES256);
}

/// What is registered is told as it was sent.
#[test]
fn everything_that_is_registered_is_told() {
    let sent = json!({
        "application_type": "web",
        "redirect_uris": ["https://app.example.org/cb?x=1", "https://app.example.org/other"],
        "post_logout_redirect_uris": ["https://app.example.org/bye"],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "scope": "offline_access openid",
        "client_name": "App", "client_name#fr": "Appli",
        "client_uri": "https://app.example.org/", "logo_uri": "https://app.example.org/logo.png",
        "policy_uri": "https://app.example.org/policy", "tos_uri": "https://app.example.org/tos",
        "tos_uri#zh-Hant": "https://app.example.org/zh/tos",
        "contacts": ["admin@app.example.org"],
        "initiate_login_uri": "https://app.example.org/login",
        "default_max_age": 3600, "require_auth_time": true, "default_acr_values": ["urn:example:gold"],
        "id_token_signed_response_alg": "ES256", "subject_type": "pairwise",
        "userinfo_signed_response_alg": "ES256", "introspection_signed_response_alg": "RS256",
        "software_id": "4NRB1-0XZABZI9E6-5SM3R", "software_version": "2.1",
    });
    let client = admit(&policy(), &sent).unwrap();
    assert_eq!(Value::Object(metadata_of(&client)), sent);
    let sector = "app.example.org".to_owned();
    assert_eq!(client.subject_type, SubjectType::Pairwise { sector });
    assert!(client.require_pkce);
}

/// The table of OpenID Connect Dynamic Registration section 2, and RFC 7591 section 2.1.
#[test]
fn grants_and_answers_go_together() {
    for (more, told) in [
        (json!({"grant_types": []}), "grant_types is empty"),
        (
            json!({"grant_types": ["refresh_token"], "response_types": []}),
            "refresh_token alone",
        ),
        (json!({"response_types": []}), "response_types is empty"),
        (
            json!({"grant_types": ["client_credentials"], "response_types": ["code"]}),
            "people log in to",
        ),
        (
            json!({"grant_types": ["authorization_code", "client_credentials"], "token_endpoint_auth_method": "none"}),
            "keep a secret",
        ),
        (json!({"scope": "openid offline_access"}), "offline_access"),
        (
            json!({"response_types": ["code id_token"], "scope": "profile"}),
            "openid",
        ),
    ] {
        let fault = fault(&more);
        assert!(fault.contains(told), "{more}: {fault}");
    }
    let faults = admit(&policy(), &json!({})).unwrap_err();
    assert!(
        faults[0].starts_with("redirect_uris is missing"),
        "{faults:?}"
    );
    let service = json!({"grant_types": ["client_credentials"]});
    let client = admit(&policy(), &service).unwrap();
    assert!(client.response_types.is_empty());
    assert_eq!(metadata_of(&client)["response_types"], json!([]));
}

/// OpenID Connect Dynamic Registration section 2, `application_type`; T1 to T4 in what may be registered at all.
#[test]
fn addresses_fit_the_type_of_the_application() {
    let uris = |kind: Option<&str>, uri: &str, answer: &str| json!({"application_type": kind, "redirect_uris": [uri], "response_types": [answer]});
    for (kind, uri, answer, good) in [
        (
            Some("web"),
            "https://app.example.org/cb",
            "code id_token",
            true,
        ),
        (Some("web"), "http://localhost/cb", "code", true),
        (Some("web"), "http://localhost/cb", "code id_token", false),
        (Some("web"), "https://localhost/cb", "code id_token", false),
        (Some("web"), "https://127.0.0.1/cb", "code id_token", false),
        (Some("web"), "com.example.app:/cb", "code", false),
        (Some("native"), "com.example.app:/cb", "code", true),
        (Some("native"), "http://localhost:1234/cb", "code", true),
        (Some("native"), "http://127.0.0.1/cb", "code", true),
        (Some("native"), "http://[::1]/cb", "code", true),
        (Some("native"), "https://app.example.org/cb", "code", false),
        (Some("native"), "https://localhost/cb", "code", false),
        (None, "com.example.app:/cb", "code", true),
        (None, "http://127.0.0.1:1/cb", "code", true),
        (None, "https://app.example.org/cb", "code id_token", true),
        (Some("web"), "http://app.example.org/cb", "code", false),
        (Some("web"), "https://app.example.org/cb#x", "code", false),
        (Some("web"), "https://app.example.org*", "code", false),
        (Some("web"), "https://good@evil.example/cb", "code", false),
        (Some("native"), "app:/cb", "code", false),
        (Some("native"), "javascript:alert(1)", "code", false),
        (Some("native"), "Data:text/html,x", "code", false),
    ] {
        let sent = uris(kind, uri, answer);
        let outcome = admit(&policy(), &sent);
        assert_eq!(
            outcome.is_ok(),
            good,
            "{kind:?} {uri} {answer}: {outcome:?}"
        );
        if let Err(faults) = outcome {
            assert!(faults[0].starts_with("redirect_uris[0] "), "{faults:?}");
        }
    }
    let settled = |uri: &str| {
        let client = admit(&policy(), &json!({"redirect_uris": [uri]})).unwrap();
        client.about.application_type
    };
    assert_eq!(
        settled("com.example.app:/cb"),
        Some(ApplicationType::Native)
    );
    assert_eq!(
        settled("https://app.example.org/cb"),
        Some(ApplicationType::Web)
    );
    let mixed = json!({"redirect_uris": ["https://app.example.org/cb", "com.example.app:/cb"]});
    let faults = admit(&policy(), &mixed).unwrap_err();
    assert!(faults[0].starts_with("redirect_uris[1] "), "{faults:?}");
}

/// T4: nothing that we would link to leads anywhere but to a page.
#[test]
fn pages_are_pages() {
    for field in [
        "client_uri",
        "logo_uri",
        "policy_uri",
        "tos_uri",
        "tos_uri#fr",
    ] {
        for uri in [
            "javascript:alert(1)",
            "data:text/html,x",
            "http://app.example.org/",
            "com.example.app:/x",
            "/x",
            "app.example.org",
        ] {
            let fault = fault(&json!({field: uri}));
            assert!(fault.starts_with(&format!("{field} ")), "{fault}");
        }
    }
    assert!(fault(&json!({"sector_identifier_uri": "http://app.example.org/x"})).contains("https"));
    for field in ["initiate_login_uri"] {
        for uri in [
            "http://app.example.org/x",
            "http://localhost/x",
            "https://app.example.org/x#y",
            "com.example.app:/x",
        ] {
            let fault = fault(&json!({field: uri}));
            assert!(fault.starts_with(&format!("{field} ")), "{fault}");
        }
    }
    for name in [
        "  ",
        "\u{200b}",
        " \u{3164}\u{ad}",
        "\u{202e}evil",
        "a\u{2066}b",
        &"x".repeat(81),
    ] {
        assert!(fault(&json!({"client_name": name})).starts_with("client_name "));
        assert!(fault(&json!({"client_name#fr": name})).starts_with("client_name#fr "));
    }
    assert!(fault(&json!({"default_max_age": -1})).contains("0 or more"));
}

/// Nothing is promised that there is no key for.
#[test]
fn there_is_a_key_for_every_algorithm() {
    for field in [
        "id_token_signed_response_alg",
        "userinfo_signed_response_alg",
        "introspection_signed_response_alg",
    ] {
        let fault = fault(&json!({field: "PS256"}));
        assert_eq!(fault, format!("{field} is not one of: ES256, RS256"));
    }
}

/// OpenID Connect Core section 8.1.
#[test]
fn pairwise_subjects_have_one_sector() {
    let several = ["https://app.example.org/cb", "https://app.example.net/cb"];
    let pairwise = |uris: &[&str]| json!({"subject_type": "pairwise", "redirect_uris": uris});
    for uris in [
        &several[..],
        &["http://127.0.0.1/cb"],
        &["com.example.app:/cb"],
    ] {
        let faults = admit(&policy(), &pairwise(uris)).unwrap_err();
        assert!(
            faults[0].starts_with("sector_identifier_uri is missing"),
            "{faults:?}"
        );
    }
    let mut named = pairwise(&several);
    named["sector_identifier_uri"] = json!("https://sector.example.org/uris.json");
    let client = admit(&policy(), &named).unwrap();
    let sector = "sector.example.org".to_owned();
    assert_eq!(client.subject_type, SubjectType::Pairwise { sector });
    // Nothing would prove that whoever gets tokens by the device grant belongs to the sector.
    named["grant_types"] = json!(["authorization_code", DEVICE_GRANT]);
    let policy = RegistrationPolicy {
        grant_types: [GrantType::AuthorizationCode, GrantType::DeviceCode].into(),
        ..policy()
    };
    let faults = admit(&policy, &named).unwrap_err();
    assert!(
        faults[0].starts_with("subject_type cannot be pairwise"),
        "{faults:?}"
    );
}

const DEVICE_GRANT: &str = GrantType::DeviceCode.as_str();

/// What the policy does not allow.
#[test]
fn a_policy_keeps_out_what_it_does_not_name() {
    let narrow = RegistrationPolicy {
        grant_types: [GrantType::AuthorizationCode].into(),
        token_endpoint_auth_methods: vec![ClientAuthMethod::None],
        redirect_hosts: vec!["example.org".to_owned(), "localhost".to_owned()],
        scope: Scope::parse("openid").unwrap(),
        ..policy()
    };
    let public =
        |uris: &[&str]| json!({"redirect_uris": uris, "token_endpoint_auth_method": "none"});
    for uri in [
        "https://example.org/cb",
        "https://a.b.example.org/cb",
        "org.example.app:/cb",
        "http://localhost:1/cb",
    ] {
        let client = admit(&narrow, &public(&[uri])).unwrap();
        assert_eq!(client.scope.to_string(), "openid");
    }
    for uri in [
        "https://notexample.org/cb",
        "https://example.org.evil.example/cb",
        "https://example.com/cb",
        "com.example.app:/cb",
        "org.notexample.app:/cb",
        "http://127.0.0.1/cb",
    ] {
        let faults = admit(&narrow, &public(&[uri])).unwrap_err();
        assert!(faults[0].contains("the host"), "{uri}: {faults:?}");
    }
    let mut elsewhere = public(&["https://example.org/cb"]);
    elsewhere["post_logout_redirect_uris"] = json!(["https://evil.example/"]);
    let faults = admit(&narrow, &elsewhere).unwrap_err();
    assert!(
        faults[0].starts_with("post_logout_redirect_uris "),
        "{faults:?}"
    );
    let mut elsewhere = public(&["https://example.org/cb"]);
    elsewhere["initiate_login_uri"] = json!("https://evil.example/");
    let faults = admit(&narrow, &elsewhere).unwrap_err();
    assert!(faults[0].starts_with("initiate_login_uri "), "{faults:?}");
    let faults = admit(
        &narrow,
        &with(&json!({"grant_types": ["authorization_code", "refresh_token"]})),
    )
    .unwrap_err();
    assert_eq!(faults.len(), 2, "{faults:?}");
    let mut greedy = public(&["https://example.org/cb"]);
    greedy["scope"] = json!("openid profile membership upstream:members");
    assert_eq!(admit(&narrow, &greedy).unwrap().scope.to_string(), "openid");
    greedy["scope"] = json!("upstream:members");
    assert!(admit(&narrow, &greedy).unwrap_err()[0].starts_with("scope "));
}

/// What a policy takes back, it takes from those that are registered already.
#[test]
fn a_policy_holds_for_those_that_are_registered() {
    let client = admit(&policy(), &with(&json!({"scope": "openid email"}))).unwrap();
    assert_eq!(policy().hold(&client), client);
    let stricter = RegistrationPolicy {
        upstreams: [UpstreamId::new("staff")].into(),
        consent: ConsentPolicy::Always,
        scope: Scope::parse("openid profile").unwrap(),
        ..policy()
    };
    let held = stricter.hold(&client);
    assert_eq!(held.upstreams, Some([UpstreamId::new("staff")].into()));
    assert_eq!(held.consent, ConsentPolicy::Always);
    assert_eq!(held.scope.to_string(), "openid");
    assert_eq!(held.redirect_uris, client.redirect_uris);
}

/// What a client that registered itself has no more, and gets back.
#[test]
fn what_a_policy_withholds_the_next_gives_back() {
    let sent = with(&json!({
        "redirect_uris": ["https://app.example.org/cb", "https://other.example.com/cb"],
        "post_logout_redirect_uris": ["https://other.example.com/bye"],
        "backchannel_logout_uri": "https://other.example.com/out",
        "frontchannel_logout_uri": "https://app.example.org/frame",
        "initiate_login_uri": "https://other.example.com/login",
        "token_endpoint_auth_method": "client_secret_post",
        "grant_types": ["authorization_code", "implicit", "refresh_token"],
        "response_types": ["code", "code id_token", "id_token"],
        "scope": "openid email",
    }));
    let loose = RegistrationPolicy {
        grant_types: [
            GrantType::AuthorizationCode,
            GrantType::Implicit,
            GrantType::RefreshToken,
        ]
        .into(),
        ..policy()
    };
    let client = admit(&loose, &sent).unwrap();
    let stricter = RegistrationPolicy {
        redirect_hosts: vec!["example.org".to_owned()],
        grant_types: [GrantType::AuthorizationCode].into(),
        token_endpoint_auth_methods: vec![ClientAuthMethod::PrivateKeyJwt],
        scope: Scope::parse("openid").unwrap(),
        ..policy()
    };
    let held = stricter.hold(&client);
    let told = Value::Object(metadata_of(&held));
    for (name, left) in [
        ("redirect_uris", json!(["https://app.example.org/cb"])),
        ("post_logout_redirect_uris", Value::Null),
        ("backchannel_logout_uri", Value::Null),
        (
            "frontchannel_logout_uri",
            json!("https://app.example.org/frame"),
        ),
        ("initiate_login_uri", Value::Null),
        ("token_endpoint_auth_method", json!("client_secret_post")),
        ("grant_types", json!(["authorization_code"])),
        ("response_types", json!(["code", "code id_token"])),
        ("scope", json!("openid")),
    ] {
        assert_eq!(told[name], left, "{name}");
    }
    assert!(held.lacks_auth_method());
    assert!(held.is_withheld_redirect_uri("https://other.example.com/cb"));
    // As the store keeps it, and held again.
    let kept: Client = serde_json::from_value(serde_json::to_value(&held).unwrap()).unwrap();
    assert_eq!(stricter.hold(&kept), held);
    let otherwise = RegistrationPolicy {
        grant_types: [GrantType::Implicit].into(),
        redirect_hosts: vec!["example.com".to_owned()],
        ..policy()
    };
    let between = otherwise.hold(&kept);
    assert_eq!(between.grant_types, [GrantType::Implicit].into());
    assert_eq!(between.redirect_uris, [client.redirect_uris[1].clone()]);
    assert!(!between.lacks_auth_method());
    assert_eq!(loose.hold(&between), client);
    let nothing = RegistrationPolicy {
        grant_types: [GrantType::ClientCredentials].into(),
        ..policy()
    };
    let told = metadata_of(&nothing.hold(&client));
    assert_eq!(told["grant_types"], json!([]));
    assert_eq!(told["response_types"], json!([]));
    // Whoever has to change what is said above raises this.
    assert_eq!(held::RULES, 1);
}

/// What [`RegistrationPolicy::hold`] looks at is another policy, and what it does not is the same: a start goes by that.
#[test]
fn policies_that_hold_otherwise_have_other_fingerprints() {
    let plain = policy();
    let others = [
        RegistrationPolicy {
            redirect_hosts: vec!["example.org".to_owned()],
            ..policy()
        },
        RegistrationPolicy {
            scope: Scope::parse("openid").unwrap(),
            ..policy()
        },
        RegistrationPolicy {
            grant_types: [GrantType::AuthorizationCode].into(),
            ..policy()
        },
        RegistrationPolicy {
            token_endpoint_auth_methods: vec![ClientAuthMethod::PrivateKeyJwt],
            ..policy()
        },
        RegistrationPolicy {
            allow_token_endpoint_audience: true,
            ..policy()
        },
        RegistrationPolicy {
            upstreams: [UpstreamId::new("staff")].into(),
            ..policy()
        },
        RegistrationPolicy {
            consent: ConsentPolicy::Always,
            ..policy()
        },
    ];
    let sent = json!({"redirect_uris": ["https://other.example.com/cb"], "grant_types": ["authorization_code", "refresh_token"]});
    let client = admit(&plain, &with(&sent)).unwrap();
    let mut known = BTreeSet::from([plain.fingerprint()]);
    for other in others {
        assert_ne!(other.hold(&client), client, "{other:?}");
        assert!(known.insert(other.fingerprint()), "{other:?}");
    }
    let mut methods = ClientAuthMethod::ALL.to_vec();
    methods.reverse();
    let hosts = |hosts: [&str; 2]| RegistrationPolicy {
        redirect_hosts: hosts.map(str::to_owned).to_vec(),
        ..policy()
    };
    let [one, two] = [
        hosts(["a.example", "b.example"]),
        hosts(["b.example", "a.example"]),
    ];
    assert_eq!(one.fingerprint(), two.fingerprint());
    let same = RegistrationPolicy {
        token_endpoint_auth_methods: methods,
        mode: RegistrationMode::Off,
        max_clients: 11,
        max_per_address: 11,
        unused: Some(1),
        fetch_allowed_hosts: true,
        show_logos: true,
        algorithms: vec![SigningAlgorithm::RS256],
        ..policy()
    };
    assert_eq!(same.hold(&client), client);
    assert_eq!(same.fingerprint(), plain.fingerprint());
}

/// T18, by hand: what is not the client's to say.
#[test]
fn nothing_privileged_can_be_set() {
    let sent = with(&json!({
        "client_id": "members-app", "consent": "none", "upstreams": ["staff"], "upstream_apis": ["members"],
        "upstream_tokens": ["members"], "service_tokens": ["members"], "audience": ["https://api.example.org"],
        "require_pkce": true, "require_groups": [], "require_claims": {}, "upstream_outage": "30d", "registered": false,
        "claims": {"admin": {"claim": "sub"}}, "sector_identifier": "members.example.org", "about": {"logo_uri": "x"},
        "client_secret": "chosen-by-the-client", "client_id_issued_at": 1, "software_statement": "e30.e30.e30",
    }));
    let plain = admit(&policy(), &with(&json!({}))).unwrap();
    assert_eq!(admit(&policy(), &sent).unwrap(), plain);
    let told = metadata_of(&plain);
    for name in sent
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| *name != "redirect_uris")
    {
        assert!(!told.contains_key(name), "{name}");
    }
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    let fault = fault(&json!({"grant_types": ["authorization_code", exchange]}));
    assert!(fault.contains("not allowed"), "{fault}");
}
