//! iMIS as our client: its OpenID Connect module, played as public material describes it (the classic OpenID Connect
//! middleware of Katana), logs staff in through us with the hybrid type `code id_token` and `form_post` (OpenID Connect
//! Core section 3.3). What it receives is verified by the `openidconnect` crate.

use std::collections::BTreeMap;

use openidconnect::core::{
    CoreGenderClaim, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, AuthorizationCode, AuthorizationCodeHash, ClientId,
    ClientSecret, IdToken, IdTokenClaims, IssuerUrl, Nonce,
};
use portico::simulator::people;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::harness::browser::{Browser, PASSWORD_FORM, Page, http_client};
use crate::harness::relying_party::{Answer, CHALLENGE, VERIFIER, answer, claims};
use crate::harness::server::{POST_SECRET, Setup, TestServer};

/// [`crate::harness::server::START`], as that crate reads times.
const NOW: &str = "2023-11-14T22:13:20Z";

/// "Redirect login URL" in iMIS: the address of the web site, with the slash at its end.
const REDIRECT_LOGIN_URL: &str = "https://members.example.org/";

/// The registration of docs/imis-as-client.md, but for where people log in.
const REGISTRATION: &str = r#"
[[clients]]
client_id = "imis"
client_name = "iMIS"
token_endpoint_auth_method = "client_secret_post"
client_secret = { env = "POST_SECRET" }
redirect_uris = ["https://members.example.org/"]
response_types = ["code id_token"]
scope = "openid profile email offline_access"
grant_types = ["authorization_code", "refresh_token"]

[clients.claims]
external_id = { claim = "sub" }
email = { claim = "email" }
given_name = { claim = "given_name" }
family_name = { claim = "family_name" }
staff = { upstream = "staff", value = "1" }
level = { group = "SysAdmin", value = 9 }
office = { claim = "office" }
roles = { claim = "roles" }

[[clients]]
client_id = "both"
token_endpoint_auth_method = "none"
redirect_uris = ["https://both.example.org/callback"]
response_types = ["id_token code", "code"]
"#;

fn with_imis(setup: &mut Setup) {
    setup.clients = REGISTRATION.to_owned();
}

/// What iMIS looks for. Text that is no text does not come through.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ImisClaims {
    external_id: String,
    staff: Option<String>,
    level: Option<i64>,
}

impl AdditionalClaims for ImisClaims {}

type Claims = IdTokenClaims<ImisClaims, CoreGenderClaim>;
type Token = IdToken<
    ImisClaims,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// The module, and what its settings page and its cookies hold.
struct Module {
    document: Value,
    keys: CoreJsonWebKeySet,
    state: String,
    nonce: String,
}

impl Module {
    /// Reads the Well-Known URL, and compares the issuer with the Authority URL.
    async fn configured(server: &TestServer) -> Self {
        let well_known = server.url("/.well-known/openid-configuration");
        let document = answer(http_client().get(well_known)).await.body;
        assert_eq!(document["issuer"], server.issuer);
        let jwks_uri = document["jwks_uri"].as_str().unwrap();
        let keys = answer(http_client().get(jwks_uri)).await.body;
        Self {
            keys: serde_json::from_value(keys).unwrap(),
            document,
            state: "OpenIdConnect.AuthenticationProperties=AQAA-_b64url.sealed_0".to_owned(),
            nonce: "638356256000000000.Yjg5MGE1NTAtZGE0MS00OWQ5LTk4ZTItYzg2Mzk4+/==".to_owned(),
        }
    }

    fn endpoint(&self, name: &str) -> Url {
        Url::parse(self.document[name].as_str().unwrap()).unwrap()
    }

    /// Where it sends the browser; `changes` replace parameters, an empty value removes one.
    fn authorize_url(&self, changes: &[(&str, &str)]) -> String {
        let mut parameters = BTreeMap::from([
            ("client_id", "imis"),
            ("redirect_uri", REDIRECT_LOGIN_URL),
            ("response_mode", "form_post"),
            ("response_type", "code id_token"),
            ("scope", "openid profile email"),
            ("state", &self.state),
            ("nonce", &self.nonce),
            ("login_hint", "ann.lee"),
            // What Microsoft's library tells about itself; an unknown parameter is ignored (RFC 6749 section 3.1).
            ("x-client-SKU", "ID_NET461"),
            ("x-client-ver", "5.3.0.0"),
        ]);
        parameters.extend(changes.iter().copied());
        parameters.retain(|_, value| !value.is_empty());
        let mut url = self.endpoint("authorization_endpoint");
        url.query_pairs_mut().extend_pairs(parameters);
        url.into()
    }

