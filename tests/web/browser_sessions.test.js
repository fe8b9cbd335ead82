// One browser, several apps and tabs, and what people do that nobody planned: in Chromium.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startNeighborhood, withBrowser } from "./harness/neighborhood.js";
import { JO } from "./harness/people.js";
import { choose, confirmLogout, decide, logIn, PASSWORD, signedIn, typePassword } from "./harness/steps.js";

let town;
before(async () => { town = await startNeighborhood(); });
after(() => town?.stop());

test("one login serves a second app, and logging out of one asks for a password again", withBrowser(async (chromium) => {
  await chromium.open(`${town.notes.address}/login`);
  await logIn(chromium, JO);
  await signedIn(chromium, town.notes);
  const { sub, sid } = town.notes.claims();

  await chromium.open(town.sample.address);
  // Nothing is asked: it comes back to the address that it leaves from.
  await chromium.leaving(() => chromium.press("Sign in"));
  await chromium.arrivesAt(town.sample.address);
  assert.equal(await chromium.text("h1"), `Hello, ${JO.name}`);

  await chromium.open(`${town.reading.address}/login`);
  await decide(chromium, "allow");
  await signedIn(chromium, town.reading);
  assert.deepEqual([town.reading.claims().sub, town.reading.claims().sid], [sub, sid]);

  await chromium.open(`${town.notes.address}/logout`);
  await confirmLogout(chromium, town.issuer);
  await chromium.arrivesAt(`${town.notes.address}/`);
  assert.equal(await chromium.text("h1"), "Signed out");

  await chromium.open(`${town.reading.address}/login`);
  await choose(chromium, JO);
  assert.ok((await chromium.url()).startsWith(town.issuer));
}));

test("a logout that no app asked for is confirmed first, and ends at a page of ours", withBrowser(async (chromium) => {
  await chromium.open(`${town.notes.address}/login`);
  await logIn(chromium, JO);
  await signedIn(chromium, town.notes);

  await chromium.open(`${town.issuer}/end_session`);
  await chromium.open(`${town.notes.address}/login`);
  await signedIn(chromium, town.notes);

  await chromium.open(`${town.issuer}/end_session`);
  await chromium.leaving(() => chromium.click("main form button"));
  assert.ok((await chromium.url()).startsWith(town.issuer));
  await chromium.open(`${town.notes.address}/login?prompt=none`);
  await chromium.arrivesAt(`${town.notes.address}/callback`);
  assert.equal(await chromium.text("#error"), "login_required");
}));

test("two tabs that log in at the same time both arrive", withBrowser(async (chromium) => {
  const { driver } = chromium;
  await chromium.open(`${town.notes.address}/login`);
  await choose(chromium, JO);
  const first = await driver.getWindowHandle();
  await driver.switchTo().newWindow("tab");
  await chromium.open(`${town.notes.address}/login`);
  await choose(chromium, JO);
  const second = await driver.getWindowHandle();

  await driver.switchTo().window(first);
  await typePassword(chromium, JO);
  await signedIn(chromium, town.notes);

  await driver.switchTo().window(second);
  await typePassword(chromium, JO);
  await signedIn(chromium, town.notes);
}));

test("a login in one tab is enough for the tab that waits at the login page", withBrowser(async (chromium) => {
  const { driver } = chromium;
  await chromium.open(`${town.notes.address}/login`);
  await choose(chromium, JO);
  const waiting = await driver.getWindowHandle();
  await driver.switchTo().newWindow("tab");
  await chromium.open(`${town.notes.address}/login`);
  await logIn(chromium, JO);
  await signedIn(chromium, town.notes);

  await driver.switchTo().window(waiting);
  await chromium.open(`${town.notes.address}/login`);
  await signedIn(chromium, town.notes);
}));

test("going back after the login is no dead end", withBrowser(async (chromium) => {
  await chromium.open(`${town.notes.address}/`);
  await chromium.press("Sign in");
  await logIn(chromium, JO);
  await signedIn(chromium, town.notes);

  // Whatever the history holds, each page on the way back goes on to the app or offers a way.
  for (let steps = 0; steps < 3; steps += 1) {
    await chromium.driver.navigate().back();
    const heading = await chromium.text("h1");
    assert.ok(heading);
    if ((await chromium.url()).startsWith(town.issuer)) {
      assert.ok(await chromium.has("main form button, main a[href]"), `a dead end: ${await chromium.where()}`);
    }
  }
  await chromium.open(`${town.notes.address}/login`);
  await signedIn(chromium, town.notes);
}));

test("a login form that is sent twice still arrives", withBrowser(async (chromium) => {
  await chromium.open(`${town.notes.address}/login`);
  await choose(chromium, JO);
  await typePassword(chromium, JO);
  await signedIn(chromium, town.notes);
  await chromium.driver.navigate().back();
  if (await chromium.has(PASSWORD)) {
    await typePassword(chromium, JO);
    await signedIn(chromium, town.notes);
  } else {
    await chromium.open(`${town.notes.address}/login`);
    await signedIn(chromium, town.notes);
  }
}));
