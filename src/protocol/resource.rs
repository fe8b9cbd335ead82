//! The `resource` parameter (RFC 8707 section 2): which APIs a token is to be for. The one parameter that may come more
//! than once.

use url::Url;

use super::error::{ErrorCode, OAuthError};
use super::params::Params;

/// The name of the parameter.
pub const RESOURCE: &str = "resource";
/// The most resources of one request (T48).
const MAX_RESOURCES: usize = 8;
/// The most bytes of one (T48).
const MAX_BYTES: usize = 512;

/// The resources that a request names, each once.
pub fn read(params: &Params) -> Result<Vec<String>, OAuthError> {
    let mut named: Vec<String> = Vec::new();
    for resource in params.get_all(RESOURCE) {
        if resource.len() > MAX_BYTES || !is_identifier(resource) {
            return Err(invalid_target(
                "resource must be an absolute URI without fragment",
            ));
        }
        if !named.iter().any(|known| known == resource) {
            named.push(resource.to_owned());
        }
    }
    if named.len() > MAX_RESOURCES {
        return Err(invalid_target("too many resources at once"));
    }
    Ok(named)
}

/// Whether a text can name a resource: an absolute URI without fragment.
pub fn is_identifier(text: &str) -> bool {
    Url::parse(text).is_ok() && !text.contains(['#', ' '])
}

/// `invalid_target` with its explanation.
pub fn invalid_target(description: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidTarget, description)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_names_is_read() {
        let params =
            Params::parse(b"resource=https://a.example&resource=urn:b&resource=urn:b&resource=");
        assert_eq!(
            read(&params.unwrap()).unwrap(),
            ["https://a.example", "urn:b"]
        );
        assert!(read(&Params::default()).unwrap().is_empty());
        for bad in [
            "api",
            "/api",
            "https://a.example/%23x%23#f",
            "https://a.example/ b",
            "https://",
        ] {
            let params: Params = [("resource", bad)].into_iter().collect();
            assert_eq!(
                read(&params).unwrap_err().code,
                ErrorCode::InvalidTarget,
                "{bad}"
            );
        }
        let many: Params = (0..9).map(|n| ("resource", format!("urn:{n}"))).collect();
        assert!(read(&many).is_err());
        let long: Params = [("resource", format!("urn:{}", "x".repeat(600)))]
            .into_iter()
            .collect();
        assert!(read(&long).is_err());
    }
}
