"""What the database keeps of a sweep and its trials, and which values a trial is given."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from adain.sweep.parameters import Interval
from adain.sweep.space import Space
from adain.training.recipes import OF_A_RUN


def describe(space: Space) -> dict[str, Any]:
    """What makes a sweep the same sweep, wherever its pictures lie, as JSON gives it back."""
    evaluation = space.evaluation
    names = ("count", "seed", "size", "alpha", "palette")
    found = {
        "target": space.target.config,
        "settings": {key: v for key, v in space.settings.items() if key not in OF_A_RUN},
        "space": {name: list(found) for name, found in space.parameters.items()},
        "objectives": dict(space.objectives),
        "seed": space.seed,
        "prune": list(space.pruning) if space.pruning else None,
        "evaluation": evaluation and {name: getattr(evaluation, name) for name in names},
    }
    return json.loads(json.dumps(found))


def losses_of(trial: FrozenTrial | Trial) -> dict[int, dict[str, float]]:
    """What a trial reported: step to losses."""
    return {int(step): found for step, found in trial.user_attrs.get("losses", {}).items()}


def is_failure(trial: FrozenTrial) -> bool:
    """Whether a trial failed by itself, which it would do again; not: it was killed."""
    return trial.state == TrialState.FAIL and "error" in trial.user_attrs


def draw_values(space: Space, trial: Trial) -> None:
    """Give a trial the values that it does not have yet."""
    # Seeded by its number: an interrupted sweep tries the same values, and two machines that ask
    # at the same time do not.
    seed = np.random.SeedSequence([space.seed, trial.number]).generate_state(1)[0]
    trial.study.sampler = TPESampler(seed=int(seed))
    for name, found in space.parameters.items():
        if not isinstance(found, Interval):
            trial.suggest_categorical(name, list(map(_encode, found)))
        elif isinstance(found.low, float):
            trial.suggest_float(name, found.low, found.high, log=found.log, step=found.step)
        else:
            step = int(found.step or 1)
            trial.suggest_int(name, found.low, int(found.high), log=found.log, step=step)


def values_of(space: Space, trial: FrozenTrial | Trial) -> dict[str, Any]:
    """A trial's values of the settings in `space`."""
    return {
        name: value if isinstance(found, Interval) else _decode(value, found)
        for name, found in space.parameters.items()
        for value in [trial.params[name]]
    }


def _encode(value: Any) -> Any:
    """A choice as the database keeps it."""
    return json.dumps(value) if isinstance(value, list) else value


def _decode(value: Any, choices: tuple) -> Any:
    return next(choice for choice in choices if _encode(choice) == value)
