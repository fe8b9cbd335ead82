// Looks at a page as it is shown on a phone and on a desk, light and dark: axe-core, sideways scrolling, and a picture for people.
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const SCREENSHOTS = process.env.PORTICO_SCREENSHOTS ?? join(ROOT, "target/screenshots");
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const HEIGHT = 800;
const WIDTHS = [320, 1280];
const SCHEMES = ["light", "dark"];

function describe(violation) {
  const nodes = violation.nodes.map((node) => `${node.target.join(" ")}: ${node.any.concat(node.all, node.none).map(({ message }) => message).join("; ")}`);
  return `${violation.id}: ${violation.help}\n    ${nodes.join("\n    ")}`;
}

async function violations(driver) {
  await driver.executeScript(`if (!window.axe) { ${AXE} }`);
  const result = await driver.executeAsyncScript((done) => {
    window.axe.run(document, { resultTypes: ["violations"] }).then((answer) => done({ answer: answer.violations }), (error) => done({ error: String(error) }));
  });
  if (result.error) throw new Error(`axe-core: ${result.error}`);
  return result.answer.map(describe);
}

async function picture(driver, file) {
  const { contentSize } = await layout(driver);
  const { data } = await driver.sendAndGetDevToolsCommand("Page.captureScreenshot", {
    format: "png",
    captureBeyondViewport: true,
    clip: { x: 0, y: 0, width: contentSize.width, height: contentSize.height, scale: 1 },
  });
  await mkdir(SCREENSHOTS, { recursive: true });
  await writeFile(join(SCREENSHOTS, file), Buffer.from(data, "base64"));
}

async function layout(driver) {
  const metrics = await driver.sendAndGetDevToolsCommand("Page.getLayoutMetrics", {});
  return { contentSize: metrics.cssContentSize };
}

// What is wrong with the page, in words; nothing, one hopes. Pictures are named after `name`.
export async function audit(chromium, name) {
  const { driver } = chromium;
  const problems = [];
  await driver.sendDevToolsCommand("Emulation.setScrollbarsHidden", { hidden: true });
  try {
    for (const width of WIDTHS) {
      for (const scheme of SCHEMES) {
        await driver.sendDevToolsCommand("Emulation.setDeviceMetricsOverride", { width, height: HEIGHT, deviceScaleFactor: 1, mobile: false });
        await driver.sendDevToolsCommand("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
        const view = `${name} at ${width} px, ${scheme}`;
        const { contentSize } = await layout(driver);
        if (contentSize.width > width) problems.push(`${view}: is ${contentSize.width} px wide and scrolls sideways`);
        for (const violation of await violations(driver)) problems.push(`${view}: ${violation}`);
        await picture(driver, `${name}-${width}-${scheme}.png`);
      }
    }
  } finally {
    await driver.sendDevToolsCommand("Emulation.clearDeviceMetricsOverride", {});
    await driver.sendDevToolsCommand("Emulation.setEmulatedMedia", { features: [] });
    await driver.sendDevToolsCommand("Emulation.setScrollbarsHidden", { hidden: false });
  }
  return problems;
}
