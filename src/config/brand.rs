//! `[brand]`: what people see on every page.

use serde::Deserialize;
use url::Url;

use super::brand_file;
use super::place::{Place, Report};
use super::text::Translations;
use crate::model::brand::{Accent, Brand, BrandLink};
use crate::model::color::{Color, DARK, LEGIBLE, LIGHT, Scheme};

/// More links than this are a menu, which belongs on a site.
const MAX_LINKS: usize = 6;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    name: Option<Translations>,
    logo: Option<String>,
    logo_dark: Option<String>,
    color: Option<String>,
    color_dark: Option<String>,
    links: Vec<RawLink>,
    stylesheet: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLink {
    label: Translations,
    url: Option<String>,
}

/// Checks the section, and reads its files.
pub(super) fn check(raw: Raw, at: &Place, report: &mut Report) -> Brand {
    let mut brand = Brand::default();
    let name = raw
        .name
        .and_then(|name| name.check_name(&at.key("name"), report));
    if let Some(name) = name {
        brand.name = name;
    }
    for (dark, plain) in [
        (raw.logo_dark.is_some() && raw.logo.is_none(), "logo"),
        (raw.color_dark.is_some() && raw.color.is_none(), "color"),
    ] {
        if dark {
            let text = format!("is missing; {plain}_dark only stands in for it on dark pages");
            report.problem(&at.key(plain), text);
        }
    }
    brand.logo = read(raw.logo, &at.key("logo"), report, brand_file::logo);
    brand.logo_dark = read(
        raw.logo_dark,
        &at.key("logo_dark"),
        report,
        brand_file::logo,
    );
    brand.stylesheet = read(
        raw.stylesheet,
        &at.key("stylesheet"),
        report,
        brand_file::stylesheet,
    );
    let light = check_color(raw.color, &LIGHT, &at.key("color"), report);
    let dark = check_color(raw.color_dark, &DARK, &at.key("color_dark"), report);
    brand.accent = light.map(|light| Accent {
        light,
        dark: dark.unwrap_or_else(|| DARK.legible(light)),
    });
    brand.links = check_links(raw.links, &at.key("links"), report);
    brand
}

fn read<T>(
    file: Option<String>,
    at: &Place,
    report: &mut Report,
    read: impl Fn(&std::path::Path) -> Result<T, String>,
) -> Option<T> {
    read(&at.beside(file?))
        .map_err(|wrong| report.problem(at, wrong))
        .ok()
}

fn check_color(
    written: Option<String>,
    scheme: &Scheme,
    at: &Place,
    report: &mut Report,
) -> Option<Color> {
    let Some(color) = Color::parse(&written?) else {
        report.problem(
            at,
            "must be a colour of six hexadecimal digits, such as \"#1f4fa3\"",
        );
        return None;
    };
    let contrast = scheme.contrast(color);
    if contrast < LEGIBLE {
        // Rounded down: 4.49 is not to be called 4.5.
        let shown = (contrast * 10.0).floor() / 10.0;
        let legible = scheme.legible(color);
        report.problem(
            at,
            format!(
                "cannot be read well: its contrast with our pages and with the text on buttons is {shown}, and must be \
                 {LEGIBLE} (WCAG AA); the nearest shade that can is \"{legible}\""
            ),
        );
    }
    Some(color)
}

fn check_links(links: Vec<RawLink>, at: &Place, report: &mut Report) -> Vec<BrandLink> {
    if links.len() > MAX_LINKS {
        report.problem(at, format!("has more than {MAX_LINKS} links"));
    }
    let mut checked = Vec::new();
    for (index, link) in links.into_iter().enumerate() {
        let at = at.index(index);
        let label = link.label.check(&at.key("label"), report);
        if label.is_empty() {
            let text = "is missing; write { en = \"Help\" }, and other languages beside it";
            report.problem(&at.key("label"), text);
        }
        let url = link.url.unwrap_or_default();
        let Some(url) = https(&url) else {
            report.problem(
                &at.key("url"),
                "must be an https address, such as \"https://www.example.org/help\"",
            );
            continue;
        };
        checked.push(BrandLink {
            label,
            url: url.into(),
        });
    }
    checked
}

fn https(url: &str) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    let plain = url.username().is_empty() && url.password().is_none();
    (url.scheme() == "https" && plain).then_some(url)
}
