"""The command `adain sweep`."""

from __future__ import annotations

import sys
from pathlib import Path

from adain import extras
from adain.console import DONE, FAILED, complain, load_backend, tell
from adain.files import make_writable
from adain.outputs import check_out_folder
from adain.sweep import space as spaces
from adain.sweep.config import SweepConfig


def sweep(config: SweepConfig) -> int:
    """Carry out trials until there are as many as asked for, and tell which are the best."""
    space = spaces.read(config.space)
    extras.require(space.target.extra, f"adain sweep over {space.target.name}")
    if space.evaluation is not None:
        extras.require("evaluate", "adain sweep, for the report card,")
    check_out_folder("--out-path", config.out_path, "the trials and their records")
    from adain.sweep import trials

    trials.check(space)
    from adain.sweep import records
    from adain.sweep.run import run_trials
    from adain.sweep.study import RUNNING, TrialDatabase

    folder = Path(config.out_path)
    make_writable(folder)
    url = config.storage or f"sqlite:///{(folder / 'study.db').resolve()}"
    name = config.study or Path(config.space).stem
    database = TrialDatabase(space, folder / "trials", url, name)
    load_backend()
    run_trials(database, folder, tell if not config.quiet else lambda *lines: None)
    records.write_records(folder, database)
    done = database.trials()
    running = sum(trial.state == RUNNING for trial in done)
    if running:
        tell(f"{running} trials are still running elsewhere; the same command tells the result")
    if not database.front():
        complain(f"no trial of {len(done)} has a result; {folder / records.TABLE} says why")
        return FAILED
    sys.stdout.write(records.tell_front(database))
    how = "train.py --recipe" if space.target.needs else "adain optimize --config"
    tell(
        f"The best compromise is the first; use it with {how} {folder / records.BEST}. All trials "
        f"are in {folder / records.TABLE} and {folder / records.PARALLEL}; curves: tensorboard "
        f"--logdir {folder / 'logs'}"
    )
    return DONE
