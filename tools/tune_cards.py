"""Tune style cards for the paintings of `images/paintings`, beside those that are measured.

    python tools/tune_cards.py PHOTOS --checkpoint weights/adain_fast --max-minutes 10

Every card is `NAME-tuned.npz` among the preset's styles; those that are there stay, so that it may
be interrupted and started again. Run it when the weights change, and commit the results.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from adain import cli
from adain.presets.preset import STYLES, Preset

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("photos", nargs="+", help="folders of photographs")
    parser.add_argument("--checkpoint", default="adain_fast")
    parser.add_argument("--runs", default="tuning", help="folder for previews and curves")
    known, flags = parser.parse_known_args()
    styles = Preset.load(known.checkpoint).folder / STYLES
    paintings = ROOT / "images" / "paintings"
    failed = False
    with open(paintings / "credits.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            card = styles / f"{row['name']}-tuned.npz"
            if card.exists():
                continue
            words = ["tune", "--style", paintings / f"{row['name']}.jpg"]
            words += ["--content-path", *known.photos, "--out-path", card]
            words += ["--checkpoint", known.checkpoint]
            words += ["--run-path", Path(known.runs, row["name"]), "--name", row["title"]]
            words += ["--credit", f"{row['artist']}, {row['year']}", "--license", row["license"]]
            failed |= cli.main([*map(str, words), *flags]) != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
