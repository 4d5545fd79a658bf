"""The command `adain train`."""

from __future__ import annotations

import sys

from adain.console import DONE, load_backend
from adain.training.config import TrainConfig


def run(config: TrainConfig) -> int:
    load_backend()
    from adain.training import recipes
    from adain.training.loop import train

    for run in recipes.stages(config):
        train(run)
    sys.stderr.write(
        f"The weights are in {config.checkpoint}. Look at the curves and pictures with\n"
        f"  tensorboard --logdir {config.log_path or config.checkpoint}\n"
    )
    return DONE
