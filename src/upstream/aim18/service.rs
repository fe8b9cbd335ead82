//! The service account: an aiM18 user whose password Portico has. Its token is kept on the shelf for all nodes.

use std::sync::Arc;

use async_trait::async_trait;

use super::settings::ServiceAccount;
use super::token::Grant;
use super::{Aim18, call};
use crate::protocol::secret::Secret;
use crate::upstream::shelf::{ask_twice, whose};
use crate::upstream::{AskForToken, LoginError, ServiceLogin, UpstreamTokens};

/// Logs the service account in.
pub(super) struct Service(pub(super) Arc<Aim18>);

#[async_trait]
impl ServiceLogin for Service {
    async fn token(&self, stale: Option<&Secret>) -> Result<UpstreamTokens, LoginError> {
        self.0.service_token(stale).await
    }
}

impl Aim18 {
    /// A token of the service account that is not `stale`.
    pub(super) async fn service_token(
        self: &Arc<Self>,
        stale: Option<&Secret>,
    ) -> Result<UpstreamTokens, LoginError> {
        self.service_account()?;
        let ask = Arc::new(Ask(Arc::clone(self)));
        self.shelf.token(&self.id, stale, ask).await
    }

    /// Asks something with the service account's token; with a new one, if the one that is kept is refused.
    pub(super) async fn ask_as_service<T, F>(
        self: &Arc<Self>,
        ask: impl Fn(Secret) -> F + Send,
    ) -> Result<T, call::Refused>
    where
        T: Send,
        F: Future<Output = Result<T, call::Refused>> + Send,
    {
        let kept = self.service_token(None).await?;
        let is_refused = |answer: &Result<T, _>| matches!(answer, Err(call::Refused::Token(_)));
        let renew = move |stale: Secret| async move { self.service_token(Some(&stale)).await };
        match ask_twice(kept, ask, is_refused, renew).await {
            Err(call::Refused::Token(told)) => Err(LoginError::Protocol(
                format!("{told}; {}", call::FRESH_TOKEN_REFUSED).into(),
            )
            .into()),
            answer => answer,
        }
    }

    fn service_account(&self) -> Result<&ServiceAccount, LoginError> {
        let account = self.settings.service_account.as_ref();
        account.ok_or_else(|| LoginError::Protocol("service_account is not configured".into()))
    }
}

/// One login.
struct Ask(Arc<Aim18>);

#[async_trait]
impl AskForToken for Ask {
    async fn ask(&self) -> Result<UpstreamTokens, LoginError> {
        let ServiceAccount { username, password } = self.0.service_account()?;
        let grant = Grant::Password { username, password };
        let token = self.0.tokens.ask(&grant).await?;
        Ok(self.0.upstream_tokens(token))
    }

    fn whose(&self) -> String {
        let account = self.0.service_account();
        account.map_or_else(
            |_| String::new(),
            |account| whose(&account.username, &account.password),
        )
    }
}
