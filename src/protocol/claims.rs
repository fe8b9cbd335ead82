//! Claims: about a person, and in each kind of token (OpenID Connect Core sections 2 and 5, RFC 9068 section 2.2).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::dpop::{Confirmation, Thumbprint};
use super::ids::{ClientId, FamilyId, SessionId};
use super::issuer::Issuer;
use super::scope::{self, Scope};

/// What an upstream tells about a person, under the names of Core section 5.1. Nothing is made up: what the
/// upstream does not say is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// The full name in displayable form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Given name or names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// Family name or names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    /// The name the person logs in with; not unique across upstreams and not stable (Core section 5.7).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// The preferred address; never used to recognise anybody (T31).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the upstream vouches for the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// Roles, groups and committees, as the upstream names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// What else the upstream tells, by the name of the claim; strings, numbers and booleans, and the address, which is an
    /// object (Core section 5.1.1).
    #[serde(skip_serializing_if = "BTreeMap::is_empty", flatten)]
    pub more: BTreeMap<String, Value>,
}

/// The claims about a membership, as far as an upstream tells them: opened by the scope `membership`.
pub const MEMBERSHIP: [&str; 6] = [
    "is_member",
    "membership_type",
    "membership_status",
    "member_id",
    "member_since",
    "paid_through",
];

/// The claims that the scope `profile` opens (Core section 5.4).
const PROFILE: [&str; 14] = [
    "name",
    "family_name",
    "given_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "updated_at",
];

/// The scope that opens a claim by a specification, or by our own ([`MEMBERSHIP`] and the groups).
pub fn standard_scope_of(claim: &str) -> Option<&'static str> {
    match claim {
        "email" | "email_verified" => Some(scope::EMAIL),
        "address" => Some(scope::ADDRESS),
        "phone_number" | "phone_number_verified" => Some(scope::PHONE),
        "groups" => Some(scope::GROUPS),
        _ if MEMBERSHIP.contains(&claim) => Some(scope::MEMBERSHIP),
        _ => PROFILE.contains(&claim).then_some(scope::PROFILE),
    }
}

/// The members of the claim `address` (Core section 5.1.1).
pub const ADDRESS: [&str; 6] = [
    "formatted",
    "street_address",
    "locality",
    "region",
    "postal_code",
    "country",
];

/// The claim `address` from what `part` tells of each member; `None` when it tells nothing.
pub fn address(part: impl Fn(&str) -> Option<String>) -> Option<Value> {
    let told = ADDRESS.into_iter();
    let told = told.filter_map(|name| Some((name.to_owned(), Value::String(part(name)?))));
    let told: serde_json::Map<String, Value> = told.collect();
    (!told.is_empty()).then_some(Value::Object(told))
}

/// Text of several lines, as a part of an address may be: each without space around it, none empty; `None` where nothing is left,
/// or what is left is no address.
pub fn lines(text: &str) -> Option<String> {
    const MAX_BYTES: usize = 512;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let joined = lines.collect::<Vec<_>>().join("\n");
    let odd = |c: char| c.is_control() && c != '\n';
    (!joined.is_empty() && joined.len() <= MAX_BYTES && !joined.contains(odd)).then_some(joined)
}

/// Claims of Core section 5.1 whose values are plain text, besides those that [`Profile`] has a field for.
pub const TEXTS: [&str; 10] = [
    "middle_name",
    "nickname",
    "profile",
    "picture",
    "website",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "phone_number",
];

/// Whether a claim can be named so: 1 to 256 visible characters of ASCII, as `claims` parameters and lists of names hold
/// them.
pub fn is_name(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Names that no upstream and no configuration may give a claim of its own: those that say what a token is and how it
/// came about.
pub const RESERVED: [&str; 22] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "auth_time",
    "acr",
    "amr",
    "azp",
    "sid",
    "client_id",
    "scope",
    "cnf",
    "act",
    "events",
    "family",
];

/// The one of [`RESERVED`] that is about a person.
pub const SUBJECT: &str = "sub";

/// By hand: `flatten` puts all that it meets by before it gives it to anybody, and each request for a person reads a profile.
impl<'de> Deserialize<'de> for Profile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Claims;

        impl<'de> Visitor<'de> for Claims {
            type Value = Profile;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("what is known of a person, by the names of the claims")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Profile, A::Error> {
                let mut profile = Profile::default();
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "name" => profile.name = map.next_value()?,
                        "given_name" => profile.given_name = map.next_value()?,
                        "family_name" => profile.family_name = map.next_value()?,
                        "preferred_username" => profile.preferred_username = map.next_value()?,
                        "email" => profile.email = map.next_value()?,
                        "email_verified" => profile.email_verified = map.next_value()?,
                        "groups" => profile.groups = map.next_value()?,
                        _ => {
                            let value = map.next_value()?;
                            profile.more.insert(name, value);
                        }
                    }
                }
                Ok(profile)
            }
        }

        deserializer.deserialize_map(Claims)
    }
}

