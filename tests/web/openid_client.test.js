// openid-client 6 as the relying party: it verifies every ID token itself, signature included.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import * as client from "openid-client";
import { Agent } from "./harness/agent.js";
import { BASIC, CALLBACK, HYBRID, IMPLICIT, POST, PUBLIC, SIGNED_OUT, ALL } from "./harness/clients.js";
import { logIn } from "./harness/login.js";
import { Page } from "./harness/page.js";
import { ANN, JO } from "./harness/people.js";
import { startStand } from "./harness/stand.js";

let stand;
before(async () => { stand = await startStand({ clients: ALL }); });
after(() => stand?.stop());

async function discover({ client_id: id }, authentication, ...more) {
  const config = await client.discovery(new URL(stand.issuer), id, undefined, authentication, {
    execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks, ...more],
  });
  return config;
}

// An authorization request, and what the library needs to check the answer.
async function request(config, parameters = {}) {
  const checks = {
    pkceCodeVerifier: client.randomPKCECodeVerifier(),
    expectedNonce: client.randomNonce(),
    expectedState: client.randomState(),
    idTokenExpected: true,
  };
  if (parameters.max_age !== undefined) checks.maxAge = Number(parameters.max_age);
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: CALLBACK,
    scope: "openid profile email",
    code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
    code_challenge_method: "S256",
    nonce: checks.expectedNonce,
    state: checks.expectedState,
    ...parameters,
  });
  return { url, checks };
}

// What the library takes: the address with the answer, or the POST that brought it.
function answer(reached) {
  assert.ok(!(reached instanceof Page), `still at Portico: ${reached.text}`);
  return reached.data ? new Request(reached.url, { method: "POST", body: reached.data }) : reached.url;
}

async function codeGrant(config, agent, person, parameters) {
  const { url, checks } = await request(config, parameters);
  return client.authorizationCodeGrant(config, answer(await logIn(agent, url, person)), checks);
}

// OpenID Connect Core 3.1.3.6; the library leaves this one to the caller in the code flow.
function assertAtHash(tokens) {
  const digest = createHash("sha256").update(tokens.access_token, "ascii").digest();
  assert.equal(tokens.claims().at_hash, digest.subarray(0, 16).toString("base64url"));
}

describe("a public client with PKCE", () => {
  test("gets an ID token about a member of iMIS", async () => {
    const config = await discover(PUBLIC, client.None());
    const tokens = await codeGrant(config, new Agent(CALLBACK), JO, { max_age: "300" });
    const claims = tokens.claims();
    assert.equal(claims.iss, stand.issuer);
    assert.equal(claims.aud, PUBLIC.client_id);
    assert.ok(claims.sub);
    assert.equal(typeof claims.auth_time, "number");
    assert.deepEqual(claims.amr, ["pwd"]);
    assert.ok(claims.sid);
    assert.equal(tokens.token_type.toLowerCase(), "bearer");
    assert.ok(tokens.expiresIn() > 0);
    assertAtHash(tokens);
  });

  test("gets an ID token about a user of aiM18", async () => {
    const config = await discover(PUBLIC, client.None());
    const tokens = await codeGrant(config, new Agent(CALLBACK), ANN);
    const userinfo = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
    assert.equal(userinfo.name, ANN.name);
    assertAtHash(tokens);
  });

  test("is answered by a form that posts itself, when it asks for that", async () => {
    const config = await discover(PUBLIC, client.None());
    const tokens = await codeGrant(config, new Agent(CALLBACK), JO, { response_mode: "form_post" });
    assert.ok(tokens.claims().sub);
  });

  test("learns the same subject at every login, and never the one of somebody else", async () => {
    const config = await discover(PUBLIC, client.None());
    const subject = async (person) => (await codeGrant(config, new Agent(CALLBACK), person)).claims().sub;
    const [first, second, other] = [await subject(JO), await subject(JO), await subject(ANN)];
    assert.equal(first, second);
    assert.notEqual(first, other);
  });

  test("reads the claims of its scopes at the userinfo endpoint", async () => {
    const config = await discover(PUBLIC, client.None());
    const tokens = await codeGrant(config, new Agent(CALLBACK), JO);
    const userinfo = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
    assert.equal(userinfo.name, JO.name);
    assert.equal(userinfo.given_name, "Jo");
    assert.equal(userinfo.family_name, "Smith");
    assert.equal(userinfo.preferred_username.toLowerCase(), JO.username.toLowerCase());
    assert.equal(userinfo.email, JO.email);
  });

  test("renews its tokens, and a retry gets what the lost answer had", async () => {
    const config = await discover(PUBLIC, client.None());
    const tokens = await codeGrant(config, new Agent(CALLBACK), JO, { scope: "openid profile email offline_access" });
    assert.ok(tokens.refresh_token);
    const renewed = await client.refreshTokenGrant(config, tokens.refresh_token);
    assert.notEqual(renewed.access_token, tokens.access_token);
    assert.notEqual(renewed.refresh_token, tokens.refresh_token);
    assert.equal(renewed.claims().sub, tokens.claims().sub);
    assert.equal(renewed.claims().auth_time, tokens.claims().auth_time);
    const retried = await client.refreshTokenGrant(config, tokens.refresh_token);
    assert.equal(retried.refresh_token, renewed.refresh_token);
    await client.fetchUserInfo(config, retried.access_token, tokens.claims().sub);
  });

  test("cannot redeem a code without the verifier that belongs to it", async () => {
    const config = await discover(PUBLIC, client.None());
    const { url, checks } = await request(config);
    const reached = answer(await logIn(new Agent(CALLBACK), url, JO));
    await assert.rejects(
      client.authorizationCodeGrant(config, reached, { ...checks, pkceCodeVerifier: client.randomPKCECodeVerifier() }),
      { name: "ResponseBodyError", error: "invalid_grant", status: 400 },
    );
  });

  test("cannot redeem a code twice", async () => {
    const config = await discover(PUBLIC, client.None());
    const { url, checks } = await request(config);
    const reached = answer(await logIn(new Agent(CALLBACK), url, JO));
    const tokens = await client.authorizationCodeGrant(config, reached, checks);
    await assert.rejects(client.authorizationCodeGrant(config, reached, checks), { error: "invalid_grant", status: 400 });
    await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token), { error: "invalid_grant" });
  });
});

