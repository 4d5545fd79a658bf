"""What decoded frames tell of themselves besides samples, and samples turned and fitted."""

from __future__ import annotations

import av
import numpy as np

from adain.video.color import PEAK


def _side_data(frame: av.VideoFrame, name: str) -> bytes | None:
    """A frame's side data of one kind; None also where PyAV does not read it."""
    try:
        data = frame.side_data.get(name)
    except ValueError:
        # Beside a kind that PyAV does not know, such as EXIF of cameras, it reads none.
        return None
    return None if data is None else bytes(data)


def peak_of(frame: av.VideoFrame) -> float:
    """cd/m2 of the brightest highlights, by the frame's metadata."""
    data = _side_data(frame, "CONTENT_LIGHT_LEVEL")
    if data is not None and len(data) >= 4:
        most = int.from_bytes(data[:4], "little")
        if 300 <= most <= 10000:
            return float(most)
    return PEAK


def display_turn(frame: av.VideoFrame) -> tuple[int, bool]:
    """How a frame is turned to be shown: quarters anticlockwise, and whether mirrored before."""
    data = _side_data(frame, "DISPLAYMATRIX")
    if data is None:
        return round(frame.rotation / 90) % 4, False
    a, b, _, c, d = np.frombuffer(data[:36], "<i4")[:5] / 65536
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    # The matrix takes (x, y) to (a x + c y, b x + d y), y downwards.
    quarters = round(np.degrees(np.arctan2(-b, a)) / 90) % 4
    return quarters, bool(mirrored)


def turn(samples: np.ndarray, quarters: int, mirrored: bool) -> np.ndarray:
    """Samples as they are shown; see `display_turn`."""
    if mirrored:
        samples = samples[:, ::-1]
    return np.rot90(samples, quarters) if quarters else samples


def fit_into(samples: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Samples `(h, w, channels)` resized to fit into `(height, width)`, in the middle of zeros."""
    from adain.imaging.io import resize_image

    height, width = size
    scale = min(height / samples.shape[0], width / samples.shape[1])
    rows, columns = (max(1, round(side * scale)) for side in samples.shape[:2])
    rows, columns = min(rows, height), min(columns, width)
    result = np.zeros((*size, samples.shape[2]), samples.dtype)
    top, left = (height - rows) // 2, (width - columns) // 2
    place = result[top : top + rows, left : left + columns]
    colors = samples.shape[2] // 3 * 3
    if colors:
        place[..., :3] = resize_image(np.ascontiguousarray(samples[..., :3]), (rows, columns))
    if colors < samples.shape[2]:
        alpha = resize_image(np.ascontiguousarray(samples[..., -1]), (rows, columns))
        place[..., -1] = alpha.reshape(rows, columns)
    return result
