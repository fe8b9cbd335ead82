// Signing off both ways, between the apps and the web site of iMIS, and signing in at the upstreams' own pages: in Chromium,
// for it alone knows which cookies and headers it sends where.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { audit } from "./harness/audit.js";
import { PATIENCE_MS } from "./harness/chromium.js";
import { startNeighborhood, withBrowser } from "./harness/neighborhood.js";
import { ANN, BO, JO } from "./harness/people.js";
import { freePorts } from "./harness/ports.js";
import { choose, confirmLogout, PASSWORD, typePassword } from "./harness/steps.js";

const LOGOUT = "/AsiCommon/Controls/Shared/FormsAuthentication/logout.aspx";
const GUIDE = new URL("../../docs/imis-sign-off.md", import.meta.url);

// Pages that an administrator puts on the web site, and those of others. The same port by two names: Portico is at localhost,
// and 127.0.0.1 is another site.
async function startPages() {
  const [port] = await freePorts(1);
  const pages = new Map();
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const page = pages.get(pathname);
    if (page?.location) return response.writeHead(302, { Location: page.location }).end();
    if (page === undefined) return response.writeHead(404).end();
    return response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" })
      .end(`<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>A page</title><link rel="icon" href="data:,"></head><body>${page}</body></html>`);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    put: (path, page) => pages.set(path, page),
    near: `http://localhost:${port}`,
    far: `http://127.0.0.1:${port}`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

let site;
let others;
let town;
let keeping;
before(async () => {
  [site, others] = [await startPages(), await startPages()];
  site.put("/bye", "<h1>Good bye</h1>");
  town = await startNeighborhood({
    members: (imis) => ({
      login: ["redirect"],
      web_base_url: site.near,
      logout_url: `${imis}${LOGOUT}?returnurl={return_url}`,
      signed_out_url: `${site.far}/bye`,
    }),
  });
  keeping = await startNeighborhood({ members: (imis) => ({ login: ["redirect"], logout_url: `${imis}${LOGOUT}` }) });
});
after(async () => {
  for (const started of [keeping, town, others, site]) await started?.stop();
});

// Logs in to the notes app at iMIS's own pages, as an app begins it.
async function logInAtImis(chromium, where) {
  await chromium.open(`${where.notes.address}/login`);
  await chromium.press(JO.label);
  const arrived = async () => (await chromium.url()).startsWith(`${where.notes.address}/`) && chromium.has("h1");
  await chromium.driver.wait(async () => await chromium.has(PASSWORD) || arrived(), PATIENCE_MS);
  // Where the web site knows the person still, a click is enough.
  if (await chromium.has(PASSWORD)) {
    assert.ok((await chromium.url()).startsWith(where.imis), "the password is typed at iMIS");
    await typePassword(chromium, JO);
  }
  // Nothing is asked on the way back: Chromium says that iMIS sent it.
  await chromium.arrivesAt(`${where.notes.address}/`);
  assert.equal(await chromium.text("h1"), `Signed in as ${JO.name}`);
}

async function isSignedInAtImis(chromium, where) {
  await chromium.open(`${where.imis}/`);
  return (await chromium.text("#who")).startsWith("You are signed in");
}

async function isSignedIn(chromium, where) {
  await chromium.open(`${where.notes.address}/login?prompt=none`);
  await chromium.arrivesAt(where.notes.address);
  return (await chromium.text("h1")).startsWith("Signed in as");
}

test("signing out of an app signs out of the iMIS web site, and comes back to the app", withBrowser(async (chromium) => {
  await logInAtImis(chromium, town);
  assert.ok(await isSignedInAtImis(chromium, town));
  await chromium.open(`${town.notes.address}/logout`);
  await confirmLogout(chromium, town.issuer);
  await chromium.arrivesAt(`${town.notes.address}/`);
  assert.equal(await chromium.text("h1"), "Signed out");
  assert.ok(!await isSignedInAtImis(chromium, town));
  assert.ok(!await isSignedIn(chromium, town));
}));

test("a sign-out that is confirmed by a click goes by iMIS, too, and needs no script", withBrowser(async (chromium) => {
  await logInAtImis(chromium, town);
  await chromium.disableScript();
  await chromium.open(`${town.issuer}/end_session`);
  await chromium.leaving(() => chromium.click("main form button"));
  await chromium.arrivesAt(`${town.issuer}/end_session/returned`);
  assert.equal(await chromium.text("h1"), "You are signed out");
  await chromium.enableScript();
  assert.ok(!await isSignedInAtImis(chromium, town));
}));

test("where iMIS keeps the browser, a page offers its sign-out and the way to the app", withBrowser(async (chromium) => {
  await logInAtImis(chromium, keeping);
  await chromium.open(`${keeping.notes.address}/logout`);
  await chromium.arrivesAt(keeping.issuer);
  assert.equal(await chromium.text("h1"), "You are signed out");
  assert.deepEqual(await audit(chromium, "logged-out-elsewhere"), []);
  const { driver } = chromium;
  const ours = await driver.getWindowHandle();
  await chromium.press(`Sign out at ${JO.label}`);
  await driver.wait(async () => (await driver.getAllWindowHandles()).length === 2, PATIENCE_MS);
  const [theirs] = (await driver.getAllWindowHandles()).filter((handle) => handle !== ours);
  await driver.switchTo().window(theirs);
  await chromium.arrivesAt(`${keeping.imis}${LOGOUT}`);
  await driver.close();
  await driver.switchTo().window(ours);
  await chromium.press("Continue");
  await chromium.arrivesAt(`${keeping.notes.address}/`);
  assert.equal(await chromium.text("h1"), "Signed out");
  assert.ok(!await isSignedInAtImis(chromium, keeping));

  // Where no app waits, the browser stays at iMIS.
  await logInAtImis(chromium, keeping);
  await chromium.open(`${keeping.issuer}/end_session`);
  await chromium.leaving(() => chromium.click("main form button"));
  await chromium.arrivesAt(`${keeping.imis}${LOGOUT}`);
  assert.ok(!await isSignedIn(chromium, keeping));
}));

test("after signing out the login page is shown, though the iMIS web site would sign in silently", withBrowser(async (chromium) => {
  const silent = await startNeighborhood({ members: () => ({ login: ["redirect"] }) });
  try {
    await logInAtImis(chromium, silent);
    await chromium.open(`${silent.notes.address}/logout`);
    await chromium.arrivesAt(`${silent.notes.address}/`);
    assert.ok(await isSignedInAtImis(chromium, silent));
    await chromium.open(`${silent.notes.address}/login`);
    await chromium.named(JO.label);
    assert.ok((await chromium.url()).startsWith(silent.issuer));
    // One click, and no password.
    await chromium.press(JO.label);
    await chromium.arrivesAt(`${silent.notes.address}/`);
    assert.equal(await chromium.text("h1"), `Signed in as ${JO.name}`);
  } finally {
    await silent.stop();
  }
}));

test("a page of the web site that sends the browser to Portico signs out of the apps", withBrowser(async (chromium) => {
  const address = `${town.issuer}/upstream/members/signed_out`;
  const link = `<p><a href="${address}">Sign out</a></p><p><a href="/redirects">Sign out by a redirect</a></p>`;
  for (const pages of [site, others]) {
    pages.put("/", link);
    pages.put("/redirects", { location: address });
  }
  for (const [from, label] of [[site.far, "Sign out"], [site.near, "Sign out"], [site.far, "Sign out by a redirect"]]) {
    await logInAtImis(chromium, town);
    await chromium.open(from);
    await chromium.press(label);
    await chromium.arrivesAt(`${site.far}/bye`);
    assert.ok(!await isSignedIn(chromium, town), `${from} ${label}`);
  }
  // A page of somebody else's, and an address that somebody typed: the person is asked.
  await logInAtImis(chromium, town);
  for (const go of [
    async () => { await chromium.open(others.far); await chromium.press("Sign out"); },
    async () => { await chromium.open(others.far); await chromium.press("Sign out by a redirect"); },
    async () => { await chromium.open(others.near); await chromium.press("Sign out"); },
    async () => chromium.open(address),
  ]) {
    await go();
    await chromium.named("Yes, sign out");
    assert.ok(await isSignedIn(chromium, town));
  }
  await chromium.open(address);
  await chromium.press("Yes, sign out");
  await chromium.arrivesAt(`${site.far}/bye`);
  assert.ok(!await isSignedIn(chromium, town));
}));

test("the sign-out link of the web site may lead to /end_session", withBrowser(async (chromium) => {
  site.put("/link", `<a href="${town.issuer}/end_session">Sign out</a>`);
  await logInAtImis(chromium, town);
  await chromium.open(`${site.far}/link`);
  await chromium.press("Sign out");
  await chromium.arrivesAt(`${town.issuer}/end_session/returned`);
  assert.ok(!await isSignedIn(chromium, town));
  assert.ok(!await isSignedInAtImis(chromium, town));
}));

for (const [how, element] of [
  ["a frame", (address) => `<iframe title="Portico" src="${address}"></iframe>`],
  ["an image", (address) => `<img alt="" src="${address}">`],
  ["a fetch", (address) => `<script>fetch("${address}", { mode: "no-cors", credentials: "include" }).finally(() => { document.title = "done"; });</script>`],
]) {
  test(`${how} in a page of the web site signs out of the apps, and in a page of others does not`, withBrowser(async (chromium) => {
    const address = `${town.issuer}/upstream/members/signed_out`;
    for (const pages of [site, others]) pages.put("/page", `<h1>Signed out?</h1>${element(address)}`);
    await logInAtImis(chromium, town);
    // Of another site, where no cookie comes along, and of a neighbor that is not iMIS's.
    for (const page of [`${others.far}/page`, `${site.far}/page`, `${others.near}/page`]) {
      await chromium.open(page);
      await chromium.find("h1");
      if (how === "a fetch") await chromium.driver.wait(async () => await chromium.driver.getTitle() === "done", PATIENCE_MS);
      assert.ok(await isSignedIn(chromium, town), page);
    }
    await chromium.open(`${site.near}/page`);
    await chromium.driver.wait(async () => {
      await chromium.open(`${town.notes.address}/login?prompt=none`);
      await chromium.arrivesAt(town.notes.address);
      return await chromium.has("#error") && await chromium.text("#error") === "login_required";
    }, PATIENCE_MS);
  }));
}

test("the page that the guide has for iMIS signs out of both", withBrowser(async (chromium) => {
  const guide = await readFile(GUIDE, "utf8");
  const [, snippet] = /```html\n(<p>You are being signed out[^]*?)```/.exec(guide);
  site.put(LOGOUT, "<h1>Signed out of iMIS</h1>");
  site.put("/SingleLogout", snippet.replaceAll("https://login.example.org", town.issuer));
  await logInAtImis(chromium, town);
  await chromium.open(`${site.far}/SingleLogout`);
  await chromium.arrivesAt(`${site.far}/bye`);
  assert.ok(!await isSignedIn(chromium, town));
  await logInAtImis(chromium, town);
  await chromium.disableScript();
  await chromium.open(`${site.far}/SingleLogout`);
  await chromium.leaving(() => chromium.press("Finish signing out"));
  await chromium.arrivesAt(`${site.far}/bye`);
  await chromium.enableScript();
  assert.ok(!await isSignedIn(chromium, town));
}));

test("a page of others that delivers for iMIS while somebody is away has them asked", withBrowser(async (chromium) => {
  const { driver } = chromium;
  await chromium.open(`${town.notes.address}/login`);
  await choose(chromium, JO);
  const waiting = await driver.getWindowHandle();
  // Somebody else's token, as an attacker takes it from the page that iMIS gave them.
  const signedIn = await fetch(`${town.imis}/Sign-in.aspx`, {
    method: "POST", body: new URLSearchParams({ username: JO.username, password: JO.password }), redirect: "manual",
  });
  const [cookie] = signedIn.headers.get("set-cookie").split(";");
  const delivery = await (await fetch(town.ssoPage, { headers: { cookie } })).text();
  const [, token] = /name="refresh_token" value="([^"]+)"/.exec(delivery);
  others.put("/trap", `<form method="post" action="${town.issuer}/upstream/members/landing/Portico">`
    + `<input type="hidden" name="refresh_token" value="${token}"><button>Win a prize</button></form>`);
  await driver.switchTo().newWindow("tab");
  await chromium.open(`${others.far}/trap`);
  await chromium.press("Win a prize");
  await chromium.named(`Continue as ${JO.name}`);
  assert.deepEqual(await audit(chromium, "arrival-in-a-flow"), []);
  await chromium.press("Use another account");
  await chromium.named(ANN.label);
  await driver.close();
  await driver.switchTo().window(waiting);
  await chromium.find(PASSWORD);
}));

