// The page: what is dropped, chosen and moved, and what follows from it.

import { addOwn, addShipped, drawGallery, removeOwn, styles } from "../../adain/studio/page/gallery.js";
import { watchFiles } from "../../adain/studio/page/files.js";
import { say } from "../../adain/studio/page/messages.js";
import { MixPad, weightsAt } from "../../adain/studio/page/mixpad.js";
import sampleUrl from "../../adain/studio/page/sample.jpg?url";
import { area, defaults, state, toggle } from "../../adain/studio/page/state.js";
import { setState, showPhoto } from "../../adain/studio/page/viewer.js";
import facts from "../generated/styles.json";
import stylesUrl from "../generated/styles.gz.bin?url";
import { Download } from "./download.js";
import { Engine } from "./engine.js";
import { fetchPacked } from "./packed.js";
import { Previews } from "./painting.js";
import { openPicture, pixelsOf, sizeByShorterSide, stylePixels } from "./pictures.js";
import { mostPixels, sizesOf } from "./sizes.js";
import { mix, readCodes } from "./statistics.js";
import { Webcam } from "./webcam.js";

const PREVIEW = 512;
const LIVE = 256;
const thumbnails = import.meta.glob("../generated/thumbnails/*.webp", { query: "?url", import: "default", eager: true });

const $ = (id) => document.getElementById(id);
const failed = (error) => say(error.message, true);
const percent = (value) => `${Math.round(100 * value)} %`;

// === Networks ===

let arrived = 0;
const asked = new URLSearchParams(location.search);
const options = { backend: asked.get("backend") ?? "", threads: Number(asked.get("threads")) || 0 };
const engine = new Engine(options, {
  arrived(bytes) {
    arrived += bytes;
    $("progress-text").textContent = `Loading the networks, ${(arrived / 1e6).toFixed(1)} MB`;
  },
  started({ backend, threads }) {
    arrived = 0;
    const how = backend === "webgpu" ? "WebGPU" : `WebAssembly, ${threads} ${threads > 1 ? "threads" : "thread"}`;
    $("engine").textContent = `Painted on your machine with ${how}`;
  },
});
const webcam = new Webcam();
/** Style statistics by key: those that come with the page, and those of the user's pictures. */
const codes = new Map();

async function load() {
  $("progress").hidden = false;
  try {
    await engine.start();
  } finally {
    $("progress").hidden = true;
  }
}

/** What a style is, or a mixture of several. */
function code() {
  const chosen = area().styles;
  return mix(chosen.map((style) => codes.get(style.key)), weightsAt(chosen.length, area().point));
}

const isReady = () => Boolean((state.photo || webcam.on) && area().styles.length);

function request(picture) {
  return engine.stylize({ ...picture, code: code(), alpha: area().alpha, palette: state.palette });
}

// === Previews ===

async function paintPreview() {
  if (!isReady()) return null;
  const begin = performance.now();
  const { photo } = state;
  const live = webcam.on;
  const source = live ? webcam.frame : photo.bitmap;
  const [width, height] = live ? sizeByShorterSide(...webcam.size, LIVE) : photo.preview;
  const { pixels } = await request(pixelsOf(source, width, height));
  // The photo may be another one by now.
  if (live !== webcam.on || photo !== state.photo) return null;
  return { image: new ImageData(pixels, width, height), ms: performance.now() - begin };
}

const previews = new Previews(paintPreview, {
  painted(ms) {
    $("timing").textContent = `painted in ${Math.round(ms)} ms`;
    document.documentElement.dataset.ms = ms.toFixed(1);
    if (webcam.on) requestAnimationFrame(() => previews.refresh());
  },
  failed(error) {
    if (webcam.on) stopWebcam();
    failed(error);
  },
});

// === Photo ===

async function takePhoto(file) {
  setState("painting");
  try {
    const photo = await openPicture(file);
    stopWebcam();
    if (state.photo) {
      URL.revokeObjectURL(state.photo.url);
      state.photo.bitmap.close();
    }
    photo.url = URL.createObjectURL(file);
    photo.preview = sizeByShorterSide(photo.width, photo.height, PREVIEW);
    state.photo = photo;
    showView(photo.name, `${photo.width} × ${photo.height}`);
    await showPhoto(photo.url, ...photo.preview);
    chooseFirst();
    drawSizes();
    update();
  } catch (error) {
    failed(error);
  } finally {
    setState("idle");
  }
}

function showView(name, caption) {
  $("welcome").hidden = true;
  $("view").hidden = $("new-photo").hidden = false;
  $("photo-name").textContent = name;
  $("caption").textContent = caption;
  $("timing").textContent = "";
}

function chooseFirst() {
  if (!area().styles.length) toggle(styles.find((one) => one.key === "starry-night") ?? styles[0]);
}

function drawSizes() {
  const { photo } = state;
  const sizes = sizesOf(photo);
  const options = sizes.map(([width, height]) => new Option(`${width} × ${height}`, `${width} ${height}`));
  const whole = sizes[0][0] === photo.width && sizes[0][1] === photo.height;
  options[0].text += whole ? ", the photo's" : ", the largest here";
  $("size").replaceChildren(...options);
  $("size").disabled = false;
  $("hint").hidden = Math.min(photo.width, photo.height) <= PREVIEW;
  const limit = whole ? "" : ` This browser paints up to ${mostPixels() / 1e6} megapixels.`;
  $("hint").textContent = `In full size the strokes are finer than in the preview.${limit}`;
}

// === Styles ===

let ownStyles = 0;

