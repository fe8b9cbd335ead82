// A person who takes longer than a flow lasts: in Chromium, against a Portico whose flows last a moment.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startNeighborhood, withBrowser } from "./harness/neighborhood.js";
import { JO } from "./harness/people.js";
import { choose, logIn, typePassword } from "./harness/steps.js";

let town;
before(async () => { town = await startNeighborhood({ settings: { lifetimes: { flow: "2s" } } }); });
after(() => town?.stop());

// The browser forgets the flow when its time is over.
async function untilForgotten(chromium) {
  const cookies = async () => (await chromium.driver.manage().getCookies()).map(({ name }) => name);
  assert.notDeepEqual(await cookies(), []);
  await chromium.driver.wait(async () => (await cookies()).length === 0, 10_000);
}

test("an expired flow starts itself again and arrives", withBrowser(async (chromium) => {
  await chromium.open(`${town.notes.address}/login`);
  await choose(chromium, JO);
  await untilForgotten(chromium);
  await typePassword(chromium, JO);
  assert.ok((await chromium.url()).startsWith(town.issuer), "nothing of the expired flow reaches the app");
  assert.ok(await chromium.has("main form button, main a[href]"), `a dead end: ${await chromium.where()}`);

  await chromium.open(`${town.notes.address}/login`);
  await logIn(chromium, JO);
  await chromium.arrivesAt(`${town.notes.address}/`);
  assert.equal(await chromium.text("h1"), `Signed in as ${JO.name}`);
}));
