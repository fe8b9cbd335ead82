//! What an administrator writes about an aiM18.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use crate::protocol::secret::Secret;
use crate::upstream::settings::{self, Problems, SettingProblem};

/// One entry of `[[upstreams]]` with `kind = "aim18"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The server, up to but without `/jsf`: `https://erp.example.org`. No default.
    pub base_url: Url,
    /// The Client ID of the record in aiM18's module "OAuth Applications". No default.
    pub client_id: String,
    /// The Client Secret of the same record. No default.
    pub client_secret: Secret,
    /// How the token endpoint is asked. Default: `"get"`.
    #[serde(default)]
    pub token_method: TokenMethod,
    /// Send a `state` along to the login page. Set false for a server that refuses unknown parameters. Default: true.
    #[serde(default = "yes")]
    pub send_state: bool,
    /// Whether this server always sends `state` back, so that an answer without it is refused. Default: false, since
    /// the vendor documents no `state`.
    #[serde(default)]
    pub requires_state: bool,
    /// How long an access token lives, since aiM18 does not say. Default: `"1h"`.
    #[serde(
        default = "default_token_lifetime",
        deserialize_with = "settings::duration"
    )]
    pub token_lifetime: Duration,
    /// Where a person's name and email are found; without it, apps learn nothing but the user's number (and the login
    /// name, where the person typed it into our form). Default: none.
    #[serde(default)]
    pub profile: Option<ProfileLookup>,
    /// Whether this aiM18 proves that an email address belongs to the person. Default: it is not said.
    #[serde(default)]
    pub email_verified: Option<bool>,
    /// How long to wait for an answer. Default: `"10s"`.
    #[serde(
        default = "settings::default_timeout",
        deserialize_with = "settings::duration"
    )]
    pub timeout: Duration,
    /// Send passwords and secrets unencrypted to a host that is not this machine. Default: false.
    #[serde(default)]
    pub allow_insecure_upstream: bool,
}

/// How the token endpoint is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenMethod {
    /// GET, with everything in the query: the one documented form, so it is the default. The secrets then stand in the
    /// access logs of aiM18 and of whatever is in front of it; `portico check` says whether `"post"` works too.
    #[default]
    Get,
    /// POST of a form: seen to work on recent servers, and to be preferred there.
    Post,
    /// POST, and GET from then on if the server says that it does not know the method. Nothing else is
    /// tried twice: a code is good for one try.
    Auto,
}

/// A record of the user, read with the user's own token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileLookup {
    /// The module (menu code) that holds the users; the vendor does not publish its name. No default.
    pub module: String,
    /// Which service is asked. Default: `"read"`.
    #[serde(default)]
    pub by: LookupBy,
    /// The business entity to search in (`beId`), where a search needs one. Default: none.
    #[serde(default)]
    pub business_entity: Option<u64>,
    /// In which field of the record each claim stands.
    pub fields: ProfileFields,
}

/// The services that can show a user's record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LookupBy {
    /// `/jsf/rfws/entity/read/{module}`, the documented one.
    #[default]
    Read,
    /// `/jsf/rfws/root/api/read/{module}`, of newer servers.
    RootRead,
    /// `/jsf/rfws/search/search`.
    Search,
}

/// Names of fields; those left out give no claim.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProfileFields {
    /// The full name, such as `desc`. Default: none.
    pub name: Option<String>,
    /// The given name. Default: none.
    pub given_name: Option<String>,
    /// The family name. Default: none.
    pub family_name: Option<String>,
    /// The email address. Default: none.
    pub email: Option<String>,
    /// The login name, such as `code`. Default: none.
    pub preferred_username: Option<String>,
}

const fn yes() -> bool {
    true
}

const fn default_token_lifetime() -> Duration {
    Duration::from_hours(1)
}

impl Settings {
    /// What an administrator has to change.
    pub fn problems(&self) -> Vec<SettingProblem> {
        let mut problems = Problems::default();
        problems.base_url("base_url", &self.base_url, self.allow_insecure_upstream);
        let mut segments = self.base_url.path_segments().into_iter().flatten();
        if segments.any(|segment| segment.eq_ignore_ascii_case("jsf")) {
            problems.add(
                "base_url",
                "write it without /jsf and what follows; Portico adds them",
            );
        }
        problems.text("client_id", &self.client_id);
        if !self.client_id.is_ascii() {
            problems.add(
                "client_id",
                "is not a Client ID: it holds characters that no header can carry",
            );
        }
        problems.secret("client_secret", &self.client_secret);
        if self.requires_state && !self.send_state {
            problems.add(
                "requires_state",
                "a state that is not sent cannot come back; set send_state = true",
            );
        }
        if self.token_lifetime < Duration::from_mins(1) {
            problems.add("token_lifetime", "must be at least \"1m\"");
        }
        if let Some(lookup) = &self.profile {
            lookup.check(&mut problems);
        } else if self.email_verified.is_some() {
            problems.add(
                "email_verified",
                "says nothing without [upstreams.profile], from where an email comes",
            );
        }
        problems.timeout("timeout", self.timeout);
        problems.into_vec()
    }
}

impl ProfileLookup {
    fn check(&self, problems: &mut Problems) {
        problems.text("profile.module", &self.module);
        if matches!(self.module.as_str(), "." | "..") {
            problems.add("profile.module", "is not the name of a module");
        }
        let fields = self.fields.by_claim();
        if fields.iter().all(|(_, field)| field.is_none()) {
            problems.add(
                "profile.fields",
                "names no field; write for example { name = \"desc\" }",
            );
        }
        for (claim, field) in fields {
            if let Some(field) = field {
                problems.text(format!("profile.fields.{claim}"), field);
            }
        }
        if self.business_entity.is_some() && self.by != LookupBy::Search {
            problems.add(
                "profile.business_entity",
                "is used by searches only; set by = \"search\", or leave it out",
            );
        }
    }
}

impl ProfileFields {
    fn by_claim(&self) -> [(&'static str, Option<&str>); 5] {
        [
            ("name", self.name.as_deref()),
            ("given_name", self.given_name.as_deref()),
            ("family_name", self.family_name.as_deref()),
            ("email", self.email.as_deref()),
            ("preferred_username", self.preferred_username.as_deref()),
        ]
    }
}
