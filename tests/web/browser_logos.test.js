// An app's logo in Chromium: from Portico's own origin, beside the app's name, in its place and no larger; without script.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { audit } from "./harness/audit.js";
import { PATIENCE_MS } from "./harness/chromium.js";
import { startNeighborhood, withBrowser } from "./harness/neighborhood.js";
import { JO } from "./harness/people.js";
import { decide, logIn } from "./harness/steps.js";

let town;
before(async () => { town = await startNeighborhood({ logo: true }); });
after(() => town?.stop());

const LOGO = "img.app-logo";

// What the browser made of it: where it comes from, its own width, and the place that it takes.
async function shown(chromium) {
  const logo = await chromium.find(LOGO);
  await chromium.driver.wait(() => chromium.driver.executeScript("return arguments[0].complete", logo), PATIENCE_MS);
  const { width, height } = await logo.getRect();
  return {
    origin: new URL(await logo.getAttribute("src")).origin,
    alt: await logo.getAttribute("alt"),
    natural: await chromium.driver.executeScript("return arguments[0].naturalWidth", logo),
    width,
    height,
  };
}

test("an app's logo stands on the pages that name it", withBrowser(async (chromium) => {
  const expected = { origin: town.issuer, alt: "The logo of The reading app", natural: 64, width: 48, height: 48 };
  // No page waits for it: the first one has none.
  await chromium.open(`${town.reading.address}/login`);
  await chromium.named(JO.label);
  await chromium.driver.wait(async () => {
    if (await chromium.has(LOGO)) return true;
    await chromium.driver.navigate().refresh();
    return false;
  }, PATIENCE_MS);
  assert.deepEqual(await shown(chromium), expected);
  assert.deepEqual(await audit(chromium, "logo-login"), []);
  await logIn(chromium, JO);
  assert.deepEqual(await shown(chromium), expected);
  assert.deepEqual(await audit(chromium, "logo-consent"), []);
  await decide(chromium, "allow");
  await chromium.arrivesAt(`${town.reading.address}/`);
  await chromium.open(`${town.issuer}/account`);
  assert.deepEqual(await shown(chromium), expected);
  assert.deepEqual(await audit(chromium, "logo-account"), []);
  await chromium.open(`${town.issuer}/end_session?client_id=reading`);
  assert.deepEqual(await shown(chromium), expected);
  assert.deepEqual(await audit(chromium, "logo-logout"), []);
  // Opened by itself it is a picture, and nothing that could load anything.
  const src = await (await chromium.find(LOGO)).getAttribute("src");
  const answer = await fetch(src);
  assert.equal(answer.headers.get("content-type"), "image/png");
  assert.equal(answer.headers.get("content-security-policy"), "default-src 'none'; sandbox");
}));
