//! The menu of languages: on every page that can be shown again, remembered, and back where the person was (T7, T54).

use portico::simulator::people::{self, JO_SMITH};

use crate::device::at_question;
use crate::harness::browser::{Browser, PASSWORD_FORM, Page, http_client};
use crate::harness::relying_party::answer;
use crate::harness::server::TestServer;
use crate::pages::every_page;

const MENU: &str = ".foot form";
const COOKIE: &str = "portico-language";

fn lang(page: &Page) -> String {
    page.attribute("html", "lang").unwrap_or_default()
}

async fn switch(browser: &mut Browser, page: &Page, locale: &str) -> Page {
    browser.submit(page, MENU, &[("locale", locale)]).await
}

#[tokio::test]
async fn every_page_that_can_be_shown_again_has_the_menu() {
    let server = TestServer::start().await;
    // The answer to a form that leads nowhere twice, a way back from an upstream, a logout that an app asked for.
    let without = [
        "bad form",
        "signed out",
        "form post",
        "not away",
        "bad logout",
        "bad client",
        "done",
        "expired",
        "bad hint",
    ];
    for (what, page) in every_page(&server).await {
        let menu = page.attribute(".foot nav", "aria-label");
        if without.contains(&what) {
            assert_eq!(menu, None, "{what}");
            continue;
        }
        assert_eq!(menu.as_deref(), Some("Language"), "{what}");
        let current = page.text(".foot [aria-current]");
        assert_eq!(current.as_deref(), Some("English"), "{what}");
        for (tag, name) in [
            ("en", "English"),
            ("fr", "Français"),
            ("zh-Hant", "繁體中文"),
            ("zh-Hans", "简体中文"),
        ] {
            let button = format!(".foot button[lang={tag}][value={tag}][type=submit]");
            assert_eq!(page.text(&button).as_deref(), Some(name), "{what}");
        }
        let (action, fields) = page.form(MENU);
        assert_eq!(action.as_str(), server.url("/language"), "{what}");
        let again = Browser::new().get(server.url(&fields["back"])).await;
        assert_ne!(again.status, 405, "{what}: {}", fields["back"]);
    }
}

#[tokio::test]
async fn a_choice_comes_back_to_the_page_and_stays() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    browser.language = Some("zh-TW".to_owned());
    let page = browser.open(server.authorize_url("asking", &[])).await;
    assert_eq!(lang(&page), "zh-Hant");
    let answer = browser.submit_only(&page, MENU, &[("locale", "fr")]).await;
    assert_eq!(answer.status, 303);
    let back = answer.header("location");
    assert_eq!(server.url(back), page.url.as_str());
    assert_eq!(answer.header("cache-control"), "no-store");
    let cookie = browser.cookie(&server, COOKIE).unwrap();
    assert_eq!(cookie.value, "fr");
    let mut attributes: Vec<String> = cookie
        .attributes
        .split(';')
        .map(|attribute| attribute.trim().to_ascii_lowercase())
        .collect();
    attributes.sort();
    assert_eq!(
        attributes,
        ["httponly", "max-age=31536000", "path=/", "samesite=lax"]
    );
    let page = browser.follow(answer).await;
    assert_eq!(lang(&page), "fr");
    assert_eq!(
        page.text(".foot [aria-current]").as_deref(),
        Some("Français")
    );

    // A page that came by POST is shown at the address of its flow, with the form that was open.
    let form = browser.choose(&page, "members").await;
    let wrong = [("username", "nobody"), ("password", "wrong")];
    let wrong = browser.submit(&form, PASSWORD_FORM, &wrong).await;
    assert_eq!(
        (wrong.status.as_u16(), lang(&wrong)),
        (422, "fr".to_owned())
    );
    let form = switch(&mut browser, &wrong, "zh-Hans").await;
    assert_eq!(
        (form.status.as_u16(), lang(&form)),
        (200, "zh-Hans".to_owned())
    );
    assert!(form.body.contains("密码"), "{}", form.body);
    let consent = browser.sign_in_as(&form, JO_SMITH).await;
    assert_eq!(
        (consent.url.path(), lang(&consent).as_str()),
        ("/consent", "zh-Hans")
    );
    let consent = switch(&mut browser, &consent, "en").await;
    assert_eq!(
        (consent.url.path(), lang(&consent).as_str()),
        ("/consent", "en")
    );
    let done = browser
        .submit(&consent, "main form", &[("decision", "allow")])
        .await;
    assert!(done.answer().contains_key("code"), "{done:?}");

    // Logging out asks in the language that was chosen, and remembers what the app wanted.
    let after = "https://spa.example.org/";
    let url = server.url(&format!(
        "/end_session?client_id=spa&state=x&post_logout_redirect_uri={after}"
    ));
    let confirm = browser.get(&url).await;
    let (_, fields) = confirm.form(MENU);
    assert!(
        fields["back"].starts_with("/end_session?logout="),
        "{fields:?}"
    );
    let confirm = switch(&mut browser, &confirm, "fr").await;
    assert_eq!(
        (confirm.status.as_u16(), lang(&confirm)),
        (200, "fr".to_owned())
    );
    let out = browser.submit_only(&confirm, "main form", &[]).await;
    assert_eq!(out.header("location"), format!("{after}?state=x"));
}

