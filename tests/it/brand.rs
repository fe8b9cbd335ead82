//! The organization's look: on every page, from our own origin, and never in the way of the policy that guards the pages.

use crate::harness::browser::{Browser, Page};
use crate::harness::server::{Setup, TestServer};
use crate::pages::every_page;

/// With a script that has no business there: what is refused at start is tested elsewhere.
const SVG: &str =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"><path d=\"M0 0h9v9z\"/></svg>";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n....\0\0\0\0IEND\xae\x42\x60\x82";
const NAME: &str = "Example & Sons";

fn branded(setup: &mut Setup) {
    setup.sections += "\n[brand]\nname = \"Example & Sons\"\nlogo = \"logo.svg\"\nlogo_dark = \"dark.png\"\n\
                       color = \"#8a1c4a\"\nstylesheet = \"own.css\"\n\
                       [[brand.links]]\nlabel = { en = \"Help\", fr = \"Aide\" }\nurl = \"https://www.example.org/help?a=1&b=2\"\n\
                       [[brand.links]]\nlabel = { en = \"Privacy\" }\nurl = \"https://www.example.org/privacy\"\n";
    setup.files = vec![
        ("logo.svg", SVG.into()),
        ("dark.png", PNG.into()),
        ("own.css", "main { border-radius: 0 }".into()),
    ];
}

fn is_ours(address: &str, extension: &str) -> bool {
    let name = address.strip_prefix("/assets/brand/");
    name.and_then(|name| name.rsplit_once('.'))
        .is_some_and(|(hash, found)| hash.len() == 43 && found == extension)
}

fn stylesheets(page: &Page) -> Vec<&str> {
    page.body
        .split("<link rel=\"stylesheet\" href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[tokio::test]
async fn every_page_has_the_logo_the_stylesheet_and_the_links() {
    let server = TestServer::start_with(branded).await;
    for (what, page) in every_page(&server).await {
        assert_eq!(
            page.attribute(".brand img", "alt").as_deref(),
            Some(NAME),
            "{what}"
        );
        let logo = page.attribute(".brand img", "src").unwrap();
        assert!(is_ours(&logo, "svg"), "{what}: {logo}");
        let dark = page.attribute(".brand source", "srcset").unwrap();
        assert!(is_ours(&dark, "png"), "{what}: {dark}");
        let [ours, own] = stylesheets(&page)[..] else {
            panic!("{what}: {}", page.body);
        };
        assert_eq!(ours, "/assets/portico.css", "{what}");
        assert!(is_ours(own, "css"), "{what}: {own}");
        let link = page.attribute(".foot a", "href");
        assert_eq!(
            link.as_deref(),
            Some("https://www.example.org/help?a=1&b=2"),
            "{what}"
        );
        assert!(
            page.text("title").unwrap().ends_with(&format!("· {NAME}")),
            "{what}"
        );
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains("style-src 'self'; img-src 'self'"),
            "{what}: {policy}"
        );
    }
    let mut browser = Browser::new();
    browser.language = Some("fr".to_owned());
    let page = browser.get(server.url("/nothing")).await;
    let foot = page.text(".foot").unwrap();
    assert!(foot.contains("Aide") && foot.contains("Privacy"), "{foot}");
}

#[tokio::test]
async fn without_a_brand_nothing_of_it_is_there() {
    let server = TestServer::start().await;
    let page = Browser::new().get(server.url("/nothing")).await;
    assert_eq!(page.text(".brand").as_deref(), Some("Portico"));
    assert_eq!(stylesheets(&page), ["/assets/portico.css"]);
    assert!(!page.body.contains("/assets/brand/"), "{}", page.body);
}

/// T52, T53: from our origin, as what they are, kept for good because another content has another address.
#[tokio::test]
async fn the_files_of_the_brand_are_only_what_they_are() {
    let mut server = TestServer::start_with(branded).await;
    let page = Browser::new().get(server.url("/nothing")).await;
    let logo = page.attribute(".brand img", "src").unwrap();
    let dark = page.attribute(".brand source", "srcset").unwrap();
    let own = stylesheets(&page)[1].to_owned();
    for (address, media_type) in [
        (&logo, "image/svg+xml"),
        (&dark, "image/png"),
        (&own, "text/css; charset=utf-8"),
    ] {
        let file = Browser::new().get(server.url(address)).await;
        assert_eq!(file.status, 200, "{address}");
        assert_eq!(file.header("content-type"), media_type);
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        let policy = file.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(policy.ends_with("; sandbox"), "{policy}");
        assert!(!policy.contains("script"), "{policy}");
        assert_eq!(
            file.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
    }
    let file = Browser::new().get(server.url(&logo)).await;
    assert_eq!(file.body, SVG);
    let css = Browser::new().get(server.url(&own)).await.body;
    let (colors, rules) = css
        .split_once("@media (prefers-color-scheme: dark)")
        .unwrap();
    assert!(colors.contains("--accent: #8a1c4a;"), "{css}");
    assert!(rules.contains("--accent: #"), "{css}");
    assert!(
        css.ends_with("main { border-radius: 0 }"),
        "the organization's own come last: {css}"
    );

    server.edit_config("#8a1c4a", "#1f4fa3");
    server.restart().await;
    let page = Browser::new().get(server.url("/nothing")).await;
    let [_, changed] = stylesheets(&page)[..] else {
        panic!("{}", page.body);
    };
    assert_ne!(changed, own);
    for gone in [
        own.as_str(),
        "/assets/brand/x",
        "/assets/brand/..%2fown.css",
        "/assets/brand/own.css",
        "/assets/brand/%ff",
    ] {
        let page = Browser::new().get(server.url(gone)).await;
        assert_eq!(page.status, 404, "{gone}");
        assert_eq!(page.header("cache-control"), "no-store", "{gone}");
    }
}
