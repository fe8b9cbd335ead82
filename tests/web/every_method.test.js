// openid-client and oauth4webapi at every grant, with every way to authenticate (docs/relying-parties.md has the matrix).
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as oauth from "oauth4webapi";
import * as client from "openid-client";
import { Agent } from "./harness/agent.js";
import { API, CALLBACK } from "./harness/clients.js";
import { letIn, logIn } from "./harness/login.js";
import { ACCESS_TOKEN, ALGORITHMS, FRONT, METHODS, NEXT_API, TOKEN_EXCHANGE, makeMethods } from "./harness/methods.js";
import { JO } from "./harness/people.js";
import { startStand } from "./harness/stand.js";

const INSECURE = { [oauth.allowInsecureRequests]: true };
const SCOPE = "openid profile email offline_access";

// Old software, with the types that bring tokens by the browser, and one that asks for nothing.
const HYBRID = { ...FRONT, client_id: "hybrid-app", response_types: ["code", "code id_token", "none"] };

let stand;
let server;
let methods;
before(async () => {
  methods = await makeMethods();
  stand = await startStand({
    algorithms: ["RS256", "PS256", "ES256", "EdDSA"],
    clients: [FRONT, HYBRID, ...Object.values(methods).map(({ registration }) => registration)],
    sections: { registration: { mode: "open" } },
  });
  const issuer = new URL(stand.issuer);
  server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, INSECURE));
});
after(() => stand?.stop());

// One browser for all: who is logged in there is logged in everywhere.
const agent = new Agent(CALLBACK);

async function configure({ registration, openid }) {
  const { client_id: id, exchange, ...metadata } = registration;
  return client.discovery(new URL(stand.issuer), id, metadata, openid, {
    execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
  });
}

async function request(scope = SCOPE) {
  const verifier = oauth.generateRandomCodeVerifier();
  const [nonce, state] = [oauth.generateRandomNonce(), oauth.generateRandomState()];
  const parameters = {
    redirect_uri: CALLBACK,
    scope,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    nonce,
    state,
  };
  return { parameters, verifier, nonce, state, checks: { pkceCodeVerifier: verifier, expectedNonce: nonce, expectedState: state, idTokenExpected: true } };
}

async function reach(url) {
  return logIn(agent, url, JO);
}

function authorizationUrl(parameters) {
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams(parameters);
  return url;
}

// The code flow with oauth4webapi from where the browser is sent.
async function redeem(method, url, { verifier, nonce, state }, options = INSECURE) {
  const { registration, oauth: authentication } = method;
  const parameters = oauth.validateAuthResponse(server, registration, (await reach(url)).url, state);
  const response = await oauth.authorizationCodeGrantRequest(server, registration, authentication, parameters, CALLBACK, verifier, options);
  const tokens = await oauth.processAuthorizationCodeResponse(server, registration, response, { expectedNonce: nonce, requireIdToken: true });
  await oauth.validateApplicationLevelSignature(server, response, INSECURE);
  return tokens;
}

// The token of a person that an API was called with.
async function subjectToken() {
  const config = await configure({ registration: FRONT, openid: client.None() });
  const { parameters, checks } = await request(FRONT.scope);
  const { url } = await reach(client.buildAuthorizationUrl(config, parameters));
  return (await client.authorizationCodeGrant(config, url, checks)).access_token;
}

const exchangeOf = (token) => ({ subject_token: token, subject_token_type: ACCESS_TOKEN, audience: NEXT_API });
const audienceOf = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url")).aud;

