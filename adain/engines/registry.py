"""Engines: what runs the networks. Three need no Keras, and start in a fraction of a second.

Keras runs every preset on any of its backends, and is the one to train with. MNN, ONNX Runtime and
OpenVINO run exported files: those that come with a preset, or those made from it, by a process
that has Keras, when it is first used.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from adain.constants import ENGINES
from adain.inference.stylizer import Statistics, Stylizer
from adain.presets import preset as presets
from adain.presets.architecture import ARCHITECTURES

logger = logging.getLogger(__name__)

MANY = 20
"""With so many pictures of 512 pixels OpenVINO has made up for its slower start."""

_MODULES = {"mnn": "MNN"}
"""Names of modules that are not those of their packages."""

_FORMAT = "onnx2"
"""Changes with what `adain.export.onnx` writes, so that no older file is taken for a new one."""


class EngineError(ValueError):
    """An engine that cannot be had; one line with the remedy."""


def load_stylizer(
    preset: str | Path = presets.DEFAULT_PRESET, engine: str = "auto", pictures: int = 1
) -> Stylizer:
    """Load weights into an engine.

    Args:
        preset: A name from `available_presets()`, a preset's folder, or the folder a training run
            writes to.
        engine: One of `ENGINES`; `"auto"`: see `resolve`.
        pictures: How many it is going to paint, for `"auto"`.

    Returns:
        What has `encode_style` and `stylize`; of `"keras"`, a `StyleTransfer`.

    Raises:
        EngineError: If the engine is not installed, or its files cannot be made; with `"auto"`,
            Keras is used then.
        PresetError: If there is no such preset, or its files are damaged.

    Example:
        >>> stylizer = adain.load_stylizer("adain_fast")
        >>> image = stylizer.stylize(adain.load_image("photo.jpg"), adain.load_image("art.jpg"))
    """
    if engine not in ENGINES:
        raise EngineError(f"`engine` must be one of {', '.join(ENGINES)}. Received: {engine!r}")
    folder = presets.find_preset(preset)
    config = presets.read_config(folder)
    chosen = resolve(engine, config["architecture"], pictures)
    if not is_installed(chosen):
        raise EngineError(f"The engine {chosen} is not installed: pip install {chosen}")
    if chosen == "keras":
        from adain.networks.model import StyleTransfer

        return StyleTransfer.from_preset(folder)
    try:
        files = find_onnx(folder, config)
        try:
            return _STYLIZERS[chosen](config, files)
        except ImportError as error:
            raise EngineError(f"The engine {chosen} cannot be loaded ({error}).") from error
    except EngineError as error:
        if engine != "auto":
            raise
        # For example where nothing can be written.
        logger.warning("%s", error)
        return load_stylizer(preset, "keras")


def resolve(engine: str, architecture: str = "", pictures: int = 1) -> str:
    """What `"auto"` means on this machine.

    Keras where there is a GPU. Else MNN, which starts fastest, and needs half the time of the
    others for the full-width network. But while it runs, no Python does: for many pictures and
    the compact network that costs more than OpenVINO's start (`benchmarks/versus.py`).

    Args:
        engine: One of `ENGINES`.
        architecture: One of `ARCHITECTURES`; whether it is Keras does not depend on it.
        pictures: How many it is going to paint.
    """
    if engine != "auto":
        return engine
    if _has_gpu():
        return "keras"
    order = ["mnn", "onnxruntime", "openvino", "keras"]
    if architecture == "compact" and pictures >= MANY:
        order.insert(0, "openvino")
    return next(name for name in order if is_installed(name))


def is_installed(engine: str) -> bool:
    """Whether an engine's package is there; nothing is imported."""
    return importlib.util.find_spec(_MODULES.get(engine, engine)) is not None


def _has_gpu() -> bool:
    """Whether an NVIDIA driver is loaded, without asking a backend, which would take seconds."""
    return Path("/proc/driver/nvidia/version").exists()


# === Files ===


