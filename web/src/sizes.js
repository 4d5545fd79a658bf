// In which sizes a photo can be painted.

import { sizeByPixels } from "./pictures.js";

/** Networks take about 120 bytes for each pixel, of the 4 GB that WebAssembly can have. */
const MOST = 16e6;
const EACH_GIGABYTE = 2e6;
const SMALLER = [8e6, 4e6, 2e6, 1e6, 0.5e6];

/** Pixels up to which this machine can be expected to paint. */
export function mostPixels() {
  // Of the machine, in gigabytes, up to 8; not all browsers tell.
  const memory = navigator.deviceMemory ?? 4;
  return Math.min(MOST, memory * EACH_GIGABYTE);
}

/** Sizes to choose from, the largest first: `[width, height]`. */
export function sizesOf({ width, height }) {
  const largest = sizeByPixels(width, height, mostPixels());
  const smaller = SMALLER.filter((pixels) => pixels < largest[0] * largest[1]);
  return [largest, ...smaller.map((pixels) => sizeByPixels(width, height, pixels))];
}
