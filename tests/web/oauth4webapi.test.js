// oauth4webapi 3 as the relying party and as the API behind the tokens: each step is checked by the library's own function.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as oauth from "oauth4webapi";
import { Agent } from "./harness/agent.js";
import { ALL, API, BASIC, CALLBACK, PUBLIC, SERVICE } from "./harness/clients.js";
import { logIn } from "./harness/login.js";
import { JO } from "./harness/people.js";
import { startStand } from "./harness/stand.js";

const INSECURE = { [oauth.allowInsecureRequests]: true };

let stand;
let server;
before(async () => {
  stand = await startStand({ clients: ALL });
  server = await discover("oidc");
});
after(() => stand?.stop());

async function discover(algorithm) {
  const issuer = new URL(stand.issuer);
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm, ...INSECURE }));
}

// The whole code flow of a client; answers what the token endpoint said, checked, and its raw response.
async function codeFlow(client, authentication, agent = new Agent(CALLBACK)) {
  const verifier = oauth.generateRandomCodeVerifier();
  const [nonce, state] = [oauth.generateRandomNonce(), oauth.generateRandomState()];
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({
    response_type: "code",
    client_id: client.client_id,
    redirect_uri: CALLBACK,
    scope: "openid profile email",
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    nonce,
    state,
  });
  const reached = await logIn(agent, url, JO);
  // Refuses an answer without `iss`, for the metadata promise it (RFC 9207 section 2.4).
  const parameters = oauth.validateAuthResponse(server, client, reached.url, state);
  const response = await oauth.authorizationCodeGrantRequest(server, client, authentication, parameters, CALLBACK, verifier, INSECURE);
  const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, {
    expectedNonce: nonce,
    maxAge: 300,
    requireIdToken: true,
  });
  await oauth.validateApplicationLevelSignature(server, response, INSECURE);
  return tokens;
}

const bearing = (token, url = API) => new Request(url, { headers: { Authorization: `Bearer ${token}` } });

test("both well-known documents are the same, and promise what the flows below use", async () => {
  assert.deepEqual(await discover("oauth2"), server);
  assert.equal(server.authorization_response_iss_parameter_supported, true);
  assert.deepEqual(server.code_challenge_methods_supported, ["S256"]);
  for (const grant of ["authorization_code", "refresh_token", "client_credentials"]) assert.ok(server.grant_types_supported.includes(grant));
});

test("a public client gets an ID token with a signature of the published keys", async () => {
  const tokens = await codeFlow(PUBLIC, oauth.None());
  assert.ok(oauth.getValidatedIdTokenClaims(tokens).sub);
});

test("the userinfo endpoint answers about the subject of the ID token", async () => {
  const tokens = await codeFlow(PUBLIC, oauth.None());
  const { sub } = oauth.getValidatedIdTokenClaims(tokens);
  const response = await oauth.userInfoRequest(server, PUBLIC, tokens.access_token, INSECURE);
  const userinfo = await oauth.processUserInfoResponse(server, PUBLIC, sub, response);
  assert.equal(userinfo.email, JO.email);
});

test("a confidential client renews, and each new ID token has a good signature", async () => {
  const authentication = oauth.ClientSecretBasic(BASIC.client_secret);
  let tokens = await codeFlow(BASIC, authentication);
  for (let round = 0; round < 3; round += 1) {
    const response = await oauth.refreshTokenGrantRequest(server, BASIC, authentication, tokens.refresh_token, INSECURE);
    tokens = await oauth.processRefreshTokenResponse(server, BASIC, response);
    await oauth.validateApplicationLevelSignature(server, response, INSECURE);
  }
});

test("a server with no user gets a token that its API can check by itself", async () => {
  const authentication = oauth.ClientSecretBasic(SERVICE.client_secret);
  const response = await oauth.clientCredentialsGrantRequest(server, SERVICE, authentication, { scope: "reports:read" }, INSECURE);
  const tokens = await oauth.processClientCredentialsResponse(server, SERVICE, response);
  assert.equal(tokens.refresh_token, undefined);
  const claims = await oauth.validateJwtAccessToken(server, bearing(tokens.access_token), API, INSECURE);
  assert.equal(claims.client_id, SERVICE.client_id);
  assert.equal(claims.sub, SERVICE.client_id);
  assert.equal(claims.scope, "reports:read");
});

test("a server with no user gets no scope that it is not registered for", async () => {
  const authentication = oauth.ClientSecretBasic(SERVICE.client_secret);
  const response = await oauth.clientCredentialsGrantRequest(server, SERVICE, authentication, { scope: "reports:delete" }, INSECURE);
  await assert.rejects(oauth.processClientCredentialsResponse(server, SERVICE, response), { error: "invalid_scope", status: 400 });
});

test("a user's access token is a JWT of RFC 9068, and an ID token is none", async () => {
  const tokens = await codeFlow(PUBLIC, oauth.None());
  const options = { ...INSECURE, requireAuthTime: false };
  const claims = await oauth.validateJwtAccessToken(server, bearing(tokens.access_token), stand.issuer, options);
  assert.equal(claims.sub, oauth.getValidatedIdTokenClaims(tokens).sub);
  await assert.rejects(oauth.validateJwtAccessToken(server, bearing(tokens.id_token), PUBLIC.client_id, options));
});
