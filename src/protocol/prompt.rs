//! The `prompt` parameter (OpenID Connect Core section 3.1.2.1).

use serde::{Deserialize, Serialize};

use super::error::OAuthError;

/// What the client wants the person to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the parameter is a set of four independent words"
)]
pub struct Prompt {
    /// Show nothing at all; an error where something would have to be shown.
    pub none: bool,
    /// Ask for the credentials again, whatever session there is.
    pub login: bool,
    /// Ask for consent again.
    pub consent: bool,
    /// Let the person choose the account.
    pub select_account: bool,
}

impl Prompt {
    /// Reads the space-separated list. Unknown words are refused: a client that asks for
    /// something we do not do must not believe that it was done.
    pub fn parse(text: &str) -> Result<Self, OAuthError> {
        let mut prompt = Self::default();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            match word {
                "none" => prompt.none = true,
                "login" => prompt.login = true,
                "consent" => prompt.consent = true,
                "select_account" => prompt.select_account = true,
                _ => return Err(OAuthError::invalid_request("prompt has an unknown value")),
            }
        }
        if prompt.none && (prompt.login || prompt.consent || prompt.select_account) {
            return Err(OAuthError::invalid_request("prompt=none must stand alone"));
        }
        Ok(prompt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn none_stands_alone() {
        assert!(Prompt::parse("none").unwrap().none);
        assert!(Prompt::parse("none login").is_err());
        assert!(Prompt::parse("create").is_err());
        let both = Prompt::parse("login consent").unwrap();
        assert!(both.login && both.consent && !both.none);
    }

    proptest! {
        #[test]
        fn a_prompt_is_its_words(words in prop::collection::vec("(none|login|consent|select_account|NONE|create|)", 0..5)) {
            let has = |word: &str| words.iter().any(|each| each == word);
            let known = words.iter().all(|word| !["NONE", "create"].contains(&word.as_str()));
            let others = has("login") || has("consent") || has("select_account");
            match Prompt::parse(&words.join(" ")) {
                Ok(prompt) => {
                    prop_assert!(known && !(has("none") && others));
                    let read = [prompt.none, prompt.login, prompt.consent, prompt.select_account];
                    prop_assert_eq!(read, ["none", "login", "consent", "select_account"].map(has));
                }
                Err(_) => prop_assert!(!known || has("none") && others),
            }
        }
    }
}
