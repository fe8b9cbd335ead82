// Every page at 320 and 1280 px, light and dark: axe-core finds nothing, nothing scrolls sideways, and there is a picture to look at.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { audit } from "./harness/audit.js";
import { startNeighborhood, withBrowser } from "./harness/neighborhood.js";
import { ANN, JO } from "./harness/people.js";
import { choose, decide, logIn, PASSWORD, typePassword } from "./harness/steps.js";

let town;
before(async () => { town = await startNeighborhood(); });
after(() => town?.stop());

async function flawless(chromium, name) {
  const problems = await audit(chromium, name);
  assert.deepEqual(problems, []);
}

test("choice of upstream, login, wrong password, consent", withBrowser(async (chromium) => {
  await chromium.open(`${town.reading.address}/login`);
  await chromium.named(JO.label);
  await flawless(chromium, "choice");
  await choose(chromium, JO);
  await flawless(chromium, "login");
  await typePassword(chromium, JO, "not the password");
  await chromium.find("[role=alert]");
  await flawless(chromium, "login-refused");
  await typePassword(chromium, JO);
  await chromium.find("button[name=decision]");
  await flawless(chromium, "consent");
  await decide(chromium, "allow");
  await chromium.arrivesAt(town.reading.address);
}));

test("the simulated aiM18", withBrowser(async (chromium) => {
  await chromium.open(`${town.notes.address}/login`);
  await choose(chromium, ANN);
  await flawless(chromium, "simulated-aim18");
}));

test("logout and logged out", withBrowser(async (chromium) => {
  await chromium.open(`${town.notes.address}/login`);
  await logIn(chromium, JO);
  await chromium.arrivesAt(town.notes.address);
  await chromium.open(`${town.issuer}/end_session`);
  await flawless(chromium, "logout");
  await chromium.leaving(() => chromium.click("main form button"));
  await flawless(chromium, "logged-out");
}));

test("errors: an unknown client, a lost flow, no such page", withBrowser(async (chromium) => {
  await chromium.open(`${town.issuer}/authorize?client_id=nobody&response_type=code&redirect_uri=https%3A%2F%2Fapp.example.org%2F`);
  await chromium.find("h1");
  await flawless(chromium, "error-unknown-client");
  await chromium.open(`${town.issuer}/login?flow=nothing`);
  await chromium.find("h1");
  await flawless(chromium, "error-lost-flow");
  await chromium.open(`${town.issuer}/no/such/page`);
  await chromium.find("h1");
  await flawless(chromium, "error-not-found");
}));

test("the sample app, signed out and signed in", withBrowser(async (chromium) => {
  await chromium.open(town.sample.address);
  await chromium.find("#sign-in");
  await flawless(chromium, "sample-app-signed-out");
  await chromium.press("Sign in");
  await logIn(chromium, JO);
  await chromium.find("#userinfo tbody tr");
  await flawless(chromium, "sample-app-signed-in");
}));

// Last, for it stops the simulated iMIS.
test("iMIS is down", withBrowser(async (chromium) => {
  await town.stopImis();
  await chromium.open(`${town.notes.address}/login`);
  await choose(chromium, JO);
  await typePassword(chromium, JO);
  assert.ok((await chromium.url()).startsWith(town.issuer));
  await chromium.find("h1");
  assert.ok(await chromium.has(`[role=alert], ${PASSWORD}, main a[href], main form button`), `a dead end: ${await chromium.where()}`);
  await flawless(chromium, "upstream-down");
}));
