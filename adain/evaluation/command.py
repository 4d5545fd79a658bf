"""The command `adain evaluate`."""

from __future__ import annotations

import logging
import sys

from adain import extras
from adain.console import DONE, FAILED, complain, load_backend, tell
from adain.evaluation.config import EvaluateConfig


def run(config: EvaluateConfig) -> int:
    from adain.evaluation import pairs, report
    from adain.evaluation import run as evaluate

    if not config.write_pairs:
        extras.require("evaluate", "adain evaluate")
    planned = pairs.plan_pairs(config)
    tell(*planned.notes)
    complain(*planned.problems)
    if config.write_pairs:
        count, problems = pairs.write_pairs(config, planned)
        where = config.write_pairs
    else:
        load_backend()
        result, problems = evaluate.measure(config, planned)
        sys.stdout.write(report.to_tables(result))
        for note in result["notes"]:
            logging.info(note)
        count, where = len(result["pairs"]), f"{config.out_path}/report.md"
    complain(*problems)
    tell(f"written: {where}, {count} of {len(planned.pairs)} pairs")
    return FAILED if planned.problems or problems else DONE
