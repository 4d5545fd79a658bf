"""The command `adain presets`."""

from __future__ import annotations

import sys

from adain.console import DONE


def run(_: None) -> int:
    from adain.presets.preset import Preset, available_presets

    for name in available_presets():
        preset = Preset.load(name)
        sys.stdout.write(f"{name}\t{preset.summary}\t{preset.license}\n")
    return DONE
