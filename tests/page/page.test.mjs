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
  await page.getByRole("heading", { name: "Authentication required" }).waitFor();
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
  await page.getByRole("heading", { name: "Authentication required" }).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

test("a token that may only look is told so when it uploads", async (t) => {
  const file = tokens(t, { wall: "view" });
  const server = await serve(t, ["--emulator", ...file.settings]);
  const it = await open(t, browser, server);
  await it.page.getByLabel("Token", { exact: true }).fill(file.secrets.wall);
  await it.page.getByRole("button", { name: "Use this token" }).click();
  await uploadRandom(it.page, "1KiB");
  await says(fromHere(it.page), "Insufficient scope of the token", "The token of wall is known, but may not upload.");
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

/** Drops files of these names and sizes onto the page. */
async function drop(page, files) {
  const data = await page.evaluateHandle((all) => {
    const transfer = new DataTransfer();
    for (const [name, size] of Object.entries(all)) {
      transfer.items.add(new File([new Uint8Array(size).fill(97)], name, { type: "text/plain" }));
    }
    return transfer;
  }, files);
  await page.dispatchEvent("#drop", "drop", { dataTransfer: data });
}

const ofName = (list, name) => list.filter({ hasText: name });

test("files that are dropped are uploaded under their names", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  const files = { "one.txt": 3, "zwei ü.txt": 70_000, "three.txt": 5_000_000, "four.txt": 0, "five.txt": 1 };
  await drop(it.page, files);
  for (const name of Object.keys(files)) await says(ofName(fromHere(it.page), name), "stored");
  await says(it.page.locator("#finished-count"), "5");
  const { finished: uploads } = await server.ask("/api/uploads");
  const stored = Object.fromEntries(uploads.map(({ name, result }) => [name, result.size]));
  assert.deepEqual(stored, files);
  assert.ok(uploads.every(({ result }) => result.contentType === "text/plain"));
  for (const { name, result } of uploads) {
    for (const list of [fromHere(it.page), finished(it.page)]) await says(ofName(list, name), result.crc32c, result.uri);
  }
});

test("files that are chosen are uploaded", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await it.page.setInputFiles("#files", [
    { name: "a.pdf", mimeType: "application/pdf", buffer: Buffer.from("a") },
    { name: "b.pdf", mimeType: "application/pdf", buffer: Buffer.from("b") },
  ]);
  for (const name of ["a.pdf", "b.pdf"]) await says(ofName(fromHere(it.page), name), "stored", `gs://demo-bucket/${name}`);
});

test("a name that is taken is told in the API's words", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await drop(it.page, { "one.txt": 3 });
  await says(fromHere(it.page), "stored");
  await drop(it.page, { "one.txt": 4 });
  await says(fromHere(it.page), "failed");
  const { finished: [{ problem }] } = await server.ask("/api/uploads");
  assert.equal(problem.status, 409);
  await says(fromHere(it.page), problem.title, problem.detail);
});

test("a file that is too large is told in the API's words, however large it is", async (t) => {
  const server = await serve(t, ["--emulator", "--max-upload-size", "1MiB"]);
  const it = await open(t, browser, server);
  for (const size of [2 ** 20 + 1, 30_000_000]) {
    await drop(it.page, { [`${size}.bin`]: size });
    await says(ofName(fromHere(it.page), `${size}.bin`), "Size too large", `The body has ${size} bytes`);
  }
});

test("the progress of a file is shown, and it can be cancelled", async (t) => {
  const holding = await store(t, hold);
  const server = await serve(t, holding.settings);
  const it = await open(t, browser, server);
  await drop(it.page, { "long.bin": 50_000_000 });
  const bar = fromHere(it.page).getByRole("progressbar", { name: "Progress of long.bin" });
  await it.page.waitForFunction(() => document.querySelector("#mine progress").value > 0);
  const part = await bar.evaluate((progress) => progress.value);
  assert.ok(part > 0 && part < 1, "the store takes nothing, so it stands still");
  await says(inFlight(it.page), "long.bin", "running");
  await it.page.getByRole("button", { name: "Cancel long.bin" }).click();
  await says(fromHere(it.page), "failed", "Cancelled");
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

