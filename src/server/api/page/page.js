// The page uses the public API only, and shows the titles and details of its problems. Nothing from
// outside becomes markup: text is set as text.

const BUSY_POLL = 1500;
const IDLE_POLL = 5000;
const REQUEST_TIMEOUT = 15000;
// A browser opens six connections to a server: some must remain free for polling.
const UPLOADS_AT_ONCE = 3;
const MAX_ENDED_LINES = 20;
const TOKEN = "gcs-uploader-token";

const byId = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// Writes only what has changed: a screen reader would read it again.
function say(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || count >= 100 ? 0 : 1;
  return `${count.toFixed(digits)} ${units[unit]}`;
}

function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return `${Math.round(seconds / 60)} min`;
}

const time = (text) => new Date(text).toLocaleTimeString();
const times = (count) => (count === 1 ? "once" : `${count} times`);

// The token

let token = remembered();

function remembered() {
  try {
    return sessionStorage.getItem(TOKEN);
  } catch {
    return null;
  }
}

function remember(value) {
  token = value;
  byId("forget").hidden = !value;
  try {
    if (value) sessionStorage.setItem(TOKEN, value);
    else sessionStorage.removeItem(TOKEN);
  } catch {
    // Without storage, the token lasts until the page is closed.
  }
}

const TOKEN_REQUIRED = {
  title: "Enter your upload token",
  detail: "This server requires a token to upload files and to show uploads.",
};

function askForToken(problem) {
  if (!token && problem.status === 401) problem = TOKEN_REQUIRED;
  say(byId("access-title"), problem.title);
  say(byId("access-detail"), problem.detail);
  if (!byId("access").hidden) return;
  byId("access").hidden = false;
  byId("content").hidden = true;
  byId("token").focus();
}

function showContent() {
  if (byId("access").hidden) return;
  const held = byId("access").contains(document.activeElement);
  byId("access").hidden = true;
  byId("content").hidden = false;
  if (held) byId("size").focus();
}

byId("access-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const typed = byId("token").value.trim();
  if (!/^[!-~]+$/.test(typed)) {
    askForToken({ title: "Invalid token", detail: "A token has only ASCII characters and no spaces." });
    return;
  }
  byId("token").value = "";
  remember(typed);
  poll();
});

byId("forget").addEventListener("click", () => {
  remember(null);
  poll();
});

// The API

function headers(more = {}) {
  return token ? { Authorization: `Bearer ${token}`, ...more } : more;
}

// Returns the problem of an unsuccessful response.
function problemIn(status, contentType, text) {
  if (contentType?.startsWith("application/problem+json")) {
    try {
      const { title, detail, requestId } = JSON.parse(text);
      return { status, title, detail, requestId };
    } catch {
      // The body is incomplete.
    }
  }
  return { status, title: `HTTP status ${status}`, detail: "The response gives no reason." };
}

const NO_RESPONSE = {
  title: "No response",
  detail: "The connection ended before a response arrived. It is unknown whether an object was stored.",
};

async function call(path, options = {}) {
  const response = await fetch(path, { ...options, headers: headers(options.headers), cache: "no-store" });
  const text = await response.text();
  if (!response.ok) return { problem: problemIn(response.status, response.headers.get("content-type"), text) };
  return { body: JSON.parse(text) };
}

