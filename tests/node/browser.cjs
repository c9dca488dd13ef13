// Opens a page in Chromium and prints the page's result.
// node browser.cjs CHROMIUM URL

const { chromium } = require("playwright-core");

const [executablePath, url] = process.argv.slice(2);

async function main() {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
  try {
    const page = await browser.newPage();
    const answer = await page.goto(url);
    await page.waitForFunction(() => window.outcome, null, { timeout: 60_000 });
    const outcome = await page.evaluate(() => window.outcome);
    const security = await answer.securityDetails();
    console.log(JSON.stringify({ ...outcome, issuer: security.issuer, tls: security.protocol }));
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
