//! From files to [`Config`].

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Value;

use super::clients::{self, Known};
use super::document::{Document, Environment, OVERRIDES};
use super::exchange;
use super::place::{Place, Report};
use super::{
    AuditPolicy, ClientConfig, Config, Database, Dpop, Keys, Lifetimes, Log, LoginPolicy, Outbound,
    Par, Problems, Server, UpstreamConfig, UpstreamSettings, audit, brand, database, dpop, keys,
    lifetimes, log, login, outbound, par, registration, resources, scopes, section, server,
    upstream_apis, upstreams,
};
use crate::protocol::ids::ClientId;
use crate::protocol::issuer::Issuer;

/// The folder beside the config whose files hold clients.
const CLIENTS_FOLDER: &str = "clients.d";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    issuer: Option<String>,
    server: server::Raw,
    database: database::Raw,
    keys: keys::Raw,
    lifetimes: lifetimes::Raw,
    login: login::Raw,
    par: par::Raw,
    dpop: dpop::Raw,
    /// Entries one by one, so that one without sense does not hide the others.
    upstreams: Vec<Value>,
    resources: Vec<Value>,
    clients: Vec<Value>,
    registration: registration::Raw,
    scopes: Vec<scopes::Raw>,
    outbound: outbound::Raw,
    brand: brand::Raw,
    log: log::Raw,
    audit: audit::Raw,
}

/// What a file in `clients.d` may hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawClients {
    clients: Vec<Value>,
}

/// Reads `path` and `clients.d/*.toml` beside it, with the variables of this process.
pub fn load(path: &Path) -> Result<Config, Problems> {
    load_with(path, &|name| std::env::var(name).ok())
}

/// Reads `path` and `clients.d/*.toml` beside it, with the variables that `env` knows.
pub fn load_with(path: &Path, env: Environment<'_>) -> Result<Config, Problems> {
    let mut report = Report::default();
    let main = Document::read(path, env, &OVERRIDES, &mut report);
    let client_files: Vec<Document> = client_files(path, &mut report)
        .iter()
        .filter_map(|file| Document::read(file, env, &[], &mut report))
        .collect();
    let config = main.and_then(|main| check(main, client_files, &mut report));
    match config {
        Some(config) if report.problems.is_empty() => Ok(Config {
            warnings: report.warnings,
            ..config
        }),
        _ => Err(Problems::new(report.problems)),
    }
}

/// `clients.d/*.toml`, sorted; none when there is no such folder.
fn client_files(path: &Path, report: &mut Report) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new("")).join(CLIENTS_FOLDER);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            report.file_problem(&folder, None, format!("cannot be read: {error}"));
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|file| {
            file.extension()
                .is_some_and(|extension| extension == "toml")
        })
        // What an editor left behind.
        .filter(|file| {
            file.file_name()
                .is_some_and(|name| !name.to_string_lossy().starts_with('.'))
        })
        .collect();
    files.sort();
    files
}

