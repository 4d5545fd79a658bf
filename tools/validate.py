"""Measure a preset's losses on pictures it was not trained on, beside those of the unchanged photo.

    python tools/validate.py --preset adain_vgg19 --content-path PHOTOS --style-path PAINTINGS

Photo i meets painting i; both are cut to squares of `--size`. Prints JSON: content is
`normalized_content_loss` at relu4_1, style `balanced_style_loss` tap by tap, both of the saved
8-bit picture.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import adain
from adain import image as imaging
from adain import losses
from adain.functional import mean_std
from adain.networks import TAPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="adain_vgg19")
    parser.add_argument("--content-path", required=True)
    parser.add_argument("--style-path", required=True)
    parser.add_argument("--size", type=int, default=256, help="side of the squares, pixels")
    parser.add_argument("--count", type=int, default=50, help="pairs")
    args = parser.parse_args()
    model = adain.StyleTransfer.from_preset(args.preset)

    def encode(picture: np.ndarray) -> list[np.ndarray]:
        return model.encoder.predict_on_batch(picture[None].astype("float32") / 255)

    def square(path: Path) -> np.ndarray:
        picture = imaging.resize_shorter_side(adain.load_image(path), args.size)
        return imaging.center_crop(picture, (args.size, args.size))

    results: dict[str, list[list[float]]] = {"stylised": [], "unchanged photo": []}
    pairs = zip(
        imaging.list_images(args.content_path), imaging.list_images(args.style_path), strict=False
    )
    for photo, painting in list(pairs)[: args.count]:
        content, style = square(photo), square(painting)
        taps = encode(content)
        statistics = [mean_std(tap) for tap in encode(style)]
        outputs = {"stylised": encode(model.stylize(content, style)), "unchanged photo": taps}
        for name, output in outputs.items():
            row = [losses.normalized_content_loss(output[-1], taps[-1])]
            row += [
                losses.balanced_style_loss([tap], [mean], [std])
                for tap, (mean, std) in zip(output, statistics, strict=True)
            ]
            results[name].append([float(value) for value in row])
    report: dict = {"preset": args.preset, "size": args.size}
    for name, rows in results.items():
        means = np.mean(rows, axis=0)
        report[name] = {"content": round(float(means[0]), 4), "style": round(means[1:].sum(), 4)}
        report[name] |= {tap: round(v, 4) for tap, v in zip(TAPS, means[1:], strict=True)}
        report["pairs"] = len(rows)
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
