"""Measure speed and memory, as JSON, on the backend that KERAS_BACKEND names.

    python benchmarks/speed.py --out speed.json
    KERAS_BACKEND=jax python benchmarks/speed.py --sizes 512 --repeats 20 --skip-training

Every figure comes from a process of its own, so that one peak of memory never hides another; the
clock stops when results are NumPy arrays, so that nothing is still under way. Linux and macOS.

calls       encode is `encode_style(picture)`, decode AdaIN and the decoder on one picture's
            features, stylize `stylize(content, style)`, stylize_code the same with a style encoded
            before; `first` is the call that builds the graph, `median` and `min` are of the others
memory_mib  resident memory: `loaded` before the first call, `peak` in all; on an accelerator
            device_memory_mib is the peak of its own
pipeline    images are files read, content and style; a pair is one of each
training    images are content pictures, as TensorBoard shows them
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from common import make_parser, resident, write_report

import adain
from adain.evaluation import report as reporting
from adain.presets.architecture import ARCHITECTURES

ROOT = Path(__file__).resolve().parent.parent
CALLS = ("encode", "decode", "stylize", "stylize_code")


def main() -> int:
    options = parse(sys.argv[1:])
    if options.task:
        try:
            call, _, size = options.task.partition("-")
            result = MEASURES.get(call, measure_call)(options, call, int(size or 0))
            sys.stdout.write(json.dumps(result | {"machine": machine()}) + "\n")
        except (ValueError, OSError) as error:
            sys.stderr.write(f"error: {error}\n")
            return 1
        return 0
    calls = [] if options.skip_calls else options.calls
    tasks = [f"{call}-{size}" for size in options.sizes for call in calls]
    tasks += [part for part in MEASURES if not getattr(options, f"skip_{part}")]
    report = {"machine": {}, "preset": options.preset, "calls": []}
    for task in tasks:
        # Here, Keras must not be imported: on Linux a child's peak starts at its parent's.
        command = [sys.executable, __file__, *sys.argv[1:], "--task", task]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            return done.returncode
        result = json.loads(done.stdout.splitlines()[-1])
        report["machine"] = result.pop("machine")
        sys.stderr.write(f"{task}: {json.dumps(result)}\n")
        if task in MEASURES:
            report[task] = result
        else:
            report["calls"].append(result)
    write_report(report, options.out)
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", default=[256, 512, 1024], help="sides of pictures, pixels")
    add("--calls", nargs="+", default=list(CALLS), choices=CALLS, help="what to measure")
    add("--repeats", type=int, default=5, help="calls and steps to time, after one that is not")
    add("--preset", default="adain_vgg19", help="weights: a name or a folder")
    add("--batch-size", type=int, default=8, help="pairs a batch, pipeline and training")
    add("--crop-size", type=int, default=256, help="side of the crops, pipeline and training")
    add("--precision", default="float32", choices=("float32", "mixed_bfloat16"), help="training's")
    add("--data", nargs="+", help="one folder, or content's and style's (default: sample pictures)")
    add("--out", help="file for the result (default: standard output)")
    for part in ("calls", "pipeline", "training"):
        add(f"--skip-{part}", action="store_true", help=f"leave out {part}")
    add("--task", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error(f"--repeats must be 1 or more. Received: {options.repeats}")
    return options


# === Measuring, each task in a process of its own ===


def measure_call(options: argparse.Namespace, call: str, size: int) -> dict:
    model = adain.StyleTransfer.from_preset(options.preset)
    rng = np.random.default_rng(0)
    content, style = rng.integers(0, 256, (2, size, size, 3), "uint8")
    # Nothing is run yet: the first call is to build the graph.
    architecture = ARCHITECTURES[model.architecture]
    side = -(-size // architecture.stride) * architecture.stride
    shapes = model.encoder.compute_output_shape((1, side, side, 3))[-architecture.levels :]
    levels = [rng.uniform(0, 2, shape).astype("float32") for shape in shapes]
    ones = [np.ones(shape[-1], "float32") for shape in shapes]
    code = adain.StyleCode(ones, ones, preset=model.preset)
    vector = np.concatenate(ones).reshape(1, 1, 1, -1)
    features = [*levels, *4 * [vector], np.ones((1, 1, 1, 1), "float32")]
    run = {
        "encode": lambda: model.encode_style(style),
        "decode": lambda: model.decode_graph.predict_on_batch(features),
        "stylize": lambda: model.stylize(content, style),
        "stylize_code": lambda: model.stylize(content, code),
    }[call]
    loaded = resident()
    ends = [time.perf_counter()]
    for _ in range(options.repeats + 1):
        run()
        ends.append(time.perf_counter())
    return {"call": call, "size": size} | summary(ends, loaded)


def measure_pipeline(options: argparse.Namespace, *_) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        dataset = make_dataset(options, folder)
        dataset.batch(0)
        count = 4 * options.repeats
        start = time.perf_counter()
        for _ in dataset.batches(0, count):
            pass
        pairs = count * options.batch_size / (time.perf_counter() - start)
    return {
        "images_per_second": round(2 * pairs, 1),
        "pairs_per_second": round(pairs, 1),
        "batch_size": options.batch_size,
        "crop_size": options.crop_size,
        "batches": count,
        "data": options.data or ["images/inputs", "images/styles"],
        "memory_mib": {"peak": resident()},
    }


def measure_training(options: argparse.Namespace, *_) -> dict:
    import keras

    from adain.networks.vgg19 import jit_compile
    from adain.training.build import build_model

    with tempfile.TemporaryDirectory() as folder:
        batch = make_dataset(options, folder).batch(0)
    config = adain.TrainConfig(
        ("-",), ("-",), vgg_path=options.preset, init=options.preset, precision=options.precision
    )
    trainer = adain.AdaINTrainer(*build_model(config))
    trainer.compile(optimizer=keras.optimizers.Adam(1e-4), jit_compile=jit_compile())

    class Timer(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            float(logs["loss"])  # Waits for the step.
            ends.append(time.perf_counter())

    loaded, steps = resident(), options.repeats + 1
    ends = [time.perf_counter()]
    batches = ((batch,) for _ in range(steps))
    trainer.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[Timer()])
    rate = options.repeats / (ends[-1] - ends[1])
    return {
        "steps_per_second": round(rate, 3),
        "images_per_second": round(rate * options.batch_size, 2),
        "batch_size": options.batch_size,
        "crop_size": options.crop_size,
        "precision": options.precision,
    } | summary(ends, loaded)


MEASURES = {"pipeline": measure_pipeline, "training": measure_training}


def make_dataset(options: argparse.Namespace, folder: str):
    """The folders of `--data`, or the sample pictures as JPEG files in `folder`."""
    paths = list(options.data or ())
    for name in () if paths else ("inputs", "styles"):
        paths.append(Path(folder) / name)
        paths[-1].mkdir()
        for file in sorted((ROOT / "images" / name).glob("*.jpg")):
            adain.save_image(paths[-1] / file.name, adain.load_image(file))
    return adain.StyleContentDataset(
        paths[0], paths[-1], batch_size=options.batch_size, crop_size=options.crop_size
    )


def summary(ends: list[float], loaded: float) -> dict:
    """The fields of every timing, from the clock at its start and after each call."""
    first, *times = (1000 * (b - a) for a, b in zip(ends[:-1], ends[1:], strict=True))
    times = {"median": statistics.median(times), "min": min(times), "first": first}
    return {
        "milliseconds": {name: round(value, 2) for name, value in times.items()},
        "repeats": len(ends) - 2,
        "memory_mib": {"loaded": loaded, "peak": resident()},
        "device_memory_mib": accelerator()[1],
    }


def accelerator() -> tuple[str, float | None]:
    """Name of the device, and the peak of its memory so far in MiB if it has its own."""
    import keras

    name, peak = "cpu", None
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if devices := tf.config.list_physical_devices("GPU"):
            name = tf.config.experimental.get_device_details(devices[0]).get("device_name", "gpu")
            peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    elif keras.backend.backend() == "jax":
        import jax

        if (device := jax.local_devices()[0]).platform != "cpu":
            name, peak = device.device_kind, (device.memory_stats() or {}).get("peak_bytes_in_use")
    else:
        import torch

        if torch.cuda.is_available():
            name, peak = torch.cuda.get_device_name(), torch.cuda.max_memory_allocated()
    return name, peak and round(peak / 2**20, 1)


def machine() -> dict:
    """What the figures depend on."""
    import keras

    return {
        **reporting.machine(),
        "device": accelerator()[0],
        "dtype": keras.config.dtype_policy().name,
    }


if __name__ == "__main__":
    sys.exit(main())
