// What the user has chosen: the photo, areas with their styles, and the look of the whole.

import { MIDDLE, weightsAt } from "./mixpad.js";

export const MOST_STYLES = 4;
export const MOST_AREAS = 4;

/** Shorter sides on whose scale strokes are drawn, broad to fine; 0: pixels of the full size. */
export const STROKES = [128, 192, 320, 512, 768, 1024, 0];
const PREVIEW_STROKE = 3;

export const newArea = (mask = null) => ({ styles: [], point: MIDDLE[1], alpha: 1, mask });

export const state = {
  /** `{file, name, url, size, preview}`, sizes `[width, height]`. */
  photo: null,
  areas: [newArea()],
  active: 0,
  mixing: false,
  palette: 0.5,
  stroke: PREVIEW_STROKE,
  colors: "",
};

export const defaults = { palette: 0.5, stroke: PREVIEW_STROKE, colors: "" };

export const area = () => state.areas[state.active];

/** Choose or drop a style in the area that is chosen now. */
export function toggle(style) {
  const { styles } = area();
  const at = styles.indexOf(style);
  if (!state.mixing) {
    area().styles = at >= 0 && styles.length === 1 && state.active === 0 && hasOthers() ? [] : [style];
  } else if (at >= 0) {
    area().styles = styles.filter((other) => other !== style);
  } else {
    area().styles = [...styles.slice(-MOST_STYLES + 1), style];
  }
  area().point = MIDDLE[Math.max(1, area().styles.length)];
}

const hasOthers = () => state.areas.length > 1;

/** Areas that can be painted: those with a mask and a style, and the rest of the photo. */
function painted() {
  const [whole, ...others] = state.areas;
  return [whole, ...others.filter((one) => !one.mask.empty && one.styles.length)];
}

export const isReady = () => Boolean(state.photo) && painted().some((one) => one.styles.length);

/** What the server takes; masks are sent by `upload` where it does not know them yet. */
export async function settings(upload) {
  const areas = [];
  for (const one of painted()) {
    if (one.mask && !one.mask.key) one.mask.key = (await upload(await one.mask.blob())).mask;
    const weights = one.styles.length ? weightsAt(one.styles.length, one.point) : [];
    areas.push({
      styles: one.styles.map((style) => style.key),
      weights: weights.map((weight) => Number(weight.toFixed(3))),
      alpha: one.alpha,
      mask: one.mask?.key ?? "",
    });
  }
  return {
    areas,
    palette: state.palette === defaults.palette ? null : state.palette,
    stroke: STROKES[state.stroke],
    keep_colors: state.colors,
  };
}

/** Equal for two states that give the same picture. */
export function signature() {
  const areas = state.areas.map(({ styles, point, alpha, mask }) => [
    styles.map((style) => style.key), styles.length > 1 ? point : 0, alpha, mask?.version ?? 0,
  ]);
  return JSON.stringify([areas, state.palette, state.stroke, state.colors]);
}

/** A copy of all but the photo, for the history. */
export function remember() {
  const { palette, stroke, colors, active, mixing } = state;
  const areas = state.areas.map((one) => ({ ...one, styles: [...one.styles], mask: one.mask?.copy() ?? null }));
  return { palette, stroke, colors, active, mixing, areas };
}

export function recall(kept) {
  Object.assign(state, kept);
  state.areas = kept.areas.map((one) => ({ ...one, styles: [...one.styles], mask: one.mask?.copy() ?? null }));
}

/** All masks have to be sent again: the server has forgotten them. */
export function forgetMasks() {
  for (const one of state.areas) if (one.mask) one.mask.key = "";
}
