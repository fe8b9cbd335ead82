//! `portico check` for the simulated iMIS: what is found, and what each failing line says to change.

use std::path::Path;

use portico::clock::Clock;
use portico::config::load_with;
use portico::protocol::secret::{RESOLVED, Secret};
use portico::simulator::Fault;
use portico::simulator::imis::{
    Edition, Execute, Groups, MEMBERS_QUERY, MemberRights, PROFILE_QUERY, TokenErrors,
};
use portico::simulator::people;
use portico::upstream::Upstream;
use portico::upstream::imis::ServiceAccount;
use serde_json::{Value, json};

use crate::upstream_imis::{NOW, Site, opened, service_account, settings};

/// An adapter for the site, with more settings and the service account.
fn with(site: &Site, more: &Value) -> Upstream {
    let mut settings = settings(site.running.url(), more);
    settings.service_account = Some(service_account());
    opened(settings, site.clock.clone())
}

/// What a line says: `Ok` or `Err`.
async fn line(upstream: &Upstream, what: &str) -> Result<String, String> {
    let findings = upstream.probe.probe().await;
    let found = findings.iter().find(|finding| finding.what == what);
    found
        .unwrap_or_else(|| panic!("no line {what:?} in {findings:#?}"))
        .outcome
        .clone()
}

#[track_caller]
fn wrong(outcome: Result<String, String>, texts: &[&str]) {
    let told = outcome.unwrap_err();
    for text in texts {
        assert!(told.contains(text), "{text:?} is not in {told:?}");
    }
}

/// What is to be done differs by what answers.
#[tokio::test]
async fn trouble_is_told_apart() {
    for (place, what) in [("/token", "token endpoint"), ("/api/", "API")] {
        for (fault, advice) in [
            (Fault::Throttled(None), "fewer requests"),
            (Fault::Status(503), "out of service"),
            (Fault::Status(500), "base_url"),
        ] {
            let site = Site::start(|_| {}).await;
            site.imis.fail(place, fault);
            wrong(line(&site.upstream, what).await, &[advice]);
        }
    }
    let site = Site::start(|_| {}).await;
    site.imis.fail("/api/", Fault::Status(405));
    wrong(
        line(&site.upstream, "API").await,
        &["405", "base_url", "proxy"],
    );
}

#[tokio::test]
async fn the_check_tries_what_a_login_needs() {
    let site = Site::with_service(|_| {}).await;
    let findings = site.upstream.probe.probe().await;
    assert_eq!(findings.len(), 4);
    assert!(
        findings.iter().all(|finding| finding.outcome.is_ok()),
        "{findings:?}"
    );
    // Nobody's record but its own.
    for request in site.imis.log() {
        assert!(!request.query.contains("JSMITH") && !request.path.contains("20457"));
    }

    site.imis
        .change(people::SERVICE.username, |person| person.roles = &[]);
    site.imis
        .switch(|s| s.member_rights = MemberRights::Forbidden);
    let findings = site.upstream.probe.probe().await;
    let rights = findings[3].outcome.clone().unwrap_err();
    assert!(rights.contains("RemoteService"), "{rights}");

    // Its own record it may always read; that proves nothing.
    site.imis
        .switch(|s| s.member_rights = MemberRights::OwnRecord);
    let findings = site.upstream.probe.probe().await;
    let rights = findings[3].outcome.clone().unwrap_err();
    assert!(rights.contains("no record but its own"), "{rights}");

    let wrong = opened(
        settings(&format!("{}/nowhere", site.running.url()), &json!({})),
        Clock::manual(NOW),
    );
    let findings = wrong.probe.probe().await;
    let endpoint = findings[0].outcome.clone().unwrap_err();
    assert!(endpoint.contains("base_url"), "{endpoint}");
    assert_eq!(findings.len(), 2, "{findings:?}");
}

#[tokio::test]
async fn an_account_that_nobody_gave_the_role_is_told() {
    let site = Site::start(|_| {}).await;
    let mut settings = settings(site.running.url(), &json!({}));
    settings.service_account = Some(ServiceAccount {
        username: people::NO_ROLE.username.to_owned(),
        password: Secret::new(people::NO_ROLE.password),
    });
    let upstream = opened(settings, site.clock.clone());
    let told = line(&upstream, "service account's rights").await;
    wrong(told, &["no record but its own", "RemoteService"]);
}

