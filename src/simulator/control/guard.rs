//! Who may use the control: people and programs on this machine, through names of this machine, and no site of another origin.

use std::net::SocketAddr;

use url::{Host, Url};

use crate::simulator::wire::{Recorded, Reply};

/// Lets a request pass, or refuses it.
pub(super) fn check(request: &Recorded, peer: SocketAddr, hosts: &[String]) -> Result<(), Reply> {
    let refused = |reason: &str| Err(Reply::text(403, reason));
    if hosts.is_empty() && !peer.ip().to_canonical().is_loopback() {
        return refused("The control is for this machine only.");
    }
    let host = request.header("host").unwrap_or_default();
    if !is_known(host, hosts) {
        // A page of another site, whose name was made to resolve to this machine, would be of one origin with us.
        return refused("The control is not reached under this name.");
    }
    if request.method != "POST" {
        return Ok(());
    }
    let from_form = request
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if !is_json(request) && !from_form {
        return Err(Reply::text(
            415,
            "Send a form of the control's own pages, or JSON.",
        ));
    }
    let site = request.header("sec-fetch-site");
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return refused("A change must come from the control's own pages.");
    }
    let own = |origin: &str| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    match request.header("origin") {
        Some(origin) if own(origin) => Ok(()),
        // Programs send none. Browsers send it with every form, and could not send JSON to another origin unasked.
        None if is_json(request) => Ok(()),
        _ => refused("A change must come from the control's own pages."),
    }
}

/// Whether the body says that it is JSON.
pub(super) fn is_json(request: &Recorded) -> bool {
    let kind = request.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// Whether a `Host` is a loopback name or address, or one that the operator named.
fn is_known(host: &str, hosts: &[String]) -> bool {
    let Ok(url) = Url::parse(&format!("http://{host}/")) else {
        return false;
    };
    let named = url.host_str().unwrap_or_default();
    if hosts.iter().any(|known| known.eq_ignore_ascii_case(named)) {
        return true;
    }
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{check, is_known};
    use crate::simulator::wire::Recorded;

    fn asked(host: &str) -> Recorded {
        Recorded {
            method: "GET".to_owned(),
            headers: vec![("host".to_owned(), host.to_owned())],
            ..Recorded::default()
        }
    }

    #[test]
    fn other_machines_are_refused_until_the_operator_names_a_host() {
        let hosts = vec!["sim.example".to_owned()];
        for (peer, host, hosts, passes) in [
            ("127.0.0.1:9", "localhost", &[][..], true),
            ("[::1]:9", "[::1]:8080", &[], true),
            ("[::ffff:127.0.0.1]:9", "127.0.0.1", &[], true),
            ("192.0.2.1:9", "localhost", &[], false),
            ("192.0.2.1:9", "127.0.0.1:80", &[], false),
            ("192.0.2.1:9", "sim.example:80", &hosts, true),
            ("192.0.2.1:9", "other.example", &hosts, false),
            ("127.0.0.1:9", "localhost", &hosts, true),
        ] {
            let answer = check(&asked(host), peer.parse().unwrap(), hosts);
            assert_eq!(answer.is_ok(), passes, "{peer} {host}");
            assert!(answer.is_ok() || answer.is_err_and(|refused| refused.status == 403));
        }
    }

    #[test]
    fn only_names_of_this_machine_are_known() {
        for host in [
            "localhost",
            "LOCALHOST:80",
            "imis.localhost:1",
            "127.0.0.1",
            "127.1.2.3:4",
            "[::1]",
        ] {
            assert!(is_known(host, &[]), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evillocalhost",
            "10.0.0.1",
            "[::]",
            "0.0.0.0",
            "localhost@evil.example",
            "a b",
            "evil.example#localhost",
        ] {
            assert!(!is_known(host, &[]), "{host}");
        }
    }
}
