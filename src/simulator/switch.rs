//! Switches by name, as a command line and the live control read and turn them. The macros [`switches!`] and [`words!`] make a struct or an
//! enum together with its table: names, meanings (the very doc comments) and values have one source, so that none can fall behind.

use super::people::{self, AccountState, Group};

/// The longest value that a switch or a property of a person takes.
const LONGEST: usize = 512;

/// One switch of `S`: what it is called, what it means, how it is read and turned.
pub struct Switch<S: 'static> {
    /// The name: that of the field.
    pub name: &'static str,
    pub(super) meaning: &'static str,
    pub(super) accepts: fn() -> Accepts,
    pub(super) get: fn(&S) -> String,
    pub(super) set: fn(&mut S, &str) -> Result<(), String>,
}

/// What a switch takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepts {
    /// Words, each with its meaning.
    pub words: Vec<(&'static str, &'static str)>,
    /// What else may be written, in a few words.
    pub form: Option<&'static str>,
    /// Samples of that.
    pub examples: &'static [&'static str],
}

/// A switch as told to a person or a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The name.
    pub name: &'static str,
    /// A sentence or two.
    pub meaning: &'static str,
    /// The value as it stands.
    pub value: String,
    /// What it takes.
    pub accepts: Accepts,
}

impl<S> Switch<S> {
    /// The switch, and its value in `of`.
    pub fn describe(&self, of: &S) -> Described {
        Described {
            name: self.name,
            meaning: self.meaning.trim_start(),
            value: (self.get)(of),
            accepts: (self.accepts)(),
        }
    }
}

/// Turns several switches of a table, or none when one of them is wrong.
pub(super) fn turn<S: Clone>(
    table: &[Switch<S>],
    of: &mut S,
    changes: &[(String, String)],
) -> Result<(), String> {
    let mut turned = of.clone();
    for (name, value) in changes {
        let switch = table
            .iter()
            .find(|switch| switch.name == name)
            .ok_or_else(|| format!("there is no {name}"))?;
        if value.len() > LONGEST || value.chars().any(char::is_control) {
            return Err(format!("{name}: too long, or with control characters"));
        }
        (switch.set)(&mut turned, value).map_err(|reason| format!("{name}: {reason}"))?;
    }
    *of = turned;
    Ok(())
}

/// What a switch can hold: how it is written and read.
pub(super) trait Setting: Sized {
    fn accepts() -> Accepts;
    fn write(&self) -> String;
    fn read(text: &str) -> Result<Self, String>;
}

/// The refusal of a text that is none of the words.
pub(super) fn no_such_word(words: &[(&str, &str)]) -> String {
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    format!("write {}", words.join(", "))
}

