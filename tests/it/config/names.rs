//! Names that people see: one text for all languages, or one for each.

use super::{MINIMAL, assert_problem, load};

/// Where a name may stand, the key of it, and the file with it.
fn places(value: &str) -> [(&'static str, String); 5] {
    let below = |section: &str| format!("{MINIMAL}\n{section} = {value}\n");
    [
        ("brand.name", below("[brand]\nname")),
        (
            "brand.links[0].label",
            below("[[brand.links]]\nurl = \"https://www.example.org/\"\nlabel"),
        ),
        ("upstreams[0].label", format!("{MINIMAL}label = {value}\n")),
        (
            "resources[0].name",
            below("[[resources]]\nidentifier = \"https://api.example.org\"\nname"),
        ),
        (
            "clients[0].client_name",
            below(
                "[[clients]]\nclient_id = \"app\"\ntoken_endpoint_auth_method = \"none\"\n\
                 redirect_uris = [\"https://app.example.org/callback\"]\nclient_name",
            ),
        ),
    ]
}

fn at(shown: &toml::Table, key: &str) -> toml::Value {
    let mut value = toml::Value::Table(shown.clone());
    for part in key.split(['.', '[']) {
        value = match part.strip_suffix(']') {
            Some(index) => value[index.parse::<usize>().unwrap()].clone(),
            None => value[part].clone(),
        };
    }
    value
}

#[test]
fn a_name_is_one_text_or_one_for_each_language() {
    let names = "{ en = \"Ours\", fr = \"Nôtres\", zh-Hant = \"我們\", zh-Hans = \"我们\" }";
    let parsed: toml::Table = format!("names = {names}").parse().unwrap();
    for (key, file) in places(names) {
        let config = load(&file).unwrap_or_else(|problems| panic!("{problems}"));
        let shown: toml::Table = config.effective().parse().unwrap();
        assert_eq!(at(&shown, key), parsed["names"], "{key}");
    }
    for (key, file) in places("\"Ours\"") {
        let config = load(&file).unwrap_or_else(|problems| panic!("{problems}"));
        let shown: toml::Table = config.effective().parse().unwrap();
        let shown = at(&shown, key);
        let english = shown.get("en").unwrap_or(&shown);
        assert_eq!(english.as_str(), Some("Ours"), "{key}");
    }
}

#[test]
fn a_language_that_no_page_speaks_is_named() {
    for (written, below, text) in [
        (
            "{ en = \"Ours\", de = \"Unsere\" }",
            ".de",
            "not a known key",
        ),
        (
            "{ en = \"Ours\", zh-TW = \"我們\" }",
            ".zh-TW",
            "not a known key",
        ),
        (
            "{ fr = \"Nôtres\" }",
            ".en",
            "is missing; it stands in for languages that have no text",
        ),
        ("{ en = \"\" }", ".en", "is empty"),
        ("{ en = \"Ours\", fr = \" \" }", ".fr", "is empty"),
        (
            "{ en = \"Ours\", fr = 3 }",
            ".fr",
            "must be a string, not a whole number",
        ),
        ("\"\"", "", "is empty"),
        ("\"turned \\u202e round\"", "", "control characters"),
    ] {
        for (key, file) in places(written) {
            assert_problem(&file, &format!("{key}{below}"), text);
        }
    }
    for (key, file) in places("[\"Ours\"]") {
        // A link has to have a label: without a usable one it is missing, too.
        if !key.ends_with("label") || key.starts_with("upstreams") {
            let text = "must be a text, or one for each language such as { en = \"Help\", fr = \"Aide\" }, not an array";
            assert_problem(&file, key, text);
        }
    }
    for (key, file) in places("{}") {
        let text = match key {
            "brand.links[0].label" => "is missing",
            _ => "is empty; write a text",
        };
        assert_problem(&file, key, text);
    }
}
