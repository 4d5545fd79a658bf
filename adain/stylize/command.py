"""The command `adain stylize`."""

from __future__ import annotations

import json
import logging
import sys

from adain import extras
from adain.console import DONE, FAILED, PictureBar, complain, finish, load_backend, report
from adain.stylize.config import StylizeConfig


def stylize(config: StylizeConfig) -> int:
    from adain.engines import registry as engines
    from adain.stylize import plan as stylize_plan
    from adain.stylize import run as stylize_jobs

    if max(config.alpha) > 1:
        text = "alpha %g exaggerates the style: expect artefacts"
        logging.warning(text, max(config.alpha))
    planned, finished, problems = stylize_plan.plan_results(config)
    complain(*problems)
    failed = len(problems)
    if finished and not config.quiet:
        logging.info("%d finished before, skipped; --overwrite makes them anew", len(finished))
    if config.dry_run:
        for result in planned:
            _tell(config, result)
        return FAILED if failed else DONE
    if planned:
        if config.refine:
            extras.require("optimize", "--refine")
        if config.refine or engines.resolve(config.engine) == "keras":
            load_backend()
        with PictureBar(len(planned), config.quiet) as bar:
            for outcome in stylize_jobs.stylize_files(config, planned, bar.move):
                bar.finish_one()
                failed += report(outcome, bar.write, as_json=config.json)
    return finish(config, len(planned) + len(problems) - failed, failed)


def _tell(config: StylizeConfig, result) -> None:
    """What `--dry-run` says of one result."""
    output = "-" if result.output is None else str(result.output)
    if config.json:
        record = {
            "content": str(result.content),
            "style": " + ".join(map(str, result.styles)),
            "masks": [str(mask) for mask in result.masks],
            "output": output,
        }
        sys.stdout.write(json.dumps(record) + "\n")
    else:
        sys.stdout.write(f"{result} -> {output}\n")
