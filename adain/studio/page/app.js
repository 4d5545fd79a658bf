// The page: what is dropped, chosen and moved, and what follows from it.

import * as api from "./api.js";
import { addOwn, addShipped, drawGallery, removeOwn, styles } from "./gallery.js";
import { drawAreas, setUpAreas } from "./areas.js";
import { watchFiles } from "./files.js";
import { say } from "./messages.js";
import { MixPad } from "./mixpad.js";
import { currentSettings, giveUp, refresh, restart, watch } from "./preview.js";
import { clearHistory, keepSoon, outdate, paint, watchResults } from "./results.js";
import { STROKES, area, defaults, forgetMasks, isReady, newArea, state, toggle } from "./state.js";
import { setState, showPhoto } from "./viewer.js";

const $ = (id) => document.getElementById(id);
let facts = { colors: [], preview: 512 };
const COLORS = {
  luma: "The photo's; lightness of the style", coral: "The photo's mean and spread (CORAL)", histogram: "The photo's, by histogram",
};

// === Messages ===

const failed = (error) => say(error.message, true);

// === Photo ===

function sizeText({ size, frames, seconds }) {
  const parts = [size.join(" × ")];
  if (seconds) parts.push(`${seconds.toFixed(1)} s`);
  if (seconds !== null && frames) parts.push(`${frames} frames`);
  return parts.join(", ");
}

async function takePhoto(file) {
  setState("painting");
  try {
    const about = await api.sendPhoto(file);
    const shown = await (await api.call("/photo")).blob();
    if (state.photo) URL.revokeObjectURL(state.photo.url);
    state.photo = { file, url: URL.createObjectURL(shown), ...about };
    state.areas = [{ ...state.areas[0], mask: null }];
    state.active = 0;
    $("welcome").hidden = true;
    $("view").hidden = $("new-photo").hidden = false;
    $("photo-name").textContent = about.name;
    $("caption").textContent = sizeText(about);
    $("timing").textContent = "";
    clearHistory();
    await showPhoto(state.photo.url, ...about.preview);
    if (!area().styles.length && styles.length) toggle(styles.find((one) => one.key === "starry-night") ?? styles[0]);
    restart();
    update({ paints: false });
  } catch (error) {
    failed(error);
  } finally {
    setState("idle");
  }
}

async function takeStyles(files) {
  for (const file of files) {
    try {
      const style = addOwn(file, await api.sendStyle(file));
      toggle(style);
    } catch (error) {
      failed(error);
    }
  }
  update();
}

function removeStyle(style) {
  removeOwn(style);
  for (const one of state.areas) one.styles = one.styles.filter((other) => other !== style);
  giveUp();
  api.dropStyle(style.key).catch(() => {});
  update();
}

api.onRenewed(async () => {
  forgetMasks();
  const own = styles.filter((style) => style.own);
  const [photo, ...keys] = await Promise.all([
    state.photo && api.sendPhoto(state.photo.file),
    ...own.map((style) => api.sendStyle(style.file)),
  ]);
  own.forEach((style, at) => (style.key = keys[at].key));
  if (photo) say("The studio was restarted; the photo and your styles were sent to it again.");
});

// === Looks ===

const percent = (value) => `${Math.round(100 * value)} %`;
const strokeName = (step) => (STROKES[step] ? (step === defaults.stroke ? "As in the preview" : step < defaults.stroke ? `Broad ${STROKES[step]}` : `Fine ${STROKES[step]}`) : "Finest");

const pad = new MixPad($("pad"), $("shares"), (point) => {
  area().point = point;
  outdate();
  refresh();
  commandSoon();
});

function drawLook() {
  $("alpha").value = area().alpha;
  $("palette").value = state.palette;
  $("stroke").value = state.stroke;
  $("colors").value = state.colors;
  for (const [id, text] of [
    ["alpha", percent(area().alpha)], ["palette", percent(state.palette)], ["stroke", strokeName(state.stroke)],
  ]) {
    $(id).parentElement.querySelector("output").value = text;
    $(id).setAttribute("aria-valuetext", text);
  }
  const chosen = state.areas.flatMap((one) => one.styles);
  const cards = chosen.some((style) => style.card);
  for (const option of $("colors").options) {
    const method = facts.colors.find((one) => one.name === option.value);
    option.disabled = Boolean(method && !method.card && cards);
    if (method) option.text = `${COLORS[method.name] ?? method.name}${option.disabled ? ", with your own styles" : ""}`;
  }
  const fine = state.photo && (STROKES[state.stroke] || Infinity) > Math.min(...state.photo.preview);
  const larger = state.photo && Math.min(...state.photo.size) > Math.min(...state.photo.preview);
  $("hint").hidden = !(fine && larger);
  $("hint").textContent = "In full size the strokes are finer than in the preview.";
}

