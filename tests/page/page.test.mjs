// The page in a real browser, on a real server: what a person does with it, and what a browser and a
// screen reader hold it to.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { browser as launch, hold, open, refuse, serve, store, tokens } from "./support.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

const finished = (page) => page.getByRole("list", { name: /^Finished lately/ }).getByRole("listitem");
const fromHere = (page) => page.getByRole("list", { name: "From this page" }).getByRole("listitem");
const inFlight = (page) => page.getByRole("list", { name: /^In flight/ }).getByRole("listitem");
const bars = (page) => page.locator("#chart .bytes").evaluateAll((all) => all.map((bar) => Number(bar.getAttribute("height"))));

async function uploadRandom(page, size) {
  await page.getByLabel("A random file of this size").fill(size);
  await page.getByRole("button", { name: "Upload", exact: true }).click();
}

/** What has these words in it, once it has. */
async function says(where, ...words) {
  for (const word of words) await where.filter({ hasText: word }).first().waitFor();
}

test("it says what the server is and how it stands", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await says(it.page.locator("#status"), "ready");
  const { server: about } = await server.ask("/api/uploads");
  await says(it.page.locator("#about"), `version ${about.version}`, "gs://demo-bucket", `a stand-in at ${about.endpoint}`);
});

test("a random file is uploaded by the button, and shown with checksum and URI", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await uploadRandom(it.page, "300KiB");
  await says(fromHere(it.page), "stored");
  await says(finished(it.page), "stored");
  const { finished: [upload] } = await server.ask("/api/uploads");
  assert.equal(upload.size, 300 * 1024);
  for (const list of [fromHere(it.page), finished(it.page)]) {
    await says(list, upload.result.crc32c, upload.result.uri);
  }
  await says(it.page.locator("#news"), "Random file of 300KiB is stored");
});

test("checksum and URI can be copied", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await uploadRandom(it.page, "1KiB");
  await says(finished(it.page), "stored");
  const { finished: [{ result }] } = await server.ask("/api/uploads");
  for (const [button, copied] of [["checksum", result.crc32c], ["URI", result.uri]]) {
    await finished(it.page).getByRole("button", { name: `Copy the ${button} of ${result.name}` }).click();
    await says(it.page.locator("#news"), `Copied ${copied}`);
    assert.equal(await it.page.evaluate(() => navigator.clipboard.readText()), copied);
  }
});

test("a size that makes no sense is told in the API's words", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await uploadRandom(it.page, "banana");
  const refused = await fetch(`${server.url}/api/upload-random?size=banana`, { method: "POST" });
  const { title, detail } = await refused.json();
  await says(fromHere(it.page), "failed", title, detail);
  await says(it.page.locator("#news"), `Random file of banana: ${title}. ${detail}`);
});

test("an upload that the store refuses is told in the API's words, here and to all who look", async (t) => {
  const refusing = await store(t, refuse);
  const server = await serve(t, refusing.settings);
  const it = await open(t, browser, server);
  await uploadRandom(it.page, "1KiB");
  await says(fromHere(it.page), "failed");
  const { finished: [{ problem }] } = await server.ask("/api/uploads");
  assert.match(problem.detail, /not for you/);
  await says(fromHere(it.page), problem.title, problem.detail, problem.requestId);
  await says(finished(it.page), problem.title, problem.detail);
});

test("what is under way is shown as it goes", async (t) => {
  const holding = await store(t, hold);
  const server = await serve(t, holding.settings);
  const it = await open(t, browser, server);
  await says(it.page.locator("#flight-none"), "Nothing is under way.");
  await uploadRandom(it.page, "3MiB");
  await says(inFlight(it.page), "running", "3.0 MiB of 3.0 MiB sent");
  await says(it.page.locator("#flight-count"), "1");
  const { inFlight: [upload] } = await server.ask("/api/uploads");
  await says(inFlight(it.page), upload.name);
  const bar = it.page.getByRole("progressbar", { name: `Progress of ${upload.name}` });
  assert.equal(await bar.evaluate((progress) => progress.value), 1);
  await says(fromHere(it.page), "running", "3.0 MiB of 3.0 MiB sent");
});

