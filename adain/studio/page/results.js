// Pictures in full size, and the history of what was painted.

import * as api from "./api.js";
import { currentSettings } from "./preview.js";
import { recall, remember, signature } from "./state.js";
import { snapshot } from "./viewer.js";

const MOST = 24;
const REST = 1500;

const $ = (id) => document.getElementById(id);
const entries = [];
let resting = null;
let stop = null;
let unwanted = false;
let onRecall = () => {};
let tell = () => {};

export function watchResults({ recalled, say }) {
  onRecall = recalled;
  tell = say;
}

// === History ===

/** Keep what is shown once it has rested for a while. */
export function keepSoon() {
  clearTimeout(resting);
  resting = setTimeout(keep, REST);
}

function keep() {
  clearTimeout(resting);
  resting = null;
  const sign = signature();
  if (entries[0]?.sign === sign) return entries[0];
  const entry = { thumb: snapshot(), kept: remember(), sign, result: null };
  entries.unshift(entry);
  if (entries.length > MOST) entries.pop();
  draw();
  return entry;
}

export function clearHistory() {
  clearTimeout(resting);
  entries.length = 0;
  draw();
}

function draw() {
  $("history-section").hidden = !entries.length;
  $("history").replaceChildren(
    ...entries.map((entry, at) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      const image = new Image();
      image.src = entry.thumb;
      image.alt = "";
      button.append(image);
      const names = entry.kept.areas.flatMap((area) => area.styles.map((style) => style.title));
      const text = names.join(" + ");
      button.setAttribute("aria-label", `Go back to ${text}, ${entries.length - at} of ${entries.length}`);
      button.title = text;
      button.addEventListener("click", () => {
        recall(entry.kept);
        onRecall();
      });
      item.append(button);
      if (entry.result) {
        const link = document.createElement("a");
        link.href = `${api.address(`/results/${entry.result.result}`)}?download`;
        link.download = entry.result.name;
        link.className = "badge";
        link.textContent = "↓";
        link.setAttribute("aria-label", `Download ${entry.result.name}`);
        item.append(link);
      }
      return item;
    }),
  );
}

// === Full size ===

const megabytes = (bytes) => (bytes < 1e6 ? `${Math.round(bytes / 1e3)} KB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** Paint what is chosen now in full size. */
export async function paint() {
  $("paint").disabled = true;
  $("done").hidden = true;
  $("progress").hidden = false;
  $("progress-text").textContent = "Waiting";
  $("bar").removeAttribute("value");
  const entry = keep();
  unwanted = false;
  try {
    stop = await api.paint(currentSettings, (event) => follow(entry, event));
    // It may have been cancelled before the server knew of it.
    if (unwanted) cancel();
  } catch (error) {
    finish();
    tell(error.message, true);
  }
}

function follow(entry, event) {
  if (!event.done) {
    $("bar").value = event.progress;
    const percent = `${Math.round(100 * event.progress)} %`;
    if (unwanted) return;
    $("progress-text").textContent = event.before ? "Waiting for another painting" : `Painting, ${percent}`;
    return;
  }
  finish();
  if (event.error) tell(event.error, true);
  else if (event.cancelled) tell("Cancelled.");
  else show(entry, event);
}

function show(entry, result) {
  entry.result = result;
  draw();
  const [width, height] = result.size;
  const link = $("download");
  link.href = `${api.address(`/results/${result.result}`)}?download`;
  link.download = result.name;
  link.textContent = `Download ${width} × ${height}, ${megabytes(result.bytes)}`;
  $("view-full").href = api.address(`/results/${result.result}`);
  $("view-full").hidden = !result.viewable;
  $("done").hidden = false;
  tell(`${result.name} is ready, painted in ${result.seconds} s.`);
  for (const line of result.problems) tell(line, true);
}

function finish() {
  stop = null;
  $("progress").hidden = true;
  $("paint").disabled = false;
}

function cancel() {
  unwanted = true;
  $("progress-text").textContent = "Stopping";
  stop?.().catch(() => {});
}

$("cancel").addEventListener("click", cancel);

/** What was painted in full size is not what is chosen any more. */
export function outdate() {
  $("done").hidden = true;
}
