"""Worker processes of one machine, as many as cores and memory allow; killed ones are replaced."""

from __future__ import annotations

import logging
import multiprocessing
import pickle
import sys
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from adain.batch.job import Job
from adain.batch.sets import File, Unit
from adain.inference.memory import free_memory

logger = logging.getLogger(__name__)

TRIES = 2
"""Processes that may be killed over one picture before it is left out. If the next one is, too, the
task fails."""
GAVE_UP = "its processes were killed, again and again; out of memory? Use fewer --workers"
SHARE = 0.8
"""Of the free memory."""


class Task(NamedTuple):
    """A unit to do, or a shard to join from its units."""

    units: tuple[Unit, ...]
    file: File | None = None


class Event(NamedTuple):
    """What the pool reports: a picture is begun, or a task is finished or has failed."""

    task: Task
    picture: int = -1
    rows: list[dict] | None = None
    error: Exception | None = None


@dataclass
class _Process:
    process: multiprocessing.process.BaseProcess
    pipe: Connection
    task: Task | None = None
    picture: int = -1
    ready: bool = False
    peak: int = 0


@dataclass
class Pool:
    """Runs tasks in processes.

    The first process tells how much memory one takes; as many more are started as there is room
    for.

    Args:
        job: What all tasks belong to.
        most: Processes to start, where `memory` allows; 0: one for each core.
        cores: How many cores there are.
        memory: Bytes that all of them may take; None: a share of what is free.
    """

    job: Job
    most: int
    cores: int
    memory: float | None = None
    tasks: deque[Task] = field(default_factory=deque)
    processes: list[_Process] = field(default_factory=list)
    killed: Counter[tuple[str, int]] = field(default_factory=Counter)
    unready: int = 0
    """Processes in a row that were killed before they were ready."""
    early: int = 0
    """Tasks in a row that failed because their processes were killed before a picture."""
    told: bool = False

    def run(self) -> Iterator[Event]:
        """Do all tasks, also those that are added to `tasks` meanwhile.

        Raises:
            ChildProcessError: If processes are killed before they do anything, whatever the task.
        """
        room = self.memory or SHARE * free_memory()
        try:
            while self.tasks or any(each.task for each in self.processes):
                self._start(room)
                self._give()
                pipes = {each.pipe: each for each in self.processes}
                # Without end where there is none left.
                for pipe in wait(list(pipes)) if pipes else ():
                    yield from self._hear(pipes[pipe])
        finally:
            self.close()

    def _start(self, room: float) -> None:
        """Start processes while there is work and memory for them."""
        limit = self.most or self.cores
        busy = sum(each.task is not None for each in self.processes)
        while len(self.processes) < min(limit, max(busy + len(self.tasks), 1)):
            if self.processes and (self.memory or not self.most):
                peak = max(each.peak for each in self.processes)
                if not peak or (len(self.processes) + 1) * peak > room:
                    return
            self.processes.append(self._spawn())

    def _spawn(self) -> _Process:
        # Not forked: MNN does not work in a forked process.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, self.job), daemon=True)
        process.start()
        # So that the pipe ends when the process does.
        theirs.close()
        return _Process(process, ours)

    def _give(self) -> None:
        for each in list(self.processes):
            if each.ready and each.task is None and self.tasks:
                task = self.tasks.popleft()
                killed = {
                    number: count
                    for (digest, number), count in self.killed.items()
                    if digest == task.units[0].digest
                }
                skip = {number for number, count in killed.items() if count >= TRIES}
                try:
                    each.pipe.send((task, skip, not killed))
                except OSError:  # Killed meanwhile, with nothing to do.
                    self.tasks.appendleft(task)
                    self._remove(each)
                else:
                    each.task, each.picture = task, -1

    def _hear(self, each: _Process) -> Iterator[Event]:
        try:
            kind, value, peak = each.pipe.recv()
        except (EOFError, OSError):
            yield from self._bury(each)
            return
        task = each.task
        # Before the first picture is done it has hardly any.
        if value != 0:
            each.peak = peak
            self._check_memory(peak)
        if kind == "fatal":
            raise value
        if kind == "ready":
            each.ready = True
            self.unready = 0
        elif kind == "picture":
            each.picture, self.early = value, 0
            yield Event(task, picture=value)
        else:
            each.task, self.early = None, 0
            if kind == "error":
                yield Event(task, error=value)
            else:
                yield Event(task, rows=value)

    def _check_memory(self, peak: int) -> None:
        """Tell, once, of a limit that one process passes."""
        if self.memory is not None and peak > self.memory and not self.told:
            self.told = True
            logger.warning(passed(self.job, peak))

    def _bury(self, each: _Process) -> Iterator[Event]:
        """A process is gone: its task is done again, by another one, or has failed."""
        self._remove(each)
        task = each.task
        if task is None:
            # One that was ready is missed by nobody.
            self.unready += not each.ready
            if self.unready > TRIES:
                raise ChildProcessError(self._died(each, "ready"))
            return
        key = (task.units[0].digest, each.picture)
        self.killed[key] += 1
        if self.killed[key] <= TRIES:
            self.tasks.appendleft(task)
            return
        self.early += each.picture < 0
        if self.early > TRIES:
            raise ChildProcessError(self._died(each, "at a picture"))
        yield Event(task, error=RuntimeError(GAVE_UP))

    def _remove(self, each: _Process) -> None:
        self.processes.remove(each)
        each.pipe.close()
        each.process.join()

    def _died(self, each: _Process, what: str) -> str:
        return (
            f"worker processes end with {each.process.exitcode} before they are {what}, again and "
            "again. Is there memory enough? Use fewer --workers."
        )

    def close(self) -> None:
        """End all processes."""
        for each in self.processes:
            each.process.kill()
            each.process.join()
            each.pipe.close()
        self.processes.clear()


def passed(job: Job, peak: int) -> str:
    """What is said of a `max_memory` that one process passes."""
    return (
        f"max_memory {job.config.max_memory} is less than the {peak / 2**20:.0f} MiB of one "
        "process; one is at work, and the limit is passed"
    )


def serve(pipe: Connection, job: Job) -> None:
    """What a worker process does: tasks that come through the pipe, until it ends."""
    import signal

    from adain.batch.worker import BatchWorker

    # Interrupts go to the whole group; the first process ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A pipe that ended means that the first process is gone.
    try:
        try:
            worker = BatchWorker(job)
        except Exception as error:
            pipe.send(("fatal", portable(error), 0))
            return
        pipe.send(("ready", None, 0))
        while True:
            task, skip, ahead = pipe.recv()
            try:
                if task.file is not None:
                    worker.join(task.file, task.units)
                    rows = []
                else:
                    rows = worker.run(
                        task.units[0],
                        skip,
                        lambda number: pipe.send(("picture", number, peak_memory())),
                        ahead=ahead,
                    )
            except (BrokenPipeError, ConnectionError):
                raise
            except Exception as error:
                pipe.send(("error", portable(error), peak_memory()))
            else:
                pipe.send(("done", rows, peak_memory()))
    except (EOFError, BrokenPipeError, ConnectionError):
        return


def portable(error: Exception) -> Exception:
    """An error that another process can read: itself, or one with its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def peak_memory() -> int:
    """The most resident bytes this process has had."""
    try:
        import resource
    except ImportError:  # Windows.
        import psutil

        return psutil.Process().memory_info().peak_wset
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
