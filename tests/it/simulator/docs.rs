//! `docs/simulators.md` tells every switch, fault path and option as they are.

use portico::simulator::{Described, aim18, imis};

use crate::harness::browser::http_client;

const DOCS: &str = include_str!("../../../docs/simulators.md");

/// A row of the documentation's table.
fn row(switch: &Described) -> String {
    let words = switch.accepts.words.iter();
    let mut takes: Vec<String> = words.map(|(word, _)| format!("`{word}`")).collect();
    if let Some(form) = switch.accepts.form {
        let or = if takes.is_empty() { "" } else { "or " };
        takes.push(format!("{or}{form}"));
    }
    let value = match switch.value.as_str() {
        "" => "empty".to_owned(),
        value => format!("`{value}`"),
    };
    let (name, meaning, takes) = (switch.name, switch.meaning, takes.join(", "));
    format!("| `{name}` | {value} | {meaning} | {takes} |")
}

#[test]
fn the_documentation_tells_every_switch_with_its_meaning_and_values_and_no_other() {
    let imis_defaults = imis::Switches::default();
    let aim18_defaults = aim18::Switches::default();
    let imis_rows = imis::Switches::ALL
        .iter()
        .map(|one| row(&one.describe(&imis_defaults)));
    let aim18_rows = aim18::Switches::ALL
        .iter()
        .map(|one| row(&one.describe(&aim18_defaults)));
    for (title, next, rows) in [
        (
            "## Switches of iMIS\n",
            "\n## ",
            imis_rows.collect::<Vec<_>>(),
        ),
        ("## Switches of aiM18\n", "\n## ", aim18_rows.collect()),
    ] {
        let (_, section) = DOCS.split_once(title).unwrap();
        let (section, _) = section.split_once(next).unwrap();
        let told: Vec<&str> = section
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        let missing: Vec<_> = rows
            .iter()
            .filter(|row| !told.contains(&row.as_str()))
            .collect();
        let too_many: Vec<_> = told
            .iter()
            .filter(|row| !rows.contains(&(**row).to_owned()))
            .collect();
        assert!(missing.is_empty(), "{title}: write {missing:#?}");
        assert!(too_many.is_empty(), "{title}: take out {too_many:#?}");
        assert_eq!(told, rows, "{title}: in the order of the switches");
    }
}

#[tokio::test]
async fn the_changes_that_the_documentation_shows_can_be_made() {
    let imis = imis::Imis::new(portico::clock::Clock::system());
    let running = imis.serve(super::port().await).await.unwrap();
    let origin = "http://127.0.0.1:9001";
    let shown = DOCS.lines().filter_map(|line| {
        let (body, url) = line.strip_prefix("curl --json '")?.split_once("' ")?;
        Some((body, url.strip_prefix(origin)?))
    });
    let shown: Vec<_> = shown.collect();
    assert!(shown.len() >= 5);
    for (body, path) in shown {
        let url = format!("{}{path}", running.url());
        let request = http_client()
            .post(url)
            .header("content-type", "application/json");
        let (status, told) = super::answer(request.body(body)).await;
        assert_eq!(status, 200, "{path} {body}: {told}");
    }
}
