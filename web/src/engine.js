// The networks, as the page sees them: a worker that is begun again where it was ended.

const LOST = "The networks stopped; the picture may need more memory than this browser has. Choose a smaller size.";

export class Engine {
  #worker = null; #starting = null; #waiting = new Map(); #last = 0; #options; #told;

  /**
   * `backend`: "webgpu", "wasm", or "" for what is best; `threads`: of WebAssembly, or 0 for all
   * cores but one. `told` has `arrived(bytes)`, of each piece, and `started({backend, threads})`.
   */
  constructor({ backend, threads }, told) {
    this.#options = { backend, threads };
    this.#told = told;
  }

  /** Load the networks, unless they are there. */
  start() {
    this.#starting ??= this.#begin();
    return this.#starting;
  }

  #begin() {
    this.#worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }) => {
      if (data.bytes) {
        this.#told.arrived(data.bytes);
        return;
      }
      const { resolve, reject } = this.#waiting.get(data.id) ?? {};
      this.#waiting.delete(data.id);
      if (data.error === undefined) resolve?.(data.answer);
      else reject?.(new Error(data.error));
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.end(new Error(LOST));
    };
    return this.#send("start", this.#options).then((found) => this.#told.started(found), (error) => {
      this.end(error);
      throw error;
    });
  }

  #send(action, request, transfer = []) {
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, action, request }, transfer);
    });
  }

  /** What describes a picture `{pixels, width, height}` as a style. */
  async measure(picture) {
    await this.start();
    return this.#guarded("measure", picture, [picture.pixels.buffer]);
  }

  /**
   * A photo `{pixels, width, height}` with a style's `code`, `alpha` and `palette`:
   * `{pixels, ms}`, or `{blob, ms}` where `png` is set.
   */
  async stylize(request) {
    await this.start();
    return this.#guarded("stylize", request, [request.pixels.buffer]);
  }

  async #guarded(action, request, transfer) {
    try {
      return await this.#send(action, request, transfer);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      // What ran out of memory once does not recover.
      this.end(new Error(LOST));
      throw new Error(LOST, { cause: error });
    }
  }

  /** Give up what runs; the next request begins again. */
  end(reason = new DOMException("Cancelled", "AbortError")) {
    this.#worker?.terminate();
    this.#worker = this.#starting = null;
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
  }
}
