"""Figures of pairs and methods to a table, as Markdown and JSON, and to a contact sheet."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from adain import __version__
from adain.imaging import contact_sheet as sheets
from adain.imaging import io as imaging
from adain.inference.supersample import painted_size
from adain.presets import npz

MEASURES = {
    "lpips": ("LPIPS ↓", "{:.3f}"),
    "content": ("content ↓", "{:.3f}"),
    "ssim": ("SSIM ↑", "{:.3f}"),
    "style_vgg": ("style VGG ↓", "{:.3f}"),
    "style_alexnet": ("style AlexNet ↓", "{:.3f}"),
    "gram": ("Gram ↓", "{:.3f}"),
    "palette": ("palette ↓", "{:.2f}"),
    "fid": ("FID ↓", "{:.1f}"),
    "art_fid": ("ArtFID ↓", "{:.2f}"),
    "ssim_alpha_0": ("SSIM at alpha 0 ↑", "{:.3f}"),
    "pattern_4": ("pattern of 4 px ↓", "{:.2f}"),
    "pattern_8": ("pattern of 8 px ↓", "{:.2f}"),
    "grid": ("grid of 8 px, % ↓", "{:.1f}"),
    "encode_milliseconds": ("encode, ms", "{:.0f}"),
    "milliseconds": ("stylise, ms", "{:.0f}"),
}
"""Columns: name in JSON to title, with the better direction, and digits."""

ABOUT = """\
LPIPS, content (instance-normalised relu4_1) and SSIM compare with the photo; style (relative
distance of channel means and deviations; AlexNet at full and half size), Gram (relative distance of
Gram matrices) and palette (distance of colours, in CIELAB units) with the style picture. ↓ lower,
↑ higher is better. The unchanged photo is perfect in the first three and the plain style picture in
the next four, so only all columns together tell something. The pattern is what repeats every 4 or
8 pixels in a grey square beside the photo, in grey levels of 255; the grid, how unevenly steps from
pixel to pixel lie on columns and rows, counted by 8. Means over pairs; milliseconds are medians.
docs/evaluation.md has the formulas, and how each column can be cheated.
"""

SHEET_ROWS = 12
_CELL = 192


def build(
    records: Sequence[Mapping],
    *,
    settings: Mapping,
    notes: Sequence[str],
    problems: Sequence[str],
    extra: Mapping[str, Mapping[str, float]],
) -> dict:
    """The whole report, ready for JSON.

    Args:
        records: For each pair `name`, `content`, `style` and `methods`: method to figures.
        settings: What the figures depend on.
        notes: What a reader must know, a line each.
        problems: What could not be measured, a line each.
        extra: Method to figures that belong to no single pair.

    Returns:
        `rows`, a table of means over all pairs of each method; `common_rows`, the same over the
        pairs that all methods have, where these are fewer; and everything they were made from.
    """
    names = list(dict.fromkeys(name for record in records for name in record["methods"]))
    common = [record for record in records if len(record["methods"]) == len(names)]
    rows = [_row(name, records, extra.get(name, {})) for name in names]
    fewer = 0 < len(common) < len(records)
    result = {
        "rows": rows,
        "common_rows": [_row(name, common, {}) for name in names] if fewer else [],
        "notes": list(notes),
        "problems": list(problems),
        "settings": dict(settings),
        "machine": machine(),
        "pairs": list(records),
    }
    # Six digits are more than any figure is good for.
    return json.loads(json.dumps(result), parse_float=lambda text: round(float(text), 6))


def _row(name: str, records: Sequence[Mapping], extra: Mapping[str, float]) -> dict:
    figures = [record["methods"][name] for record in records if name in record["methods"]]
    row: dict = {"method": name, "pairs": len(figures), "standard_errors": {}}
    for measure in MEASURES:
        values = [figure[measure] for figure in figures if measure in figure]
        if values and measure.endswith("milliseconds"):
            row[measure] = statistics.median(values)
        elif values:
            row[measure] = statistics.fmean(values)
            if len(values) > 1:
                error = statistics.stdev(values) / math.sqrt(len(values))
                row["standard_errors"][measure] = error
    return row | dict(extra)


def machine() -> dict:
    """What times depend on."""
    import keras

    backend, cpu = keras.backend.backend(), platform.processor()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next((line.split(": ")[1] for line in lines if line.startswith("model name")), cpu)
    return {
        "cpu": cpu or platform.machine(),
        "cores": os.cpu_count(),
        "backend": backend,
        "python": platform.python_version(),
        "adain": __version__,
        **{name: version(name) for name in ("keras", backend, "numpy")},
    }


# === Markdown ===


def to_table(rows: Sequence[Mapping]) -> str:
    """Rows as a table; a measure that no method has is left out."""
    columns = [name for name in MEASURES if any(name in row for row in rows)]
    lines = [
        ["method", "pairs", *(MEASURES[name][0] for name in columns)],
        ["---", *("---:" for _ in range(len(columns) + 1))],
    ]
    for row in rows:
        cells = [MEASURES[name][1].format(row[name]) if name in row else "–" for name in columns]
        lines.append([row["method"].replace("|", "\\|"), str(row["pairs"]), *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_tables(report: Mapping) -> str:
    """The table, and where methods have different pairs the one in which they can be compared."""
    text = to_table(report["rows"])
    if common := report["common_rows"]:
        text += f"\nOn the {common[0]['pairs']} pairs that every method has:\n\n{to_table(common)}"
    return text


def to_markdown(report: Mapping) -> str:
    """What `build` gives, as a text to read."""
    settings, machine = report["settings"], report["machine"]
    backend = machine["backend"]
    parts = [
        "# Report\n",
        f"Squares of {settings['size']} pixels, alpha {settings['alpha']:g}{_painted(settings)}.\n",
        to_tables(report),
        ABOUT,
        f"Measured on {machine['cores']} cores of {machine['cpu']}, Keras {machine['keras']}, "
        f"{backend} {machine[backend]}.\n",
    ]
    for title, lines in (("Notes", report["notes"]), ("Not measured", report["problems"])):
        if lines:
            parts.append(f"{title}:\n\n" + "".join(f"- {line}\n" for line in lines))
    parts.append("![The first pairs, a method in each column](sheet.png)\n")
    return "\n".join(parts)


def _painted(settings: Mapping) -> str:
    size = settings["size"]
    (side, _) = painted_size(size, size, settings["supersample"])
    return "" if side == size else f", painted at {side} pixels by our own weights"


# === Contact sheet ===


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """A picture as large as the sheet shows it."""
    return imaging.resize_image(picture, (_CELL, _CELL))


def draw_sheet(pictures: Sequence[Mapping[str, np.ndarray]]) -> np.ndarray:
    """One row for each pair and one labelled column for each method.

    Args:
        pictures: For each pair method to `thumbnail`; a missing one leaves its cell white.

    Returns:
        HWC uint8 sRGB.
    """
    names = list(dict.fromkeys(name for row in pictures for name in row))
    rows = [[row.get(name) for name in names] for row in pictures]
    return sheets.draw(rows, [names], (_CELL, _CELL))


def write(folder: Path, report: Mapping, pictures: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Write `report.md`, `report.json` and `sheet.png`, each all of it or nothing.

    Raises:
        OSError: If the folder cannot be written.
    """
    texts = {
        "report.md": to_markdown(report),
        "report.json": json.dumps(report, indent=1, ensure_ascii=False) + "\n",
    }
    for name, text in texts.items():
        npz.write_atomically(folder / name, lambda file, text=text: file.write(text.encode()))
    imaging.save_image(folder / "sheet.png", draw_sheet(pictures))