/// What a claim says.
#[derive(Clone, Copy)]
pub enum Said<'a> {
    /// A text of the profile's own.
    Text(&'a str),
    /// Yes or no.
    Flag(bool),
    /// Names of groups.
    Groups(&'a [String]),
    /// What else an upstream tells.
    Other(&'a Value),
}

impl From<Said<'_>> for Value {
    fn from(said: Said<'_>) -> Self {
        match said {
            Said::Text(text) => text.into(),
            Said::Flag(flag) => flag.into(),
            Said::Groups(groups) => groups.into(),
            Said::Other(value) => value.clone(),
        }
    }
}

impl Profile {
    /// What there is, by the names of the claims, as it is serialized.
    pub fn said(&self) -> impl Iterator<Item = (&str, Said<'_>)> {
        let texts = [
            ("name", &self.name),
            ("given_name", &self.given_name),
            ("family_name", &self.family_name),
            ("preferred_username", &self.preferred_username),
            ("email", &self.email),
        ];
        let texts = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name, Said::Text(text.as_deref()?))));
        let verified = self
            .email_verified
            .map(|verified| ("email_verified", Said::Flag(verified)));
        let groups = (!self.groups.is_empty()).then_some(("groups", Said::Groups(&self.groups)));
        let more = self.more.iter();
        let more = more.map(|(name, value)| (name.as_str(), Said::Other(value)));
        texts.chain(verified).chain(groups).chain(more)
    }

    /// Every claim there is, by its name.
    pub fn claims(&self) -> BTreeMap<String, Value> {
        let claims = self.said();
        claims
            .map(|(name, said)| (name.to_owned(), said.into()))
            .collect()
    }

    /// Whether somebody would type this to log in as that person. It chooses among those who are signed in, and proves nothing (T31).
    pub fn has_login_name(&self, hint: &str) -> bool {
        let names = [&self.preferred_username, &self.email];
        let hint = hint.trim().to_lowercase();
        names
            .into_iter()
            .flatten()
            .any(|name| name.to_lowercase() == hint)
    }

    /// One claim, by its name; the groups are not one.
    pub fn claim(&self, name: &str) -> Option<Value> {
        let mut claims = self.said().filter(|(name, _)| *name != "groups");
        let (_, said) = claims.find(|(each, _)| *each == name)?;
        Some(said.into())
    }

    /// What to call the person on a page.
    pub fn display_name(&self) -> Option<&str> {
        self.name
            .as_deref()
            .or(self.preferred_username.as_deref())
            .or(self.email.as_deref())
    }

    /// The claims that can be supported, for discovery's `claims_supported`.
    pub const NAMES: [&'static str; 6] = [
        "name",
        "given_name",
        "family_name",
        "preferred_username",
        "email",
        "email_verified",
    ];
}

/// `aud`: one value is written as a string, several as an array (RFC 7519 section 4.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One audience.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Audience {
    /// The shortest form of `values`, without repetitions.
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut all: Vec<String> = Vec::new();
        for value in values {
            if !all.contains(&value) {
                all.push(value);
            }
        }
        match <[String; 1]>::try_from(all) {
            Ok([one]) => Self::One(one),
            Err(many) => Self::Many(many),
        }
    }

    /// Whether `value` is among them.
    pub fn contains(&self, value: &str) -> bool {
        match self {
            Self::One(one) => one == value,
            Self::Many(many) => many.iter().any(|each| each == value),
        }
    }
}

/// The claims of an ID token (Core section 2). What a scope opens is at userinfo (Core section 5.4); a client that looks
/// for it here is told so by its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdTokenClaims {
    /// The issuer.
    pub iss: Issuer,
    /// The subject.
    pub sub: String,
    /// The client.
    pub aud: ClientId,
    /// When it ends, Unix seconds.
    pub exp: i64,
    /// When it was made, Unix seconds.
    pub iat: i64,
    /// When the person logged in, Unix seconds.
    pub auth_time: i64,
    /// The nonce of the authorization request, unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Ties the access token to this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_hash: Option<String>,
    /// Ties the code that came with it to this one (Core section 3.3.2.11).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub c_hash: Option<String>,
    /// What the login proves; absent when the configuration does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// How the person logged in (RFC 8176); absent when the upstream does not tell.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub amr: Vec<String>,
    /// The session, for logout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// What the client is told besides, by its configuration. We never read it back.
    #[serde(flatten, skip_deserializing)]
    pub more: BTreeMap<String, Value>,
}

