"""The engine MNN, and its cache of converted graphs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from adain.engines.engine import ENGINES, EngineError, count_cores
from adain.engines.graph_stylizer import GraphStylizer, Run
from adain.engines.onnxruntime import OnnxRuntimeStylizer
from adain.presets.preset import write_file


class MnnStylizer(GraphStylizer):
    """Runs on MNN, on the CPU, in float32; Winograd's convolutions need a fraction of the products.

    In a forked process ONNX Runtime runs in its place.

    They round more coarsely: single values may be two grey levels from those of the others, and
    differ with the sizes of pictures stylised before.

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
            if ENGINES["onnxruntime"].is_installed:
                return OnnxRuntimeStylizer._load(self, name)
            raise EngineError(
                "MNN does not work in a forked process. Use multiprocessing.get_context('spawn'), "
                'or pip install "adain[onnxruntime]".'
            )
        with _no_stdout():
            import MNN
            from MNN import expr, nn

            how = {
                "backend": "CPU",
                "precision": "high",
                "numThread": self._threads or count_cores(),
            }
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
