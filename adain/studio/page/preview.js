// Previews: one in flight, and always the newest wish next.

import * as api from "./api.js";
import { settings, isReady, state } from "./state.js";
import { setState, showPainting } from "./viewer.js";

/** A preview that takes longer than this, in ms, gives way to a newer one. */
const PATIENCE = 250;

export const upload = api.sendMask;
export const currentSettings = () => settings(upload);

let wanted = 0;
let shown = 0;
let flight = null;
let onPainted = () => {};
let onError = () => {};

export function watch({ painted, failed }) {
  onPainted = painted;
  onError = failed;
}

/** Paint what is chosen now. */
export function refresh() {
  wanted += 1;
  pump();
}

/** Do not wait for what was asked for: something that it needs goes away. */
export function giveUp() {
  flight?.abort();
  flight = null;
}

/** Forget what is shown, because the photo is another one. */
export function restart() {
  giveUp();
  shown = wanted;
  refresh();
}

async function pump() {
  if (shown >= wanted || !isReady()) return;
  if (flight) {
    const late = PATIENCE - (performance.now() - flight.begin);
    if (late > 0) {
      flight.timer ??= setTimeout(pump, late);
      return;
    }
    flight.abort();
  }
  const mine = new AbortController();
  const number = wanted;
  mine.begin = performance.now();
  flight = mine;
  setState("painting");
  try {
    const photo = state.photo;
    const blob = await api.preview(currentSettings, mine.signal);
    if (blob && flight === mine && photo === state.photo) {
      await showPainting(blob);
      shown = Math.max(shown, number);
      onPainted(performance.now() - mine.begin);
    }
  } catch (error) {
    if (error.name !== "AbortError" && flight === mine) {
      shown = Math.max(shown, number);
      onError(error);
    }
  } finally {
    clearTimeout(mine.timer);
    if (flight === mine) {
      flight = null;
      setState("idle");
      pump();
    }
  }
}
