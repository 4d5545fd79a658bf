"""Trials, one after another, until there are as many as asked for."""

from __future__ import annotations

import contextlib
import logging
import math
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

from adain.files import remove_leftovers
from adain.options import load
from adain.sweep import records, trials
from adain.sweep.chart import show
from adain.sweep.parameters import dashed
from adain.sweep.space import FIGURES
from adain.sweep.storage import DATABASE_ERRORS, DatabaseError, database_errors
from adain.sweep.study import COMPLETE, FAILED, PRUNED, Claimed, TrialDatabase, TrialLost
from adain.sweep.trials import TrialError, TrialRun
from adain.sweep.values import losses_of, values_of
from adain.training.config import STATE

logger = logging.getLogger(__name__)

_TRIES = 3
"""So many trials that fail before one has a result end the sweep: it is not their values."""
_KILLS = 3
"""A trial whose process was killed so often, without any progress between, has failed."""

_LONGEST = 500
"""Characters that are kept of why a trial failed: some backends tell their whole stack."""


class SweepError(ValueError):
    """A sweep that cannot go on; one line."""


class _Behind(Exception):
    """A trial that is to be given up."""


def run_trials(database: TrialDatabase, folder: Path, tell: Callable[[str], None]) -> None:
    """Carry out what is left of a sweep.

    Args:
        database: Its trials.
        folder: Where records go.
        tell: Takes a line about each trial.

    Raises:
        SweepError: If trial after trial fails.
        OSError: If something cannot be written, or the database does not answer; the trial can
            be resumed.
    """
    remove_leftovers([folder])
    records.open_experiment(folder / "logs", database.space)
    failed = 0
    while True:
        with database_errors(database.url, DatabaseError):
            with database.claim() as claimed:
                if claimed is None:
                    return
                try:
                    error = _carry_out(database, claimed, folder, tell)
                except TrialLost as lost:
                    tell(f"{lost}: no sign of life for too long; it is tried again elsewhere")
                    continue
            records.write_records(folder, database)
        failed = failed + 1 if error else 0
        if failed == _TRIES and not database.front():
            raise SweepError(f"{failed} trials failed, one after another; the last: {error}")


def _carry_out(
    database: TrialDatabase, claimed: Claimed, folder: Path, tell: Callable[[str], None]
) -> str:
    """One trial; why it failed, if it did."""
    space, (trial, place, kills) = database.space, claimed
    values = values_of(database.space, trial)
    logs = folder / "logs" / place.name
    shown = ", ".join(f"{dashed(name)} {show(value)}" for name, value in values.items())
    title = f"trial {trial.number} ({shown})"
    if kills:
        tell(f"{title}: going on where it was interrupted")
        remove_leftovers([place, *filter(Path.is_dir, place.rglob("*"))])

    def report(step: int, losses: Mapping[str, float]) -> None:
        database.add_losses(trial, step, losses)
        if database.is_behind(trial):
            raise _Behind

    run = TrialRun(space, values, place, logs, losses_of(trial), report)
    figures: dict[str, float] = {}
    state, error = COMPLETE, ""
    try:
        if kills >= _KILLS:
            raise TrialError(
                f"its process was killed {kills} times at the same place; is there memory enough?"
            )
        figures = _measure(load(space.target.run)(run), run, losses_of(trial))
    except _Behind:
        state = PRUNED
    except (OSError, TrialLost, *DATABASE_ERRORS):
        raise
    except Exception as reason:  # Also what backends raise where memory does not suffice.
        error = textwrap.shorten(str(reason), _LONGEST, placeholder=" ...") or type(reason).__name__
        logger.debug("trial %d", trial.number, exc_info=reason)
        state = FAILED
    wanted = [figures[name] for name in space.objectives] if state == COMPLETE else None
    step = max(losses_of(trial), default=0)
    records.record_end(logs, space, values, step, figures)
    database.end(trial, state, wanted, error)
    # Only now: until then it is what an interrupted trial goes on from.
    with contextlib.suppress(FileNotFoundError):
        (place / "weights" / STATE).unlink()
    ends = {
        COMPLETE: ", ".join(f"{name} {show(figures.get(name))}" for name in space.objectives),
        PRUNED: f"given up at step {step}, behind the others",
        FAILED: f"failed: {error}",
    }
    tell(f"{title}: {ends[state]}")
    return error


def _measure(made: Mapping, run: TrialRun, losses: Mapping) -> dict[str, float]:
    figures = dict(losses[max(losses)]) if losses else {}
    if any(name in FIGURES for name in run.space.objectives):
        figures |= trials.measure(run.space, made, run.folder)
    for name in run.space.objectives:
        if not math.isfinite(figures.get(name, math.nan)):
            raise TrialError(f"{name} is not a number")
    return figures
