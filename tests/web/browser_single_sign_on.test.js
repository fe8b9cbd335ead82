// The Single Sign On pages of the iMIS web site in Chromium: begun at an app, and begun at the web site.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startNeighborhood, withBrowser } from "./harness/neighborhood.js";
import { JO } from "./harness/people.js";
import { decide, logIn, typePassword } from "./harness/steps.js";

const BY_WEB_SITE = `form[action='/upstream/${JO.upstream}/start'] button`;
const GO_ON = `Continue as ${JO.name}`;

let town;
before(async () => {
  town = await startNeighborhood({
    pages: [{ id: "Notes", client: "notes" }, { id: "Reading", client: "reading" }, { id: "Own" }],
    members: () => ({ login: ["password", "redirect"] }),
  });
});
after(() => town?.stop());

async function signedIn(chromium, app) {
  await chromium.arrivesAt(`${app.address}/`);
  assert.equal(await chromium.text("h1"), `Signed in as ${JO.name}`);
  return app.claims().sub;
}

async function signOut(chromium, app) {
  await chromium.open(`${app.address}/logout`);
  await chromium.arrivesAt(`${app.address}/`);
  assert.equal(await chromium.text("h1"), "Signed out");
}

async function isNotSignedIn(chromium) {
  await chromium.open(`${town.notes.address}/login?prompt=none`);
  await chromium.arrivesAt(`${town.notes.address}/callback`);
  assert.equal(await chromium.text("#error"), "login_required");
}

test("by form, by the web site, or begun at the web site: the app knows the same subject", withBrowser(async (chromium) => {
  await chromium.open(`${town.notes.address}/login`);
  await logIn(chromium, JO);
  const sub = await signedIn(chromium, town.notes);
  await signOut(chromium, town.notes);

  // Not signed in there: the password is typed at iMIS, and nothing is asked on the way back.
  await chromium.open(`${town.notes.address}/login`);
  await chromium.leaving(() => chromium.click(BY_WEB_SITE));
  assert.ok((await chromium.url()).startsWith(`${town.imis}/`), await chromium.where());
  await typePassword(chromium, JO);
  assert.equal(await signedIn(chromium, town.notes), sub);
  await signOut(chromium, town.notes);

  // Signed in there already: a click, and no password.
  await chromium.open(`${town.notes.address}/login`);
  await chromium.leaving(() => chromium.click(BY_WEB_SITE));
  assert.equal(await signedIn(chromium, town.notes), sub);
  await signOut(chromium, town.notes);

  // Begun at the web site: nobody is signed in before they say so (T25).
  await chromium.open(town.ssoPageOf("Notes"));
  await chromium.named(GO_ON);
  await isNotSignedIn(chromium);
  await chromium.open(town.ssoPageOf("Notes"));
  await chromium.leaving(() => chromium.press(GO_ON));
  assert.equal(await signedIn(chromium, town.notes), sub);
}));

test("each page of the web site leads to its own app, and one that has none to the account page", withBrowser(async (chromium) => {
  await chromium.open(town.ssoPageOf("Reading"));
  await chromium.arrivesAt(`${town.issuer}/upstream/${JO.upstream}/landing/Reading`);
  await chromium.leaving(() => chromium.press(`Sign in at ${JO.label}`));
  await typePassword(chromium, JO);
  await chromium.leaving(() => chromium.press(GO_ON));
  await decide(chromium, "allow");
  const sub = await signedIn(chromium, town.reading);

  // The same person is signed in here by now, and is not asked again.
  await chromium.open(town.ssoPageOf("Notes"));
  assert.equal(await signedIn(chromium, town.notes), sub);
  await chromium.open(town.ssoPageOf("Own"));
  await chromium.arrivesAt(`${town.issuer}/account`);
  assert.ok((await chromium.text("main")).includes(`You are signed in as ${JO.name}.`));
}));

test("a page of the web site works without script", withBrowser(async (chromium) => {
  await chromium.open(town.ssoPageOf("Notes"));
  await chromium.leaving(() => chromium.press(`Sign in at ${JO.label}`));
  await typePassword(chromium, JO);
  await chromium.named(GO_ON);
  await chromium.disableScript();
  await chromium.leaving(() => chromium.press(GO_ON));
  await signedIn(chromium, town.notes);
  await chromium.enableScript();
}));
