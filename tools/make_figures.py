"""Make the pictures of the README and the model card from the shipped weights and pictures.

    python tools/make_figures.py --preset adain_vgg19 --out docs

`strip.jpg`: five photos, each with a style in its corner. `sheet.jpg`: all photos in all styles.
`alpha.jpg`: one photo at rising strength. `limits.jpg`: a face, a text and a sky, where it fails.
`controls.jpg`: a photo, a mask, a style on either side, two styles mixed, the photo's colours.
`tuned.jpg`: by adain_fast, with measured and with tuned style cards.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import adain  # noqa: E402
from adain.imaging import io as imaging  # noqa: E402
from adain.imaging.color import restore_colors  # noqa: E402

STRIP = [
    ("cat", "night_swirls"),
    ("temple", "watercolor"),
    ("coffee", "mosaic"),
    ("astronaut", "woodblock"),
    ("flower", "stained_glass"),
]
LIMITS = [("hopper", "mosaic"), ("text", "ink_wash"), ("rocket", "stained_glass")]
TEXT = """The quick brown fox
jumps over the lazy dog.
0123456789 - 27 August

Pack my box with five
dozen liquor jugs: what
small print becomes is
the question here."""
TUNED = [("cat", "starry-night"), ("temple", "venice"), ("astronaut", "by-the-seashore")]
PAINTINGS = ("starry-night", "blue-river")
GAP = 4


def square(path: Path, side: int) -> np.ndarray:
    picture = imaging.resize_shorter_side(adain.load_image(path), side)
    return imaging.center_crop(picture, (side, side))


def page(side: int) -> np.ndarray:
    """Black print on white paper."""
    sheet = Image.new("RGB", (side, side), "white")
    font = ImageFont.load_default(side / 13)
    ImageDraw.Draw(sheet).multiline_text((side / 16, side / 14), TEXT, "black", font, spacing=12)
    return np.asarray(sheet)


def tile(rows: list[list[np.ndarray]]) -> np.ndarray:
    """Pictures of equal size in rows, with white gaps."""
    padded = [
        np.hstack([np.pad(cell, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for cell in row])
        for row in rows
    ]
    return np.vstack(padded)[:-GAP, :-GAP]


def inset(picture: np.ndarray, small: np.ndarray) -> np.ndarray:
    """A picture with another in its lower left corner."""
    result = picture.copy()
    framed = np.pad(small, ((GAP, 0), (0, GAP), (0, 0)), constant_values=255)
    result[-framed.shape[0] :, : framed.shape[1]] = framed
    return result


def tuned(photos: dict[str, Path]) -> np.ndarray:
    """Photo, painting, result of the measured card, result of the tuned one."""
    pipeline, rows = adain.StylizePipeline(checkpoint="adain_fast"), []
    for photo, style in TUNED:
        cells = [square(photos[photo], 512), square(ROOT / f"images/paintings/{style}.jpg", 512)]
        cells += [pipeline.run(cells[0], card) for card in (style, f"{style}-tuned")]
        rows.append([imaging.resize_image(cell, (320, 320)) for cell in cells])
    return tile(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="adain_vgg19")
    parser.add_argument("--out", default="docs", help="folder")
    args = parser.parse_args()
    out = Path(args.out)
    model = adain.load_stylizer(args.preset)
    photos = {path.stem: path for path in imaging.list_images(ROOT / "images/inputs")}
    styles = {path.stem: path for path in imaging.list_images(ROOT / "images/styles")}
    codes = {
        name: model.encode_style(imaging.resize_shorter_side(adain.load_image(path), 512))
        for name, path in styles.items()
    }

    def paint(photo: str, style: str, side: int, alpha: float = 1.0) -> np.ndarray:
        """Stylised at 512 pixels, where the weights are at home, and shown smaller."""
        content = page(512) if photo == "text" else square(photos[photo], 512)
        result = model.stylize(content, codes[style], alpha)
        return imaging.resize_image(result, (side, side))

    side = 320
    tops = [square(photos[photo], side) for photo, _ in STRIP]
    results = [
        inset(paint(photo, style, side), square(styles[style], side // 3)) for photo, style in STRIP
    ]
    imaging.save_image(out / "strip.jpg", tile([tops, results]), quality=88)

    side = 160
    rows = [[np.full((side, side, 3), 255, "uint8"), *(square(p, side) for p in photos.values())]]
    for style, path in styles.items():
        rows.append([square(path, side), *(paint(photo, style, side) for photo in photos)])
    imaging.save_image(out / "sheet.jpg", tile(rows), quality=85)

    steps = [paint("cat", "embers", 240, alpha) for alpha in (0, 0.25, 0.5, 0.75, 1.0)]
    imaging.save_image(out / "alpha.jpg", tile([steps]), quality=88)

    side = 240
    rows = [
        [
            imaging.resize_image(page(512), (side, side))
            if photo == "text"
            else square(photos[photo], side),
            *(paint(photo, style, side, alpha) for alpha in (1.0, 0.6)),
        ]
        for photo, style in LIMITS
    ]
    imaging.save_image(out / "limits.jpg", tile(rows), quality=88)

    photo = imaging.resize_shorter_side(adain.load_image(photos["temple"]), 512)
    masks = [
        imaging.resize_mask(imaging.load_image(path)[..., 0], photo.shape[:2])
        for path in imaging.list_images(ROOT / "images/masks/temple")
    ]
    night, river = (
        model.encode_style(imaging.resize_shorter_side(adain.load_image(path), 512))
        for path in (ROOT / "images/paintings" / f"{name}.jpg" for name in PAINTINGS)
    )
    regions = [
        adain.Region(mask, code) for mask, code in zip(masks, (night, codes["mosaic"]), strict=True)
    ]
    cells = [
        photo,
        np.dstack([masks[0]] * 3),
        model.stylize_regions(photo, regions),
        model.stylize(photo, adain.mix([night, river])),
        restore_colors(model.stylize(photo, river), photo, "luma"),
    ]
    cells = [imaging.resize_shorter_side(cell, 200) for cell in cells]
    imaging.save_image(out / "controls.jpg", tile([cells]), quality=88)
    imaging.save_image(out / "tuned.jpg", tuned(photos), quality=82)


if __name__ == "__main__":
    main()
