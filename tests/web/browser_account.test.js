// The account page in Chromium: two logins become one person and two again, and everything there is ended.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { audit } from "./harness/audit.js";
import { startNeighborhood, withBrowser } from "./harness/neighborhood.js";
import { ANN, JO } from "./harness/people.js";
import { choose, decide, logIn, PASSWORD, typePassword } from "./harness/steps.js";

let town;
before(async () => { town = await startNeighborhood(); });
after(() => town?.stop());

const button = (chromium, action) => chromium.leaving(() => chromium.click(`button[value=${action}]`));
const account = async (chromium, person) => {
  await chromium.open(`${town.issuer}/account`);
  if (person) await logIn(chromium, person);
  assert.equal(await chromium.text("h1"), "Your account");
};

// aiM18 remembers who is signed in there and asks for nothing, so Portico does.
async function logInAgain(chromium, person) {
  await chromium.leaving(() => chromium.press(person.label));
  await chromium.leaving(() => chromium.press(`Continue as ${person.name}`));
}

async function signedInto(chromium, app) {
  await chromium.open(`${app.address}/login`);
  if (await chromium.has("button[name=decision]")) await decide(chromium, "allow");
  await chromium.arrivesAt(`${app.address}/`);
  return app.claims().sub;
}

test("a person who logs in to iMIS and to aiM18 is one, and then two again", withBrowser(async (chromium) => {
  await account(chromium, JO);
  const sub = await signedInto(chromium, town.notes);

  await account(chromium);
  await button(chromium, "link");
  assert.match(await chromium.text("h1"), /^Now sign in with the login/);
  await choose(chromium, ANN);
  // aiM18's own page, and back to ours.
  await typePassword(chromium, ANN);
  const question = await chromium.text("main");
  for (const name of [JO.name, ANN.name]) assert.ok(question.includes(name), question);
  await chromium.leaving(() => chromium.click("main form button"));
  assert.equal(await chromium.text("h1"), "Your account");
  assert.ok((await chromium.text("main")).includes(ANN.name));

  // Signed out everywhere, then in by either login: the same subject.
  const endAll = async () => {
    await button(chromium, "end_all");
    assert.equal(await chromium.text("h1"), "You are signed out");
    await chromium.open(`${town.notes.address}/login?prompt=none`);
    await chromium.arrivesAt(`${town.notes.address}/callback`);
    assert.equal(await chromium.text("#error"), "login_required");
  };
  await endAll();
  await account(chromium, JO);
  assert.equal(await signedInto(chromium, town.notes), sub);
  await account(chromium);
  await endAll();
  await chromium.open(`${town.issuer}/account`);
  await logInAgain(chromium, ANN);
  assert.ok((await chromium.text("main")).includes(`You are signed in as ${ANN.name}.`));
  assert.equal(await signedInto(chromium, town.notes), sub);
  // The claims are those of the login that was used.
  assert.equal(town.notes.claims().email, ANN.email);

  await account(chromium);
  await chromium.leaving(() => chromium.click(`li:has(input[name=upstream][value=${ANN.upstream}]) button[value=unlink]`));
  await chromium.leaving(() => chromium.click("main form button"));
  // What the login had begun has ended, this session with it.
  assert.equal(await chromium.text("h1"), "Sign in to your account");
  await logInAgain(chromium, ANN);
  assert.notEqual(await signedInto(chromium, town.notes), sub);
}));

test("the account page works without script, and takes away an app", withBrowser(async (chromium) => {
  await chromium.disableScript();
  await account(chromium, JO);
  await chromium.open(`${town.reading.address}/login`);
  await decide(chromium, "allow");
  await chromium.arrivesAt(town.reading.address);
  await account(chromium);
  assert.ok((await chromium.text("main")).includes("Apps that may act for you"));
  await button(chromium, "end_app");
  assert.ok((await chromium.text("main")).includes("None at the moment."));
  await chromium.open(`${town.reading.address}/login`);
  assert.ok(await chromium.has("button[name=decision]"));
  await account(chromium);
  await button(chromium, "end_session");
  assert.equal(await chromium.text("h1"), "You are signed out");
  await chromium.open(`${town.issuer}/account`);
  await choose(chromium, JO);
  assert.ok(await chromium.has(PASSWORD));
  await chromium.enableScript();
}));

// The last one: the app may act for Jo from then on.
test("an app is opened from the account page, and signed in to without a password", withBrowser(async (chromium) => {
  await chromium.disableScript();
  await account(chromium, JO);
  const links = await chromium.text("section[aria-labelledby=open]");
  assert.ok(links.includes("Open The notes app"), links);
  // Jo is not in its group.
  assert.ok(!links.includes("Open The board app"), links);
  await chromium.enableScript();
  assert.deepEqual(await audit(chromium, "account-apps"), []);
  await chromium.disableScript();
  await chromium.press("Open The notes app");
  await chromium.arrivesAt(`${town.notes.address}/`);
  assert.equal(await chromium.text("h1"), `Signed in as ${JO.name}`);
  assert.equal(town.notes.claims().email, JO.email);
  await chromium.enableScript();
}));
