//! What is kept of what happened: who did what, when, from where, with which client and upstream, and what came of it.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock::UnixTime;
use crate::protocol::ids::{AccountId, ClientId, FamilyId, SessionId, UpstreamId};

/// The target of its lines in the log.
pub const LOG_TARGET: &str = "portico::audit";

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It is what the server is for.
    Info,
    /// Somebody should look.
    Warning,
    /// Something does not work.
    Error,
}

/// Declares the events. A macro, because name, severity and words belong to each of them, and three lists far apart are
/// three places to forget one.
macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $severity:ident, $text:literal;)*) => {
        /// Everything that is recorded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[$doc])* $variant,)*
        }

        impl Event {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name, in the log and in the database. It never changes: people search for it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What happened, in a few words.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// How much it matters.
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)*
                }
            }
        }
    };
}

events! {
    /// A login succeeded.
    LoggedIn = "logged_in", Info, "logged in";
    /// The upstream, or we, did not let a person in.
    LoginRefused = "login_refused", Info, "a login was refused";
    /// The upstream could not be asked, or its answer not be understood.
    LoginFailed = "login_failed", Error, "a login failed, for the upstream could not be asked";
    /// There were too many attempts; the upstream was not asked.
    LoginThrottled = "login_throttled", Warning, "too many attempts; not forwarded";
    /// The upstream could not be asked whether the person of a session is still who they were.
    LoginUnconfirmed = "login_unconfirmed", Warning, "a login could not be confirmed, for the upstream could not be asked";
    /// A person may not use a client.
    NotAdmitted = "not_admitted", Info, "a person may not use a client";
    /// A session ended.
    LoggedOut = "logged_out", Info, "logged out";
    /// All sessions of an account ended.
    LoggedOutEverywhere = "logged_out_everywhere", Info, "logged out everywhere";
    /// All sessions of an upstream ended, or of everybody.
    AllLoggedOut = "all_logged_out", Warning, "everybody was logged out";
    /// Everything that a client had of people ended.
    ClientLoggedOut = "client_logged_out", Warning, "an app lost everything that it had of people";
    /// A client has heard of a logout.
    ClientToldOfLogout = "client_told_of_logout", Info, "a client was told of a logout";
    /// A client could not be told, for so long that it is not tried again.
    ClientNotToldOfLogout = "client_not_told_of_logout", Error, "a client could not be told of a logout, and is not asked again";
    /// The upstream, asked anew, does not let a person in any more.
    AccessWithdrawn = "access_withdrawn", Warning, "the upstream does not let a person in any more";
    /// An upstream is left alone for a while.
    UpstreamDown = "upstream_down", Error, "an upstream does not answer; it is left alone for a while, then tried";
    /// It is back.
    UpstreamUp = "upstream_up", Warning, "an upstream answers again";
    /// A person agreed that a client gets what it asked for.
    Consented = "consented", Info, "consented";
    /// A person did not agree that a client gets what it asked for.
    ConsentDenied = "consent_denied", Info, "a person did not agree to what an app asks for";
    /// A client may not act for a person any more, and has to ask again.
    AppEnded = "app_ended", Info, "an app may not act for its person any more";
    /// A person had so many logins of apps that the one used the longest ago ended.
    FamilyCapped = "family_capped", Info, "a login of an app ended, for its person had too many";
    /// A client got tokens of ours.
    TokensIssued = "tokens_issued", Info, "tokens issued";
    /// A client gave a token back.
    TokenRevoked = "token_revoked", Info, "a token was given back";
    /// An API got a token to call the next one.
    TokenExchanged = "token_exchanged", Info, "an access token was exchanged";
    /// A client got a token of an upstream's.
    UpstreamTokenReleased = "upstream_token_released", Info, "an upstream's token was handed out";
    /// A client called the API of an upstream.
    UpstreamApiCalled = "upstream_api_called", Info, "called an upstream's API";
    /// A client was not let at the API of an upstream, or got no answer from there.
    UpstreamApiRefused = "upstream_api_refused", Info, "a call of an upstream's API was not made, or not answered";
    /// An assertion that a client signed came a second time.
    ClientAssertionReplayed = "client_assertion_replayed", Warning, "a client's assertion was used twice";
    /// A proof of possession came a second time.
    DpopProofReplayed = "dpop_proof_replayed", Warning, "a DPoP proof was used twice";
    /// A code was redeemed a second time.
    CodeReplayed = "code_replayed", Warning, "an authorization code was used twice; its tokens are revoked";
    /// A refresh token was used again after its successor.
    RefreshTokenReplayed = "refresh_token_replayed", Warning, "a spent refresh token was used again; its family is revoked";
    /// A device code was redeemed a second time.
    DeviceCodeReplayed = "device_code_replayed", Warning, "a device code was used twice; its tokens are revoked";
    /// A device asked for its codes.
    DeviceCodeIssued = "device_code_issued", Info, "a device code was issued";
    /// A person said yes to a device.
    DeviceApproved = "device_approved", Info, "a person has answered about a device: yes";
    /// A person said no to a device.
    DeviceDenied = "device_denied", Info, "a person has answered about a device: no";
    /// Too many wrong device codes were typed.
    UserCodeThrottled = "user_code_throttled", Warning, "too many device codes were tried; not looked up";
    /// A login leads to another account now.
    AccountLinked = "account_linked", Info, "a login was linked";
    /// It does not.
    AccountLinkRefused = "account_link_refused", Info, "a login was not linked";
    /// A login leads to an account of its own again.
    AccountUnlinked = "account_unlinked", Info, "a login was unlinked";
    /// An account was closed.
    AccountDisabled = "account_disabled", Info, "an account was closed";
    /// An account was opened again.
    AccountEnabled = "account_enabled", Info, "an account was opened again";
    /// A client registered itself.
    ClientRegistered = "client_registered", Info, "a client registered itself";
    /// A registration changed.
    ClientRegistrationChanged = "client_registration_changed", Info, "the registration of a client changed";
    /// A registration ended.
    ClientDeregistered = "client_deregistered", Info, "the registration of a client ended";
    /// The configuration has a client that it had not.
    ClientAdded = "client_added", Info, "the configuration has a new client";
    /// The configuration has a client in another form.
    ClientChanged = "client_changed", Info, "the configuration has a client in another form";
    /// The configuration has a client no more, whose tokens have ended.
    ClientRemoved = "client_removed", Info, "the configuration has a client no more; its tokens have ended";
    /// The configuration says otherwise than at the last start.
    ConfigurationChanged = "configuration_changed", Info, "the configuration has changed";
    /// An administrator made a token with which clients register themselves.
    InitialAccessTokenCreated = "initial_access_token_created", Info, "an initial access token was made";
    /// An administrator revoked one.
    InitialAccessTokenRevoked = "initial_access_token_revoked", Info, "an initial access token was revoked";
    /// The first signing key of an algorithm was made.
    SigningKeyMade = "signing_key_made", Info, "a signing key was made";
    /// A signing key was made that will take another's place.
    SigningKeyAnnounced = "signing_key_announced", Info, "a signing key was announced";
    /// A signing key retires, for its algorithm is not wanted any more.
    SigningKeyRetired = "signing_key_retired", Info, "a signing key retires: keys.algorithms does not name its algorithm any more";
    /// Everything was moved from SQLite to PostgreSQL.
    DatabaseMoved = "database_moved", Info, "the database was moved from SQLite to PostgreSQL";
    /// A node started.
    ServerStarted = "server_started", Info, "a server started";
    /// A person saw an error page.
    ErrorPageShown = "error_page_shown", Info, "an error page was shown";
    /// A client was told an error, which is its own.
    RequestRefused = "request_refused", Info, "a request was refused";
    /// A request failed, and that is not whose it was to mend.
    RequestFailed = "request_failed", Error, "a request failed";
}

