"""Arbitrary style transfer with adaptive instance normalisation, on Keras 3."""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

# Names are looked up when first used, so that `--help` imports neither Keras nor its backend.
_PUBLIC = {
    "StyleTransfer": "model",
    "StyleCode": "codes",
    "adaptive_instance_normalization": "functional",
    "mean_std": "functional",
    "mix": "codes",
    "load_painter": "engines",
    "Region": "regions",
    "optimize_image": "gatys",
    "AdaINTrainer": "trainer",
    "train": "trainer",
    "StyleContentDataset": "data",
    "OptimizeConfig": "config",
    "StylizeConfig": "config",
    "TrainConfig": "config",
    "available_presets": "presets",
    "load_image": "image",
    "save_image": "image",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
