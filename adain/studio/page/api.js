// The studio's server: one session for this tab, begun again where the server has forgotten it.

let session = null;
let opening = null;
let restore = async () => {};

/** Called after a session was begun again: uploads what the page still has. */
export function onRenewed(action) {
  restore = action;
}

async function explain(response) {
  try {
    return (await response.json()).error ?? response.statusText;
  } catch {
    return response.statusText || `status ${response.status}`;
  }
}

async function request(path, options = {}) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The studio does not answer. Is it still running in its terminal?");
  }
}

async function open() {
  const response = await request("/api/sessions", { method: "POST" });
  if (!response.ok) throw new Error(await explain(response));
  session = (await response.json()).session;
}

function opened() {
  opening ??= open().catch((error) => {
    opening = null;
    throw error;
  });
  return opening;
}

/** The address of something of this tab. */
export const address = (path) => `/api/sessions/${session}${path}`;

/** Ask for something of this tab; `body` may be a function, for what changes with the session. */
export async function call(path, { body, renewed = false, ...options } = {}) {
  await opened();
  const used = session;
  const sent = typeof body === "function" ? await body() : body;
  const response = await request(address(path), { ...options, body: sent });
  if (response.status === 410 && !renewed) {
    if (used === session) {
      opening = null;
      await opened();
      await restore();
    }
    return call(path, { body, renewed: true, ...options });
  }
  if (!response.ok) throw new Error(await explain(response));
  return response;
}

export async function about() {
  const response = await request("/api/about");
  if (!response.ok) throw new Error(await explain(response));
  return response.json();
}

const named = (path, file) => `${path}?name=${encodeURIComponent(file.name || "picture")}`;
const binary = { "content-type": "application/octet-stream" };

export const sendPhoto = (file) =>
  call(named("/photo", file), { method: "PUT", body: file, headers: binary }).then((r) => r.json());
export const sendStyle = (file) =>
  call(named("/styles", file), { method: "POST", body: file, headers: binary }).then((r) => r.json());
export const dropStyle = (key) => call(`/styles/${encodeURIComponent(key)}`, { method: "DELETE" });
export const sendMask = (blob) =>
  call("/masks", { method: "POST", body: blob, headers: binary }).then((r) => r.json());

const json = (settings) => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: async () => JSON.stringify(await settings()),
});

/** A preview as a blob; null where a newer one has taken its place. */
export async function preview(settings, signal) {
  const response = await call("/preview", { ...json(settings), signal });
  return response.status === 204 ? null : response.blob();
}

export const command = (settings) => call("/command", json(settings)).then((r) => r.json());

/** Paint in full size. `tell` gets what the server says of it; returns a way to cancel it. */
export async function paint(settings, tell) {
  const { result } = await (await call("/results", json(settings))).json();
  const events = new EventSource(address(`/results/${result}/events`));
  let failures = 0;
  events.onmessage = (event) => {
    failures = 0;
    tell({ result, ...JSON.parse(event.data) });
  };
  events.addEventListener("done", (event) => {
    events.close();
    tell({ result, done: true, ...JSON.parse(event.data) });
  });
  events.onerror = () => {
    failures += 1;
    if (failures < 3 && events.readyState !== EventSource.CLOSED) return;
    events.close();
    tell({ result, done: true, error: "The studio went away while it painted. Paint it again." });
  };
  return () => call(`/results/${result}`, { method: "DELETE" });
}

// Files of a tab that is closed are not needed any more.
addEventListener("pagehide", () => {
  if (session) fetch(address(""), { method: "DELETE", keepalive: true }).catch(() => {});
});
