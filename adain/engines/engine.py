"""The engines by name: what each needs, and when it is the best; nothing of them is imported."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from adain import extras
from adain.options import UsageError, load

AUTO = "auto"
"""The name that stands for whatever engine is best."""
FLOAT32, BFLOAT16 = PRECISIONS = ("float32", "bfloat16")
"""What engines may compute in. bfloat16 is rounded as the products of convolutions need it; what
they add up to, and all else, is float32."""


class EngineError(ValueError):
    """An engine that cannot be used; one line with the remedy."""


class PrecisionError(EngineError, UsageError):
    """A precision that the engine or the processor does not have."""


@dataclass(frozen=True)
class Engine:
    """A runtime for the networks.

    A new one is a module with a subclass of `GraphStylizer`, and an entry in `ENGINES`.
    """

    place: str
    """`module:callable`; it takes a `Preset` and returns a `Stylizer`."""
    modules: tuple[str, ...]
    """What must be installed, by the names they are imported by."""
    extra: str = ""
    """The extra that installs it: a key of `extras.EXTRAS`."""
    runs_graphs: bool = True
    """Whether it runs a preset's graphs; if not, it builds the networks itself."""
    precisions: tuple[str, ...] = (FLOAT32,)
    """What it may compute in, of `PRECISIONS`."""
    suits_many: bool = False
    """Whether it is the fastest for many pictures and small networks, once it has started."""

    @property
    def load(self) -> Callable:
        return load(self.place)

    @property
    def needed(self) -> tuple[str, ...]:
        """`modules`, and of Keras its backend."""
        return (*self.modules, extras.choose_backend()) if "keras" in self.modules else self.modules

    @property
    def is_installed(self) -> bool:
        return all(map(extras.is_installed, self.needed))


ENGINES = {
    "mnn": Engine("adain.engines.mnn:MnnStylizer", ("MNN",)),
    "onnxruntime": Engine(
        "adain.engines.onnxruntime:OnnxRuntimeStylizer", ("onnxruntime",), "onnxruntime"
    ),
    "openvino": Engine(
        "adain.engines.openvino:OpenVinoStylizer",
        ("openvino",),
        "openvino",
        precisions=PRECISIONS,
        suits_many=True,
    ),
    "keras": Engine(
        "adain.networks.model:StyleTransfer.from_preset", ("keras",), "train", runs_graphs=False
    ),
}
"""Every engine, by its name of `--engine`, in the order in which `auto` prefers them."""


def count_cores() -> int:
    """How many cores this process may use; two threads of one core count once."""
    import psutil

    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    # A process may be kept to some of them.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return min(cores, allowed)
