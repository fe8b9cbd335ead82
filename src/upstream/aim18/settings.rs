//! What an administrator writes about an aiM18.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use crate::protocol::claims::Profile;
use crate::protocol::secret::Secret;
use crate::upstream::settings::{self, Problems, SettingProblem};

/// The claim that names the language (Core section 5.1).
pub(super) const LOCALE: &str = "locale";
/// Our claim for the own business entity.
pub(super) const BUSINESS_ENTITY: &str = "business_entity";
const OWN_CLAIMS: [&str; 2] = [LOCALE, BUSINESS_ENTITY];

/// One entry of `[[upstreams]]` with `kind = "aim18"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "keys of a file, independent of one another; they make no state machine"
)]
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
    /// Where the token endpoint is, below `/jsf/rfws/`. Default: `"oauth/token"`, the documented one.
    #[serde(default = "default_token_path")]
    pub token_path: String,
    /// The parameter in which the login page hands over the code. Default: `"code"`.
    #[serde(default = "default_code_parameter")]
    pub code_parameter: String,
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
    /// An aiM18 user that acts for Portico itself: it reads people's records, where `profile.with` says so, and its
    /// token is what a client that acts for no person gets. Default: none.
    #[serde(default)]
    pub service_account: Option<ServiceAccount>,
    /// Whether a person's token is tried against the list of the person's own tasks (`bpm/wfs/tracking`) when it has to
    /// be known whether they may still come in, and there is no profile to read. Default: false.
    #[serde(default)]
    pub try_tokens: bool,
    /// What calls of the API carry as `check_right`, whatever the caller sent. Anything that is not empty has aiM18 check
    /// the user's rights on the module. Default: `"true"`.
    #[serde(default = "default_check_right")]
    pub check_right: String,
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

/// The user that acts for Portico itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccount {
    /// Its login name.
    pub username: String,
    /// Its password; never its hash.
    pub password: Secret,
}

/// A record of the user.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileLookup {
    /// The module (menu code) that holds the users; the vendor does not publish its name. No default.
    pub module: String,
    /// Which service is asked. Default: `"read"`.
    #[serde(default)]
    pub by: LookupBy,
    /// With whose token it is read. Default: `"user"`, the person's own.
    #[serde(default)]
    pub with: ReadWith,
    /// The business entity to search in (`beId`), where a search needs one. Default: none.
    #[serde(default)]
    pub business_entity: Option<u64>,
    /// In which field of the record each claim stands. Default: none.
    #[serde(default)]
    pub fields: ProfileFields,
    /// Claims of your own, each with the field of the record that it is read from. Default: none.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
    /// Where the person's groups or roles stand. Default: none.
    #[serde(default)]
    pub groups: Option<Groups>,
    /// What the record has to say for the person to come in. Default: none; everybody who can log in at aiM18 may.
    #[serde(default)]
    pub active: Option<Active>,
}

/// With whose token a record is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadWith {
    /// The person's own: they need the right to read their record.
    #[default]
    User,
    /// That of `service_account`.
    ServiceAccount,
}

/// Where groups stand.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// The field that holds one group, or several with `;` or `,` between them.
    pub field: String,
    /// The table of the answer whose rows each hold one, if it is not the record itself. Default: the record.
    #[serde(default)]
    pub table: Option<String>,
}

/// What tells that a person may come in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Active {
    /// The field.
    pub field: String,
    /// The values of those who may come in, as text: `["false"]`, `["0"]`, `["A"]`. A record without the field is
    /// refused.
    pub values: Vec<String>,
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
    /// The language, such as `zh-TW`. Default: none.
    pub locale: Option<String>,
    /// The own business entity (`beId`), a number. Default: none.
    pub business_entity: Option<String>,
}

fn default_token_path() -> String {
    "oauth/token".to_owned()
}

fn default_code_parameter() -> String {
    "code".to_owned()
}

