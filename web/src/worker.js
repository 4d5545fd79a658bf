// Runs the networks, so that the page stays live meanwhile.

import jspiGlue from "onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url";
import wasmGlue from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import jspiBinary from "../generated/ort-wasm-simd-threaded.jspi.wasm.gz.bin?url";
import wasmBinary from "../generated/ort-wasm-simd-threaded.wasm.gz.bin?url";
import styleGraph from "../generated/style.onnx.gz.bin?url";
import stylizeGraph from "../generated/stylize.onnx.gz.bin?url";
import { fetchPacked } from "./packed.js";
import { toOpaque, toPicture } from "./pixels.js";

const BACKENDS = {
  webgpu: { load: () => import("onnxruntime-web/jspi"), glue: jspiGlue, binary: jspiBinary },
  wasm: { load: () => import("onnxruntime-web/wasm"), glue: wasmGlue, binary: wasmBinary },
};
const MOST_THREADS = 8;

let ort;
let provider;
const sessions = new Map();

/** WebGPU where the browser has it, with a real adapter, and WebAssembly can wait for it. */
async function choose(wanted) {
  if (wanted === "wasm" || !navigator.gpu || !("Suspending" in WebAssembly)) return "wasm";
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  if (!adapter) return "wasm";
  // Drawn by the processor it is slower than WebAssembly.
  return wanted === "webgpu" || !adapter.info?.isFallbackAdapter ? "webgpu" : "wasm";
}

async function start({ backend: wanted, threads: asked }) {
  const tell = (bytes) => postMessage({ bytes });
  const backend = await choose(wanted);
  const { load, glue, binary } = BACKENDS[backend];
  const loading = fetchPacked(stylizeGraph, tell);
  const [loaded, wasm] = await Promise.all([load(), fetchPacked(binary, tell)]);
  ort = loaded;
  ort.env.logLevel = "error";
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.wasmPaths = { mjs: new URL(glue, self.location.href).href };
  // Threads share memory, which needs a page that is isolated from other origins. One core is the page's.
  const cores = asked || Math.max(1, (navigator.hardwareConcurrency || 1) - 1);
  const threads = self.crossOriginIsolated ? Math.min(cores, MOST_THREADS) : 1;
  ort.env.wasm.numThreads = threads;
  provider = backend;
  const model = await loading;
  try {
    sessions.set("stylize", await open(model));
  } catch (error) {
    if (provider === "wasm") throw error;
    // The same build has WebAssembly too.
    provider = "wasm";
    sessions.set("stylize", await open(model));
  }
  return { backend: provider, threads };
}

function open(model) {
  return ort.InferenceSession.create(model, {
    executionProviders: [provider],
    graphOptimizationLevel: "all",
    // Pictures differ in size: memory that is kept for the last one is of no use for the next.
    enableCpuMemArena: false,
    enableMemPattern: false,
  });
}

const tensor = (values, ...shape) => new ort.Tensor("float32", values, shape);

/** A picture, `(height, width, 4)`, as the graphs take it. */
const picture = ({ pixels, width, height }) => new ort.Tensor("uint8", toOpaque(pixels), [1, height, width, 3]);

async function measure(request) {
  if (!sessions.has("style")) sessions.set("style", await open(await fetchPacked(styleGraph)));
  const found = await sessions.get("style").run({ style: picture(request) });
  return {
    mean: found.style_mean.data,
    std: found.style_std.data,
    paletteMean: found.palette_mean.data,
    paletteCovariance: found.palette_covariance.data,
  };
}

async function stylize({ code, alpha, palette, png, ...photo }) {
  const begin = performance.now();
  const channels = code.mean.length;
  const { picture: made } = await sessions.get("stylize").run({
    content: picture(photo),
    style_mean: tensor(code.mean, channels),
    style_std: tensor(code.std, channels),
    palette_mean: tensor(code.paletteMean, 3),
    palette_covariance: tensor(code.paletteCovariance, 3, 3),
    alpha: tensor(Float32Array.of(alpha), 1),
    palette: tensor(Float32Array.of(palette), 1),
  });
  const pixels = toPicture(made.data, photo.pixels);
  const ms = performance.now() - begin;
  if (!png) return { pixels, ms };
  const canvas = new OffscreenCanvas(photo.width, photo.height);
  canvas.getContext("2d").putImageData(new ImageData(pixels, photo.width, photo.height), 0, 0);
  return { blob: await canvas.convertToBlob({ type: "image/png" }), ms };
}

const ACTIONS = { start, measure, stylize };
let last = Promise.resolve();

// One after the other: a session runs one picture at a time.
onmessage = ({ data: { id, action, request } }) => {
  last = last.then(async () => {
    try {
      const answer = await ACTIONS[action](request);
      postMessage({ id, answer }, answer.pixels ? [answer.pixels.buffer] : []);
    } catch (error) {
      postMessage({ id, error: String(error?.message ?? error) });
    }
  });
};
