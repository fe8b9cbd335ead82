// Pages in the organization's look, and the menu of languages: axe-core finds nothing at 320 and 1280 px, light and dark, and no policy of ours is in the way.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { audit } from "./harness/audit.js";
import { startNeighborhood, withBrowser } from "./harness/neighborhood.js";
import { JO } from "./harness/people.js";
import { choose, decide, typePassword } from "./harness/steps.js";

const logo = (color) => `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 220 60"><style>text { font: bold 28px sans-serif }</style>
<circle cx="30" cy="30" r="24" fill="${color}"/><text x="66" y="40" fill="${color}">Example</text></svg>`;

const BRAND = {
  name: "Example Society",
  logo: "logo.svg",
  logo_dark: "logo-dark.svg",
  color: "#8a1c4a",
  stylesheet: "brand.css",
  links: [
    { label: { en: "Help", fr: "Aide", "zh-Hant": "說明", "zh-Hans": "帮助" }, url: "https://www.example.org/help" },
    { label: { en: "Privacy policy", fr: "Politique de confidentialité" }, url: "https://www.example.org/privacy" },
    { label: { en: "Imprint", fr: "Mentions légales" }, url: "https://www.example.org/imprint" },
  ],
};
const FILES = { "logo.svg": logo("#8a1c4a"), "logo-dark.svg": logo("#f3a6c8"), "brand.css": "main { border-radius: 0 }\n" };

let town;
before(async () => { town = await startNeighborhood({ sections: { brand: BRAND }, files: FILES }); });
after(() => town?.stop());

async function flawless(chromium, name) {
  assert.deepEqual(await audit(chromium, name), []);
}

test("login, consent, account, error", withBrowser(async (chromium) => {
  await chromium.open(`${town.reading.address}/login`);
  await chromium.named(JO.label);
  const seen = await chromium.driver.executeScript(() => {
    const image = document.querySelector(".brand img");
    const { borderRadius } = getComputedStyle(document.querySelector("main"));
    const accent = getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();
    return { shown: image.complete && image.naturalWidth > 0, alt: image.alt, borderRadius, accent };
  });
  assert.deepEqual(seen, { shown: true, alt: BRAND.name, borderRadius: "0px", accent: BRAND.color });
  await flawless(chromium, "brand-choice");
  await choose(chromium, JO);
  await flawless(chromium, "brand-login");
  await typePassword(chromium, JO, "not the password");
  await chromium.find("[role=alert]");
  await flawless(chromium, "brand-login-refused");
  await typePassword(chromium, JO);
  await chromium.find("button[name=decision]");
  await flawless(chromium, "brand-consent");
  await decide(chromium, "allow");
  await chromium.open(`${town.issuer}/account`);
  await flawless(chromium, "brand-account");
  await chromium.open(`${town.issuer}/end_session`);
  await flawless(chromium, "brand-logout");
  await chromium.open(`${town.issuer}/no/such/page`);
  await flawless(chromium, "brand-not-found");
}));

test("the menu of languages, without a script", withBrowser(async (chromium) => {
  const language = async () => (await chromium.find("html")).getAttribute("lang");
  const change = (tag) => chromium.leaving(() => chromium.click(`.foot button[value=${tag}]`));
  await chromium.open(`${town.reading.address}/login?prompt=consent`);
  await choose(chromium, JO);
  const page = await chromium.url();
  await typePassword(chromium, JO, "not the password");
  await chromium.find("[role=alert]");
  for (const tag of ["zh-Hant", "zh-Hans", "fr"]) {
    await change(tag);
    assert.equal(await language(), tag);
    assert.equal(new URL(await chromium.url()).searchParams.get("flow"), new URL(page).searchParams.get("flow"));
    await flawless(chromium, `brand-login-${tag}`);
  }
  await typePassword(chromium, JO);
  await chromium.find("button[name=decision]");
  assert.equal(await language(), "fr");
  await decide(chromium, "allow");
  await chromium.arrivesAt(town.reading.address);
}));
