// Several accounts in one browser, at several apps: added, chosen, changed and signed out of one by one, in Chromium.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { audit } from "./harness/audit.js";
import { startNeighborhood, withBrowser } from "./harness/neighborhood.js";
import { ANN, JO } from "./harness/people.js";
import { decide, logIn, signedIn } from "./harness/steps.js";

let town;
before(async () => { town = await startNeighborhood(); });
after(() => town?.stop());

const press = (chromium, label) => chromium.leaving(() => chromium.press(label));

// Jo at the notes, and then Ann beside her.
async function both(chromium) {
  await chromium.open(`${town.notes.address}/login`);
  await logIn(chromium, JO);
  await signedIn(chromium, town.notes, JO);
  await chromium.open(`${town.notes.address}/login?prompt=select_account`);
  await logIn(chromium, ANN);
  await signedIn(chromium, town.notes, ANN);
}

test("two accounts at two apps: who signs out of one stays in the other", withBrowser(async (chromium) => {
  await both(chromium);
  await chromium.open(`${town.reading.address}/login?prompt=select_account`);
  await chromium.named(`Continue as ${ANN.name}`);
  assert.deepEqual(await audit(chromium, "accounts-choose"), []);
  await press(chromium, `Continue as ${JO.name}`);
  await decide(chromium, "allow");
  await signedIn(chromium, town.reading, JO);

  // The notes are Ann's still, and their hint ends her session alone.
  await chromium.open(`${town.notes.address}/`);
  await signedIn(chromium, town.notes, ANN);
  await chromium.open(`${town.notes.address}/logout`);
  await chromium.arrivesAt(`${town.notes.address}/`);
  assert.equal(await chromium.text("h1"), "Signed out");

  // An app that is for staff alone offers nobody, and says who is there.
  await chromium.open(`${town.desk.address}/login`);
  await chromium.named("Sign out");
  const left = await chromium.text("main");
  assert.ok(left.includes("Also signed in in this browser:") && left.includes(JO.name), left);
  assert.deepEqual(await audit(chromium, "accounts-left"), []);

  // Nobody comes back as Jo by a click on "Sign in": she is offered.
  await chromium.open(`${town.notes.address}/login?prompt=none`);
  await chromium.arrivesAt(`${town.notes.address}/callback`);
  assert.equal(await chromium.text("#error"), "account_selection_required");
  await chromium.open(`${town.notes.address}/login`);
  await chromium.named(`Continue as ${JO.name}`);
  assert.ok(!(await chromium.text("main")).includes(ANN.name));
  assert.deepEqual(await audit(chromium, "accounts-choose-after-logout"), []);
  await press(chromium, `Continue as ${JO.name}`);
  await signedIn(chromium, town.notes, JO);
}));

test("the account page changes between them; without script, and by keyboard", withBrowser(async (chromium) => {
  await chromium.disableScript();
  await both(chromium);
  await chromium.open(`${town.issuer}/account`);
  assert.ok((await chromium.text("main")).includes(`You are signed in as ${ANN.name}.`));
  await chromium.enableScript();
  assert.deepEqual(await audit(chromium, "accounts-account-page"), []);
  await chromium.disableScript();
  const { driver } = chromium;
  const button = await chromium.named(`Switch to ${JO.name}`);
  await chromium.leaving(() => button.sendKeys("\uE007"));
  assert.ok((await chromium.text("main")).includes(`You are signed in as ${JO.name}.`));
  await press(chromium, "Add another account");
  await chromium.named(`Continue as ${ANN.name}`);
  assert.ok((await driver.getCurrentUrl()).startsWith(`${town.issuer}/login`));
  await press(chromium, `Continue as ${ANN.name}`);
  assert.ok((await chromium.text("main")).includes(`You are signed in as ${ANN.name}.`));
  await chromium.enableScript();
}));

test("the logout page names everybody, and signs out of all", withBrowser(async (chromium) => {
  await both(chromium);
  for (const language of ["en", "fr", "zh-Hant", "zh-Hans"]) {
    await chromium.open(`${town.issuer}/end_session?ui_locales=${language}`);
    assert.ok((await chromium.text("main ul")).includes(JO.name));
    assert.deepEqual(await audit(chromium, `accounts-sign-out-${language}`), []);
  }
  await chromium.open(`${town.issuer}/end_session`);
  await press(chromium, "Sign out of all of these accounts");
  assert.equal(await chromium.text("h1"), "You are signed out");
  await chromium.open(`${town.notes.address}/login?prompt=none`);
  await chromium.arrivesAt(`${town.notes.address}/callback`);
  assert.equal(await chromium.text("#error"), "login_required");
}));

test("who is signed in beside is named, at an app that is not for them and when another has signed out", withBrowser(async (chromium) => {
  await chromium.open(`${town.notes.address}/login`);
  await logIn(chromium, JO);
  await signedIn(chromium, town.notes, JO);
  await chromium.open(`${town.desk.address}/login`);
  await chromium.named("Sign out");
  const main = await chromium.text("main");
  assert.ok(main.includes("Also signed in in this browser:") && main.includes(JO.name), main);
  assert.deepEqual(await audit(chromium, "accounts-beside"), []);
  // Ann's login there takes nothing from Jo.
  await logIn(chromium, ANN);
  await signedIn(chromium, town.desk, ANN);
  await chromium.open(`${town.issuer}/end_session`);
  await press(chromium, "Yes, sign out");
  assert.equal(await chromium.text("h1"), "You are signed out");
  assert.ok((await chromium.text("main ul")).includes(JO.name));
  assert.deepEqual(await audit(chromium, "accounts-still-here"), []);
  await press(chromium, "Sign out");
  assert.ok((await chromium.text("main")).includes(`You are signed in as ${JO.name}.`));
}));
