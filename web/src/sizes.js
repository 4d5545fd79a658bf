// In which sizes a photo can be painted.

import { sizeByPixels } from "./pictures.js";

/** WebAssembly has 4 GB of memory; networks take about 300 bytes for each pixel. */
const MOST = 8e6;
const SMALLER = [4e6, 2e6, 1e6, 0.5e6];

/** Pixels up to which this machine can be expected to paint. */
export function mostPixels() {
  // In gigabytes, rounded; browsers that do not tell get half.
  const memory = navigator.deviceMemory ?? 4;
  return Math.min(MOST, memory * 1e6);
}

/** Sizes to choose from, the largest first: `[width, height]`. */
export function sizesOf({ width, height }) {
  const largest = sizeByPixels(width, height, mostPixels());
  const smaller = SMALLER.filter((pixels) => pixels < largest[0] * largest[1]);
  return [largest, ...smaller.map((pixels) => sizeByPixels(width, height, pixels))];
}
