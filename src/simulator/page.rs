//! The look of the simulators' own pages: plain, readable, and plainly not the real thing.

const STYLE: &str = "\
:root{color-scheme:light dark;background:Canvas;color:CanvasText}\
body{font:1rem/1.5 system-ui,sans-serif;margin:0 auto;padding:1rem;max-width:26rem}\
.note{border-left:.25rem solid #b45309;padding:.25rem .75rem}\
.error{border-left:.25rem solid #dc2626;padding:.25rem .75rem}\
label{display:block;margin-top:1rem;font-weight:600}\
input{box-sizing:border-box;width:100%;padding:.6rem;font:inherit;border:1px solid #767676;border-radius:.25rem}\
button{margin:1.25rem .5rem 0 0;padding:.6rem 1.2rem;font:inherit;border:1px solid currentColor;border-radius:.25rem;cursor:pointer}\
:focus-visible{outline:3px solid #2563eb;outline-offset:2px}";

/// What pages with tables have more.
const WIDE: &str = "\
body{max-width:76rem}\
table{border-collapse:collapse;width:100%}\
th,td{border:1px solid #767676;padding:.4rem;text-align:left;vertical-align:top}\
td form,.row{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center}\
td input,td select{width:auto;max-width:22rem;padding:.3rem;font:inherit}\
button{margin:.25rem 0;padding:.3rem .8rem}\
code,pre{overflow-wrap:anywhere;white-space:pre-wrap}\
th code{overflow-wrap:normal}\
nav a{margin-right:1rem}\
@media(max-width:48rem){\
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}\
td input,td select{max-width:100%}\
table,tbody,tr,th,td{display:block}\
tr{padding:.5rem 0;border-top:1px solid #767676}\
th,td{border:0;padding:.2rem 0}\
main,th code{overflow-wrap:anywhere}}";

/// A whole page; `title` is plain text, `main` is HTML.
pub(super) fn page(title: &str, main: &str) -> String {
    styled_page("", title, main)
}

/// A page with room for tables.
pub(super) fn wide_page(title: &str, main: &str) -> String {
    styled_page(WIDE, title, main)
}

fn styled_page(more: &str, title: &str, main: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}{more}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n{main}\n</main>\n</body>\n</html>\n"
    )
}

/// Text made safe for HTML, in elements and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A hidden field.
pub(super) fn hidden(name: &str, value: &str) -> String {
    format!(
        "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
        escape(name),
        escape(value)
    )
}
