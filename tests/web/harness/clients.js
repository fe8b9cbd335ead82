// The registrations that the tests log in through. Nothing listens at example.org: the agent stops where it would be sent.

const USER_SCOPE = "openid profile email offline_access";
const USER_GRANTS = ["authorization_code", "refresh_token"];

export const CALLBACK = "https://app.example.org/callback";
export const SIGNED_OUT = "https://app.example.org/signed-out";

const user = (registration) => ({
  grant_types: USER_GRANTS,
  scope: USER_SCOPE,
  redirect_uris: [CALLBACK],
  post_logout_redirect_uris: [SIGNED_OUT],
  ...registration,
});

export const PUBLIC = user({ client_id: "public-app", token_endpoint_auth_method: "none" });

export const BASIC = user({
  client_id: "basic-app+1",
  client_secret: "a secret: with +%& that Basic must carry, 1",
  token_endpoint_auth_method: "client_secret_basic",
});

// Authlib puts both halves into the header as they are, and not encoded as a form first (RFC 6749 section 2.3.1). Both ways are
// the same for letters, digits, "-" and "_", which is what `portico client secret` makes.
export const UNRESERVED = user({
  client_id: "unreserved-app",
  client_secret: "a-secret-that-no-encoding-changes-5",
  token_endpoint_auth_method: "client_secret_basic",
});

export const POST = user({
  client_id: "post-app",
  client_secret: "a secret that a form carries, number 2",
  token_endpoint_auth_method: "client_secret_post",
});

// The hybrid type, for software that cannot do without.
export const HYBRID = user({
  client_id: "hybrid-app",
  client_secret: "a-secret-of-software-that-is-old-4",
  token_endpoint_auth_method: "client_secret_post",
  response_types: ["code id_token"],
  claims: {
    external_id: { claim: "sub" },
    email: { claim: "email" },
    staff: { upstream: "staff", value: "1" },
  },
});

// Everything by the browser, for software that knows nothing else.
export const IMPLICIT = user({
  client_id: "implicit-app",
  token_endpoint_auth_method: "none",
  grant_types: ["implicit"],
  response_types: ["id_token", "id_token token"],
  scope: "openid profile email",
});

export const CONSENTED = user({
  client_id: "consent-app",
  client_name: "Reading Room",
  client_uri: "https://app.example.org/",
  token_endpoint_auth_method: "none",
  consent: "once",
});

export const API = "https://api.example.org/";

export const SERVICE = {
  client_id: "night-job",
  client_secret: "a-secret-of-a-server-with-no-user-3",
  token_endpoint_auth_method: "client_secret_basic",
  grant_types: ["client_credentials"],
  scope: "reports:read reports:write",
  audience: [API],
};

export const ALL = [PUBLIC, BASIC, UNRESERVED, POST, HYBRID, IMPLICIT, CONSENTED, SERVICE];

// An app that runs in the test, for Chromium to be sent back to.
export const browserApp = (name, address, registration = {}) => user({
  client_id: name,
  client_name: `The ${name} app`,
  client_uri: `${address}/`,
  initiate_login_uri: `${address}/login`,
  token_endpoint_auth_method: "none",
  redirect_uris: [`${address}/callback`],
  post_logout_redirect_uris: [`${address}/`],
  ...registration,
});
