//! Whether a stylesheet is whole, and asks for nothing that our pages' policy would refuse (CSS Syntax Level 3).

/// Finds what would leave a page without its rules, or a rule without its effect: an end that is missing, and anything that
/// would have to be loaded. It is no guard: that is the policy of the pages (T52).
pub(super) fn check(text: &str) -> Result<(), String> {
    let mut rest = text;
    let mut open: Vec<(char, &str)> = Vec::new();
    while let Some(next) = rest.chars().next() {
        let here = rest;
        let line = || line_of(text, here);
        rest = rest.get(next.len_utf8()..).unwrap_or_default();
        match next {
            '/' if rest.starts_with('*') => {
                let comment = rest.get(1..).and_then(|inner| inner.split_once("*/"));
                rest = comment
                    .ok_or_else(|| format!("has a comment in line {} without its */", line()))?
                    .1;
            }
            '"' | '\'' => {
                rest = after_string(rest, next).ok_or_else(|| {
                    format!("has a text in line {} without its closing {next}", line())
                })?;
            }
            '\\' => rest = skip(rest),
            '{' | '(' | '[' => open.push((closing(next), here)),
            '}' | ')' | ']' => {
                if open.pop().is_none_or(|(expected, _)| expected != next) {
                    return Err(format!("has a {next} too many in line {}", line()));
                }
            }
            _ => {
                if let Some(what) = loads(here) {
                    return Err(format!(
                        "has {what} in line {}, which our pages do not load; remove it",
                        line()
                    ));
                }
                if is_part_of_name(next) {
                    rest = rest.trim_start_matches(is_part_of_name);
                }
            }
        }
    }
    match open.pop() {
        Some((expected, opened)) => Err(format!(
            "lacks the {expected} of what opens in line {}",
            line_of(text, opened)
        )),
        None => Ok(()),
    }
}

/// What is loaded from elsewhere by what stands here.
fn loads(here: &str) -> Option<&'static str> {
    ["@import", "@font-face", "url(", "src(", "image-set("]
        .into_iter()
        .find(|what| {
            here.get(..what.len())
                .is_some_and(|word| word.eq_ignore_ascii_case(what))
        })
}

const fn is_part_of_name(next: char) -> bool {
    next.is_ascii_alphanumeric() || matches!(next, '-' | '_')
}

const fn closing(opening: char) -> char {
    match opening {
        '{' => '}',
        '(' => ')',
        _ => ']',
    }
}

/// What follows a text, unless it ends with its line or not at all.
fn after_string(mut rest: &str, quote: char) -> Option<&str> {
    loop {
        let at = rest.find([quote, '\\', '\n'])?;
        let (_, from) = rest.split_at_checked(at)?;
        let next = from.chars().next()?;
        rest = skip(from);
        match next {
            '\n' => return None,
            '\\' => rest = skip(rest),
            _ => return Some(rest),
        }
    }
}

/// All but the first character.
fn skip(text: &str) -> &str {
    let mut characters = text.chars();
    characters.next();
    characters.as_str()
}

fn line_of(text: &str, here: &str) -> usize {
    let before = text.len().saturating_sub(here.len());
    1 + text
        .bytes()
        .take(before)
        .filter(|byte| *byte == b'\n')
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_whole_and_loads_nothing_passes() {
        for css in [
            "",
            "main { border: 0 }",
            "@media (min-width: 30rem) { main { padding: calc((1rem + 2px) * 2) } }",
            ".a::after { content: \"} url( @import \\\" ' \"; } /* url(x) { @import */",
            ".a[title='}'] { color: var(--accent) }",
            ".curl { } .curl(x) { } .\\{ { }",
            "/* 漢字 */ .b { content: \"漢\" }",
        ] {
            assert_eq!(check(css), Ok(()), "{css}");
        }
    }

    #[test]
    fn what_is_not_is_told_with_its_line() {
        for (css, told) in [
            ("\n@import 'x.css';", "has @import in line 2"),
            ("@IMPORT \"x\";", "@import"),
            ("a { }\n\na { background: URL(x.png) }", "url( in line 3"),
            ("a { background: image-set('x.png' 1x) }", "image-set("),
            ("@font-face { }", "@font-face"),
            ("a {\n color: red;\n", "lacks the } of what opens in line 1"),
            ("a { color: red }\n}", "has a } too many in line 2"),
            ("a { width: calc(1px }", "has a } too many in line 1"),
            ("/* a", "comment in line 1"),
            ("/*/", "comment in line 1"),
            ("a { content: \"x\n\" }", "without its closing \""),
            ("a { content: 'x\\'", "without its closing '"),
        ] {
            let error = check(css).unwrap_err();
            assert!(error.contains(told), "{css}: {error}");
        }
    }
}
