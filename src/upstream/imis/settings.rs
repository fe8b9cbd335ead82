//! What an administrator writes about an iMIS.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::sign_off::fill;
use crate::protocol::claims::{MEMBERSHIP, Profile};
use crate::protocol::secret::Secret;
use crate::upstream::settings::{self, Problems, SettingProblem};
use crate::upstream::{LoginMethod, Site};

/// What stands in `sign_in_url`, in braces, for the address of the Single Sign On page to go on to.
pub(super) const PAGE_URL: &str = "page_url";
/// The same without scheme and host, which is all that many sign-in pages take.
pub(super) const PAGE_PATH: &str = "page_path";
/// What stands in `logout_url`, in braces, for our address to come back to.
pub(super) const RETURN_URL: &str = "return_url";

/// One entry of `[[upstreams]]` with `kind = "imis"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where `/token` and `/api` are: `https://members.example.org`, or with a path as in
    /// `https://imis.example.org/Asi.Scheduler_Example`. No default.
    pub base_url: Url,
    /// Where the web site's pages are, if not at `base_url`. Default: `base_url`.
    #[serde(default)]
    pub web_base_url: Option<Url>,
    /// The page where people sign in to the web site; `{page_path}` in it stands for the path of the Single Sign On
    /// page to go on to, `{page_url}` for its whole address. Default: none.
    #[serde(default)]
    pub sign_in_url: Option<Url>,
    /// The page that ends the web site's session; `{return_url}` in it stands for an address of Portico's to come back
    /// to, where the page does so. Default: none; a logout leaves the web site's session alone.
    #[serde(default)]
    pub logout_url: Option<Url>,
    /// Where people go on to whom the web site's own sign-out page has sent to Portico to sign out there, too.
    /// Default: none, a page of Portico's.
    #[serde(default)]
    pub signed_out_url: Option<Url>,
    /// An account with the role `RemoteService`; it reads records that members may not read with their own
    /// token. Default: none.
    #[serde(default)]
    pub service_account: Option<ServiceAccount>,
    /// The Single Sign On pages, one for each iMIS "client application"; the first serves logins that an app
    /// began. Default: none.
    #[serde(default)]
    pub sso_pages: Vec<SsoPage>,
    /// The Client ID of the entry in `sso_pages` with which the refresh tokens of password logins are renewed, where iMIS
    /// gives any. Default: none; whoever typed a password has to do so again when the access token has ended.
    #[serde(default)]
    pub renew_with: Option<String>,
    /// Whether `groups` tells a person's roles. The service account has to be allowed to ask for them. Default: false.
    #[serde(default)]
    pub roles: bool,
    /// Whether `groups` tells the groups and committees that a person is in now. Default: false.
    #[serde(default)]
    pub committees: bool,
    /// More claims from the additional attributes of a person's record: the claim, and the attribute's name. Default:
    /// none.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// A saved query (IQA) that tells about a person. Default: none.
    #[serde(default)]
    pub profile_query: Option<Box<ProfileQuery>>,
    /// By what a person is recognized for ever. Changing it gives everybody a new account. Default: `"uniform_id"`.
    #[serde(default)]
    pub subject: SubjectFrom,
    /// Whether this iMIS proves that an email address belongs to the person. Default: it is not said.
    #[serde(default)]
    pub email_verified: Option<bool>,
    /// How long to wait for an answer. Default: `"10s"`.
    #[serde(
        default = "settings::default_timeout",
        deserialize_with = "settings::duration"
    )]
    pub timeout: Duration,
    /// How many calls the service account makes at once; the vendor asks for few. Default: 2.
    #[serde(default = "default_max_concurrent")]
    pub max_concurrent: usize,
    /// Send passwords unencrypted to a host that is not this machine. Default: false.
    #[serde(default)]
    pub allow_insecure_upstream: bool,
}

/// The account that acts for Portico itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccount {
    /// Its user name.
    pub username: String,
    /// Its password.
    pub password: Secret,
}

/// A page with a Single Sign On content item, and the iMIS "client application" it names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SsoPage {
    /// The client application's Client ID; also the last part of its Login redirect URL.
    pub client_id: String,
    /// The client application's secret.
    pub client_secret: Secret,
    /// The page. Default: none, for an application that people enter from the web site only.
    #[serde(default)]
    pub page_url: Option<Url>,
    /// The client (ours) to go on to when a person comes from the web site. Default: the account page.
    #[serde(default)]
    pub client: Option<String>,
}

