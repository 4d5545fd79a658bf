"""The database of trials: which one is next, which is given up, which are the best."""

from __future__ import annotations

import contextlib
import json
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import optuna
import sqlalchemy
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, Trial, TrialState

from adain.files import lock, try_lock
from adain.options import UsageError
from adain.sweep.space import Interval, Space

_HEARTBEAT = 30
"""Seconds between signs of life of a trial."""
_GRACE = 10 * _HEARTBEAT
"""A trial without any for so long was killed, on whatever machine it ran."""

COMPLETE, PRUNED, FAILED, RUNNING = (
    TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING,
)  # fmt: skip


class Claimed(NamedTuple):
    """A trial that this process carries out."""

    trial: Trial
    folder: Path
    resumed: bool


class TrialDatabase:
    """A study of Optuna, which several processes and machines may work on.

    Args:
        space: What is tried.
        folder: Where this machine's trials lie.
        url: Of the database.
        name: Of the study in it.

    Raises:
        UsageError: If there is no such database, or the study in it is of another space.
    """

    def __init__(self, space: Space, folder: Path, url: str, name: str):
        self.space = space
        self.folder = folder
        self._distributions = {key: _distribution(found) for key, found in space.parameters.items()}
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        connect = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else None
        try:
            with _without_warnings():
                self._storage = optuna.storages.RDBStorage(
                    url,
                    engine_kwargs=connect,
                    heartbeat_interval=_HEARTBEAT,
                    grace_period=_GRACE,
                    heartbeat_stale_trial_callback=_retry,
                )
            self.study = optuna.create_study(
                storage=self._storage,
                study_name=name,
                directions=list(space.objectives.values()),
                load_if_exists=True,
            )
        except (
            ImportError, ValueError, OSError, sqlalchemy.exc.SQLAlchemyError,
            optuna.exceptions.StorageInternalError,
        ) as error:  # fmt: skip
            reason = str(error.__cause__ or error).split("\n")[0]
            raise UsageError(f"--storage {_hide_password(url)}: {reason}") from error
        self._check_space(name)

    def _check_space(self, name: str) -> None:
        now = {key: json.loads(json.dumps(value)) for key, value in describe(self.space).items()}
        before = self.study.user_attrs.get("space")
        if before is None:
            self.study.set_user_attr("space", now)
            return
        for key in now:
            if before.get(key) != now[key]:
                raise UsageError(
                    f"{self.space.path}: {key} is not that of the sweep {name}, which has begun. "
                    "Choose another --out-path, or with --storage another --study."
                )

    # === Which trial is next ===

    @contextlib.contextmanager
    def claim(self) -> Iterator[Claimed | None]:
        """A trial to carry out: one of this folder that was killed, or the next; None: no more."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as held:
            claimed = None
            with open(self.folder / "lock", "ab") as turn:
                # Closing the file gives it to the next process.
                lock(turn)
                claimed = self._resume(held) or self._ask(held)
            if claimed is not None:
                held.enter_context(self._heartbeat(claimed.trial))
            yield claimed

    def _resume(self, held: contextlib.ExitStack) -> Claimed | None:
        for found in self._trials(RUNNING):
            folder = self._folder(found.number)
            if (folder / "lock").exists() and (file := _claim(folder)) is not None:
                held.enter_context(file)
                trial = Trial(self.study, found._trial_id)
                self._storage.record_heartbeat(found._trial_id)
                return Claimed(trial, folder, True)
        return None

    def _ask(self, held: contextlib.ExitStack) -> Claimed | None:
        with _without_warnings():
            optuna.storages.fail_stale_trials(self.study)
        trials = self._trials()
        waiting = any(trial.state == TrialState.WAITING for trial in trials)
        taken = [t for t in trials if t.state in (COMPLETE, PRUNED, RUNNING) or is_failure(t)]
        if len(taken) >= self.space.trials and not waiting:
            return None
        # From the number of trials, so that a sweep that was interrupted tries the same values.
        seed = np.random.SeedSequence([self.space.seed, len(trials)]).generate_state(1)[0]
        self.study.sampler = optuna.samplers.TPESampler(seed=int(seed))
        with _without_warnings():
            trial = self.study.ask(self._distributions)
        self._storage.record_heartbeat(trial._trial_id)
        folder = self._folder(trial.number)
        folder.mkdir(parents=True, exist_ok=True)
        file = _claim(folder)
        if file is None:
            raise UsageError(f"{folder}: another process is using it. Choose another --out-path.")
        held.enter_context(file)
        return Claimed(trial, folder, False)

    @contextlib.contextmanager
    def _heartbeat(self, trial: Trial) -> Iterator[None]:
        over = threading.Event()

        def beat() -> None:
            while not over.wait(_HEARTBEAT):
                self._storage.record_heartbeat(trial._trial_id)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _folder(self, number: int) -> Path:
        return self.folder / f"{number:04}"

    # === What is known of trials ===

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)

    def trials(self) -> list[FrozenTrial]:
        """All trials, but for those that were killed and tried again."""
        return [trial for trial in self._trials() if trial.state != FAILED or is_failure(trial)]

    def front(self) -> list[FrozenTrial]:
        """The trials that no other is better than in all objectives, the best compromise first.

        That is the one nearest to the best value of each objective, when each is scaled to the
        range it has on the front.
        """
        found = self.study.best_trials if self._trials(COMPLETE) else []
        if not found:
            return []
        signs = [1 if way == "minimize" else -1 for way in self.space.objectives.values()]
        values = np.array([trial.values for trial in found]) * signs
        span = np.ptp(values, axis=0)
        scaled = (values - values.min(axis=0)) / np.where(span > 0, span, 1)
        order = np.argsort(np.linalg.norm(scaled, axis=1), kind="stable")
        return [found[i] for i in order]

    def values(self, trial: FrozenTrial | Trial) -> dict[str, Any]:
        """A trial's values of the settings in `space`."""
        return {
            name: value if isinstance(found, Interval) else _decode(value, found)
            for name, found in self.space.parameters.items()
            for value in [trial.params[name]]
        }

    # === While a trial runs ===

    def add_losses(self, trial: Trial, step: int, losses: Mapping[str, float]) -> None:
        """Keep what a trial reports at a step."""
        kept = trial.user_attrs.get("losses", {})
        trial.set_user_attr("losses", {**kept, str(step): dict(losses)})

    def is_behind(self, trial: Trial) -> bool:
        """Whether a trial is to be given up: behind the others in all that counts."""
        rules = self.space.pruning
        if rules is None:
            return False
        pruner = optuna.pruners.PercentilePruner(
            rules.percentile, n_startup_trials=rules.startup_trials, n_warmup_steps=rules.warmup
        )
        finished = [losses_of(other) for other in self._trials(COMPLETE)]
        return all(_behind(pruner, losses_of(trial), finished, name) for name in rules.by)


