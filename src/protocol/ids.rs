//! Newtypes for the identifiers that travel through the house, so that no two strings can be swapped.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares an identifier. A macro, because eight identical newtypes by hand are eight places to forget one thing.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps text that is already known to be such an identifier.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

identifier!(
    /// A client identifier (RFC 6749 section 2.2).
    ClientId
);
identifier!(
    /// The name an administrator gave an upstream in the config; part of its callback URL.
    UpstreamId
);
identifier!(
    /// Our own key of an account; never shown to anybody.
    AccountId
);
identifier!(
    /// What an account's `sub` claims are made of. No client gets it as it is: `tokens::subject` says what each gets.
    AccountSubject
);
identifier!(
    /// A `sub` claim, as one client gets it (OpenID Connect Core section 8).
    Subject
);
identifier!(
    /// The `sid` claim: names a browser's session to the clients (OpenID Connect Front-Channel Logout section 3).
    SessionId
);
identifier!(
    /// A family of refresh tokens, and of the access tokens given with them.
    FamilyId
);
identifier!(
    /// The `kid` of a signing key (RFC 7517 section 4.5).
    KeyId
);
