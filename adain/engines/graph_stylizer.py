"""A stylizer that runs the graphs of a preset; each engine says how one graph is run."""

from __future__ import annotations

import os
import queue
import threading
import weakref
from collections.abc import Callable, Sequence

import numpy as np

from adain.engines.engine import FLOAT32, EngineError
from adain.inference.stylizer import Statistics, Stylizer
from adain.presets.graphs import PresetGraphs
from adain.presets.preset import Preset, PresetError

Run = Callable[[dict[str, np.ndarray]], list[np.ndarray]]
"""A graph: inputs by name to outputs in order."""


_loaded: weakref.WeakSet[GraphStylizer] = weakref.WeakSet()


class GraphStylizer(Stylizer):
    """A stylizer that runs the graphs of a preset, as functions from arrays to arrays.

    It can be used in a forked process, and pickled: the preset is loaded again then.

    Args:
        preset: The weights.
        threads: How many the engine works with, for each picture; 0: as many as it sees fit.
        lanes: Pictures that may be processed at the same time, called from so many threads.
        precision: A key of `PRECISIONS` that the engine has.
    """

    _engine: str

    def __init__(self, preset: Preset, threads: int = 0, lanes: int = 1, precision: str = FLOAT32):
        super().__init__(
            preset.architecture,
            preset.level_widths,
            preset.name,
            preset.fingerprint,
            preset.palette,
        )
        self._source = preset
        self._threads, self.lanes, self._precision = threads, lanes, precision
        self._graphs = PresetGraphs(preset)
        self._runs: dict[str, Run] = {}
        self._make_locks()
        _keep_freed_memory()
        # Colours are moved before they are rounded.
        for name in ("encode", "decode_float" if preset.palette else "decode"):
            self._run(name)

        _loaded.add(self)

    def __reduce__(self):
        return type(self), (self._source, self._threads, self.lanes, self._precision)

    def _renew(self) -> None:
        """In a forked process: it has this thread alone, and locks may be held by another."""
        self._make_locks()

    def _make_locks(self) -> None:
        self._loading, self._beginning = threading.Lock(), threading.Lock()
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for lane in range(self.lanes):
            self._free.put(lane)

    def _run(self, name: str) -> Run:
        with self._loading:
            if name not in self._runs:
                self._runs[name] = self._load_graph(name)
            return self._runs[name]

    def _load_graph(self, name: str) -> Run:
        try:
            runs = [self._load(name) for _ in range(self.lanes)]
        except (PresetError, EngineError, ImportError):
            raise
        except Exception as error:  # Each runtime has its own.
            raise self._failed(name, error) from error

        begun = False

        def run_alone(feeds):
            nonlocal begun
            try:
                # An engine cannot do two things at once with one graph, nor with its own threads.
                lane = self._free.get()
                try:
                    with self._beginning:
                        if not begun:
                            # MNN chooses how it multiplies when it meets the first picture; all
                            # lanes are to give the same.
                            for other in range(self.lanes):
                                if other != lane:
                                    runs[other](feeds)
                            begun = True
                    return runs[lane](feeds)
                finally:
                    self._free.put(lane)
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
            graph, image = f"{graph}_float", image / np.float32(257)
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
        return outputs[0][0]

    def _decoder_feeds(self, levels: Sequence[np.ndarray], own, style, alpha):
        feeds = {
            f"level{number}": level.transpose(2, 0, 1)[None]
            for number, level in enumerate(levels, start=1)
        }
        vectors = zip(("mean", "std", "style_mean", "style_std"), (*own, *style), strict=True)
        feeds |= {name: vector.reshape(1, -1, 1, 1) for name, vector in vectors}
        return feeds | {"alpha": np.full((1, 1, 1, 1), alpha, "float32")}


def _keep_freed_memory() -> None:
    """Let the C library keep the memory of one picture's arrays for those of the next.

    glibc gives large pieces back to the system, which clears every page anew: with MNN 3 of 60 ms
    for a photo of 512 x 512. Having seen a piece of nearly 32 MiB freed, it keeps up to 64 MiB.
    """
    np.empty(2**25 - 2**13, "uint8")


def _renew_all() -> None:
    for stylizer in _loaded:
        stylizer._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
