//! What a client is told about a person, and where: the one place that decides it (OpenID Connect Core sections 5.4 and 5.5).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::protocol::claims::RESERVED;
use crate::protocol::claims_request::{ClaimsRequest, Wanted};
use crate::protocol::ids::Subject;
use crate::protocol::scope::Scope;

use super::account::Account;
use super::client::Client;
use super::client_claims;
use super::scopes::Scopes;
use super::session::Authentication;

/// Who is told about whom.
#[derive(Clone, Copy)]
pub struct Disclosure<'a> {
    /// The client, as registered now.
    pub client: &'a Client,
    /// Which scope opens what.
    pub scopes: &'a Scopes,
    /// The person's `sub` for this client.
    pub subject: &'a Subject,
    /// The person, as the upstream told them last.
    pub account: &'a Account,
    /// Their login.
    pub authentication: &'a Authentication,
    /// What the request asked for by the parameter `claims`.
    pub asked: &'a ClaimsRequest,
}

impl Disclosure<'_> {
    /// In the ID token of an answer with an access token or a code: what was asked for there by name; scopes are for userinfo.
    pub fn in_id_token(self) -> BTreeMap<String, Value> {
        self.with_own(self.by_name(&self.asked.id_token))
    }

    /// In the ID token of an answer that leads to no userinfo: what `granted` opens, too.
    pub fn in_lone_id_token(self, granted: &Scope) -> BTreeMap<String, Value> {
        let mut opened = self.scopes.within(&self.account.profile, granted);
        opened.extend(self.by_name(&self.asked.id_token));
        self.with_own(opened)
    }

    /// At userinfo.
    pub fn at_userinfo(self, granted: &Scope) -> BTreeMap<String, Value> {
        let mut opened = self.scopes.within(&self.account.profile, granted);
        opened.extend(self.by_name(&self.asked.userinfo));
        self.with_own(opened)
    }

    /// The claims asked for by name, as far as the client's registration opens them (T17) and their values will do.
    fn by_name(self, asked: &BTreeMap<String, Wanted>) -> BTreeMap<String, Value> {
        if asked.is_empty() {
            return BTreeMap::new();
        }
        let registered = &self.client.scope;
        let mut claims = self.scopes.within(&self.account.profile, registered);
        claims.retain(|name, value| asked.get(name).is_some_and(|wanted| wanted.admits(value)));
        claims
    }

    /// The client's own claims stand in the place of those of the same name.
    fn with_own(self, opened: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
        let own = self
            .client
            .claims_about(self.subject, self.account, self.authentication);
        client_claims::lay_over(opened, own)
    }
}

/// What of a request by name is to be kept: what this client may ask for. Another claim is ignored, not refused (Core section 5.5.1).
pub fn admitted(client: &Client, scopes: &Scopes, asked: ClaimsRequest) -> ClaimsRequest {
    asked.narrowed_to(|name| scopes.open(&client.scope, name))
}

/// The same of a request that is not answered yet: what asks for a certain person or login, and tells nothing of the profile, stays.
pub fn agreed(client: &Client, scopes: &Scopes, asked: ClaimsRequest) -> ClaimsRequest {
    asked.narrowed_to(|name| RESERVED.contains(&name) || scopes.open(&client.scope, name))
}

/// The claims that are asked for by name and not opened by `granted` already: what a person is asked about besides the scopes.
pub fn beyond<'a>(
    client: &Client,
    scopes: &Scopes,
    asked: &'a ClaimsRequest,
    granted: &Scope,
) -> BTreeSet<&'a str> {
    let mut names = asked.names();
    names.retain(|name| scopes.open(&client.scope, name) && !scopes.open(granted, name));
    names
}