test("a server that drains says so", async (t) => {
  const holding = await store(t, hold);
  const server = await serve(t, holding.settings);
  const it = await open(t, browser, server);
  await uploadRandom(it.page, "1KiB");
  await says(inFlight(it.page), "running");
  server.signal("SIGTERM");
  await says(it.page.locator("#status"), "draining: the server is shutting down");
});

test("a server that is gone is missed", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await says(it.page.locator("#status"), "ready");
  server.signal("SIGKILL");
  await says(it.page.locator("#status"), "no answer from the server");
});

test("the chart grows with what is sent, and moves on", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await says(it.page.locator("#counts"), "0 stored");
  assert.deepEqual(await bars(it.page), Array(60).fill(0));
  await uploadRandom(it.page, "2MiB");
  await says(it.page.locator("#counts"), "1 stored, 0 failed, 2.0 MiB sent");
  const tallest = async () => (await bars(it.page)).findIndex((height) => height > 0);
  const at = await tallest();
  assert.ok(at >= 58, `${at} is no recent interval`);
  await it.page.waitForFunction(
    (before) => [...document.querySelectorAll("#chart .bytes")].findIndex((bar) => bar.getAttribute("height") > 0) < before,
    at,
  );
  assert.match(await it.page.getByRole("img").getAttribute("aria-label"), /1 stored, 0 failed, 2.0 MiB sent/);
});

test("where tokens are asked for, it asks for one and keeps it in the tab alone", async (t) => {
  const file = tokens(t, { ci: "upload", old: "nothing" });
  const server = await serve(t, ["--emulator", ...file.settings]);
  const it = await open(t, browser, server);
  const { page } = it;
  await page.getByRole("heading", { name: "A token is needed" }).waitFor();
  const asked = await server.ask("/api/uploads");
  await says(page.locator("#access-detail"), asked.detail);
  assert.equal(await page.locator("#content").isVisible(), false);
  await page.waitForFunction(() => document.activeElement.id === "token");

  for (const wrong of ["gcsu_wrong", file.secrets.old]) {
    await page.keyboard.type(wrong);
    await page.keyboard.press("Enter");
    const { title, detail } = await server.ask("/api/uploads", { Authorization: `Bearer ${wrong}` });
    await says(page.locator("#access"), title, detail);
  }

  await page.keyboard.type(file.secrets.ci);
  await page.keyboard.press("Enter");
  await uploadRandom(page, "1KiB");
  await says(finished(page), "stored", "by ci");
  const kept = await page.evaluate(() => [JSON.stringify(localStorage), document.cookie, Object.values(sessionStorage)]);
  assert.deepEqual(kept, ["{}", "", [file.secrets.ci]]);
  assert.ok(it.requests.every((url) => !url.includes("gcsu_")), "it is in no URL");
  await page.reload();
  await says(finished(page), "by ci");

  await page.getByRole("button", { name: "Forget the token" }).click();
  await page.getByRole("heading", { name: "A token is needed" }).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

test("a token that may only look is told so when it uploads", async (t) => {
  const file = tokens(t, { wall: "view" });
  const server = await serve(t, ["--emulator", ...file.settings]);
  const it = await open(t, browser, server);
  await it.page.getByLabel("Token", { exact: true }).fill(file.secrets.wall);
  await it.page.getByRole("button", { name: "Use this token" }).click();
  await uploadRandom(it.page, "1KiB");
  await says(fromHere(it.page), "The token is not for this", "The token of wall is known, but may not upload.");
});

test("all of it can be done with the keyboard", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  const { page } = it;
  await says(page.locator("#status"), "ready");
  await page.keyboard.press("Tab");
  await page.waitForFunction(() => document.activeElement.id === "size");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("2KiB");
  await page.keyboard.press("Enter");
  await says(finished(page), "stored", "2.0 KiB");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.waitForFunction(() => document.activeElement.id === "files");
  const outline = await page.locator("#drop").evaluate((zone) => getComputedStyle(zone).outlineStyle);
  assert.equal(outline, "solid", "the zone shows that it has the focus");
  const chooser = page.waitForEvent("filechooser");
  await page.keyboard.press("Space");
  assert.equal((await chooser).isMultiple(), true);
});

test("who is on a button stays there while the lists change", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await uploadRandom(it.page, "1KiB");
  await says(finished(it.page), "stored");
  const copy = finished(it.page).getByRole("button").first();
  await copy.focus();
  const name = await copy.getAttribute("aria-label");
  await fetch(`${server.url}/api/upload-random?size=1KiB`, { method: "POST" });
  await says(it.page.locator("#finished-count"), "2");
  const focused = await it.page.evaluate(() => document.activeElement.getAttribute("aria-label"));
  assert.equal(focused, name);
});

