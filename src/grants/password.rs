//! The resource owner password credentials grant (RFC 6749 section 4.3), for software that can do nothing else: a confidential
//! client that an administrator trusts with people's passwords. The upstream is asked as it is for our login page, with the
//! same counts of attempts, and the login that follows has a session, which no browser holds.

use crate::clock::ordered_id;
use crate::logins::{Accepted, Before, LoggedIn, Origin};
use crate::model::audit::Event;
use crate::model::authorization::Authorization;
use crate::model::client::{Client, ConsentPolicy};
use crate::model::resource::Aim;
use crate::model::session::Authentication;
use crate::protocol::authorize::invalid_scope;
use crate::protocol::claims_request::ClaimsRequest;
use crate::protocol::dpop::Thumbprint;
use crate::protocol::error::{ErrorCode, OAuthError, chain};
use crate::protocol::ids::{FamilyId, UpstreamId};
use crate::protocol::params::Params;
use crate::protocol::resource;
use crate::protocol::scope::Scope;
use crate::protocol::secret::Secret;
use crate::telemetry::Entry;
use crate::upstream::{
    Credentials, Identity, LoginError, MAX_PASSWORD_BYTES, MAX_USERNAME_BYTES, PasswordLogin,
    Upstream,
};

use super::family::Agreed;
use super::{Grants, closed};

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
        // Not by the address: it is the app's server, for everybody who types a password there.
        let origin = Origin::Client(&client.client_id);
        let tried = grants
            .logins
            .try_password(&upstream.id, login, &self.credentials, origin);
        let Accepted { identity, attempt } = tried.await.map_err(refused)?;
        let asked = Asked {
            scope,
            resources: self.resources,
            aim,
        };
        // From here on the password is known to be right. Whoever asks must not learn that from a refusal, or this
        // grant would tell the right passwords of people who may not come in (T32).
        match grants
            .come_in(client, key, &upstream.id, identity, asked)
            .await
        {
            Ok(authorization) => {
                grants.logins.admit(attempt).await;
                Ok(authorization)
            }
            Err(error) if error.code.is_outage() => {
                grants.logins.leave_undecided(attempt).await;
                Err(error)
            }
            Err(error) => {
                let entry = Entry::new(Event::LoginRefused)
                    .upstream(&upstream.id)
                    .client(&client.client_id)
                    .name_hash(grants.logins.name_hash(&attempt))
                    .with("method", "password")
                    .with("reason", chain(&error));
                grants.audit.record(entry);
                grants.logins.turn_away(attempt).await;
                Err(wrong().because(error))
            }
        }
    }
}

/// What a client asks for beside the person, checked.
struct Asked {
    scope: Scope,
    resources: Vec<String>,
    aim: Aim,
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

    /// The session and the family of whom the upstream took, or the true reason why there are none.
    async fn come_in(
        &self,
        client: &Client,
        key: Option<&Thumbprint>,
        upstream: &UpstreamId,
        identity: Identity,
        asked: Asked,
    ) -> Result<Authorization, OAuthError> {
        let logged_in = self
            .logins
            .log_in(upstream, identity, Before::default(), false)
            .await?;
        let LoggedIn {
            session, account, ..
        } = logged_in.ok_or_else(closed)?.logged_in;
        let agreed = Agreed {
            family_id: FamilyId::new(ordered_id()),
            account_id: &account.id,
            authentication: Authentication::from(&session),
            scope: &asked.scope,
            claims: ClaimsRequest::default(),
            resources: asked.resources,
        };
        let begun = self.begin_login(client, key, agreed, asked.aim).await;
        if begun.is_err() {
            // Whom the client is not for has nothing left of the try.
            let now = self.clock.now();
            self.store.end_session(&session.id, now).await?;
            let entry = Entry::new(Event::LoggedOut)
                .session(&session.id)
                .account(&account.id)
                .upstream(upstream)
                .client(&client.client_id)
                .with("by", "client")
                .with("reason", "the client that had the password got no tokens");
            self.audit.record(entry);
        }
        begun
    }

    async fn begin_login(
        &self,
        client: &Client,
        key: Option<&Thumbprint>,
        agreed: Agreed<'_>,
        aim: Aim,
    ) -> Result<Authorization, OAuthError> {
        let asked = agreed.scope;
        let family = self.family_of(client, key, agreed);
        let account = self.person_of(client, &family, asked, None).await?;
        let (caps, now) = (self.family_caps, self.clock.now());
        self.note_told(client, &family).await?;
        let begun = self.store.begin_capped_family(&family, caps, now).await?;
        let Some(ended) = begun else {
            let text = "the session, the account or the client is gone meanwhile";
            return Err(OAuthError::invalid_grant(text));
        };
        self.note_capped(&family, ended);
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
