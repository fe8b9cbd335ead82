//! The policy of now, held against the clients that registered under one of before.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::RegistrationPolicy;
use crate::model::client::Client;
use crate::model::client_logout::ClientLogout;
use crate::model::withheld::Withheld;
use crate::protocol::client_metadata::rules;
use crate::protocol::redirect_uri::RedirectUri;

/// Which rules these are. Raised with every change to what [`RegistrationPolicy::hold`] makes of a client under the same policy: each
/// is then looked at once more.
pub(super) const RULES: i64 = 1;

impl RegistrationPolicy {
    /// A hash of all that [`hold`](Self::hold) looks at. Policies that have the same make the same of every client.
    pub fn fingerprint(&self) -> String {
        // By name, so that whoever adds something says here whether clients are held against it.
        let Self {
            redirect_hosts,
            scope,
            grant_types,
            token_endpoint_auth_methods,
            allow_token_endpoint_audience,
            upstreams,
            consent,
            mode: _,
            max_clients: _,
            max_per_address: _,
            unused: _,
            fetch_allowed_hosts: _,
            show_logos: _,
            algorithms: _,
        } = self;
        // In which order they were written has no meaning.
        let hosts: BTreeSet<&str> = redirect_hosts.iter().map(String::as_str).collect();
        let methods = token_endpoint_auth_methods.iter();
        let methods: BTreeSet<&str> = methods.map(|method| method.as_str()).collect();
        let looked_at = json!([
            RULES,
            hosts,
            scope,
            grant_types,
            methods,
            allow_token_endpoint_audience,
            upstreams,
            consent,
        ]);
        URL_SAFE_NO_PAD.encode(Sha256::digest(looked_at.to_string()))
    }

    /// The client, with what is ours to say as this policy says it now, and without what it allows no more. What it takes is
    /// kept beside, so that the next policy is held against all that was registered.
    #[must_use]
    pub fn hold(&self, client: &Client) -> Client {
        let registered = match &client.withheld {
            Some(withheld) => (*withheld.registered).clone(),
            None => client.clone(),
        };
        let whole = Client {
            upstreams: Some(self.upstreams.clone()),
            consent: self.consent,
            allow_token_endpoint_audience: self.allow_token_endpoint_audience,
            ..registered
        };
        let left = self.left_of(&whole);
        let auth_method = !self
            .token_endpoint_auth_methods
            .contains(&whole.token_endpoint_auth_method);
        if left == whole && !auth_method {
            return whole;
        }
        let registered = Box::new(whole);
        let withheld = Some(Withheld {
            registered,
            auth_method,
        });
        Client { withheld, ..left }
    }

    /// What this policy allows of it.
    fn left_of(&self, whole: &Client) -> Client {
        let grant_types = whole.grant_types.intersection(&self.grant_types);
        let grant_types = grant_types.copied().collect();
        let allowed = self.response_types();
        let response_types = whole.response_types.intersection(&allowed);
        let response_types = response_types.copied().collect();
        let uris = |uris: &[RedirectUri]| {
            let allowed = uris.iter().filter(|uri| self.allows_host(uri.as_str()));
            allowed.cloned().collect::<Vec<_>>()
        };
        let page = |uri: &Option<String>| uri.clone().filter(|uri| self.allows_host(uri));
        Client {
            scope: whole.scope.narrowed_to(&self.scope),
            grant_types,
            response_types,
            redirect_uris: uris(&whole.redirect_uris),
            post_logout_redirect_uris: uris(&whole.post_logout_redirect_uris),
            initiate_login_uri: page(&whole.initiate_login_uri),
            logout: ClientLogout {
                backchannel_logout_uri: page(&whole.logout.backchannel_logout_uri),
                frontchannel_logout_uri: page(&whole.logout.frontchannel_logout_uri),
                ..whole.logout.clone()
            },
            ..whole.clone()
        }
    }

    /// Whether the host of an address, or the owner of an app's scheme, is one of `redirect_hosts` or below one.
    pub(super) fn allows_host(&self, uri: &str) -> bool {
        if self.redirect_hosts.is_empty() {
            return true;
        }
        let owner = rules::owner(uri).unwrap_or_default();
        self.redirect_hosts.iter().any(|host| {
            owner
                .strip_suffix(host.as_str())
                .is_some_and(|above| above.is_empty() || above.ends_with('.'))
        })
    }
}
