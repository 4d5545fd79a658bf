"""Packages that only some commands and engines need, and the extras that install them."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

EXTRAS = {
    "": ("MNN", "PIL", "cv2", "imagecodecs", "numpy", "psutil", "tifffile", "tqdm"),
    "train": ("keras", "tensorflow", "h5py", "tensorboard", "torchfile"),
    "optimize": ("keras", "tensorflow", "scipy"),
    "evaluate": ("keras", "tensorflow", "scipy", "skimage"),
    "export": ("onnx",),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
    "video": ("av",),
    "batch": ("pyarrow",),
    "ray": ("pyarrow", "ray"),
    "sweep": ("optuna", "sqlalchemy"),
    "studio": ("starlette", "uvicorn"),
    "onnxruntime": ("onnxruntime",),
    "openvino": ("openvino",),
    "jax": ("keras", "jax", "h5py", "scipy", "skimage", "tensorboard", "torchfile"),
    "torch": ("keras", "torch", "h5py", "scipy", "skimage", "tensorboard", "torchfile"),
}
"""The modules that each extra of `pyproject.toml` installs, by the names they are imported by; ""
stands for what is always installed."""

BACKENDS = ("tensorflow", "jax", "torch")
"""What Keras can run on, in order of preference. `jax` and `torch` have extras of those names, for
all that the others do with TensorFlow."""


class MissingExtra(ImportError):
    """A package that is not installed; one line with the command that installs it."""


def is_installed(module: str) -> bool:
    """Whether a module can be found; nothing is imported."""
    return importlib.util.find_spec(module) is not None


def choose_backend() -> str:
    """Keras' backend: `KERAS_BACKEND`, or the first one that is installed."""
    chosen = os.environ.get("KERAS_BACKEND")
    return chosen or next(filter(is_installed, BACKENDS), BACKENDS[0])


def require(extra: str, user: str, modules: Iterable[str] | None = None) -> None:
    """Check that what a command or an engine needs is installed.

    Args:
        extra: The extra that installs it: a key of `EXTRAS`. With another backend than TensorFlow,
            that backend is needed in TensorFlow's place, and its extra is the one to install.
        user: What needs it, for the message.
        modules: The modules needed, by default all of the extra's.

    Raises:
        MissingExtra: If one of them is missing.
    """
    needed = list(EXTRAS[extra] if modules is None else modules)
    backend = choose_backend()
    if "tensorflow" in needed and backend in BACKENDS[1:]:
        needed[needed.index("tensorflow")] = extra = backend
    if missing := [module for module in needed if not is_installed(module)]:
        raise MissingExtra(_describe(user, missing, extra))


def explain(error: ModuleNotFoundError) -> MissingExtra | None:
    """What to install after a failed import; None if no extra has that module."""
    module = (error.name or "").partition(".")[0]
    extra = next((extra for extra, modules in EXTRAS.items() if module in modules), None)
    return None if extra is None else MissingExtra(_describe("this", [module], extra))


def _describe(user: str, missing: list[str], extra: str) -> str:
    return f"{user} needs {', '.join(missing)}: {install_command(extra)}"


def install_command(extra: str = "") -> str:
    """The command that installs this package with an extra; "" is without any."""
    try:
        metadata.distribution("adain")
        package = "adain"
    except metadata.PackageNotFoundError:
        # A clone that was never installed: pip would look for it elsewhere.
        package = str(Path(__file__).resolve().parent.parent)
    return f'pip install "{package}[{extra}]"' if extra else f'pip install "{package}"'
