// oidc-client-ts in a browser, set up as docs/logout.md says, its user in the storage that all tabs of the app share: renewal by refresh token, also
// where tabs meet and answers are lost, and logouts that another tab or another app begins.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { PATIENCE_MS } from "./harness/chromium.js";
import { browserApp } from "./harness/clients.js";
import { snippet } from "./harness/guide.js";
import { withBrowser } from "./harness/neighborhood.js";
import { JO } from "./harness/people.js";
import { freePorts } from "./harness/ports.js";
import { FILES } from "./harness/sample_app.js";
import { startStand } from "./harness/stand.js";
import { logIn } from "./harness/steps.js";
import { startWebApp } from "./harness/web_app.js";

const PAGE = '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Tabs</title><link rel="icon" href="data:,"></head>'
  + '<body><h1 hidden></h1><script src="oidc.js"></script><script src="app.js"></script></body></html>';

const script = (issuer, settings) => `
const { UserManager, WebStorageStateStore } = oidc;
${settings}
function show(text) {
  document.querySelector("h1").textContent = text;
  document.querySelector("h1").hidden = false;
}
function showSignedOut() {
  show("Signed out");
}
async function works() {
  const { access_token: token } = await manager.getUser();
  const answer = await fetch(${JSON.stringify(`${issuer}/userinfo`)}, { headers: { Authorization: "Bearer " + token } });
  return answer.ok;
}
(async () => {
  const query = new URLSearchParams(location.search);
  if (query.has("state")) {
    await (query.has("code") ? manager.signinRedirectCallback() : manager.signoutRedirectCallback());
    history.replaceState(null, "", "/");
  }
  if (await manager.getUser()) show("Signed in");
  else showSignedOut();
})();
`;