/// Words of the refusal are shown where no known code stands, lest a proxy's be taken for iMIS's.
#[tokio::test]
async fn the_check_shows_in_which_words_nobody_was_refused() {
    let site = Site::start(|s| s.token_errors = TokenErrors::Text).await;
    let told = line(&site.upstream, "token endpoint").await.unwrap();
    assert!(told.contains("user name or password"), "{told}");
    let site = Site::start(|_| {}).await;
    let told = line(&site.upstream, "token endpoint").await.unwrap();
    assert!(told.ends_with("does not exist"), "{told}");
}

#[tokio::test]
async fn every_part_that_is_configured_is_tried() {
    let site = Site::with_service(|_| {}).await;
    let base = site.running.url();
    let upstream = with(
        &site,
        &json!({
            "roles": true,
            "committees": true,
            "profile_query": {
                "path": PROFILE_QUERY, "subject_column": "id", "columns": { "email": "email" },
            },
            "sso_pages": [{
                "client_id": "Portico",
                "client_secret": { RESOLVED: "sso-demo-secret" },
                "page_url": format!("{base}/SSO/Portico.aspx"),
            }],
            "sign_in_url": format!("{base}/Sign-in.aspx?ReturnUrl={{page_path}}"),
            "logout_url": format!("{base}/AsiCommon/Controls/Shared/FormsAuthentication/logout.aspx"),
        }),
    );
    let findings = upstream.probe.probe().await;
    let lines: Vec<&str> = findings.iter().map(|each| each.what.as_str()).collect();
    assert_eq!(
        lines,
        [
            "token endpoint",
            "API",
            "service account",
            "service account's rights",
            "roles",
            "committees",
            "profile query",
            "client application Portico",
            "Single Sign On page Portico",
            "sign-in page",
            "sign-out page",
        ]
    );
    for finding in &findings {
        assert!(finding.outcome.is_ok(), "{finding:?}");
    }
    let application = findings[7].outcome.clone().unwrap();
    let landing = "https://login.example.org/upstream/members/landing/Portico";
    assert!(application.ends_with(landing), "{application}");
}

#[tokio::test]
async fn a_missing_role_is_told_with_the_place_where_it_is_given() {
    let site = Site::with_service(|_| {}).await;
    site.imis
        .change(people::SERVICE.username, |person| person.roles = &[]);
    let upstream = with(&site, &json!({}));
    for rights in [MemberRights::OwnRecord, MemberRights::Forbidden] {
        site.imis.switch(|s| s.member_rights = rights);
        let told = line(&upstream, "service account's rights").await;
        wrong(told, &["RemoteService", "Community > Security > Users"]);
    }
    // Some versions give no token at all.
    site.imis
        .switch(|s| s.member_rights = MemberRights::NoToken);
    let upstream = with(&site, &json!({}));
    let told = line(&upstream, "service account").await;
    wrong(
        told,
        &[
            "look at service_account",
            "RemoteService",
            "Remote Service Access",
        ],
    );
    // The long record may not be read, only the short one.
    let site = Site::with_service(|_| {}).await;
    site.imis.fail("/api/party/", Fault::Status(403));
    let told = line(&with(&site, &json!({})), "service account's rights").await;
    wrong(told, &["403", "the right to read User and Party"]);
}

