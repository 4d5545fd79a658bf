"""Sizes, times and pictures of what `adain export` writes.

    python benchmarks/exports.py adain_fast onnx:float16 onnx:int8 mnn:float16 --size 512

One JSON line for each format and way to store weights: bytes of the files, seconds to load
`stylize`, milliseconds a picture (the median), and how far the pictures are from those of
`adain stylize`, in grey levels (mean and largest), over all photos of `images/inputs` in all styles
of `images/styles`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from adain import load_image, load_stylizer
from adain.export.command import export
from adain.export.config import ExportConfig

IMAGES = Path(__file__).resolve().parents[1] / "images"

OUTPUTS = ("style_mean", "style_std", "palette_mean", "palette_covariance", "picture")

Feeds = dict[str, np.ndarray]


def load_onnx(folder: Path, name: str) -> Callable[[Feeds], Feeds]:
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / f"{name}.onnx")
    names = [output.name for output in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(names, feeds), strict=True))


def load_openvino(folder: Path, name: str) -> Callable[[Feeds], Feeds]:
    import openvino

    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    network = openvino.compile_model(folder / f"{name}.xml", "CPU", exact)
    # A tensor may have several names.
    outputs = [(name, output) for output in network.outputs for name in output.get_names()]

    def run(feeds: Feeds) -> Feeds:
        found = network(feeds)
        return {name: found[output] for name, output in outputs if name in OUTPUTS}

    return run


def load_mnn(folder: Path, name: str) -> Callable[[Feeds], Feeds]:
    from MNN import expr, nn

    how = {"backend": "CPU", "precision": "high", "numThread": 2}
    runtime = nn.create_runtime_manager((how,))
    path = str(folder / f"{name}.mnn")
    network = nn.load_module_from_file(path, [], [], runtime_manager=runtime)
    about = network.get_info()

    def run(feeds: Feeds) -> Feeds:
        inputs = []
        for key in about["inputNames"]:
            kind = expr.dtype.uint8 if feeds[key].dtype == np.uint8 else expr.dtype.float
            shape = list(feeds[key].shape)
            inputs.append(expr.const(feeds[key], shape, expr.data_format.NCHW, kind))
        outputs = (np.array(output.read()) for output in network.forward(inputs))
        return dict(zip(about["outputNames"], outputs, strict=True))

    return run


def load_litert(folder: Path, name: str) -> Callable[[Feeds], Feeds]:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(folder / f"{name}.tflite"), num_threads=2).get_signature_runner()
    return lambda feeds: runner(**feeds)


def load_saved_model(folder: Path, name: str) -> Callable[[Feeds], Feeds]:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder / name))

    def run(feeds: Feeds) -> Feeds:
        tensors = {key: tf.constant(value) for key, value in feeds.items()}
        found = loaded.serve(*tensors.values() if len(tensors) == 1 else (tensors,))
        return {key: value.numpy() for key, value in found.items()}

    return run


LOADERS = {
    "onnx": load_onnx,
    "openvino": load_openvino,
    "mnn": load_mnn,
    "litert": load_litert,
    "saved_model": load_saved_model,
}


def measure(preset: str, format: str, weights: str, size: int, rounds: int, few: bool) -> dict:
    pictures = {
        kind: [
            cv2.resize(load_image(path), (size, size), interpolation=cv2.INTER_AREA)
            for path in sorted((IMAGES / kind).glob("*.jpg"))
        ]
        for kind in ("inputs", "styles")
    }
    if few:
        pictures = {kind: found[:2] for kind, found in pictures.items()}
    expected = load_stylizer(preset, "onnxruntime")
    share = {"alpha": np.ones(1, "float32"), "palette": np.full(1, 0.75, "float32")}
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        written = list(
            export(ExportConfig(preset, format=format, weights=weights, out_path=scratch))
        )
        sizes = sum(path.stat().st_size for path in written)
        encode = LOADERS[format](folder, "style")
        start = time.perf_counter()
        stylize = LOADERS[format](folder, "stylize")
        loading = time.perf_counter() - start
        away = []
        for style in pictures["styles"]:
            code = encode({"style": style[None]})
            feeds = share | {key: np.ascontiguousarray(value) for key, value in code.items()}
            for content in pictures["inputs"]:
                found = stylize({"content": content[None]} | feeds)["picture"][0]
                wanted = expected.stylize(content, style, palette=0.75)
                away.append(np.abs(found.astype(int) - wanted))
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            stylize({"content": content[None]} | feeds)
            times.append(time.perf_counter() - start)
    return {
        "preset": preset,
        "format": format,
        "weights": weights,
        "megabytes": round(sizes / 1e6, 2),
        "load_s": round(loading, 2),
        "ms": round(float(np.median(times)) * 1000, 1),
        "mean_levels": round(float(np.mean([part.mean() for part in away])), 3),
        "max_levels": int(max(part.max() for part in away)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset")
    parser.add_argument("exports", nargs="+", metavar="FORMAT:WEIGHTS")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--few", action="store_true", help="two photos in two styles")
    words = parser.parse_args()
    for name in words.exports:
        format, weights = name.split(":")
        found = measure(words.preset, format, weights, words.size, words.rounds, words.few)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
