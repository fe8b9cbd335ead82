// A client for each way to authenticate, and each algorithm of those that sign, registered for every grant; what the two libraries call
// that way; and the app whose tokens an API exchanges.
import * as oauth from "oauth4webapi";
import * as client from "openid-client";
import { API, CALLBACK } from "./clients.js";

export const DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code";
export const TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
export const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
export const NEXT_API = "https://stock.example.org/";

// As the libraries call them; `EdDSA` is what a registration calls the last.
export const ALGORITHMS = { RS256: "RS256", PS256: "PS256", ES256: "ES256", Ed25519: "EdDSA" };

const SECRETS = ["client_secret_basic", "client_secret_post", "client_secret_jwt"];
const OF_SECRETS = {
  client_secret_basic: [client.ClientSecretBasic, oauth.ClientSecretBasic],
  client_secret_post: [client.ClientSecretPost, oauth.ClientSecretPost],
  client_secret_jwt: [client.ClientSecretJwt, oauth.ClientSecretJwt],
};

export const METHODS = ["none", ...SECRETS, ...Object.keys(ALGORITHMS).map((algorithm) => `private_key_jwt ${algorithm}`)];

// An app with no secret, whose access tokens the others exchange.
export const FRONT = {
  client_id: "front-app",
  token_endpoint_auth_method: "none",
  grant_types: ["authorization_code"],
  redirect_uris: [CALLBACK],
  scope: "openid reports:read",
  audience: [API],
};

function registration(method, more) {
  const isPublic = method === "none";
  const grants = ["authorization_code", "refresh_token", DEVICE_CODE];
  return {
    client_id: `by-${method.replaceAll("_", "-").replaceAll(" ", "-").toLowerCase()}`,
    token_endpoint_auth_method: method.split(" ")[0],
    grant_types: isPublic ? grants : [...grants, "client_credentials", "password", TOKEN_EXCHANGE],
    scope: "openid profile email offline_access reports:read",
    redirect_uris: [CALLBACK],
    ...(!isPublic && { exchange: { audiences: [NEXT_API], own_audiences: [API], from_clients: [FRONT.client_id], impersonation: true } }),
    ...more,
  };
}

// Each method's registration, and what the libraries authenticate with.
export async function makeMethods() {
  const methods = { none: { registration: registration("none"), openid: client.None(), oauth: oauth.None() } };
  for (const method of SECRETS) {
    const secret = `a-secret-for-${method}-that-is-long-enough`;
    const [openid, plain] = OF_SECRETS[method];
    methods[method] = { registration: registration(method, { client_secret: secret }), openid: openid(secret), oauth: plain(secret) };
  }
  for (const [algorithm, registered] of Object.entries(ALGORITHMS)) {
    const method = `private_key_jwt ${algorithm}`;
    const { privateKey, publicKey } = await oauth.generateKeyPair(algorithm, { extractable: true });
    const own = { key: privateKey, kid: "1" };
    const jwks = { keys: [{ ...await crypto.subtle.exportKey("jwk", publicKey), kid: "1" }] };
    methods[method] = {
      // Whatever is signed for this client is signed so, too.
      registration: registration(method, { jwks, id_token_signed_response_alg: registered, userinfo_signed_response_alg: registered }),
      openid: client.PrivateKeyJwt(own),
      oauth: oauth.PrivateKeyJwt(own),
      own,
    };
  }
  return methods;
}
