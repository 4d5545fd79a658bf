// Files that are dropped: opened with the limits that keep the page alive.

const MOST_BYTES = 256e6;
const MOST_PIXELS = 100e6;
/** Shorter side of style pictures; the network was trained on styles of about this size. */
const STYLE_SIDE = 512;
const LONGEST_STYLE = 2048;

/** Width and height as they are shown (EXIF's rotation applied), from the head of the file. */
async function readSize(file) {
  const url = URL.createObjectURL(file);
  const image = new Image();
  try {
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = reject;
      image.src = url;
    });
    return [image.naturalWidth, image.naturalHeight];
  } finally {
    URL.revokeObjectURL(url);
  }
}

/**
 * A picture file, decoded: `{file, name, bitmap, width, height}`.
 *
 * Throws one line to be shown where the browser cannot open it or it is too large.
 */
export async function openPicture(file) {
  const name = file.name || "picture";
  if (file.size > MOST_BYTES) throw new Error(`${name}: more than ${MOST_BYTES / 1e6} MB. Choose a smaller file.`);
  let size;
  let bitmap;
  try {
    size = await readSize(file);
    // A small file may unpack to more than any memory.
    if (size[0] * size[1] <= MOST_PIXELS) bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`${name}: not a picture that this browser can open, or a damaged one. JPEG, PNG, WebP, GIF and AVIF are.`);
  }
  if (!bitmap) {
    throw new Error(`${name}: ${size.join(" × ")} pixels; up to ${MOST_PIXELS / 1e6} megapixels can be opened.`);
  }
  return { file, name, bitmap, width: bitmap.width, height: bitmap.height };
}

/** The pixels of a picture or a frame of video at a size, `(height, width, 4)`. */
export function pixelsOf(source, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return { pixels: context.getImageData(0, 0, width, height).data, width, height };
}

/** A size with the shorter side given, not enlarged. */
export function sizeByShorterSide(width, height, side) {
  const scale = Math.min(1, side / Math.min(width, height));
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

/** A size with no more pixels than given, not enlarged. */
export function sizeByPixels(width, height, pixels) {
  const scale = Math.min(1, Math.sqrt(pixels / (width * height)));
  return scale === 1 ? [width, height]
    : [Math.max(1, Math.floor(width * scale)), Math.max(1, Math.floor(height * scale))];
}

/** The pixels of a style picture, reduced or enlarged to the size that the network was trained on. */
export function stylePixels({ bitmap, width, height }) {
  const scale = Math.min(STYLE_SIDE / Math.min(width, height), LONGEST_STYLE / Math.max(width, height));
  return pixelsOf(bitmap, Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)));
}
