//! `portico check` for an iMIS, one thing after another. No member's record is looked up: the service account looks up
//! itself, and how many there are.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::HeaderMap;
use serde_json::{Map, Value};
use url::Url;

use super::Imis;
use super::api::{ApiError, By, plain};
use super::gaps::Miss;
use super::person::Records;
use super::query::cell;
use super::service::{ROLE, Service};
use super::settings::{ProfileQuery, QueryBy, QueryService, SsoPage};
use crate::clock::random_id;
use crate::protocol::error::chain;
use crate::protocol::secret::Secret;
use crate::upstream::outbound::{Answer, encoded};
use crate::upstream::{Finding, LoginError, Probe};

/// Where client applications are.
const APPLICATIONS: &str =
    "Settings > Contacts > Client applications (iMIS 2017: RiSE > Maintenance)";

/// Tries an iMIS.
pub(super) struct ImisProbe(pub(super) Arc<Imis>);

#[async_trait]
impl Probe for ImisProbe {
    async fn probe(&self) -> Vec<Finding> {
        let imis = &*self.0;
        let endpoint = self.token_endpoint().await;
        let answers = endpoint.is_ok();
        let mut findings = vec![Finding::new("token endpoint", endpoint)];
        if answers {
            findings.push(Finding::new("API", self.api().await));
        }
        match &imis.service {
            Some(service) => self.service_account(service, &mut findings).await,
            None => findings.push(Finding::new(
                "service account",
                Ok("none; people must be allowed to read their own record, and nobody is looked up again later"
                    .to_owned()),
            )),
        }
        let settings = imis.settings();
        for page in &settings.sso_pages {
            let name = &page.client_id;
            findings.push(Finding::new(
                format!("client application {name}"),
                self.application(page).await,
            ));
            if let Some(url) = &page.page_url {
                let what = format!("Single Sign On page {name}");
                findings.push(Finding::new(what, self.page("page_url", url).await));
            }
        }
        for (what, key, url) in [
            ("sign-in page", "sign_in_url", &settings.sign_in_url),
            ("sign-out page", "logout_url", &settings.logout_url),
        ] {
            if let Some(url) = url {
                // What its query says is for people who come by.
                let mut url = url.clone();
                url.set_query(None);
                findings.push(Finding::new(what, self.page(key, &url).await));
            }
        }
        findings
    }
}

impl ImisProbe {
    /// A name that nobody has must be refused as such, which takes a working token endpoint.
    async fn token_endpoint(&self) -> Result<String, String> {
        let nobody = format!("portico-check-{}", random_id());
        let password = Secret::new(random_id());
        match self.0.tokens.password(&nobody, &password).await {
            Err(error @ LoginError::BadCredentials(_)) => {
                let told = chain(&error);
                Ok(if told.contains("invalid_grant") {
                    "answers, and refuses a user that does not exist".to_owned()
                } else {
                    // Taken for a refusal, as the vendor's client takes it; an administrator sees whose words they are.
                    format!("answers, and refuses a user that does not exist: {told}")
                })
            }
            Ok(_) => Err("gave a token to a user that does not exist; \
                          whatever answers at base_url is not an iMIS"
                .to_owned()),
            Err(error) => Err(Finding::failure(&error)),
        }
    }

    /// Without a token the API must ask for one.
    async fn api(&self) -> Result<String, String> {
        let url = self.0.api.at(["api", "User"], "limit=1");
        let answer = self.look(url).await?;
        match answer.status.as_u16() {
            401 | 403 => Ok("answers, and wants a token".to_owned()),
            200..300 => Err(format!(
                "shows users to anybody ({}); whatever answers at base_url is not an iMIS, or a proxy before it adds a token",
                answer.describe()
            )),
            404 => Err(
                "is not there (404); base_url must be what stands before /api, on iMIS 2017 with a path such as \
                 /Asi.Scheduler_X"
                    .to_owned(),
            ),
            _ if answer.is_outage() => Err(Finding::failure(&LoginError::Unavailable(
                answer.describe().into(),
            ))),
            _ => Err(format!(
                "{}, where iMIS asks for a token; base_url must be what stands before /api, and no proxy, firewall or page may answer in its place",
                answer.describe()
            )),
        }
    }

    async fn service_account(&self, service: &Arc<Service>, findings: &mut Vec<Finding>) {
        let imis = &*self.0;
        let by = By::Service(service);
        if let Err(error) = service.token(None).await {
            let told = Finding::failure(&error);
            let refused = matches!(error, LoginError::Protocol(_));
            let told = if refused {
                format!("{told}; some versions refuse an account without its role alike: {ROLE}")
            } else {
                told
            };
            findings.push(Finding::new("service account", Err(told)));
            return;
        }
        findings.push(Finding::new(
            "service account",
            Ok("has a token".to_owned()),
        ));
        let advice = format!("{ROLE} and the right to read User and Party");
        let own = imis.api.identify(service.username(), by, false).await;
        let outcome = match &own {
            // Anybody may read their own record; it is for those of others that the account is there.
            Ok(_) => match imis.api.visible_users(service).await {
                Ok(Some(0 | 1)) => Err(format!("sees no record but its own; {advice}")),
                _ => Ok("may read User and Party".to_owned()),
            },
            Err(ApiError::Login(error)) => Err(Finding::failure(error)),
            Err(refused) => Err(format!("{refused}; {advice}")),
        };
        findings.push(Finding::new("service account's rights", outcome));
        let Ok(own) = own else {
            return;
        };
        let settings = imis.settings();
        if settings.roles {
            let name = own.user_name().unwrap_or_default();
            let roles = imis.roles_of(&name, by).await;
            findings.push(Finding::new("roles", told(roles, "may be asked for")));
        }
        if settings.committees {
            let committees = imis.committees(&own, by).await;
            findings.push(Finding::new(
                "committees",
                told(committees, "may be asked for"),
            ));
        }
        if let Some(query) = &settings.profile_query {
            let outcome = self.query(query, &own, service).await;
            findings.push(Finding::new("profile query", outcome));
        }
    }

