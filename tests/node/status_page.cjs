// Opens the status page in Chromium, uses it, and prints what it has seen. Saves pictures if a folder is named.
// node status_page.cjs CHROMIUM URL [FOLDER]

const path = require("node:path");
const { chromium } = require("playwright-core");

const [executablePath, url, folder] = process.argv.slice(2);
const VIEWS = [
  { name: "desktop-light", colorScheme: "light", viewport: { width: 1280, height: 900 } },
  { name: "desktop-dark", colorScheme: "dark", viewport: { width: 1280, height: 900 } },
  { name: "phone-light", colorScheme: "light", viewport: { width: 390, height: 844 } },
  { name: "phone-dark", colorScheme: "dark", viewport: { width: 390, height: 844 } },
];

// Runs in the page. Returns texts whose contrast is below that of WCAG AA, and the pixels that are beside the screen.
function examine() {
  const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const luminance = ([red, green, blue]) => 0.2126 * channel(red / 255) + 0.7152 * channel(green / 255) + 0.0722 * channel(blue / 255);
  const numbers = (color) => color.match(/[\d.]+/g).map(Number);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = numbers(getComputedStyle(one).backgroundColor);
      if (color.length === 3 || color[3] === 1) {
        return color;
      }
    }
    return [255, 255, 255];
  };
  const pale = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const isText = walker.currentNode.data.trim() && !element.closest("script, style, noscript");
    if (!isText || !element.checkVisibility() || element.disabled) {
      continue;
    }
    const [one, other] = [luminance(numbers(getComputedStyle(element).color)), luminance(ground(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) {
      pale.add(`${element.tagName}.${element.className} ${contrast.toFixed(2)}: ${walker.currentNode.data.trim().slice(0, 40)}`);
    }
  }
  const overflow = Math.max(0, document.documentElement.scrollWidth - innerWidth);
  return { pale: [...pale], overflow };
}

// Runs in the page. Returns controls without a name for those who cannot see them.
function unnamed() {
  const controls = [...document.querySelectorAll("button, input, select, a")];
  const has = (one) => one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length;
  const charts = [...document.querySelectorAll("svg[role=img]:not([hidden])")];
  return [...controls.filter((one) => !has(one)), ...charts.filter((one) => !one.getAttribute("aria-label"))].map((one) => one.outerHTML.slice(0, 100));
}

async function until(page, what, read, isDone) {
  let last;
  for (let tries = 0; tries < 600; tries += 1) {
    last = await read();
    if (isDone(last)) {
      return last;
    }
    await page.waitForTimeout(100);
  }
  throw new Error(`${what} does not come: ${JSON.stringify(last)}`);
}

async function open(browser, view, complaints) {
  const context = await browser.newContext({ colorScheme: view.colorScheme, viewport: view.viewport, reducedMotion: "reduce" });
  const page = await context.newPage();
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin && !request.url().startsWith("data:")) {
      complaints.push(`a request to ${request.url()}`);
    }
  });
  await page.goto(url);
  // The token leads on to the page.
  await page.waitForURL(new URL("/", url).href);
  await until(page, "a live page", () => page.evaluate(() => document.getElementById("connection")?.textContent ?? ""), (text) => text === "live");
  await until(page, "a row", () => page.evaluate(() => document.querySelectorAll("#sites-rows tr").length), (count) => count > 0);
  return { page, context };
}

async function use(page) {
  const text = (id) => page.evaluate((it) => document.getElementById(it).textContent, id);
  const rows = () => page.evaluate(() => [...document.querySelectorAll("#sites-rows th")].map((it) => it.textContent));
  const seen = { url: page.url() };
  const problem = "refused";
  seen.attention = await until(page, "the dead backend", () => text("attention-rows"), (it) => it.includes(problem));
  seen.numbers = await text("numbers");
  seen.checked = await until(page, "a health check", () => text("upstreams-rows"), (it) => it.includes("checked "));
  await page.selectOption("#order", "errors");
  seen.busiest = await until(page, "the order", async () => (await rows())[0], (it) => it === "dead.localhost");
  seen.sites = await page.evaluate(() => state.sites.size);
  seen.rows = (await rows()).length;
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("/");
  seen.focused_by_key = await page.evaluate(() => document.activeElement.id);
  await page.keyboard.type("site-777");
  seen.found = await until(page, "the search", rows, (it) => it.length === 1);
  await page.keyboard.press("Control+A");
  await page.keyboard.type("localhost");
  await until(page, "all sites", rows, (it) => it.length > 1);
  seen.unnamed = await page.evaluate(unnamed);
  // The button of one certificate, by keyboard alone.
  const label = "Renew the certificate of localhost now";
  while (!(await page.evaluate((it) => document.querySelector(`[aria-label="${it}"]`) !== null, label))) {
    await page.locator("#names-more").press("Enter");
  }
  await page.locator(`[aria-label="${label}"]`).focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  seen.said = await until(page, "the renewal", () => text("said"), (it) => it !== "" && !it.endsWith("is being renewed."));
  return seen;
}

async function main() {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
  try {
    const complaints = [];
    const views = [];
    let seen = {};
    for (const view of VIEWS) {
      const { page, context } = await open(browser, view, complaints);
      views.push({ name: view.name, ...(await page.evaluate(examine)) });
      if (folder) {
        await page.screenshot({ path: path.join(folder, `${view.name}.png`) });
        await page.screenshot({ path: path.join(folder, `${view.name}-whole.png`), fullPage: true });
      }
      if (view === VIEWS[0]) {
        seen = await use(page);
      }
      await context.close();
    }
    console.log(JSON.stringify({ ...seen, complaints, views }));
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