    /// Takes the form that our page posts to it by itself.
    fn receive(&self, server: &TestServer, page: &Page) -> BTreeMap<String, String> {
        assert_eq!(page.status, 200, "{page:?}");
        assert_eq!(page.header("cache-control"), "no-store");
        let (action, form) = page.form("form");
        assert_eq!(action.as_str(), REDIRECT_LOGIN_URL);
        assert_eq!(form["state"], self.state);
        assert_eq!(form["iss"], server.issuer, "RFC 9207");
        form
    }

    fn verifier(&self, server: &TestServer) -> CoreIdTokenVerifier<'_> {
        CoreIdTokenVerifier::new_confidential_client(
            ClientId::new("imis".to_owned()),
            ClientSecret::new(POST_SECRET.to_owned()),
            IssuerUrl::new(server.issuer.clone()).unwrap(),
            self.keys.clone(),
        )
        .set_allowed_algs([CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256])
        .set_time_fn(|| NOW.parse().unwrap())
    }

    /// The ID token beside a code: signature, issuer, audience, times, nonce and `c_hash` (Core section 3.3.2.12).
    fn verify(&self, server: &TestServer, form: &BTreeMap<String, String>) -> Claims {
        let token: Token = form["id_token"].parse().unwrap();
        let verifier = self.verifier(server);
        let nonce = Nonce::new(self.nonce.clone());
        let claims = token.claims(&verifier, &nonce).unwrap().clone();
        let c_hash = AuthorizationCodeHash::from_code(
            &AuthorizationCode::new(form["code"].clone()),
            token.signing_alg().unwrap(),
            token.signing_key(&verifier).unwrap(),
        );
        assert_eq!(claims.code_hash(), Some(&c_hash.unwrap()));
        assert!(claims.access_token_hash().is_none(), "there is none here");
        let other = Nonce::new("another".to_owned());
        assert!(token.claims(&verifier, &other).is_err());
        claims
    }

    /// Redeems the code, with the secret in the form and without PKCE.
    async fn redeem(&self, code: &str) -> Answer {
        let form = [
            ("client_id", "imis"),
            ("client_secret", POST_SECRET),
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT_LOGIN_URL),
        ];
        let url = self.endpoint("token_endpoint");
        answer(http_client().post(url).form(&form)).await
    }

    async fn refresh(&self, refresh_token: &str) -> Answer {
        let form = [
            ("client_id", "imis"),
            ("client_secret", POST_SECRET),
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ];
        let url = self.endpoint("token_endpoint");
        answer(http_client().post(url).form(&form)).await
    }
}

/// Logs Ann, who is staff, in on the login page that `url` leads to.
async fn log_ann_in(browser: &mut Browser, url: &str) -> Page {
    let page = browser.open(url).await;
    let ann = people::ANN_LEE;
    browser
        .sign_in(&page, "staff", (ann.code, ann.password))
        .await
}

/// Logs Jo, who is a member, in.
async fn log_jo_in(browser: &mut Browser, url: &str) -> Page {
    let page = browser.open(url).await;
    browser.sign_in_as(&page, people::JO_SMITH).await
}

