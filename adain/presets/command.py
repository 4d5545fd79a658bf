"""The command `adain presets`."""

from __future__ import annotations

import sys

from adain.console import DONE


def run(_: None) -> int:
    from adain.presets import preset as presets

    for name in presets.available_presets():
        about = presets.read_config(presets.find_preset(name))["about"]
        sys.stdout.write(f"{name}\t{about.get('summary', '')}\t{about.get('license', '')}\n")
    return DONE
