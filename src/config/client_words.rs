//! What the rules of a registration find (`protocol::client_metadata::rules`), in words for somebody who writes a file.

use super::place::{Place, Report};
use crate::protocol::client_metadata::rules::{Fault, Rule};

/// Records each fault at its place in the client that stands `at`.
pub(super) fn tell(faults: impl IntoIterator<Item = Fault>, at: &Place, report: &mut Report) {
    for fault in faults {
        let mut place = at.key(&fault.field);
        if let Some(index) = fault.index {
            place = place.index(index);
        }
        report.problem(&place, words(&fault.rule));
    }
}

/// What is wrong, and what to write instead.
pub(super) fn words(rule: &Rule) -> String {
    let text = match rule {
        Rule::NoGrant => "is empty; write [\"authorization_code\"], or leave it out",
        Rule::NoRedirectUri => {
            "is missing; logging people in needs the addresses that answers may go to, such as [\"https://app.example.org/callback\"]"
        }
        Rule::RefreshAlone => {
            "refresh_token alone leads nowhere: refresh tokens come from authorization_code, or another grant that begins with a login; add it"
        }
        Rule::CredentialsOfPublic => {
            "client_credentials needs a client that can keep a secret (RFC 6749 section 4.4); write token_endpoint_auth_method = \"client_secret_basic\""
        }
        Rule::PasswordOfPublic => {
            "password needs a client that can keep a secret: people type their passwords into it (RFC 9700 section 2.4); write \
             token_endpoint_auth_method = \"client_secret_basic\", or use authorization_code"
        }
        Rule::NoResponseType => "is empty; write [\"code\"], or leave it out",
        Rule::ResponseTypeWithoutPeople => {
            "is for clients that people log in to; add \"authorization_code\" to grant_types, or remove this key"
        }
        Rule::GrantMissing(answer, grant) => {
            return format!(
                "\"{answer}\" needs \"{grant}\" in grant_types; add it, or remove the type"
            );
        }
        Rule::ImplicitUnused => {
            "implicit has no use: no type in response_types returns a token through the browser; add one, such as \"id_token\", or remove it"
        }
        Rule::OfflineWithoutRefresh => {
            "offline_access asks for refresh tokens; add \"refresh_token\" to grant_types, or remove it"
        }
        Rule::NoOpenId => {
            "has no openid, which an ID token needs; add it, or write response_types = [\"code\"]"
        }
        Rule::BoundInTheBrowser => {
            "no access token through the browser can be bound to a key; remove the types with \"token\" from response_types, or this key"
        }
        Rule::NoKeys => {
            "is missing: private_key_jwt needs the app's public keys; write jwks = { keys = [..] }, jwks_file = \"path\" or jwks_uri = \"https://..\""
        }
        Rule::KeysTwice => "stands beside other keys; keep one of jwks, jwks_file and jwks_uri",
        Rule::AlgorithmWithoutKey => {
            "is an algorithm that none of the app's keys is for; leave it out for all that they are for"
        }
        Rule::NeedsKeys => "needs the app's public keys; write jwks, jwks_file or jwks_uri",
        Rule::NothingToSignWith => {
            "needs keys to sign with; write jwks, jwks_file or jwks_uri, and no request_object_signing_alg = \"none\""
        }
        Rule::UnsignedObjects => {
            "leads to request objects, which are signed; write jwks, jwks_file or jwks_uri"
        }
        Rule::AlgorithmOfSecret => {
            "HS256 needs a secret; write RS256, PS256, ES256 or EdDSA, or token_endpoint_auth_method = \"client_secret_jwt\""
        }
        Rule::NotSigning => {
            "is for apps that sign: remove it, or write token_endpoint_auth_method = \"private_key_jwt\""
        }
        Rule::EmptyLabel => "is empty; people see it, so write a name",
        Rule::NoSector => {
            "is missing: pairwise subjects are made for one host, and redirect_uris have several, or one on this \
             machine or in an app; write the host that they belong to, such as \"app.example.org\""
        }
        Rule::SectorOfPublic => {
            "is for pairwise subjects alone; write subject_type = \"pairwise\", or remove it"
        }
        other => return other.to_string(),
    };
    text.to_owned()
}
