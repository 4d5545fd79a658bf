"""The same work on a Ray cluster, through Ray Data: streaming, back-pressure, retries."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import socket
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from adain.batch.job import Job
from adain.batch.pool import GAVE_UP, TRIES, Event, Task, portable
from adain.batch.sets import File, Unit, make_form
from adain.batch.worker import BatchWorker
from adain.sources import Source

_TRIES = "tries"
_SECONDS = 10
_BLOCKS = 4096
"""Pieces that Ray keeps book of; each holds one task or more."""


@dataclass
class RayPool:
    """Runs tasks on a cluster, in the form of `pool.Pool`.

    Every machine reads the data set and the styles, and writes the results, under the same paths:
    on a file system that they share. Units that a lost machine had finished are not made again.

    Args:
        job: What all tasks belong to.
        address: Of the cluster; "auto": the one that runs on this machine.
        most: Workers at once; 0: one for each core, or with Keras for each GPU.
    """

    job: Job
    address: str
    most: int = 0
    tasks: deque[Task] = field(default_factory=deque)

    def run(self) -> Iterator[Event]:
        """Do all tasks, also those that are added to `tasks` meanwhile.

        Raises:
            ConnectionError: If there is no such cluster.
        """
        self._check_address()
        # Otherwise it reports to its makers.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        # Tries of earlier runs do not count in this one.
        shutil.rmtree(self.job.room / _TRIES, ignore_errors=True)
        ray.init(
            self.address, ignore_reinit_error=True, log_to_driver=False,
            logging_level=logging.ERROR,
        )  # fmt: skip
        try:
            while self.tasks:
                tasks = list(self.tasks)
                self.tasks.clear()
                yield from self._run(tasks)
        finally:
            ray.shutdown()

    def _check_address(self) -> None:
        """Whether anything listens there: Ray itself would try for minutes."""
        host, colon, port = self.address.rpartition(":")
        if colon and port.isdecimal() and "/" not in host:
            try:
                socket.create_connection((host, int(port)), _SECONDS).close()
            except OSError as error:
                raise ConnectionError(
                    f"--cluster {self.address}: no cluster there ({error.strerror or error}). "
                    f"Start one with `ray start --head --port={port}`."
                ) from error

    def _run(self, tasks: list[Task]) -> Iterator[Event]:
        import ray

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        # It tells of each execution, and that there are no bars.
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        # What fails with its process is named here; the others go on.
        context.max_errored_blocks = -1
        resources = ray.cluster_resources()
        gpus = self.job.engine == "keras" and resources.get("GPU", 0) > 0
        count = int(resources.get("GPU" if gpus else "CPU", 1))
        workers = max(1, min(self.most or count, count, len(tasks)))
        rows = ray.data.from_items(
            [{"index": index} for index in range(len(tasks))],
            override_num_blocks=min(len(tasks), _BLOCKS),
        ).map_batches(
            RayWorker,
            fn_constructor_args=(with_full_paths(self.job), list(map(_full_task, tasks))),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(
                min_size=1,
                max_size=workers,
                # All at once; otherwise one after another, when tasks are found to wait.
                initial_size=workers,
                # One more than it does: at the end no worker waits while others have a queue.
                max_tasks_in_flight_per_actor=2,
            ),
            num_cpus=1,
            num_gpus=1 if gpus else None,
        )
        left = dict(enumerate(tasks))
        for row in rows.iter_rows():
            task = left.pop(row["index"])
            error = pickle.loads(row["error"]) if row["error"] else None
            yield Event(task, rows=None if error else [], error=error)
        for task in left.values():
            yield Event(task, error=RuntimeError("lost by the cluster; run the same command again"))


class RayWorker:
    """A process of the cluster.

    Args:
        job: What is done, with full paths.
        tasks: All tasks; batches hold numbers of them.
    """

    def __init__(self, job: Job, tasks: list[Task]):
        self._job = job
        self._tasks = tasks
        self._worker = BatchWorker(job)
        self._whole = make_form(job.form, job.config).whole

    def __call__(self, batch: dict[str, Any]) -> dict[str, list]:
        numbers = [int(number) for number in batch["index"]]
        return {"index": numbers, "error": [self._run(self._tasks[number]) for number in numbers]}

    def _run(self, task: Task) -> bytes:
        """Do a task; the pickled error, or b""."""
        try:
            if task.file is not None:
                # It may have been joined before its machine was lost.
                if not self._job.is_joined(task.file):
                    self._worker.join(task.file, task.units)
            elif not self._job.is_finished(task.units[0], self._whole):
                self._run_unit(task.units[0])
        except Exception as error:
            return pickle.dumps(portable(error))
        return b""

    def _run_unit(self, unit: Unit) -> None:
        """Do a unit, and record which picture was begun: Ray retries without limit.

        A line for each try holds the numbers of the pictures that were begun; of a try that ended
        with its process, the last one is the suspect.
        """
        path = self._job.room / _TRIES / unit.digest
        path.parent.mkdir(parents=True, exist_ok=True)
        tries = path.read_text().splitlines() if path.exists() else []
        suspects = Counter(line.split()[-1] if line else "" for line in tries)
        if any(count > TRIES for count in suspects.values()):
            raise RuntimeError(GAVE_UP)
        skip = {int(number) for number, count in suspects.items() if number and count >= TRIES}
        with open(path, "a") as book:
            book.write("\n" * bool(tries))
            book.flush()

            def note(number: int) -> None:
                book.write(f"{number} ")
                book.flush()

            self._worker.run(unit, skip, note, ahead=not tries)
        # Another part of the job may have begun, and removed all tries.
        path.unlink(missing_ok=True)


def with_full_paths(job: Job) -> Job:
    """The same job, for processes with other working folders."""
    config = job.config
    if Path(config.checkpoint).exists():
        config = replace(config, checkpoint=str(Path(config.checkpoint).absolute()))
    config = replace(config, out_path=str(Path(config.out_path).absolute()))
    styles = tuple(_full(style) for style in job.styles)
    return replace(job, config=config, styles=styles)


def _full(style: Source) -> Source:
    return replace(style, path=style.path and style.path.absolute())


def _full_task(task: Task) -> Task:
    return Task(
        tuple(
            replace(
                unit,
                file=unit.file and _full_file(unit.file),
                files=tuple(map(_full_file, unit.files)),
            )
            for unit in task.units
        ),
        task.file and _full_file(task.file),
    )


def _full_file(file: File) -> File:
    return file._replace(path=file.path.absolute())
