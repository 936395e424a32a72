// Fixtures: a server of the real binary, stores behind it, and a browser.

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

/** Timeout of a step; generous, because the machine may be busy. */
export const TIMEOUT = 60_000;

class Server {
  constructor(child) {
    this.child = child;
  }

  signal(name) {
    this.child.kill(name);
  }

  /** Returns the JSON body of a response. */
  async get(path, headers = {}) {
    return (await fetch(this.url + path, { headers })).json();
  }

  async end() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await ended;
  }
}

/** Starts a server on a free port that ends with the test; `settings` can name another store than the embedded emulator. */
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
  throw new Error(`the server does not listen:\n${seen.join("\n")}`);
}

/** Starts a store that opens every session, and calls `respond` for the data. */
export async function store(t, respond) {
  const server = createServer((request, response) => {
    request.resume();
    const session = `http://${request.headers.host}/session?upload_id=1`;
    if (request.method === "POST" && respond !== refuse) response.writeHead(200, { Location: session }).end();
    else respond(response);
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

/** Responds that the bucket is forbidden. */
export function refuse(response) {
  response.writeHead(403, { "Content-Type": "application/json" });
  response.end('{"error":{"code":403,"message":"not for you"}}');
}

/** Never responds. */
export function hold() {}

/** Writes a tokens file for these names and scopes, and returns the tokens by name. */
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

/** Opens the page in its own context, and fails the test on any violation of its policy. */
export async function open(t, browser, { url }, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: url });
  context.setDefaultTimeout(TIMEOUT);
  const page = await context.newPage();
  const violations = [];
  await context.exposeFunction("violated", (what) => violations.push(`policy violation: ${what}`));
  await context.addInitScript(() =>
    addEventListener("securitypolicyviolation", (event) =>
      globalThis.violated(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`),
    ),
  );
  page.on("pageerror", (error) => violations.push(`script error: ${error}`));
  page.on("console", (message) => {
    if (/Content Security Policy/i.test(message.text())) violations.push(message.text());
  });
  const requests = [];
  context.on("request", (request) => {
    requests.push(request.url());
    if (!request.url().startsWith(`${url}/`) && !request.url().startsWith("data:")) {
      violations.push(`request to another origin: ${request.url()}`);
    }
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(violations, []);
  });
  await page.goto(`${url}/`);
  return { page, requests };
}
