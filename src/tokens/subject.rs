//! The `sub` claim: what each client calls a person (OpenID Connect Core section 8). The one place that makes it, for
//! [`AccountSubject`] and [`Subject`] are types that do not mix.
//!
//! [`AccountSubject`]: crate::protocol::ids::AccountSubject

use crate::keys::{KeyError, Purpose, Secrets};
use crate::model::account::Account;
use crate::model::client::{Client, SubjectType};
use crate::protocol::ids::Subject;

/// The `sub` of `account` for `client`: the same at every node and after every start, since nothing goes into it but the
/// master key, the sector and the account. A pairwise one tells neither the account nor another sector's (section 8.1).
pub fn for_client(
    secrets: &Secrets,
    client: &Client,
    account: &Account,
) -> Result<Subject, KeyError> {
    let subject = account.subject.as_str();
    match &client.subject_type {
        SubjectType::Public => Ok(Subject::new(subject)),
        SubjectType::Pairwise { sector } => secrets
            .mac(
                Purpose::PairwiseSubject,
                &[sector.as_bytes(), subject.as_bytes()],
            )
            .map(Subject::new),
    }
}
