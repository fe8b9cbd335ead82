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

for (const language of ["fr", "zh-Hant", "zh-Hans"]) {
  test(`the same in ${language}`, withBrowser(async (chromium) => {
    await chromium.open(`${town.reading.address}/login?ui_locales=${language}&prompt=consent`);
    await chromium.named(JO.label);
    assert.equal(await (await chromium.find("html")).getAttribute("lang"), language);
    await flawless(chromium, `choice-${language}`);
    await choose(chromium, JO);
    await typePassword(chromium, JO, "not the password");
    await chromium.find("[role=alert]");
    await flawless(chromium, `login-refused-${language}`);
    await typePassword(chromium, JO);
    await chromium.find("button[name=decision]");
    await flawless(chromium, `consent-${language}`);
    await decide(chromium, "allow");
    await chromium.open(`${town.issuer}/end_session?ui_locales=${language}`);
    await flawless(chromium, `logout-${language}`);
  }));
}

test("the account that is signed in already, or another one", withBrowser(async (chromium) => {
  await chromium.open(`${town.notes.address}/login`);
  await logIn(chromium, JO);
  await chromium.arrivesAt(town.notes.address);
  await chromium.open(`${town.notes.address}/login?prompt=select_account`);
  await chromium.named(`Continue as ${JO.name}`);
  await flawless(chromium, "select-account");
  await choose(chromium, JO);
  await flawless(chromium, "select-account-login");
  await chromium.leaving(() => chromium.press(`Continue as ${JO.name}`));
  await chromium.arrivesAt(`${town.notes.address}/`);
}));

test("the form that posts itself, where script is off", withBrowser(async (chromium) => {
  await chromium.disableScript();
  await chromium.open(`${town.notes.address}/login?response_mode=form_post`);
  await logIn(chromium, JO);
  await chromium.enableScript();
  await chromium.find("form button");
  await flawless(chromium, "form-post");
}));

test("somebody who comes from the iMIS web site, not signed in there, then signed in", withBrowser(async (chromium) => {
  await chromium.open(town.ssoPage);
  await chromium.arrivesAt(town.issuer);
  await chromium.named(`Sign in at ${JO.label}`);
  await flawless(chromium, "landing-guest");
  await chromium.leaving(() => chromium.press(`Sign in at ${JO.label}`));
  await chromium.find(PASSWORD);
  await flawless(chromium, "simulated-imis");
  await typePassword(chromium, JO);
  await chromium.named(`Continue as ${JO.name}`);
  await flawless(chromium, "landing");
  await chromium.leaving(() => chromium.press(`Continue as ${JO.name}`));
  await flawless(chromium, "landed");
}));

test("the account, two logins that become one, and one less", withBrowser(async (chromium) => {
  await chromium.open(`${town.issuer}/account`);
  await chromium.named(JO.label);
  await flawless(chromium, "account-sign-in");
  await logIn(chromium, JO);
  await chromium.find("button[value=end_all]");
  await flawless(chromium, "account-new");
  await chromium.open(`${town.reading.address}/login?prompt=consent`);
  await decide(chromium, "allow");
  await chromium.arrivesAt(town.reading.address);
  await chromium.open(`${town.issuer}/account`);
  await chromium.leaving(() => chromium.click("button[value=link]"));
  await flawless(chromium, "account-link");
  await logIn(chromium, ANN);
  await chromium.find("form[action='/account/confirm']");
  await flawless(chromium, "account-link-confirm");
  await chromium.leaving(() => chromium.click("main form button"));
  await chromium.find("button[value=end_app]");
  await flawless(chromium, "account");
  await chromium.leaving(() => chromium.click("button[value=unlink]"));
  await flawless(chromium, "account-unlink-confirm");
}));

for (const language of ["fr", "zh-Hant", "zh-Hans"]) {
  test(`the account in ${language}`, withBrowser(async (chromium) => {
    await chromium.speak(language);
    await chromium.open(`${town.issuer}/account`);
    await logIn(chromium, JO);
    await chromium.find("button[value=end_all]");
    assert.equal(await (await chromium.find("html")).getAttribute("lang"), language);
    await flawless(chromium, `account-${language}`);
  }));
}

test("the simulated aiM18", withBrowser(async (chromium) => {
  await chromium.open(`${town.notes.address}/login`);
  await choose(chromium, ANN);
  await flawless(chromium, "simulated-aim18");
}));

test("the live controls of the simulators", withBrowser(async (chromium) => {
  for (const [system, address] of [["imis", town.imis], ["aim18", town.aim18]]) {
    await chromium.open(`${address}/_simulator/`);
    await flawless(chromium, `control-${system}`);
    await chromium.leaving(() => chromium.click("th a"));
    await flawless(chromium, `control-${system}-person`);
    await chromium.open(`${address}/_simulator/log`);
    await flawless(chromium, `control-${system}-log`);
  }
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

test("errors: an unknown client, a lost flow, no such page, a form that is too old, a finished login", withBrowser(async (chromium) => {
  await chromium.open(`${town.issuer}/authorize?client_id=nobody&response_type=code&redirect_uri=https%3A%2F%2Fapp.example.org%2F`);
  await chromium.find("h1");
  await flawless(chromium, "error-unknown-client");
  await chromium.click("summary");
  await flawless(chromium, "error-unknown-client-details");
  await chromium.open(`${town.issuer}/login?flow=nothing`);
  await chromium.find("h1");
  await flawless(chromium, "error-lost-flow");
  await chromium.open(`${town.issuer}/no/such/page`);
  await chromium.find("h1");
  await flawless(chromium, "error-not-found");

  await chromium.open(`${town.notes.address}/login`);
  await choose(chromium, JO);
  const page = await chromium.url();
  await chromium.driver.executeScript(() => { document.querySelector("[name=form_token]").value = "touched"; });
  await typePassword(chromium, JO);
  await flawless(chromium, "error-form");
  await chromium.open(page);
  await typePassword(chromium, JO);
  await chromium.arrivesAt(`${town.notes.address}/`);
  await chromium.open(page);
  await chromium.named("Back to The notes app");
  await flawless(chromium, "finished");
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

test("an app that is for others", withBrowser(async (chromium) => {
  await chromium.open(`${town.board.address}/login`);
  await logIn(chromium, JO);
  await chromium.find("[role=alert]");
  await flawless(chromium, "not-admitted");
  // In the browser that is signed in by now, too.
  await chromium.open(`${town.board.address}/login`);
  await chromium.find("[role=alert]");
  assert.ok((await chromium.url()).startsWith(town.issuer), await chromium.where());
  await flawless(chromium, "not-admitted-again");
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

  // Once it is known to be away, the page says so beforehand.
  const isMarked = async () => {
    await chromium.open(`${town.notes.address}/login`);
    await chromium.named(JO.label);
    return chromium.has(".ways .hint");
  };
  for (let tries = 10; !await isMarked(); tries -= 1) {
    assert.ok(tries > 0, "nothing marks the upstream that is away");
    await choose(chromium, JO);
    await typePassword(chromium, JO);
  }
  await flawless(chromium, "choice-away");
  await choose(chromium, JO);
  await flawless(chromium, "login-away");
}));
