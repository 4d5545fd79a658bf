"""Trials, one after another, until there are as many as asked for."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from adain.files import remove_leftovers
from adain.options import load
from adain.sweep import records, trials
from adain.sweep.chart import show
from adain.sweep.space import FIGURES, dashed
from adain.sweep.study import COMPLETE, FAILED, PRUNED, Claimed, TrialDatabase, losses_of
from adain.sweep.trials import TrialError, TrialRun
from adain.training.config import STATE

logger = logging.getLogger(__name__)

_TRIES = 3
"""So many trials that fail before one has a result end the sweep: it is not their values."""


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
        OSError: If something cannot be written; the trial can be resumed.
    """
    remove_leftovers([folder])
    records.open_experiment(folder / "logs", database.space)
    failed = 0
    while True:
        with database.claim() as claimed:
            if claimed is None:
                return
            error = _carry_out(database, claimed, folder, tell)
        records.write_records(folder, database)
        failed = failed + 1 if error else 0
        if failed == _TRIES and not database.front():
            raise SweepError(f"{failed} trials failed, one after another; the last: {error}")


def _carry_out(
    database: TrialDatabase, claimed: Claimed, folder: Path, tell: Callable[[str], None]
) -> str:
    """One trial; why it failed, if it did."""
    space, (trial, place, resumed) = database.space, claimed
    values = database.values(trial)
    logs = folder / "logs" / place.name
    shown = ", ".join(f"{dashed(name)} {show(value)}" for name, value in values.items())
    title = f"trial {trial.number} ({shown})"
    if resumed:
        tell(f"{title}: going on where it was interrupted")

    def report(step: int, losses: Mapping[str, float]) -> None:
        database.add_losses(trial, step, losses)
        if database.is_behind(trial):
            raise _Behind

    run = TrialRun(space, values, place, logs, losses_of(trial), report)
    figures: dict[str, float] = {}
    state, error = COMPLETE, ""
    try:
        figures = _measure(load(space.target.run)(run), run, losses_of(trial))
    except _Behind:
        state = PRUNED
    except OSError:
        raise
    except Exception as reason:  # Also what backends raise where memory does not suffice.
        error = " ".join(str(reason).split()) or type(reason).__name__
        logger.debug("trial %d", trial.number, exc_info=reason)
        trial.set_user_attr("error", error)
        state = FAILED
    wanted = [figures[name] for name in space.objectives] if state == COMPLETE else None
    step = max(losses_of(trial), default=0)
    records.record_end(logs, space, values, step, figures)
    database.study.tell(trial, wanted, state)
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
