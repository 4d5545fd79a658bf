"""What `adain optimize` does with each picture: read, optimise, keep count of its losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from adain.imaging import io as imaging
from adain.imaging.transparency import check_opaque, cover_hidden
from adain.inference.memory import choose_tile
from adain.optimization.config import OptimizeConfig
from adain.presets.architecture import ARCHITECTURES
from adain.sources import Source, read_source, shrink

Losses = dict[str, float]


class Worker:
    """Loaded networks and the settings of one run.

    Args:
        config: The settings.
        on_step: Called with the losses of each step of each picture.
    """

    def __init__(self, config: OptimizeConfig, on_step: Callable[[Losses], None]):
        # Here, because importing the backend takes seconds that a usage error should not cost.
        from adain.networks.model import StyleTransfer, load_loss_network

        self.config = config
        self._on_step = on_step
        self._model = StyleTransfer.from_preset(config.checkpoint)
        trained = ARCHITECTURES[self._model.architecture].trains_encoder
        self._encoder = load_loss_network() if trained else self._model.encoder

    def read_content(self, source: Source) -> tuple[np.ndarray, imaging.ImageMeta]:
        """A photo, HWC uint8 sRGB at `content_size`, and what its file holds besides."""
        picture, meta = read_source(source, self.config.max_pixels)
        picture = cover_hidden(picture, meta.alpha)
        return self._shrink(picture, self.config.content_size, source), meta

    def read_style(self, source: Source) -> np.ndarray:
        """A style, HWC uint8 sRGB at `style_size`.

        Raises:
            ImageError: If it cannot be read, or parts of it are transparent.
        """
        picture, meta = read_source(source, self.config.max_pixels)
        check_opaque(meta.alpha, str(source))
        return self._shrink(picture, self.config.style_size, source)

    def _shrink(self, picture: np.ndarray, size: int, source: Source) -> np.ndarray:
        return shrink(picture, size, self.config.max_pixels, str(source))

    def optimize(
        self,
        content: np.ndarray | None,
        style: np.ndarray | None,
        *,
        content_layers: Sequence[str],
        style_layers: Sequence[str],
        on_step: Callable[[int, Callable[[], np.ndarray]], None] = lambda step, picture: None,
    ) -> tuple[np.ndarray, Losses]:
        """Optimise one picture.

        Args:
            content, style: HWC uint8 sRGB; one may be left out.
            content_layers, style_layers: Names of taps.
            on_step: Called with the step and a function that gives the best picture so far.

        Returns:
            HWC uint8 sRGB, and its losses: of all steps those with the least sum.
        """
        from adain.optimization.gatys import optimize_image

        config = self.config
        best = {"loss": math.inf}
        start: str | np.ndarray = config.start
        if start == "adain":
            start = self._model.stylize(content, style, tile=choose_tile(self._model, content))

        def watch(step, found, picture):
            if found["loss"] < best["loss"]:
                best.update(found)
            on_step(step, picture)
            self._on_step(found)

        result = optimize_image(
            self._encoder,
            content,
            style,
            start=start,
            size=config.texture_size,
            content_weight=config.content_weight,
            style_weight=config.style_weight,
            tv_weight=config.tv_weight,
            content_layers=content_layers,
            style_layers=style_layers,
            style_loss=config.style_loss,
            method=config.optimizer,
            steps=config.steps,
            learning_rate=config.learning_rate,
            seed=config.seed,
            on_step=watch,
        )
        return result, best
