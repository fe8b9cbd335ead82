// Chromium, driven through Debian's chromedriver: a fresh profile for each test, nothing fetched but from the servers of the test.
import { execFileSync } from "node:child_process";
import { X509Certificate, createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Builder, By, logging } from "selenium-webdriver";
import chrome from "selenium-webdriver/chrome.js";

// How long a test waits for what comes by itself: long, for a machine may be slow, and who waits for what does not come has failed anyway.
export const PATIENCE_MS = 60_000;

const inPath = (program) => execFileSync("/bin/sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();

// Of the public key, as Chromium wants it.
function fingerprint(certificate) {
  const key = new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(key).digest("base64");
}

const FLAGS = [
  "--headless=new",
  // Neither root nor a container has the sandbox; only pages of the test are opened.
  "--no-sandbox",
  "--disable-dev-shm-usage",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--no-default-browser-check",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-features=Translate,OptimizationHints,MediaRouter,PasswordLeakDetection,HttpsUpgrades",
  "--lang=en-US",
];

// `trusted` is a certificate that nobody else trusts; with `thirdPartyCookies` sites have their cookies in frames on pages of
// other sites, too.
export async function openChromium({ trusted, thirdPartyCookies = false } = {}) {
  const profile = await mkdtemp(join(tmpdir(), "portico-chromium-"));
  const options = new chrome.Options();
  options.setChromeBinaryPath(inPath("chromium"));
  options.addArguments(...FLAGS, `--user-data-dir=${profile}`);
  if (trusted) options.addArguments(`--ignore-certificate-errors-spki-list=${fingerprint(trusted)}`);
  options.setLoggingPrefs({ browser: "ALL" });
  options.setUserPreferences({
    "credentials_enable_service": false,
    "profile.password_manager_leak_detection": false,
    "profile.cookie_controls_mode": thirdPartyCookies ? 0 : 1,
    "intl.accept_languages": "en",
  });
  const driver = await new Builder()
    .forBrowser("chrome")
    .setChromeOptions(options)
    .setChromeService(new chrome.ServiceBuilder(inPath("chromedriver")))
    .build();
  await driver.manage().setTimeouts({ script: PATIENCE_MS });
  return new Chromium(driver, profile);
}

// What the driver says of an element whose document is gone; which of the two depends on how far the browser has come.
const isGone = (error) => /stale element|does not belong to the document/.test(error.message);

// An element that is found while the browser is still moving to its page may be gone when it is used, and then nothing has
// happened to it: it is looked for again.
async function onWhatStays(action) {
  for (let tries = 5; ; tries -= 1) {
    try {
      return await action();
    } catch (error) {
      if (tries === 0 || !isGone(error)) throw error;
    }
  }
}

export class Chromium {
  constructor(driver, profile) {
    this.driver = driver;
    this.profile = profile;
  }

  async close() {
    await this.driver.quit();
    // Its processes end a while after the driver has told them to, and write until then.
    await rm(this.profile, { recursive: true, force: true, maxRetries: 20 });
  }

  // Asks for pages in this language from now on.
  async speak(language) {
    await this.driver.sendDevToolsCommand("Network.enable", {});
    await this.driver.sendDevToolsCommand("Network.setExtraHTTPHeaders", { headers: { "Accept-Language": language } });
  }

  open(url) {
    return this.driver.get(url);
  }

  // What the console has said since the last call, pages that were left included: violations of a content security policy,
  // refused cookies, exceptions. That an answer is a 4xx is said there too, and is no complaint.
  async complaints() {
    const entries = await this.driver.manage().logs().get(logging.Type.BROWSER);
    return entries.map(({ message }) => message).filter((message) => !/Failed to load resource: the server responded/.test(message));
  }

  // The script of pages, not the driver's.
  async disableScript() {
    await this.driver.sendDevToolsCommand("Emulation.setScriptExecutionDisabled", { value: true });
  }

  async enableScript() {
    await this.driver.sendDevToolsCommand("Emulation.setScriptExecutionDisabled", { value: false });
  }

  async url() {
    return this.driver.getCurrentUrl();
  }

  async arrivesAt(prefix) {
    await this.driver.wait(async () => (await this.url()).startsWith(prefix), PATIENCE_MS)
      .catch(async () => { throw new Error(`did not arrive at ${prefix}, but is at ${await this.where()}`); });
  }

  // The one visible element; waits until it is there.
  async find(css) {
    const found = this.driver.wait(async () => {
      for (const element of await this.driver.findElements(By.css(css))) {
        if (await element.isDisplayed().catch(() => false)) return element;
      }
      return null;
    }, PATIENCE_MS);
    return found.catch(async () => { throw new Error(`found no ${css} at ${await this.where()}`); });
  }

  async has(css) {
    for (const element of await this.driver.findElements(By.css(css))) if (await element.isDisplayed().catch(() => false)) return true;
    return false;
  }

  async text(css) {
    return onWhatStays(async () => (await this.find(css)).getText());
  }

  // A button or a link by what it says.
  async named(label) {
    const element = await this.driver.wait(async () => {
      for (const candidate of await this.driver.findElements(By.css("button, a[href], input[type=submit]"))) {
        // The page may be on its way out while it is read.
        const says = () => candidate.getText().catch(() => "");
        if (await candidate.isDisplayed().catch(() => false) && (await says()).includes(label)) return candidate;
      }
      return null;
    }, PATIENCE_MS).catch(async () => { throw new Error(`found nothing to press that says ${label} at ${await this.where()}`); });
    return element;
  }

  async press(label) {
    await onWhatStays(async () => (await this.named(label)).click());
  }

  async click(css) {
    await onWhatStays(async () => (await this.find(css)).click());
  }

  // Sends the form that the field is in.
  async submit(css) {
    await onWhatStays(async () => (await this.find(css)).submit());
  }

  // Types over what is there, for a page may keep the user name that was typed before.
  async fill(css, value) {
    await onWhatStays(async () => {
      const field = await this.find(css);
      await field.clear();
      await field.sendKeys(value);
    });
  }

  // Waits until `action` has led to another document.
  async leaving(action) {
    const root = await this.driver.findElement(By.css("html"));
    await action();
    const left = () => root.getTagName().then(() => false, (error) => {
      if (isGone(error)) return true;
      throw error;
    });
    await this.driver.wait(left, PATIENCE_MS);
  }

  async focused(...keys) {
    await this.driver.actions().sendKeys(...keys).perform();
    return this.driver.switchTo().activeElement();
  }

  async where() {
    const body = await this.driver.findElement(By.css("body")).then((element) => element.getText(), () => "");
    return `${await this.url()}: ${body}`;
  }
}
