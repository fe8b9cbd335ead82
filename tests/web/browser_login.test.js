// Logging in as people do it, in Chromium.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Key } from "selenium-webdriver";
import { PATIENCE_MS } from "./harness/chromium.js";
import { startNeighborhood, withBrowser } from "./harness/neighborhood.js";
import { ANN, JO } from "./harness/people.js";
import { choose, decide, logIn, PASSWORD, signedIn, typePassword, USERNAME } from "./harness/steps.js";

let town;
before(async () => { town = await startNeighborhood(); });
after(() => town?.stop());

async function claimsOfSampleApp(chromium) {
  await chromium.find("#userinfo tbody tr");
  const rows = await chromium.driver.executeScript(() => Object.fromEntries(
    [...document.querySelectorAll("#userinfo tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent)),
  ));
  return rows;
}

test("a member of iMIS logs in to the sample app, which shows the claims, renews, and signs out", withBrowser(async (chromium) => {
  await chromium.open(town.sample.address);
  await chromium.press("Sign in");
  await logIn(chromium, JO);
  await chromium.arrivesAt(town.sample.address);
  assert.equal(await chromium.text("h1"), `Hello, ${JO.name}`);
  const claims = await claimsOfSampleApp(chromium);
  assert.equal(claims.email, JO.email);
  assert.equal(new URL(await chromium.url()).search, "");

  await chromium.press("Renew");
  await chromium.driver.wait(async () => (await chromium.text("#status")).startsWith("Renewed"), PATIENCE_MS);
  assert.deepEqual(await claimsOfSampleApp(chromium), claims);

  // It comes back to the address that it leaves from.
  await chromium.leaving(() => chromium.press("Sign out"));
  await chromium.arrivesAt(town.sample.address);
  assert.equal(await chromium.text("h1"), "You are signed out");
}));

test("a user of aiM18 logs in to the sample app at aiM18's own page", withBrowser(async (chromium) => {
  await chromium.open(town.sample.address);
  await chromium.press("Sign in");
  await choose(chromium, ANN);
  assert.ok(!(await chromium.url()).startsWith(town.issuer), "the password is typed at aiM18");
  await typePassword(chromium, ANN);
  await chromium.arrivesAt(town.sample.address);
  assert.equal(await chromium.text("h1"), `Hello, ${ANN.name}`);
}));

test("a wrong password is said so, the username stays, and the right one goes on", withBrowser(async (chromium) => {
  await chromium.open(`${town.notes.address}/login`);
  await choose(chromium, JO);
  await typePassword(chromium, JO, "not the password");
  assert.ok(await chromium.text("[role=alert]"));
  assert.equal(await (await chromium.find(USERNAME)).getAttribute("value"), JO.username);
  assert.equal(await (await chromium.find(PASSWORD)).getAttribute("value"), "");
  await typePassword(chromium, JO);
  await signedIn(chromium, town.notes, JO);
}));

test("consent is asked once, and told to the app when refused", withBrowser(async (chromium) => {
  await chromium.open(`${town.reading.address}/login`);
  await logIn(chromium, JO);
  assert.match(await chromium.text("main"), /The reading app/);
  await decide(chromium, "deny");
  await chromium.arrivesAt(`${town.reading.address}/callback`);
  assert.equal(await chromium.text("#error"), "access_denied");

  await chromium.open(`${town.reading.address}/login`);
  await decide(chromium, "allow");
  await signedIn(chromium, town.reading, JO);

  await chromium.open(`${town.reading.address}/login`);
  await signedIn(chromium, town.reading, JO);
}));

test("an app that goes on to another site after its callback gets there", withBrowser(async (chromium) => {
  for (const [query, person] of [["", JO], ["?prompt=login", ANN], ["?prompt=login&response_mode=form_post", JO]]) {
    await chromium.open(`${town.shop.address}/login${query}`);
    await logIn(chromium, person);
    await chromium.arrivesAt(`${town.reading.address}/`);
  }
}));

test("the keyboard alone is enough", withBrowser(async (chromium) => {
  const { driver } = chromium;
  const tabTo = async (reached, what) => {
    for (let count = 0; count < 12; count += 1) {
      const element = await driver.switchTo().activeElement();
      if (await reached(element)) return element;
      await chromium.focused(Key.TAB);
    }
    throw new Error(`Tab does not reach ${what}`);
  };
  await chromium.open(`${town.notes.address}/login`);
  await chromium.find("main");
  await tabTo(async (element) => await element.getTagName() === "a" && (await element.getText()).includes(JO.label), JO.label);
  await chromium.leaving(() => chromium.focused(Key.ENTER));
  await chromium.find(PASSWORD);
  await tabTo(async (element) => await element.getAttribute("name") === "username", "the username");
  await chromium.focused(JO.username, Key.TAB);
  await tabTo(async (element) => await element.getAttribute("type") === "password", "the password");
  await chromium.leaving(() => chromium.focused(JO.password, Key.ENTER));
  await signedIn(chromium, town.notes, JO);
}));

test("no page of Portico needs script", withBrowser(async (chromium) => {
  await chromium.disableScript();
  await chromium.open(`${town.notes.address}/login?response_mode=form_post`);
  await logIn(chromium, JO);
  // What script would have posted, a button posts.
  if ((await chromium.url()).startsWith(town.issuer)) await chromium.leaving(() => chromium.click("form button"));
  await signedIn(chromium, town.notes, JO);
  assert.equal(town.notes.claims().email, JO.email);
}));

test("an answer by form_post posts itself, across sites", withBrowser(async (chromium) => {
  await chromium.open(`${town.notes.address}/login?response_mode=form_post`);
  await logIn(chromium, JO);
  await signedIn(chromium, town.notes, JO);
}));
