"""The database of trials: which one is next, which is given up, which are the best."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import optuna
from optuna.samplers import TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from adain.files import lock, replacing, try_lock
from adain.options import UsageError
from adain.sweep.pruning import is_behind
from adain.sweep.space import Space
from adain.sweep.storage import (
    DatabaseError,
    database_errors,
    open_storage,
    signs_of_life,
    without_warnings,
)
from adain.sweep.values import describe, draw_values, is_failure, losses_of
from adain.training.config import STATE

COMPLETE, PRUNED, FAILED, RUNNING = (
    TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING,
)  # fmt: skip


class TrialLost(Exception):
    """A trial that gave no sign of life for too long, and is tried again elsewhere."""


class Claimed(NamedTuple):
    """A trial that this process carries out."""

    trial: Trial
    folder: Path
    kills: int
    """How often its process was killed since its last progress, or interrupted; 0: it is new."""


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
        self.url = url
        self._place = f"{socket.gethostname()}:{folder.resolve()}"
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with self._turn():
            self._storage = open_storage(url, _retry)
            with database_errors(url, UsageError):
                self.study = optuna.create_study(
                    storage=self._storage,
                    sampler=TPESampler(),
                    study_name=name,
                    directions=[StudyDirection[way.upper()] for way in space.objectives.values()],
                    load_if_exists=True,
                )
                self._check_space(name)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """One process of this folder at a time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # Closing the file gives it to the next process.
        with open(self.folder / "lock", "ab") as turn:
            lock(turn)
            yield

    def _check_space(self, name: str) -> None:
        now = describe(self.space)
        before = self.study.user_attrs.get("space")
        if before is None:
            if self._trials():
                raise UsageError(
                    f"{self.space.path}: the study {name} in the database is not of adain sweep. "
                    "Choose another --study."
                )
            self.study.set_user_attr("id", secrets.token_hex(8))
            self.study.set_user_attr("space", now)
            return
        for key in now:
            if before.get(key) != now[key]:
                raise UsageError(
                    f"{self.space.path}: {key} is not that of the sweep {name}, which has begun. "
                    "Choose another --out-path, or with --storage another --study."
                )

    def _check_folder(self) -> None:
        """Trials are resumed from their folders: these must not be another sweep's."""
        path, ours = self.folder / "sweep.id", self.study.user_attrs.get("id", "")
        if not path.exists():
            with replacing(path) as file:
                file.write(ours.encode())
        elif path.read_text("utf-8") != ours:
            raise UsageError(
                f"{self.folder}: these trials belong to another sweep. Choose another --out-path."
            )

    # === Which trial is next ===

    @contextlib.contextmanager
    def claim(self) -> Iterator[Claimed | None]:
        """A trial to carry out: one of this folder that was killed, or the next; None: no more.

        Raises:
            UsageError: If the folder is another sweep's.
        """
        with contextlib.ExitStack() as held:
            with self._turn():
                self._check_folder()
                claimed = self._resume(held) or self._ask(held)
                if claimed is not None:
                    draw_values(self.space, claimed.trial)
            if claimed is None:
                yield None
                return
            held.enter_context(signs_of_life(self._storage, claimed.trial))
            try:
                yield claimed
            except BaseException:
                # Not killed: it does not count.
                with contextlib.suppress(DatabaseError, optuna.exceptions.UpdateFinishedTrialError):
                    with database_errors(self.url, DatabaseError):
                        claimed.trial.set_user_attr("kills", [])
                raise

    def _resume(self, held: contextlib.ExitStack) -> Claimed | None:
        for found in self._trials(RUNNING):
            folder = self._folder(found.number)
            ours = (folder / "lock").exists() or found.user_attrs.get("folder") == self._place
            if not ours or (file := _claim(folder)) is None:
                continue
            trial = Trial(self.study, found._trial_id)
            if self._storage.get_trial(found._trial_id).state != RUNNING:
                # Finished since it was looked up, which is why nobody holds it.
                file.close()
                continue
            held.enter_context(file)
            self._storage.record_heartbeat(found._trial_id)
            return Claimed(trial, folder, self._count_kills(trial, folder))
        return None

    def _count_kills(self, trial: Trial, folder: Path) -> int:
        """How often its process was killed since the last progress, this time included."""
        state = folder / "weights" / STATE
        now = [len(losses_of(trial)), state.stat().st_mtime_ns if state.exists() else 0]
        *before, count = trial.user_attrs.get("kills") or [*now, 0]
        count = count + 1 if before == now else 1
        trial.set_user_attr("kills", [*now, count])
        return count

    def _ask(self, held: contextlib.ExitStack) -> Claimed | None:
        with without_warnings():
            for found in self._trials(RUNNING):
                if "alive" not in found.user_attrs:
                    # Killed before its first sign of life, which may be this one: silent from now.
                    self._sign(found._trial_id)
            optuna.storages.fail_stale_trials(self.study)
            trials = self._trials()
            waiting = any(trial.state == TrialState.WAITING for trial in trials)
            if sum(map(_counts, trials)) >= self.space.trials and not waiting:
                return None
            if not waiting:
                # Named by whom at once: it may be killed before there is a folder.
                self.study.enqueue_trial({}, user_attrs={"folder": self._place})
            trial = self.study.ask()
        earlier = [found for found in self._trials() if found.number < trial.number]
        if sum(map(_counts, earlier)) >= self.space.trials and "retry_of" not in trial.user_attrs:
            # Others have taken the last ones in between.
            self.end(trial, FAILED)
            return None
        folder = self._folder(trial.number)
        trial.set_user_attr("folder", self._place)
        file = _claim(folder)
        if file is None:
            raise UsageError(f"{folder}: another process is using it. Choose another --out-path.")
        held.enter_context(file)
        self._sign(trial._trial_id)
        return Claimed(trial, folder, 0)

    def _sign(self, trial_id: int) -> None:
        self._storage.record_heartbeat(trial_id)
        self._storage.set_trial_user_attr(trial_id, "alive", True)

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

    # === While a trial runs ===

    def add_losses(self, trial: Trial, step: int, losses: Mapping[str, float]) -> None:
        """Keep what a trial reports at a step.

        Raises:
            TrialLost: If it has been given to another process.
        """
        kept = trial.user_attrs.get("losses", {})
        with _losing(trial):
            trial.set_user_attr("losses", {**kept, str(step): dict(losses)})

    def is_behind(self, trial: Trial) -> bool:
        """Whether a trial is to be given up: behind the others in all that counts."""
        if self.space.pruning is None:
            return False
        finished = [losses_of(other) for other in self._trials(COMPLETE)]
        return is_behind(self.space.pruning, losses_of(trial), finished)

    def end(
        self,
        trial: Trial,
        state: TrialState,
        values: list[float] | None = None,
        error: str = "",
    ) -> None:
        """Record how a trial ended: with the values of all objectives, or why it failed.

        Raises:
            TrialLost: If it has been given to another process.
        """
        with _losing(trial):
            # Fails if the trial is not ours any more; `tell` would only warn.
            trial.set_user_attr("kills", [])
            if error:
                trial.set_user_attr("error", error)
            self.study.tell(trial, values, state)


def _counts(trial: FrozenTrial) -> bool:
    """Whether a trial is one of those that the file asks for."""
    return trial.state in (COMPLETE, PRUNED, RUNNING) or is_failure(trial)


@contextlib.contextmanager
def _losing(trial: Trial) -> Iterator[None]:
    try:
        yield
    except optuna.exceptions.UpdateFinishedTrialError as error:
        raise TrialLost(f"trial {trial.number}") from error


def _claim(folder: Path) -> IO | None:
    """A trial's lock, held until it is closed or this process ends; None if another has it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = open(folder / "lock", "ab")
    if try_lock(file):
        return file
    file.close()
    return None


def _retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """What becomes of a trial whose machine gave no sign of life: it is tried again."""
    study.enqueue_trial(trial.params, user_attrs={"retry_of": trial.number})
