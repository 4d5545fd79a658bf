// Before and after, in one frame.

const frame = document.getElementById("frame");
const before = document.getElementById("before");
const after = document.getElementById("after");
const split = document.getElementById("split");
const divider = document.getElementById("divider");

function place() {
  frame.style.setProperty("--split", `${split.value}%`);
  split.setAttribute("aria-valuetext", `${Math.round(split.value)} % photo`);
}

split.addEventListener("input", place);
place();

/** Show another photo, `width` by `height` pixels, and no painting. */
export function showPhoto(url, width, height) {
  before.src = url;
  frame.style.setProperty("--ratio", `${width} / ${height}`);
  frame.style.setProperty("--width", width);
  frame.style.setProperty("--height", height);
  after.width = width;
  after.height = height;
  frame.dataset.painted = "";
  divider.hidden = split.hidden = true;
  return before.decode().catch(() => {});
}

/** Show a painting of the photo. */
export async function showPainting(blob) {
  const bitmap = await createImageBitmap(blob);
  after.width = bitmap.width;
  after.height = bitmap.height;
  after.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  frame.dataset.painted = String(Number(frame.dataset.painted || 0) + 1);
  divider.hidden = split.hidden = false;
}

export function setState(state) {
  frame.dataset.state = state;
  frame.setAttribute("aria-busy", String(state === "painting"));
}

/** Whether the mask takes the pointer instead of the divider. */
export function setMasking(on) {
  frame.classList.toggle("masking", on);
}

/** A small copy of what is shown, as a data URL. */
export function snapshot(side = 160) {
  const scale = side / Math.min(after.width, after.height);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(after.width * scale));
  canvas.height = Math.max(1, Math.round(after.height * scale));
  canvas.getContext("2d").drawImage(after, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.85);
}

/** The photo's pixels, as large as the preview. */
export function photoPixels() {
  const canvas = document.createElement("canvas");
  canvas.width = before.naturalWidth;
  canvas.height = before.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(before, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}
