//! The APIs that access tokens are for (RFC 8707), and what a token for one looks like.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::protocol::claims::Audience;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::ClientId;
use crate::protocol::issuer::Issuer;
use crate::protocol::jws::SigningAlgorithm;
use crate::protocol::locale::Label;
use crate::protocol::resource::invalid_target;
use crate::protocol::scope::{self, Scope};
use crate::protocol::token::AccessTokenFormat;

use super::client::Client;

/// An API, as the administrator describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// What its tokens name in `aud`: an absolute URI.
    pub identifier: String,
    /// What people see on pages; the identifier when absent.
    pub name: Option<Label>,
    /// The scopes that mean something to it; all when `None`.
    pub scope: Option<Scope>,
    /// What its tokens look like; as the client's when `None`.
    pub access_token_format: Option<AccessTokenFormat>,
    /// The algorithm of its tokens where they are JWTs; as the client's when `None`.
    pub access_token_signed_response_alg: Option<SigningAlgorithm>,
    /// The clients that stand for it, and may look at its tokens.
    pub introspection_clients: BTreeSet<ClientId>,
}

/// All of them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Resources {
    issuer: Issuer,
    all: Arc<[Resource]>,
    /// The scopes of our own endpoints, beside those that have a meaning everywhere.
    ours: Arc<BTreeSet<String>>,
}

/// Which resources a grant is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Aim {
    /// The client named none: those of its registration.
    #[default]
    Registered,
    /// Those that the authorization request named.
    Granted(Vec<String>),
    /// Those that the token request named, and no other.
    Exactly(Vec<String>),
}

/// What an access token is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its `aud`.
    pub audience: Vec<String>,
    /// What it opens there.
    pub scope: Scope,
    /// What it looks like.
    pub format: AccessTokenFormat,
    /// The algorithm, if somebody has chosen one.
    pub algorithm: Option<SigningAlgorithm>,
}

impl Aim {
    /// That of an authorization request that names `named`.
    pub fn named(named: &[String]) -> Self {
        match named {
            [] => Self::Registered,
            named => Self::Granted(named.to_vec()),
        }
    }

    /// What a token request may have that names `named`, where nothing was granted before.
    pub fn asked(client: &Client, issuer: &Issuer, named: Vec<String>) -> Result<Self, OAuthError> {
        client.require_resources(&named, issuer)?;
        Ok(if named.is_empty() {
            Self::Registered
        } else {
            Self::Exactly(named)
        })
    }

    /// What a token request may have that names `named`, of a grant that was given for `granted` (RFC 8707 section 2.2).
    pub fn narrow(
        client: &Client,
        issuer: &Issuer,
        granted: &[String],
        named: Vec<String>,
    ) -> Result<Self, OAuthError> {
        // What was withdrawn since is not given (T17).
        let mut held = granted.to_vec();
        held.retain(|each| client.may_ask_for(each, issuer));
        if held.is_empty() && !granted.is_empty() {
            return Err(invalid_target(
                "all of these resources were withdrawn from this client",
            ));
        }
        if named.is_empty() {
            return Ok(Self::named(&held));
        }
        if granted.is_empty() {
            held.clone_from(&client.audience);
        }
        let stranger = named
            .iter()
            .find(|named| named.as_str() != issuer.as_str() && !held.contains(named));
        match stranger {
            None => Ok(Self::Exactly(named)),
            Some(_) => Err(invalid_target(
                "resource must be one of those that the authorization request named",
            )),
        }
    }
}

impl Resources {
    /// Those of the config.
    pub fn new(issuer: Issuer, all: Vec<Resource>) -> Self {
        Self {
            issuer,
            all: all.into(),
            ours: Arc::default(),
        }
    }

    /// With the scopes that open something at our own endpoints: claims, and calls of an upstream's API.
    #[must_use]
    pub fn knowing(self, ours: BTreeSet<String>) -> Self {
        Self {
            ours: Arc::new(ours),
            ..self
        }
    }

    /// The resource of that identifier, letter by letter.
    pub fn find(&self, identifier: &str) -> Option<&Resource> {
        self.all
            .iter()
            .find(|resource| resource.identifier == identifier)
    }

    /// What a token of `client` for `aim` is to be, of what was granted.
    pub fn target(
        &self,
        client: &Client,
        granted: &Scope,
        aim: &Aim,
    ) -> Result<Target, OAuthError> {
        let audience = self.audience(client, granted, aim);
        let scope = self.scope_at(&audience, granted);
        if scope.is_empty() && !granted.is_empty() {
            return Err(invalid_target(
                "nothing that was granted has a meaning for this resource",
            ));
        }
        let described = || audience.iter().filter_map(|each| self.find(each));
        let formats = described().filter_map(|resource| resource.access_token_format);
        let algorithms =
            described().filter_map(|resource| resource.access_token_signed_response_alg);
        Ok(Target {
            format: agreed(formats)?.unwrap_or(client.access_token_format),
            algorithm: agreed(algorithms)?.or(client.access_token_signed_response_alg),
            scope,
            audience,
        })
    }

