//! What the organization looks like: its logo, its colours and its stylesheet, each at an address that carries the hash of
//! what is there, so that browsers keep it for good.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::model::brand::{Accent, Brand, BrandLink, Logo};
use crate::model::color::{Color, DARK, LIGHT, Scheme};
use crate::protocol::locale::{Label, Locale};

use super::error;
use super::state::HttpState;

/// An image that is opened by itself runs nothing and loads nothing, whatever is in it (T52).
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// The brand as pages show it.
#[derive(Debug)]
pub struct BrandPages {
    /// The address of the logo.
    pub logo: Option<String>,
    /// The address of the logo for dark pages.
    pub logo_dark: Option<String>,
    /// The address of the stylesheet: the colours, then the organization's own.
    pub stylesheet: Option<String>,
    name: Label,
    links: Vec<BrandLink>,
    files: BTreeMap<String, BrandFile>,
}

#[derive(Debug)]
struct BrandFile {
    media_type: &'static str,
    bytes: Bytes,
}

impl Default for BrandPages {
    fn default() -> Self {
        Self::new(Brand::default())
    }
}

impl BrandPages {
    /// Takes what the configuration has read.
    pub fn new(brand: Brand) -> Self {
        let mut pages = Self {
            logo: None,
            logo_dark: None,
            stylesheet: None,
            name: brand.name,
            links: brand.links,
            files: BTreeMap::new(),
        };
        pages.logo = brand.logo.map(|logo| pages.keep_logo(logo));
        pages.logo_dark = brand.logo_dark.map(|logo| pages.keep_logo(logo));
        let mut css = brand.accent.map(colors).unwrap_or_default();
        css.extend(brand.stylesheet.map(|sheet| sheet.text));
        if !css.is_empty() {
            pages.stylesheet = Some(pages.keep("css", "text/css; charset=utf-8", css.into()));
        }
        pages
    }

    /// The organization's name in a language.
    pub fn name(&self, locale: Locale) -> &str {
        self.name.text(locale)
    }

    /// What the links say in a language, and where they lead.
    pub fn links(&self, locale: Locale) -> impl Iterator<Item = (&str, &str)> {
        self.links.iter().filter_map(move |link| {
            let label = locale.choose(&link.label)?;
            Some((label, link.url.as_str()))
        })
    }

    /// Whether there is any.
    pub const fn has_links(&self) -> bool {
        !self.links.is_empty()
    }

    fn keep_logo(&mut self, logo: Logo) -> String {
        let (extension, media_type) = (logo.format.extension(), logo.format.media_type());
        self.keep(extension, media_type, logo.bytes.into())
    }

    /// Keeps a file, and gives its address.
    fn keep(&mut self, extension: &str, media_type: &'static str, bytes: Bytes) -> String {
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&bytes));
        let name = format!("{hash}.{extension}");
        let address = format!("/assets/brand/{name}");
        self.files.insert(name, BrandFile { media_type, bytes });
        address
    }
}

/// The stylesheet of the colours, for light pages and for dark ones.
fn colors(accent: Accent) -> String {
    let light = scheme_colors(&LIGHT, accent.light);
    let dark = scheme_colors(&DARK, accent.dark);
    format!(":root {{{light} }}\n@media (prefers-color-scheme: dark) {{\n  :root {{{dark} }}\n}}\n")
}

fn scheme_colors(scheme: &Scheme, accent: Color) -> String {
    let mut css = String::new();
    for (name, color) in [
        ("accent", accent),
        ("accent-strong", scheme.strong(accent)),
        ("on-accent", scheme.on_accent()),
    ] {
        let _ = write!(css, " --{name}: {color};");
    }
    css
}

pub(super) fn router() -> Router<HttpState> {
    Router::new().route("/assets/brand/{file}", get(file))
}

async fn file(
    State(brand): State<Arc<BrandPages>>,
    name: Result<Path<String>, PathRejection>,
) -> Response {
    let file = name.ok().and_then(|Path(name)| brand.files.get(&name));
    let Some(file) = file else {
        return error::not_found().await.into_response();
    };
    let headers = [
        (CONTENT_TYPE, file.media_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, file.bytes.clone()).into_response()
}
