//! The effective configuration, for `portico check`: what was written and every default, secrets masked.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use toml::{Table, Value};

use super::client_people;
use super::duration::show_seconds;
use super::{ClientConfig, Config, Lifetimes, LoginPolicy, Server, UpstreamConfig};
use crate::model::brand::BrandLink;
use crate::model::client::ConsentPolicy;
use crate::model::registration::RegistrationPolicy;
use crate::model::resource::Resource;
use crate::model::scopes::OwnScope;
use crate::protocol::locale::{Label, Locale};
use crate::upstream::LoginMethod;

/// What stands where a secret is.
pub(super) const MASK: &str = "[secret]";

impl Config {
    /// The configuration as TOML, to be read by people: it cannot be loaded, for its secrets are masked.
    pub fn effective(&self) -> String {
        let sections = [
            ("issuer", text(&self.issuer)),
            ("server", self.show_server()),
            ("database", table([("url", text(self.database.shown()))])),
            ("keys", self.show_keys()),
            ("lifetimes", self.show_lifetimes()),
            ("login", self.show_login()),
            (
                "par",
                table([
                    ("required", Value::Boolean(self.par.required)),
                    ("lifetime", text(show_seconds(self.par.lifetime))),
                ]),
            ),
            (
                "dpop",
                table([
                    ("require_nonce", Value::Boolean(self.dpop.require_nonce)),
                    ("window", text(show_seconds(self.dpop.window))),
                ]),
            ),
            ("upstreams", array(&self.upstreams, show_upstream)),
            ("resources", array(&self.resources, show_resource)),
            ("clients", array(&self.clients, show_client)),
            ("registration", self.show_registration()),
            ("scopes", array(&self.scopes, show_scope)),
            (
                "outbound",
                table([
                    ("allow_hosts", array(&self.outbound.allow_hosts, text)),
                    (
                        "extra_ca",
                        array(&self.outbound.extra_ca, |file| path(file)),
                    ),
                ]),
            ),
            ("brand", self.show_brand()),
            (
                "log",
                table([
                    ("format", text(self.log.format.as_str())),
                    ("filter", text(&self.log.filter)),
                ]),
            ),
            (
                "audit",
                table([
                    ("database", Value::Boolean(self.audit.database)),
                    ("keep", text(show_seconds(self.audit.keep))),
                ]),
            ),
        ];
        // What is a key and no table comes first, or the table before would have it. One by one, to keep the order of the example.
        let is_table = |value: &Value| match value {
            Value::Array(members) => members.iter().any(Value::is_table),
            value => value.is_table(),
        };
        let (tables, keys): (Vec<_>, Vec<_>) =
            sections.into_iter().partition(|(_, value)| is_table(value));
        let blocks: Vec<String> = keys
            .into_iter()
            .chain(tables)
            .filter_map(|section| toml::to_string_pretty(&table([section])).ok())
            .collect();
        blocks.join("\n")
    }

    fn show_server(&self) -> Value {
        let Server {
            listen,
            internal_listen,
            tls,
            trusted_proxies,
        } = &self.server;
        let mut server = vec![
            ("listen", text(listen)),
            ("internal_listen", text(internal_listen)),
            ("trusted_proxies", array(trusted_proxies, text)),
        ];
        if let Some(tls) = tls {
            let files = [
                ("certificate", path(&tls.certificate)),
                ("private_key", path(&tls.private_key)),
            ];
            server.push(("tls", table(files)));
        }
        table(server)
    }

    fn show_keys(&self) -> Value {
        let mut keys = vec![
            (
                "algorithms",
                array(&self.keys.algorithms, |algorithm| text(algorithm.as_str())),
            ),
            ("announce", text(show_seconds(self.keys.announce))),
            (
                "rotate_every",
                text(
                    self.keys
                        .rotate_every
                        .map_or_else(|| "off".to_owned(), show_seconds),
                ),
            ),
        ];
        if self.keys.master_key.is_some() {
            keys.push(("master_key", text(MASK)));
        }
        if let Some(file) = &self.keys.master_key_file {
            keys.push(("master_key_file", path(file)));
        }
        table(keys)
    }

