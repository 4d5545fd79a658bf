"""Where one scene ends and another begins."""

from __future__ import annotations

import numpy as np

_SIZE = (48, 27)
_BINS = 32
_DIFFERENT = 18.0
"""Grey levels by which small copies of the frames differ on the mean, at least, at a cut."""
_UNLIKE = 0.22
"""Half the sum of differences between the frames' histograms, at least."""
_SUDDEN = 3.0
"""How many times as much as between the frames before."""
_DARK, _FAINT = 2.0, 8.0
"""Deviations of grey levels below which nothing can be seen in a frame, and little."""
_RISES = 1.5
"""How many times as strong a faint scene's frames become when another one comes up."""


class SceneDetector:
    """Finds cuts from one frame to the next: sudden, large and not only a shift of brightness.

    What comes up out of black, or of any other colour, is a scene, too, and again each time it has
    become much clearer, until it can be seen well: networks make more of a frame than of the one
    before, of which little could be seen.
    """

    def __init__(self):
        self._last: tuple[np.ndarray, np.ndarray] | None = None
        self._usual = 0.0
        self._clear = 0.0

    def is_cut(self, grey: np.ndarray) -> bool:
        """Whether a frame, `(height, width)` uint8, begins a scene; the first one does."""
        import cv2

        small = cv2.resize(grey, _SIZE, interpolation=cv2.INTER_AREA).astype("float32")
        bins = (small.ravel() * (_BINS / 256)).astype("int64")
        counts = np.bincount(bins, minlength=_BINS) / small.size
        last, self._last = self._last, (small, counts)
        clear = max(float(small.std()), _DARK)
        if last is None:
            self._clear = clear
            return True
        # A flash or a fade changes all of it alike.
        difference = np.abs((small - small.mean()) - (last[0] - last[0].mean())).mean()
        moved = 0.5 * np.abs(np.cumsum(counts) - np.cumsum(last[1])).sum() / _BINS * 4
        unlike = max(0.5 * np.abs(counts - last[1]).sum(), moved)
        sudden = difference > _SUDDEN * self._usual
        cut = bool(difference > _DIFFERENT and unlike > _UNLIKE and sudden)
        cut |= self._clear < _FAINT and clear > _RISES * self._clear
        if cut or clear < self._clear:
            self._clear = clear
        self._usual = 0.0 if cut else max(float(difference), 0.7 * self._usual)
        return cut

    def state(self) -> np.ndarray:
        """What it knows besides the last frame."""
        return np.array([self._usual, self._clear])

    def restore(self, state: np.ndarray) -> None:
        """Go on from what `state` gave, once the last frame was looked at again."""
        self._usual, self._clear = map(float, state)
