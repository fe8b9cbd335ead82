//! What the browser carries to the client (OpenID Connect Core sections 3.2.2.5 and 3.3.2.5). Never a refresh token.

use crate::model::authorization::Authorization;
use crate::model::client::Client;
use crate::protocol::error::OAuthError;
use crate::protocol::response::ResponseType;

use super::Mint;
use super::id_token::Companions;

impl Mint {
    /// The parameters of a successful authorization response of this type; `code` is the one that belongs to it, where
    /// there is one.
    pub async fn mint_response(
        &self,
        client: &Client,
        response_type: ResponseType,
        authorization: &Authorization,
        code: Option<String>,
    ) -> Result<Vec<(&'static str, String)>, OAuthError> {
        let now = self.clock.now();
        let mut scope = authorization.scope.clone();
        let access_token = if response_type.returns_access_token() {
            let target = self.target(client, &scope, &authorization.aim)?;
            scope = target.scope.clone();
            Some(
                self.access_token(client, authorization, None, target, now)
                    .await?,
            )
        } else {
            None
        };
        let companions = Companions {
            access_token: access_token.as_deref(),
            code: code.as_deref(),
        };
        let person = authorization.person.as_ref();
        let id_token = match person.filter(|_| response_type.returns_id_token()) {
            Some(person) => Some(self.id_token(client, person, companions, now).await?),
            None => None,
        };
        let mut parameters = Vec::new();
        parameters.extend(code.map(|code| ("code", code)));
        if let Some(access_token) = access_token {
            parameters.extend([
                ("access_token", access_token),
                ("token_type", "Bearer".to_owned()),
                ("expires_in", self.lifetimes.access_token.to_string()),
            ]);
            // As at the token endpoint: said always, so that nobody has to guess (RFC 6749 section 4.2.2).
            parameters.extend((!scope.is_empty()).then(|| ("scope", scope.to_string())));
        }
        parameters.extend(id_token.map(|token| ("id_token", token)));
        Ok(parameters)
    }
}
