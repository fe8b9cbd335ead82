//! What each section refuses, and what it says then.

use super::{MINIMAL, assert_problem, load};

#[test]
fn a_misspelt_key_is_told_the_nearest_and_a_wrong_type_the_right_one() {
    for (section, key, text) in [
        ("[servr]", "servr", "did you mean server?"),
        (
            "listen = \"127.0.0.1:1\"",
            "upstreams[0].listen",
            "did you mean server.listen?",
        ),
        (
            "[server]\ntrusted-proxies = []",
            "server.trusted-proxies",
            "did you mean trusted_proxies?",
        ),
        (
            "[server]\nzebra = 1",
            "server.zebra",
            "write one of: listen",
        ),
        (
            "[server]\nlisten = 8080",
            "server.listen",
            "must be a string, not a whole number",
        ),
        (
            "[server]\nlisten = \"8080\"",
            "server.listen",
            "\"127.0.0.1:8080\"",
        ),
        (
            "[server]\ntls = true",
            "server.tls",
            "must be a table, not true or false",
        ),
        (
            "[log]\nformat = \"jsn\"",
            "log.format",
            "did you mean json?",
        ),
        (
            "[log]\nfilter = \"a=b=c\"",
            "log.filter",
            "info,portico=debug",
        ),
        (
            "[lifetimes]\nflow = \"10 parsecs\"",
            "lifetimes.flow",
            "\"10m\"",
        ),
        (
            "[lifetimes]\nflow = 600",
            "lifetimes.flow",
            "must be a duration with its unit",
        ),
    ] {
        assert_problem(&format!("{MINIMAL}{section}\n"), key, text);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_section_has_its_limits() {
    for (section, key, text) in [
        // FAPI 2.0 Security Profile section 5.3.2.2.
        (
            "[par]\nlifetime = \"10m\"",
            "par.lifetime",
            "between 10s and 599s",
        ),
        (
            "[audit]\ndatabase = false\n[log]\nfilter = \"info,portico::audit=off\"",
            "audit.database",
            "log.filter leaves portico::audit out",
        ),
        ("[par]\nlifetime = \"9s\"", "par.lifetime", "between 10s"),
        (
            "[dpop]\nwindow = \"301s\"",
            "dpop.window",
            "between 10s and 5m",
        ),
        (
            "[lifetimes]\nflow = \"1500ms\"",
            "lifetimes.flow",
            "whole seconds",
        ),
        (
            "[lifetimes]\naccess_token = \"30d\"",
            "lifetimes.access_token",
            "between 1m and 1d",
        ),
        (
            "[lifetimes]\nsession_idle = \"8d\"",
            "lifetimes.session_idle",
            "session_absolute (7d)",
        ),
        (
            "[lifetimes]\npersistent_session_absolute = \"20d\"",
            "lifetimes.persistent_session_idle",
            "persistent_session_absolute (20d)",
        ),
        (
            "[lifetimes]\nrefresh_idle = \"2y\"",
            "lifetimes.refresh_idle",
            "refresh_absolute",
        ),
        (
            "[lifetimes]\nfamilies_per_client = 0",
            "lifetimes.families_per_client",
            "between 1 and 1000",
        ),
        (
            "[lifetimes]\nfamilies_per_person = 0",
            "lifetimes.families_per_person",
            "between 1 and 10000",
        ),
        (
            "[lifetimes]\nsessions_per_person = 10001",
            "lifetimes.sessions_per_person",
            "between 1 and 10000",
        ),
        (
            "[login]\nmax_attempts = 0",
            "login.max_attempts",
            "locks an account",
        ),
        (
            "[login]\nmax_attempts_per_address = 1",
            "login.max_attempts_per_address",
            "share one address",
        ),
        (
            "[login]\nmax_attempts_per_client = 1",
            "login.max_attempts_per_client",
            "into one app",
        ),
        (
            "[login]\nrefusal_floor = \"1m\"",
            "login.refusal_floor",
            "5s",
        ),
        ("[keys]\nalgorithms = []", "keys.algorithms", "is empty"),
        (
            "[keys]\nalgorithms = [\"HS256\"]",
            "keys.algorithms[0]",
            "RS256",
        ),
        ("[keys]\nannounce = \"15m\"", "keys.announce", "between 16m"),
        (
            "[keys]\nrotate_every = \"1h\"",
            "keys.rotate_every",
            "between 1d",
        ),
        (
            "[keys]\nrotate_every = \"often\"",
            "keys.rotate_every",
            "such as",
        ),
        (
            "[keys]\nannounce = \"20d\"\nrotate_every = \"30d\"",
            "keys.rotate_every",
            "40d",
        ),
        (
            "[keys]\nmaster_key = { env = \"SHORT\" }",
            "keys.master_key",
            "openssl rand",
        ),
        (
            "[keys]\nmaster_key = { env = \"MASTER_KEY\" }\nmaster_key_file = \"x\"",
            "keys.master_key_file",
            "keep one",
        ),
        (
            "[database]\nurl = \"mysql://db\"",
            "database.url",
            "sqlite: or postgres://",
        ),
        (
            "[database]\nurl = { env = \"DATABASE\" }",
            "keys.master_key",
            "PostgreSQL",
        ),
        (
            "[outbound]\nallow_hosts = [\"https://x\"]",
            "outbound.allow_hosts[0]",
            "no scheme",
        ),
        (
            "[outbound]\nallow_hosts = [\"*.intranet.example.org\"]",
            "outbound.allow_hosts[0]",
            "wildcard",
        ),
        (
            "[outbound]\nallow_hosts = [\"intranet.example.org.\"]",
            "outbound.allow_hosts[0]",
            "dot at the end",
        ),
        (
            "[outbound]\nextra_ca = [\"missing.pem\"]",
            "outbound.extra_ca[0]",
            "cannot be read",
        ),
        ("[brand]\nname = \"\"", "brand.name", "is empty"),
        (
            "[server]\ninternal_listen = \"127.0.0.1:8080\"",
            "server.internal_listen",
            "one of their own",
        ),
        (
            "[server]\ntrusted_proxies = [\"10.0.0.0/40\"]",
            "server.trusted_proxies[0]",
            "must be a network",
        ),
    ] {
        assert_problem(&format!("{MINIMAL}{section}\n"), key, text);
    }
}

/// T18, and everything else that `[registration]` may say.
#[test]
fn the_policy_of_registration_is_checked() {
    use portico::model::client::ConsentPolicy;
    use portico::model::registration::RegistrationMode;

    let plain = load(MINIMAL).unwrap().registration;
    assert_eq!(plain.mode, RegistrationMode::Off);
    assert_eq!(plain.consent, ConsentPolicy::Once);
    assert_eq!(
        plain.scope.to_string(),
        "address email offline_access openid phone profile"
    );
    assert_eq!((plain.max_clients, plain.max_per_address), (1000, 20));
    assert_eq!(plain.unused, Some(30 * 24 * 60 * 60));
    let section = |lines: &str| format!("{MINIMAL}\n[registration]\n{lines}\n");
    let never = load(&section("unused = \"never\"")).unwrap();
    assert_eq!(never.registration.unused, None);
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    for (lines, key, text) in [
        ("mode = \"closed\"", "mode", "initial_access_token"),
        (
            "redirect_hosts = [\"https://example.org\"]",
            "redirect_hosts[0]",
            "a host in lower case",
        ),
        (
            "redirect_hosts = [\"*.example.org\"]",
            "redirect_hosts[0]",
            "wildcard",
        ),
        (
            "redirect_hosts = [\"Example.org\"]",
            "redirect_hosts[0]",
            "lower case",
        ),
        (
            "scope = \"openid upstream:members\"",
            "scope",
            "never for clients that register themselves",
        ),
        ("scope = \"\"", "scope", "is empty"),
        (
            &format!("grant_types = [\"{exchange}\"]"),
            "grant_types[0]",
            "never for clients that register themselves",
        ),
        (
            "token_endpoint_auth_methods = []",
            "token_endpoint_auth_methods",
            "is empty",
        ),
        ("upstreams = []", "upstreams", "nobody could log in"),
        (
            "upstreams = [\"nowhere\"]",
            "upstreams[0]",
            "not the id of an upstream",
        ),
        ("consent = \"never\"", "consent", "once"),
        ("max_clients = 0", "max_clients", "between 1"),
        ("max_per_address = -1", "max_per_address", "between 1"),
        ("unused = \"1s\"", "unused", "between 1h"),
        ("unused = \"often\"", "unused", "\"never\""),
    ] {
        assert_problem(&section(lines), &format!("registration.{key}"), text);
    }
    let open = load(&section("mode = \"open\"\nconsent = \"none\"")).unwrap();
    assert_eq!(open.warnings.len(), 2, "{:?}", open.warnings);
    let named = load(&section(
        "mode = \"open\"\nredirect_hosts = [\"example.org\"]",
    ))
    .unwrap();
    assert!(named.warnings.is_empty(), "{:?}", named.warnings);
}
