"""Make the style cards that come with the weights, of `images/paintings` and `images/styles`.

    python tools/make_cards.py

Run it when the weights change, and commit the results.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from adain.imaging.io import load_image, resize_shorter_side
from adain.networks.model import StyleTransfer
from adain.presets.preset import STYLES, Preset, available_presets
from adain.stylize.config import StylizeConfig

ROOT = Path(__file__).resolve().parent.parent


def pictures() -> dict[Path, dict[str, str]]:
    """All pictures to make cards of, and what their cards say."""
    images = ROOT / "images"
    found = {}
    with open(images / "paintings" / "credits.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[images / "paintings" / f"{row['name']}.jpg"] = {
                "name": row["title"],
                "credit": f"{row['artist']}, {row['year']}",
                "license": row["license"],
            }
    for path in sorted((images / "styles").glob("*.jpg")):
        found[path] = {
            "name": path.stem.replace("_", " ").capitalize(),
            "credit": "drawn by tools/make_samples.py of adain",
            "license": "MIT",
        }
    return found


def main() -> None:
    for preset in map(Preset.load, available_presets()):
        model = StyleTransfer.from_preset(preset)
        for path, about in pictures().items():
            picture = resize_shorter_side(load_image(path), StylizeConfig.style_size)
            name = path.stem.replace("_", "-")
            model.encode_style(picture, **about).save(preset.folder / STYLES / f"{name}.npz")


if __name__ == "__main__":
    main()