for (const name of METHODS) {
  const isPublic = name === "none";

  describe(`a client that authenticates by ${name}`, () => {
    let method;
    let registration;
    let config;
    before(async () => {
      method = methods[name];
      registration = method.registration;
      config = await configure(method);
    });

    test("openid-client: redeems a code, asks, renews, looks at its tokens and gives them back", async () => {
      const { parameters, checks } = await request();
      const { url } = await reach(client.buildAuthorizationUrl(config, parameters));
      const tokens = await client.authorizationCodeGrant(config, url, checks);
      const { sub } = tokens.claims();
      assert.equal((await client.fetchUserInfo(config, tokens.access_token, sub)).email, JO.email);
      const renewed = await client.refreshTokenGrant(config, tokens.refresh_token);
      assert.equal(renewed.claims().sub, sub);
      const look = () => client.tokenIntrospection(config, renewed.access_token);
      if (isPublic) await assert.rejects(look(), { status: 401 });
      else assert.equal((await look()).active, true);
      await client.tokenRevocation(config, renewed.refresh_token);
      if (!isPublic) assert.deepEqual(await look(), { active: false });
      await assert.rejects(client.refreshTokenGrant(config, renewed.refresh_token), { error: "invalid_grant" });
    });

    test("oauth4webapi: redeems a code, asks, renews, looks at its tokens and gives them back", async () => {
      const { parameters, ...sent } = await request();
      const url = authorizationUrl({ response_type: "code", client_id: registration.client_id, ...parameters });
      let tokens = await redeem(method, url, sent);
      const { sub } = oauth.getValidatedIdTokenClaims(tokens);
      const asked = await oauth.userInfoRequest(server, registration, tokens.access_token, INSECURE);
      assert.equal((await oauth.processUserInfoResponse(server, registration, sub, asked)).email, JO.email);
      if (registration.userinfo_signed_response_alg) await oauth.validateApplicationLevelSignature(server, asked, INSECURE);
      let response = await oauth.refreshTokenGrantRequest(server, registration, method.oauth, tokens.refresh_token, INSECURE);
      tokens = await oauth.processRefreshTokenResponse(server, registration, response);
      if (!isPublic) {
        response = await oauth.introspectionRequest(server, registration, method.oauth, tokens.access_token, INSECURE);
        assert.equal((await oauth.processIntrospectionResponse(server, registration, response)).active, true);
      }
      response = await oauth.revocationRequest(server, registration, method.oauth, tokens.access_token, INSECURE);
      await oauth.processRevocationResponse(response);
    });

    test("openid-client and oauth4webapi: push a request", async () => {
      const { parameters, checks } = await request("openid");
      const url = await client.buildAuthorizationUrlWithPAR(config, parameters);
      const { url: reached } = await reach(url);
      assert.ok((await client.authorizationCodeGrant(config, reached, checks)).claims().sub);

      const { parameters: other, ...sent } = await request("openid");
      const all = new URLSearchParams({ response_type: "code", client_id: registration.client_id, ...other });
      const response = await oauth.pushedAuthorizationRequest(server, registration, method.oauth, all, INSECURE);
      const { request_uri: pushed } = await oauth.processPushedAuthorizationResponse(server, registration, response);
      await redeem(method, authorizationUrl({ client_id: registration.client_id, request_uri: pushed }), sent);
    });

    test("oauth4webapi: is a device", async () => {
      const parameters = new URLSearchParams({ scope: SCOPE });
      let response = await oauth.deviceAuthorizationRequest(server, registration, method.oauth, parameters, INSECURE);
      const started = await oauth.processDeviceAuthorizationResponse(server, registration, response);
      await letIn(agent, started.verification_uri_complete, JO);
      response = await oauth.deviceCodeGrantRequest(server, registration, method.oauth, started.device_code, INSECURE);
      const tokens = await oauth.processDeviceCodeResponse(server, registration, response);
      assert.ok(oauth.getValidatedIdTokenClaims(tokens).sub);
      assert.ok(tokens.refresh_token);
    });

    if (isPublic) return;

    test("openid-client and oauth4webapi: act for themselves", async () => {
      const tokens = await client.clientCredentialsGrant(config, { scope: "reports:read" });
      assert.equal(tokens.scope, "reports:read");
      const response = await oauth.clientCredentialsGrantRequest(server, registration, method.oauth, { scope: "reports:read" }, INSECURE);
      const others = await oauth.processClientCredentialsResponse(server, registration, response);
      assert.equal(others.refresh_token, undefined);
    });

    test("openid-client and oauth4webapi: log a person in by the password that they were told", async () => {
      const asked = { username: JO.username, password: JO.password, scope: "openid email" };
      const tokens = await client.genericGrantRequest(config, "password", asked);
      assert.equal((await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)).email, JO.email);
      const request = (more) => oauth.genericTokenEndpointRequest(server, registration, method.oauth, "password", { ...asked, ...more }, INSECURE);
      const others = await oauth.processGenericTokenEndpointResponse(server, registration, await request());
      assert.equal(oauth.getValidatedIdTokenClaims(others).sub, tokens.claims().sub);
      await assert.rejects(
        async () => oauth.processGenericTokenEndpointResponse(server, registration, await request({ password: `not ${JO.password}` })),
        { error: "invalid_grant" },
      );
    });

    test("openid-client and oauth4webapi: exchange the token of somebody who called", async () => {
      const subject = await subjectToken();
      const tokens = await client.genericGrantRequest(config, TOKEN_EXCHANGE, exchangeOf(subject));
      assert.equal(tokens.issued_token_type, ACCESS_TOKEN);
      assert.equal(audienceOf(tokens.access_token), NEXT_API);
      const response = await oauth.genericTokenEndpointRequest(server, registration, method.oauth, TOKEN_EXCHANGE, exchangeOf(subject), INSECURE);
      const others = await oauth.processGenericTokenEndpointResponse(server, registration, response);
      assert.equal(audienceOf(others.access_token), NEXT_API);
    });
  });
}

