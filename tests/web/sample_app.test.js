// The sample app ships a library of others; it is theirs to the byte, and so is its licence.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { FILES } from "./harness/sample_app.js";

const require = createRequire(import.meta.url);

// A package may hide its package.json from `require`; its folder is above whatever it exports.
function folder(name) {
  const entry = require.resolve(name);
  return entry.slice(0, entry.lastIndexOf(join("node_modules", name)) + join("node_modules", name).length);
}

test("the bundle is the one of the locked package", async () => {
  const vendored = await readFile(join(FILES, "oidc-client-ts.min.js"));
  const published = await readFile(join(folder("oidc-client-ts"), "dist/browser/oidc-client-ts.min.js"));
  assert.ok(vendored.equals(published), "copy dist/browser/oidc-client-ts.min.js of the locked oidc-client-ts");
});

test("its notice names the versions, and has the licences, of what is in the bundle", async () => {
  const notice = await readFile(join(FILES, "oidc-client-ts.LICENSE.txt"), "utf8");
  for (const name of ["oidc-client-ts", "jwt-decode"]) {
    const { version } = JSON.parse(await readFile(join(folder(name), "package.json"), "utf8"));
    const licence = (await readFile(join(folder(name), "LICENSE"), "utf8")).replaceAll("\r", "");
    assert.ok(notice.includes(`${name} ${version}`), `the notice does not name ${name} ${version}`);
    assert.ok(notice.includes(licence.trim()), `the notice lacks the licence of ${name}`);
  }
});

test("the page runs no script and no style but its files'", async () => {
  const html = await readFile(join(FILES, "index.html"), "utf8");
  assert.doesNotMatch(html, /<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|https?:/i);
});
