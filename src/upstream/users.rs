//! People in the config file: for a small organization, for administrators, for the day when the upstream is away.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::settings::{OpenError, Problems, SettingProblem, check_open};
use super::{
    Credentials, Finding, Identity, Known, LoginError, LoginMethod, PasswordLogin, Probe, Recheck,
    Upstream,
};
use crate::clock::random_bytes;
use crate::model::throttle;
use crate::passwords::{PasswordHash, Passwords};
use crate::protocol::claims::{self, Profile};
use crate::protocol::ids::UpstreamId;
use crate::protocol::locale::Label;

/// The ways to log in that this adapter has.
pub const METHODS: &[LoginMethod] = &[LoginMethod::Password];

/// One entry of `[[upstreams]]` with `kind = "users"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The people, one `[[upstreams.people]]` each. No default.
    #[serde(default)]
    pub people: Vec<Person>,
}

/// A person who may log in.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// What they are recognized by for ever, such as a number: it becomes the subject, and is never given to somebody
    /// else. No default.
    pub id: String,
    /// What they log in with, in any letter case. May be changed. No default.
    pub username: String,
    /// What `portico user hash-password` prints (Argon2id as a PHC string). No default.
    pub password_hash: String,
    /// The full name. Default: none.
    #[serde(default)]
    pub name: Option<String>,
    /// Given name or names. Default: none.
    #[serde(default)]
    pub given_name: Option<String>,
    /// Family name or names. Default: none.
    #[serde(default)]
    pub family_name: Option<String>,
    /// Email address. Default: none.
    #[serde(default)]
    pub email: Option<String>,
    /// Whether the address is known to be theirs. Default: it is not said.
    #[serde(default)]
    pub email_verified: Option<bool>,
    /// Postal address. Default: none.
    #[serde(default)]
    pub address: Option<Address>,
    /// Further claims: text, a number, true or false. Default: none.
    #[serde(default)]
    pub claims: BTreeMap<String, Value>,
}

/// A postal address (OpenID Connect Core section 5.1.1).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Address {
    /// All of it, as on a letter. Default: none.
    pub formatted: Option<String>,
    /// Street, number, and what else stands before the town. Default: none.
    pub street_address: Option<String>,
    /// Town. Default: none.
    pub locality: Option<String>,
    /// State or province. Default: none.
    pub region: Option<String>,
    /// Postal code. Default: none.
    pub postal_code: Option<String>,
    /// Country. Default: none.
    pub country: Option<String>,
}

impl Address {
    fn claim(&self) -> Option<Value> {
        claims::address(|name| match name {
            "formatted" => self.formatted.clone(),
            "street_address" => self.street_address.clone(),
            "locality" => self.locality.clone(),
            "region" => self.region.clone(),
            "postal_code" => self.postal_code.clone(),
            "country" => self.country.clone(),
            _ => None,
        })
    }
}

/// The hash is left out: offline it is a target.
impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person")
            .field("id", &self.id)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// What an administrator has to change.
    pub fn problems(&self) -> Vec<SettingProblem> {
        let mut problems = Problems::default();
        if self.people.is_empty() {
            problems.add("people", "nobody is in it; add [[upstreams.people]]");
        }
        let (mut ids, mut names) = (HashSet::new(), HashSet::new());
        for (index, person) in self.people.iter().enumerate() {
            let key = |field: &str| format!("people[{index}].{field}");
            problems.text(key("id"), &person.id);
            problems.text(key("username"), &person.username);
            if person.username.len() > super::MAX_USERNAME_BYTES {
                problems.add(key("username"), "is longer than 256 bytes");
            }
            if !ids.insert(&person.id) {
                problems.add(key("id"), "is another person's already");
            }
            if !names.insert(folded(&person.username)) {
                problems.add(
                    key("username"),
                    "is another person's already (letter case makes no difference)",
                );
            }
            if let Err(unusable) = PasswordHash::parse(&person.password_hash) {
                problems.add(key("password_hash"), unusable.to_string());
            }
            if person
                .email
                .as_ref()
                .is_some_and(|email| !email.contains('@'))
            {
                problems.add(key("email"), "is not an email address");
            }
            if person.email_verified.is_some() && person.email.is_none() {
                problems.add(key("email_verified"), "says nothing without an email");
            }
            for (claim, value) in &person.claims {
                let key = key(&format!("claims.{claim}"));
                if !problems.claim_name(&key, claim) {
                    continue;
                }
                if Profile::NAMES.contains(&claim.as_str())
                    || matches!(claim.as_str(), "groups" | "address")
                {
                    problems.add(key, "has a key of its own, or none; remove it here");
                } else if !matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_)) {
                    problems.add(key, "must be text, a number, true or false");
                }
            }
        }
        problems.into_vec()
    }
}

const ADDRESS: &str = "address";

impl Settings {
    /// The claims that some person has besides the usual.
    fn claims(&self) -> Vec<String> {
        let mut names = BTreeSet::new();
        for person in &self.people {
            names.extend(person.claims.keys().cloned());
            names.extend(person.address.iter().map(|_| ADDRESS.to_owned()));
        }
        names.into_iter().collect()
    }
}

