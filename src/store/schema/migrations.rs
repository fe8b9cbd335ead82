//! The files in `migrations/`, built in.
//!
//! They are named here, where `sqlx::migrate!` would find them by itself: sqlx's macros have all of sqlx and both databases compiled once
//! more, for the compiler. A test holds the names to the folder.

use std::borrow::Cow;
use std::sync::LazyLock;

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType};

/// All of them, the oldest first.
pub(super) static MIGRATIONS: LazyLock<Vec<Migration>> = LazyLock::new(|| {
    let mut all: Vec<_> = FILES.iter().copied().map(migration).collect();
    all.sort();
    all
});

macro_rules! files {
    ($($name:literal,)*) => {
        /// The name of each, without its ending, and what it holds.
        const FILES: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../migrations/", $name, ".sql"))),)*
        ];
        $(const _: () = assert!(is_numbered($name), "a migration is named 0001_and_words");)*
    };
}

files! {
    "0001_init",
    "0002_vault_entry",
    "0003_account_linking",
    "0004_recheck",
    "0005_claims_and_acr",
    "0006_access_tokens",
    "0007_resources",
    "0008_spent_id",
    "0009_device_code",
    "0011_pushed_request",
    "0012_family_key",
    "0013_throttle_alias",
    "0015_client_registration",
    "0016_initial_access_token",
    "0017_counted_pushes",
    "0020_audit",
    "0021_logout_notice",
    "0023_session_device",
    "0024_keep_signed_in",
    "0025_device_resources",
    "0026_account_created",
    "0029_family_recipient",
    "0030_configuration",
    "0032_logout_outage",
    "0033_login_of_account",
    "0035_logout_turn",
    "0036_audit_address",
    "0037_family_bound",
    "0038_session_began",
    "0039_logout_unqueued",
    "0040_family_bound_at",
    "0041_held_registration",
    "0042_access_token_family",
    "0043_audit_indexes",
}

/// Four digits, a `_` and something more.
const fn is_numbered(name: &str) -> bool {
    matches!(
        name.as_bytes(),
        [
            b'0'..=b'9',
            b'0'..=b'9',
            b'0'..=b'9',
            b'0'..=b'9',
            b'_',
            _,
            ..
        ]
    )
}

/// As sqlx reads a file of that name: the number before the first `_`, and then words.
fn migration((name, text): (&'static str, &'static str)) -> Migration {
    let (version, words) = name.split_once('_').unwrap_or((name, ""));
    Migration::new(
        // It is a number, see above.
        version.parse().unwrap_or_default(),
        Cow::Owned(words.replace('_', " ")),
        MigrationType::Simple,
        SqlStr::from_static(text),
        false,
    )
}
