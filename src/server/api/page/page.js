// What the page does: it asks the API what everybody may ask it, and shows the answers in their own
// words. Nothing from outside becomes markup: text is set as text.

const BUSY_POLL = 1500;
const IDLE_POLL = 5000;
const PATIENCE = 15000;
// A browser opens six connections to a server: some must be left for the questions.
const UPLOADS_AT_ONCE = 3;
const KEPT_OF_MINE = 20;
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

// What has not changed is not written: a screen reader would read it again.
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
const times = (count, one, many) => `${count} ${count === 1 ? one : many}`;

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
    // Where nothing may be kept, it lasts until the page is left.
  }
}

function askForToken(problem) {
  say(byId("access-title"), problem.title);
  say(byId("access-detail"), problem.detail);
  if (!byId("access").hidden) return;
  byId("access").hidden = false;
  byId("content").hidden = true;
  byId("token").focus();
}

function letIn() {
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
    askForToken({ title: "This is no token", detail: "A token has letters, digits and dashes." });
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

// A problem in the words of whoever answered.
function problemIn(status, contentType, text) {
  if (contentType?.startsWith("application/problem+json")) {
    try {
      const { title, detail, requestId } = JSON.parse(text);
      return { status, title, detail, requestId };
    } catch {
      // It was cut short.
    }
  }
  return { status, title: `The answer was ${status}`, detail: "It came with no explanation." };
}

const UNANSWERED = {
  title: "No answer",
  detail: "The connection ended before an answer came. Whether an object was stored is not known.",
};

async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: headers(options.headers), cache: "no-store" });
  const text = await answer.text();
  if (!answer.ok) return { problem: problemIn(answer.status, answer.headers.get("content-type"), text) };
  return { body: JSON.parse(text) };
}