function newRequestId() {
  const random = crypto.getRandomValues(new Uint8Array(12));
  return `page-${Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

// An upload, as an item of a list

class Line {
  constructor(name) {
    this.name = element("span", { className: "name" }, name);
    this.state = element("span", { className: "state" });
    this.progress = element("progress", { max: 1, "aria-label": `Progress of ${name}`, hidden: true });
    this.meta = element("p", { className: "meta" });
    this.more = element("div");
    this.item = element(
      "li",
      {},
      element("div", { className: "head" }, this.name, this.state),
      this.progress,
      this.meta,
      this.more,
    );
  }

  setState(state, meta) {
    this.state.dataset.state = state;
    say(this.state, state);
    say(this.meta, meta);
  }

  // `whole` is undefined for a stream.
  setProgress(part, whole) {
    this.progress.hidden = false;
    if (whole > 0) this.progress.value = Math.min(1, part / whole);
    else this.progress.removeAttribute("value");
  }

  end() {
    this.progress.hidden = true;
    this.item.classList.add("ended");
  }

  // A form with several files is one upload of several objects.
  showStored(result, meta) {
    this.end();
    this.setState("stored", meta);
    const facts = (result.uploads ?? [result]).flatMap(({ name, crc32c, uri }) => [
      fact("CRC32C", crc32c, `Copy the checksum of ${name}`),
      fact("URI", uri, `Copy the URI of ${name}`),
    ]);
    this.more.replaceChildren(...facts);
  }

  showFailed(problem, meta) {
    this.end();
    const id = problem.requestId ? [`request ${problem.requestId}`] : [];
    this.setState("failed", [meta, ...id].filter(Boolean).join(" · "));
    this.more.replaceChildren(
      element(
        "p",
        { className: "problem" },
        element("strong", {}, problem.title),
        element("span", {}, problem.detail),
      ),
    );
  }
}

function fact(label, value, action) {
  const code = element("code", {}, value);
  const button = element("button", { type: "button", className: "quiet", "aria-label": action }, "Copy");
  button.addEventListener("click", async () => {
    const done = await copied(value, code);
    say(button, done ? "Copied" : "Selected");
    say(byId("news"), done ? `Copied ${value}` : `Selected ${value}: copy it with the keyboard`);
    setTimeout(() => say(button, "Copy"), 2000);
  });
  return element("div", { className: "fact" }, element("span", {}, label), code, button);
}

// The clipboard needs a secure context: elsewhere the text is selected instead.
async function copied(value, code) {
  try {
    await navigator.clipboard.writeText(value);
    return true;
  } catch {
    getSelection().selectAllChildren(code);
    return false;
  }
}

// Uploads of this page

const mine = new Map();
let activeUploads = 0;

function addLine(label, requestId) {
  const line = new Line(label);
  byId("mine").prepend(line.item);
  byId("from-here").hidden = false;
  if (requestId) mine.set(requestId, line);
  [...byId("mine").querySelectorAll(".ended")].slice(MAX_ENDED_LINES).forEach((item) => item.remove());
  return line;
}

function finish(line, label, { body, problem }) {
  if (problem) {
    line.showFailed(problem, "");
    say(byId("news"), `${label}: ${problem.title}. ${problem.detail}`);
    if (problem.status === 401) askForToken(problem);
  } else {
    line.showStored(body, `${bytes(body.size)} in ${duration(body.durationSeconds)}`);
    say(byId("news"), `${label} is stored`);
  }
  poll();
}

byId("random").addEventListener("submit", async (event) => {
  event.preventDefault();
  const size = byId("size").value.trim();
  const label = `Random file of ${size}`;
  const requestId = newRequestId();
  const line = addLine(label, requestId);
  line.setState("running", "");
  line.setProgress(0, 0);
  activeUploads += 1;
  pollSoon();
  const path = `/api/upload-random?size=${encodeURIComponent(size)}`;
  const outcome = await call(path, { method: "POST", headers: { "X-Request-Id": requestId } }).catch(
    () => ({ problem: NO_RESPONSE }),
  );
  activeUploads -= 1;
  mine.delete(requestId);
  finish(line, label, outcome);
});

const waiting = [];
let sending = 0;

function enqueue(files) {
  for (const file of files) {
    const line = addLine(file.name);
    line.setState("queued", bytes(file.size));
    line.setProgress(0, file.size);
    waiting.push({ file, line });
  }
  sendNext();
}

async function sendNext() {
  if (sending >= UPLOADS_AT_ONCE || waiting.length === 0) return;
  const { file, line } = waiting.shift();
  sending += 1;
  activeUploads += 1;
  sendNext();
  pollSoon();
  const outcome = await send(file, line);
  sending -= 1;
  activeUploads -= 1;
  finish(line, file.name, outcome);
  sendNext();
}

function send(file, line) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/upload?name=${encodeURIComponent(file.name)}`);
    const all = headers({
      "Content-Type": file.type || "application/octet-stream",
      "X-Request-Id": newRequestId(),
    });
    Object.entries(all).forEach(([name, value]) => request.setRequestHeader(name, value));
    const cancel = element("button", { type: "button", className: "quiet", "aria-label": `Cancel ${file.name}` }, "Cancel");
    cancel.addEventListener("click", () => request.abort());
    line.more.replaceChildren(element("div", { className: "actions" }, cancel));
    line.setState("sending", bytes(file.size));
    request.upload.addEventListener("progress", ({ loaded }) => {
      line.setProgress(loaded, file.size);
      line.setState(loaded < file.size ? "sending" : "finishing", `${bytes(loaded)} of ${bytes(file.size)}`);
    });
    request.addEventListener("load", () => {
      const type = request.getResponseHeader("content-type");
      if (request.status === 201) resolve({ body: JSON.parse(request.responseText) });
      else resolve({ problem: problemIn(request.status, type, request.responseText) });
    });
    request.addEventListener("error", () => resolve({ problem: NO_RESPONSE }));
    request.addEventListener("abort", () =>
      resolve({ problem: { title: "Cancelled", detail: "You cancelled this upload before it was complete." } }),
    );
    request.send(file);
  });
}

