"""When a trial is given up: behind the finished ones in all losses that count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import optuna
from optuna.trial import TrialState

from adain.sweep.space import Pruning

Losses = Mapping[int, Mapping[str, float]]
"""What a trial reported: step to losses."""


def is_behind(rules: Pruning, losses: Losses, finished: Sequence[Losses]) -> bool:
    """Whether a trial is to be given up at its last step.

    Args:
        rules: When.
        losses: Of the trial.
        finished: Of the trials that are complete.
    """
    pruner = optuna.pruners.PercentilePruner(
        rules.percentile, n_startup_trials=rules.startup_trials, n_warmup_steps=rules.warmup
    )
    return all(_is_behind(pruner, losses, finished, name) for name in rules.by)


def _is_behind(
    pruner: optuna.pruners.BasePruner, losses: Losses, finished: Sequence[Losses], name: str
) -> bool:
    """What the pruner says of one loss; a study with several objectives has none of its own."""
    study = optuna.create_study(pruner=pruner)
    for other in finished:
        if values := _numbers(other, name):
            # Only the values on the way are looked at.
            study.add_trial(optuna.create_trial(value=0.0, intermediate_values=values))
    now = optuna.create_trial(state=TrialState.RUNNING, intermediate_values=_numbers(losses, name))
    return pruner.prune(study, now)


def _numbers(losses: Losses, name: str) -> dict[int, float]:
    found = {step: values[name] for step, values in losses.items()}
    return {step: value for step, value in found.items() if math.isfinite(value)}
