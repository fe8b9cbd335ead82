// A person who takes longer than a flow lasts (half an hour): in Chromium.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startNeighborhood, withBrowser } from "./harness/neighborhood.js";
import { JO } from "./harness/people.js";
import { choose, signedIn, typePassword } from "./harness/steps.js";

const LONGER_THAN_A_FLOW = 31 * 60;

let town;
before(async () => { town = await startNeighborhood(); });
after(() => town?.stop());

// The login page as somebody opened it before lunch; meanwhile the server was restarted as well.
async function openedLongAgo(chromium) {
  await town.restart({ secondsBehind: LONGER_THAN_A_FLOW });
  await chromium.open(`${town.notes.address}/login`);
  await choose(chromium, JO);
  assert.ok(!await chromium.has("[role=alert]"));
  await town.restart();
}

async function signsIn(chromium) {
  await typePassword(chromium, JO);
  await signedIn(chromium, town.notes);
}

test("an expired flow says so when its page is opened again, and goes on to the app", withBrowser(async (chromium) => {
  await openedLongAgo(chromium);
  await chromium.driver.navigate().refresh();
  assert.match(await chromium.text("[role=alert]"), /open for a long time/);
  await signsIn(chromium);
}));

test("who types the password into a page of an expired flow arrives all the same", withBrowser(async (chromium) => {
  await openedLongAgo(chromium);
  await signsIn(chromium);
}));
