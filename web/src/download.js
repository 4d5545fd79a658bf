// The picture in full size, as a file.

const $ = (id) => document.getElementById(id);
const megabytes = (bytes) => (bytes < 1e6 ? `${Math.round(bytes / 1e3)} KB` : `${(bytes / 1e6).toFixed(1)} MB`);

export class Download {
  #engine; #told; #url = "";

  /** `told` has `say(text)` and `failed(error)`. */
  constructor(engine, told) {
    this.#engine = engine;
    this.#told = told;
    $("cancel").addEventListener("click", () => engine.end());
  }

  /** Paint, and offer the file. `request` is the engine's. */
  async paint(request, name) {
    const { width, height } = request;
    this.outdate();
    $("paint").disabled = true;
    $("progress").hidden = $("cancel").hidden = false;
    $("progress-text").textContent = `Painting ${width} × ${height}`;
    try {
      const { blob, ms } = await this.#engine.stylize({ ...request, png: true });
      this.#url = URL.createObjectURL(blob);
      $("download").href = this.#url;
      $("download").download = name;
      $("download").textContent = `Download ${width} × ${height}, ${megabytes(blob.size)}`;
      $("done").hidden = false;
      this.#told.say(`${name} is ready, painted in ${Math.round(ms)} ms.`);
    } catch (error) {
      if (error.name === "AbortError") this.#told.say("Cancelled.");
      else this.#told.failed(error);
    } finally {
      $("paint").disabled = false;
      $("progress").hidden = $("cancel").hidden = true;
    }
  }

  /** What was painted is not what is chosen any more. */
  outdate() {
    $("done").hidden = true;
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = "";
  }
}
