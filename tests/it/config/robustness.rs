//! Whatever a file holds, the loader answers.

use proptest::prelude::*;

use crate::oracles::config::holds;

const EXAMPLE: &str = include_str!("../../../config/portico.example.toml");

fn pieces() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "issuer",
        "server",
        "clients",
        "upstreams",
        "redirect_uris",
        "client_secret",
        "env",
        "file",
        "keys",
        "url",
        "database",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        " = ",
        ",",
        ".",
        "\n",
        "\"",
        "'",
        "\"\"\"",
        "#",
        "1",
        "-1",
        "1e999",
        "99999999999999999999",
        "true",
        "1979-05-27",
        "inf",
        "\"10m\"",
        "\"imis\"",
        "\\u0000",
        "\u{0}",
        "é",
        "\u{feff}",
    ])
    .prop_map(str::to_owned)
}

/// A value of every type.
fn values() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "1",
        "-1",
        "1.5",
        "true",
        "\"\"",
        "\"x\"",
        "[]",
        "[[]]",
        "{}",
        "{ a = 1 }",
        "{ env = \"SECRET\" }",
        "{ env = \"NOWHERE\" }",
        "{ file = \"\" }",
        "{ file = \"/\" }",
        "[1, \"x\", {}]",
        "1979-05-27T07:32:00Z",
        "nan",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_is_answered(text in any::<Vec<u8>>()) {
        holds(&text);
    }

    #[test]
    fn arbitrary_toml_like_text_is_answered(pieces in prop::collection::vec(pieces(), 0..60)) {
        holds(pieces.concat().as_bytes());
    }

    #[test]
    fn a_damaged_example_is_answered(at in 0..EXAMPLE.len(), length in 0usize..200, piece in pieces()) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, piece.bytes());
        holds(&bytes);
    }

    #[test]
    fn an_example_with_values_of_other_types_is_answered(changes in prop::collection::vec((0usize..200, values()), 1..12)) {
        let mut lines: Vec<String> = EXAMPLE.lines().map(str::to_owned).collect();
        let keys: Vec<usize> = (0..lines.len())
            .filter(|line| lines[*line].contains(" = ") && !lines[*line].starts_with("# "))
            .collect();
        for (which, value) in changes {
            let line = &mut lines[keys[which % keys.len()]];
            let key = line.split(" = ").next().unwrap().trim_start_matches('#').to_owned();
            *line = format!("{key} = {value}");
        }
        holds(lines.join("\n").as_bytes());
    }
}
