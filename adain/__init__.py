"""Arbitrary style transfer with adaptive instance normalisation, on Keras 3."""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

# Names are looked up when first used, so that `--help` imports neither Keras nor its backend.
_PUBLIC = {
    "StyleTransfer": "networks.model",
    "StyleCode": "inference.style_code",
    "adaptive_instance_normalization": "networks.adain",
    "mean_std": "networks.adain",
    "mix": "inference.style_code",
    "load_stylizer": "engines.registry",
    "Region": "inference.regions",
    "optimize_image": "optimization.gatys",
    "AdaINTrainer": "training.model",
    "train": "training.loop",
    "tune": "training.tune",
    "StyleContentDataset": "training.data",
    "OptimizeConfig": "optimization.config",
    "StylizeConfig": "stylize.config",
    "StylizeOptions": "stylize.config",
    "StylizePipeline": "stylize.pipeline",
    "StyleMix": "stylize.inputs",
    "TrainConfig": "training.config",
    "TuneConfig": "training.tune_config",
    "Preset": "presets.preset",
    "available_presets": "presets.preset",
    "load_image": "imaging.io",
    "save_image": "imaging.io",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    except ModuleNotFoundError as error:
        from adain import extras

        raise extras.explain(error) or error from None


def __dir__() -> list[str]:
    return sorted(__all__)
