//! The files of `[brand]`, read at start, so that none is missing when a page wants it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::model::brand::{ImageFormat, Logo, Stylesheet};

use super::stylesheet;

/// More than a logo needs, and little enough to be sent to a telephone.
const MAX_LOGO_BYTES: u64 = 256 * 1024;
/// More than a stylesheet needs.
const MAX_STYLESHEET_BYTES: u64 = 128 * 1024;

/// The namespace without which browsers show no SVG image.
const SVG_NAMESPACE: &str = "http://www.w3.org/2000/svg";

/// Reads an image; else says what is wrong with it.
pub(super) fn logo(file: &Path) -> Result<Logo, String> {
    let bytes = read(file, MAX_LOGO_BYTES)?;
    let format = format(&bytes).map_err(|wrong| format!("the file {} {wrong}", file.display()))?;
    Ok(Logo {
        file: file.to_owned(),
        format,
        bytes,
    })
}

/// Reads a stylesheet; else says what is wrong with it.
pub(super) fn stylesheet(file: &Path) -> Result<Stylesheet, String> {
    let wrong = |wrong: String| format!("the file {} {wrong}", file.display());
    let bytes = read(file, MAX_STYLESHEET_BYTES)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| wrong("is not UTF-8 text; save it as UTF-8".to_owned()))?;
    stylesheet::check(&text).map_err(wrong)?;
    Ok(Stylesheet {
        file: file.to_owned(),
        text,
    })
}

fn read(file: &Path, most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(most + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("the file {} cannot be read: {error}", file.display()))?;
    let told = |wrong: &str| Err(format!("the file {} {wrong}", file.display()));
    match u64::try_from(bytes.len()).unwrap_or(u64::MAX) {
        0 => told("is empty"),
        length if length > most => told(&format!(
            "is larger than {} KiB; make it smaller",
            most / 1024
        )),
        _ => Ok(bytes),
    }
}

/// What an image is, by what is in it; its name may be wrong.
fn format(bytes: &[u8]) -> Result<ImageFormat, &'static str> {
    let cut = |whole: bool, format| {
        let broken = "is only a part of an image; copy it anew";
        if whole { Ok(format) } else { Err(broken) }
    };
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        let end = b"\0\0\0\0IEND\xae\x42\x60\x82";
        let whole = bytes.windows(end.len()).any(|window| window == end);
        return cut(whole, ImageFormat::Png);
    }
    if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        let whole = bytes.windows(2).any(|window| window == [0xff, 0xd9]);
        return cut(whole, ImageFormat::Jpeg);
    }
    if let [b'R', b'I', b'F', b'F', a, b, c, d, rest @ ..] = bytes
        && rest.starts_with(b"WEBP")
    {
        let length = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
        return cut(rest.len() >= length, ImageFormat::Webp);
    }
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let Some((opening, rest)) = svg_root(text) else {
        return Err("is not an image in PNG, JPEG, WebP or SVG; save it as one of these");
    };
    if !opening.contains(SVG_NAMESPACE) {
        return Err(
            "is an SVG that browsers do not show; write xmlns=\"http://www.w3.org/2000/svg\" into its <svg>",
        );
    }
    if rest.to_ascii_lowercase().contains("<script") {
        return Err("is an SVG with a script, which no browser would run; remove it");
    }
    let whole = opening.ends_with('/') || rest.trim_end().ends_with("</svg>");
    cut(whole, ImageFormat::Svg)
}

/// The opening tag of an SVG, and what follows it.
fn svg_root(text: &str) -> Option<(&str, &str)> {
    let mut text = text.trim_start_matches('\u{feff}').trim_start();
    // What may stand before the root of an XML document (XML 1.0 section 2.8).
    for _ in 0..64 {
        let (opening, closing) = match text {
            _ if text.starts_with("<?") => ("<?", "?>"),
            _ if text.starts_with("<!--") => ("<!--", "-->"),
            _ if text.starts_with("<!DOCTYPE") => ("<!DOCTYPE", ">"),
            _ => break,
        };
        let (_, rest) = text.strip_prefix(opening)?.split_once(closing)?;
        text = rest.trim_start();
    }
    let (opening, rest) = text.strip_prefix("<svg")?.split_once('>')?;
    let ends = |next: char| next.is_whitespace() || next == '/';
    (opening.is_empty() || opening.starts_with(ends)).then_some((opening, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_what_is_in_it() {
        let png = b"\x89PNG\r\n\x1a\n....\0\0\0\0IEND\xae\x42\x60\x82";
        let svg = "\u{feff}<?xml version=\"1.0\"?>\n<!-- > -->\n<!DOCTYPE svg>\n<svg xmlns='http://www.w3.org/2000/svg'>\n</svg>\n";
        for (bytes, expected) in [
            (png.as_slice(), ImageFormat::Png),
            (b"\xff\xd8\xff..\xff\xd9", ImageFormat::Jpeg),
            (b"RIFF\x06\0\0\0WEBPVP", ImageFormat::Webp),
            (svg.as_bytes(), ImageFormat::Svg),
            (
                b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
                ImageFormat::Svg,
            ),
        ] {
            assert_eq!(format(bytes), Ok(expected));
        }
    }

    #[test]
    fn what_no_browser_would_show_is_refused() {
        for (bytes, wrong) in [
            (b"\x89PNG\r\n\x1a\n....".as_slice(), "only a part"),
            (b"\xff\xd8\xff..", "only a part"),
            (b"RIFF\xff\0\0\0WEBPVP", "only a part"),
            (b"GIF89a", "PNG, JPEG, WebP or SVG"),
            (b"\xff\xfe\x00", "PNG, JPEG, WebP or SVG"),
            (b"<html><svg></svg></html>", "PNG, JPEG, WebP or SVG"),
            (b"<svgx xmlns=''></svgx>", "PNG, JPEG, WebP or SVG"),
            (b"<!-- <svg></svg>", "PNG, JPEG, WebP or SVG"),
            (b"<svg></svg>", "xmlns="),
            (
                b"<svg xmlns=\"http://www.w3.org/2000/svg\"><g>",
                "only a part",
            ),
            (
                b"<svg xmlns=\"http://www.w3.org/2000/svg\"><SCRIPT/></svg>",
                "script",
            ),
        ] {
            let told = format(bytes).unwrap_err();
            assert!(told.contains(wrong), "{told}");
        }
    }
}
