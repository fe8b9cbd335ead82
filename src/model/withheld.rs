//! What a policy that became stricter keeps from a client that registered itself.

use serde::{Deserialize, Serialize};

use super::client::Client;

/// The rest of the client is what is left to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// All that it registered, so that a policy that is looser again gives it back.
    pub registered: Box<Client>,
    /// Whether its way of proving who it is is no longer allowed.
    pub auth_method: bool,
}

impl Client {
    /// Whether its way of proving who it is is no longer allowed.
    pub fn lacks_auth_method(&self) -> bool {
        self.withheld.as_ref().is_some_and(|held| held.auth_method)
    }

    /// Whether `uri` is a redirect URI that it registered and has no more.
    pub fn is_withheld_redirect_uri(&self, uri: &str) -> bool {
        self.withheld.as_ref().is_some_and(|withheld| {
            let mut registered = withheld.registered.redirect_uris.iter();
            registered.any(|each| each.matches(uri))
        })
    }
}
