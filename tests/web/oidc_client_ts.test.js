// oidc-client-ts in a browser, its user in the storage that all tabs of the app share: renewal by refresh token, by itself and by two tabs at once.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { browserApp } from "./harness/clients.js";
import { withBrowser } from "./harness/neighborhood.js";
import { JO } from "./harness/people.js";
import { freePorts } from "./harness/ports.js";
import { FILES } from "./harness/sample_app.js";
import { startStand } from "./harness/stand.js";
import { logIn } from "./harness/steps.js";

const PATIENCE_MS = 10_000;

const PAGE = '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Tabs</title><link rel="icon" href="data:,"></head>'
  + '<body><h1 hidden>Ready</h1><script src="oidc.js"></script><script src="app.js"></script></body></html>';

const script = (issuer) => `
const manager = new oidc.UserManager({
  authority: ${JSON.stringify(issuer)}, client_id: "tabs", redirect_uri: location.origin + "/", scope: "openid profile offline_access",
  automaticSilentRenew: new URLSearchParams(location.search).has("renew"),
  // Minutes before the end: a token that was just issued is due.
  accessTokenExpiringNotificationTimeInSeconds: 3600 * 24,
  userStore: new oidc.WebStorageStateStore({ store: localStorage }),
});
async function works() {
  const { access_token: token } = await manager.getUser();
  const answer = await fetch(${JSON.stringify(`${issuer}/userinfo`)}, { headers: { Authorization: "Bearer " + token } });
  return answer.ok;
}
(async () => {
  if (new URLSearchParams(location.search).has("code")) {
    await manager.signinRedirectCallback();
    history.replaceState(null, "", "/");
  }
  document.querySelector("h1").hidden = false;
})();
`;

let stand;
let server;
let address;
before(async () => {
  const [port] = await freePorts(1);
  address = `http://localhost:${port}`;
  stand = await startStand({ clients: [browserApp("tabs", address, { redirect_uris: [`${address}/`] })] });
  const library = await readFile(join(FILES, "oidc-client-ts.min.js"));
  const files = { "/": ["text/html", PAGE], "/oidc.js": ["text/javascript", library], "/app.js": ["text/javascript", script(stand.issuer)] };
  server = createServer((request, response) => {
    const [type, body] = files[new URL(request.url, address).pathname] ?? ["text/plain", ""];
    response.writeHead(200, { "Content-Type": `${type}; charset=utf-8` }).end(body);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
});
after(async () => {
  server?.closeAllConnections();
  server?.close();
  await stand?.stop();
});

async function signIn(chromium) {
  await chromium.open(`${address}/`);
  await chromium.find("h1");
  await chromium.driver.executeScript("manager.signinRedirect();");
  await logIn(chromium, JO);
  await chromium.arrivesAt(`${address}/`);
  await chromium.find("h1");
}

const accessToken = ({ driver }) => driver.executeScript("return manager.getUser().then((user) => user.access_token);");

test("two tabs that renew at the same moment both go on with tokens that work", withBrowser(async (chromium) => {
  const { driver } = chromium;
  await signIn(chromium);
  const first = await accessToken(chromium);
  const tabs = [await driver.getWindowHandle()];
  await driver.switchTo().newWindow("tab");
  await chromium.open(`${address}/`);
  await chromium.find("h1");
  tabs.push(await driver.getWindowHandle());
  // Both begin at a time that is set beforehand, with the same refresh token.
  const at = Date.now() + 1_000;
  for (const tab of tabs) {
    await driver.switchTo().window(tab);
    await driver.executeScript(`
      const stored = manager.getUser();
      window.renewal = stored.then((user) => new Promise((go) => setTimeout(go, ${at} - Date.now())))
        .then(() => manager.signinSilent()).then((user) => user.access_token);`);
  }
  for (const tab of tabs) {
    await driver.switchTo().window(tab);
    assert.notEqual(await driver.executeScript("return window.renewal;"), first);
    assert.ok(await driver.executeScript("return works();"));
  }
  // Neither has ended the other's: both renew once more, one after the other.
  for (const tab of tabs) {
    await driver.switchTo().window(tab);
    await driver.executeScript("return manager.signinSilent().then(() => null);");
    assert.ok(await driver.executeScript("return works();"));
  }
}));

test("the library renews by itself before the token ends", withBrowser(async (chromium) => {
  await signIn(chromium);
  const first = await accessToken(chromium);
  await chromium.open(`${address}/?renew`);
  await chromium.find("h1");
  await chromium.driver.executeScript("manager.getUser();");
  await chromium.driver.wait(async () => await accessToken(chromium) !== first, PATIENCE_MS);
  assert.ok(await chromium.driver.executeScript("return works();"));
}));