let stand;
let server;
let notes;
let address;
before(async () => {
  const [port, notesPort] = await freePorts(2);
  address = `http://localhost:${port}`;
  const registration = browserApp("tabs", address, { redirect_uris: [`${address}/`] });
  const notesAddress = `http://127.0.0.1:${notesPort}`;
  const notesRegistration = browserApp("notes", notesAddress);
  stand = await startStand({ clients: [registration, notesRegistration], linked: true });
  notes = await startWebApp({ issuer: stand.issuer, registration: notesRegistration, address: notesAddress });
  const settings = await snippet("js", "new UserManager({", {
    "https://login.example.org": stand.issuer,
    "https://board.example.org": address,
    '"board"': '"tabs"',
    // With `renew` minutes before the end: a token that was just issued is due.
    "userStore:": 'accessTokenExpiringNotificationTimeInSeconds: location.search === "?renew" ? 3600 * 24 : 60,\n  userStore:',
  });
  const library = await readFile(join(FILES, "oidc-client-ts.min.js"));
  const files = { "/": ["text/html", PAGE], "/oidc.js": ["text/javascript", library], "/app.js": ["text/javascript", script(stand.issuer, settings)] };
  server = createServer((request, response) => {
    const [type, body] = files[new URL(request.url, address).pathname] ?? ["text/plain", ""];
    response.writeHead(200, { "Content-Type": `${type}; charset=utf-8` }).end(body);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
});
after(async () => {
  server?.closeAllConnections();
  server?.close();
  for (const started of [notes, stand]) await started?.stop();
});

async function shows(chromium, text) {
  const says = async () => await chromium.text("h1") === text;
  await chromium.driver.wait(says, PATIENCE_MS).catch(async () => { throw new Error(`does not show ${text}, but ${await chromium.where()}`); });
}

async function openApp(chromium, query = "") {
  await chromium.open(`${address}/${query}`);
  await shows(chromium, "Signed in");
}

async function signIn(chromium) {
  await chromium.open(`${address}/`);
  await shows(chromium, "Signed out");
  await chromium.driver.executeScript("manager.signinRedirect();");
  await logIn(chromium, JO);
  await chromium.arrivesAt(`${address}/`);
  await shows(chromium, "Signed in");
}

// The tab that the person is signed in at, and another of the same app.
async function twoTabs(chromium) {
  await signIn(chromium);
  const first = await chromium.driver.getWindowHandle();
  await chromium.driver.switchTo().newWindow("tab");
  await openApp(chromium);
  return [first, await chromium.driver.getWindowHandle()];
}

// As it is stored: to ask the library for its user makes it look anew whether the token is due.
const accessToken = ({ driver }) => driver.executeScript(`
  const key = Object.keys(localStorage).find((name) => name.startsWith("oidc.user:"));
  return JSON.parse(localStorage.getItem(key)).access_token;`);

// Renews in each tab; the requests reach Portico together. Answers what came of it: a token, or what went wrong.
async function renewTogether({ driver }, tabs) {
  stand.link.gather(tabs.length);
  for (const tab of tabs) {
    await driver.switchTo().window(tab);
    await driver.executeScript("window.renewal = manager.signinSilent().then((user) => user.access_token, (error) => error.name);");
  }
  const outcomes = [];
  for (const tab of tabs) {
    await driver.switchTo().window(tab);
    outcomes.push(await driver.executeScript("return window.renewal;"));
  }
  return outcomes;
}

async function renewEach({ driver }, tabs) {
  for (const tab of tabs) {
    await driver.switchTo().window(tab);
    await driver.executeScript("return manager.signinSilent().then(() => null);");
    assert.ok(await driver.executeScript("return works();"));
  }
}

// What was asked since the test began to renew; the login is over by then.
const renewals = () => stand.link.asked.filter(({ form }) => form.get("grant_type") === "refresh_token");
beforeEach(() => {
  stand.link.asked = [];
  stand.link.lose(0);
  stand.link.gather(0);
});

// All were asked with one refresh token, and Portico has answered each, whatever became of the answer.
function haveOneToken(asked) {
  assert.equal(new Set(asked.map(({ form }) => form.get("refresh_token"))).size, 1);
  assert.deepEqual(asked.map(({ status }) => status), asked.map(() => 200));
}

// The console names each answer that was lost, and nothing else.
async function complainsOfLost(chromium) {
  const lost = stand.link.asked.filter((ask) => ask.lost).length;
  const complaints = await chromium.complaints();
  assert.equal(complaints.length, lost, complaints.join("\n"));
  for (const complaint of complaints) assert.match(complaint, /\/token - Failed to load resource: net::ERR_/);
}

test("two tabs that renew at the same moment both go on with tokens that work", withBrowser(async (chromium) => {
  const tabs = await twoTabs(chromium);
  const first = await accessToken(chromium);
  for (const token of await renewTogether(chromium, tabs)) {
    assert.match(token, /^ey/);
    assert.notEqual(token, first);
  }
  assert.equal(renewals().length, 2);
  haveOneToken(renewals());
  // Neither has ended the other's: both renew once more, one after the other.
  await renewEach(chromium, tabs);
}));

test("two tabs whose answers are both lost try again at the same moment, and go on", withBrowser(async (chromium) => {
  const tabs = await twoTabs(chromium);
  const first = await accessToken(chromium);
  stand.link.lose(2);
  assert.deepEqual(await renewTogether(chromium, tabs), ["TypeError", "TypeError"]);
  assert.equal(await accessToken(chromium), first);
  for (const token of await renewTogether(chromium, tabs)) assert.match(token, /^ey/);
  assert.deepEqual(renewals().map(({ lost }) => lost), [true, true, false, false]);
  haveOneToken(renewals());
  await renewEach(chromium, tabs);
  await complainsOfLost(chromium);
}));

test("of two tabs one loses its answer, and both go on", withBrowser(async (chromium) => {
  const tabs = await twoTabs(chromium);
  stand.link.lose(1);
  const outcomes = await renewTogether(chromium, tabs);
  assert.equal(outcomes.filter((outcome) => outcome === "TypeError").length, 1);
  haveOneToken(renewals());
  await renewEach(chromium, tabs);
  await complainsOfLost(chromium);
}));

test("a lost answer and a server that starts anew sign nobody out", withBrowser(async (chromium) => {
  await signIn(chromium);
  stand.link.lose(1);
  assert.deepEqual(await renewTogether(chromium, [await chromium.driver.getWindowHandle()]), ["TypeError"]);
  await stand.restart();
  const [token] = await renewTogether(chromium, [await chromium.driver.getWindowHandle()]);
  assert.match(token, /^ey/);
  assert.deepEqual(renewals().map(({ lost }) => lost), [true, false]);
  haveOneToken(renewals());
  assert.ok(await chromium.driver.executeScript("return works();"));
  await renewEach(chromium, [await chromium.driver.getWindowHandle()]);
  await complainsOfLost(chromium);
}));

test("the library renews by itself before the token ends", withBrowser(async (chromium) => {
  await signIn(chromium);
  const first = await accessToken(chromium);
  await openApp(chromium, "?renew");
  await chromium.driver.wait(async () => await accessToken(chromium) !== first, PATIENCE_MS);
  assert.ok(await chromium.driver.executeScript("return works();"));
}));

test("the app tries again by itself what was lost", withBrowser(async (chromium) => {
  await signIn(chromium);
  const first = await accessToken(chromium);
  stand.link.lose(1);
  await openApp(chromium, "?renew");
  await chromium.driver.wait(async () => await accessToken(chromium) !== first, PATIENCE_MS);
  const [lost, again] = renewals();
  assert.deepEqual([lost.lost, again.lost], [true, false]);
  haveOneToken([lost, again]);
  assert.ok(await chromium.driver.executeScript("return works();"));
  assert.equal(await chromium.text("h1"), "Signed in");
  await complainsOfLost(chromium);
}));

test("a logout in one tab is noticed in the other", withBrowser(async (chromium) => {
  const [first, second] = await twoTabs(chromium);
  // The page says so before it leaves.
  await chromium.leaving(() => chromium.driver.executeScript("manager.signoutRedirect();"));
  await chromium.arrivesAt(`${address}/`);
  await shows(chromium, "Signed out");
  await chromium.driver.switchTo().window(first);
  await shows(chromium, "Signed out");
  assert.equal(await chromium.driver.executeScript("return manager.getUser();"), null);
  assert.deepEqual(renewals(), []);
  // It was no matter of the app alone: nobody is signed in at Portico.
  await chromium.driver.switchTo().window(second);
  await chromium.open(`${notes.address}/login?prompt=none`);
  await chromium.arrivesAt(notes.address);
  assert.equal(await chromium.text("#error"), "login_required");
}));

test("a logout at another app is noticed at the next renewal", withBrowser(async (chromium) => {
  await signIn(chromium);
  await chromium.open(`${notes.address}/login`);
  await chromium.arrivesAt(`${notes.address}/`);
  await chromium.open(`${notes.address}/logout`);
  await chromium.arrivesAt(`${notes.address}/`);
  // Until then the app knows nothing.
  await openApp(chromium);
  await chromium.open(`${address}/?renew`);
  await shows(chromium, "Signed out");
  assert.deepEqual(renewals().map(({ status }) => status), [400]);
  assert.equal(await chromium.driver.executeScript("return manager.getUser();"), null);
}));
