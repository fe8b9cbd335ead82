//! A relying party written by others is the judge: the `openidconnect` crate, which knows nothing of this code, finds
//! the server, sends people to it, and verifies what comes back (OpenID Connect Core section 3.1).

use openidconnect::core::{
    CoreApplicationType, CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod,
    CoreClientRegistrationRequest, CoreIdTokenVerifier, CoreJwsSigningAlgorithm,
    CoreProviderMetadata, CoreTokenResponse, CoreUserInfoClaims,
};
use openidconnect::registration::EmptyAdditionalClientMetadata;
use openidconnect::{
    AccessTokenHash, AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, RedirectUrl, Scope, TokenResponse as _, UserInfoResponseType, reqwest,
};
use portico::simulator::people;

use crate::harness::browser::Browser;
use crate::harness::relying_party::redirect_uri;
use crate::harness::server::{POST_SECRET, TestServer, WEB_SECRET};
use crate::signing::{ALGORITHMS, with_every_algorithm};

/// [`crate::harness::server::START`], as that crate reads times.
const NOW: &str = "2023-11-14T22:13:20Z";

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

struct RelyingParty {
    client: Client,
    http: reqwest::Client,
}

struct LoggedIn {
    tokens: CoreTokenResponse,
    nonce: Nonce,
}

impl RelyingParty {
    async fn discover(server: &TestServer, id: &str, secret: Option<&str>, by: AuthType) -> Self {
        Self::discover_at(server, id, secret, by, None).await
    }

    async fn discover_at(
        server: &TestServer,
        id: &str,
        secret: Option<&str>,
        by: AuthType,
        redirect: Option<String>,
    ) -> Self {
        let http = reqwest::ClientBuilder::new()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let issuer = IssuerUrl::new(server.issuer.clone()).unwrap();
        let metadata = CoreProviderMetadata::discover_async(issuer, &http)
            .await
            .unwrap();
        let id = ClientId::new(id.to_owned());
        let redirect = redirect.unwrap_or_else(|| redirect_uri(&id));
        let redirect = RedirectUrl::new(redirect).unwrap();
        let secret = secret.map(|secret| ClientSecret::new(secret.to_owned()));
        let client = CoreClient::from_provider_metadata(metadata, id, secret)
            .set_redirect_uri(redirect)
            .set_auth_type(by);
        Self { client, http }
    }

    /// The whole login, with PKCE or without, as the crate's documentation has it.
    async fn log_in(&self, scopes: &[&str], pkce: bool) -> LoggedIn {
        let mut request = self.client.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        );
        for scope in scopes {
            request = request.add_scope(Scope::new((*scope).to_owned()));
        }
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        if pkce {
            request = request.set_pkce_challenge(challenge);
        }
        let (url, state, nonce) = request.url();
        let mut browser = Browser::new();
        let mut page = browser.log_in_as(&url, people::JO_SMITH).await;
        if page.url.path() == "/consent" {
            page = browser
                .submit(&page, "form", &[("decision", "allow")])
                .await;
        }
        let answer = page.answer();
        assert_eq!(answer["state"], *state.secret());
        let code = AuthorizationCode::new(answer["code"].clone());
        let mut exchange = self.client.exchange_code(code).unwrap();
        if pkce {
            exchange = exchange.set_pkce_verifier(verifier);
        }
        let tokens = exchange.request_async(&self.http).await.unwrap();
        LoggedIn { tokens, nonce }
    }

    fn verifier(&self, algorithm: CoreJwsSigningAlgorithm) -> CoreIdTokenVerifier<'_> {
        self.client
            .id_token_verifier()
            .set_allowed_algs([algorithm])
            .set_time_fn(|| NOW.parse().unwrap())
    }

    /// Signature, issuer, audience, times, nonce, `at_hash`; then userinfo of the same subject.
    async fn verify(
        &self,
        logged_in: &LoggedIn,
        algorithm: CoreJwsSigningAlgorithm,
    ) -> CoreUserInfoClaims {
        let tokens = &logged_in.tokens;
        let id_token = tokens.id_token().unwrap();
        let verifier = self.verifier(algorithm);
        let claims = id_token.claims(&verifier, &logged_in.nonce).unwrap();
        let at_hash = AccessTokenHash::from_token(
            tokens.access_token(),
            id_token.signing_alg().unwrap(),
            id_token.signing_key(&verifier).unwrap(),
        );
        assert_eq!(claims.access_token_hash(), Some(&at_hash.unwrap()));
        let other = Nonce::new("another".to_owned());
        assert!(
            id_token.claims(&verifier, &other).is_err(),
            "the judge is awake"
        );
        let subject = Some(claims.subject().clone());
        let request = self
            .client
            .user_info(tokens.access_token().clone(), subject)
            .unwrap();
        request.request_async(&self.http).await.unwrap()
    }
}

#[tokio::test]
async fn a_public_client_with_pkce_does_the_whole_flow() {
    let server = TestServer::start().await;
    let app = RelyingParty::discover(&server, "spa", None, AuthType::RequestBody).await;
    let logged_in = app
        .log_in(&["profile", "email", "offline_access"], true)
        .await;
    let rs256 = CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256;
    let userinfo = app.verify(&logged_in, rs256.clone()).await;
    assert_eq!(userinfo.email().unwrap().as_str(), people::JO_SMITH.email);
    let name = userinfo.name().unwrap().get(None).unwrap();
    assert_eq!(name.as_str(), "Jo Smith");

    let refresh_token = logged_in.tokens.refresh_token().unwrap();
    let request = app.client.exchange_refresh_token(refresh_token).unwrap();
    let refreshed = request.request_async(&app.http).await.unwrap();
    let verifier = app.verifier(rs256);
    // A refreshed ID token has no nonce (Core section 12.2).
    let without_nonce = |nonce: Option<&Nonce>| match nonce {
        None => Ok(()),
        Some(_) => Err("a nonce".to_owned()),
    };
    let id_token = refreshed.id_token().unwrap();
    let claims = id_token.claims(&verifier, without_nonce).unwrap();
    assert_eq!(claims.subject(), userinfo.subject());
    assert_ne!(
        refreshed.refresh_token().unwrap().secret(),
        refresh_token.secret()
    );
    let access_token = refreshed.access_token().clone();
    let request = app
        .client
        .user_info(access_token, Some(claims.subject().clone()));
    let again: CoreUserInfoClaims = request.unwrap().request_async(&app.http).await.unwrap();
    assert_eq!(again.email(), userinfo.email());
}

