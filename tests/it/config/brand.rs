//! `[brand]`: its files are read with the config, and what is wrong with them is told like everything else.

use super::{Folder, MINIMAL};

const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\"/>";

fn brand(lines: &str) -> Folder {
    let folder = Folder::new(&format!("{MINIMAL}\n[brand]\n{lines}\n"));
    folder.write("logo.svg", SVG);
    folder.write("brand.css", "main { border-radius: 0 }");
    folder.write("empty.png", "");
    folder.write("text.png", "not an image");
    folder.write("large.png", vec![b'x'; 256 * 1024 + 1]);
    folder.write("latin.css", b"/* caf\xe9 */");
    folder.write("open.css", "main {\n  color: red;\n");
    folder.write("import.css", "\n@import \"https://cdn.example.org/x.css\";");
    folder.write(
        "url.css",
        "body { background: url(https://cdn.example.org/x.png) }",
    );
    folder.write("large.css", vec![b' '; 128 * 1024 + 1]);
    folder
}

#[test]
#[expect(clippy::too_many_lines, reason = "a row a mistake")]
fn every_wrong_brand_is_a_problem_of_the_config() {
    let links = |count: usize| {
        "[[brand.links]]\nlabel = { en = \"Help\" }\nurl = \"https://www.example.org/\"\n"
            .repeat(count)
    };
    let link = |rest: &str| format!("[[brand.links]]\n{rest}");
    for (lines, key, texts) in [
        (
            "logo = \"no.svg\"".to_owned(),
            "logo",
            &["no.svg", "cannot be read"][..],
        ),
        ("logo = \".\"".to_owned(), "logo", &["cannot be read"]),
        (
            "logo = \"empty.png\"".to_owned(),
            "logo",
            &["empty.png", "is empty"],
        ),
        (
            "logo = \"text.png\"".to_owned(),
            "logo",
            &["text.png", "PNG, JPEG, WebP or SVG"],
        ),
        (
            "logo = \"large.png\"".to_owned(),
            "logo",
            &["large.png", "256 KiB"],
        ),
        ("logo = 1".to_owned(), "logo", &["must be a string"]),
        (
            "logo_dark = \"logo.svg\"".to_owned(),
            "logo",
            &["is missing", "logo_dark"],
        ),
        (
            "logo = \"logo.svg\"\nlogo_dark = \"text.png\"".to_owned(),
            "logo_dark",
            &["text.png"],
        ),
        ("color = \"blue\"".to_owned(), "color", &["#1f4fa3"]),
        (
            "color = \"#fff\"".to_owned(),
            "color",
            &["six hexadecimal digits"],
        ),
        (
            "color = \"#ffcc00\"".to_owned(),
            "color",
            &["contrast", "is 1.5", "4.5", "nearest shade", "\"#"],
        ),
        (
            "color_dark = \"#9cbcf6\"".to_owned(),
            "color",
            &["is missing", "color_dark"],
        ),
        (
            "color = \"#1f4fa3\"\ncolor_dark = \"#1f4fa3\"".to_owned(),
            "color_dark",
            &["contrast", "nearest shade"],
        ),
        (
            "stylesheet = \"no.css\"".to_owned(),
            "stylesheet",
            &["no.css", "cannot be read"],
        ),
        (
            "stylesheet = \"latin.css\"".to_owned(),
            "stylesheet",
            &["latin.css", "UTF-8"],
        ),
        (
            "stylesheet = \"open.css\"".to_owned(),
            "stylesheet",
            &["open.css", "line 1", "}"],
        ),
        (
            "stylesheet = \"import.css\"".to_owned(),
            "stylesheet",
            &["import.css", "@import in line 2", "remove it"],
        ),
        (
            "stylesheet = \"url.css\"".to_owned(),
            "stylesheet",
            &["url.css", "url( in line 1", "remove it"],
        ),
        (
            "stylesheet = \"large.css\"".to_owned(),
            "stylesheet",
            &["large.css", "128 KiB"],
        ),
        (links(7), "links", &["more than 6"]),
        (
            link("url = \"https://www.example.org/\""),
            "links[0].label",
            &["is missing", "en ="],
        ),
        (
            link("label = { fr = \"Aide\" }\nurl = \"https://www.example.org/\""),
            "links[0].label.en",
            &["is missing"],
        ),
        (
            link("label = { en = \"\" }\nurl = \"https://www.example.org/\""),
            "links[0].label.en",
            &["is empty"],
        ),
        (
            link("label = { en = \"Help\", de = \"Hilfe\" }\nurl = \"https://www.example.org/\""),
            "links[0].label.de",
            &["not a known key"],
        ),
        (
            link("label = { en = \"Help\" }"),
            "links[0].url",
            &["https address"],
        ),
        (
            link("label = { en = \"Help\" }\nurl = \"http://www.example.org/\""),
            "links[0].url",
            &["https address"],
        ),
        (
            link("label = { en = \"Help\" }\nurl = \"javascript:alert(1)\""),
            "links[0].url",
            &["https address"],
        ),
        (
            link("label = { en = \"Help\" }\nurl = \"https://jo:secret@www.example.org/\""),
            "links[0].url",
            &["https address"],
        ),
    ] {
        let problems = brand(&lines).load(&[]).expect_err(&lines);
        let key = format!("brand.{key}");
        let problem = problems.iter().find(|problem| problem.key == key);
        let problem = problem.unwrap_or_else(|| panic!("{lines}: {problems}"));
        assert_eq!(problems.len(), 1, "{lines}: {problems}");
        assert!(problem.line.is_some(), "{lines}: {problem:?}");
        assert!(problem.file.ends_with("portico.toml"), "{lines}");
        for text in texts {
            assert!(problem.text.contains(text), "{lines}: {}", problem.text);
        }
    }
}