function newRequestId() {
  const random = crypto.getRandomValues(new Uint8Array(12));
  return `page-${Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

// One upload, as a line in a list

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

  stands(state, meta) {
    this.state.dataset.state = state;
    say(this.state, state);
    say(this.meta, meta);
  }

  // `whole` is unknown for a stream.
  goes(part, whole) {
    this.progress.hidden = false;
    if (whole > 0) this.progress.value = Math.min(1, part / whole);
    else this.progress.removeAttribute("value");
  }

  ends() {
    this.progress.hidden = true;
    this.item.classList.add("ended");
  }

  // A form's files are several objects of one upload.
  stored(result, meta) {
    this.ends();
    this.stands("stored", meta);
    const facts = (result.uploads ?? [result]).flatMap(({ name, crc32c, uri }) => [
      fact("CRC32C", crc32c, `Copy the checksum of ${name}`),
      fact("URI", uri, `Copy the URI of ${name}`),
    ]);
    this.more.replaceChildren(...facts);
  }

  failed(problem, meta) {
    this.ends();
    const id = problem.requestId ? [`request ${problem.requestId}`] : [];
    this.stands("failed", [meta, ...id].filter(Boolean).join(" · "));
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

// The clipboard is for secure contexts: elsewhere the text is selected at least.
async function copied(value, code) {
  try {
    await navigator.clipboard.writeText(value);
    return true;
  } catch {
    getSelection().selectAllChildren(code);
    return false;
  }
}

// Uploads from here

const mine = new Map();
let underWay = 0;

function begin(label, requestId) {
  const line = new Line(label);
  byId("mine").prepend(line.item);
  byId("from-here").hidden = false;
  if (requestId) mine.set(requestId, line);
  [...byId("mine").querySelectorAll(".ended")].slice(KEPT_OF_MINE).forEach((item) => item.remove());
  return line;
}

function finish(line, label, { body, problem }) {
  if (problem) {
    line.failed(problem, "");
    say(byId("news"), `${label}: ${problem.title}. ${problem.detail}`);
    if (problem.status === 401) askForToken(problem);
  } else {
    line.stored(body, `${bytes(body.size)} in ${duration(body.durationSeconds)}`);
    say(byId("news"), `${label} is stored`);
  }
  poll();
}

byId("random").addEventListener("submit", async (event) => {
  event.preventDefault();
  const size = byId("size").value.trim();
  const label = `Random file of ${size}`;
  const requestId = newRequestId();
  const line = begin(label, requestId);
  line.stands("running", "");
  line.goes(0, 0);
  underWay += 1;
  soon();
  const path = `/api/upload-random?size=${encodeURIComponent(size)}`;
  const outcome = await ask(path, { method: "POST", headers: { "X-Request-Id": requestId } }).catch(
    () => ({ problem: UNANSWERED }),
  );
  underWay -= 1;
  mine.delete(requestId);
  finish(line, label, outcome);
});

const waiting = [];
let sending = 0;

function take(files) {
  for (const file of files) {
    const line = begin(file.name);
    line.stands("queued", bytes(file.size));
    line.goes(0, file.size);
    waiting.push({ file, line });
  }
  sendNext();
}

async function sendNext() {
  if (sending >= UPLOADS_AT_ONCE || waiting.length === 0) return;
  const { file, line } = waiting.shift();
  sending += 1;
  underWay += 1;
  sendNext();
  soon();
  const outcome = await send(file, line);
  sending -= 1;
  underWay -= 1;
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
    line.stands("sending", bytes(file.size));
    request.upload.addEventListener("progress", ({ loaded }) => {
      line.goes(loaded, file.size);
      line.stands(loaded < file.size ? "sending" : "finishing", `${bytes(loaded)} of ${bytes(file.size)}`);
    });
    request.addEventListener("load", () => {
      const type = request.getResponseHeader("content-type");
      if (request.status === 201) resolve({ body: JSON.parse(request.responseText) });
      else resolve({ problem: problemIn(request.status, type, request.responseText) });
    });
    request.addEventListener("error", () => resolve({ problem: UNANSWERED }));
    request.addEventListener("abort", () =>
      resolve({ problem: { title: "Cancelled", detail: "It was cancelled here, before it was whole." } }),
    );
    request.send(file);
  });
}

byId("files").addEventListener("change", ({ target }) => {
  take(target.files);
  target.value = "";
});

// A file that misses the zone must not replace the page: the whole page is the zone.
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
    begin(name).failed({ title: "This is a folder", detail: "Drop the files that are in it." }, "");
  }
  take(items.filter((item) => !folders.includes(item)).map((item) => item.getAsFile()));
});

addEventListener("beforeunload", (event) => {
  if (sending > 0) event.preventDefault();
});

// What the server does

const flight = new Map();
const finished = new Map();

// One line for each upload, and the same one as long as it is there, so that whoever is on one of
// its buttons stays there.
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
      line = new Line(upload.name ?? "Waits for a worker");
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
    resumed > 0 ? times(resumed, "resumption", "resumptions") : "",
    retried > 0 ? times(retried, "retry", "retries") : "",
  ];
}

function progress(upload) {
  const whole = upload.size === undefined ? "" : ` of ${bytes(upload.size)}`;
  return [
    `${bytes(upload.bytesSent)}${whole} sent`,
    upload.bytesPersisted > 0 ? `${bytes(upload.bytesPersisted)} persisted` : "",
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
    line.stands(upload.state, progress(upload));
    line.goes(upload.bytesSent, upload.size);
    const here = mine.get(upload.requestId);
    here?.goes(upload.bytesSent, upload.size);
    here?.stands(upload.state, progress(upload));
  });
  say(byId("flight-count"), String(uploads.length));
  byId("flight-none").hidden = uploads.length > 0;
}

function showFinished(uploads) {
  show(finished, byId("finished"), uploads, (line, upload, isNew) => {
    if (!isNew) return;
    say(line.name, upload.name ?? "Not begun");
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
    if (upload.result) line.stored(upload.result, how);
    else line.failed(upload.problem, how);
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
  const most = Math.max(...bytesSent);
  const last = bytesSent.length - 1;
  const bars = bytesSent.map((count, index) => {
    const tall = most > 0 ? (count / most) * (height - 6) : 0;
    const name = index === last ? "bytes unended" : "bytes";
    return svg("rect", { class: name, x: index * step, y: height - tall, width: step * 0.8, height: tall });
  });
  const marks = failed.flatMap((count, index) =>
    count > 0 ? [svg("rect", { class: "failed", x: index * step, y: height - 4, width: step * 0.8, height: 4 })] : [],
  );
  byId("chart").replaceChildren(...bars, ...marks);
  const sum = (counts) => counts.reduce((one, other) => one + other, 0);
  const now = sum(inFlight.map(({ bytesPerSecond }) => bytesPerSecond));
  const peak = `${bytes(most / intervalSeconds)}/s`;
  const counts = `${sum(stored)} stored, ${sum(failed)} failed, ${bytes(sum(bytesSent))} sent in five minutes`;
  say(byId("rate"), `${bytes(now)}/s`);
  say(byId("peak"), most > 0 ? `at most ${peak}` : "");
  say(byId("counts"), counts);
  byId("chart").setAttribute("aria-label", `Throughput of the last five minutes: at most ${peak}; ${counts}`);
}

function showAbout({ version, bucket, endpoint }) {
  const store = endpoint === "https://storage.googleapis.com" ? "" : `, a stand-in at ${endpoint}`;
  say(byId("about"), `version ${version} · gs://${bucket}${store}`);
}

function showStatus(state, text) {
  byId("status").dataset.state = state;
  say(byId("status"), text);
}

async function askWhetherReady() {
  const { problem } = await ask("/api/ready", { signal: AbortSignal.timeout(PATIENCE) });
  if (!problem) showStatus("ready", "ready");
  else if (problem.detail.startsWith("draining")) showStatus("draining", problem.detail);
  else showStatus("refusing", `${problem.title}: ${problem.detail}`);
}

async function askForUploads() {
  const { body, problem } = await ask("/api/uploads", { signal: AbortSignal.timeout(PATIENCE) });
  if (problem?.status === 401 || problem?.status === 403) return askForToken(problem);
  if (problem) return showStatus("refusing", `${problem.title}: ${problem.detail}`);
  letIn();
  showAbout(body.server);
  showInFlight(body.inFlight);
  showFinished(body.finished);
  showThroughput(body.throughput, body.inFlight);
}

let timer;
let asking = false;
let again = false;

// Asks, and will ask again: more often while something is under way, and not while nobody looks.
async function poll() {
  clearTimeout(timer);
  if (asking) {
    again = true;
    return;
  }
  if (document.hidden) return;
  asking = true;
  again = false;
  try {
    await askWhetherReady();
    await askForUploads();
  } catch {
    showStatus("silent", "no answer from the server");
  }
  asking = false;
  if (again) return poll();
  clearTimeout(timer);
  timer = setTimeout(poll, underWay + flight.size > 0 ? BUSY_POLL : IDLE_POLL);
}

// What has just been begun is seen within a moment.
function soon() {
  clearTimeout(timer);
  timer = setTimeout(poll, 200);
}

document.addEventListener("visibilitychange", poll);
remember(token);
poll();
