"""The file of a sweep: what is tried, what stays the same, and what is to be small or large."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from adain.evaluation.config import EvaluateConfig
from adain.evaluation.report import MEASURES
from adain.files import read_toml
from adain.optimization.config import OptimizeConfig
from adain.options import COUNT, Range, UsageError
from adain.sweep.parameters import Choices, Interval, Wrong, dashed, ends, read_parameter
from adain.sweep.targets import TARGETS, Target

FIGURES = {
    name: "maximize" if title.endswith("↑") else "minimize"
    for name, (title, _) in MEASURES.items()
    # One set of pictures has no FID worth a decision, and times are noise.
    if name not in ("fid", "art_fid") and not name.endswith("milliseconds")
}
"""Figures of the report card that may be objectives, and what is good of them."""

_OF_A_SWEEP = {"preset", "outputs", "out_path", "write_pairs", "optimize_steps", "optimize_count"}
"""Flags of `adain evaluate` that a sweep sets itself."""


class Pruning(NamedTuple):
    """When a run is given up: worse than others at the same step, in all of these values."""

    by: tuple[str, ...]
    percentile: float = 50.0
    """Of the finished runs' values: what is worse ends the run."""
    startup_trials: int = 5
    """So many runs are finished first."""
    warmup: int = 0
    """Steps before the first decision."""


@dataclass(frozen=True)
class Space:
    """What a file says, checked."""

    path: Path
    target: Target
    settings: dict[str, Any]
    """What all trials have in common, by the names of fields."""
    parameters: dict[str, Interval | Choices]
    """What they differ in."""
    objectives: dict[str, str]
    """Figure to "minimize" or "maximize"."""
    trials: int
    seed: int
    pruning: Pruning | None
    evaluation: EvaluateConfig | None
    """Pictures that are measured, if an objective is a figure of the report card."""

    def config(self, values: Mapping[str, Any], **more: Any) -> Any:
        """Settings of the target with a trial's values in them.

        Raises:
            UsageError: If they do not fit together.
        """
        return self.target.load_config()(**self.settings | dict(values) | more)

    def variants(self) -> Iterator[tuple[str, Any]]:
        """Each value that can come up on its own, with the first ones of all other settings.

        Yields:
            The setting, and settings of the target; "" and those of the first values before.

        Raises:
            Wrong: If they do not fit together.
        """
        first = {name: ends(found)[0] for name, found in self.parameters.items()}
        values = [("", {})]
        values += [
            (name, {name: end}) for name, found in self.parameters.items() for end in ends(found)
        ]
        for name, value in values:
            try:
                yield name, self.config(first | value)
            except UsageError as error:
                raise Wrong(f"space.{dashed(name)}: {error}" if name else str(error)) from error


def read(path: str | Path) -> Space:
    """Read and check the file of a sweep.

    Raises:
        UsageError: If it cannot be read or is not right; the line names the key.
    """
    path = Path(path)
    try:
        table = read_toml(path)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    try:
        return _Reader(path, _fields(table)).read()
    except Wrong as error:
        raise UsageError(f"{path}: {error}") from error


