// mod_auth_openidc on Debian's Apache, behind TLS with a certificate of the organization's own: login, its own logout, and logouts that begin at another app, by the back and the front channel.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startApache } from "./harness/apache.js";
import { certify } from "./harness/certificate.js";
import { PATIENCE_MS } from "./harness/chromium.js";
import { browserApp } from "./harness/clients.js";
import * as neighborhood from "./harness/neighborhood.js";
import { JO } from "./harness/people.js";
import { freePorts } from "./harness/ports.js";
import { startStand } from "./harness/stand.js";
import { logIn } from "./harness/steps.js";
import { startWebApp } from "./harness/web_app.js";

let stand;
let apache;
let notes;
let certificate;
// One site is told by the server, the others by the browser; one of these keeps the session in the browser's cookie alone.
let told;
let framed;
let stateless;

const withBrowser = (work, options = {}) => neighborhood.withBrowser(work, () => ({ trusted: certificate.pem, ...options }));

function site(name, port, logout, instead) {
  // 127.0.0.1 is another site than Portico's localhost, as an app usually is.
  const address = `https://127.0.0.1:${port}`;
  const callback = `${address}/protected/callback`;
  const registration = browserApp(name, address, {
    token_endpoint_auth_method: "client_secret_basic",
    client_secret: `a-secret-of-${name}-7`,
    redirect_uris: [callback],
    ...logout(callback),
  });
  return { address, registration, instead };
}

before(async () => {
  const [first, second, third, fourth] = await freePorts(4);
  certificate = await certify();
  told = site("told", first, (callback) => ({ backchannel_logout_uri: `${callback}?logout=backchannel` }));
  const byFrame = (callback) => ({ frontchannel_logout_uri: `${callback}?logout=get` });
  framed = site("framed", second, byFrame);
  stateless = site("stateless", fourth, byFrame, { "OIDCSessionType server-cache": "OIDCSessionType client-cookie" });
  const address = `http://127.0.0.1:${third}`;
  const registration = browserApp("notes", address);
  stand = await startStand({
    clients: [told.registration, framed.registration, stateless.registration, registration],
    sections: { outbound: { allow_hosts: ["127.0.0.1"], extra_ca: ["authority.pem"] } },
    files: { "authority.pem": certificate.authority },
  });
  apache = await startApache({ issuer: stand.issuer, sites: [told, framed, stateless], certificate });
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

async function endsByFrame(chromium, site) {
  assert.ok(await isSignedIn(chromium, site));
  await signOutOfNotes(chromium);
  assert.ok(!await isSignedIn(chromium, site));
  // The site lets nobody show its answer, which is made all the same. The console may say so, unless the page has gone on by then.
  const complaints = await chromium.complaints();
  assert.ok(complaints.length <= 1, complaints.join("\n"));
  for (const complaint of complaints) assert.match(complaint, /Refused to display .* in a frame because it set 'X-Frame-Options' to 'deny'/);
}

const cookieOf = async (chromium) => (await chromium.driver.manage().getCookies()).find(({ name }) => name === "mod_auth_openidc_session");

// The frame has no cookie in it: `sid` in the query says which session of the server's cache it is.
test("a logout at another app ends its session by the front channel", withBrowser(async (chromium) => {
  await signIn(chromium, framed);
  await endsByFrame(chromium, framed);
}));

// `sid` says nothing to a site that keeps nothing. The frame has the cookie, for over TLS it is for all sites, and the browser lets it.
test("a logout at another app ends a session that is all in the cookie", withBrowser(async (chromium) => {
  await signIn(chromium, stateless);
  const { secure, sameSite } = await cookieOf(chromium);
  assert.deepEqual({ secure, sameSite }, { secure: true, sameSite: "None" });
  await endsByFrame(chromium, stateless);
  await chromium.open(`${stateless.address}/`);
  assert.equal(await chromium.text("h1"), "Signed out");
  assert.equal(await cookieOf(chromium), undefined);
}, { thirdPartyCookies: true }));

test("the logout of mod_auth_openidc ends the session at Portico, too", withBrowser(async (chromium) => {
  await signIn(chromium, told);
  await chromium.open(`${told.address}/protected/callback?logout=${encodeURIComponent(`${told.address}/`)}`);
  await chromium.arrivesAt(`${told.address}/`);
  assert.equal(await chromium.text("h1"), "Signed out");
  await chromium.open(`${notes.address}/login?prompt=none`);
  await chromium.arrivesAt(notes.address);
  assert.equal(await chromium.text("#error"), "login_required");
}));
