//! Who may log in: with a password, at the token endpoint and on the web site alike; and who is shut out.

use super::{Account, Inside};
use crate::simulator::people::{AccountState, ImisPerson};

/// What a wrong password is told; and, by switch, every other refusal of a user.
pub(super) const WRONG: &str = "The user name or password is incorrect.";

impl Inside {
    /// The person whose password this is, or what the refusal says; a state that is forgiven is no reason. Wrong ones are counted, wherever they were typed.
    pub(super) fn check_password(
        &mut self,
        username: &str,
        password: &str,
        forgiven: &[AccountState],
    ) -> Result<ImisPerson, &'static str> {
        let lock_after = self.switches.lock_after;
        let account = self.account_mut(username).ok_or(WRONG)?;
        if account.person.password != password {
            account.count_wrong_password(lock_after);
            return Err(WRONG);
        }
        let state = account.person.state;
        if let Some(reason) = refusal(state, false).filter(|_| !forgiven.contains(&state)) {
            return Err(reason);
        }
        account.wrong_passwords = 0;
        Ok(account.person)
    }

    /// What a refused user is told of the reason.
    pub(super) fn tell(&self, reason: &'static str) -> &'static str {
        if self.switches.tells_account_state {
            reason
        } else {
            WRONG
        }
    }
}

impl Account {
    fn count_wrong_password(&mut self, lock_after: Option<u32>) {
        self.wrong_passwords += 1;
        if lock_after.is_some_and(|limit| self.wrong_passwords >= limit) {
            self.person.state = AccountState::Locked;
        }
    }
}

/// Whether a password is refused in this state, and what the refusal says.
pub(super) fn refusal(state: AccountState, ignore_multi_factor: bool) -> Option<&'static str> {
    match state {
        AccountState::Active => None,
        AccountState::MultiFactor if ignore_multi_factor => None,
        AccountState::Locked => {
            Some("Your account is locked because of too many failed login attempts.")
        }
        AccountState::Disabled => Some("This user account is disabled."),
        AccountState::LoginExpired => Some("This login has expired."),
        AccountState::PasswordExpired => Some("Your password has expired and must be changed."),
        AccountState::MultiFactor => Some("Multi-factor authentication is required."),
        AccountState::OidcOnly => Some("Sign in with your organization's account."),
    }
}

/// Whether somebody who came in earlier is shut out meanwhile. A second factor and another identity provider are
/// matters of the web login, which lies behind.
pub(super) fn shut_out(state: AccountState) -> Option<&'static str> {
    match state {
        AccountState::OidcOnly => None,
        state => refusal(state, true),
    }
}
