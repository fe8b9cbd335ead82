// An aiM18 that hands its code over behind a number sign, which no server sees: a page of ours reads it there.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { audit } from "./harness/audit.js";
import { startNeighborhood, withBrowser } from "./harness/neighborhood.js";
import { ANN } from "./harness/people.js";
import { choose, typePassword } from "./harness/steps.js";

let town;
before(async () => {
  town = await startNeighborhood();
});
after(() => town?.stop());

async function turn(switches) {
  const answer = await fetch(new URL("/_simulator/switches", town.aim18), {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(switches),
  });
  assert.equal(answer.status, 200, await answer.text());
}

const signedIn = async (chromium) => {
  await chromium.arrivesAt(`${town.notes.address}/`);
  assert.equal(await chromium.text("h1"), `Signed in as ${ANN.name}`);
};

async function toAim18(chromium) {
  await chromium.open(`${town.notes.address}/login`);
  await choose(chromium, ANN);
}

test("a code behind a number sign signs in, and stays in no address of ours", withBrowser(async (chromium) => {
  await turn({ code_in: "fragment", state: "echoed" });
  await toAim18(chromium);
  await typePassword(chromium, ANN);
  await signedIn(chromium);
  for (let step = 0; step < 3; step += 1) {
    await chromium.driver.navigate().back();
    const url = await chromium.url();
    assert.ok(!(url.startsWith(town.issuer) && url.includes("code=")), url);
  }
}));

test("where no state comes back, the person is asked before anybody is signed in", withBrowser(async (chromium) => {
  await turn({ code_in: "fragment", state: "dropped" });
  await toAim18(chromium);
  await typePassword(chromium, ANN);
  await chromium.leaving(() => chromium.press(`Continue as ${ANN.name}`));
  await signedIn(chromium);
}));

test("who comes back without an answer, or without scripts, is told so and can try again", withBrowser(async (chromium) => {
  await turn({ code_in: "fragment", state: "dropped" });
  const callback = `${town.issuer}/upstream/${ANN.upstream}/callback`;
  await toAim18(chromium);
  await chromium.open(callback);
  assert.match(await chromium.text("[role=alert]"), new RegExp(ANN.label));
  assert.deepEqual(await audit(chromium, "no-answer"), []);
  await chromium.press("Try again");
  await chromium.named(ANN.label);

  await chromium.disableScript();
  await chromium.open(`${callback}#code=made-up`);
  assert.match(await chromium.text("noscript [role=alert]"), new RegExp(ANN.label));
  await chromium.press("Try again");
  await chromium.named(ANN.label);
  await chromium.enableScript();
}));
