//! The client credentials grant (RFC 6749 section 4.4): a server acts for itself.

use crate::model::authorization::Authorization;
use crate::model::client::Client;
use crate::model::resource::Aim;
use crate::protocol::authorize::invalid_scope;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::params::Params;
use crate::protocol::resource;
use crate::protocol::scope::{EMAIL, OFFLINE_ACCESS, OPENID, PROFILE, Scope};

use super::Grants;

/// What the token request says.
#[derive(Debug)]
pub struct ClientCredentialsRequest {
    scope: Scope,
    resources: Vec<String>,
}

/// Scopes that are about a person, of whom there is none here.
const PERSONAL: [&str; 4] = [OPENID, PROFILE, EMAIL, OFFLINE_ACCESS];

impl ClientCredentialsRequest {
    pub(super) fn parse(params: &Params) -> Result<Self, OAuthError> {
        let scope =
            Scope::parse(params.get("scope")?.unwrap_or_default()).map_err(invalid_scope)?;
        if let Some(token) = scope.iter().find(|token| PERSONAL.contains(token)) {
            return Err(OAuthError::new(
                ErrorCode::InvalidScope,
                format!("{token} is about a person, and this grant has none"),
            ));
        }
        let resources = resource::read(params)?;
        Ok(Self { scope, resources })
    }

    pub(super) fn redeem(
        self,
        client: &Client,
        grants: &Grants,
    ) -> Result<Authorization, OAuthError> {
        // RFC 6749 section 4.4: confidential clients only. The config refuses the combination; so does this.
        if client.is_public() {
            return Err(OAuthError::new(
                ErrorCode::UnauthorizedClient,
                "a public client cannot act for itself",
            ));
        }
        let granted = client.narrow_scope(&self.scope)?;
        let scope = PERSONAL.into_iter().fold(granted, Scope::without);
        Ok(Authorization {
            within_session: false,
            client_id: client.client_id.clone(),
            person: None,
            exchanged: None,
            scope,
            aim: Aim::asked(client, grants.mint.issuer(), self.resources)?,
        })
    }
}