def describe(space: Space) -> dict[str, Any]:
    """What makes a sweep the same sweep, wherever its pictures lie."""
    from adain.training.recipes import OF_A_RUN

    evaluation = space.evaluation
    names = ("count", "seed", "size", "alpha", "palette")
    return {
        "target": space.target.config,
        "settings": {key: v for key, v in space.settings.items() if key not in OF_A_RUN},
        "space": {name: list(found) for name, found in space.parameters.items()},
        "objectives": dict(space.objectives),
        "seed": space.seed,
        "prune": list(space.pruning) if space.pruning else None,
        "evaluation": evaluation and {name: getattr(evaluation, name) for name in names},
    }


def losses_of(trial: FrozenTrial | Trial) -> dict[int, dict[str, float]]:
    """What a trial reported: step to losses."""
    return {int(step): found for step, found in trial.user_attrs.get("losses", {}).items()}


def is_failure(trial: FrozenTrial) -> bool:
    """Whether a trial failed by itself, which it would do again; not: it was killed."""
    return trial.state == FAILED and "error" in trial.user_attrs


def _behind(pruner, losses: Mapping, finished: list[Mapping], name: str) -> bool:
    """What the pruner says of one loss; a study with several objectives has none of its own."""
    study = optuna.create_study(pruner=pruner)
    for other in finished:
        if values := {step: found[name] for step, found in other.items()}:
            last = values[max(values)]
            study.add_trial(optuna.create_trial(value=last, intermediate_values=values))
    values = {step: found[name] for step, found in losses.items()}
    now = optuna.create_trial(state=RUNNING, intermediate_values=values)
    return pruner.prune(study, now)


def _distribution(found: Any) -> BaseDistribution:
    if not isinstance(found, Interval):
        return CategoricalDistribution([_encode(value) for value in found])
    if isinstance(found.low, int) and isinstance(found.high, int):
        return IntDistribution(found.low, found.high, found.log, int(found.step or 1))
    return FloatDistribution(found.low, found.high, found.log, found.step)


def _encode(value: Any) -> Any:
    """A choice as the database keeps it."""
    return json.dumps(value) if isinstance(value, list) else value


def _decode(value: Any, choices: tuple) -> Any:
    return next(choice for choice in choices if _encode(choice) == value)


def _claim(folder: Path) -> IO | None:
    """A trial's lock, held until it is closed or this process ends; None if another has it."""
    file = open(folder / "lock", "ab")
    if try_lock(file):
        return file
    file.close()
    return None


def _retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """What becomes of a trial whose machine gave no sign of life: it is tried again."""
    study.enqueue_trial(trial.params, user_attrs={"retry_of": trial.number})


def _hide_password(url: str) -> str:
    try:
        return sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return url


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Heartbeats are called experimental, and are given here by our own thread."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Heartbeat of storage", UserWarning)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
