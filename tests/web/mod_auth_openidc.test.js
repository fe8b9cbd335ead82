// mod_auth_openidc on Debian's Apache: login, its own logout, and logouts that begin at another app, by the back and the front channel.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startApache } from "./harness/apache.js";
import { browserApp } from "./harness/clients.js";
import { withBrowser } from "./harness/neighborhood.js";
import { JO } from "./harness/people.js";
import { freePorts } from "./harness/ports.js";
import { startStand } from "./harness/stand.js";
import { logIn } from "./harness/steps.js";
import { startWebApp } from "./harness/web_app.js";

const PATIENCE_MS = 10_000;

let stand;
let apache;
let notes;
// One site is told by the server, the other by the browser.
let told;
let framed;

function site(name, port, logout) {
  // 127.0.0.1 is another site than Portico's localhost, as an app usually is.
  const address = `http://127.0.0.1:${port}`;
  const callback = `${address}/protected/callback`;
  const registration = browserApp(name, address, {
    token_endpoint_auth_method: "client_secret_basic",
    client_secret: `a-secret-of-${name}-7`,
    redirect_uris: [callback],
    ...logout(callback),
  });
  return { address, registration };
}

before(async () => {
  const [first, second, third] = await freePorts(3);
  told = site("told", first, (callback) => ({ backchannel_logout_uri: `${callback}?logout=backchannel` }));
  framed = site("framed", second, (callback) => ({ frontchannel_logout_uri: `${callback}?logout=get` }));
  const address = `http://127.0.0.1:${third}`;
  const registration = browserApp("notes", address);
  stand = await startStand({
    clients: [told.registration, framed.registration, registration],
    sections: { outbound: { allow_hosts: ["127.0.0.1"] } },
  });
  apache = await startApache({ issuer: stand.issuer, sites: [told, framed] });
  notes = await startWebApp({ issuer: stand.issuer, registration, address });
});
after(async () => {
  for (const started of [notes, apache, stand]) await started?.stop();
});

async function signIn(chromium, { address }) {
  await chromium.open(`${address}/protected/`);
  await logIn(chromium, JO);
  await chromium.arrivesAt(`${address}/protected/`);
  assert.equal(await chromium.text("h1"), `Signed in as ${JO.name}`);
}

async function signOutOfNotes(chromium) {
  await chromium.open(`${notes.address}/login`);
  await chromium.arrivesAt(`${notes.address}/`);
  await chromium.open(`${notes.address}/logout`);
  await chromium.arrivesAt(`${notes.address}/`);
  assert.equal(await chromium.text("h1"), "Signed out");
}

// Without a session the site sends the browser to log in again.
async function isSignedIn(chromium, { address }) {
  await chromium.open(`${address}/protected/`);
  return (await chromium.url()).startsWith(address);
}

test("a protected page shows what Portico says of the person", withBrowser(async (chromium) => {
  await signIn(chromium, told);
  assert.equal(await chromium.text("#email"), JO.email);
  const [sub, issuer] = (await chromium.text("#user")).split("@");
  assert.ok(sub);
  assert.equal(issuer, stand.issuer);
  assert.ok(await isSignedIn(chromium, told));
}));

test("a logout at another app ends its session by the back channel", withBrowser(async (chromium) => {
  await signIn(chromium, told);
  await signOutOfNotes(chromium);
  await chromium.driver.wait(async () => !await isSignedIn(chromium, told), PATIENCE_MS);
}));

test("a logout at another app ends its session by the front channel", withBrowser(async (chromium) => {
  await signIn(chromium, framed);
  await signOutOfNotes(chromium);
  assert.ok(!await isSignedIn(chromium, framed));
  // The site lets nobody show its answer, which is made all the same.
  const complaints = await chromium.complaints();
  assert.equal(complaints.length, 1);
  assert.match(complaints[0], /Refused to display .* in a frame because it set 'X-Frame-Options' to 'deny'/);
}));

test("the logout of mod_auth_openidc ends the session at Portico, too", withBrowser(async (chromium) => {
  await signIn(chromium, told);
  await chromium.open(`${told.address}/protected/callback?logout=${encodeURIComponent(`${told.address}/`)}`);
  await chromium.arrivesAt(`${told.address}/`);
  assert.equal(await chromium.text("h1"), "Signed out");
  await chromium.open(`${notes.address}/login?prompt=none`);
  await chromium.arrivesAt(notes.address);
  assert.equal(await chromium.text("#error"), "login_required");
}));
