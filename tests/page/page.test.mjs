// Tests of the page in a real browser and on a real server: its use by a person, its security policy
// and its accessibility.

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

const finished = (page) => page.getByRole("list", { name: /^Recent uploads/ }).getByRole("listitem");
const yours = (page) => page.getByRole("list", { name: "Your uploads" }).getByRole("listitem");
const inFlight = (page) => page.getByRole("list", { name: /^In progress/ }).getByRole("listitem");
const bars = (page) => page.locator("#chart .bytes").evaluateAll((all) => all.map((bar) => Number(bar.getAttribute("height"))));

async function uploadRandom(page, size) {
  await page.getByLabel("A random file of this size").fill(size);
  await page.getByRole("button", { name: "Upload", exact: true }).click();
}

/** Waits until an element has each of these words. */
async function says(where, ...words) {
  for (const word of words) await where.filter({ hasText: word }).first().waitFor();
}

test("page shows version, bucket, endpoint and state of the server", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await says(it.page.locator("#status"), "ready");
  const { server: about } = await server.get("/api/uploads");
  await says(it.page.locator("#about"), `version ${about.version}`, "gs://demo-bucket", `emulator at ${about.endpoint}`);
});

test("upload button uploads a random file and shows its checksum and URI", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await uploadRandom(it.page, "300KiB");
  await says(yours(it.page), "stored");
  await says(finished(it.page), "stored");
  const { finished: [upload] } = await server.get("/api/uploads");
  assert.equal(upload.size, 300 * 1024);
  for (const list of [yours(it.page), finished(it.page)]) {
    await says(list, upload.result.crc32c, upload.result.uri);
  }
  await says(it.page.locator("#news"), "Random file of 300KiB is stored");
});

test("checksum and URI can be copied", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await uploadRandom(it.page, "1KiB");
  await says(finished(it.page), "stored");
  const { finished: [{ result }] } = await server.get("/api/uploads");
  for (const [button, copied] of [["checksum", result.crc32c], ["URI", result.uri]]) {
    await finished(it.page).getByRole("button", { name: `Copy the ${button} of ${result.name}` }).click();
    await says(it.page.locator("#news"), `Copied ${copied}`);
    assert.equal(await it.page.evaluate(() => navigator.clipboard.readText()), copied);
  }
});

test("invalid size is reported with the API's title and detail", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await uploadRandom(it.page, "banana");
  const refused = await fetch(`${server.url}/api/upload-random?size=banana`, { method: "POST" });
  const { title, detail } = await refused.json();
  await says(yours(it.page), "failed", title, detail);
  await says(it.page.locator("#news"), `Random file of banana: ${title}. ${detail}`);
});

test("upload refused by the store is reported with the API's title and detail in both lists", async (t) => {
  const refusing = await store(t, refuse);
  const server = await serve(t, refusing.settings);
  const it = await open(t, browser, server);
  await uploadRandom(it.page, "1KiB");
  await says(yours(it.page), "failed");
  const { finished: [{ problem }] } = await server.get("/api/uploads");
  assert.match(problem.detail, /not for you/);
  await says(yours(it.page), problem.title, problem.detail, problem.requestId);
  await says(finished(it.page), problem.title, problem.detail);
});

test("upload in progress is shown with its progress", async (t) => {
  const holding = await store(t, hold);
  const server = await serve(t, holding.settings);
  const it = await open(t, browser, server);
  await says(it.page.locator("#flight-none"), "No uploads in progress.");
  await uploadRandom(it.page, "3MiB");
  await says(inFlight(it.page), "running", "3.0 MiB of 3.0 MiB sent");
  await says(it.page.locator("#flight-count"), "1");
  const { inFlight: [upload] } = await server.get("/api/uploads");
  await says(inFlight(it.page), upload.name);
  const bar = it.page.getByRole("progressbar", { name: `Progress of ${upload.name}` });
  assert.equal(await bar.evaluate((progress) => progress.value), 1);
  await says(yours(it.page), "running", "3.0 MiB of 3.0 MiB sent");
});

