// Previews: one in flight, and the newest wish next.

import { setState, showPainting } from "../../adain/studio/page/viewer.js";

export class Previews {
  #paint; #told; #wanted = 0; #shown = 0; #busy = false;

  /**
   * `paint()` gives a promise of `{image, ms}`, or of null where there is nothing to show. `told`
   * has `painted(ms)`, from the wish to the picture's pixels, and `failed(error)`.
   */
  constructor(paint, told) {
    this.#paint = paint;
    this.#told = told;
  }

  /** Paint what is chosen now. */
  refresh() {
    this.#wanted += 1;
    this.#pump();
  }

  async #pump() {
    if (this.#busy || this.#shown >= this.#wanted) return;
    this.#busy = true;
    const number = this.#wanted;
    setState("painting");
    try {
      const made = await this.#paint();
      if (made) {
        await showPainting(made.image);
        this.#told.painted(made.ms);
      }
    } catch (error) {
      if (error.name !== "AbortError") this.#told.failed(error);
    }
    this.#shown = number;
    this.#busy = false;
    setState("idle");
    this.#pump();
  }
}
