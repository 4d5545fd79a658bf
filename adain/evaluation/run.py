"""Measure content kept and style taken: each method on each pair; figures go to `report`."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from adain.evaluation import report
from adain.evaluation.config import EvaluateConfig
from adain.evaluation.pairs import PHOTO, STYLE, EvaluationPlan, Pair, Squares, optimize_name
from adain.files import read_text
from adain.imaging import io as imaging
from adain.inference.style_code import StyleCode
from adain.inference.supersample import painted_size, stylize_enlarged
from adain.presets import npz
from adain.presets.preset import FULL_WIDTH_PRESET, Preset
from adain.sources import Source

TIMES = "milliseconds.json"
"""Beside another program's pictures: `{file name: milliseconds}`."""
PERIODS = (4, 8)
"""Pixels: what one feature at 1/4 and at 1/8 of the size covers."""
TILE = 1024
"""Of pictures larger than the table's, which need some memory."""


# === Methods: each gives a pair's picture, and figures that only it knows ===


class _Preset:
    """Our own weights; milliseconds with the graph built and the style encoded before."""

    def __init__(self, stylizer, config: EvaluateConfig):
        self._stylizer, self._config = stylizer, config
        blank = np.zeros((config.size, config.size, 3), "uint8")
        # The first call builds the graph.
        self._stylize(blank, self._encode(blank), 1.0)
        self._codes: dict[Source, tuple] = {}
        self._patterns: dict[Source, dict[str, float]] = {}
        self._plain: dict[Source, float] = {}

    def _encode(self, style: np.ndarray) -> StyleCode:
        """A style as large as photos are painted."""
        size = painted_size(*style.shape[:2], self._config.supersample)
        return self._stylizer.encode_style(imaging.resize_image(style, size), tile=TILE)

    def _stylize(self, content: np.ndarray, code: StyleCode, alpha: float) -> np.ndarray:
        def stylize(picture: np.ndarray) -> np.ndarray:
            return self._stylizer.stylize(
                picture, code, alpha, palette=self._config.palette, tile=TILE
            )

        return stylize_enlarged(stylize, content, self._config.supersample)

    def paint(self, pair: Pair, content: np.ndarray, style: np.ndarray):
        from adain.evaluation.metrics import pattern, ssim

        alpha = self._config.alpha
        if pair.style not in self._codes:
            self._codes[pair.style] = _timed(lambda: self._encode(style))
        code, encoding = self._codes[pair.style]
        picture, painting = _timed(lambda: self._stylize(content, code, alpha))
        if pair.content not in self._plain:
            self._plain[pair.content] = ssim(self._stylize(content, code, 0.0), content)
        if pair.style not in self._patterns:
            # Beside a photo, to have something to normalise with, and where its strokes do not
            # reach.
            beside = np.hstack([np.full_like(content, 128), content])
            flat = self._stylize(beside, code, alpha)[:, : content.shape[1] // 3]
            self._patterns[pair.style] = {
                f"pattern_{period}": pattern(flat, period) for period in PERIODS
            }
        return picture, self._patterns[pair.style] | {
            "ssim_alpha_0": self._plain[pair.content],
            "encode_milliseconds": encoding,
            "milliseconds": painting,
        }


class _Outputs:
    """Pictures that another program made."""

    def __init__(self, name: str, files: dict[str, Path], folder: Path, squares: Squares):
        self._name, self._files, self._squares = name, files, squares
        self._times = {}
        if (folder / TIMES).exists():
            try:
                times = json.loads(read_text(folder / TIMES))
                self._times = {file: float(value) for file, value in times.items()}
            except (ValueError, TypeError, AttributeError) as error:
                raise ValueError(
                    f"{folder / TIMES}: expected {{file name: milliseconds}} ({error})."
                ) from error

    def paint(self, pair: Pair, content: np.ndarray, style: np.ndarray):
        path = self._files.get(pair.name)
        if path is None:
            return None, {}
        picture = self._squares.read(Source(path, path.stem), self._name, exact=True)
        if picture is None:
            return None, {}
        known = path.name in self._times
        return picture, {"milliseconds": self._times[path.name]} if known else {}


class _Optimized:
    """The photo itself optimised; each picture is kept, because it takes minutes."""

    def __init__(self, encoder, config: EvaluateConfig, tell: Callable[[str], None]):
        self._encoder = encoder
        self._steps = config.optimize_steps
        self._folder = Path(config.out_path) / "cache"
        self._tell = tell
        self._settings = json.dumps([self._steps, _encoder_sum()]).encode()

    def paint(self, pair: Pair, content: np.ndarray, style: np.ndarray):
        key = hashlib.sha256(self._settings + content.tobytes() + style.tobytes()).hexdigest()
        path = self._folder / f"{key[:32]}.npz"
        if not path.exists():
            from adain.optimization.gatys import optimize_image

            picture, milliseconds = _timed(
                lambda: optimize_image(
                    self._encoder,
                    content,
                    style,
                    steps=self._steps,
                    on_step=lambda step, *_: self._tell(f"{pair.name}: step {step}"),
                )
            )
            npz.save(path, {"picture": picture}, {"milliseconds": milliseconds}, compress=True)
        arrays, about = npz.load(path)
        return arrays["picture"], about


def _encoder_sum() -> str:
    """SHA-256 of the encoder that judges."""
    return Preset.load(FULL_WIDTH_PRESET).sum_of("encoder.npz")


def _timed(action: Callable):
    """What an action gives, and the milliseconds it took."""
    started = time.perf_counter()
    result = action()
    return result, 1000 * (time.perf_counter() - started)


# === Measuring ===


def measure(config: EvaluateConfig, planned: EvaluationPlan) -> tuple[dict, list[str]]:
    """Measure all methods on all pairs and write `report.md`, `report.json` and `sheet.png`.

    The files are written before the slow baseline too, so that it may be killed; what it has made
    by then is not made again.

    Returns:
        The report as it was written, and one line for each picture that could not be read.

    Raises:
        ValueError: If no pair could be measured.
    """
    from adain.engines.registry import load_stylizer
    from adain.evaluation.metrics import Evaluator, Perceptual
    from adain.networks.model import load_loss_network

    encoder = load_loss_network()
    judge = Evaluator(encoder, Perceptual(config.lpips_weights))
    squares = Squares(config.size)
    slow = planned.pairs[: config.optimize_count]
    methods = {}
    for name in config.preset:
        stylizer = load_stylizer(
            name, config.engine, len(planned.pairs), precision=config.precision
        )
        methods[name] = _Preset(stylizer, config)
    for item in config.outputs:
        name, _, folder = item.partition("=")
        methods[name] = _Outputs(name, planned.outputs[name], Path(folder), squares)
    total = len(planned.pairs) + len(slow)
    with (
        tempfile.TemporaryDirectory() as scratch,
        tqdm(total=total, unit="pair", file=sys.stderr, disable=None) as bar,
    ):
        study = _Study(config, planned, squares, judge, _ArtFid(Path(scratch)))
        # In this order a photo is looked at once.
        for pair in sorted(planned.pairs, key=lambda pair: str(pair.content)):
            bar.set_postfix_str(pair.name)
            study.measure(pair, methods)
            bar.update()
        if not study.records:
            raise ValueError("; ".join([*squares.errors.values(), "no pair could be measured"]))
        result = study.write()
        if slow:
            optimized = {optimize_name(config): _Optimized(encoder, config, bar.set_postfix_str)}
            for pair in slow:
                study.measure(pair, optimized)
                bar.update()
            result = study.write()
    return result, list(squares.errors.values())


class _Study:
    """The figures so far."""

    def __init__(
        self, config: EvaluateConfig, planned: EvaluationPlan, squares: Squares, judge, art_fid
    ):
        self._config, self._planned, self._squares = config, planned, squares
        self._judge, self._art_fid = judge, art_fid
        # Some 20 MB each at 512 pixels.
        self._look = lru_cache(maxsize=16)(self._look_at)
        self._sheet: dict[Pair, dict[str, np.ndarray]] = {}
        self.records: dict[Pair, dict[str, dict]] = {}

    def _look_at(self, source: Source, kind: str):
        square = self._squares.read(source, kind)
        return None if square is None else self._judge.look(square)

    def measure(self, pair: Pair, methods: dict) -> None:
        """Let each method paint a pair, and measure the pictures; broken ones are left out."""
        content, style = (
            self._look(source, kind)
            for source, kind in ((pair.content, "content"), (pair.style, "style"))
        )
        if content is None or style is None:
            return
        if pair not in self.records:
            self.records[pair] = {}
            for name, look in ((PHOTO, content), (STYLE, style)):
                self._keep(pair, name, look, content, style, {})
        for name, method in methods.items():
            picture, figures = method.paint(pair, content.picture, style.picture)
            if picture is not None:
                self._keep(pair, name, self._judge.look(picture), content, style, figures)

    def _keep(self, pair: Pair, name: str, output, content, style, figures: dict) -> None:
        self.records[pair][name] = self._judge.compare(output, content, style) | figures
        if pair in self._planned.pairs[: report.SHEET_ROWS]:
            self._sheet.setdefault(pair, {})[name] = report.thumbnail(output.picture)
        self._art_fid.add(name, pair.name, output.picture, content.picture, style.picture)

    def write(self) -> dict:
        """Write the report of what has been measured so far; returns it."""
        records = [
            {
                "name": pair.name,
                "content": str(pair.content),
                "style": str(pair.style),
                "methods": self.records[pair],
            }
            for pair in self._planned.pairs
            if pair in self.records
        ]
        result = report.build(
            records,
            settings=asdict(self._config)
            | {"encoder": FULL_WIDTH_PRESET, "encoder_sha256": _encoder_sum()},
            notes=self._squares.notes,
            problems=[*self._planned.problems, *self._squares.errors.values()],
            extra=self._art_fid.scores(),
        )
        pictures = [self._sheet[pair] for pair in self._planned.pairs if pair in self._sheet]
        report.write(Path(self._config.out_path), result, pictures)
        return result


class _ArtFid:
    """Folders of pictures for the optional package `art_fid`, where it is installed."""

    def __init__(self, folder: Path):
        self._installed = importlib.util.find_spec("art_fid") is not None
        self._folder = folder
        self._places: dict[str, Path] = {}
        self._scores: dict[str, dict[str, float]] = {}

    def add(self, method: str, name: str, output, content, style) -> None:
        if not self._installed:
            return
        place = self._places.setdefault(method, self._folder / str(len(self._places)))
        for kind, picture in (("output", output), ("content", content), ("style", style)):
            (place / kind).mkdir(parents=True, exist_ok=True)
            imaging.save_image(place / kind / f"{name}.png", picture)

    def scores(self) -> dict[str, dict[str, float]]:
        """FID and ArtFID of each method; those that fail are reported and left out."""
        from adain.evaluation.metrics import art_fid

        for method, place in self._places.items():
            if method in self._scores:
                continue
            try:
                figures = art_fid(*(place / kind for kind in ("output", "content", "style")))
            except Exception as error:  # Of another project, and it downloads.
                logging.warning("no ArtFID of %s: %s", method, " ".join(str(error).split()))
                figures = {}
            self._scores[method] = figures
        return self._scores