test("draining server is shown as draining", async (t) => {
  const holding = await store(t, hold);
  const server = await serve(t, holding.settings);
  const it = await open(t, browser, server);
  await uploadRandom(it.page, "1KiB");
  await says(inFlight(it.page), "running");
  server.signal("SIGTERM");
  await says(it.page.locator("#status"), "draining: the server is shutting down");
});

test("stopped server is shown as not responding", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await says(it.page.locator("#status"), "ready");
  server.signal("SIGKILL");
  await says(it.page.locator("#status"), "no response from the server");
});

test("chart shows the bytes sent, and scrolls", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await says(it.page.locator("#counts"), "0 stored");
  assert.deepEqual(await bars(it.page), Array(60).fill(0));
  await uploadRandom(it.page, "2MiB");
  await says(it.page.locator("#counts"), "1 stored, 0 failed, 2.0 MiB sent");
  const tallest = async () => (await bars(it.page)).findIndex((height) => height > 0);
  const at = await tallest();
  assert.ok(at >= 58, `${at} is not a recent interval`);
  await it.page.waitForFunction(
    (before) => [...document.querySelectorAll("#chart .bytes")].findIndex((bar) => bar.getAttribute("height") > 0) < before,
    at,
  );
  assert.match(await it.page.getByRole("img").getAttribute("aria-label"), /1 stored, 0 failed, 2.0 MiB sent/);
});

