"""The connection to the database of trials: opening it, its errors, and signs of life."""

from __future__ import annotations

import contextlib
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from adain.options import UsageError

_HEARTBEAT = 30
"""Seconds between signs of life of a trial."""
_GRACE = 10 * _HEARTBEAT
"""A trial without any for so long was killed, on whatever machine it ran."""
_MADE_BY_ANOTHER = re.compile("already exists|unique|duplicate", re.IGNORECASE)
"""What databases say to the second of two processes that make the tables."""
DATABASE_ERRORS = (SQLAlchemyError, optuna.exceptions.StorageInternalError)


class DatabaseError(OSError):
    """A database that does not answer or takes nothing more; what it has recorded is kept."""


@contextlib.contextmanager
def database_errors(url: str, kind: type[Exception]) -> Iterator[None]:
    """Raise what the database complains of as `kind`, in one line without password."""
    try:
        yield
    except DATABASE_ERRORS as error:
        raise kind(f"--storage {_hide_password(url)}: {_reason(error)}") from error


def open_storage(
    url: str, on_stale: Callable[[optuna.Study, FrozenTrial], None], tries: int = 5
) -> RDBStorage:
    """Connect to a database; tables are made in a new one.

    Args:
        url: As SQLAlchemy writes it.
        on_stale: Called with each trial that has given no sign of life for too long.
        tries: How often at most, while another process is making the tables.

    Raises:
        UsageError: If there is no such database, or it is not one of trials.
    """
    # Seconds to wait for another process that writes.
    connect = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else None
    try:
        with without_warnings():
            return RDBStorage(
                url,
                engine_kwargs=connect,
                heartbeat_interval=_HEARTBEAT,
                grace_period=_GRACE,
                heartbeat_stale_trial_callback=on_stale,
            )
    except (ImportError, ValueError, OSError, RuntimeError, *DATABASE_ERRORS) as error:
        if tries > 1 and _MADE_BY_ANOTHER.search(str(error)):
            time.sleep(0.5)
            return open_storage(url, on_stale, tries - 1)
        raise UsageError(f"--storage {_hide_password(url)}: {_reason(error)}") from error


@contextlib.contextmanager
def signs_of_life(storage: RDBStorage, trial: Trial) -> Iterator[None]:
    """Tell the database, now and again, that a trial is being carried out."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_HEARTBEAT):
            # What the trial itself writes says whether the database is gone for good.
            with contextlib.suppress(*DATABASE_ERRORS):
                storage.record_heartbeat(trial._trial_id)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Heartbeats are called experimental, and are given here by our own thread."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Heartbeat of storage", UserWarning)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def _reason(error: BaseException) -> str:
    return str(error.__cause__ or error).split("\n")[0]


def _hide_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url