for (const [registration, authentication] of [[BASIC, client.ClientSecretBasic], [POST, client.ClientSecretPost]]) {
  describe(`a confidential client with ${registration.token_endpoint_auth_method}`, () => {
    test("gets tokens, and renews them", async () => {
      const config = await discover(registration, authentication(registration.client_secret));
      const tokens = await codeGrant(config, new Agent(CALLBACK), JO);
      assert.equal(tokens.claims().aud, registration.client_id);
      assertAtHash(tokens);
      const renewed = await client.refreshTokenGrant(config, tokens.refresh_token);
      assert.equal(renewed.claims().sub, tokens.claims().sub);
    });

    test("gets nothing for a wrong secret", async () => {
      const config = await discover(registration, authentication(`${registration.client_secret}x`));
      await assert.rejects(codeGrant(config, new Agent(CALLBACK), JO), (error) => {
        // With a challenge the library reports the challenge, else the body (RFC 6749 section 5.2).
        assert.equal(error.status, 401);
        return true;
      });
    });
  });
}

// OpenID Connect Core 3.3: the library holds the ID token against the code (c_hash), the nonce and the keys.
describe("a client of the hybrid type", () => {
  const hybrid = () => discover(HYBRID, client.ClientSecretPost(HYBRID.client_secret), client.useCodeIdTokenResponseType);

  for (const parameters of [{ response_mode: "form_post" }, {}]) {
    test(`gets a code and an ID token ${parameters.response_mode ? "by form" : "by fragment"}`, async () => {
      const config = await hybrid();
      const tokens = await codeGrant(config, new Agent(CALLBACK), ANN, parameters);
      const claims = tokens.claims();
      assert.equal(claims.external_id, claims.sub);
      assert.equal(claims.email, ANN.email);
      assert.equal(claims.staff, "1");
      assertAtHash(tokens);
      const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
      assert.equal(userinfo.staff, "1");
    });
  }

  test("is not content with the code of another answer", async () => {
    const config = await hybrid();
    const agent = new Agent(CALLBACK);
    const { url, checks } = await request(config, { response_mode: "form_post" });
    const mine = await logIn(agent, url, JO);
    const other = await logIn(new Agent(CALLBACK), (await request(config, { response_mode: "form_post" })).url, ANN);
    const mixed = new URLSearchParams(mine.data);
    mixed.set("code", new URLSearchParams(other.data).get("code"));
    const brought = new Request(mine.url, { method: "POST", body: mixed });
    await assert.rejects(client.authorizationCodeGrant(config, brought, checks), ({ cause }) => /c_hash/.test(cause.message));
  });

  test("is told of an error by the form that it reads", async () => {
    const config = await hybrid();
    const { url, checks } = await request(config, { response_mode: "form_post", prompt: "none" });
    const page = await new Agent(CALLBACK).open(url);
    const reached = await new Agent(CALLBACK).submit(page.forms[0]);
    await assert.rejects(
      client.authorizationCodeGrant(config, answer(reached), checks),
      { name: "AuthorizationResponseError", error: "login_required" },
    );
  });
});

