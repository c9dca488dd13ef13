// Opens the status page in Chromium while as many browsers as there may be show it. Prints what the page says, and again what it
// says once there is a place for it.
// node full_page.cjs CHROMIUM URL

const { chromium } = require("playwright-core");

const [executablePath, url] = process.argv.slice(2);

async function main() {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
  try {
    const page = await browser.newPage({ viewport: { width: 390, height: 844 } });
    await page.goto(url);
    const says = (word) => page.waitForFunction((it) => document.getElementById("connection").textContent.includes(it), word, { timeout: 60_000 });
    for (const word of ["close it in one of them", "live"]) {
      await says(word);
      const seen = await page.evaluate(() => ({
        says: document.getElementById("connection").textContent,
        overflow: Math.max(0, document.documentElement.scrollWidth - innerWidth),
      }));
      console.log(JSON.stringify(seen));
    }
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
