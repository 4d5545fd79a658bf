"""Presets: which weights exist, where they lie, and what is known of them.

A preset is a folder of four files:

- `config.json`: what the networks are, license, training, SHA-256 of the other files;
- `encoder.npz` and `decoder.npz`: weights, half precision;
- `graphs.json`: how the networks use them, for engines other than Keras (`presets.graphs`).

Folders that training wrote are presets too. `styles` may hold style cards made with the weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from adain.presets import npz
from adain.presets.architecture import ARCHITECTURES, Architecture

DEFAULT_PRESET = "adain_vgg19"
FULL_WIDTH_PRESET = "adain_vgg19"
"""Its encoder is the loss network of everything that needs one."""
DEFAULT_PALETTE = 0.5
"""How far colours are moved with new weights: measured with both presets (docs/evaluation.md)."""
CONFIG = "config.json"
PARTS = ("encoder", "decoder")
"""The networks; the weights of each are in a file `PART.npz`."""
STYLES = "styles"
"""A preset's folder of style cards."""

MAX_WIDTH = 4096
"""Most channels that a preset's networks may have at any tap."""

# The largest shipped file has 7 MiB.
_MAX_BYTES = 2**28
_MAX_TEXT_BYTES = 2**24
_LARGEST = float(np.finfo("float16").max)


class PresetError(ValueError):
    """A preset that is missing, damaged or of another kind; one line with the remedy."""


@dataclass(frozen=True)
class Preset:
    """Weights in a folder, and what is known of them. `load` makes one from a name.

    Nothing but `config.json` is read before it is asked for.

    Example:
        >>> preset = adain.Preset.load("adain_fast")
        >>> preset.architecture.name, preset.level_widths, preset.license
        ('compact', (16, 32, 64, 96, 128), 'MIT')
    """

    folder: Path
    architecture: Architecture
    widths: tuple[int, ...]
    """Channels of each of the encoder's taps."""
    sums: Mapping[str, str]
    """SHA-256 of each of the other files, by name."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What else is in `config.json`: license, training, source."""
    palette: float = 0.0
    """How far `--palette` moves colours unless told otherwise, in [0, 1]."""

    @classmethod
    def load(cls, name: str | Path = DEFAULT_PRESET) -> Preset:
        """Find a preset and read its `config.json`.

        Args:
            name: A name from `available_presets()`, a preset's folder, or the folder a training
                run writes to.

        Raises:
            PresetError: If there is none, or its `config.json` is damaged.
        """
        folder = find_preset(name)
        path = folder / CONFIG
        config = _read_json(path)
        kind = config["architecture"]
        if not isinstance(kind, str) or kind not in ARCHITECTURES:
            raise _wrong(path, "architecture", f"one of {', '.join(ARCHITECTURES)}", kind)
        architecture, widths, about = ARCHITECTURES[kind], config["widths"], config["about"]
        if (
            not isinstance(widths, list)
            or len(widths) != architecture.taps
            or not all(type(width) is int and 0 < width <= MAX_WIDTH for width in widths)
        ):
            expected = f"{architecture.taps} numbers between 1 and {MAX_WIDTH}"
            raise _wrong(path, f"widths of {kind}", expected, widths)
        sums = config["sha256"]
        if not isinstance(sums, dict) or not all(map(_is_sum, sums.values())):
            raise _wrong(path, "sha256", "sums of 64 hexadecimal digits by file name", sums)
        if not isinstance(about, dict):
            raise _wrong(path, "about", "an object", about)
        for entry in ("preset", "summary", "license"):
            if not isinstance(about.get(entry, ""), str):
                raise _wrong(path, f"{entry} in about", "text", about[entry])
        palette = config["palette"]
        if type(palette) not in (int, float) or not 0 <= palette <= 1:
            raise _wrong(path, "palette", "a number in [0, 1]", palette)
        return cls(folder, architecture, tuple(widths), sums, about, float(palette))

    @property
    def name(self) -> str:
        """What style codes call the weights."""
        return self.about.get("preset", "")

    @property
    def summary(self) -> str:
        return self.about.get("summary", "")

    @property
    def license(self) -> str:
        return self.about.get("license", "")

    @property
    def level_widths(self) -> tuple[int, ...]:
        """Channels of each level at which AdaIN acts."""
        return self.widths[-self.architecture.levels :]

    @property
    def fingerprint(self) -> str:
        """Which weights the encoder has: the beginning of its SHA-256, "" if unknown."""
        return self.sums.get("encoder.npz", "")[:16]

    @property
    def styles(self) -> dict[str, Path]:
        """The style cards that come with the weights, by name."""
        return {
            path.stem: path
            for path in sorted((self.folder / STYLES).glob("[!.]*"))
            if path.suffix.lower() == ".npz" and path.is_file()
        }

    def sum_of(self, file: str) -> str:
        """The SHA-256 that a file must have.

        Raises:
            PresetError: If `config.json` does not tell.
        """
        if file not in self.sums:
            raise PresetError(f"{self.folder / CONFIG}: the SHA-256 of {file} is missing.")
        return self.sums[file]

    def read_file(self, file: str) -> bytes:
        """Contents of one of the preset's files, after comparing its SHA-256.

        Raises:
            PresetError: If the file is missing, too large, or not the one the sum belongs to.
        """
        path, expected = self.folder / file, self.sum_of(file)
        content = _read(path, _MAX_BYTES)
        received = hashlib.sha256(content).hexdigest()
        if received != expected:
            raise PresetError(
                f"{path}: SHA-256 must be {expected[:12]}..., received {received[:12]}... "
                "The file is damaged or incomplete; fetch it again."
            )
        return content

    def read_weights(self, part: str) -> dict[str, np.ndarray]:
        """Weights of one of the networks.

        Args:
            part: `"encoder"` or `"decoder"`.

        Returns:
            `{"conv1_1/kernel": array, ...}` float32.

        Raises:
            PresetError: If the file is missing, damaged, not the one the sum belongs to, or holds
                anything but finite numbers that fit half precision.
        """
        file = f"{part}.npz"
        path, content = self.folder / file, self.read_file(file)
        try:
            arrays, _ = npz.load(path, content, limit=_MAX_BYTES)
        except ValueError as error:
            reason = error.__cause__ or error
            raise PresetError(f"{path}: not a weights file ({reason}).") from error
        for name, array in arrays.items():
            # False for NaN too.
            if not np.all(np.abs(array) <= _LARGEST):
                raise PresetError(
                    f"{path}: {name} must hold finite numbers of half precision. "
                    "Received: others. Use other weights, or fetch these again."
                )
        return {name: array.astype("float32") for name, array in arrays.items()}

    @classmethod
    def save(
        cls,
        folder: Path,
        architecture: str,
        widths: tuple[int, ...],
        weights: Mapping[str, Mapping[str, np.ndarray]],
        files: Mapping[str, bytes],
        about: Mapping[str, Any],
        palette: float = 0.0,
    ) -> Preset:
        """Write a preset, each file atomically, `config.json` last: with it, a preset is complete.

        Args:
            folder: Where to; it is made if need be.
            architecture: A key of `ARCHITECTURES`.
            widths: Channels of each of the encoder's taps.
            weights: Of each of `PARTS`, as `read_weights` returns them.
            files: Contents of further files, such as `graphs.json`.
            about: License, training, source.
            palette: How far colours are moved by default, in [0, 1].

        Raises:
            PresetError: If a weight does not fit half precision.
            OSError: If the folder cannot be written.
        """
        sums = {
            f"{part}.npz": write_weights(folder / f"{part}.npz", arrays)
            for part, arrays in weights.items()
        }
        sums |= {name: write_file(folder / name, content) for name, content in files.items()}
        config = {
            "architecture": architecture,
            "widths": list(widths),
            "palette": palette,
            "sha256": sums,
            "about": dict(about),
        }
        write_file(folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode())
        return cls(folder, ARCHITECTURES[architecture], tuple(widths), sums, dict(about), palette)


