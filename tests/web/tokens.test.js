// What APIs and apps do with tokens: openid-client and oauth4webapi give them back, look at them, and ask for them by resource.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as oauth from "oauth4webapi";
import * as client from "openid-client";
import { Agent } from "./harness/agent.js";
import { BASIC, CALLBACK, PUBLIC } from "./harness/clients.js";
import { logIn } from "./harness/login.js";
import { JO } from "./harness/people.js";
import { startStand } from "./harness/stand.js";

const INSECURE = { [oauth.allowInsecureRequests]: true };
const REPORTS = "https://reports.example.org";
const ARCHIVE = "https://archive.example.org";
const ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"];

const REPORTS_API = {
  client_id: "reports-api",
  client_secret: "a-secret-of-an-api-that-asks-6",
  token_endpoint_auth_method: "client_secret_basic",
  grant_types: ["client_credentials"],
  introspection_signed_response_alg: "ES256",
};
const PORTAL = {
  ...PUBLIC,
  client_id: "portal-app",
  scope: "openid profile offline_access reports:read archive:read",
  resources: [REPORTS, ARCHIVE],
};
// An app for each algorithm, whose userinfo is signed as well.
const signed = (algorithm) => ({
  ...PUBLIC,
  client_id: `signed-${algorithm.toLowerCase()}`,
  id_token_signed_response_alg: algorithm,
  userinfo_signed_response_alg: algorithm,
});

let stand;
let server;
before(async () => {
  stand = await startStand({
    algorithms: ALGORITHMS,
    resources: [
      { identifier: REPORTS, scope: "reports:read", introspection_clients: [REPORTS_API.client_id] },
      { identifier: ARCHIVE, scope: "archive:read", access_token_format: "opaque", introspection_clients: [REPORTS_API.client_id] },
    ],
    clients: [PUBLIC, BASIC, REPORTS_API, PORTAL, ...ALGORITHMS.map(signed)],
  });
  const issuer = new URL(stand.issuer);
  server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, INSECURE));
});
after(() => stand?.stop());

async function discover({ client_id: id, ...metadata }, authentication) {
  return client.discovery(new URL(stand.issuer), id, metadata, authentication, {
    execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
  });
}

async function codeGrant(config, parameters = {}, tokenParameters = {}) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const expectedNonce = client.randomNonce();
  const url = client.buildAuthorizationUrl(config, new URLSearchParams([
    ["redirect_uri", CALLBACK],
    ["code_challenge", await client.calculatePKCECodeChallenge(pkceCodeVerifier)],
    ["code_challenge_method", "S256"],
    ["nonce", expectedNonce],
    ...Object.entries({ scope: "openid profile offline_access", ...parameters })
      .flatMap(([name, values]) => [values].flat().map((value) => [name, value])),
  ]));
  const { url: reached } = await logIn(new Agent(CALLBACK), url, JO);
  return client.authorizationCodeGrant(config, reached, { pkceCodeVerifier, expectedNonce, idTokenExpected: true }, tokenParameters);
}

describe("openid-client", () => {
  test("gives back an access token, and then a refresh token", async () => {
    const config = await discover(PUBLIC, client.None());
    const tokens = await codeGrant(config);
    const { sub } = tokens.claims();
    await client.fetchUserInfo(config, tokens.access_token, sub);
    await client.tokenRevocation(config, tokens.access_token, { token_type_hint: "access_token" });
    await assert.rejects(client.fetchUserInfo(config, tokens.access_token, sub), { status: 401 });
    const renewed = await client.refreshTokenGrant(config, tokens.refresh_token);
    await client.fetchUserInfo(config, renewed.access_token, sub);
    await client.tokenRevocation(config, renewed.refresh_token);
    await assert.rejects(client.refreshTokenGrant(config, renewed.refresh_token), { error: "invalid_grant" });
    await assert.rejects(client.fetchUserInfo(config, renewed.access_token, sub), { status: 401 });
  });

  test("looks at the tokens of its own", async () => {
    const config = await discover(BASIC, client.ClientSecretBasic(BASIC.client_secret));
    const tokens = await codeGrant(config);
    const seen = await client.tokenIntrospection(config, tokens.access_token);
    assert.equal(seen.active, true);
    assert.equal(seen.sub, tokens.claims().sub);
    assert.equal((await client.tokenIntrospection(config, tokens.refresh_token)).active, true);
    assert.deepEqual(await client.tokenIntrospection(config, "unknown"), { active: false });
  });

  test("asks for a token for each API", async () => {
    const config = await discover(PORTAL, client.None());
    const scope = "openid offline_access reports:read archive:read";
    const tokens = await codeGrant(config, { scope, resource: [REPORTS, ARCHIVE] }, { resource: REPORTS });
    const audience = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url")).aud;
    assert.equal(audience(tokens.access_token), REPORTS);
    assert.equal(tokens.scope, "reports:read");
    const opaque = await client.refreshTokenGrant(config, tokens.refresh_token, { resource: ARCHIVE });
    assert.match(opaque.access_token, /^portico_at_/);
    assert.equal(opaque.scope, "archive:read");
    await assert.rejects(
      client.refreshTokenGrant(config, opaque.refresh_token, { resource: "https://other.example.org" }),
      { error: "invalid_target" },
    );
  });

  for (const algorithm of ALGORITHMS) {
    test(`verifies ID tokens and userinfo signed with ${algorithm}`, async () => {
      const config = await discover(signed(algorithm), client.None());
      const tokens = await codeGrant(config);
      const userinfo = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
      assert.equal(userinfo.name, "Jo Smith");
      assert.equal(userinfo.aud, signed(algorithm).client_id);
    });
  }
});

describe("oauth4webapi, as an API", () => {
  const authentication = oauth.ClientSecretBasic(REPORTS_API.client_secret);

  async function look(token, options = {}) {
    const response = await oauth.introspectionRequest(server, REPORTS_API, authentication, token, { ...INSECURE, ...options });
    const seen = await oauth.processIntrospectionResponse(server, REPORTS_API, response);
    if (options.requestJwtResponse) await oauth.validateApplicationLevelSignature(server, response, INSECURE);
    return seen;
  }

  test("looks at tokens that are for it, plain and signed, and at no others", async () => {
    const config = await discover(PORTAL, client.None());
    const scope = "openid offline_access reports:read";
    const tokens = await codeGrant(config, { scope, resource: REPORTS });
    for (const requestJwtResponse of [false, true]) {
      const seen = await look(tokens.access_token, { requestJwtResponse });
      assert.equal(seen.active, true);
      assert.equal(seen.scope, "reports:read");
      assert.equal(seen.client_id, PORTAL.client_id);
      assert.deepEqual(await look(tokens.refresh_token, { requestJwtResponse }), { active: false });
    }
    await client.tokenRevocation(config, tokens.access_token);
    assert.deepEqual(await look(tokens.access_token), { active: false });
  });

  test("cannot give back what is the app's", async () => {
    const config = await discover(PORTAL, client.None());
    const tokens = await codeGrant(config, { scope: "openid reports:read", resource: REPORTS });
    const response = await oauth.revocationRequest(server, REPORTS_API, authentication, tokens.access_token, INSECURE);
    await assert.rejects(oauth.processRevocationResponse(response), { error: "invalid_grant" });
    assert.equal((await look(tokens.access_token)).active, true);
  });
});