test("aiM18 signs in by redirect; where it remembers the person, nothing proves who came, and they are asked", withBrowser(async (chromium) => {
  await chromium.open(`${town.notes.address}/login`);
  await choose(chromium, ANN);
  await typePassword(chromium, ANN);
  await chromium.arrivesAt(`${town.notes.address}/`);
  assert.equal(await chromium.text("h1"), `Signed in as ${ANN.name}`);
  const { sub } = town.notes.claims();
  await chromium.open(`${town.notes.address}/logout`);
  await chromium.arrivesAt(`${town.notes.address}/`);
  assert.equal(await chromium.text("h1"), "Signed out");

  await chromium.open(`${town.notes.address}/login`);
  await chromium.press(ANN.label);
  await chromium.leaving(() => chromium.press(`Continue as ${ANN.name}`));
  await chromium.arrivesAt(`${town.notes.address}/`);
  assert.equal(town.notes.claims().sub, sub);
}));

test("a code of somebody else's that another page brings into a login at aiM18 has them asked", withBrowser(async (chromium) => {
  const { driver } = chromium;
  await chromium.open(`${town.notes.address}/login`);
  await choose(chromium, ANN);
  const waiting = await driver.getWindowHandle();
  // Somebody signs in at aiM18 and keeps the code that it sends them back with: there is no state in it to tell whose it is.
  const answer = await fetch(await chromium.url(), {
    method: "POST", body: new URLSearchParams({ username: BO.username, password: BO.password }), redirect: "manual",
  });
  const callback = answer.headers.get("location");
  assert.ok(callback.startsWith(`${town.issuer}/upstream/${ANN.upstream}/callback?code=`), callback);
  others.put("/trap", `<p><a href="${callback.replaceAll("&", "&amp;")}">Win a prize</a></p>`);
  await driver.switchTo().newWindow("tab");
  await chromium.open(`${others.far}/trap`);
  await chromium.press("Win a prize");
  await chromium.named(`Continue as ${BO.name}`);
  assert.ok(!await isSignedIn(chromium, town));
  await driver.close();
  await driver.switchTo().window(waiting);
  await chromium.find(PASSWORD);
}));
