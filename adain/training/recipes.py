"""How weights were trained, as settings that can be replayed: `train.py --recipe NAME`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from adain.files import read_toml, replacing
from adain.options import UsageError
from adain.training.config import TrainConfig

OF_A_RUN = frozenset(
    ("recipe", "content_path", "style_path", "val_content_path", "val_style_path", "checkpoint",
     "log_path", "workers", "devices", "logger")
)  # fmt: skip
"""Settings of where a run's files are and of the machine, which are no part of a recipe."""

_SMALL = {
    "cache_styles": 1,
    "normalized_content": True,
    "style_loss": "balanced",
    "style_weight": 1.5,
    "lr_schedule": "cosine",
    "beta_2": 0.99,
    "clip_norm": 1.0,
}
"""What all stages for machines without a GPU have in common."""

_LARGE = _SMALL | {
    "cache_styles": 2, "style_weight": 3.0, "coarse_weight": 1.0, "ema": 0.98, "batch_size": 6,
    "image_size": 384, "random_scale": 1.5, "crop_size": 96, "learning_rate": 4e-4,
}  # fmt: skip
"""Later stages: pictures at many scales, strokes beside grain."""

_GPU = {
    "image_size": 367, "random_scale": 1.53, "crop_size": 224, "style_crop_size": 256,
    "normalized_content": True, "content_levels": 2, "style_loss": "relative", "style_weight": 4.0,
    "coarse_weight": 2.5, "coarse_levels": 2, "identity_weight": 150.0, "range_weight": 50.0,
    "lr_schedule": "cosine", "warmup_iter": 200, "beta_2": 0.99, "clip_norm": 1.0, "ema": 0.999,
    "precision": "mixed_bfloat16", "seed": 31,
}  # fmt: skip
"""What the runs on a GPU have in common, where they do not say otherwise.

Style counts 4 at full size, and 10 at half and a quarter.

The weights on content of the first runs were found by a search in the first half of each, which
held the loss at relu4_1 near 1.1.
"""

_FINER = _GPU | {
    "network": "compact", "style_weight": 14.0, "coarse_weight": 0.6, "gram_weight": 0.4,
    "palette": 0.5, "random_scale": 1.45, "batch_size": 6, "learning_rate": 2e-4,
    "pretrain_iter": 0,
}  # fmt: skip
"""What the compact network's later runs have in common: two on two cores, then one on a GPU."""

RECIPES: dict[str, tuple[dict[str, Any], ...]] = {
    # Huang & Belongie, ICCV 2017, and the authors' code.
    "paper": (
        {
            "batch_size": 8, "image_size": 512, "crop_size": 256, "style_weight": 1e-2,
            "learning_rate": 1e-4, "lr_decay": 5e-5, "max_iter": 160_000, "pretrain_iter": 0,
        },
    ),
    # The shipped weights; each stage starts from the weights of the one before.
    "adain_vgg19": (
        _SMALL | {
            "batch_size": 4, "image_size": 256, "crop_size": 96, "style_crop_size": 128,
            "learning_rate": 5e-4, "warmup_iter": 30, "schedule_iter": 4500, "max_iter": 2300,
        },
        _SMALL | {
            "batch_size": 16, "image_size": 256, "crop_size": 48, "style_crop_size": 128,
            "learning_rate": 4e-4, "warmup_iter": 20, "schedule_iter": 2000, "max_iter": 1600,
            "seed": 1,
        },
        _SMALL | {
            "batch_size": 4, "image_size": 320, "crop_size": 160, "cache_styles": 0,
            "learning_rate": 2e-4, "warmup_iter": 20, "max_iter": 400, "seed": 2,
        },
        _LARGE | {
            "style_crop_size": 160, "warmup_iter": 50, "schedule_iter": 3000, "max_iter": 600,
            "seed": 4,
        },
        _LARGE | {
            "style_crop_size": 128, "identity_weight": 100.0, "warmup_iter": 30, "max_iter": 600,
            "seed": 5,
        },
        _LARGE | {
            "style_crop_size": 128, "identity_weight": 100.0, "style_weight": 6.0,
            "warmup_iter": 30, "max_iter": 320, "seed": 7,
        },
        _LARGE | {
            "batch_size": 4, "crop_size": 128, "style_crop_size": 160, "cache_styles": 1,
            "identity_weight": 100.0, "style_weight": 4.0, "coarse_weight": 1.5,
            "coarse_levels": 2, "warmup_iter": 30, "max_iter": 550, "seed": 8,
        },
        # With the decoder's ways past relu4_1, which the stages before learn too when replayed.
        _GPU | {
            "batch_size": 8, "content_weight": 3.5, "gram_weight": 2.0, "palette": 0.5,
            "learning_rate": 3e-4, "pretrain_iter": 0, "max_iter": 13_679,
        },
    ),
    # The compact weights: from nothing; with more weight on fine strokes and on results that stay
    # the same from frame to frame; on two cores once more nearer to styles; with even areas; and
    # half the way of a long run with both. MODEL_CARD.md tells what the second run did otherwise.
    "adain_fast": (
        _GPU | {
            "network": "compact", "batch_size": 16, "content_weight": 4.1, "learning_rate": 1e-3,
            "pretrain_iter": 300, "max_iter": 21_205,
        },
        _GPU | {
            "network": "compact", "batch_size": 12, "image_size": 379, "random_scale": 1.48,
            "crop_size": 256, "content_weight": 1.8, "style_weight": 14.0, "coarse_weight": 0.6,
            "gram_weight": 0.4, "palette": 0.5, "identity_weight": 300.0, "stability_weight": 150.0,
            "teacher": "adain_vgg19", "teacher_weight": 2.0, "learning_rate": 7e-4,
            "pretrain_iter": 0, "max_iter": 18_440,
        },
        _FINER | {
            "image_size": 330, "content_weight": 1.8, "identity_weight": 600.0, "ema": 0.995,
            "warmup_iter": 150, "max_iter": 2000, "seed": 61,
        },
        _FINER | {
            "image_size": 300, "content_weight": 2.3, "identity_weight": 2500.0, "ema": 0.99,
            "stability_weight": 100.0, "smoothness_weight": 150.0, "warmup_iter": 60,
            "max_iter": 700, "seed": 72,
        },
        _FINER | {
            "batch_size": 16, "image_size": 340, "random_scale": 1.5, "content_weight": 1.9,
            "identity_weight": 1500.0, "gram_weight": 0.5, "stability_weight": 150.0,
            "smoothness_weight": 150.0, "learning_rate": 6e-4, "ema": 0.999, "warmup_iter": 300,
            "max_iter": 22_300, "init_share": 0.5, "seed": 81,
        },
    ),
}  # fmt: skip


