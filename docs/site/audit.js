// Looks at the site in Chromium: `node audit.js OUTPUT`, where axe-core and puppeteer-core are found by NODE_PATH. Each
// page is audited in light and dark, at two widths; then the search and the keyboard are tried. All from files.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { pathToFileURL } = require("node:url");
const puppeteer = require("puppeteer-core");

const root = path.resolve(process.argv[2]);
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const faults = [];

function pages(folder) {
  return fs.readdirSync(path.join(root, folder)).filter((name) => name.endsWith(".html"))
    .map((name) => path.join(folder, name)).sort();
}

// The internal pages and the sources are of one kind each: some of them stand for all.
function chosen() {
  const inner = pages("reference/internal").filter((_, i, all) => i % 40 === 0 || all[i].endsWith("index.html"));
  return [...pages("."), ...pages("guide"), ...pages("reference"), ...inner, "source/examples/nightly.lua.html"];
}

async function open(page, file, query = "") {
  await page.goto(pathToFileURL(path.join(root, file)).href + query, { waitUntil: "load" });
}

async function audit(page, file, mode) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  }));
  for (const { id, help, nodes } of violations) {
    faults.push(`${file} (${mode}): ${id}: ${help}: ${nodes[0].html.slice(0, 160)} and ${nodes.length - 1} more`);
  }
}

// What is wider than the window has to scroll by itself.
async function measure(page, file, mode) {
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  if (wide > window) faults.push(`${file} (${mode}): ${wide} pixels wide in a window of ${window}`);
}

async function audit_all(page) {
  for (const scheme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    for (const width of scheme === "light" ? [1280, 400] : [1280]) {
      await page.setViewport({ width, height: 900 });
      for (const file of chosen()) {
        await open(page, file);
        await audit(page, file, `${scheme}, ${width}`);
        await measure(page, file, `${scheme}, ${width}`);
      }
    }
  }
}

function expect(is_so, text) {
  if (!is_so) faults.push(text);
}

async function focused(page) {
  return page.evaluate(() => document.activeElement.className || document.activeElement.name);
}

async function try_keys(page) {
  await open(page, "guide/index.html");
  await page.keyboard.press("Tab");
  expect(await focused(page) === "skip", "the first key Tab does not lead to the link that skips");
  await page.keyboard.press("Enter");
  expect(page.url().endsWith("#content"), "the link that skips does not lead to the content");
  await page.keyboard.press("/");
  expect(await focused(page) === "q", "the key / does not lead to the search");
  await page.keyboard.type("part_size upload");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  const first = await page.$eval("#results a", (link) => link.getAttribute("href"));
  expect(first === "reference/catalog.batch.html#upload.part_size", `the search finds ${first} first`);
  await page.keyboard.press("Tab");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  expect(page.url().includes("reference/catalog.batch.html#"), "the first result is not reached by the keyboard");
}

async function main() {
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"],
  });
  try {
    const page = await browser.newPage();
    page.on("pageerror", (error) => faults.push(`${page.url()}: ${error.message}`));
    await audit_all(page);
    await try_keys(page);
  } finally {
    await browser.close();
  }
  for (const fault of faults) console.log(fault);
  console.log(`${chosen().length} pages, ${faults.length} faults`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}

main();