/// Who can bring an event about, over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProvokedBy {
    /// Nobody without having proven who they are, or without an upstream having been asked.
    Few,
    /// Whoever holds something that was good once.
    Holders,
    /// Anybody who tries to log in.
    Guessers,
    /// Anybody.
    Anybody,
}

impl Event {
    /// Who can bring it about, over and over: what strangers can fill a database with.
    pub const fn provoked_by(self) -> ProvokedBy {
        match self {
            Self::LoginRefused | Self::LoginFailed | Self::LoginThrottled => ProvokedBy::Guessers,
            Self::UserCodeThrottled
            | Self::DpopProofReplayed
            | Self::DeviceCodeIssued
            | Self::ErrorPageShown
            | Self::RequestRefused
            | Self::RequestFailed => ProvokedBy::Anybody,
            Self::CodeReplayed
            | Self::RefreshTokenReplayed
            | Self::DeviceCodeReplayed
            | Self::ClientAssertionReplayed => ProvokedBy::Holders,
            _ => ProvokedBy::Few,
        }
    }

    /// Whether it is an error that somebody was told, and so about all that is known of the request.
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            Self::ErrorPageShown | Self::RequestRefused | Self::RequestFailed
        )
    }

    /// The event of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|event| event.as_str() == name)
    }
}

/// One record, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditRecord {
    /// Unique; in the order of a node's records within a second.
    pub id: String,
    /// When.
    pub at: UnixTime,
    /// What: the name of an [`Event`], or of one that a newer version knows.
    pub event: String,
    /// Whose account it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The client, proven or registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
    /// The upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamId>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The token family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<FamilyId>,
    /// The number of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The flow of a browser's tab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// With which browser or program, as it says itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The keyed hash of a user name that was typed and led nobody in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_hash: Option<String>,
    /// The rest.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
}

/// Which records are searched for: those that fit all that is set.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Not before.
    pub since: Option<UnixTime>,
    /// Before.
    pub until: Option<UnixTime>,
    /// What.
    pub event: Option<String>,
    /// About whose account.
    pub account: Option<AccountId>,
    /// With which client.
    pub client_id: Option<ClientId>,
    /// At which upstream.
    pub upstream: Option<UpstreamId>,
    /// In which session.
    pub session: Option<SessionId>,
    /// Of which token family.
    pub family: Option<FamilyId>,
    /// In which request.
    pub request: Option<String>,
    /// In which flow.
    pub flow: Option<String>,
    /// After which user name was typed, by its hash.
    pub name_hash: Option<String>,
    /// From where; of a replay also where the tokens had been given to before.
    pub address: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_a_name_of_its_own() {
        for event in Event::ALL {
            assert_eq!(Event::parse(event.as_str()), Some(*event));
            assert!(!event.text().is_empty());
        }
        assert_eq!(Event::parse("nothing"), None);
    }
}
