"""Measure very large pictures: memory, time, and strokes that keep their size, as JSON.

    python benchmarks/large.py --out large.json
    python benchmarks/large.py --presets adain_fast --side 4096 --max-memory 1GiB

memory    `python stylize.py --max-memory` on a square photo, from the start of the process to its
          end; the photo is a sample picture, enlarged. `seconds` with reading and writing the
          JPEG files; `memory_mib` is the peak of resident memory. Linux and macOS.
strokes   how like its preview a large result is, once made as small: the mean difference in grey
          levels and the correlation of lightness, with `--stroke` and without, over three pairs
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from common import make_parser, resident, write_report

from adain.engines.registry import load_stylizer
from adain.imaging.io import load_image, resize_image, resize_shorter_side
from adain.inference.multiscale import stylize_octaves

ROOT = Path(__file__).resolve().parent.parent
PAIRS = (("temple", "starry-night"), ("coffee", "blue-river"), ("cat", "jewel-rivers"))


def main() -> int:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--presets", nargs="+", default=["adain_fast", "adain_vgg19"], help="weights to measure")
    add("--engine", default="auto", help="what runs the networks")
    add("--side", type=int, default=8192, help="side of the photo, pixels; 0: none")
    add("--max-memory", default="3GiB", help="memory allowed")
    add("--preview", type=int, default=512, help="shorter side of the preview, pixels")
    add("--strokes-side", type=int, default=2048, help="shorter side of its large result; 0: none")
    add("--out", help="file for the result (default: standard output)")
    options = parser.parse_args()
    report = {"memory": [], "strokes": []}
    # Memory first: a child's peak starts at its parent's.
    for preset in options.presets if options.side else ():
        report["memory"].append(measure_memory(options, preset))
        sys.stderr.write(f"{json.dumps(report['memory'][-1])}\n")
    for preset in options.presets if options.strokes_side else ():
        report["strokes"].append(measure_strokes(options, preset))
        sys.stderr.write(f"{json.dumps(report['strokes'][-1])}\n")
    write_report(report, options.out)
    return 0


def measure_memory(options, preset: str) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        # In a process of its own, so that this one stays small.
        maker = [sys.executable, "-c", _MAKE, str(ROOT), str(photo), str(options.side)]
        subprocess.run(maker, check=True)
        command = [sys.executable, str(ROOT / "stylize.py"), "--content-path", str(photo)]
        command += ["--style", "starry-night", "--checkpoint", preset, "--engine", options.engine]
        command += ["--max-memory", options.max_memory, "--out-path", f"{folder}/result.jpg"]
        started = time.perf_counter()
        process = subprocess.Popen([*command, "--quiet"])
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(f"error: {preset} failed")
    return {
        "preset": preset,
        "side": options.side,
        "max_memory": options.max_memory,
        "memory_mib": resident(usage),
        "seconds": round(seconds, 1),
    }


_MAKE = """
import sys
sys.path.insert(0, sys.argv[1])
from adain.imaging.io import load_image, resize_image, save_image
photo = load_image(f"{sys.argv[1]}/images/inputs/temple.jpg")
save_image(sys.argv[2], resize_image(photo, (int(sys.argv[3]),) * 2))
"""


def measure_strokes(options, preset: str) -> dict:
    stylizer = load_stylizer(preset, options.engine)
    folder = ROOT / "images"
    found: dict[str, list] = {"with": [], "without": []}
    for content, style in PAIRS:
        photo = resize_shorter_side(
            load_image(folder / "inputs" / f"{content}.jpg"), options.strokes_side
        )
        picture = load_image(folder / "paintings" / f"{style}.jpg")
        code = stylizer.encode_style(resize_shorter_side(picture, 512))

        def paint(image, code=code):
            return stylizer.stylize(image, code, tile=1024)

        preview = paint(resize_shorter_side(photo, options.preview))
        for kind, result in (
            ("with", stylize_octaves(paint, photo, options.preview)),
            ("without", paint(photo)),
        ):
            found[kind].append(compare(resize_image(result, preview.shape[:2]), preview))
    return {
        "preset": preset,
        "preview": options.preview,
        "side": options.strokes_side,
        **{
            kind: dict(zip(("difference", "correlation"), np.mean(pairs, 0).round(3), strict=True))
            for kind, pairs in found.items()
        },
    }


def compare(image: np.ndarray, preview: np.ndarray) -> tuple[float, float]:
    """Mean difference in grey levels, and correlation, of two pictures' lightness."""
    a, b = (x.astype("float64") @ [0.299, 0.587, 0.114] for x in (image, preview))
    return float(np.abs(a - b).mean()), float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


if __name__ == "__main__":
    sys.exit(main())