// OpenID Connect Core 3.2 and 5.4: without an access token the claims of the scopes stand in the ID token.
describe("a client of the implicit type", () => {
  for (const mode of ["form_post", "fragment"]) {
    test(`gets an ID token by ${mode}, and everything in it`, async () => {
      const config = await discover(IMPLICIT, client.None(), client.useIdTokenResponseType);
      const [nonce, state] = [client.randomNonce(), client.randomState()];
      const url = client.buildAuthorizationUrl(config, {
        redirect_uri: CALLBACK, scope: "openid profile email", response_mode: mode, nonce, state,
      });
      const brought = answer(await logIn(new Agent(CALLBACK), url, JO));
      const claims = await client.implicitAuthentication(config, brought, nonce, { expectedState: state, maxAge: 300 });
      assert.equal(claims.aud, IMPLICIT.client_id);
      assert.equal(claims.email, JO.email);
      assert.equal(claims.at_hash, undefined);
    });
  }

  test("is not content with the ID token of another request", async () => {
    const config = await discover(IMPLICIT, client.None(), client.useIdTokenResponseType);
    const state = client.randomState();
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: CALLBACK, scope: "openid", nonce: client.randomNonce(), state,
    });
    const brought = answer(await logIn(new Agent(CALLBACK), url, JO));
    await assert.rejects(client.implicitAuthentication(config, brought, client.randomNonce(), { expectedState: state }));
  });
});

describe("a browser that is logged in", () => {
  test("is let into a second app with no page in between", async () => {
    const agent = new Agent(CALLBACK);
    const first = await codeGrant(await discover(PUBLIC, client.None()), agent, JO);
    const config = await discover(BASIC, client.ClientSecretBasic(BASIC.client_secret));
    const { url, checks } = await request(config, { prompt: "none" });
    const second = await client.authorizationCodeGrant(config, answer(await agent.open(url)), checks);
    assert.equal(second.claims().sub, first.claims().sub);
    assert.equal(second.claims().sid, first.claims().sid);
    assert.equal(second.claims().auth_time, first.claims().auth_time);
  });

  test("is asked for the password again where the app wants a fresh login", async () => {
    const agent = new Agent(CALLBACK);
    const config = await discover(PUBLIC, client.None());
    await codeGrant(config, agent, JO);
    const { url } = await request(config, { prompt: "login" });
    assert.ok(await agent.open(url) instanceof Page);
  });

  test("is logged out by the app, and stays out", async () => {
    const agent = new Agent(CALLBACK, SIGNED_OUT);
    const config = await discover(PUBLIC, client.None());
    const tokens = await codeGrant(config, agent, JO);

    let reached = await agent.open(client.buildEndSessionUrl(config, {
      id_token_hint: tokens.id_token,
      post_logout_redirect_uri: SIGNED_OUT,
      state: "after-logout",
    }));
    if (reached instanceof Page) reached = await agent.submit(reached.forms[0]);
    assert.equal(reached.url.href, `${SIGNED_OUT}?state=after-logout`);

    const { url, checks } = await request(config, { prompt: "none" });
    await assert.rejects(
      client.authorizationCodeGrant(config, answer(await agent.open(url)), checks),
      { name: "AuthorizationResponseError", error: "login_required" },
    );
  });
});

test("an unknown client is shown a page and goes nowhere", async () => {
  const config = await discover(PUBLIC, client.None());
  for (const wrong of [{ client_id: "nobody" }, { redirect_uri: "https://app.example.org/callback/other" }]) {
    const { url } = await request(config, wrong);
    const reached = await new Agent("https://").open(url);
    assert.ok(reached instanceof Page);
    assert.equal(reached.status, 400);
  }
});