fn default_check_right() -> String {
    "true".to_owned()
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
        let mut path = self.token_path.split('/');
        if path.any(|segment| segment.trim().is_empty() || segment.starts_with('.')) {
            problems.add(
                "token_path",
                "is not a path such as \"oauth/token\"; write it without /jsf/rfws/ and without a slash at its ends",
            );
        }
        problems.text("code_parameter", &self.code_parameter);
        if ["state", "error"].contains(&self.code_parameter.as_str()) {
            problems.add("code_parameter", "is the name of something else");
        }
        if let Some(account) = &self.service_account {
            problems.text("service_account.username", &account.username);
            problems.secret("service_account.password", &account.password);
        }
        problems.text("check_right", &self.check_right);
        if !self.check_right.bytes().all(|byte| byte.is_ascii_graphic()) {
            problems.add("check_right", "holds what no header can carry");
        }
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
            if lookup.with == ReadWith::ServiceAccount && self.service_account.is_none() {
                problems.add(
                    "profile.with",
                    "needs service_account = { username = \"..\", password = { env = \"..\" } }",
                );
            }
            if self.try_tokens {
                problems.add(
                    "try_tokens",
                    "is for an aiM18 without [upstreams.profile]; the record tells more, so leave it out",
                );
            }
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
    /// The claims that it may give besides those of [`Profile::NAMES`].
    pub(super) fn more_claims(&self) -> Vec<String> {
        let own = self.fields.by_claim();
        let own = own
            .iter()
            .filter(|(name, field)| field.is_some() && OWN_CLAIMS.contains(name));
        let groups = self.groups.as_ref().map(|_| "groups".to_owned());
        own.map(|(name, _)| (*name).to_owned())
            .chain(groups)
            .chain(self.claims.keys().cloned())
            .collect()
    }

    fn check(&self, problems: &mut Problems) {
        problems.text("profile.module", &self.module);
        if matches!(self.module.as_str(), "." | "..") {
            problems.add("profile.module", "is not the name of a module");
        }
        let fields = self.fields.by_claim();
        let names_none = fields.iter().all(|(_, field)| field.is_none());
        if names_none && self.claims.is_empty() && self.groups.is_none() && self.active.is_none() {
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
        for (claim, field) in &self.claims {
            let key = || format!("profile.claims.{claim}");
            problems.text(key(), field);
            if !problems.claim_name(&key(), claim) {
                continue;
            }
            if claim == "groups" {
                problems.add(key(), "stands in profile.groups = { field = \"..\" }");
            } else if Profile::NAMES.contains(&claim.as_str())
                || OWN_CLAIMS.contains(&claim.as_str())
            {
                problems.add(key(), format!("stands in profile.fields.{claim}"));
            } else if !claim.bytes().all(settings::is_plain) {
                problems.add(
                    key(),
                    "must be letters, digits and underscores, or the address of a claim of yours",
                );
            }
        }
        if let Some(groups) = &self.groups {
            problems.text("profile.groups.field", &groups.field);
            if let Some(table) = &groups.table {
                problems.text("profile.groups.table", table);
                if self.by == LookupBy::Search {
                    problems.add(
                        "profile.groups.table",
                        "a search answers with one table only; set by = \"read\" or \"root_read\"",
                    );
                }
            }
        }
        if let Some(active) = &self.active {
            problems.text("profile.active.field", &active.field);
            if active.values.is_empty() {
                problems.add(
                    "profile.active.values",
                    "is empty, so nobody could come in; write for example [\"0\"]",
                );
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
    pub(super) fn by_claim(&self) -> [(&'static str, Option<&str>); 7] {
        [
            ("name", self.name.as_deref()),
            ("given_name", self.given_name.as_deref()),
            ("family_name", self.family_name.as_deref()),
            ("email", self.email.as_deref()),
            ("preferred_username", self.preferred_username.as_deref()),
            (LOCALE, self.locale.as_deref()),
            (BUSINESS_ENTITY, self.business_entity.as_deref()),
        ]
    }
}
