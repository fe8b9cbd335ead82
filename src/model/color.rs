//! Colours, and whether text in them can be read (Web Content Accessibility Guidelines 2.2).

use std::fmt;

/// The contrast that text needs (WCAG 2.2, 1.4.3, level AA).
pub const LEGIBLE: f64 = 4.5;

/// A colour in sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color([u8; 3]);

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Color {
    /// Reads `#rrggbb`, the one way in which a configuration writes a colour.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, 16).ok()?;
        let [_, red, green, blue] = number.to_be_bytes();
        (hexadecimal && digits.len() == 6).then_some(Self([red, green, blue]))
    }

    /// How far the two are apart in light, from 1 to 21 (WCAG 2.2, "contrast ratio").
    pub fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// WCAG 2.2, "relative luminance".
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|byte| {
            let part = f64::from(byte) / 255.0;
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        });
        0.0722f64.mul_add(blue, 0.2126f64.mul_add(red, 0.7152 * green))
    }

    /// This colour with `percent` of another.
    fn mixed(self, other: Self, percent: u16) -> Self {
        let mut mixed = self.0;
        for (part, added) in mixed.iter_mut().zip(other.0) {
            let sum = u16::from(*part) * (100 - percent) + u16::from(added) * percent;
            *part = u8::try_from(sum / 100).unwrap_or(u8::MAX);
        }
        Self(mixed)
    }
}

/// The colours of `templates/assets/portico.css` that an accent stands on or under; a test holds them to it.
#[derive(Debug)]
pub struct Scheme {
    card: Color,
    hover: Color,
    on_accent: Color,
    /// Where an accent goes that is to stand out more.
    away: Color,
}

/// What pages look like by day.
pub const LIGHT: Scheme = Scheme {
    card: Color([0xff, 0xff, 0xff]),
    hover: Color([0xee, 0xf3, 0xfb]),
    on_accent: Color([0xff, 0xff, 0xff]),
    away: Color([0, 0, 0]),
};

/// What pages look like in the dark.
pub const DARK: Scheme = Scheme {
    card: Color([0x18, 0x20, 0x2c]),
    hover: Color([0x20, 0x2b, 0x3b]),
    on_accent: Color([0x0c, 0x19, 0x30]),
    away: Color([0xff, 0xff, 0xff]),
};

impl Scheme {
    /// The smallest contrast between text and its ground on a page with this accent: links and quiet buttons, buttons, and
    /// both of them under the pointer.
    pub fn contrast(&self, accent: Color) -> f64 {
        let strong = self.strong(accent);
        [
            accent.contrast(self.card),
            strong.contrast(self.hover),
            self.on_accent.contrast(accent),
            self.on_accent.contrast(strong),
        ]
        .into_iter()
        .fold(f64::INFINITY, f64::min)
    }

    /// The accent under the pointer.
    pub fn strong(&self, accent: Color) -> Color {
        accent.mixed(self.away, 25)
    }

    /// The colour of the text on a button.
    pub const fn on_accent(&self) -> Color {
        self.on_accent
    }

    /// The colour itself, or the nearest shade of it with which everything can be read.
    pub fn legible(&self, accent: Color) -> Color {
        (0..=100)
            .map(|percent| accent.mixed(self.away, percent))
            .find(|shade| self.contrast(*shade) >= LEGIBLE)
            .unwrap_or(self.away)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_six_digits_are_a_color() {
        let color = Color::parse("#1F4fa3").unwrap();
        assert_eq!(color.to_string(), "#1f4fa3");
        for text in [
            "1f4fa3", "#1f4fa", "#1f4fa33", "#+f4fa3", "#1f4fag", "red", "#", "",
        ] {
            assert_eq!(Color::parse(text), None, "{text}");
        }
    }

    /// Values of the formula as others have computed them.
    #[test]
    fn contrast_is_that_of_wcag() {
        for (one, two, ratio) in [
            ("#000000", "#ffffff", 21.0),
            ("#777777", "#ffffff", 4.48),
            ("#ff0000", "#ffffff", 4.0),
            ("#ffffff", "#ffffff", 1.0),
        ] {
            let contrast = Color::parse(one)
                .unwrap()
                .contrast(Color::parse(two).unwrap());
            assert!((contrast - ratio).abs() < 0.01, "{one} {two}: {contrast}");
        }
    }

    #[test]
    fn every_color_has_a_legible_shade_by_day_and_in_the_dark() {
        for scheme in [LIGHT, DARK] {
            for text in [
                "#ffcc00", "#ffffff", "#000000", "#7f7f7f", "#0000ff", "#00ff00",
            ] {
                let shade = scheme.legible(Color::parse(text).unwrap());
                assert!(scheme.contrast(shade) >= LEGIBLE, "{text}: {shade}");
                assert_eq!(scheme.legible(shade), shade);
            }
        }
    }

    #[test]
    fn the_schemes_are_those_of_the_stylesheet() {
        let stylesheet = include_str!("../../templates/assets/portico.css");
        let (light, dark) = stylesheet.split_once("prefers-color-scheme: dark").unwrap();
        for (css, scheme) in [(light, LIGHT), (dark, DARK)] {
            for (name, color) in [
                ("card", scheme.card),
                ("hover", scheme.hover),
                ("on-accent", scheme.on_accent),
            ] {
                assert!(css.contains(&format!("--{name}: {color};")), "{name}");
            }
        }
    }
}
