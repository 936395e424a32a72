// A server of the real binary, the stores behind it, and a browser in front of it.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { chromium } from "playwright-core";

const BINARY = process.env.GCS_UPLOADER_BIN;
assert.ok(BINARY, "GCS_UPLOADER_BIN names the binary; make test-page sets it");

const BROWSER = process.env.CHROMIUM ?? "/usr/bin/chromium";

const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** How long anything may take before a test gives up: generous, as the machine may be busy. */
export const PATIENCE = 60_000;

class Server {
  constructor(child) {
    this.child = child;
  }

  signal(name) {
    this.child.kill(name);
  }

  /** The answer to a question, in JSON. */
  async ask(path, headers = {}) {
    return (await fetch(this.url + path, { headers })).json();
  }

  async end() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await ended;
  }
}

/** A server on a free port that ends with the test, with the embedded stand-in unless `settings` name another store. */
export async function serve(t, settings = ["--emulator"]) {
  const child = spawn(BINARY, ["serve", "--listen", "127.0.0.1:0", ...settings], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { PATH: process.env.PATH },
  });
  const server = new Server(child);
  t.after(() => server.end());
  const seen = [];
  for await (const line of createInterface({ input: child.stderr })) {
    seen.push(line);
    const [, url] = /listening on (http:\S+)/.exec(line) ?? [];
    if (!url) continue;
    child.stderr.resume();
    server.url = url;
    return server;
  }
  throw new Error(`it does not listen:\n${seen.join("\n")}`);
}

/** A store that opens every session, and does with the data what `answer` does. */
export async function store(t, answer) {
  const server = createServer((request, response) => {
    request.resume();
    const session = `http://${request.headers.host}/session?upload_id=1`;
    if (request.method === "POST" && answer !== refuse) response.writeHead(200, { Location: session }).end();
    else answer(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const settings = ["--bucket", "bucket", "--storage-emulator-host", `http://127.0.0.1:${server.address().port}`];
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { settings };
}

/** The bucket is not for us. */
export function refuse(response) {
  response.writeHead(403, { "Content-Type": "application/json" });
  response.end('{"error":{"code":403,"message":"not for you"}}');
}

/** The answer never comes. */
export function hold() {}

/** A file of tokens for those names and words, and the tokens by name. */
export function tokens(t, words) {
  const directory = mkdtempSync(join(tmpdir(), "tokens-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "tokens");
  const secrets = {};
  const lines = Object.entries(words).map(([name, word]) => {
    const { stdout } = spawnSync(BINARY, ["token", "new", name], { encoding: "utf8" });
    const [secret, line] = stdout.trim().split("\n");
    secrets[name] = secret;
    return `${line} ${word}`;
  });
  writeFileSync(path, lines.join("\n"));
  return { secrets, settings: ["--api-tokens-file", path] };
}

export function browser() {
  return chromium.launch({ executablePath: BROWSER, args: ARGUMENTS });
}

/** The page in a window of its own, which is held to its policy until the test ends. */
export async function open(t, browser, { url }, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: url });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const wrongs = [];
  await context.exposeFunction("violated", (what) => wrongs.push(`against the policy: ${what}`));
  await context.addInitScript(() =>
    addEventListener("securitypolicyviolation", (event) =>
      globalThis.violated(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`),
    ),
  );
  page.on("pageerror", (error) => wrongs.push(`an error of the script: ${error}`));
  page.on("console", (message) => {
    if (/Content Security Policy/i.test(message.text())) wrongs.push(message.text());
  });
  const requests = [];
  context.on("request", (request) => {
    requests.push(request.url());
    if (!request.url().startsWith(`${url}/`) && !request.url().startsWith("data:")) {
      wrongs.push(`a request to elsewhere: ${request.url()}`);
    }
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(wrongs, []);
  });
  await page.goto(`${url}/`);
  return { page, requests };
}
