"""Masks of a tab, painted on its preview."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from adain.files import replacing
from adain.imaging import io as imaging
from adain.options import UsageError
from adain.stylize.inputs import Planes, to_mask

_PIXELS = 4096**2
"""Pixels of a mask, which has the size of a preview."""


class Masks:
    """The masks in a folder, by keys of their contents.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    def take(self, data: bytes) -> tuple[str, bool]:
        """Keep a mask; returns its key, and whether there is something inside.

        Raises:
            ImageError: If it is no picture.
        """
        colors, meta = imaging.read_image(data, max_pixels=_PIXELS)
        if not colors.any():
            return "", False
        return self._keep(to_mask(Planes(colors, meta.alpha), "The mask", _PIXELS)), True

    def _keep(self, mask: np.ndarray) -> str:
        key = hashlib.sha256(f"{mask.shape}".encode() + mask.tobytes()).hexdigest()[:32]
        self._write(self._folder / f"mask-{key}" / "mask.png", mask)
        return key

    @staticmethod
    def _write(path: Path, mask: np.ndarray) -> None:
        # Two requests may do so at the same time.
        if not path.exists():
            with replacing(path, make_folder=True) as file:
                imaging.save_image(file, mask, format="PNG")

    def file(self, key: str, name: str) -> Path:
        """A mask as a file of a name.

        Raises:
            UsageError: If there is no such mask.
        """
        mask = self._mask(key)
        path = self._folder / f"mask-{key}" / f"{name}.png"
        self._write(path, mask)
        return path

    def rest(self, keys: list[str]) -> str:
        """What masks leave of the photo, as a mask; "" if it is nothing.

        Raises:
            UsageError: If there is no such mask.
        """
        masks = [self._mask(key) for key in keys]
        if len({mask.shape for mask in masks}) > 1:
            raise UsageError("Masks must have one size. Paint them again.")
        rest = 255 - np.minimum(np.sum(masks, axis=0, dtype=int), 255).astype(np.uint8)
        return self._keep(rest) if rest.any() else ""

    def _mask(self, key: str) -> np.ndarray:
        path = self._folder / f"mask-{key}" / "mask.png"
        if not (key.isalnum() and path.exists()):
            raise UsageError("There is no such mask. Paint it again.")
        return imaging.load_image(path)[..., 0]