async function takeStyles(files) {
  for (const file of files) {
    try {
      const picture = await openPicture(file);
      const found = await engine.measure(stylePixels(picture));
      picture.bitmap.close();
      ownStyles += 1;
      const style = addOwn(file, { key: `own:${ownStyles}`, name: picture.name });
      codes.set(style.key, found);
      toggle(style);
    } catch (error) {
      failed(error);
    }
  }
  update();
}

function removeStyle(style) {
  removeOwn(style);
  codes.delete(style.key);
  area().styles = area().styles.filter((other) => other !== style);
  update();
}

// === Look ===

const download = new Download(engine, { failed, say });

const pad = new MixPad($("pad"), $("shares"), (point) => {
  area().point = point;
  changed();
});

/** Paint what is chosen now; what was painted in full size is not it any more. */
function changed() {
  download.outdate();
  previews.refresh();
}

function drawLook() {
  for (const [id, value] of [["alpha", area().alpha], ["palette", state.palette]]) {
    $(id).value = value;
    $(id).parentElement.querySelector("output").value = percent(value);
    $(id).setAttribute("aria-valuetext", percent(value));
  }
}

function update() {
  const { styles: chosen, point } = area();
  drawGallery($("gallery"), chosen, {
    choose: (style) => { toggle(style); update(); },
    remove: removeStyle,
    add: () => $("style-file").click(),
  });
  $("mixing").checked = state.mixing;
  $("mix").hidden = chosen.length < 2;
  pad.show(chosen, point);
  drawLook();
  const credits = [...new Set(chosen.filter((style) => style.credit).map((style) => `${style.titled}: ${style.credit}, ${style.license}`))];
  $("credit").hidden = !credits.length;
  $("credit").textContent = credits.join("; ");
  $("paint").disabled = !(isReady() && state.photo) || webcam.on;
  changed();
}

for (const [id, set] of [
  ["alpha", (value) => (area().alpha = value)],
  ["palette", (value) => (state.palette = value)],
]) {
  $(id).addEventListener("input", () => {
    set(Number($(id).value));
    drawLook();
    changed();
  });
}
$("mixing").addEventListener("change", () => {
  state.mixing = $("mixing").checked;
  if (!state.mixing) area().styles = area().styles.slice(-1);
  update();
});
$("reset").addEventListener("click", () => {
  state.palette = defaults.palette;
  area().alpha = 1;
  update();
});
$("size").addEventListener("change", () => download.outdate());
$("paint").addEventListener("click", () => {
  const { photo } = state;
  const [width, height] = $("size").value.split(" ").map(Number);
  const names = area().styles.map((style) => style.title.toLowerCase().replaceAll(" ", "-"));
  const name = `${photo.name.replace(/\.[^.]*$/, "")}-${names.join("-")}.png`;
  download.paint({ ...pixelsOf(photo.bitmap, width, height), code: code(), alpha: area().alpha, palette: state.palette }, name);
});

// === Webcam ===

function drawWebcam() {
  $("frame").classList.toggle("live", webcam.on);
  $("webcam").setAttribute("aria-pressed", String(webcam.on));
  $("webcam").textContent = webcam.on ? "Stop the webcam" : "Use the webcam";
  $("take").hidden = !webcam.on;
}

function stopWebcam() {
  if (!webcam.on) return;
  webcam.stop();
  drawWebcam();
  if (state.photo) {
    showView(state.photo.name, `${state.photo.width} × ${state.photo.height}`);
    showPhoto(state.photo.url, ...state.photo.preview);
  } else {
    $("view").hidden = $("new-photo").hidden = true;
    $("welcome").hidden = false;
    $("photo-name").textContent = "";
  }
  update();
}

for (const button of document.querySelectorAll("button.webcam")) {
  button.addEventListener("click", async () => {
    if (webcam.on) {
      stopWebcam();
      return;
    }
    try {
      await webcam.start(() => { stopWebcam(); say("The camera went away.", true); });
      showView("Webcam", webcam.size.join(" × "));
      await showPhoto("data:,", ...sizeByShorterSide(...webcam.size, LIVE));
      chooseFirst();
      drawWebcam();
      update();
    } catch (error) {
      failed(error);
    }
  });
}
$("take").addEventListener("click", async () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = webcam.size;
  canvas.getContext("2d").drawImage(webcam.frame, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  takePhoto(new File([blob], "webcam.png", { type: blob.type }));
});

// === Start ===

watchFiles({ takePhoto, takeStyles, hasPhoto: () => Boolean(state.photo) });
$("use-sample").addEventListener("click", async () => {
  const blob = await (await fetch(sampleUrl)).blob();
  takePhoto(new File([blob], "sample.jpg", { type: blob.type }));
});

const missing = ["WebAssembly", "OffscreenCanvas", "DecompressionStream"].filter((name) => !(name in globalThis));
try {
  if (missing.length) throw new Error(`This browser is too old: it has no ${missing.join(", no ")}. Use a newer one.`);
  defaults.palette = state.palette = facts.palette;
  const loading = load();
  const found = readCodes(await fetchPacked(stylesUrl), facts.channels, facts.styles.length);
  facts.styles.forEach(({ name }, at) => codes.set(name, found[at]));
  addShipped(facts.styles.map(({ name, title: titled, credit, license }) => (
    { name, titled, credit, license, thumb: thumbnails[`../generated/thumbnails/${name}.webp`] })));
  update();
  await loading;
} catch (error) {
  failed(error);
}
document.documentElement.dataset.ready = "";
