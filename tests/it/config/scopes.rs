//! `[[scopes]]` and what logins prove.

use super::{MINIMAL, assert_problem};

#[test]
fn a_scope_is_a_word_that_means_nothing_yet() {
    for (entry, key, text) in [
        ("claims = [\"points\"]", "name", "is missing"),
        ("name = \"two words\"", "name", "one word"),
        ("name = \"\"", "name", "one word"),
        ("name = \"a\\\"b\"", "name", "one word"),
        ("name = \"email\"", "name", "has a meaning already"),
        (
            "name = \"upstream:members\"",
            "name",
            "has a meaning already",
        ),
        (
            "name = \"x\"\nclaims = [\"sub\"]",
            "claims[0]",
            "tokens use themselves",
        ),
        (
            "name = \"x\"\nclaims = [\"a\", \"email\"]",
            "claims[1]",
            "the scope email",
        ),
        (
            "name = \"x\"\nclaims = [\"\"]",
            "claims[0]",
            "name of a claim",
        ),
        (
            "name = \"x\"\ndescription = { fr = \"voir\" }",
            "description.en",
            "stands in",
        ),
        (
            "name = \"x\"\ndescription = { en = \" \" }",
            "description.en",
            "is empty",
        ),
    ] {
        let text_of_file = format!("{MINIMAL}\n[[scopes]]\n{entry}\n");
        assert_problem(&text_of_file, &format!("scopes[0].{key}"), text);
    }
    let twice = format!("{MINIMAL}\n[[scopes]]\nname = \"x\"\n[[scopes]]\nname = \"x\"\n");
    assert_problem(&twice, "scopes[1].name", "earlier scope");
}

#[test]
fn what_a_login_proves_is_a_word() {
    for wrong in ["", "two words", "é"] {
        let file = MINIMAL.replace(
            "kind = \"imis\"",
            &format!("kind = \"imis\"\nacr = \"{wrong}\""),
        );
        assert_problem(&file, "upstreams[0].acr", "without spaces");
    }
}