/// A person who has chosen a language has said so to us; `ui_locales` is the app's guess.
#[tokio::test]
async fn the_persons_choice_comes_before_the_apps_and_the_browsers() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    browser.language = Some("en".to_owned());
    let asked = [("ui_locales", "zh-Hant")];
    let page = browser.open(server.authorize_url("spa", &asked)).await;
    assert_eq!(lang(&page), "zh-Hant", "nobody has chosen yet");
    let page = switch(&mut browser, &page, "fr").await;
    assert_eq!(lang(&page), "fr");
    let page = browser.open(server.authorize_url("spa", &asked)).await;
    assert_eq!(lang(&page), "fr");
    let page = browser
        .get(server.url("/end_session?ui_locales=zh-Hans"))
        .await;
    assert_eq!(lang(&page), "fr");
    // What somebody else put there is no language.
    for value in ["tlh", "FR", "fr-CA", "\"fr\"", ""] {
        let mut other = Browser::new();
        let cookie = format!("{COOKIE}={value}");
        other.headers.push(("cookie".to_owned(), cookie));
        let page = other.get(server.url("/nothing")).await;
        assert_eq!(lang(&page), "en", "{value}");
    }
}

/// T7.
#[tokio::test]
async fn a_choice_leads_to_no_other_site() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    for back in [
        "",
        "login",
        "//evil.example",
        "//evil.example/login",
        "/\\evil.example",
        "/\t/evil.example",
        "/\r\nLocation: https://evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
    ] {
        let fields = [("locale", "fr"), ("back", back)];
        let page = browser.post(server.url("/language"), &fields).await;
        assert_eq!(page.status, 400, "{back:?}");
        assert_eq!(page.header("location"), "", "{back:?}");
        assert!(browser.cookie(&server, COOKIE).is_none(), "{back:?}");
    }
    for locale in ["", "de", "fr-CA", "fr; Domain=evil.example"] {
        let fields = [("locale", locale), ("back", "/account")];
        let page = browser.post(server.url("/language"), &fields).await;
        assert_eq!(page.status, 400, "{locale:?}");
        assert!(browser.cookie(&server, COOKIE).is_none(), "{locale:?}");
    }
    // A page whose own address would lead elsewhere has no menu.
    let page = browser.get(server.url("//evil.example")).await;
    assert_eq!(page.status, 404);
    assert_eq!(page.attribute(MENU, "action"), None, "{}", page.body);
}

/// T54.
#[tokio::test]
async fn on_an_https_issuer_the_choice_is_bound_to_the_host() {
    let server = TestServer::start_with(|setup| {
        setup.issuer = "https://login.example.org".to_owned();
    })
    .await;
    let url = format!("http://{}/language", server.address);
    let fields = [("locale", "fr"), ("back", "/account")];
    let page = Browser::new().post(&url, &fields).await;
    assert_eq!(page.status, 303);
    let cookie = page.header("set-cookie");
    assert!(
        cookie.starts_with("__Host-portico-language=fr; "),
        "{cookie}"
    );
    for attribute in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
}