/// What a problem tells somebody to write is right.
#[test]
fn the_shade_that_is_proposed_loads() {
    for (lines, key) in [
        ("color = \"#ffcc00\"", "brand.color"),
        (
            "color = \"#1f4fa3\"\ncolor_dark = \"#1f4fa3\"",
            "brand.color_dark",
        ),
    ] {
        let problems = brand(lines).load(&[]).unwrap_err();
        let problem = problems.iter().next().unwrap();
        assert_eq!(problem.key, key);
        let (_, shade) = problem.text.rsplit_once("is \"").unwrap();
        let shade = shade.trim_end_matches('"');
        let (line, _) = lines.rsplit_once(" = ").unwrap();
        let mended = format!("{line} = \"{shade}\"");
        brand(&mended)
            .load(&[])
            .unwrap_or_else(|problems| panic!("{mended}: {problems}"));
    }
}

#[test]
fn the_effective_config_names_the_files_and_both_colors() {
    let lines = "name = \"Example Society\"\nlogo = \"logo.svg\"\ncolor = \"#1F4FA3\"\n\
                 stylesheet = \"brand.css\"\n[[brand.links]]\nlabel = { en = \"Help\", fr = \"Aide\" }\n\
                 url = \"https://www.example.org/help\"";
    let config = brand(lines).load(&[]).unwrap();
    let shown: toml::Table = config.effective().parse().unwrap();
    let shown = &shown["brand"];
    assert!(shown["logo"].as_str().unwrap().ends_with("logo.svg"));
    assert!(shown["stylesheet"].as_str().unwrap().ends_with("brand.css"));
    assert_eq!(shown["color"].as_str(), Some("#1f4fa3"));
    let dark = shown["color_dark"].as_str().unwrap();
    assert!(dark.starts_with('#') && dark != "#1f4fa3", "{dark}");
    assert_eq!(shown["links"][0]["label"]["fr"].as_str(), Some("Aide"));
}