/// The name under which a user name is looked up: folded as far as the throttle folds first, so that all spellings that
/// reach one person also fall into one bucket (T33).
fn folded(username: &str) -> String {
    throttle::spelling(username)
}

/// Opens the people of a config file. `login` is what the administrator offers; `passwords` is the process's one.
pub fn open(
    id: UpstreamId,
    label: Label,
    login: Vec<LoginMethod>,
    settings: Settings,
    passwords: Passwords,
) -> Result<Upstream, OpenError> {
    check_open("users", METHODS, &login, settings.problems())?;
    let count = settings.people.len();
    let still_there = StillThere::new(&settings);
    let claims = settings.claims();
    let users = Users::new(settings, passwords)?;
    let password = login
        .contains(&LoginMethod::Password)
        .then(|| Box::new(users) as Box<dyn PasswordLogin>);
    Ok(Upstream {
        password,
        recheck: Some(Box::new(still_there)),
        claims,
        ..Upstream::new(id, label, login, Box::new(UsersProbe(count)))
    })
}

struct Users {
    people: HashMap<String, (Identity, PasswordHash)>,
    /// The hashes of all, to spend as much on a name that does not exist as on one that does.
    hashes: Vec<PasswordHash>,
    /// Decides which hash a name that does not exist is measured by.
    seed: [u8; 32],
    passwords: Passwords,
}

impl Users {
    fn new(settings: Settings, passwords: Passwords) -> Result<Self, OpenError> {
        let mut people = HashMap::new();
        let mut hashes = Vec::new();
        for (index, person) in settings.people.into_iter().enumerate() {
            let hash = PasswordHash::parse(&person.password_hash).map_err(|unusable| {
                OpenError::Setting(SettingProblem {
                    key: format!("people[{index}].password_hash"),
                    problem: unusable.to_string(),
                })
            })?;
            hashes.push(hash.clone());
            people.insert(folded(&person.username), (identity(person), hash));
        }
        Ok(Self {
            people,
            hashes,
            seed: random_bytes(),
            passwords,
        })
    }

    /// A hash for a name that does not exist: always the same one, as if it were that person's, because people
    /// may have hashes of different cost.
    fn stand_in(&self, name: &str) -> Option<&PasswordHash> {
        let digest = Sha256::new()
            .chain_update(self.seed)
            .chain_update(name)
            .finalize();
        let number = digest.iter().fold(0_usize, |number, byte| {
            number.wrapping_mul(256).wrapping_add(usize::from(*byte))
        });
        self.hashes.get(number.checked_rem(self.hashes.len())?)
    }
}

fn identity(person: Person) -> Identity {
    let mut more = person.claims;
    let address = person.address.and_then(|address| address.claim());
    more.extend(address.map(|address| (ADDRESS.to_owned(), address)));
    Identity {
        subject: person.id,
        profile: Profile {
            name: person.name,
            given_name: person.given_name,
            family_name: person.family_name,
            preferred_username: Some(person.username),
            email: person.email,
            email_verified: person.email_verified,
            more,
            ..Profile::default()
        },
        amr: vec!["pwd".to_owned()],
        acr: None,
        tokens: None,
    }
}

#[async_trait]
impl PasswordLogin for Users {
    async fn log_in(&self, credentials: &Credentials) -> Result<Identity, LoginError> {
        // Neither tells anything about who exists, so no work is spent on it.
        if !credentials.are_sensible() {
            return Err(LoginError::BadCredentials(None));
        }
        let name = folded(&credentials.username);
        let busy = |busy| LoginError::Unavailable(Box::new(busy));
        if let Some((identity, hash)) = self.people.get(&name) {
            let fits = self.passwords.verify(&credentials.password, hash).await;
            return fits
                .map_err(busy)?
                .then(|| identity.clone())
                .ok_or(LoginError::BadCredentials(None));
        }
        if let Some(like) = self.stand_in(&name) {
            let spent = self.passwords.spend(&credentials.password, like).await;
            spent.map_err(busy)?;
        }
        Err(LoginError::BadCredentials(None))
    }
}

/// Who is in the config, by id.
struct StillThere(HashMap<String, Profile>);

impl StillThere {
    fn new(settings: &Settings) -> Self {
        let people = settings.people.iter().cloned().map(identity);
        Self(
            people
                .map(|person| (person.subject, person.profile))
                .collect(),
        )
    }
}

#[async_trait]
impl Recheck for StillThere {
    async fn recheck(&self, person: &Known<'_>) -> Result<Profile, LoginError> {
        let found = self.0.get(person.subject).cloned();
        found.ok_or_else(|| LoginError::NotAllowed("they are not in the config any more".into()))
    }
}

/// There is nothing to try but what was read already.
struct UsersProbe(usize);

#[async_trait]
impl Probe for UsersProbe {
    async fn probe(&self) -> Vec<Finding> {
        let told = format!("{} can log in", self.0);
        vec![Finding::new("people", Ok(told))]
    }
}