    fn show_lifetimes(&self) -> Value {
        // Whole, here and below: one more does not compile until it is shown, and the audit tells of changes by what is shown.
        let &Lifetimes {
            access_token,
            id_token,
            session_idle,
            session_absolute,
            persistent_session_idle,
            persistent_session_absolute,
            refresh_idle,
            refresh_absolute,
            flow,
            device_code,
            logout_notice,
            families_per_client,
            families_per_person,
            sessions_per_person,
        } = &self.lifetimes;
        let times = [
            ("access_token", access_token),
            ("id_token", id_token),
            ("session_idle", session_idle),
            ("session_absolute", session_absolute),
            ("persistent_session_idle", persistent_session_idle),
            ("persistent_session_absolute", persistent_session_absolute),
            ("refresh_idle", refresh_idle),
            ("refresh_absolute", refresh_absolute),
            ("flow", flow),
            ("device_code", device_code),
            ("logout_notice", logout_notice),
        ];
        let times = times.map(|(key, seconds)| (key, text(show_seconds(seconds))));
        let numbers = [
            ("families_per_client", families_per_client),
            ("families_per_person", families_per_person),
            ("sessions_per_person", sessions_per_person),
        ];
        let numbers = numbers.map(|(key, number)| (key, Value::Integer(number)));
        table(times.into_iter().chain(numbers))
    }

    fn show_registration(&self) -> Value {
        let RegistrationPolicy {
            mode,
            redirect_hosts,
            scope,
            grant_types,
            token_endpoint_auth_methods,
            allow_token_endpoint_audience,
            upstreams,
            consent,
            max_clients,
            max_per_address,
            unused,
            fetch_allowed_hosts,
            show_logos,
            // Those of [keys].
            algorithms: _,
        } = &self.registration;
        let consent = match consent {
            ConsentPolicy::None => "none",
            ConsentPolicy::Once => "once",
            ConsentPolicy::Always => "always",
        };
        let grants = grant_types.iter().map(|grant| text(grant.as_str()));
        let unused = unused.map_or_else(|| "never".to_owned(), show_seconds);
        table([
            ("mode", text(mode.as_str())),
            ("redirect_hosts", array(redirect_hosts, text)),
            ("scope", text(scope)),
            ("grant_types", Value::Array(grants.collect())),
            (
                "token_endpoint_auth_methods",
                array(token_endpoint_auth_methods, |method| text(method.as_str())),
            ),
            (
                "allow_token_endpoint_audience",
                Value::Boolean(*allow_token_endpoint_audience),
            ),
            (
                "upstreams",
                Value::Array(upstreams.iter().map(text).collect()),
            ),
            ("consent", text(consent)),
            ("max_clients", Value::Integer(*max_clients)),
            ("max_per_address", Value::Integer(*max_per_address)),
            ("unused", text(unused)),
            ("fetch_allowed_hosts", Value::Boolean(*fetch_allowed_hosts)),
            ("show_logos", Value::Boolean(*show_logos)),
        ])
    }

    fn show_brand(&self) -> Value {
        let brand = &self.brand;
        let mut shown = vec![
            ("name", show_label(&brand.name)),
            ("links", array(&brand.links, show_brand_link)),
        ];
        let stylesheet = brand.stylesheet.as_ref().map(|sheet| &sheet.file);
        let files = [
            ("logo", brand.logo.as_ref().map(|logo| &logo.file)),
            ("logo_dark", brand.logo_dark.as_ref().map(|logo| &logo.file)),
            ("stylesheet", stylesheet),
        ];
        shown.extend(
            files
                .into_iter()
                .filter_map(|(key, file)| Some((key, path(file?)))),
        );
        if let Some(accent) = brand.accent {
            shown.push(("color", text(accent.light)));
            shown.push(("color_dark", text(accent.dark)));
        }
        table(shown)
    }

    fn show_login(&self) -> Value {
        let &LoginPolicy {
            throttle,
            address_attempts,
            client_attempts,
            refusal_floor,
            keep_signed_in,
        } = &self.login;
        let floor = humantime::format_duration(refusal_floor);
        table([
            ("max_attempts", Value::Integer(throttle.attempts)),
            ("window", text(show_seconds(throttle.window))),
            ("max_attempts_per_address", Value::Integer(address_attempts)),
            ("max_attempts_per_client", Value::Integer(client_attempts)),
            ("refusal_floor", text(floor)),
            ("keep_signed_in", Value::Boolean(keep_signed_in)),
        ])
    }
}

