// Looks at the HTML pages of reports in a real browser: nothing is loaded, nothing is cut off at three widths, in
// light and in dark, search and filter do what they say, a keyboard reaches everything, and axe-core finds no fault.
//
//   npm install --prefix tests/pages
//   node tests/pages/look.mjs OUT PAGE.html...     # screenshots go to the folder OUT
//
// It needs Chromium: on the PATH, or in the variable CHROMIUM. Exit status 1 if anything is wrong.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const WIDTHS = [360, 768, 1280];
const [out, ...pages] = process.argv.slice(2);
if (!out || pages.length === 0) {
  console.error("usage: node tests/pages/look.mjs OUT PAGE.html...");
  process.exit(2);
}
const found = () => execFileSync("sh", ["-c", "command -v chromium || command -v google-chrome"], { encoding: "utf8" });
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? found().trim(),
  args: ["--no-sandbox", "--hide-scrollbars"],
});
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(out, { recursive: true });
let looked = 0;
const faults = [];
const check = (holds, what) => {
  looked += 1;
  if (!holds) faults.push(what);
};

for (const path of pages) {
  const name = basename(path, ".html");
  const page = await browser.newPage();
  const requests = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => faults.push(`${name}: ${error.message}`));
  const own = pathToFileURL(resolve(path)).href;
  await page.goto(own);
  // A registry shows the badges that lie beside it.
  const strange = requests.filter((url) => url !== own && !(url.startsWith(new URL(".", own).href) && url.endsWith(".svg")));
  check(strange.length === 0, `${name}: the page asks for ${strange}`);

  for (const scheme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    for (const width of WIDTHS) {
      await page.setViewport({ width, height: 900 });
      const wide = await page.evaluate(() => document.scrollingElement.scrollWidth);
      check(wide <= width, `${name}: at ${width} the page is ${wide} wide`);
      await page.screenshot({ path: `${out}/${name}-${scheme}-${width}.png` });
    }
    await page.evaluate((source) => (0, eval)(source), axe).catch(() => page.addScriptTag({ content: axe }));
    const result = await page.evaluate(() => globalThis.axe.run());
    for (const violation of result.violations) {
      faults.push(`${name} (${scheme}): ${violation.id}: ${violation.help}: ${violation.nodes[0].html}`);
    }
    check(result.passes.length > 10, `${name}: axe-core had little to look at`);
  }
  await search(page, name);
  await keyboard(page, name);
  const paper = await page.pdf({ format: "A4" });
  check(paper.length > 10_000, `${name}: printed, it is empty`);
  await page.close();
}
await browser.close();
for (const fault of faults) console.error(fault);
console.log(`${looked} looks at ${pages.length} pages, ${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);

// The search shows what has the words, and only that; a verdict that is not wanted is hidden.
async function search(page, name) {
  if (!(await page.$("#words"))) return;
  const shown = () => page.$$eval(".requirement", (all) => all.filter((one) => one.checkVisibility()).length);
  const all = await shown();
  await page.type("#words", "no such words anywhere");
  check((await shown()) === 0, `${name}: a search for nothing finds something`);
  await page.$eval("#words", (field) => {
    field.value = "";
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  check((await shown()) === all, `${name}: an empty search hides something`);
  for (const box of await page.$$("input[name=verdict]")) {
    const verdict = await box.evaluate((one) => one.value);
    await box.evaluate((one) => one.click());
    const left = await page.$$eval(
      ".requirement",
      (all, verdict) => all.filter((one) => one.checkVisibility() && one.dataset.verdict === verdict).length,
      verdict,
    );
    check(left === 0, `${name}: ${left} requirements of verdict ${verdict} are shown although they are not wanted`);
    await box.evaluate((one) => one.click());
  }
  check((await shown()) === all, `${name}: all verdicts are wanted again, and something stays hidden`);
}

// The first key leads to the link that skips to the content, and a fold opens by the keyboard.
async function keyboard(page, name) {
  await page.reload();
  await page.bringToFront();
  await page.keyboard.press("Tab");
  const first = await page.evaluate(() => document.activeElement.className);
  check(first === "skip", `${name}: the first stop of the keyboard is ${first || "nothing"}`);
  const fold = await page.$("details > summary");
  if (!fold) return;
  await fold.focus();
  await page.keyboard.press("Enter");
  check(await fold.evaluate((one) => one.parentElement.open), `${name}: a fold does not open by the keyboard`);
}