test("page that requires a token asks for it and keeps it in the tab only", async (t) => {
  const file = tokens(t, { ci: "upload", old: "nothing" });
  const server = await serve(t, ["--emulator", ...file.settings]);
  const it = await open(t, browser, server);
  const { page } = it;
  await page.getByRole("heading", { name: "Enter your upload token" }).waitFor();
  await says(page.locator("#access-detail"), "This server requires a token to upload files and to show uploads.");
  assert.equal(await page.locator("#content").isVisible(), false);
  await page.waitForFunction(() => document.activeElement.id === "token");

  for (const wrong of ["gcsu_wrong", file.secrets.old]) {
    await page.keyboard.type(wrong);
    await page.keyboard.press("Enter");
    const { title, detail } = await server.get("/api/uploads", { Authorization: `Bearer ${wrong}` });
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

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Enter your upload token" }).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

test("upload with a view token is refused with the API's title and detail", async (t) => {
  const file = tokens(t, { wall: "view" });
  const server = await serve(t, ["--emulator", ...file.settings]);
  const it = await open(t, browser, server);
  await it.page.getByLabel("Token", { exact: true }).fill(file.secrets.wall);
  await it.page.getByRole("button", { name: "Sign in" }).click();
  await uploadRandom(it.page, "1KiB");
  const authorization = { Authorization: `Bearer ${file.secrets.wall}` };
  const refused = await fetch(`${server.url}/api/upload-random`, { method: "POST", headers: authorization });
  const { status, title, detail } = await refused.json();
  assert.equal(status, 403);
  assert.match(detail, /\bwall\b/);
  await says(yours(it.page), title, detail);
});

test("page can be used with the keyboard alone", async (t) => {
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

test("focused button keeps the focus while the lists change", async (t) => {
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

test("hidden page sends no requests, and polls at once when it is shown again", async (t) => {
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
  // Longer than the interval between two polls.
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

test("dropped files are uploaded under their names", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  const files = { "one.txt": 3, "zwei ü.txt": 70_000, "three.txt": 5_000_000, "four.txt": 0, "five.txt": 1 };
  await drop(it.page, files);
  for (const name of Object.keys(files)) await says(ofName(yours(it.page), name), "stored");
  await says(it.page.locator("#finished-count"), "5");
  const { finished: uploads } = await server.get("/api/uploads");
  const stored = Object.fromEntries(uploads.map(({ name, result }) => [name, result.size]));
  assert.deepEqual(stored, files);
  assert.ok(uploads.every(({ result }) => result.contentType === "text/plain"));
  for (const { name, result } of uploads) {
    for (const list of [yours(it.page), finished(it.page)]) await says(ofName(list, name), result.crc32c, result.uri);
  }
});

test("chosen files are uploaded", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await it.page.setInputFiles("#files", [
    { name: "a.pdf", mimeType: "application/pdf", buffer: Buffer.from("a") },
    { name: "b.pdf", mimeType: "application/pdf", buffer: Buffer.from("b") },
  ]);
  for (const name of ["a.pdf", "b.pdf"]) await says(ofName(yours(it.page), name), "stored", `gs://demo-bucket/${name}`);
});

test("existing name is reported with the API's title and detail", async (t) => {
  const server = await serve(t);
  const it = await open(t, browser, server);
  await drop(it.page, { "one.txt": 3 });
  await says(yours(it.page), "stored");
  await drop(it.page, { "one.txt": 4 });
  await says(yours(it.page), "failed");
  const { finished: [{ problem }] } = await server.get("/api/uploads");
  assert.equal(problem.status, 409);
  await says(yours(it.page), problem.title, problem.detail);
});

test("file above the maximum size is reported, however large it is", async (t) => {
  const server = await serve(t, ["--emulator", "--max-upload-size", "1MiB"]);
  const it = await open(t, browser, server);
  for (const size of [2 ** 20 + 1, 30_000_000]) {
    await drop(it.page, { [`${size}.bin`]: size });
    await says(ofName(yours(it.page), `${size}.bin`), "Size too large", `${size} bytes`);
  }
});

test("file upload shows its progress and can be cancelled", async (t) => {
  const holding = await store(t, hold);
  const server = await serve(t, holding.settings);
  const it = await open(t, browser, server);
  await drop(it.page, { "long.bin": 50_000_000 });
  const bar = yours(it.page).getByRole("progressbar", { name: "Progress of long.bin" });
  await it.page.waitForFunction(() => document.querySelector("#mine progress").value > 0);
  const part = await bar.evaluate((progress) => progress.value);
  assert.ok(part > 0 && part < 1, "the store accepts nothing, so the progress stops");
  await says(inFlight(it.page), "long.bin", "running");
  await it.page.getByRole("button", { name: "Cancel long.bin" }).click();
  await says(yours(it.page), "failed", "Cancelled");
});

for (const [how, options] of Object.entries({
  "in light": { colorScheme: "light" },
  "in dark": { colorScheme: "dark" },
  "on a phone": { viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true },
  "on a phone in dark": { viewport: { width: 320, height: 640 }, colorScheme: "dark" },
  "with little motion and more contrast": { reducedMotion: "reduce", forcedColors: "active" },
})) {
  test(`${how}, axe-core finds no violation in any state`, async (t) => {
    const file = tokens(t, { ci: "upload" });
    const holding = await store(t, hold);
    const server = await serve(t, [...holding.settings, ...file.settings]);
    const it = await open(t, browser, server, options);
    const { page } = it;
    await page.getByLabel("Token", { exact: true }).waitFor();
    await passesAxe(page);
    await page.getByLabel("Token", { exact: true }).fill(file.secrets.ci);
    await page.getByRole("button", { name: "Sign in" }).click();
    await uploadRandom(page, "banana");
    await says(yours(page), "failed");
    await uploadRandom(page, "1MiB");
    await says(inFlight(page), "running");
    await passesAxe(page);
  });

  test(`${how}, axe-core finds no violation in stored uploads, and nothing is cut off`, async (t) => {
    const server = await serve(t);
    const it = await open(t, browser, server, options);
    await uploadRandom(it.page, "1MiB");
    await says(finished(it.page), "stored");
    await passesAxe(it.page);
    const overflow = await it.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${overflow} pixels overflow`);
  });
}

async function passesAxe(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("; ")}`);
  assert.deepEqual(found, []);
}

