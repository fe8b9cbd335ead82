//! `[[upstreams]]`: the credential systems. A new adapter adds one variant to each of the two enums here.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};
use url::Url;

use super::api_rules;
use super::duration::Span;
use super::place::{Place, Report};
use super::reference;
use super::section;
use super::text::Translations;
use crate::model::account::RecheckPolicy;
use crate::model::acr::AcrPolicy;
use crate::model::api_rule::{ActsAs, ApiRule};
use crate::protocol::ids::UpstreamId;
use crate::protocol::locale::Label;
use crate::upstream::settings::SettingProblem;
use crate::upstream::{LoginMethod, aim18, imis, oidc, users};

/// A credential system.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// Its name, part of its callback URL.
    pub id: UpstreamId,
    /// What people see.
    pub label: Label,
    /// The ways to log in, in the order to offer them; never empty.
    pub login: Vec<LoginMethod>,
    /// What logins there prove.
    pub acr: AcrPolicy,
    /// How often its people are asked about anew.
    pub recheck: RecheckPolicy,
    /// What clients may do at its API.
    pub api: Vec<ApiRule>,
    /// What its adapter wants to know.
    pub settings: UpstreamSettings,
    /// What was written for the adapter and of its API, secrets masked; for [`super::Config::effective`] alone.
    pub written: Table,
}

/// What each kind of adapter wants to know.
#[derive(Clone, Debug)]
pub enum UpstreamSettings {
    /// ASI iMIS.
    Imis(imis::Settings),
    /// Multiable aiM18.
    Aim18(aim18::Settings),
    /// Any OpenID Provider.
    Oidc(oidc::Settings),
    /// People written into the config.
    Users(users::Settings),
}

/// `kind`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Imis,
    Aim18,
    Oidc,
    Users,
}

impl Kind {
    const fn methods(self) -> &'static [LoginMethod] {
        match self {
            Self::Imis => imis::METHODS,
            Self::Aim18 => aim18::METHODS,
            Self::Oidc => oidc::METHODS,
            Self::Users => users::METHODS,
        }
    }

    fn settings(self, table: Table, at: &Place, report: &mut Report) -> Option<UpstreamSettings> {
        match self {
            Self::Imis => {
                read(table, imis::Settings::problems, at, report).map(UpstreamSettings::Imis)
            }
            Self::Aim18 => {
                read(table, aim18::Settings::problems, at, report).map(UpstreamSettings::Aim18)
            }
            Self::Oidc => {
                read(table, oidc::Settings::problems, at, report).map(UpstreamSettings::Oidc)
            }
            Self::Users => {
                read(table, users::Settings::problems, at, report).map(UpstreamSettings::Users)
            }
        }
    }
}

impl UpstreamSettings {
    /// Whether there is an API to call.
    const fn has_api(&self) -> bool {
        matches!(self, Self::Imis(_) | Self::Aim18(_))
    }

    /// The word in the config.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Imis(_) => "imis",
            Self::Aim18(_) => "aim18",
            Self::Oidc(_) => "oidc",
            Self::Users(_) => "users",
        }
    }

    /// Whether logins give tokens that its API takes.
    pub const fn gives_tokens(&self) -> bool {
        !matches!(self, Self::Users(_))
    }

    /// Whether it has no account that acts for no person.
    pub const fn lacks_service_account(&self) -> bool {
        match self {
            Self::Imis(settings) => settings.service_account.is_none(),
            Self::Aim18(settings) => settings.service_account.is_none(),
            Self::Oidc(_) | Self::Users(_) => true,
        }
    }

    /// The address that it is at, if it is anywhere.
    pub fn base_url(&self) -> Option<Url> {
        match self {
            Self::Imis(settings) => Some(settings.base_url.clone()),
            Self::Aim18(settings) => Some(settings.base_url.clone()),
            Self::Oidc(settings) => Url::parse(&settings.issuer).ok(),
            Self::Users(_) => None,
        }
    }

    /// How long its answers are waited for, if it is asked over the network.
    pub const fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Imis(settings) => Some(settings.timeout),
            Self::Aim18(settings) => Some(settings.timeout),
            Self::Oidc(settings) => Some(settings.timeout),
            Self::Users(_) => None,
        }
    }
}