byId("files").addEventListener("change", ({ target }) => {
  enqueue(target.files);
  target.value = "";
});

// The whole page accepts files: the browser would replace the page with a file that misses the zone.
addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) byId("drop").classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  if (byId("content").hidden) return;
  const items = [...event.dataTransfer.items].filter(({ kind }) => kind === "file");
  const folders = items.filter((item) => item.webkitGetAsEntry?.()?.isDirectory);
  for (const folder of folders) {
    const { name } = folder.webkitGetAsEntry();
    addLine(name).showFailed({ title: "Folders are not supported", detail: "Drop the files in it instead." }, "");
  }
  enqueue(items.filter((item) => !folders.includes(item)).map((item) => item.getAsFile()));
});

addEventListener("beforeunload", (event) => {
  if (sending > 0) event.preventDefault();
});

// State of the server

const flight = new Map();
const finished = new Map();

// Keeps the same element for an upload as long as it is listed, so that a focused button keeps the
// focus.
function show(lists, list, uploads, update) {
  const ids = new Set(uploads.map(({ id }) => id));
  for (const [id, line] of lists) {
    if (ids.has(id)) continue;
    line.item.remove();
    lists.delete(id);
  }
  uploads.forEach((upload, index) => {
    let line = lists.get(upload.id);
    if (!line) {
      line = new Line(upload.name ?? "Waiting for a worker");
      lists.set(upload.id, line);
      update(line, upload, true);
    } else {
      update(line, upload, false);
    }
    if (list.children[index] !== line.item) list.insertBefore(line.item, list.children[index] ?? null);
  });
}

function faults({ resumed, retried }) {
  return [
    resumed > 0 ? `resumed ${times(resumed)}` : "",
    retried > 0 ? `retried ${times(retried)}` : "",
  ];
}

function progress(upload) {
  const whole = upload.size === undefined ? "" : ` of ${bytes(upload.size)}`;
  return [
    `${bytes(upload.bytesSent)}${whole} sent`,
    upload.bytesPersisted > 0 ? `${bytes(upload.bytesPersisted)} stored` : "",
    upload.state === "running" ? `${bytes(upload.bytesPerSecond)}/s` : "",
    ...faults(upload),
    `since ${time(upload.since)}`,
    upload.caller ? `by ${upload.caller}` : "",
  ].filter(Boolean).join(" · ");
}

function showInFlight(uploads) {
  show(flight, byId("flight"), uploads, (line, upload) => {
    if (upload.name) {
      say(line.name, upload.name);
      line.progress.setAttribute("aria-label", `Progress of ${upload.name}`);
    }
    line.setState(upload.state, progress(upload));
    line.setProgress(upload.bytesSent, upload.size);
    const here = mine.get(upload.requestId);
    here?.setProgress(upload.bytesSent, upload.size);
    here?.setState(upload.state, progress(upload));
  });
  say(byId("flight-count"), String(uploads.length));
  byId("flight-none").hidden = uploads.length > 0;
}

