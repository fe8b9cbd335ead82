// oauth4webapi as a relying party that signs: its assertions and its request objects, with each algorithm that Portico verifies.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as oauth from "oauth4webapi";
import { Agent } from "./harness/agent.js";
import { CALLBACK } from "./harness/clients.js";
import { logIn } from "./harness/login.js";
import { JO } from "./harness/people.js";
import { startStand } from "./harness/stand.js";

const INSECURE = { [oauth.allowInsecureRequests]: true };
const ALGORITHMS = ["RS256", "PS256", "ES256", "Ed25519"];
const SECRET = "a-secret-that-signs-and-is-never-sent-6";
const GRANT = { grant_types: ["authorization_code", "client_credentials"], scope: "openid reports:read", redirect_uris: [CALLBACK] };

const keys = {};
let stand;
let server;
before(async () => {
  const clients = [{ client_id: "shared", client_secret: SECRET, token_endpoint_auth_method: "client_secret_jwt", ...GRANT }];
  for (const algorithm of ALGORITHMS) {
    keys[algorithm] = await oauth.generateKeyPair(algorithm, { extractable: true });
    const jwk = await crypto.subtle.exportKey("jwk", keys[algorithm].publicKey);
    const jwks = { keys: [{ ...jwk, kid: "1" }] };
    clients.push({ client_id: `signing-${algorithm}`, token_endpoint_auth_method: "private_key_jwt", jwks, ...GRANT });
  }
  stand = await startStand({ clients });
  const issuer = new URL(stand.issuer);
  server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, INSECURE));
});
after(() => stand?.stop());

async function ask(client, authentication) {
  const response = await oauth.clientCredentialsGrantRequest(server, client, authentication, { scope: "reports:read" }, INSECURE);
  return oauth.processClientCredentialsResponse(server, client, response);
}

for (const algorithm of ALGORITHMS) {
  const client = { client_id: `signing-${algorithm}` };
  const own = () => ({ key: keys[algorithm].privateKey, kid: "1" });

  test(`a client proves itself with its ${algorithm} key`, async () => {
    assert.equal((await ask(client, oauth.PrivateKeyJwt(own()))).scope, "reports:read");
    const strangers = await oauth.generateKeyPair(algorithm);
    const forged = oauth.PrivateKeyJwt({ key: strangers.privateKey, kid: "1" });
    await assert.rejects(ask(client, forged), oauth.WWWAuthenticateChallengeError);
  });

  test(`a client signs its request with its ${algorithm} key`, async () => {
    const verifier = oauth.generateRandomCodeVerifier();
    const [nonce, state] = [oauth.generateRandomNonce(), oauth.generateRandomState()];
    const request = await oauth.issueRequestObject(server, client, new URLSearchParams({
      response_type: "code",
      client_id: client.client_id,
      redirect_uri: CALLBACK,
      scope: "openid",
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      nonce,
      state,
    }), own());
    const url = new URL(server.authorization_endpoint);
    url.search = new URLSearchParams({ client_id: client.client_id, request });
    const reached = await logIn(new Agent(CALLBACK), url, JO);
    const parameters = oauth.validateAuthResponse(server, client, reached.url, state);
    const response = await oauth.authorizationCodeGrantRequest(
      server, client, oauth.PrivateKeyJwt(own()), parameters, CALLBACK, verifier, INSECURE,
    );
    const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, { expectedNonce: nonce, requireIdToken: true });
    assert.ok(oauth.getValidatedIdTokenClaims(tokens).sub);
  });
}

test("a client proves itself with a JWT signed with its secret", async () => {
  const client = { client_id: "shared" };
  assert.equal((await ask(client, oauth.ClientSecretJwt(SECRET))).scope, "reports:read");
  await assert.rejects(ask(client, oauth.ClientSecretJwt(`${SECRET}7`)), oauth.WWWAuthenticateChallengeError);
  await assert.rejects(ask(client, oauth.ClientSecretPost(SECRET)), oauth.WWWAuthenticateChallengeError);
});
