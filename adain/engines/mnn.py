"""The engine MNN, and its cache of converted graphs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from adain.engines.engine import ENGINES, EngineError, count_cores
from adain.engines.graph_stylizer import GraphStylizer, Run
from adain.engines.onnxruntime import OnnxRuntimeStylizer
from adain.extras import install_command
from adain.presets.preset import write_file
from adain.silence import silenced


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
        self._runs.clear()

    def _load(self, name: str) -> Run:
        if self._forked:
            # Its pool of threads stays the other process's, also for graphs that are loaded now.
            if ENGINES["onnxruntime"].is_installed:
                return OnnxRuntimeStylizer._load(self, name)
            raise EngineError(
                "MNN does not work in a forked process. Use multiprocessing.get_context('spawn'), "
                f"or {install_command('onnxruntime')}."
            )
        with silenced(1):
            import MNN

            path = _cache() / f"mnn{MNN.version()}-{self._graphs.digest(name)}.mnn"
            with contextlib.ExitStack() as stack:
                if not path.is_file():
                    folder = stack.enter_context(tempfile.TemporaryDirectory())
                    made = convert_to_mnn(self._graphs.to_onnx(name), Path(folder))
                    try:
                        write_file(path, made.read_bytes())
                    except OSError:
                        path = made
                # Not `nn.Module`, which lets no other thread of Python run meanwhile.
                network = MNN.Interpreter(str(path))
        outputs = [output for output, *_ in self._graphs.graphs[name].outputs]
        return _Session(network, outputs, self._threads or count_cores())


class _Session:
    """A graph, and the memory for pictures of the last size."""

    def __init__(self, network, outputs: Sequence[str], threads: int):
        self._network, self._names = network, outputs
        with silenced(1):
            how = {"backend": "CPU", "precision": "high", "numThread": threads}
            self._session = network.createSession(how)
        known = network.getSessionOutputAll(self._session)
        if missing := [name for name in outputs if name not in known]:
            raise ValueError(f"it has no output {missing[0]!r}")
        self._inputs = network.getSessionInputAll(self._session)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._outputs: list = []

    def __call__(self, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        import MNN

        # Shapes are as they come: of this library "Caffe" only means that.
        order = MNN.Tensor_DimensionType_Caffe
        shapes = {name: feeds[name].shape for name in self._inputs}
        if shapes != self._shapes:
            self._resize(shapes)
        for name, target in self._inputs.items():
            value = np.ascontiguousarray(feeds[name])
            target.copyFrom(MNN.Tensor(value.shape, target.getDataType(), value, order))
        self._network.runSession(self._session)
        return list(map(self._read, self._outputs))

    def _read(self, source) -> np.ndarray:
        import MNN

        target = MNN.Tensor(source, MNN.Tensor_DimensionType_Caffe)
        source.copyToHostTensor(target)
        # A copy: what the tensor gives away is its own memory.
        return target.getNumpyData().copy()

    def _resize(self, shapes: dict[str, tuple[int, ...]]) -> None:
        # Should it fail, nothing is as it was.
        self._shapes = {}
        for name, target in self._inputs.items():
            self._network.resizeTensor(target, shapes[name])
        self._network.resizeSession(self._session)
        outputs = [self._network.getSessionOutput(self._session, name) for name in self._names]
        self._shapes, self._outputs = shapes, outputs


_CONVERT = "import sys, _tools; _tools.mnnconvert(sys.argv)"
"""Not `MNN.tools.mnnconvert`, which installs a package and reports to its makers."""


def convert_to_mnn(content: bytes, folder: Path, half: bool = False) -> Path:
    """An ONNX file's contents to a file of MNN in a folder, with weights in half precision or not.

    Raises:
        RuntimeError: If MNN's converter cannot.
    """
    source, target = folder / "graph.onnx", folder / "graph.mnn"
    source.write_bytes(content)
    words = ["-f", "ONNX", "--modelFile", source, "--MNNModel", target, "--bizCode", "adain"]
    words += ["--fp16"] * half
    # In a process of its own: its protobuf and TensorFlow's do not get along.
    subprocess.run([sys.executable, "-c", _CONVERT, *map(str, words)], capture_output=True)
    if not target.is_file():
        raise RuntimeError("MNN's converter failed")
    return target


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