    fn audience(&self, client: &Client, granted: &Scope, aim: &Aim) -> Vec<String> {
        let named = match aim {
            Aim::Exactly(named) => return named.clone(),
            Aim::Granted(named) => named,
            Aim::Registered => &client.audience,
        };
        // Userinfo and the gateway are APIs of ours; a token that may ask one names us beside the others. With neither, we
        // are the default resource (RFC 9068 section 3).
        let ours =
            granted.contains(scope::OPENID) || !client.upstream_apis.is_empty() || named.is_empty();
        let mut audience = named.clone();
        if ours && !audience.iter().any(|each| each == self.issuer.as_str()) {
            audience.push(self.issuer.to_string());
        }
        audience
    }

    /// The scopes that mean something to one of `audience`. To us, all do that no resource has for itself; and those of our own endpoints,
    /// also where a resource names them as what its tokens may have: that takes them from nobody else's.
    fn scope_at(&self, audience: &[String], granted: &Scope) -> Scope {
        let knows = |identifier: &String, token: &str| {
            let of_resource = |resource: &Resource| {
                let known = resource.scope.as_ref();
                known.map(|known| known.contains(token))
            };
            if *identifier == self.issuer.as_str() {
                return scope::has_a_meaning(token)
                    || self.ours.contains(token)
                    || !self.all.iter().any(|each| of_resource(each) == Some(true));
            }
            // Of one that is not described, or that does not say, nobody knows better.
            self.find(identifier).and_then(of_resource).unwrap_or(true)
        };
        granted.filtered(|token| audience.iter().any(|each| knows(each, token)))
    }

    /// The part of a token's audience that `client` stands for; empty: it is nobody to the token.
    pub fn stood_for(&self, client: &ClientId, audience: &Audience) -> Vec<String> {
        let stands = |resource: &&Resource| {
            resource.introspection_clients.contains(client)
                && audience.contains(&resource.identifier)
        };
        let mine = self.all.iter().filter(stands);
        mine.map(|resource| resource.identifier.clone()).collect()
    }

    /// What a token of `scope` opens at the resources of `audience`, as far as they describe it.
    pub fn scope_seen(&self, audience: &[String], scope: &Scope) -> Scope {
        self.scope_at(audience, scope)
    }
}

