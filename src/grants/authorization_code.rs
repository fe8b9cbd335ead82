//! The authorization code grant (RFC 6749 section 4.1.3, OpenID Connect Core section 3.1.3).

use crate::keys::Purpose;
use crate::model::audit::Event;
use crate::model::authorization::Authorization;
use crate::model::client::Client;
use crate::model::code;
use crate::model::family::TokenFamily;
use crate::model::resource::Aim;
use crate::protocol::dpop::{self, Thumbprint};
use crate::protocol::error::OAuthError;
use crate::protocol::params::Params;
use crate::protocol::redirect_uri;
use crate::protocol::resource;
use crate::protocol::secret::Secret;
use crate::store::Redeemable;
use crate::telemetry;

use super::Grants;
use super::family::Agreed;

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
        key: Option<&Thumbprint>,
        grants: &Grants,
    ) -> Result<Authorization, OAuthError> {
        let now = grants.clock.now();
        let code_hash = grants
            .secrets
            .hash(Purpose::AuthorizationCode, self.code.expose())?;
        let found = grants.store.find_code(&code_hash).await?;
        let Redeemable {
            code,
            standing,
            noted,
        } = found.ok_or_else(code::unknown)?;
        telemetry::note_tokens(
            &code.grant.account_id,
            &code.grant.authentication,
            &code.family_id,
        );
        code.check(
            &client.client_id,
            self.redirect_uri.as_deref(),
            self.code_verifier.as_ref().map(Secret::expose),
            now,
        )?;
        let grant = code.grant;
        dpop::require_key(grant.dpop_jkt.as_ref(), key)?;
        let family = grants.family_of(
            client,
            key,
            Agreed {
                family_id: code.family_id,
                account_id: &grant.account_id,
                authentication: grant.authentication,
                scope: &grant.scope,
                claims: grant.claims,
                resources: grant.resources,
            },
        );
        if code.redeemed_at.is_some() {
            // A replay is acted on whatever is down, and whoever its person is by now.
            grants.spend_code(&code_hash, &family).await?;
            return Err(code::unknown());
        }
        let account = grants
            .person_of(client, &family, &grant.scope, standing)
            .await?;
        let issuer = grants.mint.issuer();
        let aim = Aim::narrow(client, issuer, &family.resources, self.resources)?;
        grants.mint.target(client, &family.scope, &aim)?;
        // The app was taken away from the person between the note of it and the code: that this login ends is to be told all the same.
        if !noted {
            grants.note_told(client, &family).await?;
        }
        // Spend the code before minting: if signing then fails the person logs in again; the other order lets two
        // racing requests both win (RFC 6749 section 4.1.2).
        grants.spend_code(&code_hash, &family).await?;
        grants.authorization(client, family, account, grant.nonce, aim)
    }
}

impl Grants {
    async fn spend_code(&self, code_hash: &str, family: &TokenFamily) -> Result<(), OAuthError> {
        let (caps, now) = (self.family_caps, self.clock.now());
        let redemption = self.store.redeem_code(code_hash, family, caps, now).await?;
        let replayed = ("authorization_code", Event::CodeReplayed);
        if self.has_begun(redemption, family, replayed).await {
            return Ok(());
        }
        Err(code::unknown())
    }
}
