// The mask of an area: painted by brush, or filled where colours are alike.

const UNDO = 20;
let versions = 0;

/** A mask, white inside, as large as the preview. */
export class Mask {
  #canvas; #context; #undo = [];
  /** The key that the server has for it; "" where it does not know it yet. */
  key = "";
  empty = true;
  /** Another number after each change. */
  version = 0;

  constructor(width, height, pixels = null) {
    this.#canvas = document.createElement("canvas");
    this.#canvas.width = width;
    this.#canvas.height = height;
    this.#context = this.#canvas.getContext("2d", { willReadFrequently: true });
    if (pixels) this.#context.putImageData(pixels, 0, 0);
    this.changed();
  }

  get canvas() {
    return this.#canvas;
  }

  get pixels() {
    return this.#context.getImageData(0, 0, this.#canvas.width, this.#canvas.height);
  }

  copy() {
    const mask = new Mask(this.#canvas.width, this.#canvas.height, this.pixels);
    mask.version = this.version;
    return mask;
  }

  remember() {
    this.#undo.push(this.pixels);
    if (this.#undo.length > UNDO) this.#undo.shift();
  }

  undo() {
    const pixels = this.#undo.pop();
    if (pixels) this.#context.putImageData(pixels, 0, 0);
    this.changed();
  }

  clear() {
    this.remember();
    this.#context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    this.changed();
  }

  invert() {
    this.remember();
    const pixels = this.pixels;
    for (let at = 0; at < pixels.data.length; at += 4) {
      pixels.data[at] = pixels.data[at + 1] = pixels.data[at + 2] = 255;
      pixels.data[at + 3] = 255 - pixels.data[at + 3];
    }
    this.#context.putImageData(pixels, 0, 0);
    this.changed();
  }

  /** A stroke between two points. */
  stroke([x0, y0], [x1, y1], size, erase) {
    const context = this.#context;
    context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    context.strokeStyle = "#fff";
    context.lineWidth = size;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1 + 0.01, y1);
    context.stroke();
    context.globalCompositeOperation = "source-over";
  }

  /** Add all that is joined to a point and has colours like it. */
  fill(photo, [x, y], tolerance) {
    const { width, height, data } = photo;
    const start = Math.floor(y) * width + Math.floor(x);
    const [r, g, b] = data.slice(4 * start, 4 * start + 3);
    // Of the largest distance of two colours, in the square, as eyes weigh them.
    const most = (tolerance / 100) ** 2 * 255 ** 2;
    const alike = (at) =>
      0.3 * (data[4 * at] - r) ** 2 + 0.59 * (data[4 * at + 1] - g) ** 2 +
      0.11 * (data[4 * at + 2] - b) ** 2 <= most;
    const pixels = this.pixels;
    const seen = new Uint8Array(width * height);
    const waiting = [start];
    seen[start] = 1;
    while (waiting.length) {
      const at = waiting.pop();
      pixels.data.fill(255, 4 * at, 4 * at + 4);
      const column = at % width;
      const around = [at - width, at + width];
      if (column) around.push(at - 1);
      if (column < width - 1) around.push(at + 1);
      for (const next of around) {
        if (next < 0 || next >= seen.length || seen[next]) continue;
        seen[next] = 1;
        if (alike(next)) waiting.push(next);
      }
    }
    this.#context.putImageData(pixels, 0, 0);
  }

  changed() {
    this.key = "";
    this.version = ++versions;
    const { data } = this.pixels;
    this.empty = true;
    for (let at = 3; at < data.length && this.empty; at += 4) this.empty = data[at] < 128;
  }

  /** A PNG, white on black. */
  blob() {
    const canvas = document.createElement("canvas");
    canvas.width = this.#canvas.width;
    canvas.height = this.#canvas.height;
    const context = canvas.getContext("2d");
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(this.#canvas, 0, 0);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }
}

/** Paints the mask of the area that is chosen, with pointer or keys. */
export class MaskPainter {
  #canvas; #how; #mask = null; #last = null; #cursor = [0, 0];

  /** `how()` tells `{tool, size, tolerance, photo}`; `done()` is called after each change. */
  constructor(canvas, how, done) {
    this.#canvas = canvas;
    this.#how = how;
    this.done = done;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#moveTo(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, () => this.#up());
    }
    canvas.addEventListener("pointerleave", () => this.#last || this.draw());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => this.draw());
  }

  show(mask) {
    this.#mask = mask;
    this.#canvas.hidden = !mask;
    if (!mask) return;
    this.#canvas.width = mask.canvas.width;
    this.#canvas.height = mask.canvas.height;
    this.#cursor = [mask.canvas.width / 2, mask.canvas.height / 2];
    this.draw();
  }

  draw(cursor = null) {
    if (!this.#mask) return;
    const context = this.#canvas.getContext("2d");
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    context.drawImage(this.#mask.canvas, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = "rgb(255 82 82 / 0.45)";
    context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
    context.globalCompositeOperation = "source-over";
    if (!cursor) return;
    const { tool, size } = this.#how();
    const radius = tool === "fill" ? 6 : size / 2;
    for (const [color, width] of [["#000a", 3], ["#fff", 1.5]]) {
      context.strokeStyle = color;
      context.lineWidth = width;
      context.beginPath();
      context.arc(...cursor, radius, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  #point(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * this.#canvas.width,
      ((event.clientY - box.top) / box.height) * this.#canvas.height,
    ];
  }

  #down(event) {
    if (event.button) return;
    const point = this.#point(event);
    this.#mask.remember();
    if (this.#how().tool === "fill") {
      this.#fill(point);
      return;
    }
    this.#canvas.setPointerCapture(event.pointerId);
    this.#last = point;
    this.#paint(point);
  }

  #fill([x, y]) {
    const { photo, tolerance } = this.#how();
    const inside = [Math.min(photo.width - 1, Math.max(0, x)), Math.min(photo.height - 1, Math.max(0, y))];
    this.#mask.fill(photo, inside, tolerance);
    this.#finish();
  }

  #moveTo(event) {
    const point = this.#point(event);
    if (this.#last) this.#paint(point);
    else this.draw(point);
  }

  #paint(point) {
    const { tool, size } = this.#how();
    this.#mask.stroke(this.#last, point, size, tool === "erase");
    this.#last = point;
    this.draw(point);
  }

  #up() {
    if (!this.#last) return;
    this.#last = null;
    this.#finish();
  }

  #finish() {
    this.#mask.changed();
    this.draw();
    this.done();
  }

  #key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = event.shiftKey ? 1 : 12;
    if (event.key in moves) {
      this.#cursor = this.#cursor.map((at, axis) => at + step * moves[event.key][axis]);
      this.draw(this.#cursor);
    } else if (event.key === " " || event.key === "Enter") {
      this.#mask.remember();
      const { tool, size } = this.#how();
      if (tool === "fill") {
        this.#fill(this.#cursor);
      } else {
        this.#mask.stroke(this.#cursor, this.#cursor, size, tool === "erase");
        this.#finish();
      }
      this.draw(this.#cursor);
    } else {
      return;
    }
    event.preventDefault();
  }
}
