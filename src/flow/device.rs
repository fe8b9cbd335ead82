//! The person's side of a device's authorization (RFC 8628 section 3.3): the code that they type, and their answer.

use crate::keys::Purpose;
use crate::model::audit::Event;
use crate::model::authorization::PendingAuthorization;
use crate::model::client::Client;
use crate::model::device_code::{Approval, DeviceCode};
use crate::model::session::Authentication;
use crate::model::throttle::{self, ThrottlePolicy};
use crate::protocol::device::UserCode;
use crate::protocol::error::OAuthError;
use crate::telemetry::Entry;

use super::{Flow, LoggedIn};

/// Wrong codes that one account may have in a window, in however many browsers: nobody types a code so often.
const PER_ACCOUNT: i64 = 10;
/// Wrong codes that all addresses together may have: with 34 bits a code, guessing from many places leads nowhere either
/// (RFC 8628 section 5.1). It stops honest people too while somebody tries, and nothing else but devices.
const IN_ALL: i64 = 2_000;

/// What came of a code that somebody typed.
pub enum Entered {
    /// It is a device's, and waits for an answer.
    Waiting(Box<DeviceCode>, UserCode),
    /// Nobody's, or one that has ended.
    Unknown,
    /// Too many were tried.
    TooMany,
}

impl Flow {
    /// Looks up a code that was typed, unless too many wrong ones were: from this address, by this account, or in all (T16).
    /// Each try is counted before the look, so that no race lets more through.
    pub async fn enter_user_code(
        &self,
        typed: &str,
        address: &str,
        logged_in: Option<&LoggedIn>,
    ) -> Result<Entered, OAuthError> {
        let Some(user_code) = UserCode::parse(typed) else {
            return Ok(Entered::Unknown);
        };
        let now = self.clock.now();
        let with = |attempts| ThrottlePolicy {
            attempts,
            ..self.address_throttle
        };
        let mut buckets = vec![(
            format!("user code\n{}", throttle::place(address)),
            self.address_throttle,
        )];
        // Whoever is signed in is known, and has few tries; strangers, who fill the count of all, must not close the entry to them.
        buckets.push(match logged_in {
            Some(who) => (
                format!("user code\naccount\n{}", who.account.id),
                with(PER_ACCOUNT),
            ),
            None => ("user code".to_owned(), with(IN_ALL)),
        });
        for (bucket, policy) in &buckets {
            if !self.store.reserve_attempt(bucket, *policy, now).await? {
                self.metrics.throttled("user_code");
                let who = logged_in.map(|who| &who.session);
                let entry = Entry::new(Event::UserCodeThrottled)
                    .session(who.map(|session| &session.id))
                    .account(who.map(|session| &session.account_id));
                self.audit.record(entry);
                return Ok(Entered::TooMany);
            }
        }
        let hash = self.secrets.hash(Purpose::UserCode, user_code.as_str())?;
        let found = self.store.find_device_code_by_user_code(&hash).await?;
        let waiting = found.filter(|code| matches!(code.answer(now), Ok(None)));
        let Some(code) = waiting else {
            return Ok(Entered::Unknown);
        };
        for (bucket, _) in &buckets {
            self.store.return_attempt(bucket).await?;
        }
        Ok(Entered::Waiting(Box::new(code), user_code))
    }

    /// Writes down what the person says to what `pending` asks for. `false` when the code has ended, or was answered before.
    pub async fn answer_device(
        &self,
        client: &Client,
        pending: &PendingAuthorization,
        user_code: &UserCode,
        who: &LoggedIn,
        yes: bool,
    ) -> Result<bool, OAuthError> {
        let hash = self.secrets.hash(Purpose::UserCode, user_code.as_str())?;
        let approval = yes.then(|| Approval {
            account_id: who.account.id.clone(),
            authentication: Authentication::from(&who.session),
            scope: pending.request.scope.clone(),
            resources: pending.request.resources.clone(),
        });
        let now = self.clock.now();
        let answered = self
            .store
            .answer_device_code(&hash, approval.as_ref(), now)
            .await?;
        let event = if yes {
            Event::DeviceApproved
        } else {
            Event::DeviceDenied
        };
        let entry = Entry::new(event)
            .client(&client.client_id)
            .account(&who.account.id)
            .session(&who.session.id)
            .upstream(&who.session.upstream)
            .with("in_time", answered);
        self.audit.record(entry);
        Ok(answered)
    }
}