def find_onnx(folder: Path, config: dict) -> dict[str, bytes]:
    """A preset's `encode.onnx` and `decode.onnx`: its own, or those made from its weights before.

    Raises:
        EngineError: If they cannot be made.
        PresetError: If the preset's own are damaged, or its weights have no sums.
    """
    sums = config["sha256"]
    names = presets.ONNX_FILES
    if all(name in sums for name in names):
        return {name: presets.read_file(folder, name, sums[name]) for name in names}
    for name in presets.WEIGHT_FILES:
        # Files made before are found by these sums.
        if name not in sums:
            path = folder / presets.CONFIG
            raise presets.PresetError(f"{path}: the SHA-256 of {name} is missing.")
    place = _cache() / "-".join([_FORMAT, *(sums[name][:16] for name in presets.WEIGHT_FILES)])
    if not all((place / name).is_file() for name in names):
        _export(folder, place)
    return {name: presets.read_file(place, name, None) for name in names}


def _cache() -> Path:
    if path := os.environ.get("ADAIN_CACHE"):
        return Path(path)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "adain"


def _export(folder: Path, place: Path) -> None:
    # In a process of its own: this one is to stay small, and to start fast the next time.
    command = [sys.executable, "-m", "adain", "export", "--checkpoint", str(folder)]
    environment = dict(os.environ)
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    done = subprocess.run(
        [*command, "--out-path", str(place)], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise EngineError(f"{folder} cannot be exported ({reason}). Use --engine keras.")


# === Stylizers ===

Run = Callable[[dict[str, np.ndarray]], list[np.ndarray]]
"""A graph: inputs by name to outputs in order."""


class OnnxStylizer(Stylizer):
    """A stylizer with the two exported graphs, as functions from arrays to arrays."""

    def __init__(self, config: dict, files: dict[str, bytes]):
        architecture = ARCHITECTURES[config["architecture"]]
        widths = presets.level_widths(config)
        name = config["about"].get("preset", "")
        super().__init__(architecture, widths, name, presets.fingerprint(config))
        self._files = files
        self._lock = threading.Lock()
        self._run = lru_cache(self._load_graph)
        for name in presets.ONNX_FILES:
            self._run(name, False)

    def _load_graph(self, name: str, exact: bool) -> Run:
        content = self._files[name]
        run = self._load(_to_float(content) if exact else content)

        def run_alone(feeds):
            # It takes all cores; and MNN and OpenVINO cannot do two things at once.
            with self._lock:
                return run(feeds)

        return run_alone

    def _load(self, content: bytes) -> Run:
        raise NotImplementedError

    def _encode(self, image):
        deep = image.dtype != np.uint8
        if deep:
            image = image / np.float32(257)
        *levels, mean, std = self._run("encode.onnx", deep)({"image": image[None]})
        # LossScales: pictures are (h, w, channels) out here, and the engines' own order inside.
        levels = [level[0].transpose(1, 2, 0) for level in levels]
        return levels, Statistics(mean.reshape(-1), std.reshape(-1))

    def _decode(self, levels: Sequence[np.ndarray], own, style, alpha, *, exact=False):
        feeds = {
            f"level{number}": np.ascontiguousarray(level.transpose(2, 0, 1)[None])
            for number, level in enumerate(levels, start=1)
        }
        vectors = zip(("mean", "std", "style_mean", "style_std"), (*own, *style), strict=True)
        feeds |= {name: vector.reshape(1, -1, 1, 1) for name, vector in vectors}
        feeds["alpha"] = np.full((1, 1, 1, 1), alpha, "float32")
        picture = self._run("decode.onnx", exact)(feeds)[0][0]
        if exact:
            picture = np.clip(picture.transpose(1, 2, 0) / np.float32(255), 0, 1)
        return picture


def _to_float(content: bytes) -> bytes:
    """An exported graph with float pictures, in grey levels, in place of uint8.

    Made when it is needed, because writing both from the one graph costs every picture time.
    """
    import onnx

    model = onnx.load_from_string(content)
    for tensor in model.graph.input:
        if tensor.name == "image":
            tensor.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    makers = {name: node for node in model.graph.node for name in node.output}
    for node in makers.values():
        if node.op_type == "Clip":
            # Before it, half a level is added, for rounding.
            (levels, _) = makers[node.input[0]].input
            shape = (1, 3, "height", "width")
            output = onnx.helper.make_tensor_value_info(levels, onnx.TensorProto.FLOAT, shape)
            del model.graph.output[:]
            model.graph.output.append(output)
    return model.SerializeToString()


class OnnxRuntimeStylizer(OnnxStylizer):
    """Runs on ONNX Runtime, on the CPU, in float32."""

    _engine = "onnxruntime"

    def _load(self, content: bytes):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return lambda feeds: session.run(None, feeds)


class OpenVinoStylizer(OnnxStylizer):
    """Runs on OpenVINO, on the CPU, in float32."""

    _engine = "openvino"

    def _load(self, content: bytes):
        import openvino

        network = openvino.Core().read_model(content)
        # On its own it takes bfloat16 where the processor has it.
        precision = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.compile_model(network, "CPU", precision)
        return lambda feeds: [np.array(value) for value in compiled(feeds).values()]


class MnnStylizer(OnnxStylizer):
    """Runs on MNN, on the CPU, in float32; Winograd's convolutions need a fraction of the products.

    They round more coarsely: single values may be two grey levels from those of the others, and
    differ with the sizes of pictures painted before.

    Reference:
        Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
    """

    _engine = "mnn"

    def _load(self, content: bytes):
        with _no_stdout():
            import MNN
            from MNN import expr, nn

            how = {"backend": "CPU", "precision": "high", "numThread": _count_cores()}
            runtime = nn.create_runtime_manager((how,))
            name = f"mnn{MNN.version()}-{hashlib.sha256(content).hexdigest()[:32]}.mnn"
            path = _cache() / name
            with contextlib.ExitStack() as stack:
                if not path.is_file():
                    folder = stack.enter_context(tempfile.TemporaryDirectory())
                    made = _convert_to_mnn(content, Path(folder))
                    try:
                        presets.write_file(path, made.read_bytes())
                    except OSError:
                        path = made
                # It knows the graph's own inputs and outputs.
                network = nn.load_module_from_file(str(path), [], [], runtime_manager=runtime)
        names = network.get_info()["inputNames"]

        def run(feeds):
            # Shapes are as they come: of this library "NCHW" only means that.
            values = [feeds[name] for name in names]
            kinds = [expr.dtype.uint8 if x.dtype == np.uint8 else expr.dtype.float for x in values]
            inputs = [
                expr.const(np.ascontiguousarray(x), list(x.shape), expr.data_format.NCHW, kind)
                for x, kind in zip(values, kinds, strict=True)
            ]
            return [np.array(output.read()) for output in network.forward(inputs)]

        return run


_CONVERT = "import sys, _tools; _tools.mnnconvert(sys.argv)"
"""Not `MNN.tools.mnnconvert`, which installs a package and reports to its makers."""


def _convert_to_mnn(content: bytes, folder: Path) -> Path:
    source, target = folder / "graph.onnx", folder / "graph.mnn"
    source.write_bytes(content)
    words = ["-f", "ONNX", "--modelFile", source, "--MNNModel", target, "--bizCode", "adain"]
    # In a process of its own: its protobuf and TensorFlow's do not get along.
    subprocess.run([sys.executable, "-c", _CONVERT, *map(str, words)], capture_output=True)
    if not target.is_file():
        raise EngineError("MNN cannot convert these weights. Use --engine onnxruntime.")
    return target


@contextlib.contextmanager
def _no_stdout() -> Iterator[None]:
    """Keep what C code prints out of standard output, which is for results."""
    libc = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
    try:
        kept = os.dup(1)
    except OSError:  # There is none.
        yield
        return
    try:
        libc.fflush(None)
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        libc.fflush(None)
        os.dup2(kept, 1)
        os.close(kept)


def _count_cores() -> int:
    import psutil

    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    # A process may be kept to some of them.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return min(cores, allowed)


_STYLIZERS = {
    stylizer._engine: stylizer for stylizer in (MnnStylizer, OnnxRuntimeStylizer, OpenVinoStylizer)
}
