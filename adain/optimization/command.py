"""The command `adain optimize`."""

from __future__ import annotations

from adain.console import (
    USAGE,
    complain,
    finish,
    load_backend,
    progress_bar,
    report,
    shorten,
    tell,
)
from adain.files import remove_leftovers
from adain.optimization.config import OptimizeConfig


def optimize(config: OptimizeConfig) -> int:
    from adain.optimization import files
    from adain.presets.preset import find_preset

    find_preset(config.checkpoint)
    planned, refused, problems, notes = files.plan_jobs(config)
    tell(*notes)
    complain(*problems, *shorten(refused))
    if refused and not (planned or problems):
        return USAGE
    failed, made, done = len(problems) + len(refused), 0, 0
    remove_leftovers(job.output.parent for job in planned if job.output is not None)
    if planned:
        load_backend()
        pictures = sum(job.count for job in planned)
        bar = progress_bar(pictures * config.steps, "step", config.quiet)

        def on_step(losses):
            bar.set_postfix({name: f"{loss:.3g}" for name, loss in losses.items()}, refresh=False)
            bar.update()

        def on_picture():
            nonlocal done
            done += 1
            bar.set_description_str(f"{done}/{pictures}", refresh=False)
            # L-BFGS may have stopped early.
            bar.update(done * config.steps - bar.n)

        with bar:
            for outcome in files.optimize_files(config, planned, on_step, on_picture):
                failed += report(outcome, bar.write, as_json=config.json)
                made += not outcome.error
    return finish(config, made, failed)