/// The keys that every kind has. They are taken out by hand before the adapter reads the rest: serde's `flatten`
/// would lose the check for unknown keys.
const COMMON: [&str; 9] = [
    "id",
    "kind",
    "label",
    "login",
    "acr",
    "recheck",
    "recheck_timeout",
    "recheck_sessions",
    "api",
];
const RECHECK: i64 = 5 * 60;
/// How old it may be where an app keeps a session of its own: an hour.
const RECHECK_SESSIONS: i64 = 60 * 60;
const RECHECK_TIMEOUT: i64 = 3;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    id: Option<String>,
    kind: Option<Kind>,
    label: Option<Translations>,
    login: Option<Vec<LoginMethod>>,
    acr: Option<String>,
    recheck: Option<String>,
    recheck_timeout: Option<Span>,
    recheck_sessions: Option<String>,
    api: Vec<api_rules::Raw>,
}

impl UpstreamConfig {
    /// Reads every entry; those with a mistake are left out.
    pub(super) fn read_all(entries: Vec<Value>, at: &Place, report: &mut Report) -> Vec<Self> {
        if entries.is_empty() {
            report.problem(
                at,
                "is missing; nobody can log in without an upstream: write [[upstreams]] with id, kind and what the kind needs",
            );
        }
        let mut upstreams: Vec<Self> = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let at = at.index(index);
            let Value::Table(table) = entry else {
                report.problem(&at, "must be a table: write [[upstreams]]");
                continue;
            };
            let Some(upstream) = Self::read(table, &at, report) else {
                continue;
            };
            if upstreams.iter().any(|other| other.id == upstream.id) {
                report.problem(
                    &at.key("id"),
                    "is the id of an earlier upstream; each needs its own",
                );
            }
            upstreams.push(upstream);
        }
        upstreams
    }

    fn read(mut table: Table, at: &Place, report: &mut Report) -> Option<Self> {
        let written_api = table.get("api").cloned();
        let common = COMMON
            .iter()
            .filter_map(|key| table.remove_entry(*key))
            .collect();
        let raw: Raw = section::read(Value::Table(common), at, report)?;
        let id = check_id(raw.id, &at.key("id"), report);
        let Some(kind) = raw.kind else {
            report.problem(
                &at.key("kind"),
                "is missing; write \"imis\", \"aim18\", \"oidc\" or \"users\"",
            );
            return None;
        };
        let login = check_login(raw.login, kind, &at.key("login"), report);
        let label = raw
            .label
            .and_then(|label| label.check_name(&at.key("label"), report));
        if let Some(acr) = &raw.acr {
            check_acr(acr, &at.key("acr"), report);
        }
        let written = (raw.recheck.as_deref(), raw.recheck_sessions.as_deref());
        let recheck = check_recheck(written, raw.recheck_timeout, at, report);
        let mut written = table.clone();
        reference::mask(&mut written);
        written.extend(written_api.map(|api| ("api".to_owned(), api)));
        let settings = kind.settings(table, at, report);
        if let Some(UpstreamSettings::Imis(imis)) = &settings {
            for SettingProblem { key, problem } in imis.login_problems(&login) {
                report.problem(&at.path(&key), problem);
            }
        }
        let api = api_rules::check(raw.api, &at.key("api"), report);
        if let Some(settings) = settings.as_ref().filter(|_| !api.is_empty()) {
            check_api(&api, settings, &at.key("api"), report);
        }
        let id = id?;
        let believed = match &settings {
            Some(UpstreamSettings::Oidc(oidc)) => oidc.acr_values.clone(),
            _ => Vec::new(),
        };
        for (index, acr) in believed.iter().enumerate() {
            check_acr(acr, &at.key("acr_values").index(index), report);
        }
        Some(Self {
            api,
            acr: AcrPolicy {
                every: raw.acr,
                believed,
            },
            label: label.unwrap_or_else(|| Label::plain(id.to_string())),
            id,
            login,
            recheck,
            settings: settings?,
            written,
        })
    }
}

/// Rules for an API that there is, as somebody that there is.
fn check_api(api: &[ApiRule], settings: &UpstreamSettings, at: &Place, report: &mut Report) {
    if !settings.has_api() {
        report.problem(
            at,
            "this kind of upstream has no API that Portico can call; remove it",
        );
    } else if settings.lacks_service_account()
        && api.iter().any(|rule| rule.acts_as == ActsAs::Service)
    {
        report.problem(
            at,
            "has a rule with acts_as = \"service\", and the upstream no service_account; write it, or remove the rule",
        );
    }
}

