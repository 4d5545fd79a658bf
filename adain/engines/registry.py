"""Engines: what runs the networks. Three need no Keras, and start in a fraction of a second.

Keras runs every preset on any of its backends, and is the one to train with. MNN, ONNX Runtime and
OpenVINO run the graphs that come with a preset.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from adain import extras
from adain.engines.engine import ENGINES
from adain.inference.stylizer import Statistics, Stylizer
from adain.presets.architecture import Architecture
from adain.presets.graphs import GRAPHS, PresetGraphs
from adain.presets.preset import DEFAULT_PRESET, Preset, PresetError, write_file

logger = logging.getLogger(__name__)

AUTO = "auto"

MANY = 20
"""With so many pictures of 512 pixels OpenVINO has made up for its slower start."""


class EngineError(ValueError):
    """An engine that cannot be had; one line with the remedy."""


def load_stylizer(
    preset: str | Path | Preset = DEFAULT_PRESET, engine: str = "auto", pictures: int = 1
) -> Stylizer:
    """Load weights into an engine.

    Args:
        preset: A name from `available_presets()`, a preset's folder, the folder a training run
            writes to, or what `Preset.load` returned.
        engine: A key of `ENGINES`, or `"auto"`: see `resolve`.
        pictures: How many it is going to paint, for `"auto"`.

    Returns:
        What has `encode_style` and `stylize`; of `"keras"`, a `StyleTransfer`.

    Raises:
        EngineError: If the engine cannot run the preset; with `"auto"`, Keras is used then, if it
            is installed.
        MissingExtra: If the engine is not installed.
        PresetError: If there is no such preset, or its files are damaged.

    Example:
        >>> stylizer = adain.load_stylizer("adain_fast")
        >>> image = stylizer.stylize(adain.load_image("photo.jpg"), adain.load_image("art.jpg"))
    """
    if engine != AUTO and engine not in ENGINES:
        names = ", ".join([AUTO, *ENGINES])
        raise EngineError(f"`engine` must be one of {names}. Received: {engine!r}")
    if not isinstance(preset, Preset):
        preset = Preset.load(preset)
    chosen = resolve(engine, preset.architecture, pictures)
    if not ENGINES[chosen].runs_graphs:
        return ENGINES[chosen].load(preset)
    try:
        if GRAPHS not in preset.sums:
            raise EngineError(
                f"{preset.folder} has no {GRAPHS}: only Keras runs it. Use --engine keras."
            )
        try:
            return ENGINES[chosen].load(preset)
        except ImportError as error:
            raise EngineError(f"The engine {chosen} cannot be loaded ({error}).") from error
    except EngineError as error:
        if engine != AUTO or not is_installed("keras"):
            raise
        logger.warning("%s", error)
        return load_stylizer(preset, "keras")


def resolve(engine: str, architecture: Architecture | None = None, pictures: int = 1) -> str:
    """What `"auto"` means on this machine.

    Keras where there is a GPU. Else MNN, which starts fastest, and needs half the time of the
    others for the full-width network. But while it runs, no Python does: for many pictures and
    small networks that costs more than OpenVINO's start (`benchmarks/versus.py`).

    Args:
        engine: A key of `ENGINES`, or `"auto"`.
        architecture: What is going to run; whether it is Keras does not depend on it.
        pictures: How many it is going to paint.

    Raises:
        MissingExtra: If the engine is not installed.
    """
    if engine != AUTO:
        extras.require(ENGINES[engine].extra, f"--engine {engine}", ENGINES[engine].needed)
        return engine
    order = list(ENGINES)
    if _has_gpu():
        order.insert(0, "keras")
    elif architecture is not None and architecture.small and pictures >= MANY:
        order.sort(key=lambda name: not ENGINES[name].suits_many)
    return resolve(next(filter(is_installed, order), order[0]))


def is_installed(engine: str) -> bool:
    """Whether the packages of an engine are there; nothing is imported."""
    return ENGINES[engine].is_installed


def _has_gpu() -> bool:
    """Whether an NVIDIA driver is loaded, without asking a backend, which would take seconds."""
    return Path("/proc/driver/nvidia/version").exists()


# === Files ===


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


# === Stylizers ===

Run = Callable[[dict[str, np.ndarray]], list[np.ndarray]]
"""A graph: inputs by name to outputs in order."""


_loaded: weakref.WeakSet[OnnxStylizer] = weakref.WeakSet()


class OnnxStylizer(Stylizer):
    """A stylizer that runs the graphs of a preset, as functions from arrays to arrays.

    It can be used in a forked process, and pickled: the preset is loaded again then.
    """

    _engine: str

    def __init__(self, preset: Preset):
        super().__init__(
            preset.architecture,
            preset.level_widths,
            preset.name,
            preset.fingerprint,
            preset.palette,
        )
        self._source = preset
        self._graphs = PresetGraphs(preset)
        self._lock = threading.Lock()
        self._run = lru_cache(self._load_graph)
        # Colours are moved before they are rounded.
        for name in ("encode", "decode_float" if preset.palette else "decode"):
            self._run(name)

        _loaded.add(self)

    def __reduce__(self):
        return type(self), (self._source,)

    def _renew(self) -> None:
        """In a forked process: it has this thread alone, and a lock may be held by another."""
        self._lock = threading.Lock()

    def _load_graph(self, name: str) -> Run:
        try:
            run = self._load(name)
        except (PresetError, EngineError, ImportError):
            raise
        except Exception as error:  # Each runtime has its own.
            raise self._failed(name, error) from error

        def run_alone(feeds):
            try:
                # It takes all cores; and MNN and OpenVINO cannot do two things at once.
                with self._lock:
                    return run(feeds)
            except MemoryError:
                raise
            except Exception as error:
                raise self._failed(name, error) from error

        return run_alone

    def _failed(self, graph: str, reason: object) -> EngineError:
        reason = " ".join(str(reason).split())
        return EngineError(
            f"{self._engine} cannot run the graph {graph!r} in {self._graphs.path} ({reason}). "
            "Try another --engine, or fetch the weights again."
        )

    def _load(self, name: str) -> Run:
        """One of the graphs, ready to run."""
        raise NotImplementedError

    def _encode(self, image):
        graph = "encode"
        if image.dtype != np.uint8:
            graph, image = "encode_float", image / np.float32(257)
        outputs = self._run(graph)({"image": image[None]})
        shapes = [output.shape for output in outputs]
        vector = (1, sum(self._widths), 1, 1)
        levels = [shape[1] for shape in shapes[:-2] if len(shape) == 4]
        if levels != list(self._widths) or shapes[-2:] != [vector, vector]:
            widths = ", ".join(map(str, self._widths))
            expected = f"levels of {widths} channels, a mean and a deviation expected"
            raise self._failed(graph, f"{expected}, {shapes} received")
        *levels, mean, std = outputs
        # Views: pictures are (h, w, channels) out here, and the engines' own order inside.
        levels = [level[0].transpose(1, 2, 0) for level in levels]
        return levels, Statistics(mean.reshape(-1), std.reshape(-1))

    def _measure(self, levels: Sequence[np.ndarray], own, style, alpha, weight):
        feeds = self._decoder_feeds(levels, own, style, alpha) | {"weight": weight[None, None]}
        return self._run("measure")(feeds)[0].reshape(-1)

    def _decode(self, levels: Sequence[np.ndarray], own, style, alpha, *, fixed=None, exact=False):
        graph, feeds = "decode", self._decoder_feeds(levels, own, style, alpha)
        if fixed is not None:
            graph = "decode_fixed"
            feeds["statistics"] = fixed.reshape(1, -1, 1, 1)
        graph = f"{graph}_float" if exact else graph
        outputs = self._run(graph)(feeds)
        if [(output.ndim, *output.shape[::3]) for output in outputs] != [(4, 1, 3)]:
            shapes = [output.shape for output in outputs]
            raise self._failed(graph, f"one picture expected, {shapes} received")
        picture = outputs[0][0]
        if exact:
            picture = picture * np.float32(1 / 255)
            np.clip(picture, 0, 1, out=picture)
        return picture

    def _decoder_feeds(self, levels: Sequence[np.ndarray], own, style, alpha):
        feeds = {
            f"level{number}": np.ascontiguousarray(level.transpose(2, 0, 1)[None])
            for number, level in enumerate(levels, start=1)
            if number > len(levels) - self._architecture.decoded
        }
        vectors = zip(("mean", "std", "style_mean", "style_std"), (*own, *style), strict=True)
        feeds |= {name: vector.reshape(1, -1, 1, 1) for name, vector in vectors}
        return feeds | {"alpha": np.full((1, 1, 1, 1), alpha, "float32")}


def _renew_all() -> None:
    for stylizer in _loaded:
        stylizer._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)


class OnnxRuntimeStylizer(OnnxStylizer):
    """Runs on ONNX Runtime, on the CPU, in float32."""

    _engine = "onnxruntime"

    def _load(self, name: str) -> Run:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            self._graphs.to_onnx(name), options, providers=["CPUExecutionProvider"]
        )
        return lambda feeds: session.run(None, feeds)


class OpenVinoStylizer(OnnxStylizer):
    """Runs on OpenVINO, on the CPU, in float32."""

    _engine = "openvino"

    def _load(self, name: str) -> Run:
        import openvino

        network = openvino.Core().read_model(self._graphs.to_onnx(name))
        # On its own it takes bfloat16 where the processor has it.
        precision = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.compile_model(network, "CPU", precision)
        return lambda feeds: [np.array(value) for value in compiled(feeds).values()]


class MnnStylizer(OnnxStylizer):
    """Runs on MNN, on the CPU, in float32; Winograd's convolutions need a fraction of the products.

    In a forked process ONNX Runtime runs in its place.

    They round more coarsely: single values may be two grey levels from those of the others, and
    differ with the sizes of pictures painted before.

    Reference:
        Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
    """

    _engine = "mnn"
    _forked = False

    def _renew(self) -> None:
        super()._renew()
        self._forked = True
        self._run.cache_clear()

    def _load(self, name: str) -> Run:
        if self._forked:
            # Its pool of threads stays the other process's, also for graphs that are loaded now.
            if is_installed("onnxruntime"):
                return OnnxRuntimeStylizer._load(self, name)
            raise EngineError(
                "MNN does not work in a forked process. Use multiprocessing.get_context('spawn'), "
                "or pip install onnxruntime."
            )
        with _no_stdout():
            import MNN
            from MNN import expr, nn

            how = {"backend": "CPU", "precision": "high", "numThread": _count_cores()}
            runtime = nn.create_runtime_manager((how,))
            path = _cache() / f"mnn{MNN.version()}-{self._graphs.digest(name)}.mnn"
            with contextlib.ExitStack() as stack:
                if not path.is_file():
                    folder = stack.enter_context(tempfile.TemporaryDirectory())
                    made = _convert_to_mnn(self._graphs.to_onnx(name), Path(folder))
                    try:
                        write_file(path, made.read_bytes())
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
        raise RuntimeError("MNN's converter failed")
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