def stages(config: TrainConfig) -> list[TrainConfig]:
    """The runs that a command asks for, in order.

    Args:
        config: Settings with or without a recipe. Those that were given (`TrainConfig.given`)
            replace the recipe's, in every stage.

    Returns:
        Settings of each run: `config` itself without a recipe. The last run writes to
        `config.checkpoint`, those before it to `stage1`, `stage2`, ... inside it.

    Raises:
        UsageError: If the recipe's file cannot be read, or settings do not fit together.
    """
    if not config.recipe:
        return [config]
    given = {name: getattr(config, name) for name in config.given}
    folder, recipe = Path(config.checkpoint), find(config.recipe)
    source = "" if config.recipe in RECIPES else f"--recipe {config.recipe}: "
    runs: list[TrainConfig] = []
    for number, settings in enumerate(recipe, start=1):
        chosen = settings | given
        if runs:
            chosen["init"] = runs[-1].checkpoint
        elif len(recipe) > 1 and not chosen.get("init"):
            chosen.pop("init_share", None)  # Which stages that start from weights may have.
        try:
            run = replace(TrainConfig(**chosen), recipe="")
        except UsageError as error:
            raise UsageError(f"{source}{error}") from error
        if number < len(recipe):
            run = replace(run, checkpoint=str(folder / f"stage{number}"))
        runs.append(run)
    return runs


def settings_of(config: TrainConfig) -> tuple[dict[str, Any], ...]:
    """The settings of each stage that belong into a recipe: those given, and its recipe's."""
    given = {name: getattr(config, name) for name in sorted(config.given - OF_A_RUN)}
    recipe = find(config.recipe) if config.recipe else ({},)
    return tuple({**stage, **given} for stage in recipe)


def find(recipe: str) -> tuple[dict[str, Any], ...]:
    """The stages of a recipe, by its name or its file; raises as `read` does."""
    return RECIPES.get(recipe) or read(recipe)


def read(path: str | Path) -> tuple[dict[str, Any], ...]:
    """The stages of a recipe's file.

    Args:
        path: A TOML file of flags without their dashes, such as `style-weight = 4.0`: at its top
            those of every stage, in each `[[stage]]` those of one. Without any there is one stage.

    Raises:
        UsageError: If it cannot be read, or a key is not a setting that a recipe may hold.
    """
    try:
        common = read_toml(path)
    except ValueError as error:
        raise UsageError(f"--recipe {path}: {error}") from error
    tables = common.pop("stage", [{}])
    if not (isinstance(tables, list) and tables and all(isinstance(x, dict) for x in tables)):
        raise UsageError(f"--recipe {path}: stage must be tables, `[[stage]]`")
    return tuple(_settings(path, common | table) for table in tables)


def _settings(path: str | Path, table: Mapping[str, Any]) -> dict[str, Any]:
    known = {item.name for item in fields(TrainConfig)}
    settings = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known or name in OF_A_RUN:
            why = "belongs on the command line" if name in known else "is not a flag of adain train"
            raise UsageError(f"--recipe {path}: {key} {why}")
        settings[name] = value
    return settings


def write(path: str | Path, stages: Sequence[Mapping[str, Any]], about: str) -> None:
    """Write a recipe's file, which `read` understands.

    Args:
        path: Where.
        stages: The settings of each stage.
        about: A line for its readers.
    """
    parts = [_to_toml(stage) for stage in stages]
    text = parts[0] if len(parts) == 1 else "\n".join(f"[[stage]]\n{part}" for part in parts)
    with replacing(path, make_folder=True) as file:
        file.write(f"# {' '.join(about.split())}\n{text}".encode())


def _to_toml(settings: Mapping[str, Any]) -> str:
    # Text, numbers, truth values and lists of them look the same in JSON.
    return "".join(
        f"{name.replace('_', '-')} = {json.dumps(value, ensure_ascii=False)}\n"
        for name, value in settings.items()
    )