fn check(main: Document, client_files: Vec<Document>, report: &mut Report) -> Option<Config> {
    let at = main.place;
    let raw: Raw = section::read(Value::Table(main.table), &at, report)?;
    let issuer = check_issuer(raw.issuer, &at.key("issuer"), report);
    let server = Server::check(raw.server, &at.key("server"), report);
    if let Some(issuer) = &issuer {
        server.warn_of_plain_http(issuer, &at.key("server"), report);
    }
    let database = Database::check(raw.database, &at.key("database"), report);
    let keys = Keys::check(raw.keys, &database, &at.key("keys"), report);
    let lifetimes = Lifetimes::check(&raw.lifetimes, &at.key("lifetimes"), report);
    let login = LoginPolicy::check(&raw.login, &at.key("login"), report);
    let par = Par::check(&raw.par, &at.key("par"), report);
    let dpop = Dpop::check(&raw.dpop, &at.key("dpop"), report);
    let upstream_ids = upstreams::ids(&raw.upstreams);
    let upstreams = UpstreamConfig::read_all(raw.upstreams, &at.key("upstreams"), report);
    let identifiers = resources::identifiers(&raw.resources);
    let known = Known {
        upstreams: &upstream_ids,
        configured: &upstreams,
        algorithms: &keys.algorithms,
        resources: &identifiers,
        issuer: issuer.as_ref().map(Issuer::as_str),
    };
    let resources = resources::read_all(
        raw.resources,
        issuer.as_ref(),
        &known,
        &at.key("resources"),
        report,
    );
    let mut entries = vec![(at.key("clients"), raw.clients)];
    for document in client_files {
        let read = section::read(Value::Table(document.table), &document.place, report);
        let RawClients { clients } = read.unwrap_or_default();
        entries.push((document.place.key("clients"), clients));
    }
    let clients = check_clients(entries, &known, report);
    let registration =
        registration::check(raw.registration, &known, &at.key("registration"), report);
    resources::check_clients(&resources, &clients, report);
    warn_of_lost_pages(&upstreams, &clients, &at.key("upstreams"), report);
    exchange::warn_of_strangers(&clients, &at.key("clients"), report);
    upstream_apis::warn_of_unused_rules(&upstreams, &clients, &at.key("upstreams"), report);
    let scopes = scopes::check(raw.scopes, &at.key("scopes"), report);
    let outbound = Outbound::check(raw.outbound, &at.key("outbound"), report);
    let brand = brand::check(raw.brand, &at.key("brand"), report);
    let log = Log::check(raw.log, &at.key("log"), report);
    let audit = AuditPolicy::check(&raw.audit, &at.key("audit"), report);
    if !audit.database && !log.keeps_audit() {
        report.problem(
            &at.key("audit").key("database"),
            "is false, and log.filter leaves portico::audit out: nobody would know what happened. Let one of them keep it",
        );
    }
    Some(Config {
        issuer: issuer?,
        server,
        database,
        keys,
        lifetimes,
        login,
        par,
        dpop,
        upstreams,
        resources: resources
            .into_iter()
            .map(|(_, resource)| resource)
            .collect(),
        clients,
        registration,
        scopes,
        outbound,
        brand,
        log,
        audit,
        warnings: Vec::new(),
    })
}

fn check_issuer(issuer: Option<String>, at: &Place, report: &mut Report) -> Option<Issuer> {
    let Some(issuer) = issuer else {
        report.problem(
            at,
            "is missing; write the address at which browsers reach Portico, such as \"https://login.example.org\"",
        );
        return None;
    };
    Issuer::parse(&issuer)
        .map_err(|error| report.problem(at, error.to_string()))
        .ok()
}

/// Warns of a page whose people would be sent on to a client that no file has.
fn warn_of_lost_pages(
    upstreams: &[UpstreamConfig],
    clients: &[ClientConfig],
    at: &Place,
    report: &mut Report,
) {
    let known = |id: &str| {
        clients
            .iter()
            .any(|client| client.client.client_id.as_str() == id)
    };
    for upstream in upstreams {
        let UpstreamSettings::Imis(settings) = &upstream.settings else {
            continue;
        };
        for client in settings
            .sso_pages
            .iter()
            .filter_map(|page| page.client.as_deref())
        {
            if !known(client) {
                let text = format!(
                    "the page of {} leads to the client {client}, which is in no file",
                    upstream.id
                );
                report.warn(at, &text);
            }
        }
    }
}

/// The clients of all files, each `client_id` once.
fn check_clients(
    entries: Vec<(Place, Vec<Value>)>,
    known: &Known<'_>,
    report: &mut Report,
) -> Vec<ClientConfig> {
    let mut clients = Vec::new();
    let mut owners: Vec<(ClientId, PathBuf)> = Vec::new();
    for (at, entries) in entries {
        for (index, entry) in entries.into_iter().enumerate() {
            let at = at.index(index);
            let Some(raw) = section::read::<clients::Raw>(entry, &at, report) else {
                continue;
            };
            let Some(client) = ClientConfig::check(raw, known, &at, report) else {
                continue;
            };
            let id = client.client.client_id.clone();
            if let Some((_, owner)) = owners.iter().find(|(other, _)| *other == id) {
                let text = format!(
                    "{id} is the client_id of another client, in {}",
                    owner.display()
                );
                report.problem(&at.key("client_id"), text);
            } else {
                owners.push((id, at.file().to_owned()));
                clients.push(client);
            }
        }
    }
    clients
}
