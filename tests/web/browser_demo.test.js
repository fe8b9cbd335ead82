// `portico demo` as the README has it: everything that it prints is tried, in Chromium.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PATIENCE_MS } from "./harness/chromium.js";
import { withBrowser } from "./harness/neighborhood.js";
import { freePorts } from "./harness/ports.js";
import { start } from "./harness/processes.js";
import { PORTICO } from "./harness/stand.js";
import { logIn, typePassword } from "./harness/steps.js";

let folder;
const demos = [];
before(async () => { folder = await mkdtemp(join(tmpdir(), "portico-demo-")); });
// What one test leaves running must not look like the next one's doing.
afterEach(async () => { for (const demo of demos.splice(0)) await demo.stop(); });
after(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function startDemo(ports) {
  const [port, appPort] = ports ?? await freePorts(2);
  const demo = start("portico demo", PORTICO, ["demo", "--port", String(port), "--app-port", String(appPort)], { TMPDIR: folder });
  demo.ports = [port, appPort];
  demos.push(demo);
  return demo;
}

async function endedBy(demo, signal) {
  demo.child.kill(signal);
  assert.equal(await demo.ended, 0, demo.output);
  assert.deepEqual(await readdir(folder), [], "it leaves nothing behind");
}

// The accounts that the sample app shows.
async function offered(chromium) {
  await chromium.find("#accounts tbody tr");
  return chromium.driver.executeScript(() => [...document.querySelectorAll("#accounts tbody tr")]
    .map((row) => [...row.cells].map((cell) => cell.textContent))
    .map(([label, username, password]) => ({ label, username, password })));
}

test("each account that the demo names signs in, renews and signs out", withBrowser(async (chromium) => {
  const demo = await startDemo();
  const [, app] = await demo.printed(/Open this in a browser: +(\S+)$/m);
  await demo.printed(/Ctrl-C ends it/);
  await chromium.open(app);
  const accounts = await offered(chromium);
  assert.deepEqual(accounts.map(({ label }) => label), ["Member login", "Staff login", "Break-glass account"]);
  const names = ["Jo Smith", "Ann Lee", "Break Glass"];
  for (const [index, account] of accounts.entries()) {
    assert.match(demo.output, new RegExp(`${account.username} +${account.password}$`, "m"));
    await chromium.press("Sign in");
    await logIn(chromium, account);
    await chromium.arrivesAt(app);
    assert.equal(await chromium.text("h1"), `Hello, ${names[index]}`);
    await chromium.press("Renew");
    await chromium.driver.wait(async () => (await chromium.text("#status")).startsWith("Renewed"), PATIENCE_MS);
    await chromium.leaving(() => chromium.press("Sign out"));
    await chromium.find("#sign-in");
  }
  await endedBy(demo, "SIGINT");
}));

test("the sample app leads to the iMIS web site and back, and the iMIS web site to the sample app", withBrowser(async (chromium) => {
  const demo = await startDemo();
  const [, app] = await demo.printed(/Open this in a browser: +(\S+)$/m);
  const [, page] = await demo.printed(/Or start at iMIS: +(\S+)$/m);
  await demo.printed(/Ctrl-C ends it/);
  await chromium.open(app);
  const [member] = await offered(chromium);

  await chromium.leaving(() => chromium.press("Sign in"));
  await chromium.click("form[action='/upstream/members/start'] button");
  await typePassword(chromium, member);
  await chromium.arrivesAt(app);
  assert.equal(await chromium.text("h1"), "Hello, Jo Smith");
  // Signing out there signs out of the web site as well.
  await chromium.leaving(() => chromium.press("Sign out"));
  await chromium.find("#sign-in");

  await chromium.open(page);
  await chromium.leaving(() => chromium.press("Sign in at Member login"));
  await typePassword(chromium, member);
  await chromium.leaving(() => chromium.press("Continue as Jo Smith"));
  await chromium.arrivesAt(app);
  assert.equal(await chromium.text("h1"), "Hello, Jo Smith");
  await endedBy(demo, "SIGTERM");
}));

test("the demo says where the account page, the live controls and the metrics are", withBrowser(async (chromium) => {
  const demo = await startDemo();
  await demo.printed(/Ctrl-C ends it/);
  const [, account] = await demo.printed(/Your account: +(\S+)$/m);
  await chromium.open(account);
  await chromium.named("Continue with Member login");
  for (const system of ["iMIS", "aiM18"]) {
    const [, control] = await demo.printed(new RegExp(`simulated ${system} +(\\S+)$`, "m"));
    await chromium.open(control);
    assert.equal(await chromium.text("h1"), `Control of ${system} (simulated)`);
  }
  const [, metrics] = await demo.printed(/Metrics +(\S+)$/m);
  assert.match(await (await fetch(metrics)).text(), /^portico_build_info/m);
  await endedBy(demo, "SIGTERM");
}));

test("the demo ends in order when it is told to terminate", async () => {
  const demo = await startDemo();
  await demo.printed(/Ctrl-C ends it/);
  await endedBy(demo, "SIGTERM");
});

test("the demo says which option helps when a port is taken", async () => {
  const demo = await startDemo();
  await demo.printed(/Ctrl-C ends it/);
  const [free] = await freePorts(1);
  const [port, appPort] = demo.ports;
  for (const [ports, option] of [[[port, free], "--port"], [[free, appPort], "--app-port"]]) {
    const second = await startDemo(ports);
    assert.equal(await second.ended, 1);
    assert.match(second.output, new RegExp(`choose a free one with ${option}\\b`));
  }
  await endedBy(demo, "SIGTERM");
});