test("it asks for nothing while nobody looks, and at once when somebody does again", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  const turn = (hidden) =>
    it.page.evaluate((value) => {
      Object.defineProperty(document, "hidden", { configurable: true, value });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  await says(it.page.locator("#counts"), "0 stored");
  await turn(true);
  const before = it.requests.length;
  await fetch(`${server.url}/api/upload-random?size=1KiB`, { method: "POST" });
  // Longer than it waits between two questions.
  await it.page.waitForTimeout(6000);
  assert.equal(it.requests.length, before);
  await turn(false);
  await says(it.page.locator("#finished-count"), "1");
});

test("files that are dropped and cannot be uploaded are told so in the API's words", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  const data = await it.page.evaluateHandle(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(["one"], "one.txt", { type: "text/plain" }));
    transfer.items.add(new File(["two"], "two.txt", { type: "text/plain" }));
    return transfer;
  });
  await it.page.dispatchEvent("#drop", "drop", { dataTransfer: data });
  const { title, detail } = await (await fetch(`${server.url}/api/upload?name=one.txt`, { method: "POST" })).json();
  for (const name of ["one.txt", "two.txt"]) {
    await says(fromHere(it.page).filter({ hasText: name }), "failed", title, detail);
  }
});

for (const [how, options] of Object.entries({
  "in light": { colorScheme: "light" },
  "in dark": { colorScheme: "dark" },
  "on a phone": { viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true },
  "on a phone in dark": { viewport: { width: 320, height: 640 }, colorScheme: "dark" },
  "with little motion and more contrast": { reducedMotion: "reduce", forcedColors: "active" },
})) {
  test(`${how}, axe-core finds nothing, whatever is shown`, async (t) => {
    const file = tokens(t, { ci: "upload" });
    const holding = await store(t, hold);
    const server = await serve(t, [...holding.settings, ...file.settings]);
    const it = await open(t, browser, server, options);
    const { page } = it;
    await page.getByLabel("Token", { exact: true }).waitFor();
    await holdsToAxe(page);
    await page.getByLabel("Token", { exact: true }).fill(file.secrets.ci);
    await page.getByRole("button", { name: "Use this token" }).click();
    await uploadRandom(page, "banana");
    await says(fromHere(page), "failed");
    await uploadRandom(page, "1MiB");
    await says(inFlight(page), "running");
    await holdsToAxe(page);
  });

  test(`${how}, axe-core finds nothing in what was stored, and nothing is cut off`, async (t) => {
    const server = await serve(t);
    const it = await open(t, browser, server, options);
    await uploadRandom(it.page, "1MiB");
    await says(finished(it.page), "stored");
    await holdsToAxe(it.page);
    const surplus = await it.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(surplus <= 0, `${surplus} pixels are beyond the edge`);
  });
}

async function holdsToAxe(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("; ")}`);
  assert.deepEqual(found, []);
}