#[tokio::test]
async fn a_confidential_client_by_basic_does_the_whole_flow() {
    let server = TestServer::start().await;
    let app = RelyingParty::discover(&server, "web", Some(WEB_SECRET), AuthType::BasicAuth).await;
    for pkce in [true, false] {
        let logged_in = app.log_in(&["profile"], pkce).await;
        let rs256 = CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256;
        let userinfo = app.verify(&logged_in, rs256).await;
        assert!(userinfo.name().is_some() && userinfo.email().is_none());
    }
}

#[tokio::test]
async fn a_confidential_client_by_post_does_the_whole_flow_with_es256() {
    let server = TestServer::start().await;
    let app =
        RelyingParty::discover(&server, "post", Some(POST_SECRET), AuthType::RequestBody).await;
    let logged_in = app.log_in(&["email"], true).await;
    let es256 = CoreJwsSigningAlgorithm::EcdsaP256Sha256;
    let userinfo = app.verify(&logged_in, es256).await;
    assert_eq!(userinfo.email().unwrap().as_str(), people::JO_SMITH.email);
    assert!(logged_in.tokens.refresh_token().is_none());
}

/// OpenID Connect Dynamic Registration section 3: the crate finds the endpoint, registers, reads the answer strictly, and logs
/// somebody in as the client that it has become.
#[tokio::test]
async fn a_client_that_registers_itself_logs_somebody_in() {
    let server = TestServer::start_with(|setup| {
        setup.sections.push_str("[registration]\nmode = \"open\"\n");
    })
    .await;
    let http = reqwest::ClientBuilder::new().build().unwrap();
    let issuer = IssuerUrl::new(server.issuer.clone()).unwrap();
    let metadata = CoreProviderMetadata::discover_async(issuer, &http)
        .await
        .unwrap();
    let callback = "https://new.example.org/callback".to_owned();
    let redirect = RedirectUrl::new(callback.clone()).unwrap();
    let asked = CoreClientRegistrationRequest::new(
        vec![redirect],
        EmptyAdditionalClientMetadata::default(),
    )
    .set_application_type(Some(CoreApplicationType::Web))
    .set_token_endpoint_auth_method(Some(CoreClientAuthMethod::ClientSecretPost))
    .set_id_token_signed_response_alg(Some(CoreJwsSigningAlgorithm::EcdsaP256Sha256));
    let endpoint = metadata.registration_endpoint().unwrap();
    let registered = asked.register_async(endpoint, &http).await.unwrap();
    assert!(registered.registration_access_token().is_some());
    assert!(registered.registration_client_uri().is_some());
    assert_eq!(
        registered.token_endpoint_auth_method(),
        Some(&CoreClientAuthMethod::ClientSecretPost)
    );
    let secret = registered.client_secret().unwrap().secret();
    let id = registered.client_id();
    let by = AuthType::RequestBody;
    let app = RelyingParty::discover_at(&server, id, Some(secret), by, Some(callback)).await;
    let logged_in = app.log_in(&["profile"], true).await;
    let es256 = CoreJwsSigningAlgorithm::EcdsaP256Sha256;
    let userinfo = app.verify(&logged_in, es256).await;
    assert!(userinfo.name().is_some());
}

/// Core section 15.1 and RFC 8037: every algorithm that discovery names.
#[tokio::test]
async fn an_id_token_of_every_algorithm_is_good() {
    let server = with_every_algorithm().await;
    for (name, _) in ALGORITHMS {
        let algorithm = match name {
            "rs256" => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            "ps256" => CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            "es256" => CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            _ => CoreJwsSigningAlgorithm::EdDsa,
        };
        let id = format!("{name}-app");
        let app = RelyingParty::discover(&server, &id, None, AuthType::RequestBody).await;
        let logged_in = app.log_in(&["profile"], true).await;
        let userinfo = app.verify(&logged_in, algorithm).await;
        assert!(userinfo.name().is_some(), "{name}");
    }
}

/// Core section 5.3.2; that crate takes signed answers with RS256 alone.
#[tokio::test]
async fn a_signed_userinfo_answer_is_good() {
    let server = with_every_algorithm().await;
    let app = RelyingParty::discover(&server, "rs256-jwt-app", None, AuthType::RequestBody).await;
    let logged_in = app.log_in(&["profile"], true).await;
    let id_token = logged_in.tokens.id_token().unwrap();
    let verifier = app.verifier(CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256);
    let claims = id_token.claims(&verifier, &logged_in.nonce).unwrap();
    let access_token = logged_in.tokens.access_token().clone();
    let request = app
        .client
        .user_info(access_token, Some(claims.subject().clone()));
    let request = request
        .unwrap()
        .require_signed_response(true)
        .set_response_type(UserInfoResponseType::Jwt);
    let userinfo: CoreUserInfoClaims = request.request_async(&app.http).await.unwrap();
    assert!(userinfo.name().is_some());
}