    /// Runs the query for the service account itself.
    async fn query(
        &self,
        query: &ProfileQuery,
        own: &Records,
        service: &Arc<Service>,
    ) -> Result<String, String> {
        let imis = &*self.0;
        let by = By::Service(service);
        let name = (query.by == QueryBy::Username).then(|| service.username());
        let rows = match imis.rows(query, by, name).await {
            Ok(rows) => rows,
            Err(Miss::Failure(error)) => return Err(Finding::failure(&error)),
            Err(Miss::Gap(reason) | Miss::Token(reason)) => {
                let (other, word) = match query.service {
                    QueryService::Query => (QueryService::Iqa, "iqa"),
                    QueryService::Iqa => (QueryService::Query, "query"),
                };
                let other = ProfileQuery {
                    service: other,
                    ..query.clone()
                };
                return Err(if imis.rows(&other, by, name).await.is_ok() {
                    format!("does not run there, but elsewhere: set service = \"{word}\"")
                } else {
                    reason
                });
            }
        };
        match rows.as_slice() {
            [] => Ok(
                "runs, and has no row for the service account, so that its columns cannot be looked at; \
                 somebody without a row is refused as a Guest is"
                    .to_owned(),
            ),
            [row] => columns(query, row, own),
            _ => Err(match query.by {
                QueryBy::Token => {
                    "has several rows; let it filter on LoggedInUserKey, so that it has one a person"
                }
                QueryBy::Username => {
                    "has several rows; let it have one parameter, the user name, and one row a person"
                }
            }
            .to_owned()),
        }
    }

    /// A token that nobody has must be refused as such, which takes a client application that iMIS knows.
    async fn application(&self, page: &SsoPage) -> Result<String, String> {
        let landing = format!("{}{}", self.0.landing, encoded(&page.client_id));
        let redirect = format!("its Login redirect URL in iMIS must be {landing}");
        let made_up = Secret::new(random_id());
        let told = match self.0.tokens.refresh(page, &made_up).await {
            Ok(_) => {
                return Err("gave a token for a refresh token that does not exist; \
                            whatever answers at base_url is not an iMIS"
                    .to_owned());
            }
            Err(error @ (LoginError::BadCredentials(_) | LoginError::Protocol(_))) => chain(&error),
            Err(error) => return Err(Finding::failure(&error)),
        };
        if told.contains("invalid_grant") {
            Ok(format!("client_id and client_secret are right; {redirect}"))
        } else if told.contains("_client") {
            Err(format!(
                "iMIS does not take client_id and client_secret; compare them with {APPLICATIONS}; {redirect}"
            ))
        } else {
            Ok(format!(
                "this iMIS does not tell whether client_id and client_secret are right; {redirect}"
            ))
        }
    }

    /// A page for browsers.
    async fn page(&self, key: &str, url: &Url) -> Result<String, String> {
        let answer = self.look(url.clone()).await?;
        match answer.status.as_u16() {
            200..400 => Ok(format!("{url} answers")),
            _ => Err(format!(
                "{url}: {}; look at {key}, and in iMIS whether the page is published and may be seen by everybody",
                answer.describe()
            )),
        }
    }

    async fn look(&self, url: Url) -> Result<Answer, String> {
        let imis = &*self.0;
        let timeout = imis.settings().timeout;
        let answer = imis.http.get(url, HeaderMap::new(), timeout).await;
        answer.map_err(|trouble| Finding::failure(&trouble.into()))
    }
}

fn told<T>(answer: Result<T, Miss>, fine: &str) -> Result<String, String> {
    match answer {
        Ok(_) => Ok(fine.to_owned()),
        Err(Miss::Gap(reason) | Miss::Token(reason)) => Err(reason),
        Err(Miss::Failure(error)) => Err(Finding::failure(&error)),
    }
}

/// Holds a row against the columns that the configuration names. Values are nobody's business here.
fn columns(
    query: &ProfileQuery,
    row: &Map<String, Value>,
    own: &Records,
) -> Result<String, String> {
    let has: Vec<&str> = row
        .keys()
        .map(String::as_str)
        .filter(|name| !matches!(*name, "$type" | "ResultRow"))
        .collect();
    let wanted = query.columns.values().chain([&query.subject_column]);
    let mut missing: Vec<&str> = wanted
        .map(String::as_str)
        .filter(|column| cell(row, column).is_none())
        .collect();
    missing.sort_unstable();
    missing.dedup();
    if !missing.is_empty() {
        return Err(format!(
            "has no column {} (some versions leave out those that are empty); it has {}",
            missing.join(", "),
            has.join(", ")
        ));
    }
    let subject = cell(row, &query.subject_column).and_then(plain);
    if !subject.is_some_and(|subject| own.are_of(&subject, query.subject_is)) {
        return Err(
            "has a row, which by subject_column is not that of the user it was run for; look at its filter, at \
             subject_column and at subject_is"
                .to_owned(),
        );
    }
    Ok("runs, and has every column".to_owned())
}