#[tokio::test]
async fn roles_and_committees_that_may_not_be_asked_for_are_told() {
    let site = Site::with_service(|_| {}).await;
    let upstream = with(&site, &json!({ "roles": true, "committees": true }));
    for execute in [
        Execute::Unauthorized,
        Execute::NotImplemented,
        Execute::Unsuccessful,
    ] {
        site.imis.switch(|s| s.execute = execute);
        wrong(
            line(&upstream, "roles").await,
            &["GetUserRoles", "roles = false"],
        );
    }
    site.imis.switch(|s| s.groups = Groups::Missing);
    wrong(line(&upstream, "committees").await, &["404", "GroupMember"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_profile_query_is_told() {
    let query = |more: &Value| {
        let mut query = json!({
            "path": PROFILE_QUERY, "subject_column": "id", "columns": { "email": "email" },
        });
        let object = query.as_object_mut().unwrap();
        object.extend(more.as_object().unwrap().clone());
        json!({ "profile_query": query })
    };
    let site = Site::with_service(|_| {}).await;
    let cases: [(Value, &[&str]); 5] = [
        (
            json!({ "path": "$/Portico/Other" }),
            &["404", "Available via the REST API"],
        ),
        (
            json!({ "columns": { "email": "mail", "chapter": "chapter" } }),
            &[
                "has no column chapter, mail",
                "it has birthdate",
                "username",
            ],
        ),
        (
            json!({ "subject_column": "whose" }),
            &["has no column whose"],
        ),
        (json!({ "subject_is": "username" }), &["subject_is"]),
        (
            json!({ "path": MEMBERS_QUERY }),
            &["several rows", "LoggedInUserKey"],
        ),
    ];
    for (more, texts) in cases {
        let upstream = with(&site, &query(&more));
        wrong(line(&upstream, "profile query").await, texts);
    }
    let upstream = with(
        &site,
        &query(&json!({ "path": MEMBERS_QUERY, "by": "username" })),
    );
    let told = line(&upstream, "profile query").await.unwrap();
    assert!(told.contains("no row for the service account"), "{told}");

    site.imis.switch(|s| s.queries_for_rest = false);
    let upstream = with(&site, &query(&json!({})));
    wrong(
        line(&upstream, "profile query").await,
        &["Available via the REST API"],
    );
    site.imis.switch(|s| {
        s.queries_for_rest = true;
        s.edition = Edition::Imis2017;
    });
    wrong(
        line(&upstream, "profile query").await,
        &["set service = \"iqa\""],
    );
}

#[tokio::test]
async fn a_client_application_that_imis_does_not_take_is_told() {
    let site = Site::with_service(|_| {}).await;
    let page = |secret: &str| {
        json!({ "sso_pages": [{
            "client_id": "Portico",
            "client_secret": { RESOLVED: secret },
            "page_url": format!("{}/nowhere.aspx", site.running.url()),
        }] })
    };
    let name = "client application Portico";
    let upstream = with(&site, &page("not-the-secret"));
    let told = line(&upstream, name).await;
    wrong(
        told,
        &["Client applications", "/upstream/members/landing/Portico"],
    );
    wrong(
        line(&upstream, "Single Sign On page Portico").await,
        &["404", "page_url"],
    );
    // A version that tells no more than a status.
    site.imis.switch(|s| s.token_errors = TokenErrors::Bare);
    let told = line(&upstream, name).await.unwrap();
    assert!(told.contains("does not tell"), "{told}");
    for secret in ["not-the-secret", "sso-demo-secret"] {
        assert!(!told.contains(secret));
    }
}

/// Whatever answers there, it is not taken for an iMIS.
#[tokio::test]
async fn a_base_url_without_its_path_is_told() {
    let site = Site::with_service(|s| s.base_path = "/Asi.Scheduler_Demo".to_owned()).await;
    let base = site.running.url().replace("/Asi.Scheduler_Demo", "");
    let upstream = opened(settings(&base, &json!({})), Clock::manual(NOW));
    wrong(line(&upstream, "token endpoint").await, &["base_url"]);
    let site = Site::with_service(|_| {}).await;
    site.imis.fail("/api", Fault::Status(404));
    wrong(line(&site.upstream, "API").await, &["/Asi.Scheduler_X"]);
    site.imis.mend();
    site.imis.fail("/api", Fault::Page);
    wrong(line(&site.upstream, "API").await, &["to anybody"]);
}

/// What the page for administrators of iMIS tells people to write is taken as it stands.
#[test]
fn the_examples_of_the_page_about_imis_load() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/imis.md");
    let text = std::fs::read_to_string(page).unwrap();
    let blocks: Vec<&str> = text
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .filter(|block| block.contains("[[upstreams]]"))
        .collect();
    assert!(blocks.len() > 4);
    for block in blocks {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("portico.toml");
        let config = format!(
            "issuer = \"https://login.example.org\"\n[database]\nurl = \"sqlite:portico.db\"\n{block}\n\
             [[clients]]\nclient_id = \"app\"\ntoken_endpoint_auth_method = \"none\"\n\
             redirect_uris = [\"https://app.example.org/callback\"]\n\
             initiate_login_uri = \"https://app.example.org/login\"\n"
        );
        std::fs::write(&file, config).unwrap();
        let secret = |name: &str| {
            name.starts_with("IMIS_")
                .then(|| format!("value-of-{name}"))
        };
        match load_with(&file, &secret) {
            Ok(config) => assert!(config.warnings.is_empty(), "{:?}\n{block}", config.warnings),
            Err(problems) => panic!("{problems}\n{block}"),
        }
    }
}
