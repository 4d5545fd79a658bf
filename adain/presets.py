"""Which weights exist, where they lie, and what is known of them.

A preset is a folder of three files:

- `config.json`: what the networks are, licence, training, SHA-256 of the weight files;
- `encoder.npz` and `decoder.npz`: weights, half precision.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from adain import _npz

DEFAULT_PRESET = "adain_vgg19"
CONFIG = "config.json"
WEIGHT_FILES = ("encoder.npz", "decoder.npz")


class PresetError(ValueError):
    """A preset that is missing, damaged or of another kind; one line with the remedy."""


def _root() -> Path:
    package = Path(__file__).resolve().parent
    installed = package / "weights"
    return installed if installed.is_dir() else package.parent / "weights"


def available_presets() -> list[str]:
    """Names of the presets that come with the package.

    Example:
        >>> adain.available_presets()
        ['adain_vgg19']
    """
    return sorted(path.parent.name for path in _root().glob(f"*/{CONFIG}"))


def find_preset(name: str | Path) -> Path:
    """Folder of a preset, from its name or its folder.

    The folder of shipped presets (`weights`) stands for the default preset.

    Raises:
        PresetError: If there is none; the message lists the names.
    """
    for folder in (_root() / name, Path(name), Path(name) / DEFAULT_PRESET):
        if (folder / CONFIG).is_file():
            return folder
    raise PresetError(
        f"{name}: no such weights. Use one of {', '.join(available_presets())}, "
        "or a folder that training wrote."
    )


def read_config(folder: Path) -> dict:
    """Contents of a preset's `config.json`.

    Raises:
        PresetError: If the file is not readable JSON, or lacks an entry.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PresetError(f"{folder / CONFIG}: not readable ({error}).") from error
    entries = {"widths": list, "sha256": dict, "about": dict}
    for name, kind in entries.items():
        if not isinstance(config, dict) or not isinstance(config.get(name), kind):
            raise PresetError(f"{folder / CONFIG}: not a preset's ({name!r} is missing).")
    return config


def read_weights(folder: Path, file: str, sha256: str | None) -> dict[str, np.ndarray]:
    """Read one weight file after checking it.

    Args:
        folder: The preset's folder.
        file: `"encoder.npz"` or `"decoder.npz"`.
        sha256: The sum that `config.json` gives, or None to skip the check.

    Returns:
        `{"conv1_1/kernel": array, ...}` float32.

    Raises:
        PresetError: If the file is missing, damaged, or not the one the sum belongs to.
    """
    path = folder / file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PresetError(f"{path}: cannot be read ({error.strerror}).") from error
    received = hashlib.sha256(content).hexdigest()
    if sha256 is not None and received != sha256:
        raise PresetError(
            f"{path}: SHA-256 must be {sha256[:12]}..., received {received[:12]}... "
            "The file is damaged or incomplete; fetch it again."
        )
    try:
        arrays, _ = _npz.load(io.BytesIO(content))
    except ValueError as error:
        raise PresetError(f"{path}: not a weights file ({error}).") from error
    return {name: array.astype("float32") for name, array in arrays.items()}


def write_weights(path: Path, arrays: Mapping[str, np.ndarray]) -> str:
    """Write weights in half precision, atomically; returns the file's SHA-256."""
    with np.errstate(over="ignore"):  # The check below says it better.
        halves = {name: np.asarray(array, "float16") for name, array in arrays.items()}
    for name, array in halves.items():
        if not np.isfinite(array).all():
            raise PresetError(f"{path}: {name} does not fit half precision.")
    _npz.save(path, halves)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_config(folder: Path, config: Mapping) -> None:
    """Write `config.json`, atomically."""
    text = json.dumps(dict(config), indent=2) + "\n"
    _npz.write_atomically(folder / CONFIG, lambda file: file.write(text.encode()))
