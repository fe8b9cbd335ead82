//! What each section refuses, and what it says then.

use super::{MINIMAL, assert_problem};

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
fn every_section_has_its_limits() {
    for (section, key, text) in [
        // FAPI 2.0 Security Profile section 5.3.2.2.
        (
            "[par]\nlifetime = \"10m\"",
            "par.lifetime",
            "between 10s and 599s",
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
