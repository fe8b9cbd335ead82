//! The authorization code grant (RFC 6749 section 4.1.3, OpenID Connect Core section 3.1.3).

use crate::keys::Purpose;
use crate::model::authorization::{Authorization, Person};
use crate::model::client::Client;
use crate::model::code;
use crate::model::family::TokenFamily;
use crate::model::resource::Aim;
use crate::protocol::error::OAuthError;
use crate::protocol::params::Params;
use crate::protocol::redirect_uri;
use crate::protocol::resource;
use crate::protocol::secret::Secret;
use crate::store::Redemption;
use crate::tokens::subject;

use super::Grants;

/// What the token request says.
#[derive(Debug)]
pub struct AuthorizationCodeRequest {
    code: Secret,
    redirect_uri: Option<String>,
    code_verifier: Option<Secret>,
    resources: Vec<String>,
}

impl AuthorizationCodeRequest {
    pub(super) fn parse(params: &Params) -> Result<Self, OAuthError> {
        let code = params
            .get_capped("code", 128)?
            .ok_or_else(|| OAuthError::invalid_request("code is missing"))?;
        Ok(Self {
            code: Secret::new(code),
            redirect_uri: params
                .get_capped("redirect_uri", redirect_uri::MAX_BYTES)?
                .map(ToOwned::to_owned),
            code_verifier: params.get_capped("code_verifier", 256)?.map(Secret::new),
            resources: resource::read(params)?,
        })
    }

    pub(super) async fn redeem(
        self,
        client: &Client,
        grants: &Grants,
    ) -> Result<Authorization, OAuthError> {
        let now = grants.clock.now();
        let code_hash = grants
            .secrets
            .hash(Purpose::AuthorizationCode, self.code.expose())?;
        let code = grants
            .store
            .find_code(&code_hash)
            .await?
            .ok_or_else(code::unknown)?;
        code.check(
            &client.client_id,
            self.redirect_uri.as_deref(),
            self.code_verifier.as_ref().map(Secret::expose),
            now,
        )?;
        let grant = code.grant;
        let account = grants
            .account_for(client, &grant.account_id, &grant.authentication)
            .await?;
        // What was withdrawn since the person agreed is not given (T17).
        let scope = grant.scope.narrowed_to(&client.scope);
        if scope.is_empty() && !grant.scope.is_empty() {
            return Err(OAuthError::invalid_grant(
                "all of this was withdrawn from this client",
            ));
        }
        let issuer = grants.mint.issuer();
        let aim = Aim::narrow(client, issuer, &grant.resources, self.resources)?;
        grants.mint.target(client, &scope, &aim)?;
        let refresh_generation = client.gets_refresh_token().then_some(0);
        let family = TokenFamily {
            id: code.family_id,
            client_id: client.client_id.clone(),
            account_id: account.id.clone(),
            authentication: grant.authentication,
            offline: client.is_offline(&scope),
            scope,
            resources: grant.resources,
            generation: refresh_generation,
            created_at: now,
            rotated_at: now,
            expires_at: now + grants.family_lifetime.absolute,
            revoked_at: None,
        };
        // Spend the code before minting: if signing then fails the person logs in again; the other order lets two
        // racing requests both win (RFC 6749 section 4.1.2).
        let redemption = grants
            .store
            .redeem_code(&code_hash, &family, grants.families_per_client, now)
            .await?;
        match redemption {
            Redemption::Redeemed => {}
            Redemption::Replayed => {
                grants.metrics.replayed("authorization_code");
                tracing::warn!(
                    target: "portico::audit",
                    event = "code_replayed",
                    client_id = %client.client_id,
                    family = %family.id,
                    "an authorization code was used twice; its tokens are revoked"
                );
                return Err(code::unknown());
            }
            Redemption::Gone => return Err(code::unknown()),
        }
        let subject = subject::for_client(&grants.secrets, client, &account)?;
        Ok(Authorization {
            client_id: family.client_id,
            scope: family.scope,
            aim,
            person: Some(Person {
                claims: client.claims_about(&subject, &account, &family.authentication),
                subject,
                account_id: account.id,
                authentication: family.authentication,
                nonce: grant.nonce,
                family_id: family.id,
                refresh_generation,
            }),
        })
    }
}