/// The whole login as iMIS makes it: what it looks for stands in the ID token that the browser brings, in that of the
/// token endpoint, and at userinfo, as one value each.
#[tokio::test]
async fn imis_logs_staff_in_through_portico() {
    let server = TestServer::start_with(with_imis).await;
    let imis = Module::configured(&server).await;
    let mut browser = Browser::new();
    let page = log_ann_in(&mut browser, &imis.authorize_url(&[])).await;
    let form = imis.receive(&server, &page);
    let front = imis.verify(&server, &form);
    let told = front.additional_claims();
    assert_eq!(told.external_id, front.subject().as_str());
    assert_eq!(told.staff.as_deref(), Some("1"));
    assert_eq!(told.level, None);
    let ann = people::ANN_LEE;
    assert_eq!(front.email().unwrap().as_str(), ann.email);
    assert!(front.auth_time().is_some());
    let raw = claims(&form["id_token"]);
    assert_eq!(raw["amr"], json!(["pwd"]));
    assert!(raw["sid"].is_string());

    let tokens = imis.redeem(&form["code"]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let back: Token = tokens.text("id_token").parse().unwrap();
    let verifier = imis.verifier(&server);
    let nonce = Nonce::new(imis.nonce.clone());
    let claims_back = back.claims(&verifier, &nonce).unwrap();
    // Core section 3.3.3.6.
    assert_eq!(claims_back.issuer(), front.issuer());
    assert_eq!(claims_back.subject(), front.subject());
    assert_eq!(claims_back.auth_time(), front.auth_time());
    let at_hash = AccessTokenHash::from_token(
        &openidconnect::AccessToken::new(tokens.text("access_token").to_owned()),
        back.signing_alg().unwrap(),
        back.signing_key(&verifier).unwrap(),
    );
    assert_eq!(claims_back.access_token_hash(), Some(&at_hash.unwrap()));
    let told = claims_back.additional_claims();
    assert_eq!(told.external_id, front.subject().as_str());
    assert_eq!(told.staff.as_deref(), Some("1"));

    let userinfo = server.userinfo(tokens.text("access_token")).await.body;
    assert_eq!(userinfo["external_id"], front.subject().as_str());
    assert_eq!(userinfo["staff"], "1");
    assert_eq!(userinfo["email"], ann.email);
}

/// The mark is for those whom the configuration names, and for nobody else; what the upstream does not tell is absent.
#[tokio::test]
async fn a_member_is_not_marked_as_staff() {
    let server = TestServer::start_with(with_imis).await;
    let imis = Module::configured(&server).await;
    let page = log_jo_in(&mut Browser::new(), &imis.authorize_url(&[])).await;
    let form = imis.receive(&server, &page);
    let front = imis.verify(&server, &form);
    assert_eq!(front.additional_claims().staff, None);
    let raw = claims(&form["id_token"]);
    for absent in ["staff", "level", "office", "roles", "name", "groups"] {
        assert!(raw.get(absent).is_none(), "{absent} in {raw}");
    }
    let jo = people::JO_SMITH;
    assert_eq!(raw["email"], jo.email);
    assert_eq!(raw["given_name"], jo.given_name);
    assert_eq!(raw["family_name"], jo.family_name);
    let tokens = imis.redeem(&form["code"]).await;
    let userinfo = server.userinfo(tokens.text("access_token")).await.body;
    assert!(userinfo.get("staff").is_none(), "{userinfo}");
    assert_eq!(userinfo["name"], "Jo Smith", "opened by the scope");
}

/// A role in iMIS is a group here, and marks those who have it.
#[tokio::test]
async fn a_group_marks_its_people() {
    let mut server = TestServer::start_with(with_imis).await;
    let members = "login = [\"password\", \"redirect\"]";
    server.edit_config(members, &format!("{members}\nroles = true"));
    server.restart().await;
    let imis = Module::configured(&server).await;
    let mut browser = Browser::new();
    let page = browser.open(imis.authorize_url(&[])).await;
    let page = browser.sign_in_as(&page, people::ADMIN).await;
    let front = imis.verify(&server, &imis.receive(&server, &page));
    assert_eq!(front.additional_claims().level, Some(9));
    assert_eq!(front.additional_claims().staff, None);
}

/// What the account's upstream says becomes what iMIS is told, at the next token or question: nothing is kept in a code
/// or a family.
#[tokio::test]
async fn the_claims_are_read_anew_every_time() {
    let server = TestServer::start_with(with_imis).await;
    let imis = Module::configured(&server).await;
    let mut browser = Browser::new();
    let url = imis.authorize_url(&[("scope", "openid offline_access")]);
    let page = log_jo_in(&mut browser, &url).await;
    let form = imis.receive(&server, &page);
    assert!(claims(&form["id_token"]).get("level").is_none());
    let subject = claims(&form["id_token"])["sub"]
        .as_str()
        .unwrap()
        .to_owned();
    let set_profile = async |profile: Value| {
        let updated = sqlx::query(
            "UPDATE upstream_login SET profile = $1
             WHERE account_id = (SELECT id FROM account WHERE subject = $2)",
        )
        .bind(profile.to_string())
        .bind(&subject)
        .execute(&server.database.pool().await)
        .await
        .unwrap();
        assert_eq!(updated.rows_affected(), 1);
    };

    set_profile(json!({
        "email": "jo@example.net", "groups": ["Everyone", "SysAdmin"], "office": 7, "roles": ["a", "b"],
    }))
    .await;
    let tokens = imis.redeem(&form["code"]).await;
    let id_token = claims(tokens.text("id_token"));
    assert_eq!(id_token["level"], 9);
    assert_eq!(id_token["email"], "jo@example.net");
    assert_eq!(id_token["office"], 7);
    // A list is not handed to who asked for one value.
    assert!(id_token.get("roles").is_none());
    assert!(id_token.get("given_name").is_none());

    set_profile(json!({ "groups": ["sysadmin", "SysAdmins"] })).await;
    let userinfo = server.userinfo(tokens.text("access_token")).await.body;
    assert!(userinfo.get("level").is_none(), "{userinfo}");
    assert!(userinfo.get("email").is_none(), "{userinfo}");

    set_profile(json!({ "groups": ["SysAdmin"] })).await;
    let userinfo = server.userinfo(tokens.text("access_token")).await.body;
    assert_eq!(userinfo["level"], 9);
    // The session is still there: nobody types anything.
    let again = browser.get(&url).await;
    let form = imis.receive(&server, &again);
    assert_eq!(claims(&form["id_token"])["level"], 9);
}

/// A refresh tells what the configuration says now, not what it said at the login (Core section 12.2 leaves it open).
#[tokio::test]
async fn a_refresh_gives_the_claims_as_they_are_configured_now() {
    let mut server = TestServer::start_with(with_imis).await;
    let imis = Module::configured(&server).await;
    let url = imis.authorize_url(&[("scope", "openid offline_access")]);
    let page = log_ann_in(&mut Browser::new(), &url).await;
    let form = imis.receive(&server, &page);
    let tokens = imis.redeem(&form["code"]).await;
    let refreshed = imis.refresh(tokens.text("refresh_token")).await;
    assert_eq!(claims(refreshed.text("id_token"))["staff"], "1");
    server.edit_config("value = \"1\"", "value = \"2\"");
    server.restart().await;
    let refreshed = imis.refresh(refreshed.text("refresh_token")).await;
    assert_eq!(claims(refreshed.text("id_token"))["staff"], "2");
    server.edit_config("staff = {", "employee = {");
    server.restart().await;
    let refreshed = imis.refresh(refreshed.text("refresh_token")).await;
    assert!(claims(refreshed.text("id_token")).get("staff").is_none());
}

/// Multiple Response Types section 3: the words in any order; section 5: by fragment unless the client says otherwise.
#[tokio::test]
async fn the_answer_travels_by_fragment_or_form_and_never_by_query() {
    let server = TestServer::start_with(with_imis).await;
    let imis = Module::configured(&server).await;
    let mut browser = Browser::new();
    log_jo_in(&mut browser, &imis.authorize_url(&[])).await;
    for mode in ["", "fragment"] {
        for response_type in ["code id_token", "id_token code"] {
            let changes = [("response_mode", mode), ("response_type", response_type)];
            let page = browser.get(imis.authorize_url(&changes)).await;
            assert_eq!(page.status, 303);
            let location = page.location().unwrap();
            assert_eq!(location.query(), None);
            assert_eq!(location.path(), "/");
            let answer = page.answer();
            imis.verify(&server, &answer);
            assert_eq!(answer["state"], imis.state);
            assert_eq!(answer["iss"], server.issuer);
            assert!(!answer.contains_key("access_token"));
        }
    }
    let page = browser
        .get(imis.authorize_url(&[("response_mode", "query")]))
        .await;
    assert_refused_by_fragment(&server, &imis, &page, "invalid_request");
}

fn assert_refused_by_fragment(server: &TestServer, imis: &Module, page: &Page, error: &str) {
    assert_eq!(page.status, 303, "{page:?}");
    let location = page.location().unwrap();
    assert_eq!(location.query(), None, "{location}");
    let answer = page.answer();
    assert_eq!(answer["error"], error, "{answer:?}");
    assert_eq!(answer["state"], imis.state);
    assert_eq!(answer["iss"], server.issuer);
    assert!(!answer.contains_key("code") && !answer.contains_key("id_token"));
}

fn assert_refused_by_form(server: &TestServer, imis: &Module, page: &Page, error: &str) {
    let form = imis.receive(server, page);
    assert_eq!(form["error"], error, "{form:?}");
    assert!(!form["error_description"].is_empty());
    assert!(!form.contains_key("code") && !form.contains_key("id_token"));
}

/// Core sections 3.3.2.5 and 3.3.2.6: every error goes where the answer would, by the form that iMIS reads, or by
/// fragment. The person is logged in, so that nothing but the fault keeps the answer back.
#[tokio::test]
async fn each_refusal_goes_the_way_of_the_answer() {
    let server = TestServer::start_with(with_imis).await;
    let imis = Module::configured(&server).await;
    let mut browser = Browser::new();
    log_jo_in(&mut browser, &imis.authorize_url(&[])).await;
    let refusals: [(&[(&str, &str)], &str); 8] = [
        // Core section 3.3.2.11: without it, anybody could post an ID token of another login to the client.
        (&[("nonce", "")], "invalid_request"),
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("response_type", "id_token")], "unauthorized_client"),
        (&[("response_type", "code token")], "unauthorized_client"),
        (
            &[("response_type", "code id_token token")],
            "unauthorized_client",
        ),
        // An ID token is what openid asks for.
        (&[("scope", "email")], "invalid_scope"),
        (&[("scope", "openid admin")], "invalid_scope"),
        (&[("prompt", "none"), ("max_age", "0")], "login_required"),
    ];
    for (changes, error) in refusals {
        let page = browser.get(imis.authorize_url(changes)).await;
        assert_refused_by_form(&server, &imis, &page, error);
        let by_default = [changes, &[("response_mode", "")]].concat();
        let page = browser.get(imis.authorize_url(&by_default)).await;
        assert_refused_by_fragment(&server, &imis, &page, error);
    }
    // Registered for `code id_token`, and for nothing else.
    let code_alone = imis.authorize_url(&[("response_type", "code")]);
    let page = browser.get(code_alone).await;
    assert_refused_by_form(&server, &imis, &page, "unauthorized_client");
    // Nobody is logged in.
    let silent = imis.authorize_url(&[("prompt", "none")]);
    let page = Browser::new().get(silent).await;
    assert_refused_by_form(&server, &imis, &page, "login_required");
}

