//! The resource owner password credentials grant (RFC 6749 section 4.3), for software that can do nothing else: a confidential
//! client that an administrator trusts with people's passwords. The upstream is asked as it is for our login page, with the
//! same counts of attempts, and the login that follows has a session, which no browser holds.

use crate::clock::random_id;
use crate::logins::LoggedIn;
use crate::model::authorization::Authorization;
use crate::model::client::{Client, ConsentPolicy};
use crate::model::resource::Aim;
use crate::model::session::Authentication;
use crate::protocol::authorize::invalid_scope;
use crate::protocol::claims_request::ClaimsRequest;
use crate::protocol::dpop::Thumbprint;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::FamilyId;
use crate::protocol::params::Params;
use crate::protocol::resource;
use crate::protocol::scope::Scope;
use crate::protocol::secret::Secret;
use crate::upstream::{
    Credentials, LoginError, MAX_PASSWORD_BYTES, MAX_USERNAME_BYTES, PasswordLogin, Upstream,
};

use super::Grants;
use super::family::Agreed;

/// What the token request says.
#[derive(Debug)]
pub struct PasswordRequest {
    credentials: Credentials,
    /// Ours: whose person it is, where the client serves people of several upstreams.
    upstream: Option<String>,
    scope: Scope,
    resources: Vec<String>,
}

impl PasswordRequest {
    pub(super) fn parse(params: &Params) -> Result<Self, OAuthError> {
        let missing = |name: &str| OAuthError::invalid_request(format!("{name} is missing"));
        let username = params.get_capped("username", MAX_USERNAME_BYTES)?;
        let username = username.ok_or_else(|| missing("username"))?.trim();
        let password = params.get_capped("password", MAX_PASSWORD_BYTES)?;
        let password = password.ok_or_else(|| missing("password"))?;
        Ok(Self {
            credentials: Credentials {
                username: username.to_owned(),
                password: Secret::new(password),
            },
            upstream: params.get_capped("upstream", 256)?.map(ToOwned::to_owned),
            scope: Scope::parse(params.get("scope")?.unwrap_or_default()).map_err(invalid_scope)?,
            resources: resource::read(params)?,
        })
    }

    pub(super) async fn redeem(
        self,
        client: &Client,
        key: Option<&Thumbprint>,
        address: &str,
        grants: &Grants,
    ) -> Result<Authorization, OAuthError> {
        // The config refuses these, and so does this: whoever is asked for consent is in no browser here, and a client that
        // anybody can speak for is none to trust with a password (RFC 9700 section 2.4).
        if client.is_anybodys() || client.consent != ConsentPolicy::None {
            return Err(OAuthError::new(
                ErrorCode::UnauthorizedClient,
                "this grant is for confidential clients of the configuration that need no consent",
            ));
        }
        let (upstream, login) = grants.asked_for_passwords(client, self.upstream.as_deref())?;
        let scope = client.grant_scope(&self.scope)?;
        let aim = Aim::asked(client, grants.mint.issuer(), self.resources.clone())?;
        grants.mint.target(client, &scope, &aim)?;
        let identity = grants
            .logins
            .check_password(&upstream.id, login, &self.credentials, address)
            .await
            .map_err(refused)?;
        let logged_in = grants
            .logins
            .log_in(&upstream.id, identity, None, false)
            .await?;
        let LoggedIn { session, account } = logged_in.ok_or_else(wrong)?.logged_in;
        let agreed = Agreed {
            family_id: FamilyId::new(random_id()),
            account_id: &account.id,
            authentication: Authentication::from(&session),
            scope: &scope,
            claims: ClaimsRequest::default(),
            resources: self.resources,
        };
        let begun = grants.begin_login(client, key, agreed, aim).await;
        if begun.is_err() {
            // Whom the client is not for has nothing left of the try.
            let now = grants.clock.now();
            grants.store.end_session(&session.id, now).await?;
        }
        begun
    }
}

impl Grants {
    /// The upstream that a password is for: the one that is named, or the only one there is.
    fn asked_for_passwords(
        &self,
        client: &Client,
        named: Option<&str>,
    ) -> Result<(&Upstream, &dyn PasswordLogin), OAuthError> {
        let able = self
            .upstreams
            .allowed(|id| client.allows_upstream(id))
            .filter_map(|upstream| Some((upstream, upstream.password.as_deref()?)));
        let able: Vec<(&Upstream, &dyn PasswordLogin)> = able.collect();
        let found = match (named, able.as_slice()) {
            (None, [only]) => Some(*only),
            (None, _) => None,
            (Some(named), able) => {
                let mut able = able.iter().copied();
                able.find(|(upstream, _)| upstream.id.as_str() == named)
            }
        };
        found.ok_or_else(|| {
            let ids: Vec<&str> = able
                .iter()
                .map(|(upstream, _)| upstream.id.as_str())
                .collect();
            OAuthError::invalid_request(format!(
                "upstream must name one of those whose people this client serves by password: {}",
                ids.join(", ")
            ))
        })
    }

    async fn begin_login(
        &self,
        client: &Client,
        key: Option<&Thumbprint>,
        agreed: Agreed<'_>,
        aim: Aim,
    ) -> Result<Authorization, OAuthError> {
        let (family, account) = self.family_of(client, key, agreed).await?;
        let (cap, now) = (self.families_per_client, self.clock.now());
        if !self.store.begin_capped_family(&family, cap, now).await? {
            return Err(wrong());
        }
        self.hold_to_cap(&family).await?;
        self.authorization(client, family, account, None, aim)
    }
}

/// One answer to whatever may have been a guess (T32); an outage is none.
fn refused(error: LoginError) -> OAuthError {
    match error {
        LoginError::Unavailable(_) | LoginError::Protocol(_) => OAuthError::new(
            ErrorCode::TemporarilyUnavailable,
            "the upstream cannot be asked at the moment; try again later",
        )
        .because(error),
        error => wrong().because(error),
    }
}

fn wrong() -> OAuthError {
    OAuthError::invalid_grant(
        "the user name or the password is wrong, or the person may not come in by a password here; if it keeps being refused, \
         the person should log in by the browser, which says more",
    )
}