/// The one value that all agree on, who have an opinion.
fn agreed<T: PartialEq>(mut opinions: impl Iterator<Item = T>) -> Result<Option<T>, OAuthError> {
    let Some(first) = opinions.next() else {
        return Ok(None);
    };
    if opinions.all(|other| other == first) {
        return Ok(Some(first));
    }
    Err(invalid_target(
        "these resources take different kinds of tokens; ask for a token for each, one at a time",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::error::ErrorCode;

    const ISSUER: &str = "https://login.example.org";
    const A: &str = "https://a.example";
    const B: &str = "https://b.example";

    fn resource(identifier: &str, scope: Option<&str>) -> Resource {
        Resource {
            identifier: identifier.to_owned(),
            name: None,
            scope: scope.map(|scope| Scope::parse(scope).unwrap()),
            access_token_format: None,
            access_token_signed_response_alg: None,
            introspection_clients: BTreeSet::from([ClientId::new("api")]),
        }
    }

    fn resources(all: Vec<Resource>) -> Resources {
        Resources::new(Issuer::parse(ISSUER).unwrap(), all)
    }

    fn client() -> Client {
        Client {
            audience: vec![A.to_owned()],
            resources: vec![B.to_owned()],
            ..Client::new(ClientId::new("app"))
        }
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    /// RFC 8707 section 2.2, RFC 9068 section 3.
    #[test]
    fn a_token_is_for_those_whom_it_was_asked_for() {
        let known = resources(vec![
            resource(A, Some("a:read")),
            resource(B, Some("b:read")),
        ]);
        let all = "openid profile a:read b:read";
        for (aim, audience, scope) in [
            (Aim::Registered, vec![A, ISSUER], "a:read openid profile"),
            (
                Aim::Granted(names(&[B])),
                vec![B, ISSUER],
                "b:read openid profile",
            ),
            (Aim::Granted(names(&[A, B])), vec![A, B, ISSUER], all),
            (Aim::Exactly(names(&[B])), vec![B], "b:read"),
            (
                Aim::Exactly(names(&[ISSUER])),
                vec![ISSUER],
                "openid profile",
            ),
            // Nobody knows better.
            (Aim::Exactly(names(&["urn:other"])), vec!["urn:other"], all),
        ] {
            let granted = Scope::parse(all).unwrap();
            let target = known.target(&client(), &granted, &aim).unwrap();
            assert_eq!(target.audience, names(&audience), "{aim:?}");
            assert_eq!(target.scope, Scope::parse(scope).unwrap(), "{aim:?}");
        }
        let nothing = Scope::parse("openid").unwrap();
        let refused = known.target(&client(), &nothing, &Aim::Exactly(names(&[A])));
        assert_eq!(refused.unwrap_err().code, ErrorCode::InvalidTarget);
    }

    /// An API may name what its tokens have beside its own: everybody else's tokens keep it.
    #[test]
    fn no_resource_takes_the_scopes_of_our_own_endpoints() {
        let ours = ["training", "members:read"].map(str::to_owned);
        let named = "openid profile upstream:members training members:read a:read";
        let known = resources(vec![resource(A, Some(named))]).knowing(BTreeSet::from(ours));
        let granted = Scope::parse(named).unwrap();
        let at_us = Aim::Exactly(names(&[ISSUER]));
        let target = known.target(&client(), &granted, &at_us).unwrap();
        let own = "openid profile upstream:members training members:read";
        assert_eq!(target.scope, Scope::parse(own).unwrap());
        let at_api = Aim::Exactly(names(&[A]));
        let target = known.target(&client(), &granted, &at_api).unwrap();
        assert_eq!(target.scope, granted);
    }

    #[test]
    fn resources_of_one_token_agree_on_its_kind() {
        use SigningAlgorithm::{ES256, PS256};
        let of = |format, algorithm, identifier| Resource {
            access_token_format: format,
            access_token_signed_response_alg: algorithm,
            ..resource(identifier, None)
        };
        let opaque = Some(AccessTokenFormat::Opaque);
        let jwt = Some(AccessTokenFormat::Jwt);
        let both = Aim::Exactly(names(&[A, B]));
        let target = |a, b| resources(vec![a, b]).target(&client(), &Scope::default(), &both);
        let settled = target(of(opaque, None, A), of(None, Some(ES256), B)).unwrap();
        assert_eq!(
            (settled.format, settled.algorithm),
            (AccessTokenFormat::Opaque, Some(ES256))
        );
        for (a, b) in [
            (of(opaque, None, A), of(jwt, None, B)),
            (of(None, Some(ES256), A), of(None, Some(PS256), B)),
        ] {
            assert_eq!(target(a, b).unwrap_err().code, ErrorCode::InvalidTarget);
        }
    }

    /// A token request cannot widen what was granted.
    #[test]
    fn a_token_request_only_narrows() {
        let issuer = Issuer::parse(ISSUER).unwrap();
        let narrow = |granted: &[&str], named: &[&str]| {
            Aim::narrow(&client(), &issuer, &names(granted), names(named))
        };
        assert_eq!(narrow(&[], &[]).unwrap(), Aim::Registered);
        assert_eq!(narrow(&[B], &[]).unwrap(), Aim::Granted(names(&[B])));
        assert_eq!(narrow(&[A, B], &[B]).unwrap(), Aim::Exactly(names(&[B])));
        assert_eq!(narrow(&[], &[A]).unwrap(), Aim::Exactly(names(&[A])));
        assert_eq!(
            narrow(&[B], &[ISSUER]).unwrap(),
            Aim::Exactly(names(&[ISSUER]))
        );
        assert_eq!(
            narrow(&[A, "urn:gone"], &[]).unwrap(),
            Aim::Granted(names(&[A]))
        );
        for (granted, named) in [
            (&[B][..], &[A][..]),
            (&[], &[B]),
            (&[A], &[A, B]),
            (&["urn:gone"], &[]),
            (&[A, "urn:gone"], &["urn:gone"]),
        ] {
            assert_eq!(
                narrow(granted, named).unwrap_err().code,
                ErrorCode::InvalidTarget
            );
        }
    }

    #[test]
    fn only_who_stands_for_a_resource_may_look_at_its_tokens() {
        let known = resources(vec![resource(A, None), resource(B, None)]);
        let audience = Audience::new(names(&[A, ISSUER]));
        let api = ClientId::new("api");
        assert_eq!(known.stood_for(&api, &audience), [A]);
        assert!(known.stood_for(&ClientId::new("app"), &audience).is_empty());
        let ours = Audience::new(names(&[ISSUER]));
        assert!(known.stood_for(&api, &ours).is_empty());
    }
}
