// What people do on Portico's pages in a browser.
import assert from "node:assert/strict";
import { JO } from "./people.js";

export const USERNAME = "input[name=username]";
export const PASSWORD = "input[type=password]";

// From the page that an app's link led to, to the upstream's login form.
export async function choose(chromium, person) {
  await chromium.press(person.label);
  await chromium.find(PASSWORD);
}

export async function typePassword(chromium, person, password = person.password) {
  await chromium.fill(USERNAME, person.username);
  await chromium.fill(PASSWORD, password);
  await chromium.leaving(() => chromium.submit(PASSWORD));
}

export async function logIn(chromium, person) {
  await choose(chromium, person);
  await typePassword(chromium, person);
}

// The app's page says who came.
export async function signedIn(chromium, app, person = JO) {
  await chromium.arrivesAt(`${app.address}/`);
  assert.equal(await chromium.text("h1"), `Signed in as ${person.name}`);
}

export async function decide(chromium, value) {
  await chromium.leaving(() => chromium.click(`button[name=decision][value=${value}]`));
}

// Logout asks back, unless the app proved whose session it is.
export async function confirmLogout(chromium, issuer) {
  if ((await chromium.url()).startsWith(issuer)) await chromium.leaving(() => chromium.click("main form button"));
}