/// The id of an entry whatever else is wrong with it, so that clients may refer to it without a second problem.
pub(super) fn ids(entries: &[Value]) -> Vec<UpstreamId> {
    let id = |entry: &Value| entry.get("id")?.as_str().map(UpstreamId::new);
    entries.iter().filter_map(id).collect()
}

fn check_id(id: Option<String>, at: &Place, report: &mut Report) -> Option<UpstreamId> {
    let Some(id) = id else {
        report.problem(at, "is missing; write a short name, such as \"members\"");
        return None;
    };
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if id.is_empty() || id.len() > 32 || !id.bytes().all(allowed) {
        report.problem(
            at,
            "must be 1 to 32 lower-case letters, digits and hyphens; it is part of an address",
        );
        return None;
    }
    Some(UpstreamId::new(id))
}

/// A value is a word of a list with spaces between (OpenID Connect Core section 3.1.2.1).
fn check_acr(acr: &str, at: &Place, report: &mut Report) {
    let visible = acr.bytes().all(|byte| byte.is_ascii_graphic());
    if acr.is_empty() || acr.len() > 256 || !visible {
        report.problem(
            at,
            "must be 1 to 256 visible ASCII characters without spaces, such as \"urn:example:one-factor\"",
        );
    }
}

fn check_login(
    written: Option<Vec<LoginMethod>>,
    kind: Kind,
    at: &Place,
    report: &mut Report,
) -> Vec<LoginMethod> {
    let methods = kind.methods();
    let Some(login) = written else {
        return methods.iter().take(1).copied().collect();
    };
    if login.is_empty() {
        report.problem(
            at,
            "is empty, so nobody could log in; leave it out for the usual way",
        );
    }
    for (index, method) in login.iter().enumerate() {
        if !methods.contains(method) {
            report.problem(
                &at.index(index),
                "this kind of upstream does not offer that way to log in",
            );
        } else if login.iter().take(index).any(|earlier| earlier == method) {
            report.problem(&at.index(index), "stands here twice");
        }
    }
    login
}

fn check_recheck(
    (written, of_sessions): (Option<&str>, Option<&str>),
    timeout: Option<Span>,
    at: &Place,
    report: &mut Report,
) -> RecheckPolicy {
    let interval = check_interval(
        written,
        ((0, 86_400), RECHECK),
        "must be a duration such as \"5m\", \"0s\" for every time, or \"never\"",
        &at.key("recheck"),
        report,
    );
    let sessions = check_interval(
        of_sessions,
        ((300, 7 * 86_400), RECHECK_SESSIONS),
        "must be a duration such as \"1h\", or \"never\"",
        &at.key("recheck_sessions"),
        report,
    );
    let at = at.key("recheck_timeout");
    let seconds = timeout.map_or(RECHECK_TIMEOUT, |span| {
        span.seconds((1, 20), RECHECK_TIMEOUT, &at, report)
    });
    RecheckPolicy {
        interval,
        // Whoever is never asked about is not asked about here.
        sessions: sessions.filter(|_| interval.is_some()),
        timeout: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
    }
}

/// How often something is asked, in seconds; `None`: never. `otherwise` says what to write.
fn check_interval(
    written: Option<&str>,
    (limits, default): ((i64, i64), i64),
    otherwise: &str,
    at: &Place,
    report: &mut Report,
) -> Option<i64> {
    match (written, written.and_then(Span::parse)) {
        (None, _) => Some(default),
        (Some("never"), _) => None,
        (Some(_), Some(span)) => Some(span.seconds(limits, default, at, report)),
        (Some(_), None) => {
            report.problem(at, otherwise);
            None
        }
    }
}

/// Reads an adapter's settings and asks it what it thinks of them.
fn read<T: DeserializeOwned>(
    table: Table,
    problems: fn(&T) -> Vec<SettingProblem>,
    at: &Place,
    report: &mut Report,
) -> Option<T> {
    let settings: T = section::read_knowing(&COMMON, Value::Table(table), at, report)?;
    for SettingProblem { key, problem } in problems(&settings) {
        report.problem(&at.path(&key), problem);
    }
    Some(settings)
}