function showFinished(uploads) {
  show(finished, byId("finished"), uploads, (line, upload, isNew) => {
    if (!isNew) return;
    say(line.name, upload.name ?? "Not started");
    const size = upload.result?.size ?? upload.size;
    const generation = upload.result?.generation;
    const how = [
      size === undefined ? `${bytes(upload.bytesSent)} sent` : bytes(size),
      duration(upload.durationSeconds),
      ...faults(upload),
      `at ${time(upload.ended)}`,
      upload.caller ? `by ${upload.caller}` : "",
      generation ? `generation ${generation}` : "",
    ].filter(Boolean).join(" · ");
    if (upload.result) line.showStored(upload.result, how);
    else line.showFailed(upload.problem, how);
  });
  say(byId("finished-count"), String(uploads.length));
  byId("finished-none").hidden = uploads.length > 0;
}

function svg(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  return made;
}

function showThroughput({ intervalSeconds, bytesSent, stored, failed }, inFlight) {
  const [width, height] = [300, 90];
  const step = width / bytesSent.length;
  const max = Math.max(...bytesSent);
  const last = bytesSent.length - 1;
  const bars = bytesSent.map((count, index) => {
    const tall = max > 0 ? (count / max) * (height - 6) : 0;
    const name = index === last ? "bytes unended" : "bytes";
    return svg("rect", { class: name, x: index * step, y: height - tall, width: step * 0.8, height: tall });
  });
  const marks = failed.flatMap((count, index) =>
    count > 0 ? [svg("rect", { class: "failed", x: index * step, y: height - 4, width: step * 0.8, height: 4 })] : [],
  );
  byId("chart").replaceChildren(...bars, ...marks);
  const sum = (counts) => counts.reduce((one, other) => one + other, 0);
  const now = sum(inFlight.map(({ bytesPerSecond }) => bytesPerSecond));
  const peak = `${bytes(max / intervalSeconds)}/s`;
  const counts = `${sum(stored)} stored, ${sum(failed)} failed, ${bytes(sum(bytesSent))} sent in the last five minutes`;
  say(byId("rate"), `${bytes(now)}/s`);
  say(byId("peak"), max > 0 ? `peak ${peak}` : "");
  say(byId("counts"), counts);
  byId("chart").setAttribute("aria-label", `Throughput of the last five minutes: peak ${peak}; ${counts}`);
}

function showAbout({ version, bucket, endpoint }) {
  const store = endpoint === "https://storage.googleapis.com" ? "" : `, emulator at ${endpoint}`;
  say(byId("about"), `version ${version} · gs://${bucket}${store}`);
}

function showStatus(state, text) {
  byId("status").dataset.state = state;
  say(byId("status"), text);
}

async function fetchReadiness() {
  const { problem } = await call("/api/ready", { signal: AbortSignal.timeout(REQUEST_TIMEOUT) });
  if (!problem) showStatus("ready", "ready");
  else if (problem.detail.startsWith("draining")) showStatus("draining", problem.detail);
  else showStatus("refusing", `${problem.title}: ${problem.detail}`);
}

async function fetchUploads() {
  const { body, problem } = await call("/api/uploads", { signal: AbortSignal.timeout(REQUEST_TIMEOUT) });
  if (problem?.status === 401 || problem?.status === 403) return askForToken(problem);
  if (problem) return showStatus("refusing", `${problem.title}: ${problem.detail}`);
  showContent();
  showAbout(body.server);
  showInFlight(body.inFlight);
  showFinished(body.finished);
  showThroughput(body.throughput, body.inFlight);
}

let timer;
let polling = false;
let again = false;

// Fetches the state and schedules the next poll: more often during uploads, never while hidden.
async function poll() {
  clearTimeout(timer);
  if (polling) {
    again = true;
    return;
  }
  if (document.hidden) return;
  polling = true;
  again = false;
  try {
    await fetchReadiness();
    await fetchUploads();
  } catch {
    showStatus("silent", "no response from the server");
  }
  polling = false;
  if (again) return poll();
  clearTimeout(timer);
  timer = setTimeout(poll, activeUploads + flight.size > 0 ? BUSY_POLL : IDLE_POLL);
}

// Shows a new upload at once.
function pollSoon() {
  clearTimeout(timer);
  timer = setTimeout(poll, 200);
}

document.addEventListener("visibilitychange", poll);
remember(token);
poll();
