// What people do on Portico's pages in a browser.

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

export async function decide(chromium, value) {
  await chromium.leaving(() => chromium.click(`button[name=decision][value=${value}]`));
}

// Logout asks back, unless the app proved whose session it is.
export async function confirmLogout(chromium, issuer) {
  if ((await chromium.url()).startsWith(issuer)) await chromium.leaving(() => chromium.click("main form button"));
}
