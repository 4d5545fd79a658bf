// A pad whose corners are styles: two on a line, three in a triangle, four in a square.

const CORNERS = {
  2: [[0, 0.5], [1, 0.5]],
  3: [[0.5, 0], [0, 1], [1, 1]],
  4: [[0, 0], [1, 0], [0, 1], [1, 1]],
};
const STEP = 0.05;

const clamp = (value) => Math.min(1, Math.max(0, value));

/** Weights of `count` corners at a point, which sum to 1. */
export function weightsAt(count, [x, y]) {
  if (count === 1) return [1];
  if (count === 2) return [1 - x, x];
  if (count === 4) return [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y];
  return [1 - y, y / 2 - (x - 0.5), y / 2 + (x - 0.5)].map(clamp);
}

export const MIDDLE = { 1: [0.5, 0.5], 2: [0.5, 0.5], 3: [0.5, 2 / 3], 4: [0.5, 0.5] };

export class MixPad {
  #pad; #shares; #change; #styles = []; #point = [0.5, 0.5]; #handle;

  /** `change(point, final)` is called as the handle moves, and when it is let go. */
  constructor(pad, shares, change) {
    this.#pad = pad;
    this.#shares = shares;
    this.#change = change;
    pad.addEventListener("pointerdown", (event) => {
      pad.setPointerCapture(event.pointerId);
      this.#drag(event, false);
    });
    pad.addEventListener("pointermove", (event) => {
      if (pad.hasPointerCapture(event.pointerId)) this.#drag(event, false);
    });
    pad.addEventListener("pointerup", (event) => this.#drag(event, true));
    pad.addEventListener("keydown", (event) => this.#key(event));
  }

  show(styles, point) {
    this.#styles = styles;
    this.#point = point;
    this.#pad.dataset.count = styles.length;
    this.#pad.replaceChildren();
    if (styles.length < 2) return;
    CORNERS[styles.length].forEach(([x, y], number) => {
      const corner = document.createElement("span");
      corner.className = "corner";
      corner.style.setProperty("--x", x);
      corner.style.setProperty("--y", y);
      const image = new Image();
      image.src = styles[number].thumb;
      image.alt = "";
      corner.append(image);
      this.#pad.append(corner);
    });
    this.#handle = document.createElement("span");
    this.#handle.className = "handle";
    this.#pad.append(this.#handle);
    this.#draw();
  }

  #draw() {
    const [x, y] = this.#point;
    this.#handle.style.setProperty("--x", x);
    this.#handle.style.setProperty("--y", y);
    const weights = weightsAt(this.#styles.length, this.#point);
    const text = this.#styles.map((style, i) => `${Math.round(100 * weights[i])} % ${style.title}`);
    this.#pad.setAttribute("aria-valuenow", Math.round(100 * weights[0]));
    this.#pad.setAttribute("aria-valuetext", text.join(", "));
    this.#shares.replaceChildren(
      ...text.map((line) => Object.assign(document.createElement("li"), { textContent: line })),
    );
  }

  #move(point, final) {
    this.#point = this.#fit(point);
    this.#draw();
    this.#change(this.#point, final);
  }

  /** The nearest point that is on the pad's figure. */
  #fit([x, y]) {
    if (this.#styles.length === 2) return [clamp(x), 0.5];
    if (this.#styles.length === 4) return [clamp(x), clamp(y)];
    const down = clamp(y);
    return [Math.min(0.5 + down / 2, Math.max(0.5 - down / 2, x)), down];
  }

  #drag(event, final) {
    const box = this.#pad.getBoundingClientRect();
    const style = getComputedStyle(this.#pad);
    const margin = parseFloat(style.getPropertyValue("--margin"));
    const inner = (at, side) => (at - margin) / (side - 2 * margin);
    this.#move([inner(event.clientX - box.left, box.width), inner(event.clientY - box.top, box.height)], final);
  }

  #key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in moves) {
      const [x, y] = moves[event.key];
      this.#move([this.#point[0] + STEP * x, this.#point[1] + STEP * y], true);
    } else if (event.key === "Home") {
      this.#move(MIDDLE[this.#styles.length], true);
    } else {
      return;
    }
    event.preventDefault();
  }
}
