"""Engines: what runs the networks. Three need no Keras, and start in a fraction of a second.

Keras runs every preset on any of its backends, and is the one to train with. MNN, ONNX Runtime and
OpenVINO run the graphs that come with a preset.
"""

from __future__ import annotations

import logging
from pathlib import Path

from adain import extras
from adain.engines.engine import AUTO, ENGINES, FLOAT32, PRECISIONS, EngineError, PrecisionError
from adain.inference.stylizer import Stylizer
from adain.presets.architecture import Architecture
from adain.presets.graphs import GRAPHS
from adain.presets.preset import DEFAULT_PRESET, Preset

logger = logging.getLogger(__name__)

MANY = 20
"""With so many pictures of 512 pixels OpenVINO has made up for its slower start."""


def load_stylizer(
    preset: str | Path | Preset = DEFAULT_PRESET,
    engine: str = "auto",
    pictures: int = 1,
    threads: int = 0,
    lanes: int = 1,
    precision: str = FLOAT32,
) -> Stylizer:
    """Load weights into an engine.

    Args:
        preset: A name from `available_presets()`, a preset's folder, the folder a training run
            writes to, or what `Preset.load` returned.
        engine: A key of `ENGINES`, or `"auto"`: see `resolve`.
        pictures: How many it is going to stylise, for `"auto"`.
        threads: How many the engine works with, but for Keras; 0: as many as it sees fit.
        lanes: Pictures that may be processed at the same time, called from so many threads; each
            takes memory. Of Keras 1.
        precision: A key of `PRECISIONS`. `"bfloat16"` needs OpenVINO and a processor that has it;
            pictures then differ by a fraction of a grey level on average.

    Returns:
        What has `encode_style` and `stylize`; of `"keras"`, a `StyleTransfer`.

    Raises:
        EngineError: If the engine cannot run the preset, in which case `"auto"` uses Keras, if it
            is installed; if the engine or the processor has no such precision.
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
    chosen = resolve(engine, preset.architecture, pictures, precision)
    if not ENGINES[chosen].runs_graphs:
        return ENGINES[chosen].load(preset)
    try:
        if GRAPHS not in preset.sums:
            raise EngineError(
                f"{preset.folder} has no {GRAPHS}: only Keras runs it. Use --engine keras."
            )
        try:
            return ENGINES[chosen].load(preset, threads, lanes, precision)
        except ImportError as error:
            raise EngineError(f"The engine {chosen} cannot be loaded ({error}).") from error
    except EngineError as error:
        if engine != AUTO or precision != FLOAT32 or not is_installed("keras"):
            raise
        logger.warning("%s", error)
        return load_stylizer(preset, "keras")


def resolve(
    engine: str,
    architecture: Architecture | None = None,
    pictures: int = 1,
    precision: str = FLOAT32,
) -> str:
    """What `"auto"` means on this machine.

    Keras where there is a GPU. Else MNN, which starts fastest, and needs half the time of the
    others for the full-width network. For many pictures and small networks OpenVINO makes up
    for its slower start (`benchmarks/versus.py`).

    Args:
        engine: A key of `ENGINES`, or `"auto"`.
        architecture: What is going to run; whether it is Keras does not depend on it.
        pictures: How many it is going to stylise.
        precision: A key of `PRECISIONS`; engines without it are left out.

    Raises:
        PrecisionError: If the engine does not compute in that precision.
        MissingExtra: If the engine is not installed.
    """
    if precision not in PRECISIONS:
        names = ", ".join(PRECISIONS)
        raise PrecisionError(f"`precision` must be one of {names}. Received: {precision!r}")
    able = [name for name, found in ENGINES.items() if precision in found.precisions]
    if engine != AUTO:
        if engine not in able:
            raise PrecisionError(
                f"The engine {engine} does not compute in {precision}. Use --engine "
                f"{' or '.join(able)}, or --precision {FLOAT32}."
            )
        extras.require(ENGINES[engine].extra, f"--engine {engine}", ENGINES[engine].needed)
        return engine
    order = able
    if _has_gpu() and "keras" in able:
        order.insert(0, "keras")
    elif architecture is not None and architecture.small and pictures >= MANY:
        order.sort(key=lambda name: not ENGINES[name].suits_many)
    return resolve(next(filter(is_installed, order), order[0]), precision=precision)


def is_installed(engine: str) -> bool:
    """Whether the packages of an engine are there; nothing is imported."""
    return ENGINES[engine].is_installed


def _has_gpu() -> bool:
    """Whether an NVIDIA driver is loaded, without asking a backend, which would take seconds."""
    return Path("/proc/driver/nvidia/version").exists()
