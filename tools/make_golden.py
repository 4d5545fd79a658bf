"""Make the pictures that tests compare with, from the shipped weights and sample pictures.

    python tools/make_golden.py

Run it when the weights change, look at the results, and commit them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

GOLDEN = ROOT / "tests" / "golden"
"""Folder of `PRESET.png`."""
SIZE = 256
"""Shorter side of photo and style, pixels."""


def load(path: str) -> np.ndarray:
    """A sample picture, shrunk; HWC uint8 sRGB."""
    from adain.imaging import io as image

    return image.resize_shorter_side(image.load_image(ROOT / "images" / path), SIZE)


def paint(model) -> np.ndarray:
    """The golden picture as a model or an engine paints it, HWC uint8 sRGB."""
    return model.stylize(load("inputs/cat.jpg"), load("styles/night_swirls.jpg"))


def main() -> None:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    from adain.imaging import io as image
    from adain.networks.model import StyleTransfer
    from adain.presets.preset import available_presets

    for name in available_presets():
        path = GOLDEN / f"{name}.png"
        image.save_image(path, paint(StyleTransfer.from_preset(name)))
        sys.stderr.write(f"{path}\n")


if __name__ == "__main__":
    main()