test("openid-client: a device waits for its person, by every method", async () => {
  await Promise.all(Object.values(methods).map(async (method) => {
    const config = await configure(method);
    const started = await client.initiateDeviceAuthorization(config, { scope: "openid" });
    await letIn(new Agent(), started.verification_uri_complete, JO);
    const tokens = await client.pollDeviceAuthorizationGrant(config, started);
    assert.equal(tokens.claims().aud, method.registration.client_id);
  }));
});

test("openid-client: a request is signed with each algorithm", async () => {
  for (const algorithm of Object.keys(ALGORITHMS)) {
    const method = methods[`private_key_jwt ${algorithm}`];
    const config = await configure(method);
    const { parameters, checks } = await request("openid");
    const url = await client.buildAuthorizationUrlWithJAR(config, parameters, method.own);
    assert.deepEqual([...url.searchParams.keys()].sort(), ["client_id", "request"]);
    const { url: reached } = await reach(url);
    assert.ok((await client.authorizationCodeGrant(config, reached, checks)).claims().sub);
  }
});

test("openid-client and oauth4webapi: proofs bind the tokens of devices, servers and exchanges", async () => {
  const method = methods["private_key_jwt ES256"];
  const { registration } = method;
  const config = await configure(method);
  const keys = await client.randomDPoPKeyPair("ES256");
  const DPoP = client.getDPoPHandle(config, keys);
  const own = await client.clientCredentialsGrant(config, { scope: "reports:read" }, { DPoP });
  assert.equal(own.token_type, "dpop");
  const exchanged = await client.genericGrantRequest(config, TOKEN_EXCHANGE, exchangeOf(await subjectToken()), { DPoP });
  assert.equal(exchanged.token_type, "dpop");

  const options = { ...INSECURE, DPoP: oauth.DPoP(registration, await oauth.generateKeyPair("ES256")) };
  let response = await oauth.deviceAuthorizationRequest(server, registration, method.oauth, new URLSearchParams({ scope: SCOPE }), INSECURE);
  const started = await oauth.processDeviceAuthorizationResponse(server, registration, response);
  await letIn(agent, started.verification_uri_complete, JO);
  response = await oauth.deviceCodeGrantRequest(server, registration, method.oauth, started.device_code, options);
  const tokens = await oauth.processDeviceCodeResponse(server, registration, response);
  assert.equal(tokens.token_type, "dpop");
  response = await oauth.genericTokenEndpointRequest(server, registration, method.oauth, TOKEN_EXCHANGE, exchangeOf(await subjectToken()), options);
  assert.equal((await oauth.processGenericTokenEndpointResponse(server, registration, response)).token_type, "dpop");
});

// What the app gets, whichever way it comes: the address, or the form.
const answered = (reached) => new URLSearchParams(reached.data ?? (reached.url.hash ? reached.url.hash.slice(1) : reached.url.search));

