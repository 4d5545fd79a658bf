"""One pass of a photo through the networks: what is measured first, and in which of its copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np

from adain.constants import NOISE
from adain.imaging.palette import Palette, transport
from adain.inference.photo import Look, Networks, Photo, Statistics, shrink
from adain.inference.steady import SteadyFrame
from adain.inference.style_code import StyleCode

ONE_PASS = 2**22
"""Pixels of all regions together up to which a result's own palette is taken, in one pass."""
COPY = 2**18
"""Pixels of the copy of a larger photo from which its result's palette is taken, and what its
decoder normalises with."""
SMALL = 2**19
"""Pixels up to which a decoder normalises with what it finds in the photo itself."""

FADING = 0.1
"""Share of a frame's own deviations by which its statistics may be those of the frames before."""

Progress = Callable[[int, int], None]
"""Called with the number of steps done, and of all steps."""


class Part(NamedTuple):
    """The style of a region."""

    code: StyleCode
    alpha: float
    move: float
    """How far the result's colours are moved to the style's, in [0, 1]."""

    @property
    def statistics(self) -> Statistics:
        """Those of all levels together."""
        return Statistics(np.concatenate(self.code.means), np.concatenate(self.code.stds))


class Pass:
    """A photo to its result, once.

    Args:
        networks: What to process it with.
        content: HWC uint8 or uint16 sRGB, any size.
        masks: As for `Photo`.
        tile: As for `Photo`.
        steady: What the photo shares with other frames of a clip.
        progress: Called after each step.
    """

    def __init__(
        self,
        networks: Networks,
        content: np.ndarray,
        masks: Sequence[np.ndarray] | None,
        tile: int,
        steady: SteadyFrame,
        progress: Progress | None,
    ):
        self._networks = networks
        self._content = content
        self._masks = masks
        self._tile = tile
        self._steady = steady
        self._progress = progress
        self._steps = count(1)
        self._total = 0

    # Photos hold it: if it held one, such a circle would keep the features for a while.
    def _tick(self) -> None:
        if self._progress is not None:
            self._progress(next(self._steps), self._total)

    def run(self, parts: Sequence[Part]) -> np.ndarray:
        """The result, HWC, the content's size and type; `parts` has one for each mask."""
        content, masks, steady = self._content, self._masks, self._steady
        pixels = content.shape[0] * content.shape[1]
        photo = Photo(self._networks, content, masks, self._tile, self._tick)
        self._total = 2 * photo.cuts
        moved = any(part.move for part in parts)
        cuts, large = photo.cuts > 1, pixels > SMALL
        normalized = self._networks.architecture.normalized
        # Of a frame at once: by what it differs from the ones before, more is due.
        looks = self._look(photo, parts, "content") if steady.window else None
        fixes = normalized and (cuts or masks is not None or large or steady.window > 0)
        measures = fixes and steady.due("decoder")
        in_one_pass = pixels * len(parts) <= ONE_PASS
        takes = moved and (in_one_pass or steady.due("palette"))
        recolors_copy = takes and not in_one_pass
        copy, palettes = None, None
        if recolors_copy or (measures and (cuts or large)):
            small = normalized and not large
            source = (content, masks) if small else shrink(content, masks, COPY)
            # What a decoder normalises with is that of a whole picture.
            copy = Photo(self._networks, *source, 0 if fixes else self._tile, self._tick)
            self._total += copy.cuts * (1 + recolors_copy)
            copied = self._look(copy, parts, "copy")
            if fixes:
                copied = self._fix(copied, copy if measures else None)
            if recolors_copy:
                palettes = self._take_palettes(copy, copy.pictures(copied))
        elif moved and not takes:
            palettes = self._held_palettes(parts)
        if looks is None:
            looks = self._look(photo, parts, "content")
        if normalized and not fixes and self._is_flat(looks):
            fixes = measures = True
        if fixes:
            looks = self._fix(looks, photo if measures and copy is None else None)
        if palettes:
            return photo.stylize(_recolored(looks, palettes, parts))
        if not moved:
            return photo.stylize(looks)
        pictures = photo.pictures(looks)
        # Last of all: frames in other threads wait for it.
        palettes = self._take_palettes(photo, pictures)
        return photo.compose(pictures, _recolored(looks, palettes, parts))

    def _is_flat(self, looks: Sequence[Look]) -> bool:
        """Whether nothing but rounding errors is there to be normalised."""
        epsilon = self._networks.architecture.epsilon
        return all((look.own.std**2 < epsilon + NOISE).all() for look in looks)

    def _look(self, photo: Photo, parts: Sequence[Part], kind: str) -> list[Look]:
        owns = [
            Statistics(*self._steady.hold(kind, number, own, 2 * [FADING * own.std], styled=False))
            for number, own in enumerate(photo.statistics())
        ]
        pairs = zip(owns, parts, strict=True)
        return [Look(own, part.statistics, part.alpha) for own, part in pairs]

    def _fix(self, looks: Sequence[Look], photo: Photo | None) -> list[Look]:
        """With what the decoder normalises with: measured in a photo, or None: as it was before."""
        if photo is None:
            found = [self._steady.held("decoder", number) for number in range(len(looks))]
        else:
            measured = enumerate(look.fixed for look in photo.measure(looks))
            found = [self._steady.hold("decoder", number, [own]) for number, own in measured]
        return [look._replace(fixed=own) for look, (own,) in zip(looks, found, strict=True)]

    def _take_palettes(self, photo: Photo, pictures: Sequence[np.ndarray]) -> list[Palette]:
        held = []
        for number, own in enumerate(photo.palettes(pictures)):
            limit = FADING * np.sqrt(np.diag(own.covariance) + NOISE)
            limits = limit, np.outer(limit, limit) / FADING
            found = self._steady.hold("palette", number, [own.mean, own.covariance], limits)
            held.append(Palette(*found))
        return held

    def _held_palettes(self, parts: Sequence[Part]) -> list[Palette]:
        return [Palette(*self._steady.held("palette", number)) for number in range(len(parts))]


def _recolored(
    looks: Sequence[Look], palettes: Sequence[Palette], parts: Sequence[Part]
) -> list[Look]:
    return [
        look._replace(matrix=transport(own, part.code.palette, part.move)) if part.move else look
        for look, own, part in zip(looks, palettes, parts, strict=True)
    ]
