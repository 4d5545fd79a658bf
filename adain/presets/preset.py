"""Which weights exist, where they lie, and what is known of them.

A preset is a folder of four files:

- `config.json`: what the networks are, license, training, SHA-256 of the other files;
- `encoder.npz` and `decoder.npz`: weights, half precision;
- `graphs.json`: how the networks use them, for engines other than Keras (`presets.graphs`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from adain.presets import npz
from adain.presets.architecture import ARCHITECTURES

DEFAULT_PRESET = "adain_vgg19"
FULL_WIDTH_PRESET = "adain_vgg19"
"""Its encoder is the loss network of everything that needs one."""
DEFAULT_PALETTE = 0.5
"""How far colours are moved with new weights: measured with both presets (docs/evaluation.md)."""
CONFIG = "config.json"
WEIGHT_FILES = ("encoder.npz", "decoder.npz")


STYLES = "styles"
"""A preset's folder of style cards."""


class PresetError(ValueError):
    """A preset that is missing, damaged or of another kind; one line with the remedy."""


def _root() -> Path:
    package = Path(__file__).resolve().parent.parent
    installed = package / "weights"
    return installed if installed.is_dir() else package.parent / "weights"


def available_presets() -> list[str]:
    """Names of the presets that come with the package.

    Example:
        >>> adain.available_presets()
        ['adain_fast', 'adain_vgg19']
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


def fingerprint(config: Mapping) -> str:
    """Which weights a preset's encoder has: the beginning of its SHA-256, "" if unknown."""
    return config["sha256"].get(WEIGHT_FILES[0], "")[:16]


def level_widths(config: Mapping) -> tuple[int, ...]:
    """Channels of each level at which AdaIN acts."""
    return tuple(config["widths"][-ARCHITECTURES[config["architecture"]].levels :])


def find_styles(folder: Path) -> dict[str, Path]:
    """The style cards that come with a preset, by name."""
    return {path.stem: path for path in sorted((folder / STYLES).glob("*.npz"))}


def read_config(folder: Path) -> dict:
    """Contents of a preset's `config.json`.

    Raises:
        PresetError: If the file is not readable JSON, or lacks an entry.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PresetError(f"{folder / CONFIG}: not readable ({error}).") from error
    if isinstance(config, dict):
        # Before there was a second architecture, none was named.
        config.setdefault("architecture", "vgg19")
        # Nor were colours moved.
        config.setdefault("palette", 0.0)
    entries = {"architecture": str, "widths": list, "sha256": dict, "about": dict}
    for name, kind in entries.items():
        if not isinstance(config, dict) or not isinstance(config.get(name), kind):
            raise PresetError(f"{folder / CONFIG}: not a preset's ({name!r} is missing).")
    if config["architecture"] not in ARCHITECTURES:
        raise PresetError(
            f"{folder / CONFIG}: the architecture must be one of {', '.join(ARCHITECTURES)}. "
            f"Received: {config['architecture']!r}"
        )
    taps = ARCHITECTURES[config["architecture"]].taps
    if len(config["widths"]) != taps:
        raise PresetError(
            f"{folder / CONFIG}: the widths of {config['architecture']} must be {taps} numbers. "
            f"Received: {config['widths']}"
        )
    palette = config["palette"]
    if isinstance(palette, bool) or not isinstance(palette, int | float) or not 0 <= palette <= 1:
        raise PresetError(
            f"{folder / CONFIG}: the palette must be a number in [0, 1]. Received: {palette!r}"
        )
    return config


def read_file(folder: Path, file: str, sha256: str | None) -> bytes:
    """Read one of a preset's files after checking it.

    Args:
        folder: The preset's folder.
        file: The file's name.
        sha256: The sum that `config.json` gives, or None to skip the check.

    Raises:
        PresetError: If the file is missing, or not the one the sum belongs to.
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
    return content


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
    content = read_file(folder, file, sha256)
    try:
        arrays, _ = npz.load(folder / file, content)
    except ValueError as error:
        reason = error.__cause__ or error
        raise PresetError(f"{folder / file}: not a weights file ({reason}).") from error
    return {name: array.astype("float32") for name, array in arrays.items()}


def write_weights(path: Path, arrays: Mapping[str, np.ndarray]) -> str:
    """Write weights in half precision, atomically; returns the file's SHA-256."""
    with np.errstate(over="ignore"):  # The check below says it better.
        halves = {name: np.asarray(array, "float16") for name, array in arrays.items()}
    for name, array in halves.items():
        if not np.isfinite(array).all():
            raise PresetError(f"{path}: {name} does not fit half precision.")
    npz.save(path, halves)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_file(path: Path, content: bytes) -> str:
    """Write a file, atomically; returns its SHA-256."""
    npz.write_atomically(path, lambda file: file.write(content))
    return hashlib.sha256(content).hexdigest()


def write_config(folder: Path, config: Mapping) -> None:
    """Write `config.json`, atomically."""
    text = json.dumps(dict(config), indent=2) + "\n"
    write_file(folder / CONFIG, text.encode())
