// express-openid-connect, an app's middleware that keeps a session of its own: login, its own logout, and the logouts that begin elsewhere.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Agent } from "./harness/agent.js";
import { browserApp } from "./harness/clients.js";
import { startExpressApp } from "./harness/express_app.js";
import { logIn } from "./harness/login.js";
import { ANN, JO } from "./harness/people.js";
import { freePorts } from "./harness/ports.js";
import { startStand } from "./harness/stand.js";
import { startWebApp } from "./harness/web_app.js";

// Of the first waits (docs/logout.md), for an app that is away on a slow machine is called more than once, and a little more.
const PATIENCE_MS = 180_000;
const SIGNED_IN = /^Signed in: \S+$/;

let stand;
let shop;
let notes;
before(async () => {
  const [shopPort, notesPort] = await freePorts(2);
  const [shopAddress, notesAddress] = [`http://127.0.0.1:${shopPort}`, `http://127.0.0.1:${notesPort}`];
  const shopRegistration = browserApp("express-shop", shopAddress, {
    token_endpoint_auth_method: "client_secret_basic",
    client_secret: "a-secret-of-the-express-shop-6",
    // As the library writes it.
    post_logout_redirect_uris: [shopAddress],
    backchannel_logout_uri: `${shopAddress}/backchannel-logout`,
  });
  const notesRegistration = browserApp("notes", notesAddress);
  stand = await startStand({ clients: [shopRegistration, notesRegistration], sections: { outbound: { allow_hosts: ["127.0.0.1"] } } });
  shop = await startExpressApp({ issuer: stand.issuer, registration: shopRegistration, address: shopAddress });
  notes = await startWebApp({ issuer: stand.issuer, registration: notesRegistration, address: notesAddress });
});
after(async () => {
  for (const started of [notes, shop, stand]) await started?.stop();
});

const home = async (agent) => (await agent.open(`${shop.address}/`)).text;

// A browser that is signed in at both apps. The agent follows every redirect: it stops at the page that the app answers with.
async function signIn(person = JO) {
  const agent = new Agent();
  const stops = new Agent(`${shop.address}/callback`);
  stops.jar = agent.jar;
  const { url } = await logIn(stops, `${shop.address}/login`, person);
  assert.match((await agent.open(url)).text, SIGNED_IN);
  assert.equal((await agent.open(`${shop.address}/name`)).text, person.name);
  assert.match((await agent.open(`${notes.address}/login`)).text, new RegExp(`^Signed in as ${person.name}`));
  return agent;
}

async function until(probe, otherwise) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!await probe()) {
    assert.ok(Date.now() < deadline, otherwise);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const signedOut = (agent) => until(async () => await home(agent) === "Signed out", "the app has not heard of the logout");

// How many notices of logouts the app has taken.
async function told() {
  const lines = await stand.command("session", "notices", "--client", "express-shop", "--state", "told", "--json");
  return lines.split("\n").filter(Boolean).length;
}

// Whatever the app was not told yet was tried, and in vain.
async function calledInVain() {
  const [head, ...rows] = (await stand.command("session", "notices", "--client", "express-shop")).trimEnd().split("\n");
  const waiting = rows.filter((row) => /^express-shop +waiting /.test(row));
  return waiting.length > 0 && waiting.every((row) => row.length > head.indexOf("TROUBLE"));
}

test("a logout at another app ends its session, and nobody else's", async () => {
  const [agent, other] = [await signIn(), await signIn(ANN)];
  await agent.open(`${notes.address}/logout`);
  await signedOut(agent);
  assert.match(await home(other), SIGNED_IN);
  // A new login is not taken for the one that has ended.
  assert.match(await home(await signIn()), SIGNED_IN);
});

test("its own logout ends the session at Portico, and the browser comes back", async () => {
  const agent = await signIn();
  const before = await told();
  const page = await agent.open(`${shop.address}/logout`);
  assert.equal(page.url.href, `${shop.address}/`);
  assert.equal(page.text, "Signed out");
  const silent = await agent.open(`${notes.address}/login?prompt=none`);
  assert.match(silent.text, /login_required/);
  // The next login must not come before: the library ends it with this one (docs/logout.md).
  await until(async () => await told() === before + 1, "the app was not told of its own logout");
});

test("what it was told while it was down, it hears when it is back", async () => {
  const agent = await signIn();
  const elsewhere = await shop.pause();
  await agent.open(`${notes.address}/logout`);
  await until(calledInVain, "the app was not called");
  assert.match((await agent.open(`${elsewhere}/`)).text, SIGNED_IN);
  await shop.resume();
  await signedOut(agent);
});
