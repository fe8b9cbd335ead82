// Front-channel logout in Chromium, which alone says what a frame on somebody else's page may do.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { audit } from "./harness/audit.js";
import { PATIENCE_MS } from "./harness/chromium.js";
import { startNeighborhood, withBrowser } from "./harness/neighborhood.js";
import { JO } from "./harness/people.js";
import { choose, typePassword } from "./harness/steps.js";

let town;
before(async () => { town = await startNeighborhood(); });
after(() => town?.stop());

async function logIn(chromium, app, home = `${app.address}/`) {
  await chromium.open(`${app.address}/login`);
  if ((await chromium.url()).startsWith(town.issuer)) {
    await choose(chromium, JO);
    await typePassword(chromium, JO);
  }
  await chromium.arrivesAt(home);
}

test("an app hears of a logout by a frame, and the browser goes on by itself", withBrowser(async (chromium) => {
  await logIn(chromium, town.notes);
  await logIn(chromium, town.shop, `${town.reading.address}/`);
  const { sid } = town.shop.claims();
  const before = town.shop.heard().length;
  await chromium.open(`${town.notes.address}/logout`);
  await chromium.arrivesAt(`${town.notes.address}/`);
  assert.equal(await chromium.text("h1"), "Signed out");
  assert.deepEqual(town.shop.heard().slice(before), [{ iss: town.issuer, sid }]);
}));

test("where scripts are off the page goes on, too", withBrowser(async (chromium) => {
  await logIn(chromium, town.shop, `${town.reading.address}/`);
  const before = town.shop.heard().length;
  await chromium.disableScript();
  await chromium.open(`${town.shop.address}/logout`);
  await chromium.arrivesAt(`${town.shop.address}/`);
  assert.equal(town.shop.heard().length, before + 1);
  await chromium.enableScript();
}));

test("without an app that waits the page stays, and says that it is done", withBrowser(async (chromium) => {
  await logIn(chromium, town.shop, `${town.reading.address}/`);
  const before = town.shop.heard().length;
  await chromium.open(`${town.issuer}/end_session`);
  await chromium.leaving(() => chromium.click("main form button"));
  assert.equal(await chromium.text("h1"), "You are signed out");
  await chromium.driver.wait(() => town.shop.heard().length === before + 1, PATIENCE_MS);
  assert.deepEqual(await audit(chromium, "signed-out-with-frames"), []);
}));
