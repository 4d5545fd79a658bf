"""The command `adain stylize`."""

from __future__ import annotations

import json
import logging
import sys

from adain.console import (
    DONE,
    FAILED,
    USAGE,
    NoProgress,
    PictureBar,
    complain,
    finish,
    load_backend,
    report,
    shorten,
    tell,
)
from adain.files import remove_leftovers
from adain.outcomes import Outcome
from adain.stylize.config import StylizeConfig
from adain.stylize.planned import PlannedResult


def stylize(config: StylizeConfig) -> int:
    from adain.stylize.plan import needs_keras, plan_results
    from adain.stylize.run import stylize_files

    if max(config.alpha) > 1:
        text = "alpha %g exaggerates the style: expect artefacts"
        logging.warning(text, max(config.alpha))
    plan = plan_results(config)
    tell(*plan.notes)
    complain(*plan.problems, *shorten(plan.refused))
    failed, planned = plan.failed + len(plan.refused), plan.ready
    if plan.refused and not (planned or plan.finished or plan.problems):
        return USAGE
    if plan.finished and not config.quiet:
        logging.info("%d finished before, skipped", len(plan.finished))
    if plan.changed:
        tell(
            f"{len(plan.changed)} made before from other photos, styles or masks of the same "
            "names, and made again: " + ", ".join(shorten([str(r.output) for r in plan.changed]))
        )
    # Before anything is listed: a dry run is refused what the run is refused.
    keras = bool(planned) and needs_keras(config)
    if config.dry_run:
        for result in planned:
            tell_planned(result, config.json)
        return FAILED if failed else DONE
    for result in plan.finished:
        report(_skipped(result), NoProgress.write, as_json=config.json)
    remove_leftovers(r.output.parent for r in [*planned, *plan.finished] if r.output is not None)
    made = 0
    if planned:
        if keras:
            load_backend()
        with PictureBar(len(planned), config.quiet) as bar:
            for outcome in stylize_files(config, planned, bar.move):
                bar.finish_one()
                failed += report(outcome, bar.write, as_json=config.json)
                made += not outcome.error
    return finish(config, made, failed)


def _skipped(result) -> Outcome:
    styles = " + ".join(map(str, result.styles))
    return Outcome(str(result.content), styles, str(result.output), "", 0.0, skipped=True)


def tell_planned(result: PlannedResult, as_json: bool) -> None:
    """What `--dry-run` says of one result."""
    output = "-" if result.output is None else str(result.output)
    if as_json:
        record = {
            "content": str(result.content),
            "style": " + ".join(map(str, result.styles)),
            "masks": [str(mask) for mask in result.masks],
            "output": output,
        }
        sys.stdout.write(json.dumps(record) + "\n")
    else:
        sys.stdout.write(f"{result} -> {output}\n")