/// A saved query with one row a person.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileQuery {
    /// Its path: `$/Portico/Profile`. No default.
    pub path: String,
    /// Which service runs it. Default: `"query"`.
    #[serde(default)]
    pub service: QueryService,
    /// How it is told whom it is about. Default: `"token"`.
    #[serde(default)]
    pub by: QueryBy,
    /// The column that says whom a row is about. A row about somebody else is refused. No default.
    pub subject_column: String,
    /// What stands in that column. Default: `"id"`.
    #[serde(default)]
    pub subject_is: QuerySubject,
    /// Which claim stands in which column. No default.
    pub columns: BTreeMap<String, String>,
    /// Whether these claims are all that is told, and the person's record tells none. Default: false.
    #[serde(default)]
    pub alone: bool,
}

/// The services that run a saved query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryService {
    /// `/api/query`, of the cloud editions from 20.3.77 and 100.3.77.
    #[default]
    Query,
    /// `/api/iqa`, of iMIS 2017.
    Iqa,
}

/// How a query is told whom it is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryBy {
    /// It filters on the user whose token it is run with (`LoggedInUserKey`): the person's own.
    #[default]
    Token,
    /// It has one parameter, the user name; the service account runs it.
    Username,
}

/// What the column of a query that says whom it is about holds. One thing: somebody's user name may be somebody else's
/// id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuerySubject {
    /// The iMIS id.
    #[default]
    Id,
    /// The user name.
    Username,
    /// The `UniformId`.
    UniformId,
}

/// What becomes the subject. One kind for all people and all times: if each login took what it found, a record
/// whose `UniformId` is missing today and there tomorrow would be two accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectFrom {
    /// The `UniformId`, a GUID that is never given again; a person without one is refused.
    #[default]
    UniformId,
    /// The iMIS id; for versions whose records show no `UniformId`. It changes when two records are merged.
    PartyId,
}

/// Whether braces are left once the known placeholders are taken out.
fn has_unknown_placeholder(url: &Url, known: &[&str]) -> bool {
    let values: Vec<(&str, &str)> = known.iter().map(|name| (*name, "")).collect();
    let rest = fill(url, &values);
    let rest = rest.as_str();
    rest.contains(['{', '}']) || rest.contains("%7B") || rest.contains("%7D")
}

const fn default_max_concurrent() -> usize {
    2
}

impl Settings {
    /// What an administrator has to change.
    pub fn problems(&self) -> Vec<SettingProblem> {
        let mut problems = Problems::default();
        problems.base_url("base_url", &self.base_url, self.allow_insecure_upstream);
        let last = self.base_url.path_segments().and_then(|path| {
            path.map(str::to_lowercase)
                .rfind(|segment| !segment.is_empty())
        });
        if matches!(last.as_deref(), Some("api" | "token")) {
            problems.add(
                "base_url",
                "leave out /api or /token at the end; Portico adds them",
            );
        }
        for (key, url) in [
            ("web_base_url", &self.web_base_url),
            ("sign_in_url", &self.sign_in_url),
            ("logout_url", &self.logout_url),
            ("signed_out_url", &self.signed_out_url),
        ] {
            if let Some(url) = url {
                problems.web_url(key, url);
            }
        }
        for (key, url, known) in [
            ("sign_in_url", &self.sign_in_url, &[PAGE_PATH, PAGE_URL][..]),
            ("logout_url", &self.logout_url, &[RETURN_URL]),
        ] {
            if url
                .as_ref()
                .is_some_and(|url| has_unknown_placeholder(url, known))
            {
                let known = known.iter().map(|name| format!("{{{name}}}"));
                let known = known.collect::<Vec<_>>().join(" and ");
                problems.add(key, format!("braces may hold {known} only"));
            }
        }
        if let Some(account) = &self.service_account {
            problems.text("service_account.username", &account.username);
            problems.secret("service_account.password", &account.password);
        }
        self.check_pages(&mut problems);
        if let Some(name) = &self.renew_with
            && self.sso_pages.iter().all(|page| page.client_id != *name)
        {
            problems.add(
                "renew_with",
                "is not the client_id of an entry in sso_pages",
            );
        }
        check_claims("attributes", &self.attributes, &mut problems);
        if let Some(query) = &self.profile_query {
            query.check(self.service_account.is_some(), &mut problems);
        }
        problems.timeout("timeout", self.timeout);
        if !(1..=100).contains(&self.max_concurrent) {
            problems.add("max_concurrent", "must be between 1 and 100");
        }
        problems.into_vec()
    }

    /// What an administrator has to change for the ways to log in that `login` offers.
    pub fn login_problems(&self, login: &[LoginMethod]) -> Vec<SettingProblem> {
        let mut problems = Problems::default();
        if login.contains(&LoginMethod::Redirect) && self.first_page().is_none() {
            problems.add(
                "sso_pages",
                "login = [\"redirect\"] needs an entry whose page_url is the Single Sign On page to send people to",
            );
        }
        problems.into_vec()
    }

