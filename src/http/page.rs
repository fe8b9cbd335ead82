//! Pages: what every template knows, and the headers that every page has (T52).

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use url::Url;

use crate::protocol::locale::Locale;

use super::brand::BrandPages;
use super::own_path::OwnPath;
use super::texts::Texts;
use super::{NO_STORE, context};

/// What the base template knows.
pub struct Page {
    /// The texts of the request's language.
    pub texts: &'static Texts,
    /// What the organization looks like.
    pub brand: Arc<BrandPages>,
    /// The address that shows it again, in another language, say; a page without one has no menu.
    pub address: Option<OwnPath>,
    locale: Locale,
    request_id: String,
}

impl Page {
    /// For the request under way.
    pub fn current() -> Self {
        let locale = context::locale();
        Self {
            texts: Texts::of(locale),
            locale,
            address: context::address(),
            brand: context::brand(),
            request_id: context::request_id(),
        }
    }

    /// The name of the organization.
    pub fn brand_name(&self) -> &str {
        self.brand.name(self.locale)
    }

    /// The links of the organization: what each says, and where it leads.
    pub fn links(&self) -> impl Iterator<Item = (&str, &str)> {
        self.brand.links(self.locale)
    }

    /// Says that the page is none to stay at.
    #[must_use]
    pub(super) fn shown_once(mut self) -> Self {
        self.address = None;
        self
    }

    /// Says where the page is shown again, if the request's own address does not.
    #[must_use]
    pub(super) fn shown_at(mut self, address: &str) -> Self {
        self.address = self.address.or_else(|| OwnPath::parse(address));
        self
    }

    /// The languages, and whether each is the page's.
    pub fn languages(&self) -> impl Iterator<Item = (&'static Texts, bool)> {
        Locale::ALL
            .map(|each| (Texts::of(each), each == self.locale))
            .into_iter()
    }

    /// Whether anything stands below the page.
    pub fn has_foot(&self) -> bool {
        self.address.is_some() || self.brand.has_links()
    }

    /// The line with the request's number.
    pub fn error_id(&self) -> String {
        (self.texts.error_id)(&self.request_id)
    }
}

/// The script of `form_post.html`, by hash: beside that of `fragment.html` the only one that any page of ours may run.
/// A test computes it anew from the template.
pub const FORM_POST_SCRIPT_HASH: &str = "sha256-ePniVEkSivX/c7XWBGafqh8tSpiRrKiqYeqbG7N1TOE=";

/// Where the forms of a page may lead. Chromium holds every redirect after a POST against `form-action`, those of others
/// included: an app may go on from its callback to any address, and an upstream from its entry to another host. A login
/// that ends in a click without effect is worse than a looser policy, so the schemes stand there, and not the origins.
#[derive(Default)]
pub struct FormTargets(BTreeSet<String>);

impl FormTargets {
    /// Our own pages, and wherever the redirects after them end, of which `uris` are the first.
    pub fn ending_at<'a>(uris: impl IntoIterator<Item = &'a str>) -> Self {
        // Nothing that could end the directive gets in: the URL parser writes the scheme.
        let schemes = uris
            .into_iter()
            .filter_map(|uri| Some(format!("{}:", Url::parse(uri).ok()?.scheme())));
        Self(schemes.chain(["https:".to_owned()]).collect())
    }
}

/// Renders a page.
pub(super) fn render(
    status: StatusCode,
    template: &impl Template,
    targets: &FormTargets,
) -> Response {
    render_with(status, template, targets, "'none'", "'none'")
}

/// Renders the page that submits itself.
pub(super) fn render_form_post(template: &impl Template, targets: &FormTargets) -> Response {
    render_with_script(StatusCode::OK, template, targets, FORM_POST_SCRIPT_HASH)
}

/// Renders a page with one script, which `hash` names.
pub(super) fn render_with_script(
    status: StatusCode,
    template: &impl Template,
    targets: &FormTargets,
    hash: &str,
) -> Response {
    render_with(status, template, targets, &format!("'{hash}'"), "'none'")
}

/// Renders a page with frames of the origins in `frames` and one script, which `hash` names.
pub(super) fn render_with_frames(
    template: &impl Template,
    frames: &BTreeSet<String>,
    hash: &str,
) -> Response {
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    let (script, targets) = (format!("'{hash}'"), FormTargets::default());
    render_with(
        StatusCode::OK,
        template,
        &targets,
        &script,
        &frames.join(" "),
    )
}

fn render_with(
    status: StatusCode,
    template: &impl Template,
    targets: &FormTargets,
    script: &str,
    frames: &str,
) -> Response {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(error = %error, "a page could not be rendered");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let mut policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src {script}; frame-src {frames}; base-uri 'none'; \
         frame-ancestors 'none'; form-action 'self'"
    );
    for target in &targets.0 {
        policy.push(' ');
        policy.push_str(target);
    }
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, NO_STORE);
    match HeaderValue::from_str(&policy) {
        Ok(policy) => {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        Err(error) => {
            tracing::error!(error = %error, "a content security policy could not be written");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    }
    response
}

/// The hash of the one script of a template.
#[cfg(test)]
pub(super) fn script_hash(template: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest as _, Sha256};
    let (_, rest) = template.split_once("<script>").unwrap_or_default();
    let (script, _) = rest.split_once("</script>").unwrap_or_default();
    format!("sha256-{}", STANDARD.encode(Sha256::digest(script)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_of_form_post_has_the_hash_that_the_policy_allows() {
        let template = include_str!("../../templates/pages/form_post.html");
        assert_eq!(script_hash(template), FORM_POST_SCRIPT_HASH);
    }

    #[test]
    fn form_targets_are_schemes() {
        let targets = FormTargets::ending_at([
            "https://app.example.org/cb?x='none'",
            "com.example.app:/cb",
            "not a uri",
        ]);
        let schemes: Vec<&str> = targets.0.iter().map(String::as_str).collect();
        assert_eq!(schemes, ["com.example.app:", "https:"]);
    }
}
