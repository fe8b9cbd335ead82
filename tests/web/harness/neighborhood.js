// What the browser tests need together: Portico, web apps on other sites, the sample app, and a browser for each test.
import assert from "node:assert/strict";
import { browserApp } from "./clients.js";
import { openChromium } from "./chromium.js";
import { freePorts } from "./ports.js";
import { startSampleApp } from "./sample_app.js";
import { startStand } from "./stand.js";
import { startWebApp } from "./web_app.js";

// With `logo` the reading app has one, at its own address.
export async function startNeighborhood({ pages, members, sections, files, logo } = {}) {
  const undo = [];
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const [reading, notes, shop, board, desk, sample] = await freePorts(6);
    // 127.0.0.1 is another site than localhost, as an app usually is.
    const readingApp = browserApp("reading", `http://127.0.0.1:${reading}`, {
      consent: "once",
      ...(logo && { logo_uri: `http://127.0.0.1:${reading}/logo.png` }),
    });
    const notesApp = browserApp("notes", `http://127.0.0.1:${notes}`, {
      token_endpoint_auth_method: "client_secret_basic",
      client_secret: "a secret of the notes app, number 4",
    });
    const shopApp = browserApp("shop", `http://127.0.0.1:${shop}`, { frontchannel_logout_uri: `http://127.0.0.1:${shop}/frontchannel` });
    const boardApp = browserApp("board", `http://127.0.0.1:${board}`, { require_groups: ["Board"] });
    const deskApp = browserApp("desk", `http://127.0.0.1:${desk}`, { upstreams: ["staff"] });
    const sampleAddress = `http://localhost:${sample}/`;
    const sampleApp = browserApp("sample-app", sampleAddress.slice(0, -1), { redirect_uris: [sampleAddress], post_logout_redirect_uris: [sampleAddress] });

    const opened = logo && { outbound: { allow_hosts: ["127.0.0.1"] } };
    const stand = await startStand({ clients: [readingApp, notesApp, shopApp, boardApp, deskApp, sampleApp], pages, members, sections: { ...opened, ...sections }, files });
    undo.push(() => stand.stop());
    const start = async (registration, port, home) => {
      const app = await startWebApp({ issuer: stand.issuer, registration, address: `http://127.0.0.1:${port}`, home });
      undo.push(() => app.stop());
      return app;
    };
    const apps = { reading: await start(readingApp, reading), notes: await start(notesApp, notes), board: await start(boardApp, board), desk: await start(deskApp, desk) };
    // Its callback leads on to another site.
    apps.shop = await start(shopApp, shop, `http://127.0.0.1:${reading}/`);
    apps.sample = await startSampleApp(sample, {
      authority: stand.issuer,
      client_id: sampleApp.client_id,
      scope: sampleApp.scope,
    });
    undo.push(() => apps.sample.stop());
    return { ...stand, ...apps, stop };
  } catch (error) {
    await stop().catch(() => {});
    throw error;
  }
}

// Gives the test a browser of its own, whose console must stay silent; when it fails, says where the browser was.
// `options` answers those of openChromium once the test begins.
export function withBrowser(work, options = () => ({})) {
  return async () => {
    const chromium = await openChromium(options());
    try {
      await work(chromium);
      assert.deepEqual(await chromium.complaints(), []);
    } catch (error) {
      error.message += `\n(the browser was at ${await chromium.where().catch(() => "an unknown place")})`;
      throw error;
    } finally {
      await chromium.close();
    }
  };
}
