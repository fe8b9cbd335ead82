//! Clients that register themselves (RFC 7591) and look after their registration (RFC 7592), within what the administrator
//! allows. What a good registration is, is decided in `protocol::client_metadata` and `model::registration`.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq as _;

use crate::clock::{Clock, random_id, random_token};
use crate::fetch::{Asker, Fetcher, Wanted};
use crate::keys::{KeyError, Purpose, Secrets};
use crate::model::audit::Event;
use crate::model::client::{Client, ClientSecretHash, made_secret};
use crate::model::registration::{
    ACCESS_TOKEN_PREFIX, Registration, RegistrationMode, RegistrationPolicy, metadata_of,
};
use crate::model::throttle::{self, ThrottlePolicy, WindowStart};
use crate::protocol::client_auth::ClientAuthMethod;
use crate::protocol::client_metadata::ClientMetadata;
use crate::protocol::client_metadata::rules::{Fault, Rule};
use crate::protocol::discovery::path;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::ClientId;
use crate::protocol::issuer::Issuer;
use crate::protocol::secret::Secret;
use crate::store::{Registered, Replaced, Store, StoredClient};
use crate::telemetry::{Audit, Entry, Metrics};

/// The window of the quota of an address, in seconds.
pub const QUOTA_WINDOW: i64 = 60 * 60;
/// How many faults one answer tells: more than a person makes, and no longer than an answer may be.
const MAX_TOLD: usize = 20;

/// What the answers of the registration endpoint are made of: all that is registered.
pub type Information = Map<String, Value>;

/// What was sent to register, or why it cannot be read.
pub type Sent = Result<Map<String, Value>, OAuthError>;

/// Why a registration is not done.
#[derive(Debug)]
pub enum Refusal {
    /// It needs a token, and none was sent.
    NoToken,
    /// The token is not good.
    Token(OAuthError),
    /// The address has used up its quota.
    TooMany,
    /// Anything else.
    Other(OAuthError),
}

impl<E: Into<OAuthError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// Registers clients. Cheap to clone.
#[derive(Clone)]
pub struct Registrar(Arc<RegistrarParts>);

/// What [`Registrar::new`] is made of.
pub struct RegistrarParts {
    /// The database.
    pub store: Store,
    /// What hashes tokens and secrets.
    pub secrets: Secrets,
    /// The time.
    pub clock: Clock,
    /// The counters.
    pub metrics: Metrics,
    /// What is recorded.
    pub audit: Audit,
    /// Who we are.
    pub issuer: Issuer,
    /// What the administrator allows.
    pub policy: RegistrationPolicy,
    /// What fetches a `sector_identifier_uri` (T36).
    pub fetcher: Fetcher,
}

/// A client whose registration access token was presented.
struct Known {
    stored: StoredClient,
    registration: Registration,
}