/// Off until the registration says so: T18, Core section 3.3.
#[tokio::test]
async fn a_client_that_is_not_registered_for_it_gets_no_id_token_from_the_browser() {
    let server = TestServer::start_with(with_imis).await;
    let mut browser = Browser::new();
    browser
        .log_in_as(server.authorize_url("spa", &[]), people::JO_SMITH)
        .await;
    let hybrid = [("response_type", "code id_token")];
    let page = browser.get(server.authorize_url("spa", &hybrid)).await;
    let location = page.location().unwrap();
    assert_eq!(location.query(), None);
    assert_eq!(page.answer()["error"], "unauthorized_client");
    assert!(!page.answer().contains_key("code"));

    // By POST too it is told at once, and no flow begins.
    let url = Url::parse(&server.authorize_url("spa", &hybrid)).unwrap();
    let parameters: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let parameters: Vec<(&str, &str)> = parameters
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let mut browser = Browser::new();
    let page = browser.post(&server.url("/authorize"), &parameters).await;
    assert_eq!(page.answer()["error"], "unauthorized_client");
    assert!(browser.cookie_names().is_empty());
}

/// T30: what the client may no longer have when the person comes back from a page is not given.
#[tokio::test]
async fn a_type_withdrawn_while_the_person_logs_in_is_refused() {
    let mut server = TestServer::start_with(with_imis).await;
    let imis = Module::configured(&server).await;
    let mut browser = Browser::new();
    let page = browser.open(imis.authorize_url(&[])).await;
    let page = browser.choose(&page, "members").await;
    assert!(page.is_login());
    server.edit_config(
        "response_types = [\"code id_token\"]",
        "response_types = [\"code\"]",
    );
    server.restart().await;
    let page = browser.sign_in_as(&page, people::JO_SMITH).await;
    assert_refused_by_form(&server, &imis, &page, "unauthorized_client");
}