# === Finding ===


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
    if not isinstance(name, str | os.PathLike):
        raise PresetError(
            f"Weights must be a preset's name or a folder. Received: {type(name).__name__}"
        )
    for folder in (_root() / name, Path(name), Path(name) / DEFAULT_PRESET):
        if (folder / CONFIG).is_file():
            return folder
    raise PresetError(
        f"{name}: no such weights. Use one of {', '.join(available_presets())}, "
        "or a folder that training wrote."
    )


# === Reading ===


def _read(path: Path, limit: int) -> bytes:
    try:
        return npz.read_bytes(path, limit)
    except OSError as error:
        raise PresetError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise PresetError(f"{path}: not a preset's ({error}).") from error


def _read_json(path: Path) -> dict:
    """`config.json` with all its entries, of whatever kind."""
    content = _read(path, _MAX_TEXT_BYTES)
    try:
        config = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise PresetError(f"{path}: not readable ({error}).") from error
    if not isinstance(config, dict):
        raise _wrong(path, "contents", "an object", config)
    # Before there was a second architecture, none was named.
    config.setdefault("architecture", "vgg19")
    # Nor were colours moved.
    config.setdefault("palette", 0.0)
    for name in ("widths", "sha256", "about"):
        if name not in config:
            raise PresetError(f"{path}: not a preset's ({name!r} is missing).")
    return config


def _wrong(path: Path, what: str, expected: str, received: object) -> PresetError:
    return PresetError(f"{path}: the {what} must be {expected}. Received: {reprlib.repr(received)}")


def _is_sum(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


# === Writing ===


def write_weights(path: Path, arrays: Mapping[str, np.ndarray]) -> str:
    """Write weights in half precision, atomically; returns the file's SHA-256.

    Raises:
        PresetError: If a weight does not fit.
    """
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