/// Makes a struct of switches, its defaults and the table of the switches. A field after `and` is none.
macro_rules! switches {
    (
        $(#[doc = $about:literal])+
        pub struct $struct:ident {
            $($(#[doc = $doc:literal])+ pub $name:ident: $type:ty = $default:expr,)+
            and
            $($(#[doc = $other_doc:literal])+ pub $other:ident: $other_type:ty = $other_default:expr,)*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug)]
        pub struct $struct {
            $($(#[doc = $doc])+ pub $name: $type,)+
            $($(#[doc = $other_doc])+ pub $other: $other_type,)*
        }

        impl Default for $struct {
            fn default() -> Self {
                Self {
                    $($name: $default,)+
                    $($other: $other_default,)*
                }
            }
        }

        impl $struct {
            /// Every switch, by its name.
            pub const ALL: &'static [$crate::simulator::switch::Switch<Self>] = &[
                $($crate::simulator::switch::Switch {
                    name: stringify!($name),
                    meaning: concat!($($doc),+),
                    accepts: <$type as $crate::simulator::switch::Setting>::accepts,
                    get: |switches| $crate::simulator::switch::Setting::write(&switches.$name),
                    set: |switches, text| {
                        switches.$name = $crate::simulator::switch::Setting::read(text)?;
                        Ok(())
                    },
                },)+
            ];
        }
    };
}

/// Makes an enum whose variants are words of a switch.
macro_rules! words {
    (
        $(#[doc = $about:literal])+
        pub enum $enum:ident {
            $($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $enum {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $crate::simulator::switch::Setting for $enum {
            fn accepts() -> $crate::simulator::switch::Accepts {
                $crate::simulator::switch::Accepts {
                    words: vec![$(($word, concat!($($doc),+).trim_ascii_start()),)+],
                    ..Default::default()
                }
            }

            fn write(&self) -> String {
                match self {
                    $(Self::$variant => $word,)+
                }
                .to_owned()
            }

            fn read(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::simulator::switch::no_such_word(&Self::accepts().words)),
                }
            }
        }
    };
}

/// Makes the table of what can be changed of a person: the fields' names, types and meanings.
macro_rules! properties {
    (
        $(#[doc = $about:literal])+
        const $table:ident: $person:ty {
            $($name:ident: $type:ty = $meaning:literal,)+
        }
    ) => {
        $(#[doc = $about])+
        const $table: &[$crate::simulator::switch::Switch<$person>] = &[
            $($crate::simulator::switch::Switch {
                name: stringify!($name),
                meaning: $meaning,
                accepts: <$type as $crate::simulator::switch::Setting>::accepts,
                get: |person| $crate::simulator::switch::Setting::write(&person.$name),
                set: |person, text| {
                    person.$name = $crate::simulator::switch::Setting::read(text)?;
                    Ok(())
                },
            },)+
        ];
    };
}

pub(super) use {properties, switches, words};

const YES_NO: [(&str, &str); 2] = [("yes", ""), ("no", "")];

impl Setting for bool {
    fn accepts() -> Accepts {
        Accepts {
            words: YES_NO.to_vec(),
            ..Accepts::default()
        }
    }

    fn write(&self) -> String {
        if *self { "yes" } else { "no" }.to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        match text {
            "yes" | "true" => Ok(true),
            "no" | "false" => Ok(false),
            _ => Err(no_such_word(&YES_NO)),
        }
    }
}

fn number(text: &str, lowest: i64, highest: i64) -> Result<i64, String> {
    text.parse()
        .ok()
        .filter(|number| (lowest..=highest).contains(number))
        .ok_or_else(|| format!("write a whole number from {lowest} to {highest}"))
}

/// Seconds, up to ten years.
impl Setting for i64 {
    fn accepts() -> Accepts {
        Accepts {
            form: Some("a number of seconds"),
            examples: &["0", "60", "1199"],
            ..Accepts::default()
        }
    }

    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Result<Self, String> {
        number(text, 0, 315_360_000)
    }
}

/// An HTTP status.
impl Setting for u16 {
    fn accepts() -> Accepts {
        Accepts {
            form: Some("an HTTP status from 400 to 599"),
            examples: &["400", "401", "403"],
            ..Accepts::default()
        }
    }

    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Result<Self, String> {
        let status = number(text, 400, 599)?;
        Self::try_from(status).map_err(|error| error.to_string())
    }
}

const NONE: (&str, &str) = ("none", "");

/// A count from one.
impl Setting for Option<u32> {
    fn accepts() -> Accepts {
        Accepts {
            words: vec![NONE],
            form: Some("a number from 1"),
            examples: &["1", "5"],
        }
    }

    fn write(&self) -> String {
        self.map_or_else(|| NONE.0.to_owned(), |number| number.to_string())
    }

    fn read(text: &str) -> Result<Self, String> {
        if text == NONE.0 {
            return Ok(None);
        }
        let count = number(text, 1, 1_000_000)?;
        u32::try_from(count)
            .map(Some)
            .map_err(|error| error.to_string())
    }
}

impl Setting for Option<String> {
    fn accepts() -> Accepts {
        Accepts {
            words: vec![NONE],
            form: Some("a text"),
            examples: &["", "Some text"],
        }
    }

    fn write(&self) -> String {
        self.clone().unwrap_or_else(|| NONE.0.to_owned())
    }

    fn read(text: &str) -> Result<Self, String> {
        Ok(Some(text.to_owned()).filter(|text| text != NONE.0))
    }
}

impl Setting for String {
    fn accepts() -> Accepts {
        Accepts {
            form: Some("a text"),
            examples: &["", "/Some text"],
            ..Accepts::default()
        }
    }

    fn write(&self) -> String {
        self.clone()
    }

    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

impl Setting for Vec<String> {
    fn accepts() -> Accepts {
        Accepts {
            form: Some("texts, joined by commas"),
            examples: &["", "cus,search"],
            ..Accepts::default()
        }
    }

    fn write(&self) -> String {
        self.join(",")
    }

    fn read(text: &str) -> Result<Self, String> {
        Ok(split(text).map(ToOwned::to_owned).collect())
    }
}

/// Names and values of a form.
impl Setting for Vec<(String, String)> {
    fn accepts() -> Accepts {
        Accepts {
            form: Some("names and values as in a query: a=1&b=2"),
            examples: &["", "site=1&lang=en"],
            ..Accepts::default()
        }
    }

    fn write(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(self)
            .finish()
    }

    fn read(text: &str) -> Result<Self, String> {
        Ok(url::form_urlencoded::parse(text.as_bytes())
            .into_owned()
            .collect())
    }
}

/// Texts of people, who are made of constants.
impl Setting for &'static str {
    fn accepts() -> Accepts {
        Accepts {
            form: Some("a text"),
            examples: &["", "Søme text & more"],
            ..Accepts::default()
        }
    }

    fn write(&self) -> String {
        (*self).to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        Ok(people::keep(text))
    }
}

impl Setting for &'static [&'static str] {
    fn accepts() -> Accepts {
        Accepts {
            form: Some("names, joined by commas"),
            examples: &["", "One,Another name"],
            ..Accepts::default()
        }
    }

    fn write(&self) -> String {
        self.join(",")
    }

    fn read(text: &str) -> Result<Self, String> {
        let names: Vec<&str> = split(text).collect();
        Ok(people::keep_list(&names))
    }
}

impl Setting for &'static [i64] {
    fn accepts() -> Accepts {
        Accepts {
            form: Some("numbers, joined by commas"),
            examples: &["", "12,15"],
            ..Accepts::default()
        }
    }

    fn write(&self) -> String {
        let ids: Vec<String> = self.iter().map(ToString::to_string).collect();
        ids.join(",")
    }

    fn read(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<i64>, String> =
            split(text).map(|text| number(text, 0, i64::MAX)).collect();
        Ok(people::keep_numbers(&numbers?))
    }
}

/// A code and its description: `M=Member`.
impl Setting for (&'static str, &'static str) {
    fn accepts() -> Accepts {
        Accepts {
            form: Some("a code and its description: M=Member"),
            examples: &["=", "NM=Non-member"],
            ..Accepts::default()
        }
    }

    fn write(&self) -> String {
        format!("{}={}", self.0, self.1)
    }

    fn read(text: &str) -> Result<Self, String> {
        let (code, description) = text.split_once('=').ok_or("write CODE=DESCRIPTION")?;
        Ok((people::keep(code), people::keep(description)))
    }
}

impl Setting for &'static [Group] {
    fn accepts() -> Accepts {
        Accepts {
            form: Some(
                "ID|NAME|ROLE|FROM|UNTIL, joined by semicolons; the last three may be left out",
            ),
            examples: &[
                "",
                "A1|Art & Design|Chair;B2|Books|Member|2026-01-01T00:00:00",
            ],
            ..Accepts::default()
        }
    }

    fn write(&self) -> String {
        let groups: Vec<String> = self
            .iter()
            .map(|group| {
                let parts = [
                    group.id,
                    group.name,
                    group.role,
                    group.effective,
                    group.expiration,
                ];
                parts.join("|").trim_end_matches('|').to_owned()
            })
            .collect();
        groups.join(";")
    }

    fn read(text: &str) -> Result<Self, String> {
        let mut groups = Vec::new();
        for text in text.split(';').filter(|text| !text.is_empty()) {
            let mut parts = text.split('|');
            let mut part = || people::keep(parts.next().unwrap_or_default());
            let group = Group {
                id: part(),
                name: part(),
                role: part(),
                effective: part(),
                expiration: part(),
            };
            if group.id.is_empty() || group.name.is_empty() || parts.next().is_some() {
                return Err("write ID|NAME|ROLE|FROM|UNTIL".to_owned());
            }
            groups.push(group);
        }
        Ok(people::keep_groups(&groups))
    }
}

/// The states of an account, as words.
const STATES: [(&str, AccountState, &str); 7] = [
    ("active", AccountState::Active, "May log in."),
    ("locked", AccountState::Locked, "Too many wrong passwords."),
    ("disabled", AccountState::Disabled, "Switched off by staff."),
    (
        "login-expired",
        AccountState::LoginExpired,
        "The login's expiry date has passed.",
    ),
    (
        "password-expired",
        AccountState::PasswordExpired,
        "The password must be changed first.",
    ),
    (
        "multi-factor",
        AccountState::MultiFactor,
        "A second factor is asked for on the web.",
    ),
    (
        "oidc-only",
        AccountState::OidcOnly,
        "A user of the OpenID Connect module, without an iMIS password.",
    ),
];

impl Setting for AccountState {
    fn accepts() -> Accepts {
        Accepts {
            words: STATES
                .iter()
                .map(|(word, _, meaning)| (*word, *meaning))
                .collect(),
            ..Accepts::default()
        }
    }

    fn write(&self) -> String {
        let state = STATES.iter().find(|(_, state, _)| state == self);
        state.map_or("", |(word, ..)| word).to_owned()
    }

    fn read(text: &str) -> Result<Self, String> {
        let state = STATES.iter().find(|(word, ..)| *word == text);
        state
            .map(|(_, state, _)| *state)
            .ok_or_else(|| no_such_word(&Self::accepts().words))
    }
}
