// A device without a browser, played by openid-client, and the person who lets it in from theirs (RFC 8628).
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as client from "openid-client";
import { audit } from "./harness/audit.js";
import { withBrowser } from "./harness/neighborhood.js";
import { JO } from "./harness/people.js";
import { startStand } from "./harness/stand.js";
import { decide, logIn } from "./harness/steps.js";

const DEVICE = {
  client_id: "hall-screen",
  client_name: "The screen in the hall",
  token_endpoint_auth_method: "none",
  grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
  scope: "openid profile offline_access",
};

let stand;
let config;
before(async () => {
  stand = await startStand({ clients: [DEVICE] });
  config = await client.discovery(new URL(stand.issuer), DEVICE.client_id, undefined, client.None(), {
    execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
  });
});
after(() => stand?.stop());

async function flawless(chromium, name) {
  assert.deepEqual(await audit(chromium, name), []);
}

// The question names the code, for the person to hold against the device's.
async function shows(chromium, code) {
  await chromium.find("button[name=decision]");
  assert.match(await (await chromium.find("main")).getText(), new RegExp(code));
}

test("a device is let in with the code that it shows", withBrowser(async (chromium) => {
  const started = await client.initiateDeviceAuthorization(config, { scope: "openid profile offline_access" });
  const waiting = client.pollDeviceAuthorizationGrant(config, started);
  await chromium.open(started.verification_uri);
  await chromium.fill("input[name=user_code]", "BBBB-BBBB");
  await chromium.leaving(() => chromium.submit("input[name=user_code]"));
  await chromium.find("[role=alert]");
  await flawless(chromium, "device-unknown");
  await chromium.fill("input[name=user_code]", started.user_code.toLowerCase());
  await chromium.leaving(() => chromium.submit("input[name=user_code]"));
  await logIn(chromium, JO);
  await shows(chromium, started.user_code);
  await flawless(chromium, "device-confirm");
  await decide(chromium, "allow");
  await flawless(chromium, "device-done");
  const tokens = await waiting;
  assert.equal(tokens.claims().aud, DEVICE.client_id);
  const person = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
  assert.equal(person.name, JO.name);
  const fresh = await client.refreshTokenGrant(config, tokens.refresh_token);
  assert.equal(fresh.claims().sub, tokens.claims().sub);
}));

test("a device that the person does not know is told no", withBrowser(async (chromium) => {
  const started = await client.initiateDeviceAuthorization(config, {});
  const refused = assert.rejects(client.pollDeviceAuthorizationGrant(config, started), { error: "access_denied" });
  await chromium.open(started.verification_uri_complete);
  await flawless(chromium, "device");
  await chromium.leaving(() => chromium.submit("input[name=user_code]"));
  await logIn(chromium, JO);
  await shows(chromium, started.user_code);
  await decide(chromium, "deny");
  await flawless(chromium, "device-denied");
  await refused;
}));
