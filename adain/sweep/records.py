"""What a sweep leaves: a table, charts, the best settings, and TensorBoard's HParams page."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adain.files import replacing
from adain.sweep import chart
from adain.sweep.parameters import Interval, dashed
from adain.sweep.space import FIGURES, Space
from adain.sweep.study import COMPLETE, PRUNED, RUNNING, TrialDatabase
from adain.sweep.values import losses_of, values_of
from adain.training import recipes
from adain.training.tensorboard import EventWriter

BEST = "best.toml"
TABLE = "trials.csv"
PARALLEL = "parallel.svg"
FRONT = "front.svg"
_ARROWS = {"minimize": "↓", "maximize": "↑"}
_STATES = {COMPLETE: "complete", PRUNED: "pruned", RUNNING: "running"}


def write_records(folder: Path, database: TrialDatabase) -> None:
    """Write the table, the charts and the best settings, each all of it or nothing.

    Raises:
        WriteError: If one cannot be written.
    """
    _write(folder / TABLE, _table(database))
    front = database.front()
    if not front:
        return
    _draw(folder, database)
    best = front[0]
    figures = zip(database.space.objectives, best.values, strict=True)
    about = ", ".join(f"{name} {chart.show(value)}" for name, value in figures)
    stages = settings_of(database.space, values_of(database.space, best))
    recipes.write(
        folder / BEST, stages, f"Trial {best.number} of {database.study.study_name}: {about}"
    )


def settings_of(space: Space, values: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """A trial's settings as `train.py --recipe` takes them, or as `--config` does."""
    if space.target.needs:
        return recipes.settings_of(space.config(values))
    return ({**space.settings, **values},)


def _write(path: Path, text: str) -> None:
    with replacing(path, make_folder=True) as file:
        # Errors name files, whose names need not be text.
        file.write(text.encode("utf-8", "backslashreplace"))


def _table(database: TrialDatabase) -> str:
    space = database.space
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    names = list(map(dashed, space.parameters))
    rows.writerow(["trial", "state", *names, *space.objectives, "steps", "seconds", "error"])
    for trial in database.trials():
        known = trial.params.keys() == space.parameters.keys()
        values = values_of(database.space, trial).values() if known else [""] * len(names)
        took = trial.duration.total_seconds() if trial.duration else ""
        error = trial.user_attrs.get("error", "")
        rows.writerow(
            [
                trial.number,
                _STATES.get(trial.state, "failed" if error else "waiting"),
                *(v if isinstance(v, float) else chart.show(v) for v in values),
                *(trial.values or [""] * len(space.objectives)),
                max(losses_of(trial), default=0),
                took,
                error,
            ]
        )
    return text.getvalue()


def _draw(folder: Path, database: TrialDatabase) -> None:
    space = database.space
    trials = [trial for trial in database.trials() if trial.state == COMPLETE]
    front = {trial.number for trial in database.front()}
    axes = []
    for name, found in space.parameters.items():
        values = [values_of(database.space, trial)[name] for trial in trials]
        title = dashed(name)
        if isinstance(found, Interval):
            axes.append(chart.Axis(title, values, found.log))
        else:
            axes.append(chart.Axis(title, values, choices=found))
    figures = [
        chart.Axis(name, [trial.values[i] for trial in trials], better=_ARROWS[way])
        for i, (name, way) in enumerate(space.objectives.items())
    ]
    lines = []
    for i, trial in enumerate(trials):
        shown = [f"{axis.title} {chart.show(axis.values[i])}" for axis in [*axes, *figures]]
        title = f"trial {trial.number}: {', '.join(shown)}"
        shade = figures[0].place(figures[0].values[i])
        lines.append(chart.Line(title, shade, trial.number in front))
    _write(folder / PARALLEL, chart.draw_parallel([*axes, *figures], lines))
    if len(figures) == 2:
        across, up = figures
        _write(folder / FRONT, chart.draw_front(across, up, lines))


def tell_front(database: TrialDatabase) -> str:
    """The trials that no other beats in everything, as a table in Markdown."""
    space = database.space
    names = list(map(dashed, space.parameters))
    figures = [f"{name} {_ARROWS[way]}" for name, way in space.objectives.items()]
    lines = [["trial", *names, *figures], ["---"] * (1 + len(names) + len(figures))]
    for trial in database.front():
        row = [*values_of(database.space, trial).values(), *trial.values]
        lines.append([str(trial.number), *map(chart.show, row)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


# === TensorBoard ===


def tag_of(name: str) -> str:
    """The curve of an objective."""
    return f"report/{name}" if name in FIGURES else name


def open_experiment(logs: Path, space: Space) -> None:
    """Tell the HParams page what trials differ in, once for each folder of records."""
    if logs.is_dir() and any(path.is_file() for path in logs.iterdir()):
        return
    parameters = {
        name: (float(found.low), float(found.high))
        if isinstance(found, Interval)
        # As they are recorded.
        else [" ".join(map(str, v)) if isinstance(v, list) else v for v in found]
        for name, found in space.parameters.items()
    }
    with EventWriter(logs) as writer:
        writer.experiment(parameters, [tag_of(name) for name in space.objectives])


def record_end(
    logs: Path, space: Space, values: Mapping[str, Any], step: int, figures: Mapping[str, float]
) -> None:
    """Add a trial's figures to its records; none: it was given up, or failed."""
    with EventWriter(logs) as writer:
        # Training records its settings itself.
        if not space.target.needs or "tensorboard" not in space.settings.get(
            "logger", "tensorboard"
        ):
            writer.parameters(values)
        writer.scalars(step, {tag_of(name): value for name, value in figures.items()})
        writer.finish(good=bool(figures))
