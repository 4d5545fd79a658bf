"""Draw the loss curves of one or more runs, one after another, from their TensorBoard files.

    pip install matplotlib
    python tools/plot_training.py ckpt/logs more/logs --out docs/training

Writes `OUT.csv` (every summary interval) and `OUT.png`.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

LOSSES = ("content_loss", "style_loss", "coarse_loss", "identity_loss")
TAGS = (*LOSSES, "learning_rate", "images_per_second")


def read(folder: str) -> dict[int, dict[str, float]]:
    """`{step: {tag: value}}` of one run; what was done again after a kill counts once."""
    events = EventAccumulator(folder, size_guidance={"scalars": 0, "images": 1}).Reload()
    steps: dict[int, dict[str, float]] = {}
    # Not every run has every loss.
    for tag in set(TAGS) & set(events.Tags()["scalars"]):
        for event in events.Scalars(tag):
            steps.setdefault(event.step, {})[tag] = event.value
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", nargs="+", help="folders with TensorBoard files, in order")
    parser.add_argument("--out", required=True, help="name of the results, without suffix")
    args = parser.parse_args()
    rows, start = [], 0
    for run, folder in enumerate(args.logs, 1):
        steps = read(folder)
        rows += [(run, start + step, *(steps[step].get(t) for t in TAGS)) for step in sorted(steps)]
        start += max(steps)
    out = Path(args.out)
    with out.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("run", "step", *TAGS))
        writer.writerows(
            (*row[:2], *("" if value is None else f"{value:.5g}" for value in row[2:]))
            for row in rows
        )
    figure, axes = plt.subplots(2, 2, figsize=(9, 6), constrained_layout=True)
    for axis, column, tag in zip(axes.flat, range(2, 6), LOSSES, strict=True):
        for run in range(1, len(args.logs) + 1):
            points = [(row[1], row[column]) for row in rows if row[0] == run]
            points = [point for point in points if point[1] is not None]
            if points:
                axis.plot(
                    *zip(*points, strict=True), linewidth=1, label=f"run {run}", color=f"C{run}"
                )
        axis.set(xlabel="step", title=tag.replace("_", " "))
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(out.with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
