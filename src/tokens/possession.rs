//! Whether a proof of possession (DPoP, RFC 9449) counts: its nonce is one of ours where one is asked for, and nobody has
//! used it before.

use std::ops::Deref;
use std::sync::Arc;

use crate::clock::{Clock, SKEW, UnixTime};
use crate::keys::{KeyError, Purpose, Secrets};
use crate::model::audit::Event;
use crate::model::spent_id::{SpentId, SpentKind};
use crate::protocol::dpop::{About, Proof, Thumbprint, invalid};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::issuer::Issuer;
use crate::store::Store;
use crate::telemetry::{Audit, Entry, Metrics};

/// Seconds in which the same nonce is given; it is good for as long again.
const NONCE_SECONDS: i64 = 120;

/// What is asked of proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofPolicy {
    /// Whether each must answer a nonce of ours (RFC 9449 section 8).
    pub require_nonce: bool,
    /// Seconds that one may be old.
    pub window: i64,
}

/// Proves possession of keys. Cheap to clone.
#[derive(Clone)]
pub struct Possession(Arc<PossessionParts>);

/// What a [`Possession`] is made of.
pub struct PossessionParts {
    /// Remembers proofs until they end.
    pub store: Store,
    /// For nonces.
    pub secrets: Secrets,
    /// The present.
    pub clock: Clock,
    /// Where requests go to, as clients know it.
    pub issuer: Issuer,
    /// What is asked of proofs.
    pub policy: ProofPolicy,
    /// What is counted.
    pub metrics: Metrics,
    /// What is recorded.
    pub audit: Audit,
}

impl Deref for Possession {
    type Target = PossessionParts;

    fn deref(&self) -> &PossessionParts {
        &self.0
    }
}

impl Possession {
    /// Puts it together.
    pub fn new(parts: PossessionParts) -> Self {
        Self(Arc::new(parts))
    }

    /// What `proof` proves, in a request of `method` to `path`, with an access token or without, if nobody has used it
    /// before. Nothing is written: anybody can sign with a key of their own, and only what has led to something may leave a
    /// row. Whoever takes the request has to [`spend`](Self::spend) the proof before they answer.
    pub async fn check(
        &self,
        proof: &str,
        (method, path): (&str, &str),
        access_token: Option<&str>,
    ) -> Result<Proof, OAuthError> {
        let now = self.clock.now();
        let about = About {
            method,
            url: &self.issuer.at(path),
            access_token,
            now,
            window: self.policy.window,
        };
        let proof = Proof::read(proof, about)?;
        if self.policy.require_nonce && !self.is_ours(proof.nonce.as_deref(), now)? {
            return Err(OAuthError::new(
                ErrorCode::UseDpopNonce,
                "the DPoP proof needs the nonce of the header DPoP-Nonce",
            ));
        }
        if self.store.is_spent(spent(&proof), now).await? {
            return Err(self.replayed());
        }
        Ok(proof)
    }

    /// Spends the proof of a request that has been found good, for the key that it proves: a proof counts once, however many
    /// race (RFC 9449 section 11.1).
    pub async fn spend(&self, proof: Proof) -> Result<Thumbprint, OAuthError> {
        let now = self.clock.now();
        if self.store.spend_id(spent(&proof), now).await? {
            return Ok(proof.key);
        }
        Err(self.replayed())
    }

    fn replayed(&self) -> OAuthError {
        self.metrics.replayed("dpop_proof");
        self.audit.record(Entry::new(Event::DpopProofReplayed));
        invalid("the DPoP proof was used before; make one for each request")
    }

    /// The nonce that proofs are to answer now: the same at every node, and kept by none.
    pub fn nonce(&self) -> Result<String, KeyError> {
        self.nonce_of(self.clock.now().div_euclid(NONCE_SECONDS))
    }

    fn nonce_of(&self, period: i64) -> Result<String, KeyError> {
        self.secrets
            .mac(Purpose::DpopNonce, &[&period.to_be_bytes()])
    }

    /// This period's, the one's before, or what a node whose clock is a little ahead gave.
    fn is_ours(&self, nonce: Option<&str>, now: UnixTime) -> Result<bool, KeyError> {
        let Some(nonce) = nonce else {
            return Ok(false);
        };
        let period = now.div_euclid(NONCE_SECONDS);
        let ahead = (now + SKEW).div_euclid(NONCE_SECONDS);
        for period in period - 1..=ahead {
            if self.nonce_of(period)? == nonce {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn spent(proof: &Proof) -> SpentId<'_> {
    SpentId {
        kind: SpentKind::DpopProof,
        owner: proof.key.as_str(),
        id: &proof.jti,
        expires_at: proof.expires_at,
    }
}