describe("oauth4webapi, by response type and mode", () => {
  const method = { registration: HYBRID, oauth: oauth.None() };

  for (const mode of ["query", "fragment", "form_post"]) {
    test(`reads a code by ${mode}`, async () => {
      const { parameters, verifier, nonce, state } = await request("openid");
      const url = authorizationUrl({ response_type: "code", client_id: HYBRID.client_id, response_mode: mode, ...parameters });
      const reached = await reach(url);
      assert.deepEqual([reached.data !== undefined, reached.url.hash !== undefined && reached.url.hash !== ""], [mode === "form_post", mode === "fragment"]);
      const read = oauth.validateAuthResponse(server, HYBRID, answered(reached), state);
      const response = await oauth.authorizationCodeGrantRequest(server, HYBRID, method.oauth, read, CALLBACK, verifier, INSECURE);
      await oauth.processAuthorizationCodeResponse(server, HYBRID, response, { expectedNonce: nonce, requireIdToken: true });
    });

    test(`reads that it would have succeeded (none) by ${mode}`, async () => {
      const { parameters, state } = await request("openid");
      const url = authorizationUrl({ response_type: "none", client_id: HYBRID.client_id, response_mode: mode, ...parameters });
      const read = oauth.validateAuthResponse(server, HYBRID, answered(await reach(url)), state);
      assert.deepEqual([...read.keys()].sort(), ["iss", "state"]);
    });
  }

  for (const mode of ["fragment", "form_post"]) {
    test(`reads a code and the ID token that vouches for it by ${mode}`, async () => {
      const { parameters, verifier, nonce, state } = await request("openid");
      const url = authorizationUrl({ response_type: "code id_token", client_id: HYBRID.client_id, response_mode: mode, ...parameters });
      const brought = answered(await reach(url));
      const read = await oauth.validateCodeIdTokenResponse(server, HYBRID, brought, nonce, state, undefined, undefined, INSECURE);
      const response = await oauth.authorizationCodeGrantRequest(server, HYBRID, method.oauth, read, CALLBACK, verifier, INSECURE);
      await oauth.processAuthorizationCodeResponse(server, HYBRID, response, { expectedNonce: nonce, requireIdToken: true });
    });
  }
});

describe("a client that registers itself", () => {
  for (const name of METHODS) {
    test(`openid-client and oauth4webapi: authenticates by ${name}`, async () => {
      const { registration, own } = methods[name];
      const metadata = {
        redirect_uris: [CALLBACK],
        token_endpoint_auth_method: registration.token_endpoint_auth_method,
        grant_types: ["authorization_code", "refresh_token"],
        ...(own && { jwks: registration.jwks, id_token_signed_response_alg: registration.id_token_signed_response_alg }),
      };
      const authentication = {
        none: () => [client.None(), oauth.None()],
        client_secret_basic: () => [client.ClientSecretBasic(), (secret) => oauth.ClientSecretBasic(secret)],
        client_secret_post: () => [client.ClientSecretPost(), (secret) => oauth.ClientSecretPost(secret)],
        client_secret_jwt: () => [client.ClientSecretJwt(), (secret) => oauth.ClientSecretJwt(secret)],
        private_key_jwt: () => [client.PrivateKeyJwt(own), () => oauth.PrivateKeyJwt(own)],
      }[registration.token_endpoint_auth_method]();
      const config = await client.dynamicClientRegistration(new URL(stand.issuer), metadata, authentication[0], {
        execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
      });
      const { parameters, checks } = await request("openid");
      const { url } = await reach(client.buildAuthorizationUrl(config, parameters));
      const tokens = await client.authorizationCodeGrant(config, url, checks);
      await client.refreshTokenGrant(config, tokens.refresh_token);

      const response = await oauth.dynamicClientRegistrationRequest(server, metadata, INSECURE);
      const registered = await oauth.processDynamicClientRegistrationResponse(response);
      const method = { registration: registered, oauth: name === "none" ? oauth.None() : authentication[1](registered.client_secret) };
      const { parameters: other, ...sent } = await request("openid");
      await redeem(method, authorizationUrl({ response_type: "code", client_id: registered.client_id, ...other }), sent);
    });
  }

  test("oauth4webapi: reads, changes and deletes what it registered", async () => {
    const response = await oauth.dynamicClientRegistrationRequest(server, { redirect_uris: [CALLBACK], client_name: "Before" }, INSECURE);
    const registered = await oauth.processDynamicClientRegistrationResponse(response);
    // The library knows no RFC 7592, but whatever takes a bearer token.
    const manage = (method, body) => oauth.protectedResourceRequest(
      registered.registration_access_token,
      method,
      new URL(registered.registration_client_uri),
      new Headers({ "content-type": "application/json" }),
      body && JSON.stringify(body),
      INSECURE,
    );
    const read = await (await manage("GET")).json();
    assert.equal(read.client_name, "Before");
    const { registration_access_token: token, registration_client_uri: uri, client_id_issued_at: at, client_secret_expires_at: ends, ...kept } = read;
    const changed = await manage("PUT", { ...kept, client_name: "After" });
    assert.equal((await changed.json()).client_name, "After");
    assert.equal((await manage("DELETE")).status, 204);
    const gone = await manage("GET").then(({ status }) => status, ({ status }) => status);
    assert.equal(gone, 401);
  });
});
