"""The command `adain evaluate`."""

from __future__ import annotations

import logging
import sys

from adain import extras
from adain.console import DONE, FAILED, complain, load_backend
from adain.evaluation.config import EvaluateConfig


def run(config: EvaluateConfig) -> int:
    from adain.evaluation import pairs, report
    from adain.evaluation import run as evaluate

    if not config.write_pairs:
        extras.require("evaluate", "adain evaluate")
    planned = pairs.plan_pairs(config)
    complain(*planned.problems)
    if config.write_pairs:
        problems = pairs.write_pairs(config, planned)
        where = config.write_pairs
    else:
        load_backend()
        result, problems = evaluate.measure(config, planned)
        sys.stdout.write(report.to_tables(result))
        for note in result["notes"]:
            logging.info(note)
        where = f"{config.out_path}/report.md"
    complain(*problems)
    sys.stderr.write(f"written: {where}\n")
    return FAILED if planned.problems or problems else DONE