class _Reader:
    def __init__(self, path: Path, table: dict[str, Any]):
        self.path = path
        self.table = table

    def read(self) -> Space:
        known = (
            "target", "objectives", "trials", "seed", "prune", "settings", "space", "evaluation",
        )  # fmt: skip
        for key in self.table.keys() - {*known}:
            raise Wrong(f"{key} is none of {', '.join(known)}")
        name = self.table.get("target", "train")
        if not isinstance(name, str) or name not in TARGETS:
            raise Wrong(f"target must be {' or '.join(TARGETS)}. Received: {name!r}")
        target = TARGETS[name]
        settings = self._flags("settings", target.load_config(), target.own)
        parameters = self._parameters(target)
        for key in settings.keys() & parameters.keys():
            raise Wrong(f"{dashed(key)} is both in settings and in space")
        objectives = self._objectives(target)
        space = Space(
            self.path,
            target,
            settings,
            parameters,
            objectives,
            self._whole("trials", 30, COUNT),
            self._whole("seed", 0, Range(least=0)),
            self._pruning(target, settings, parameters),
            self._evaluation(target, objectives, settings),
        )
        self._check_values(space)
        return space

    # === Keys ===

    def _table(self, key: str) -> dict[str, Any]:
        table = self.table.get(key, {})
        if not isinstance(table, dict):
            raise Wrong(f"{key} must be a table, [{key}]. Received: {table!r}")
        return _fields(table)

    def _flags(self, key: str, config: type, own: set[str] | frozenset[str]) -> dict[str, Any]:
        names = {item.name for item in fields(config)}
        table = self._table(key)
        for name in table:
            if name not in names:
                raise Wrong(
                    f"{key}.{dashed(name)} is not a flag of adain "
                    f"{config.__name__.removesuffix('Config').lower()}"
                )
            if name in own:
                raise Wrong(f"{key}.{dashed(name)} is set by the sweep itself")
        return table

    def _whole(self, key: str, default: int, limits: Range) -> int:
        value = self.table.get(key, default)
        if type(value) is not int or not limits.holds(value):
            raise Wrong(f"{key} must be a whole number, {limits}. Received: {value!r}")
        return value

    def _objectives(self, target: Target) -> dict[str, str]:
        known = FIGURES | dict.fromkeys(target.losses, "minimize")
        names = self.table.get("objectives", ["lpips", "style_vgg"])
        good = isinstance(names, list) and names and all(n in list(known) for n in names)
        if not good or len(set(names)) < len(names):
            raise Wrong(f"objectives must be some of {', '.join(known)}. Received: {names!r}")
        return {name: known[name] for name in names}

    def _parameters(self, target: Target) -> dict[str, Interval | Choices]:
        config = target.load_config()
        table = self._flags("space", config, target.own | target.not_swept)
        if not table:
            raise Wrong("space must be a table of settings to try, such as style-weight")
        defaults = {item.name: item.default for item in fields(config)}
        return {name: read_parameter(name, value, defaults[name]) for name, value in table.items()}

    def _check_values(self, space: Space) -> None:
        for name, config in space.variants():
            if not name:
                try:
                    space.target.check(config)
                except UsageError as error:
                    raise Wrong(str(error)) from error

    # === Pruning ===

    def _pruning(self, target: Target, settings: dict, parameters: dict) -> Pruning | None:
        table = self.table.get("prune", {})
        if table is False:
            return None
        wanted = "prune" in self.table
        table = {} if table is True else self._table("prune")
        for key in table.keys() - set(Pruning._fields):
            raise Wrong(f"prune.{dashed(key)} is none of {', '.join(Pruning._fields)}")
        weights = sorted(name for name in parameters if name.endswith("_weight"))
        moved = sorted(target.measured_by & parameters.keys())
        if not target.validates(settings):
            if wanted:
                raise Wrong(f"prune needs {target.needs}")
            return None
        if moved:
            if wanted:
                raise Wrong(
                    f"prune must be false where space has {dashed(moved[0])}: losses of such runs "
                    "cannot be compared"
                )
            return None
        by = table.pop("by", list(target.losses[1:3] if weights else target.losses[:1]))
        if not isinstance(by, list) or not by or not all(name in target.losses for name in by):
            raise Wrong(f"prune.by must be some of {', '.join(target.losses)}. Received: {by!r}")
        if weights and target.losses[0] in by:
            raise Wrong(
                f"prune.by must not be {target.losses[0]} where space has {dashed(weights[0])}: "
                "it is a sum by other weights in each run"
            )
        limits = {
            "percentile": Range(least=0, most=100),
            "startup_trials": COUNT,
            "warmup": Range(least=0),
        }
        for key, value in table.items():
            kind = (int, float) if key == "percentile" else int
            if isinstance(value, bool) or not isinstance(value, kind):
                expected = "a whole number" if kind is int else "a number"
                raise Wrong(f"prune.{dashed(key)} must be {expected}. Received: {value!r}")
            if not limits[key].holds(value):
                raise Wrong(f"prune.{dashed(key)} must be {limits[key]}. Received: {value!r}")
        return Pruning(tuple(by), **table)

    # === Evaluation ===

    def _evaluation(self, target: Target, objectives, settings) -> EvaluateConfig | None:
        figures = [name for name in objectives if name in FIGURES]
        if not figures:
            if "evaluation" in self.table:
                raise Wrong("evaluation must be left out where no objective is a figure of it")
            return None
        flags = self._flags("evaluation", EvaluateConfig, _OF_A_SWEEP | target.not_evaluated)
        if target.load_config() is OptimizeConfig:
            # The pictures that are optimised are those that are measured.
            for name in ("content_path", "style_path"):
                flags[name] = settings.get(name, ())
        elif not flags.keys() & {"content_path", "style_path", "pairs"}:
            raise Wrong(
                f"evaluation must name the pictures that {figures[0]} is measured on: content-path "
                "and style-path, or pairs"
            )
        try:
            # Exports of networks that are used once would fill the cache.
            return EvaluateConfig(**{"engine": "keras", "optimize_count": 0} | flags)
        except UsageError as error:
            raise Wrong(f"evaluation: {error}") from error


def _fields(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table by the names of fields; both `max-iter` and `max_iter` are understood."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name in found:
            raise Wrong(f"{dashed(name)} is there twice")
        found[name] = value
    return found
