// oauth4webapi and openid-client with pushed requests (RFC 9126) and proofs of possession (RFC 9449), which both make themselves,
// once as they come and once with nonces asked for.
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
const REGISTRATIONS = [PUBLIC, BASIC].map((registration) => ({
  ...registration,
  dpop_bound_access_tokens: true,
  require_pushed_authorization_requests: true,
}));

// The library keeps the nonce that it is told, and tries once more.
async function withNonce(attempt) {
  try {
    return await attempt();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return attempt();
  }
}

for (const required of [false, true]) {
  describe(required ? "with nonces" : "without nonces", () => {
    let stand;
    before(async () => {
      stand = await startStand({ clients: REGISTRATIONS, sections: { dpop: { require_nonce: required } } });
    });
    after(() => stand?.stop());

    for (const registration of REGISTRATIONS) {
      const id = registration.client_id;
      const isPublic = registration.client_secret === undefined;

      test(`openid-client: ${id} pushes, logs in, calls and renews`, async () => {
        const authentication = isPublic ? client.None() : client.ClientSecretBasic(registration.client_secret);
        const config = await client.discovery(new URL(stand.issuer), id, undefined, authentication, {
          execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
        });
        const keys = await client.randomDPoPKeyPair("ES256");
        const DPoP = client.getDPoPHandle(config, keys);
        const pkceCodeVerifier = client.randomPKCECodeVerifier();
        const [expectedNonce, expectedState] = [client.randomNonce(), client.randomState()];
        const url = await client.buildAuthorizationUrlWithPAR(config, {
          redirect_uri: CALLBACK,
          scope: "openid email offline_access",
          code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
          code_challenge_method: "S256",
          nonce: expectedNonce,
          state: expectedState,
        }, { DPoP });
        assert.deepEqual([...url.searchParams.keys()].sort(), ["client_id", "request_uri"]);
        const reached = await logIn(new Agent(CALLBACK), url, JO);
        const checks = { pkceCodeVerifier, expectedNonce, expectedState, idTokenExpected: true };
        let tokens = await client.authorizationCodeGrant(config, reached.url, checks, undefined, { DPoP });
        assert.equal(tokens.token_type, "dpop");
        const { sub } = tokens.claims();
        for (let round = 0; round < 2; round += 1) {
          const userinfo = await client.fetchUserInfo(config, tokens.access_token, sub, { DPoP });
          assert.equal(userinfo.email, JO.email);
          tokens = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
          assert.equal(tokens.token_type, "dpop");
        }
        const thief = client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256"));
        const stolen = client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP: thief });
        if (isPublic) await assert.rejects(stolen, { error: "invalid_grant" });
        else assert.equal((await stolen).token_type, "dpop");
      });

      test(`oauth4webapi: ${id} pushes, logs in and calls, with every algorithm of the metadata that the platform has`, async () => {
        const issuer = new URL(stand.issuer);
        const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, INSECURE));
        const authentication = isPublic ? oauth.None() : oauth.ClientSecretBasic(registration.client_secret);
        for (const algorithm of server.dpop_signing_alg_values_supported) {
          if (algorithm === "EdDSA") continue; // The other name of Ed25519, which the library knows alone.
          const DPoP = oauth.DPoP(registration, await oauth.generateKeyPair(algorithm));
          const options = { DPoP, ...INSECURE };
          const verifier = oauth.generateRandomCodeVerifier();
          const [nonce, state] = [oauth.generateRandomNonce(), oauth.generateRandomState()];
          const parameters = new URLSearchParams({
            response_type: "code",
            redirect_uri: CALLBACK,
            scope: "openid email",
            code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
            code_challenge_method: "S256",
            nonce,
            state,
          });
          const pushed = await withNonce(async () => {
            const response = await oauth.pushedAuthorizationRequest(server, registration, authentication, parameters, options);
            return oauth.processPushedAuthorizationResponse(server, registration, response);
          });
          const url = new URL(server.authorization_endpoint);
          url.search = new URLSearchParams({ client_id: id, request_uri: pushed.request_uri });
          const reached = await logIn(new Agent(CALLBACK), url, JO);
          const answered = oauth.validateAuthResponse(server, registration, reached.url, state);
          const tokens = await withNonce(async () => {
            const response = await oauth.authorizationCodeGrantRequest(server, registration, authentication, answered, CALLBACK, verifier, options);
            return oauth.processAuthorizationCodeResponse(server, registration, response, { expectedNonce: nonce, requireIdToken: true });
          });
          assert.equal(tokens.token_type, "dpop");
          const { sub } = oauth.getValidatedIdTokenClaims(tokens);
          const userinfo = await withNonce(async () => {
            const response = await oauth.userInfoRequest(server, registration, tokens.access_token, options);
            return oauth.processUserInfoResponse(server, registration, sub, response);
          });
          assert.equal(userinfo.email, JO.email);
          const plain = await oauth.userInfoRequest(server, registration, tokens.access_token, INSECURE);
          await assert.rejects(oauth.processUserInfoResponse(server, registration, sub, plain));
        }
      });
    }
  });
}