impl Registrar {
    /// Puts it together.
    pub fn new(parts: RegistrarParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Whether anybody may register a client.
    pub fn is_on(&self) -> bool {
        self.0.policy.is_on()
    }

    /// Registers a client (RFC 7591 section 3.1).
    pub async fn register(
        &self,
        address: &str,
        token: Option<&str>,
        sent: Sent,
    ) -> Result<Information, Refusal> {
        let initial_access_token = self.admit(token).await?;
        self.count(address).await?;
        let client_id = ClientId::new(format!("registered-{}", random_id()));
        let client = self.client(client_id, &sent?).await?;
        let now = self.0.clock.now();
        let access_token = Secret::new(format!("{ACCESS_TOKEN_PREFIX}{}", random_token()));
        let registration = Registration {
            client_id: client.client_id.clone(),
            access_token_hash: self.hash(&access_token)?,
            initial_access_token,
            issued_at: now,
            used_at: None,
            expires_at: self
                .0
                .policy
                .unused
                .map(|unused| now.saturating_add(unused)),
            version: 0,
        };
        let secret = client
            .token_endpoint_auth_method
            .has_secret()
            .then(made_secret);
        let stored = StoredClient {
            secrets: self.kept_secrets(&client, secret.as_ref())?,
            client: Arc::new(client),
        };
        let max_clients = self.0.policy.max_clients;
        let (store, policy) = (&self.0.store, self.0.policy.fingerprint());
        let registered = store.register_client(&stored, &registration, &policy, max_clients);
        match registered.await? {
            Registered::Done => {}
            Registered::TokenSpent => return Err(wrong_token("its last use was a moment ago")),
            Registered::Full => {
                let text =
                    "there are as many registered clients as there may be; ask the administrator";
                let error = OAuthError::new(ErrorCode::TemporarilyUnavailable, text);
                return Err(Refusal::Other(error));
            }
        }
        let entry = entry(Event::ClientRegistered, &stored.client);
        let token = registration.initial_access_token.as_deref();
        self.0
            .audit
            .record(entry.with("initial_access_token", token));
        Ok(self.information(
            &stored.client,
            &registration,
            &access_token,
            secret.as_ref(),
        ))
    }

    /// What a client has registered (RFC 7592 section 2.1). Its secret is not told again: only a hash of it is kept.
    pub async fn read(&self, id: &str, token: Option<&str>) -> Result<Information, Refusal> {
        let (known, token) = self.known(id, token).await?;
        Ok(self.information(&known.stored.client, &known.registration, &token, None))
    }

    /// Replaces all that a client has registered (RFC 7592 section 2.2). Its registration access token stays: a client that
    /// did not get the answer with a new one could never come back.
    pub async fn update(
        &self,
        address: &str,
        id: &str,
        token: Option<&str>,
        sent: Sent,
    ) -> Result<Information, Refusal> {
        const ATTEMPTS: u32 = 5;
        let (mut known, presented) = self.known(id, token).await?;
        self.count(address).await?;
        let sent = sent?;
        self.check_names(&known, &sent)?;
        let client = self
            .client(known.registration.client_id.clone(), &sent)
            .await?;
        for _ in 0..ATTEMPTS {
            let (registration, client) = (known.registration.clone(), client.clone());
            if let Some(secret) = self.replace(known, client.clone()).await? {
                let entry = entry(Event::ClientRegistrationChanged, &client);
                self.0.audit.record(entry.with("by", "client"));
                let secret = secret.as_ref();
                return Ok(self.information(&client, &registration, &presented, secret));
            }
            // Another request was quicker: what it left is what this one replaces.
            known = self.known(id, token).await?.0;
            self.check_names(&known, &sent)?;
        }
        let text = "this registration is being changed by others; try again in a moment";
        let error = OAuthError::new(ErrorCode::TemporarilyUnavailable, text);
        Err(Refusal::Other(error))
    }

    /// Puts `client` in the place of what was read: the secret that was made for it, if one was. `None` when something else
    /// stands there by now.
    async fn replace(
        &self,
        known: Known,
        client: Client,
    ) -> Result<Option<Option<Secret>>, Refusal> {
        // Kept, unless there is none that the method can use: what is kept as a hash signs nothing, and the other way round.
        let is_sealed = |kept: &ClientSecretHash| matches!(kept, ClientSecretHash::Sealed { .. });
        let usable = |kept: &ClientSecretHash| is_sealed(kept) == signs_with_secret(&client);
        let has_secret = client.token_endpoint_auth_method.has_secret();
        let keeps = has_secret && known.stored.secrets.iter().any(usable);
        let secret = (has_secret && !keeps).then(made_secret);
        let secrets = if keeps {
            known.stored.secrets
        } else {
            self.kept_secrets(&client, secret.as_ref())?
        };
        let client = Arc::new(client);
        let stored = StoredClient { client, secrets };
        let (store, now) = (&self.0.store, self.0.clock.now());
        let policy = self.0.policy.fingerprint();
        let version = known.registration.version;
        match store
            .replace_registered_client(&stored, version, &policy, now)
            .await?
        {
            Replaced::Done => Ok(Some(secret)),
            Replaced::Changed => Ok(None),
            Replaced::Gone => Err(wrong_token("the client was removed a moment ago")),
        }
    }

    /// Ends a client's registration, and everything that was given to it (RFC 7592 section 2.3).
    pub async fn delete(&self, id: &str, token: Option<&str>) -> Result<(), Refusal> {
        let (known, _) = self.known(id, token).await?;
        let id = &known.registration.client_id;
        let now = self.0.clock.now();
        if !self.0.store.remove_registered_client(id, now).await? {
            return Err(wrong_token("the client was removed a moment ago"));
        }
        let entry = Entry::new(Event::ClientDeregistered).client(id);
        self.0.audit.record(entry.with("by", "client"));
        Ok(())
    }

    /// Who lets the client in, if anybody has to.
    async fn admit(&self, token: Option<&str>) -> Result<Option<String>, Refusal> {
        if self.0.policy.mode != RegistrationMode::InitialAccessToken {
            return Ok(None);
        }
        let token = token.ok_or(Refusal::NoToken)?;
        let hash = self.0.secrets.hash(Purpose::InitialAccessToken, token)?;
        let found = self.0.store.find_initial_access_token(&hash).await?;
        match found {
            Some(token) if token.is_good(self.0.clock.now()) => Ok(Some(token.id)),
            Some(_) => Err(wrong_token("it has ended, is used up or was revoked")),
            None => Err(wrong_token("there is no such initial access token")),
        }
    }

    /// Counts a registration or a change against its address: each may be work, and a fetch from elsewhere (T38).
    async fn count(&self, address: &str) -> Result<(), Refusal> {
        let bucket = format!("registration\n{}", throttle::place(address));
        let policy = ThrottlePolicy {
            attempts: self.0.policy.max_per_address,
            window: QUOTA_WINDOW,
            starts_at: WindowStart::FirstAttempt,
        };
        let now = self.0.clock.now();
        if self.0.store.reserve_attempt(&bucket, policy, now).await? {
            return Ok(());
        }
        self.0.metrics.throttled("registration");
        Err(Refusal::TooMany)
    }

    /// The client that was asked for, or everything that is wrong with it.
    async fn client(&self, id: ClientId, sent: &Map<String, Value>) -> Result<Client, OAuthError> {
        let mut faults = Vec::new();
        let metadata = ClientMetadata::read(sent, &mut faults);
        let client = self.0.policy.admit(id, metadata, &mut faults);
        // Nothing is fetched for what cannot be registered anyway.
        if faults.is_empty()
            && let Err(why) = self.check_sector(&client).await
        {
            tracing::info!(why, "a sector_identifier_uri vouches for nothing");
            faults.push(Fault::new("sector_identifier_uri", Rule::Unvouched));
        }
        told(&faults).map_or(Ok(client), Err)
    }

    /// OpenID Connect Dynamic Registration section 5: what stands there vouches that the addresses belong together. Why it
    /// does not is for the log alone: it would tell what stands behind our firewall (T36).
    async fn check_sector(&self, client: &Client) -> Result<(), String> {
        let Some(uri) = &client.about.sector_identifier_uri else {
            return Ok(());
        };
        let fetcher = &self.0.fetcher;
        let document = fetcher.fetch(uri, Wanted::Json, Asker::Registering).await;
        let document = document.map_err(|error| format!("it could not be fetched: {error}"))?;
        let listed: Vec<String> = serde_json::from_slice(&document)
            .map_err(|_| "it leads to no JSON array of addresses".to_owned())?;
        let missing = client
            .redirect_uris
            .iter()
            .find(|uri| !listed.iter().any(|listed| listed == uri.as_str()));
        match missing {
            Some(uri) => Err(format!("it leads to a list without {uri}")),
            None => Ok(()),
        }
    }

    /// The client of that id, if `token` is its registration access token. One answer whether it is there or not.
    async fn known(&self, id: &str, token: Option<&str>) -> Result<(Known, Secret), Refusal> {
        let token = Secret::new(token.ok_or(Refusal::NoToken)?);
        let presented = self.hash(&token)?;
        let nobody = || wrong_token("there is no such registered client");
        // No text of PostgreSQL's holds a NUL, so that nobody can be asked for by one.
        if id.contains('\0') {
            return Err(nobody());
        }
        let id = ClientId::new(id);
        let registration = self.0.store.find_registration(&id).await?;
        let registration = registration.ok_or_else(nobody)?;
        let kept = registration.access_token_hash.as_bytes();
        if !bool::from(kept.ct_eq(presented.as_bytes())) {
            return Err(wrong_token("it is not the client's"));
        }
        let stored = self.0.store.read_client(&id).await?;
        let stored = stored.ok_or_else(|| wrong_token("the client was removed a moment ago"))?;
        Ok((
            Known {
                stored,
                registration,
            },
            token,
        ))
    }

    /// RFC 7592 section 2.2: who it is has to be said, and what is the server's to say must not be.
    fn check_names(&self, known: &Known, sent: &Map<String, Value>) -> Result<(), OAuthError> {
        let id = known.registration.client_id.as_str();
        if sent.get("client_id").and_then(Value::as_str) != Some(id) {
            return Err(OAuthError::invalid_request(
                "client_id has to be in the request, and to be that of its address",
            ));
        }
        for name in [
            "registration_access_token",
            "registration_client_uri",
            "client_secret_expires_at",
            "client_id_issued_at",
        ] {
            if sent.contains_key(name) {
                return Err(OAuthError::invalid_request(format!(
                    "{name} must not be in the request (RFC 7592 section 2.2)"
                )));
            }
        }
        let Some(secret) = sent.get("client_secret") else {
            return Ok(());
        };
        let text = secret.as_str().unwrap_or_default();
        let secret = self.0.secrets.hash(Purpose::ClientSecret, text)?;
        let fits = known.stored.secrets.iter().any(|kept| match kept {
            ClientSecretHash::Keyed { hash } => {
                bool::from(hash.as_bytes().ct_eq(secret.as_bytes()))
            }
            ClientSecretHash::Sealed { sealed } => {
                let opened = self.0.secrets.open(Purpose::ClientSecretKey, id, sealed);
                opened.is_some_and(|opened| bool::from(opened.ct_eq(text.as_bytes())))
            }
            ClientSecretHash::Argon2id { .. } => false,
        });
        if fits {
            return Ok(());
        }
        Err(OAuthError::invalid_request(
            "client_secret is not the client's; leave it out",
        ))
    }

    fn hash(&self, token: &Secret) -> Result<String, KeyError> {
        self.0
            .secrets
            .hash(Purpose::RegistrationToken, token.expose())
    }

    /// As it is kept: a hash, or sealed where it signs and we have to know it.
    fn kept_secrets(
        &self,
        client: &Client,
        secret: Option<&Secret>,
    ) -> Result<Vec<ClientSecretHash>, KeyError> {
        let Some(secret) = secret else {
            return Ok(Vec::new());
        };
        let secrets = &self.0.secrets;
        let text = secret.expose();
        Ok(vec![if signs_with_secret(client) {
            let (purpose, context) = (Purpose::ClientSecretKey, client.client_id.as_str());
            let sealed = secrets.seal(purpose, context, text.as_bytes())?;
            ClientSecretHash::Sealed { sealed }
        } else {
            let hash = secrets.hash(Purpose::ClientSecret, text)?;
            ClientSecretHash::Keyed { hash }
        }])
    }

    /// RFC 7591 section 3.2.1, RFC 7592 section 3.
    fn information(
        &self,
        client: &Client,
        registration: &Registration,
        access_token: &Secret,
        secret: Option<&Secret>,
    ) -> Information {
        let id = client.client_id.as_str();
        let address = self.0.issuer.at(&format!("{}/{id}", path::REGISTER));
        let mut told = Map::new();
        let mut tell = |name: &str, value: Value| told.insert(name.to_owned(), value);
        tell("client_id", json!(id));
        tell("client_id_issued_at", json!(registration.issued_at));
        if let Some(secret) = secret {
            tell("client_secret", json!(secret.expose()));
            // 0: never.
            tell("client_secret_expires_at", json!(0));
        }
        tell("registration_client_uri", json!(address));
        tell("registration_access_token", json!(access_token.expose()));
        told.extend(metadata_of(client));
        told
    }
}

fn signs_with_secret(client: &Client) -> bool {
    client.token_endpoint_auth_method == ClientAuthMethod::ClientSecretJwt
}

/// What is recorded of a registration: above all where people may be sent.
fn entry(event: Event, client: &Client) -> Entry {
    let uris = client.redirect_uris.iter().map(ToString::to_string);
    Entry::new(event)
        .client(&client.client_id)
        .with("name", client.client_name.as_deref())
        .with("redirect_uris", uris.collect::<Vec<_>>().join(" "))
}

/// All faults in one error: RFC 7591 section 3.2.2 has one code, which is that of the first.
fn told(faults: &[Fault]) -> Option<OAuthError> {
    let first = faults.first()?;
    let mut texts: Vec<String> = faults
        .iter()
        .take(MAX_TOLD)
        .map(ToString::to_string)
        .collect();
    if faults.len() > MAX_TOLD {
        texts.push("and more".to_owned());
    }
    Some(OAuthError::new(first.code(), texts.join("; ")))
}

fn wrong_token(reason: &'static str) -> Refusal {
    let text = "the token is expired, revoked, used up or not one of ours for this";
    Refusal::Token(OAuthError::new(ErrorCode::InvalidToken, text).because(reason))
}
