// Pixels between the canvas, (height, width, 4), and the networks, (height, width, 3).

/** Colours without transparency: what is hidden gets the mean of what is seen. */
export function toOpaque(pixels) {
  const count = pixels.length / 4;
  const colors = new Uint8Array(3 * count);
  const sums = [0, 0, 0];
  let total = 0;
  for (let from = 0, to = 0; from < pixels.length; from += 4, to += 3) {
    colors[to] = pixels[from];
    colors[to + 1] = pixels[from + 1];
    colors[to + 2] = pixels[from + 2];
    total += pixels[from + 3];
  }
  if (total === 255 * count) return colors;
  for (let from = 0; from < pixels.length; from += 4) {
    for (let channel = 0; channel < 3; channel += 1) sums[channel] += pixels[from + channel] * pixels[from + 3];
  }
  const mean = sums.map((sum) => Math.round(sum / Math.max(total, 1)));
  for (let at = 0; at < count; at += 1) {
    if (pixels[4 * at + 3] === 0) colors.set(mean, 3 * at);
  }
  return colors;
}

/** Colours with the transparency of the photo. */
export function toPicture(colors, photo) {
  const pixels = new Uint8ClampedArray(photo.length);
  for (let from = 0, to = 0; to < pixels.length; from += 3, to += 4) {
    pixels[to] = colors[from];
    pixels[to + 1] = colors[from + 1];
    pixels[to + 2] = colors[from + 2];
    pixels[to + 3] = photo[to + 3];
  }
  return pixels;
}
