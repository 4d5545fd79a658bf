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
    failed, made = len(problems) + len(refused), 0
    remove_leftovers(job.output.parent for job in planned if job.output is not None)
    if planned:
        load_backend()
        bar = progress_bar(len(planned) * config.steps, "step", config.quiet)

        def on_step(losses):
            bar.set_postfix({name: f"{loss:.3g}" for name, loss in losses.items()}, refresh=False)
            bar.update()

        with bar:
            for i, outcome in enumerate(files.optimize_files(config, planned, on_step), 1):
                # L-BFGS may have stopped early.
                bar.update(i * config.steps - bar.n)
                failed += report(outcome, bar.write, as_json=config.json)
                made += not outcome.error
    return finish(config, made, failed)
