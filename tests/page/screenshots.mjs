// Takes the screenshots of the page in docs/: `make screenshots`. They show real uploads to the embedded
// emulator; the failed one was really refused.

import { mkdirSync } from "node:fs";

import { browser as launch, open, serve } from "./support.mjs";

const TO = new URL("../../docs/page/", import.meta.url).pathname;

const ended = [];
const stage = { after: (work) => ended.unshift(work) };

async function upload(server, size) {
  await fetch(`${server.url}/api/upload-random?size=${size}`, { method: "POST" });
}

async function shoot(browser, server, name, options) {
  const { page } = await open(stage, browser, server, options);
  const size = page.getByLabel("A random file of this size");
  await size.fill("6GiB");
  await page.getByRole("button", { name: "Upload", exact: true }).click();
  await page.locator("#mine").getByText("Size too large").waitFor();
  await size.fill("1GiB");
  await page.getByRole("button", { name: "Upload", exact: true }).click();
  await page.locator("#mine").getByText(/[1-9][0-9.]* MiB\/s/).waitFor();
  await page.screenshot({ path: `${TO}${name}.png`, clip: { x: 0, y: 0, ...page.viewportSize() } });
}

mkdirSync(TO, { recursive: true });
const browser = await launch();
try {
  const server = await serve(stage);
  for (const size of ["40MiB", "90MiB", "5MiB", "70MiB", "20MiB", "120MiB"]) {
    await upload(server, size);
    await new Promise((done) => setTimeout(done, 5000));
  }
  await shoot(browser, server, "light", { viewport: { width: 1000, height: 860 }, colorScheme: "light" });
  await shoot(browser, server, "dark", { viewport: { width: 1000, height: 860 }, colorScheme: "dark" });
  await shoot(browser, server, "phone", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
} finally {
  for (const work of ended) await work();
  await browser.close();
}