/** Draw what is chosen, and paint it. */
function update({ paints = true } = {}) {
  const { styles: chosen, point } = area();
  drawGallery($("gallery"), chosen, {
    choose: (style) => { toggle(style); update(); },
    remove: removeStyle,
    add: () => $("style-file").click(),
  });
  drawAreas();
  $("mixing").checked = state.mixing;
  $("mix").hidden = chosen.length < 2;
  pad.show(chosen, point);
  drawLook();
  // Twice: what is disabled depends on the styles.
  if ($("colors").selectedOptions[0]?.disabled) { state.colors = ""; drawLook(); }
  $("paint").disabled = !isReady();
  $("paint").textContent = !state.photo ? "Paint in full size"
    : state.photo.seconds === null ? `Paint in full size, ${sizeText(state.photo)}` : `Paint the clip, ${sizeText(state.photo)}`;
  if (!paints) return;
  outdate();
  refresh();
  commandSoon();
}

for (const [id, set] of [
  ["alpha", (value) => (area().alpha = value)],
  ["palette", (value) => (state.palette = value)],
  ["stroke", (value) => (state.stroke = value)],
]) {
  $(id).addEventListener("input", () => {
    set(Number($(id).value));
    outdate();
    drawLook();
    refresh();
    commandSoon();
  });
}
$("colors").addEventListener("change", () => { state.colors = $("colors").value; update(); });
$("mixing").addEventListener("change", () => {
  state.mixing = $("mixing").checked;
  if (!state.mixing) area().styles = area().styles.slice(-1);
  update();
});
$("reset").addEventListener("click", () => {
  Object.assign(state, defaults);
  area().alpha = 1;
  update();
});

// === The command ===

let commandTimer = null;
function commandSoon() {
  clearTimeout(commandTimer);
  commandTimer = setTimeout(showCommand, 400);
}

async function showCommand() {
  if (!isReady() || !document.querySelector("details.command").open) return;
  try {
    $("command").textContent = (await api.command(currentSettings)).command;
    $("copy").disabled = false;
    const others = state.areas.slice(1).filter((one) => one.mask?.key);
    $("mask-links").replaceChildren(...others.map((one, at) => Object.assign(document.createElement("a"), {
      href: api.address(`/masks/${one.mask.key}`), download: `mask-${at + 1}.png`, textContent: `mask-${at + 1}.png`,
    })));
  } catch (error) {
    $("command").textContent = error.message;
    $("copy").disabled = true;
  }
}
document.querySelector("details.command").addEventListener("toggle", showCommand);
$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("command").textContent);
    say("Copied.");
  } catch {
    getSelection().selectAllChildren($("command"));
    say("Press Ctrl+C to copy what is selected.");
  }
});

// === Files in ===

watchFiles({ takePhoto, takeStyles, hasPhoto: () => Boolean(state.photo) });
$("use-sample").addEventListener("click", async () => {
  const blob = await (await fetch("sample.jpg")).blob();
  takePhoto(new File([blob], "sample.jpg", { type: blob.type }));
});

// === Start ===

$("paint").addEventListener("click", paint);
setUpAreas({ changed: update, newArea });
watchResults({ recalled: update, say });
watch({
  painted: (ms) => { $("timing").textContent = `painted in ${(ms / 1000).toFixed(2)} s`; keepSoon(); },
  failed,
});

try {
  facts = await api.about();
  defaults.palette = state.palette = facts.palette;
  $("colors").append(new Option("The style's", ""), ...facts.colors.map(({ name }) => new Option(COLORS[name] ?? name, name)));
  addShipped(facts.styles);
  if (facts.clips) {
    $("photo-file").accept += ",video/*,.mkv";
    $("welcome-title").textContent = "Drop a photo or a clip here";
  }
} catch (error) {
  failed(error);
}
update({ paints: false });
document.documentElement.dataset.ready = "";
