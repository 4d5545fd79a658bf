"""Two folders of pictures to a stream of training batches.

Batches are a pure function of (seed, step), so a run that was killed resumes with the very pairs
it would have seen.
"""

from __future__ import annotations

import copy
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from adain.imaging import io as imaging
from adain.training.second_view import see_again

logger = logging.getLogger(__name__)

CONTENT, STYLE = 0, 1
_SECOND_VIEW = 2  # Draws that belong to neither.


class Crop(NamedTuple):
    """One training picture: which file, and which of its crops."""

    kind: int
    index: int
    draw: int


class StyleContentDataset:
    """Pairs of photographs and paintings, cropped at random.

    Each picture is shrunk so that its shorter side is `image_size`, keeping its aspect, and
    cropped; a smaller one is enlarged no more than the crop needs. With `random_scale` the shorter
    side is drawn for each crop, and smaller pictures are enlarged to it. Every epoch visits every
    picture once, in an order of its own; the two folders turn over independently. Files that
    cannot be read are skipped, named in the log and kept in `skipped`; the next file stands in.

    Args:
        content_path, style_path: Folder, or several, searched with all sub-folders; no styles are
            needed where only `contents` are asked for.
        batch_size: Pairs a batch.
        image_size: Shorter side before cropping, pixels.
        crop_size: Side of the content's crops, pixels.
        style_crop_size: Side of the style's crops; 0: as `crop_size`.
        random_scale: The shorter side is `image_size` times a factor between `1 / random_scale`
            and `random_scale`, its logarithm uniform; 1: always `image_size`.
        fixed_draws: Draw only this many different crops of each photo, and of each style; 0: all
            new.
        redraw_epochs: Draw those crops again after this many epochs of their folder; 0: never.
        redraw_block: Run these epochs over so many pictures of a folder, then over the next ones;
            0: over the whole folder.
        second_views: Whether batches hold second views of photos too, as `see_again` gives them.
        seed: The same seed gives the same pairs and crops.
        workers: Threads that load pictures; 0: one for each core.
        shard: Load only this of so many equal parts of each batch: number, count.

    Raises:
        ValueError: If a folder holds no pictures.

    Example:
        >>> batches = StyleContentDataset("coco", "wikiart", batch_size=8)
        >>> batches.batch(0)["content"].shape
        (8, 256, 256, 3)
    """

    def __init__(
        self,
        content_path: str | Path | Sequence[str | Path],
        style_path: str | Path | Sequence[str | Path],
        *,
        batch_size: int = 8,
        image_size: int = 512,
        crop_size: int = 256,
        style_crop_size: int = 0,
        random_scale: float = 1.0,
        fixed_draws: tuple[int, int] = (0, 0),
        redraw_epochs: int = 0,
        redraw_block: int = 0,
        second_views: bool = False,
        seed: int = 0,
        workers: int = 0,
        shard: tuple[int, int] = (0, 1),
    ):
        self.files = (_find(content_path, "content"), _find(style_path, "style"))
        self.batch_size = batch_size
        self.image_size = image_size
        self.crop_sizes = (crop_size, style_crop_size or crop_size)
        self.random_scale = random_scale
        self.fixed_draws = fixed_draws
        self.redraw_epochs = redraw_epochs
        self.redraw_block = redraw_block
        self.second_views = second_views
        self.seed = seed
        self.workers = workers or os.cpu_count() or 1
        self.shard = shard
        self.skipped: dict[Path, str] = {}
        self._lock = threading.Lock()
        # A bounded cache: two kinds, and the epoch that ends beside the one that begins.
        self._order = lru_cache(maxsize=4)(self._make_order)

    def _make_order(self, kind: int, epoch: int) -> np.ndarray:
        return np.random.default_rng((self.seed, kind, epoch)).permutation(len(self.files[kind]))

    def plan(self, step: int) -> tuple[list[Crop], list[Crop]]:
        """Which crops make batch `step`: the content's and the style's."""
        return self._crops(CONTENT, step), self._crops(STYLE, step)

    @property
    def places(self) -> range:
        """Which of each batch are loaded."""
        number, count = self.shard
        return range(number * self.batch_size // count, (number + 1) * self.batch_size // count)

    def _crops(self, kind: int, step: int) -> list[Crop]:
        return [self._crop(kind, step * self.batch_size + place) for place in self.places]

    def _crop(self, kind: int, pick: int) -> Crop:
        total = len(self.files[kind])
        epoch, place = divmod(pick, total)
        if self.redraw_block and self.fixed_draws[kind]:
            # Blocks of one order, each several times before the next; the same number of picks.
            generation, place = divmod(pick, total * self.redraw_epochs)
            number, place = divmod(place, self.redraw_block * self.redraw_epochs)
            start = number * self.redraw_block
            size = min(self.redraw_block, total - start)
            turn, place = divmod(place, size)
            rng = np.random.default_rng((self.seed, kind, generation, number, turn))
            place = start + int(rng.permutation(size)[place])
            index = self._order(kind, generation)[place]
            return Crop(kind, int(index), self._draw(kind, generation * self.redraw_epochs + turn))
        return Crop(kind, int(self._order(kind, epoch)[place]), self._draw(kind, epoch))

    def _draw(self, kind: int, epoch: int) -> int:
        fixed = self.fixed_draws[kind]
        if not fixed:
            return epoch
        if not self.redraw_epochs:
            return epoch % fixed
        generation, epoch = divmod(epoch, self.redraw_epochs)
        return generation * fixed + epoch % fixed

    def unsharded(self) -> StyleContentDataset:
        """The same with whole batches."""
        whole = copy.copy(self)
        whole.shard = (0, 1)
        return whole

    def generation(self, crop: Crop) -> int:
        """How often the fixed crops had been drawn again when this one was drawn."""
        return crop.draw // self.fixed_draws[crop.kind] if self.redraw_epochs else 0

    def hold_out(self, pairs: int, batch_size: int) -> StyleContentDataset:
        """Take some pictures out of both folders, for validation.

        Which ones depends on the files alone, not on the seed: the stages of a recipe, whose seeds
        differ, never learn from them.

        Args:
            pairs: How many of each folder.
            batch_size: Pairs a batch of the new dataset.

        Returns:
            A dataset of the pictures taken out; its crops do not depend on the seed either.

        Raises:
            ValueError: If that is more than half of a folder.
        """
        kept, held = [], []
        for files, kind in zip(self.files, ("photographs", "paintings"), strict=True):
            if files and 2 * pairs > len(files):
                raise ValueError(
                    f"Validation may take half of the {len(files)} {kind} at most. "
                    f"Received: {pairs} pairs"
                )
            taken = set(np.random.default_rng(0).permutation(len(files))[:pairs].tolist())
            held.append([file for number, file in enumerate(files) if number in taken])
            kept.append([file for number, file in enumerate(files) if number not in taken])
        other = copy.copy(self)
        other.files, other.batch_size = (held[0], held[1]), batch_size
        other.seed, other.fixed_draws, other.skipped = 0, (0, 0), {}
        other._order = lru_cache(maxsize=4)(other._make_order)
        self.files = (kept[0], kept[1])
        return other

    def load(self, crop: Crop) -> np.ndarray:
        """One crop, `(crop_size, crop_size, 3)` uint8 sRGB."""
        files = self.files[crop.kind]
        rng = np.random.default_rng((self.seed, *crop))
        wanted = self.image_size
        if self.random_scale > 1:
            wanted = round(wanted * self.random_scale ** rng.uniform(-1, 1))
        for offset in range(len(files)):
            path = files[(crop.index + offset) % len(files)]
            if path in self.skipped:
                continue
            try:
                picture = imaging.read_training_image(path, wanted)
            except imaging.ImageError as error:
                with self._lock:
                    if path not in self.skipped:
                        self.skipped[path] = str(error)
                        logger.warning("skipped (%d so far): %s", len(self.skipped), error)
                continue
            if self.random_scale == 1:
                wanted = min(wanted, *picture.shape[:2])
            return _random_crop(picture, wanted, self.crop_sizes[crop.kind], rng)
        raise ValueError(f"None of the {len(files)} files can be read, for example {files[0]}.")

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Batch number `step`.

        Returns:
            `{"content": ..., "style": ...}`, each `(batch_size, crop, crop, 3)` uint8 sRGB, and
            what `see_again` returns where `second_views` are wanted; or a `shard` of all that.
        """
        return self.complete(
            {"content": self.contents(step), "style": self._stack(self.plan(step)[1])}, step
        )

    def complete(self, batch: dict[str, np.ndarray], step: int) -> dict[str, np.ndarray]:
        """Batch number `step` with second views of its contents, where they are wanted."""
        if not self.second_views:
            return batch
        return batch | see_again(
            batch["content"], (self.seed, _SECOND_VIEW, step), self.places.start
        )

    def contents(self, step: int) -> np.ndarray:
        """The photographs of batch number `step`."""
        return self._stack(self._crops(CONTENT, step))

    def _stack(self, crops: list[Crop]) -> np.ndarray:
        return np.stack([self.load(crop) for crop in crops])

    def batches(
        self, start: int = 0, stop: int | None = None, make: Callable[[int], Any] | None = None
    ) -> Iterator[Any]:
        """Batches `start`, `start + 1`, ..., made ahead by threads, in order.

        Args:
            start, stop: The first, and one past the last; without `stop`, without end.
            make: What makes one from its number: by default `batch`.
        """
        make = make or self.batch
        with ThreadPoolExecutor(self.workers) as pool:
            ahead: deque = deque()
            step = start
            try:
                while ahead or stop is None or step < stop:
                    while len(ahead) < 2 * self.workers and (stop is None or step < stop):
                        ahead.append(pool.submit(make, step))
                        step += 1
                    yield ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()


def _find(folders: str | Path | Sequence[str | Path], kind: str) -> list[Path]:
    folders = [folders] if isinstance(folders, str | Path) else list(folders)
    files: list[Path] = []
    for folder in folders:
        if not Path(folder).is_dir():
            is_file = Path(folder).exists()
            what = "is a file; name a folder" if is_file else "no such folder"
            raise ValueError(f"{folder}: {what} of {kind} pictures.")
        found = imaging.list_images(folder)
        if not found:
            raise ValueError(
                f"{folder}: no pictures here. Accepted: {' '.join(sorted(imaging.IMAGE_SUFFIXES))}"
            )
        files += found
    return files


def _random_crop(picture: np.ndarray, shorter_side: int, crop: int, rng: np.random.Generator):
    height, width = picture.shape[:2]
    shorter = min(height, width)
    target = max(shorter_side, crop)
    # Cutting before resizing touches only the pixels that are kept.
    side = crop * shorter / target
    top, left = (rng.uniform(0, length - side) for length in (height, width))
    rows = slice(round(top), max(round(top + side), round(top) + 1))
    columns = slice(round(left), max(round(left + side), round(left) + 1))
    shrinks = target < shorter
    patch = cv2.resize(
        picture[rows, columns],
        (crop, crop),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC,
    )
    return patch[:, ::-1] if rng.random() < 0.5 else patch