/// What somebody else wrote into an address stands on no page but in the field it is for.
#[tokio::test]
async fn a_query_that_is_not_ours_is_not_repeated() {
    let server = TestServer::start().await;
    let back = async |path: &str| {
        let page = Browser::new().get(server.url(path)).await;
        let back = page.attribute(".foot [name=back]", "value");
        assert!(!page.body.contains("foreign"), "{path}: {}", page.body);
        back
    };
    for (path, address) in [
        ("/login?flow=abc&upstream=members&password=foreign", None),
        ("/login?flow=%22foreign", None),
        ("/device?x=foreign", Some("/device")),
        ("/nothing?x=foreign", None),
        ("/loginx?flow=foreign", None),
        ("/authorize?client_id=foreign", None),
        ("/end_session?id_token_hint=foreign", None),
        ("/nothing", Some("/nothing")),
    ] {
        assert_eq!(back(path).await.as_deref(), address, "{path}");
    }
}

const NAMED: &str = r#"
[[resources]]
identifier = "https://archive.example.org"
name = { en = "The archive", fr = "Les archives", zh-Hant = "檔案館" }

[[clients]]
client_id = "named"
client_name = { en = "Reading room", fr = "Salle de lecture", zh-Hant = "閱覽室" }
token_endpoint_auth_method = "none"
redirect_uris = ["https://named.example.org/callback"]
scope = "openid upstream:members"
resources = ["https://archive.example.org"]
consent = "once"

[[clients]]
client_id = "tv"
client_name = { en = "Television", fr = "Téléviseur", zh-Hant = "電視" }
token_endpoint_auth_method = "none"
grant_types = ["urn:ietf:params:oauth:grant-type:device_code"]
scope = "openid"
resources = ["https://archive.example.org"]
"#;

/// What the administrator names is said in the person's language on every page; English stands in where there is no name.
#[tokio::test]
async fn what_the_administrator_names_is_shown_in_the_language_of_the_person() {
    let mut server = TestServer::start_with(|setup| {
        setup.clients = NAMED.to_owned();
        setup.sections +=
            "[brand]\nname = { en = \"Example Society\", fr = \"Société Exemple\", zh-Hant = \"範例學會\" }\n";
    })
    .await;
    server.edit_config(
        "label = \"Member login\"",
        "label = { en = \"Member login\", fr = \"Accès membres\", zh-Hant = \"會員登入處\" }",
    );
    server.restart().await;
    for (language, [brand, label, app, resource, device]) in [
        (
            "fr-CA",
            [
                "Société Exemple",
                "Accès membres",
                "Salle de lecture",
                "Les archives",
                "Téléviseur",
            ],
        ),
        (
            "zh-HK",
            ["範例學會", "會員登入處", "閱覽室", "檔案館", "電視"],
        ),
        (
            "zh-CN",
            [
                "Example Society",
                "Member login",
                "Reading room",
                "The archive",
                "Television",
            ],
        ),
        (
            "en",
            [
                "Example Society",
                "Member login",
                "Reading room",
                "The archive",
                "Television",
            ],
        ),
    ] {
        let mut browser = Browser::new();
        browser.language = Some(language.to_owned());
        let says = |page: &Page, texts: &[&str]| {
            let main = page.text("main").unwrap();
            for text in texts {
                assert!(main.contains(text), "{language}: {text} in {main}");
            }
            assert_eq!(page.text(".brand").as_deref(), Some(brand), "{language}");
            let title = page.text("title").unwrap();
            assert!(title.ends_with(&format!("· {brand}")), "{title}");
        };
        let changes = [
            ("scope", "openid upstream:members"),
            ("resource", "https://archive.example.org"),
            ("prompt", "consent"),
        ];
        let login = browser.open(server.authorize_url("named", &changes)).await;
        says(&login, &[label, app]);
        let form = browser.choose(&login, "members").await;
        let wrong = (people::ZOE.username, "wrong");
        says(&browser.sign_in(&form, "members", wrong).await, &[label]);
        let consent = browser.sign_in_as(&form, JO_SMITH).await;
        assert_eq!(consent.url.path(), "/consent");
        says(&consent, &[label, app, resource]);
        let allow = [("decision", "allow")];
        browser.submit(&consent, "form", &allow).await;
        let account = browser.open(server.url("/account")).await;
        says(&account, &[label, app]);
        let confirm = browser.get(server.url("/end_session")).await;
        says(&confirm, &[]);
        let request = http_client()
            .post(server.url("/device_authorization"))
            .form(&[
                ("client_id", "tv"),
                ("scope", "openid"),
                ("resource", "https://archive.example.org"),
            ]);
        let codes = answer(request).await;
        let mut browser = Browser::new();
        browser.language = Some(language.to_owned());
        let question = at_question(&server, &mut browser, codes.text("user_code")).await;
        says(&question, &[device, resource]);
    }
}
