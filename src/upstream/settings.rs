//! What the settings of all adapters have in common: how a problem is told, and the rules for addresses and durations.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize as _, Deserializer, de};
use url::{Host, Url};

use super::LoginMethod;
use crate::protocol::claims::{self, RESERVED};
use crate::protocol::secret::Secret;

/// Something in an adapter's settings that an administrator has to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingProblem {
    /// Which key, from the upstream's entry on: `people[2].id`.
    pub key: String,
    /// What is wrong and what to write instead.
    pub problem: String,
}

/// Why an adapter could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings are not usable; `Settings::problems` was not asked before.
    #[error("{}: {}", .0.key, .0.problem)]
    Setting(SettingProblem),
    /// This kind of upstream cannot do that.
    #[error("login: {kind} does not offer {method:?}")]
    Method {
        /// The kind, as in the config.
        kind: &'static str,
        /// The way to log in.
        method: LoginMethod,
    },
}

/// Refuses what `open` must not be called with: the first problem, or a way to log in that the kind does not have.
pub(super) fn check_open(
    kind: &'static str,
    methods: &[LoginMethod],
    login: &[LoginMethod],
    problems: Vec<SettingProblem>,
) -> Result<(), OpenError> {
    if let Some(problem) = problems.into_iter().next() {
        return Err(OpenError::Setting(problem));
    }
    match login.iter().find(|method| !methods.contains(method)) {
        Some(method) => Err(OpenError::Method {
            kind,
            method: *method,
        }),
        None => Ok(()),
    }
}

/// What a claim's name is made of; a colon, dots and slashes for names that are addresses (RFC 7519 section 4.2).
pub(super) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte)
}

/// Gathers problems, so that all are told at once.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<SettingProblem>);

impl Problems {
    pub(super) fn add(&mut self, key: impl Into<String>, problem: impl Into<String>) {
        self.0.push(SettingProblem {
            key: key.into(),
            problem: problem.into(),
        });
    }

    pub(super) fn into_vec(self) -> Vec<SettingProblem> {
        self.0
    }

    /// Text that has to be there, without space around it.
    pub(super) fn text(&mut self, key: impl Into<String>, value: &str) {
        if value.is_empty() {
            self.add(key, "must not be empty");
        } else if value.trim() != value || value.chars().any(char::is_control) {
            self.add(
                key,
                "has white space around it, or a control character; write it without",
            );
        }
    }

    /// The name that an administrator gives to a claim; whether it can be had.
    pub(super) fn claim_name(&mut self, key: &str, name: &str) -> bool {
        let problem = if RESERVED.contains(&name) {
            "is a name that tokens use themselves; choose another"
        } else if !claims::is_name(name) {
            "must be named with 1 to 256 visible ASCII characters without spaces"
        } else {
            return true;
        };
        self.add(key, problem);
        false
    }

    /// A secret that has to be there.
    pub(super) fn secret(&mut self, key: impl Into<String>, secret: &Secret) {
        if secret.expose().is_empty() {
            self.add(key, "the secret is empty; look at what env or file names");
        }
    }

    /// The address of an upstream's API, to which passwords go (T37).
    pub(super) fn base_url(&mut self, key: &str, url: &Url, allow_insecure: bool) {
        self.web_url(key, url);
        if url.query().is_some() || url.fragment().is_some() {
            self.add(
                key,
                "must not have a query or a fragment; write the address up to its path",
            );
        }
        if url.scheme() == "http" && !allow_insecure && !is_loopback(url) {
            self.add(
                key,
                "passwords would travel unencrypted; write https://, or set \
                 allow_insecure_upstream = true if the network between is yours alone",
            );
        }
    }

    /// An address that browsers are sent to.
    pub(super) fn web_url(&mut self, key: &str, url: &Url) {
        if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
            self.add(key, "must begin with https://");
        }
        if !url.username().is_empty() || url.password().is_some() {
            self.add(
                key,
                "must not hold a user name or password; it is shown in logs",
            );
        }
    }

    /// How long to wait for the upstream's answer.
    pub(super) fn timeout(&mut self, key: &str, timeout: Duration) {
        if timeout < Duration::from_millis(100) || timeout > Duration::from_mins(2) {
            self.add(
                key,
                "must be between \"100ms\" and \"2m\"; a person is waiting",
            );
        }
    }
}

/// Whether nothing sent there leaves the machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// An address below `base`, whatever path that has. The segments are percent-encoded; `.` and `..` among them
/// would be left out, so whoever passes what others wrote has to look at what comes back.
pub(super) fn below<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// Reads a duration such as `"10s"`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|_| {
        de::Error::custom(format!(
            "{text:?} is not a duration; write for example \"10s\" or \"2m\""
        ))
    })
}

/// How long a person waits for an upstream when nothing else is configured.
pub(super) const fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(url: &str, allow_insecure: bool) -> usize {
        let mut problems = Problems::default();
        problems.base_url("base_url", &Url::parse(url).unwrap(), allow_insecure);
        problems.into_vec().len()
    }

    /// T37.
    #[test]
    fn plain_http_goes_to_this_machine_only_unless_allowed() {
        for fine in [
            "https://a.example/x",
            "http://127.0.0.1:8080",
            "http://[::1]/",
            "http://localhost",
        ] {
            assert_eq!(problems(fine, false), 0, "{fine}");
        }
        for refused in [
            "http://a.example",
            "http://10.0.0.1",
            "http://localhost.example",
            "ftp://a.example",
        ] {
            assert_eq!(problems(refused, false), 1, "{refused}");
        }
        assert_eq!(problems("http://a.example", true), 0);
        assert_eq!(problems("https://u:p@a.example/?x#y", false), 2);
    }

    #[test]
    fn an_address_keeps_the_path_of_its_base() {
        for base in [
            "https://a.example/Asi.Scheduler_X",
            "https://a.example/Asi.Scheduler_X/",
        ] {
            let url = below(&Url::parse(base).unwrap(), ["api", "a/b c"]);
            assert_eq!(
                url.as_str(),
                "https://a.example/Asi.Scheduler_X/api/a%2Fb%20c"
            );
        }
    }
}