    /// The web site: every origin that a page of it is configured with.
    pub(super) fn site(&self) -> Site {
        let home = self.web_base_url.as_ref().unwrap_or(&self.base_url);
        let pages = [&self.sign_in_url, &self.logout_url, &self.signed_out_url];
        let sso_pages = self
            .sso_pages
            .iter()
            .filter_map(|page| page.page_url.as_ref());
        let pages = std::iter::once(home)
            .chain(pages.into_iter().flatten())
            .chain(sso_pages);
        let mut site = Site::of(pages);
        site.signed_out.clone_from(&self.signed_out_url);
        site
    }

    /// The page that serves logins which an app began.
    pub(super) fn first_page(&self) -> Option<&Url> {
        self.sso_pages.first()?.page_url.as_ref()
    }

    /// Whether logins that an app began come back by this page's application. What `page_url` names may be the sign-in page,
    /// which sends people on to that page.
    pub(super) fn is_first(&self, page: &SsoPage) -> bool {
        let first = self.sso_pages.first();
        first.is_some_and(|first| first.client_id == page.client_id)
    }

    /// Whether the configuration says where this claim comes from.
    pub(super) fn maps(&self, claim: &str) -> bool {
        let query = self.profile_query.as_ref();
        self.attributes.contains_key(claim)
            || query.is_some_and(|query| query.alone || query.columns.contains_key(claim))
    }

    /// The claims that may be told besides those of [`Profile::NAMES`].
    pub(super) fn claims(&self) -> Vec<String> {
        let mut claims = BTreeSet::new();
        if !self.profile_query.as_ref().is_some_and(|query| query.alone) {
            let built_in = MEMBERSHIP
                .iter()
                // iMIS has no field of this name; a site says which attribute it is.
                .filter(|name| **name != "paid_through");
            claims.extend(built_in.map(|name| (*name).to_owned()));
            claims.extend(["phone_number", "address"].map(ToOwned::to_owned));
            claims.extend(self.attributes.keys().cloned());
        }
        if self.roles || self.committees {
            claims.insert("groups".to_owned());
        }
        if let Some(query) = &self.profile_query {
            claims.extend(query.columns.keys().cloned());
        }
        claims.retain(|name| !Profile::NAMES.contains(&name.as_str()));
        claims.into_iter().collect()
    }

    fn check_pages(&self, problems: &mut Problems) {
        for (index, page) in self.sso_pages.iter().enumerate() {
            let key = |field: &str| format!("sso_pages[{index}].{field}");
            problems.text(key("client_id"), &page.client_id);
            if page.client_id.contains(['/', '\\', '?', '#']) || page.client_id.starts_with('.') {
                problems.add(
                    key("client_id"),
                    "is part of an address; choose a Client ID of letters and digits in iMIS",
                );
            }
            // Two addresses that differ in letter case alone would be taken for each other.
            let before = self.sso_pages.iter().take(index);
            if before
                .map(|other| other.client_id.to_lowercase())
                .any(|other| other == page.client_id.to_lowercase())
            {
                problems.add(key("client_id"), "stands in an earlier page already");
            }
            problems.secret(key("client_secret"), &page.client_secret);
            if let Some(url) = &page.page_url {
                problems.web_url(&key("page_url"), url);
            }
        }
    }
}

impl ProfileQuery {
    fn check(&self, has_service_account: bool, problems: &mut Problems) {
        problems.text("profile_query.path", &self.path);
        if !self.path.starts_with("$/") {
            problems.add(
                "profile_query.path",
                "is not the path of a saved query; write it as iMIS shows it, such as \"$/Portico/Profile\"",
            );
        }
        problems.text("profile_query.subject_column", &self.subject_column);
        if self.columns.is_empty() {
            problems.add(
                "profile_query.columns",
                "names no column; write for example { email = \"email\" }",
            );
        }
        check_claims("profile_query.columns", &self.columns, problems);
        if self.by == QueryBy::Username && !has_service_account {
            problems.add(
                "profile_query.by",
                "\"username\" needs a service_account, which runs the query",
            );
        }
    }
}

/// Claims, each with where it stands in iMIS.
fn check_claims(key: &str, claims: &BTreeMap<String, String>, problems: &mut Problems) {
    for (claim, source) in claims {
        let at = format!("{key}.{claim}");
        let can_be_had = problems.claim_name(&at, claim);
        if can_be_had && claim == "address" {
            problems.add(&at, "is not one text but an object; choose another name");
        } else if can_be_had && (claim.len() > 64 || !claim.bytes().all(settings::is_plain)) {
            problems.add(
                &at,
                "must be 1 to 64 letters, digits and characters of _-.:/; it is the name of a claim",
            );
        }
        problems.text(at, source);
    }
}