/// T11, RFC 6749 section 4.1.2; and the code is bound to its client and address as ever (T10).
#[tokio::test]
async fn a_code_of_a_hybrid_answer_is_good_once() {
    let server = TestServer::start_with(with_imis).await;
    let imis = Module::configured(&server).await;
    let page = log_ann_in(&mut Browser::new(), &imis.authorize_url(&[])).await;
    let form = imis.receive(&server, &page);
    let elsewhere = server.redeem("web", &form["code"], &[]).await;
    elsewhere.assert_error(400, "invalid_grant");
    let tokens = imis.redeem(&form["code"]).await;
    assert_eq!(tokens.status, 200);
    imis.redeem(&form["code"])
        .await
        .assert_error(400, "invalid_grant");
    let userinfo = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(userinfo.status, 401);
    let refreshed = imis.refresh(tokens.text("refresh_token")).await;
    refreshed.assert_error(400, "invalid_grant");
}

/// RFC 9700 section 2.1.1: without a secret, PKCE; and where a challenge is sent, it counts.
#[tokio::test]
async fn pkce_holds_for_a_hybrid_answer_too() {
    let server = TestServer::start_with(with_imis).await;
    let mut browser = Browser::new();
    let hybrid = [("response_type", "code id_token")];
    let page = log_jo_in(&mut browser, &server.authorize_url("both", &hybrid)).await;
    let code = &page.answer()["code"];
    let without = [("client_id", "both"), ("code_verifier", "")];
    let answer = redeem_publicly(&server, code, &without).await;
    answer.assert_error(400, "invalid_grant");
    let with = [("client_id", "both"), ("code_verifier", VERIFIER)];
    assert_eq!(redeem_publicly(&server, code, &with).await.status, 200);

    let no_challenge = [
        hybrid[0],
        ("code_challenge", ""),
        ("code_challenge_method", ""),
    ];
    let page = browser
        .get(server.authorize_url("both", &no_challenge))
        .await;
    assert_eq!(page.answer()["error"], "invalid_request");

    let imis = Module::configured(&server).await;
    let challenged = [
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let page = browser.get(imis.authorize_url(&challenged)).await;
    let code = &imis.receive(&server, &page)["code"];
    imis.redeem(code).await.assert_error(400, "invalid_grant");
}

async fn redeem_publicly(server: &TestServer, code: &str, changes: &[(&str, &str)]) -> Answer {
    let redirect_uri = "https://both.example.org/callback";
    let mut form = BTreeMap::from([
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
    ]);
    form.extend(changes.iter().copied());
    form.retain(|_, value| !value.is_empty());
    answer(http_client().post(server.url("/token")).form(&form)).await
}

/// "Set login hint": it stands in the form, and is no more than that. Whoever is logged in stays who they are.
#[tokio::test]
async fn a_login_hint_recognizes_nobody() {
    let server = TestServer::start_with(with_imis).await;
    let imis = Module::configured(&server).await;
    let mut browser = Browser::new();
    let hint = people::JO_SMITH.email;
    let url = imis.authorize_url(&[("login_hint", hint)]);
    let page = browser.open(&url).await;
    let form = browser.choose(&page, "members").await;
    let typed = form.attribute(&format!("{PASSWORD_FORM} input[name=username]"), "value");
    assert_eq!(typed.as_deref(), Some(hint));

    let page = log_ann_in(&mut browser, &url).await;
    let ann = imis.verify(&server, &imis.receive(&server, &page));
    let silent = imis.authorize_url(&[("login_hint", hint), ("prompt", "none")]);
    let page = browser.get(silent).await;
    let again = imis.verify(&server, &imis.receive(&server, &page));
    assert_eq!(again.subject(), ann.subject());
    assert_eq!(again.email().unwrap().as_str(), people::ANN_LEE.email);
}

/// Core section 3.1.2.1: an ID token that came by the browser is as good a hint as any of ours.
#[tokio::test]
async fn an_id_token_from_the_browser_is_a_hint_later() {
    let server = TestServer::start_with(with_imis).await;
    let imis = Module::configured(&server).await;
    let mut browser = Browser::new();
    let page = log_ann_in(&mut browser, &imis.authorize_url(&[])).await;
    let form = imis.receive(&server, &page);
    let hinted = [
        ("id_token_hint", form["id_token"].as_str()),
        ("prompt", "none"),
    ];
    let page = browser.get(imis.authorize_url(&hinted)).await;
    imis.verify(&server, &imis.receive(&server, &page));
    let page = log_jo_in(&mut Browser::new(), &imis.authorize_url(&[hinted[0]])).await;
    assert_refused_by_form(&server, &imis, &page, "login_required");
    // It opens nothing (T41).
    let userinfo = server.userinfo(&form["id_token"]).await;
    assert_eq!(userinfo.status, 401);
}

/// Discovery section 3: what is on, and what is not.
#[tokio::test]
async fn discovery_says_what_some_client_may_have() {
    let server = TestServer::start_with(with_imis).await;
    let document = Module::configured(&server).await.document;
    assert_eq!(
        document["response_types_supported"],
        json!(["code", "code id_token"])
    );
    let supported = document["claims_supported"].as_array().unwrap();
    for claim in ["c_hash", "external_id", "staff", "level", "given_name"] {
        let times = supported.iter().filter(|each| *each == claim).count();
        assert_eq!(times, 1, "{claim} in {supported:?}");
    }
}
