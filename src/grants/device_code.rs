//! The device authorization grant (RFC 8628): an app on a device without a browser, or without a keyboard, asks for two codes;
//! a person takes one of them to a browser of theirs, and the device asks with the other whether they have said yes.

use crate::clock::{ordered_id, random_bytes, random_token};
use crate::keys::Purpose;
use crate::model::audit::Event;
use crate::model::authorization::Authorization;
use crate::model::client::Client;
use crate::model::device_code::{self, DeviceCode};
use crate::model::family::TokenFamily;
use crate::model::resource::Aim;
use crate::model::throttle;
use crate::protocol::authorize::invalid_scope;
use crate::protocol::claims_request::ClaimsRequest;
use crate::protocol::device::UserCode;
use crate::protocol::dpop::Thumbprint;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::FamilyId;
use crate::protocol::params::Params;
use crate::protocol::resource;
use crate::protocol::scope::Scope;
use crate::protocol::secret::Secret;
use crate::protocol::token::GrantType;

use super::Grants;
use super::family::Agreed;

/// What the token request says.
#[derive(Debug)]
pub struct DeviceCodeRequest {
    device_code: Secret,
    resources: Vec<String>,
}

/// Two codes that were just made.
pub struct NewDeviceCode {
    /// For the device alone.
    pub device_code: String,
    /// For the person.
    pub user_code: UserCode,
    /// Seconds until both end.
    pub expires_in: i64,
}

impl Grants {
    /// Answers a device authorization request (section 3.1) of an authenticated client. It stands for an authorization
    /// request, so it may name resources, too (RFC 8707 section 2.1).
    pub async fn authorize_device(
        &self,
        client: &Client,
        params: &Params,
        address: &str,
    ) -> Result<NewDeviceCode, OAuthError> {
        const ATTEMPTS: u32 = 5;
        params.refuse_repeated()?;
        client.require_grant(GrantType::DeviceCode)?;
        let asked = params.get("scope")?.unwrap_or_default();
        let scope = client.grant_scope(&Scope::parse(asked).map_err(invalid_scope)?)?;
        let resources = resource::read(params)?;
        client.require_resources(&resources, self.mint.issuer())?;
        // What could never be had is told now, and not when the person has said yes.
        self.mint.target(client, &scope, &Aim::named(&resources))?;
        if client.is_anybodys() {
            self.reserve_row(address).await?;
        }
        let now = self.clock.now();
        let device_code = random_token();
        let hash = self.secrets.hash(Purpose::DeviceCode, &device_code)?;
        let code = DeviceCode {
            family_id: FamilyId::new(ordered_id()),
            client_id: client.client_id.clone(),
            scope,
            resources,
            created_at: now,
            expires_at: now + self.device_code_lifetime,
            approval: None,
            denied_at: None,
            redeemed_at: None,
        };
        for _ in 0..ATTEMPTS {
            let user_code = UserCode::from_random(|| u8::from_be_bytes(random_bytes()));
            let user_hash = self.secrets.hash(Purpose::UserCode, user_code.as_str())?;
            if self
                .store
                .insert_device_code(&hash, &user_hash, &code)
                .await?
            {
                return Ok(NewDeviceCode {
                    device_code,
                    user_code,
                    expires_in: self.device_code_lifetime,
                });
            }
        }
        Err(OAuthError::server_error("no user code was free"))
    }

    /// Anybody can ask in the name of a public client, and must not fill the database.
    async fn reserve_row(&self, address: &str) -> Result<(), OAuthError> {
        let bucket = format!("device codes\n{}", throttle::place(address));
        let now = self.clock.now();
        let policy = self.address_throttle;
        if self.store.reserve_attempt(&bucket, policy, now).await? {
            return Ok(());
        }
        self.metrics.throttled("device_authorization");
        Err(OAuthError::new(
            ErrorCode::TemporarilyUnavailable,
            "too many device codes for this address; try again later",
        ))
    }
}

impl DeviceCodeRequest {
    pub(super) fn parse(params: &Params) -> Result<Self, OAuthError> {
        let device_code = params
            .get_capped("device_code", 128)?
            .ok_or_else(|| OAuthError::invalid_request("device_code is missing"))?;
        Ok(Self {
            device_code: Secret::new(device_code),
            resources: resource::read(params)?,
        })
    }

    pub(super) async fn redeem(
        self,
        client: &Client,
        key: Option<&Thumbprint>,
        grants: &Grants,
    ) -> Result<Authorization, OAuthError> {
        let now = grants.clock.now();
        let hash = grants
            .secrets
            .hash(Purpose::DeviceCode, self.device_code.expose())?;
        let code = grants.store.find_device_code(&hash).await?;
        // Somebody else's is unknown here (T10).
        let code = code
            .filter(|code| code.client_id == client.client_id)
            .ok_or_else(device_code::unknown)?;
        let Some(approval) = code.answer(now)? else {
            return Err(if grants.store.poll_device_code(&hash, now).await? {
                OAuthError::new(
                    ErrorCode::AuthorizationPending,
                    "the person has not answered yet; ask again after the interval",
                )
            } else {
                OAuthError::new(
                    ErrorCode::SlowDown,
                    "that was sooner than the interval; wait 5 seconds longer from now on",
                )
            });
        };
        let family = grants.family_of(
            client,
            key,
            Agreed {
                family_id: code.family_id.clone(),
                account_id: &approval.account_id,
                authentication: approval.authentication.clone(),
                scope: &approval.scope,
                claims: ClaimsRequest::default(),
                resources: approval.resources.clone(),
            },
        );
        if code.redeemed_at.is_some() {
            // A replay is acted on whatever is down, and whoever its person is by now.
            grants.spend_device_code(&hash, &family).await?;
            return Err(device_code::unknown());
        }
        let account = grants
            .person_of(client, &family, &approval.scope, None)
            .await?;
        let issuer = grants.mint.issuer();
        let aim = Aim::narrow(client, issuer, &family.resources, self.resources)?;
        grants.mint.target(client, &family.scope, &aim)?;
        grants.note_told(client, &family).await?;
        grants.spend_device_code(&hash, &family).await?;
        grants.authorization(client, family, account, None, aim)
    }
}

impl Grants {
    async fn spend_device_code(&self, hash: &str, family: &TokenFamily) -> Result<(), OAuthError> {
        let (caps, now) = (self.family_caps, self.clock.now());
        let redemption = self.store.redeem_device_code(hash, family, caps, now);
        let replayed = ("device_code", Event::DeviceCodeReplayed);
        if self.has_begun(redemption.await?, family, replayed).await {
            return Ok(());
        }
        Err(device_code::unknown())
    }
}
