"""The commands `adain train` and `adain tune`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from shlex import quote

from adain.console import DONE, load_backend, tell
from adain.files import make_writable
from adain.options import UsageError
from adain.outputs import check_out_path, check_place
from adain.presets.preset import find_preset
from adain.sources import STYLE_CARD
from adain.training.config import STATE, TrainConfig
from adain.training.tune_config import TuneConfig


def run(config: TrainConfig) -> int:
    load_backend(seeds=True)
    from adain.training.loop import train

    train(config)
    sys.stderr.write(f"The weights are in {config.checkpoint}.\n")
    if "tensorboard" in config.logger:
        folder = config.log_path or config.checkpoint
        sys.stderr.write(f"Look at the curves and pictures: tensorboard --logdir {quote(folder)}\n")
    return DONE


def tune(config: TuneConfig) -> int:
    check_out_path(config.out_path, (STYLE_CARD,))
    if os.path.isdir(config.out_path):
        raise UsageError(f"--out-path must be a file. Received: {config.out_path}, a folder")
    if os.path.lexists(config.out_path) and not config.overwrite:
        raise UsageError(f"{config.out_path} is there already. Use --overwrite to replace it.")
    check_place("--run-path", str(config.run_folder), "folder")
    find_preset(config.checkpoint)
    make_writable(Path(config.out_path).parent)
    load_backend(seeds=True)
    from adain.training.tune import tune

    tuned = tune(config)
    tuned.code.save(config.out_path)
    # The run is over: the next one with this command starts again.
    (config.run_folder / STATE).unlink(missing_ok=True)
    best = tuned.best
    names = {"content": "val_content_loss", "style": "val_style_loss", "coarse": "val_coarse_loss"}
    losses = (
        f"{name} {best.before[key]:.3f} -> {best.after[key]:.3f}" for name, key in names.items()
    )
    gained = f"The best was {best['step']:.0f}: {', '.join(losses)}."
    tell(
        f"{tuned.steps} iterations in {best['seconds'] / 60:.1f} minutes: {tuned.reason}. "
        + (gained if best["step"] else "None was better than the style as it was measured."),
        f"{config.out_path}, {os.path.getsize(config.out_path) / 1024:.1f} KiB. Previews and "
        f"curves are in {config.run_folder}. Use it with\n",
    )
    sys.stderr.write(
        f"  adain stylize --checkpoint {quote(config.checkpoint)} --style {quote(config.out_path)} "
        "--content-path ...\n"
    )
    return DONE