/// What all kinds have, with defaults, and what was written for the adapter.
fn show_upstream(upstream: &UpstreamConfig) -> Value {
    let common = table([
        ("id", text(&upstream.id)),
        ("kind", text(upstream.settings.kind())),
        ("label", show_label(&upstream.label)),
        (
            "login",
            array(&upstream.login, |method| {
                text(match method {
                    LoginMethod::Password => "password",
                    LoginMethod::Redirect => "redirect",
                })
            }),
        ),
        ("recheck", show_interval(upstream.recheck.interval)),
        ("recheck_sessions", show_interval(upstream.recheck.sessions)),
        (
            "recheck_timeout",
            text(humantime::format_duration(upstream.recheck.timeout)),
        ),
    ]);
    let mut shown = upstream.written.clone();
    let acr = upstream.acr.every.as_ref();
    shown.extend(acr.map(|acr| ("acr".to_owned(), text(acr))));
    if let Value::Table(common) = common {
        shown.extend(common);
    }
    Value::Table(shown)
}

fn show_brand_link(link: &BrandLink) -> Value {
    table([
        ("label", show_translations(&link.label)),
        ("url", text(&link.url)),
    ])
}

fn show_translations(texts: &BTreeMap<&'static str, String>) -> Value {
    table(texts.iter().map(|(locale, told)| (*locale, text(told))))
}

fn show_interval(seconds: Option<i64>) -> Value {
    text(seconds.map_or_else(|| "never".to_owned(), show_seconds))
}

/// As it was written: one text, or one for each language.
fn show_label(label: &Label) -> Value {
    if label.others().is_empty() {
        return text(label.english());
    }
    let english = (Locale::English.tag(), text(label.english()));
    let others = label.others().iter();
    let others = others.map(|(locale, told)| (*locale, text(told)));
    table(std::iter::once(english).chain(others))
}

fn show_resource(resource: &Resource) -> Value {
    let mut shown = vec![
        ("identifier", text(&resource.identifier)),
        (
            "introspection_clients",
            Value::Array(resource.introspection_clients.iter().map(text).collect()),
        ),
    ];
    shown.extend(resource.name.iter().map(|name| ("name", show_label(name))));
    shown.extend(resource.scope.iter().map(|scope| ("scope", text(scope))));
    if let Some(format) = resource.access_token_format {
        shown.push(("access_token_format", text(format.as_str())));
    }
    if let Some(algorithm) = resource.access_token_signed_response_alg {
        shown.push(("access_token_signed_response_alg", text(algorithm.as_str())));
    }
    table(shown)
}

fn show_scope(scope: &OwnScope) -> Value {
    let claims: Vec<&String> = scope.claims.iter().collect();
    table([
        ("name", text(&scope.name)),
        ("claims", array(&claims, text)),
        ("description", show_translations(&scope.description)),
    ])
}

fn show_client(client: &ClientConfig) -> Value {
    let mut written = client.client.clone();
    // As they were written: the names of other languages beside the English one.
    let localized = std::mem::take(&mut written.about.localized);
    let mut shown = Table::try_from(&written).unwrap_or_default();
    if let Some(name) = written.client_name.filter(|_| !localized.is_empty()) {
        let others = localized.into_iter().filter_map(|(field, name)| {
            let tag = field.strip_prefix("client_name#")?;
            Some((tag.to_owned(), Value::String(name)))
        });
        let english = (Locale::English.tag().to_owned(), Value::String(name));
        let names = std::iter::once(english).chain(others).collect();
        shown.insert("client_name".to_owned(), Value::Table(names));
    }
    let outage = client_people::show_outage(client.client.upstream_outage);
    shown.insert("upstream_outage".to_owned(), text(outage));
    let mask = |_: &_| text(MASK);
    match client.secrets.as_slice() {
        [] => None,
        [_] => shown.insert("client_secret".to_owned(), text(MASK)),
        several => shown.insert("client_secret".to_owned(), array(several, mask)),
    };
    Value::Table(shown)
}

fn table(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let owned = entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    Value::Table(owned.collect())
}

fn array<'a, T>(items: &'a [T], show: impl Fn(&'a T) -> Value) -> Value {
    Value::Array(items.iter().map(show).collect())
}

fn text(value: impl Display) -> Value {
    Value::String(value.to_string())
}

fn path(value: &Path) -> Value {
    text(value.display())
}
