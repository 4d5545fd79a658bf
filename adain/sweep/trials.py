"""One trial of a sweep: a run with its own values, and what is measured of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adain.evaluation import pairs as evaluation_pairs
from adain.evaluation.config import EvaluateConfig
from adain.options import UsageError
from adain.presets.preset import Preset
from adain.sweep.parameters import dashed
from adain.sweep.space import FIGURES, Space
from adain.training.loggers import RunLogger

if TYPE_CHECKING:
    from adain.training.config import TrainConfig
    from adain.training.data import StyleContentDataset


class TrialError(ValueError):
    """A trial that has no result; the others may have one."""


@dataclass(frozen=True)
class TrialRun:
    """What a trial is given."""

    space: Space
    values: Mapping[str, Any]
    """Of the settings that trials differ in."""
    folder: Path
    """Of this trial alone; what lies there of the same trial is gone on with."""
    logs: Path
    history: Mapping[int, Mapping[str, float]]
    """What was reported before, if it was interrupted: step to losses."""
    report: Callable[[int, Mapping[str, float]], None]
    """Takes losses at a step, and raises what ends the run if it is to be given up."""


# === Runs: each returns the flags of `adain evaluate` for what it made ===


def train_trial(run: TrialRun) -> dict[str, Any]:
    """Train, or go on with training."""
    import keras

    from adain.training.loop import train

    # Graphs of the trial before.
    keras.utils.clear_session()
    weights = str(run.folder / "weights")
    config = run.space.config(run.values, checkpoint=weights, log_path=str(run.logs))
    train(config, [_ValidationReporter(run)], quiet=True)
    return {"preset": (weights,)}


class _ValidationReporter(RunLogger):
    """Hands the losses of validation to the sweep; everything else is not for it."""

    def __init__(self, run: TrialRun):
        self._run = run

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        losses = self._run.space.target.losses
        if losses[0] in values:
            self._run.report(step, {name: values[name] for name in losses})


def optimize_trial(run: TrialRun) -> dict[str, Any]:
    """Optimise all pairs, but for those that were finished before."""
    import keras

    from adain.optimization.files import Job, optimize_files

    keras.utils.clear_session()
    config = run.space.config(run.values)
    pictures = run.folder / "pictures"
    sums = dict.fromkeys(run.space.target.losses, 0.0)
    found = evaluation_pairs.plan_pairs(_of_all(config.content_path, config.style_path)).pairs
    for number, pair in enumerate(found, start=1):
        output = pictures / f"{pair.name}.png"
        if number in run.history and output.exists():
            means = run.history[number]
        else:
            job = Job(pair.content, pair.style, output)
            (outcome,) = optimize_files(config, [job], lambda losses: None)
            if outcome.error:
                raise TrialError(outcome.error)
            means = {
                name: ((number - 1) * sums[name] + outcome.losses[name]) / number for name in sums
            }
            run.report(number, means)
        sums = dict(means)
    return {"preset": (), "outputs": (f"optimized={pictures}",)}


def _of_all(content_path, style_path) -> EvaluateConfig:
    """Every photo in every style; nothing is written by it."""
    return EvaluateConfig(
        content_path=content_path, style_path=style_path, count=0, write_pairs="squares"
    )


# === Figures ===


def measure(space: Space, made: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """The report card of what a trial made, which also goes to `folder/report`.

    Raises:
        TrialError: If not every pair could be measured.
    """
    from adain.evaluation import run

    config = replace(_evaluation(space), out_path=str(folder / "report"), **made)
    planned = evaluation_pairs.plan_pairs(config)
    result, problems = run.measure(config, planned)
    if problems or planned.problems:
        raise TrialError("; ".join([*planned.problems, *problems]))
    (name,) = planned.outputs or config.preset
    (row,) = (row for row in result["rows"] if row["method"] == name)
    return {name: row[name] for name in FIGURES if name in row}


def _evaluation(space: Space) -> EvaluateConfig:
    config = space.evaluation
    if config is None:
        raise ValueError("this sweep measures no pictures")
    return replace(config, count=0) if space.target.not_evaluated else config


def check(space: Space) -> None:
    """Find all pictures before any trial starts.

    Raises:
        UsageError: If some are missing, or runs would learn from what they are measured on.
    """
    named = f"{space.path}: evaluation"
    found: list[Any] = []
    if space.evaluation is not None:
        try:
            planned = evaluation_pairs.plan_pairs(replace(_evaluation(space), preset=()))
        except (ValueError, OSError) as error:
            raise UsageError(f"{named}: {error}") from error
        if planned.problems:
            raise UsageError(f"{named}: {planned.problems[0]}")
        found = planned.pairs
    if space.target.needs:
        _check_training(space, found)
    elif not found:
        try:
            paths = (space.settings.get(name, ()) for name in ("content_path", "style_path"))
            planned = evaluation_pairs.plan_pairs(_of_all(*paths))
        except (ValueError, OSError) as error:
            raise UsageError(f"{space.path}: settings: {error}") from error


def _check_training(space: Space, pairs: list) -> None:
    from adain.training import recipes
    from adain.training.data import StyleContentDataset

    where = "settings"
    learnt = [space.settings.get(name, ()) for name in ("content_path", "style_path")]
    try:
        dataset = StyleContentDataset(*learnt)
        for name, config in space.variants():
            where = f"space.{dashed(name)}" if name else "settings"
            _check_run(recipes.stages(config), dataset)
    except (ValueError, OSError) as error:
        raise UsageError(f"{space.path}: {where}: {error}") from error
    known = {path.resolve() for kind in dataset.files for path in kind}
    for pair in pairs:
        for source in (pair.content, pair.style):
            if source.path.resolve() in known:
                raise UsageError(
                    f"{space.path}: evaluation: {source.path} is among the pictures that runs "
                    "learn from. Measure on others."
                )


def _check_run(stages: Sequence[TrainConfig], dataset: StyleContentDataset) -> None:
    """Find weights to start from or to learn from, and pictures for validation.

    Raises:
        ValueError: If there are none.
    """
    from adain.training.data import StyleContentDataset

    for number, stage in enumerate(stages):
        # Later stages start from weights of those before.
        weights = [stage.teacher, stage.init if number == 0 else ""]
        if stage.vgg_path != "imagenet" and not Path(stage.vgg_path).is_file():
            weights.append(stage.vgg_path)
        for name in filter(None, weights):
            Preset.load(name)
        if stage.val_content_path:
            StyleContentDataset(stage.val_content_path, stage.val_style_path)
        elif stage.val_pairs:
            copy.copy(dataset).hold_out(stage.val_pairs, 1)