impl IdTokenClaims {
    /// Whose it is and of which session, and nothing else that it may be without.
    #[must_use]
    pub fn bare(self) -> Self {
        Self {
            nonce: None,
            at_hash: None,
            c_hash: None,
            acr: None,
            amr: Vec::new(),
            more: BTreeMap::new(),
            ..self
        }
    }
}

/// The claims of a logout token (OpenID Connect Back-Channel Logout 1.0 section 2.4). Never a nonce.
#[derive(Debug, Serialize)]
pub struct LogoutTokenClaims<'a> {
    /// The issuer.
    pub iss: &'a Issuer,
    /// The subject, as the client knows them.
    pub sub: &'a str,
    /// The client.
    pub aud: &'a ClientId,
    /// When it was made, Unix seconds.
    pub iat: i64,
    /// When it ends, Unix seconds.
    pub exp: i64,
    /// Unique among our tokens.
    pub jti: String,
    /// The session that ended; every session of the subject where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<&'a SessionId>,
    /// That it is a logout.
    pub events: LogoutEvents,
}

/// The `events` of a logout token: one member, whose value is an empty object.
#[derive(Debug, Default, Serialize)]
pub struct LogoutEvents {
    #[serde(rename = "http://schemas.openid.net/event/backchannel-logout")]
    logout: NoDetails,
}

/// `{}`.
#[derive(Debug, Default, Serialize)]
struct NoDetails {}

/// The claims of an access token (RFC 9068 section 2.2).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessTokenClaims {
    /// The issuer.
    pub iss: Issuer,
    /// The subject: the person, or the client itself where there is no person (RFC 9068 section 2.2).
    pub sub: String,
    /// The APIs that may accept it.
    pub aud: Audience,
    /// When it ends, Unix seconds.
    pub exp: i64,
    /// When it was made, Unix seconds.
    pub iat: i64,
    /// Unique among our tokens.
    pub jti: String,
    /// Who it was given to.
    pub client_id: ClientId,
    /// What it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// When the person logged in, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// What that login proves (RFC 9068 section 2.2.1, RFC 9470 section 6.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// The session it was given in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// Ours: the family it was given with, so that revoking the family closes our own endpoints to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<FamilyId>,
    /// Ours: it came through the browser, and ends with the session there, whatever becomes of the family.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub within_session: bool,
    /// The key that whoever sends it has to prove (RFC 9449 section 6.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// Ours: the client of that family, where it is another: the token was exchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family_client: Option<ClientId>,
    /// Who acts for the subject (RFC 8693 section 4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
}

impl AccessTokenClaims {
    /// The key that the token is bound to.
    pub fn key(&self) -> Option<&Thumbprint> {
        self.cnf.as_ref().map(|confirmation| &confirmation.jkt)
    }

    /// The client that the token's family began with.
    pub fn family_client(&self) -> &ClientId {
        self.family_client.as_ref().unwrap_or(&self.client_id)
    }
}

/// Who acts for somebody, and who acted before (RFC 8693 section 4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The actor.
    pub sub: String,
    /// Who acted before them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Self>>,
}

impl Actor {
    /// How many there are.
    pub fn depth(&self) -> usize {
        1 + self.act.as_ref().map_or(0, |before| before.depth())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A row that an older version has written is read, and what is read is what is said.
    #[test]
    fn a_profile_is_read_as_it_was_written() {
        let written = json!({
            "name": "Jo", "given_name": "Jo", "family_name": "Smith", "preferred_username": "jo", "email": "jo@example.org",
            "email_verified": false, "groups": ["Board"], "nickname": "J", "address": { "country": "CA" }, "points": 12,
        });
        let profile: Profile = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&profile).unwrap(), written);
        assert_eq!(json!(profile.claims()), written);
        assert_eq!(profile.more.len(), 3);
        for (name, value) in written.as_object().unwrap() {
            let claim = profile.claim(name);
            assert_eq!(claim.as_ref(), Some(value).filter(|_| name != "groups"));
        }
        let empty: Profile =
            serde_json::from_str(r#"{ "name": null, "email_verified": null }"#).unwrap();
        assert_eq!(empty, Profile::default());
        assert_eq!(empty.said().count(), 0);
        for wrong in [
            r#"{ "name": 7 }"#,
            r#"{ "groups": "Board" }"#,
            "[]",
            "null",
            r#"{ "email_verified": "true" }"#,
        ] {
            assert!(serde_json::from_str::<Profile>(wrong).is_err(), "{wrong}");
        }
    }
}
