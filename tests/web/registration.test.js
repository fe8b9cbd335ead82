// openid-client 6 registers itself (RFC 7591), and logs people in as the client that it has become.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as client from "openid-client";
import { Agent } from "./harness/agent.js";
import { CALLBACK, PUBLIC } from "./harness/clients.js";
import { logIn } from "./harness/login.js";
import { JO } from "./harness/people.js";
import { startStand } from "./harness/stand.js";

let stand;
before(async () => { stand = await startStand({ clients: [PUBLIC], sections: { registration: { mode: "open" } } }); });
after(() => stand?.stop());

async function register(metadata, authentication) {
  return client.dynamicClientRegistration(new URL(stand.issuer), { redirect_uris: [CALLBACK], ...metadata }, authentication, {
    execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
  });
}

async function loginOf(config) {
  const checks = {
    pkceCodeVerifier: client.randomPKCECodeVerifier(),
    expectedNonce: client.randomNonce(),
    expectedState: client.randomState(),
    idTokenExpected: true,
  };
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: CALLBACK,
    scope: "openid profile",
    code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
    code_challenge_method: "S256",
    nonce: checks.expectedNonce,
    state: checks.expectedState,
  });
  const { url: answer } = await logIn(new Agent(CALLBACK), url, JO);
  return client.authorizationCodeGrant(config, answer, checks);
}

describe("a client that registers itself", () => {
  test("gets a secret, and logs somebody in with it", async () => {
    const config = await register({ client_name: "Registered by a library", token_endpoint_auth_method: "client_secret_basic" }, client.ClientSecretBasic());
    assert.ok(config.clientMetadata().client_secret);
    const tokens = await loginOf(config);
    assert.equal(tokens.claims().aud, config.clientMetadata().client_id);
  });

  test("without a secret logs somebody in by PKCE, and is given refresh tokens", async () => {
    const config = await register({ token_endpoint_auth_method: "none", grant_types: ["authorization_code", "refresh_token"] }, client.None());
    assert.equal(config.clientMetadata().client_secret, undefined);
    const tokens = await loginOf(config);
    const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token);
    assert.equal(refreshed.claims().sub, tokens.claims().sub);
  });

  test("is told what is wrong with what it asks for", async () => {
    await assert.rejects(register({ redirect_uris: ["https://app.example.org/#x"] }, client.None()), (error) => {
      assert.equal(error.error, "invalid_redirect_uri");
      assert.match(error.error_description, /redirect_uris\[0\]/);
      return true;
    });
  });
});
