"""Clips with exactly known motion, rendered from photographs, and errors measured along it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

KINDS = ("pan", "zoom", "rotate", "object", "shake")


@dataclass(frozen=True)
class Layer:
    """One moving picture of a clip: the background, or an object in front of it."""

    picture: np.ndarray
    """HWC uint8."""
    mask: np.ndarray | None
    """`(height, width)` float32 of the picture; None: all of it."""
    place: Callable[[int], np.ndarray]
    """Frame number to the map from points of the frame to points of the picture, 3 x 3."""


class MovingClip:
    """A clip of a photograph that moves, and of another one that moves in front of it.

    Args:
        kind: One of `KINDS`.
        photo: HWC uint8, the larger the better.
        other: HWC uint8, for "object".
        size: `(height, width)`.
        frames: How many.
    """

    def __init__(
        self, kind: str, photo: np.ndarray, other: np.ndarray, size: tuple[int, int], frames: int
    ):
        self.kind, self.size = kind, size
        height, width = size
        # Room for the motion, and no more pixels than are seen.
        scale = 1.45 * max(height / photo.shape[0], width / photo.shape[1])
        photo = _resize(photo, scale)
        center = np.array([photo.shape[1] / 2, photo.shape[0] / 2])
        self._layers = [Layer(photo, None, lambda n: _background(kind, n, frames, center, size))]
        if kind == "object":
            side = round(0.55 * height)
            other = _resize(other, side / min(other.shape[:2]))[:side, :side]
            rows, columns = np.indices((side, side)) - (side - 1) / 2
            mask = (np.hypot(rows, columns) < side / 2 - 2).astype("float32")
            mask = cv2.GaussianBlur(mask, (0, 0), 0.7)
            self._layers.append(Layer(other, mask, lambda n: _object(n, frames, side, size)))
        self.frames = [self._render(number) for number in range(frames)]

    def _render(self, number: int) -> np.ndarray:
        frame = None
        for layer in self._layers:
            picture = _warp(layer.picture.astype("float32"), layer.place(number), self.size)
            if frame is None:
                frame = picture
            else:
                share = _warp(layer.mask, layer.place(number), self.size)[..., None]
                frame = share * picture + (1 - share) * frame
        return np.clip(np.rint(frame), 0, 255).astype("uint8")

    def motion(self, number: int, other: int) -> tuple[np.ndarray, np.ndarray]:
        """Where each point of a frame is in another one, and whether it is seen there.

        Returns:
            `(height, width, 2)` float32, x and y in pixels, and `(height, width)` bool.
        """
        height, width = self.size
        owners = self._owners(number), self._owners(other)
        place = np.zeros((height, width, 2), "float32")
        for index, layer in enumerate(self._layers):
            matrix = np.linalg.inv(layer.place(other)) @ layer.place(number)
            mine = owners[0] == index
            place[mine] = _points(self.size, matrix)[mine]
        x, y = place[..., 0], place[..., 1]
        seen = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        there = cv2.remap(
            owners[1].astype("float32"), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        # Of the same picture on all sides, here and there; edges of objects belong to both.
        seen &= np.abs(there - owners[0]) < 1e-3
        return place, seen & ~self._edges(owners[0])

    def _owners(self, number: int) -> np.ndarray:
        """Which layer is seen at each point."""
        owners = np.zeros(self.size, int)
        for index, layer in enumerate(self._layers[1:], start=1):
            owners[_warp(layer.mask, layer.place(number), self.size) > 0.5] = index
        return owners

    @staticmethod
    def _edges(owners: np.ndarray) -> np.ndarray:
        around = cv2.dilate(owners.astype("uint8"), np.ones((5, 5), "uint8"))
        inside = cv2.erode(owners.astype("uint8"), np.ones((5, 5), "uint8"))
        return around != inside


def warping_error(clip: MovingClip, results: Sequence[np.ndarray], step: int) -> float:
    """How much a point changes from a frame to the one `step` frames earlier.

        sqrt(mean over frames and points seen in both of |O_t(x) - O_s(x')|^2), in grey levels

    Args:
        clip: The clip, for its motion.
        results: A picture for each frame, HWC uint8.
        step: Frames between the two.
    """
    errors = []
    for number in range(step, len(results), max(1, step // 2)):
        place, seen = clip.motion(number, number - step)
        before = cv2.remap(
            results[number - step].astype("float32"), place, None, cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        gap = np.square(results[number].astype("float32") - before).mean(axis=-1)
        errors.append(gap[seen].mean())
    return float(np.sqrt(np.mean(errors)))


def _resize(picture: np.ndarray, scale: float) -> np.ndarray:
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = tuple(max(8, round(side * scale)) for side in picture.shape[1::-1])
    return cv2.resize(picture, size, interpolation=how)


def _warp(picture: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    how = cv2.INTER_CUBIC if picture.ndim == 3 else cv2.INTER_LINEAR
    border = cv2.BORDER_REFLECT if picture.ndim == 3 else cv2.BORDER_CONSTANT
    return cv2.remap(picture, _points(size, matrix), None, how, borderMode=border)


def _points(size: tuple[int, int], matrix: np.ndarray) -> np.ndarray:
    rows, columns = np.indices(size)
    points = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ matrix.T
    return points[..., :2].astype("float32")


def _background(
    kind: str, number: int, frames: int, center: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Frame to photo."""
    gone = number / max(frames - 1, 1) - 0.5
    scale, angle, shift = 1.0, 0.0, np.zeros(2)
    if kind == "pan":
        # Parts of a pixel, as a hand or a tripod moves.
        shift = np.array([0.35 * size[1], 0.12 * size[0]]) * gone
    elif kind == "zoom":
        scale = 1.0 - 0.3 * gone
    elif kind == "rotate":
        angle = np.radians(24) * gone
    elif kind == "object":
        shift = np.array([-0.06 * size[1], 0]) * gone
    elif kind == "shake":
        shift = np.array([2.5 * np.sin(1.7 * number), 2.0 * np.sin(2.3 * number + 1)])
        angle = 0.006 * np.sin(1.1 * number)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = center + shift - turn @ middle
    return matrix


def _object(number: int, frames: int, side: int, size: tuple[int, int]) -> np.ndarray:
    gone = number / max(frames - 1, 1)
    matrix = np.eye(3)
    matrix[:2, 2] = [-(0.05 + 0.5 * gone) * size[1], -0.2 * size[0] - 0.1 * size[0] * gone]
    return matrix
