//! What the organization looks like on every page.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::color::Color;
use crate::protocol::locale::Label;

/// What people see on every page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brand {
    /// The organization's name.
    pub name: Label,
    /// Stands instead of the name, which is then its text alternative.
    pub logo: Option<Logo>,
    /// Stands instead of the logo on dark pages.
    pub logo_dark: Option<Logo>,
    /// The colours of buttons and links.
    pub accent: Option<Accent>,
    /// At the foot of every page.
    pub links: Vec<BrandLink>,
    /// Comes after ours.
    pub stylesheet: Option<Stylesheet>,
}

impl Default for Brand {
    fn default() -> Self {
        Self {
            name: Label::plain("Portico".to_owned()),
            logo: None,
            logo_dark: None,
            accent: None,
            links: Vec::new(),
            stylesheet: None,
        }
    }
}

/// The colours of buttons and links; text can be read in them, on them, and beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accent {
    /// On light pages.
    pub light: Color,
    /// On dark ones.
    pub dark: Color,
}

/// An image, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    /// Where it was read.
    pub file: PathBuf,
    /// What it was found to be.
    pub format: ImageFormat,
    /// The image.
    pub bytes: Vec<u8>,
}

/// What browsers show as an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    Webp,
    /// SVG.
    Svg,
}

impl ImageFormat {
    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Svg => "image/svg+xml",
        }
    }

    /// How a file of this kind ends.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
            Self::Svg => "svg",
        }
    }
}

/// A link at the foot of every page: help, privacy, imprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrandLink {
    /// What it says, by the tag of the language; English is always there.
    pub label: BTreeMap<&'static str, String>,
    /// Where it leads: https.
    pub url: String,
}

/// A stylesheet, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stylesheet {
    /// Where it was read.
    pub file: PathBuf,
    /// The rules.
    pub text: String,
}
