// Frames of a camera, one after the other as fast as they are painted.

const REASONS = {
  NotAllowedError: "The camera was not allowed. Allow it in the browser's settings for this page.",
  NotFoundError: "No camera was found. Connect one, or choose a photo.",
  NotReadableError: "The camera does not answer; another program may use it.",
};

export class Webcam {
  #video = document.createElement("video");
  #stream = null;

  get on() {
    return this.#stream !== null;
  }

  /** The frame that is seen now. */
  get frame() {
    return this.#video;
  }

  get size() {
    return [this.#video.videoWidth, this.#video.videoHeight];
  }

  /** Begin. `lost` is called when the camera goes away. Throws one line to be shown. */
  async start(lost) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("This browser gives cameras only to pages from https:// or this machine.");
    }
    try {
      const video = { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "user" };
      this.#stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
      this.#video.srcObject = this.#stream;
      this.#video.muted = this.#video.playsInline = true;
      this.#stream.getVideoTracks()[0].addEventListener("ended", lost);
      await this.#video.play();
    } catch (error) {
      this.stop();
      throw new Error(REASONS[error.name] ?? `The camera cannot be used (${error.message}).`);
    }
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = this.#video.srcObject = null;
  }
}
