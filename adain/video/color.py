"""Colours of video frames: matrix and range, transparency, and HDR brought to the range of sRGB.

Reference:
    ITU-R BT.2100 (PQ and HLG), BT.2390 section 5.4 (the tone curve), BT.2408 (reference white).
"""

from __future__ import annotations

from functools import lru_cache

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

_UNSPECIFIED = 2
_HD = 720
"""Rows from which a frame that does not tell its matrix has that of BT.709."""
WHITE = 203.0
"""cd/m2 of HDR's reference white, which becomes sRGB's white."""
PEAK = 1000.0
"""cd/m2 of the brightest highlights, where the file does not tell."""
HDR = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}
"""Transfer characteristics whose frames are tone-mapped."""
TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], "float32"
)
"""Linear BT.2020 to BT.709."""


_MATRICES = {
    int(Colorspace.ITU709), int(Colorspace.FCC), int(Colorspace.ITU601), 6,
    int(Colorspace.SMPTE240M), int(Colorspace.BT2020),
}  # fmt: skip
"""YUV matrices that FFmpeg converts; 6 is BT.601 of 525 lines."""
_NOT_OURS = {8: "YCgCo", 10: "BT.2020 of constant luminance", 14: "ICtCp", 15: "IPT-C2"}
"""Matrices in use that it does not convert."""
_BIG_ENDIAN = ("rgb555be", "bgr555be", "rgb565be", "bgr565be")


class PixelFormatError(ValueError):
    """Frames of a pixel format that nothing here converts."""


def matrix_of(colorspace: int, height: int) -> int:
    """A frame's YUV matrix: what it says, or what players take for frames of its height."""
    if colorspace not in _MATRICES:
        return int(Colorspace.ITU709 if height >= _HD else Colorspace.ITU601)
    return colorspace


def unknown_matrix(frame: av.VideoFrame) -> str:
    """The name of a frame's matrix if it is one that is not converted here, or ""."""
    return "" if frame.format.is_rgb else _NOT_OURS.get(int(frame.colorspace), "")


def has_alpha(frame: av.VideoFrame) -> bool:
    """Whether a frame's format has transparency; of a palette, whether it is made use of."""
    if frame.format.name == "pal8":
        return to_rgb(frame).shape[2] == 4
    return any(part.is_alpha for part in frame.format.components)


def to_rgb(frame: av.VideoFrame, deep: bool = False, peak: float = PEAK) -> np.ndarray:
    """A decoded frame's samples as sRGB.

    Args:
        frame: Any format.
        deep: Whether to keep more than 8 bits.
        peak: cd/m2 of the brightest highlights, of HDR.

    Returns:
        HWC uint8, or uint16 if `deep`; four channels where the frame has transparency.

    Raises:
        PixelFormatError: If nothing converts the format.
    """
    format = frame.format.name
    grey = format.startswith(("gray", "ya"))
    hdr = HDR.get(int(frame.color_trc))
    limited = int(frame.color_range) == int(ColorRange.MPEG)
    if not frame.format.is_rgb and format != "pal8":
        _complete_tags(frame, wide=bool(hdr))
    if format == "pal8":
        samples = _converted(frame, "rgba")
        return samples if samples[..., 3].min() < 255 else samples[..., :3]
    alpha = any(part.is_alpha for part in frame.format.components)
    if hdr:
        samples = _converted(frame, "rgba64le" if alpha else "rgb48le")
        wide = int(frame.color_primaries) in (_UNSPECIFIED, int(ColorPrimaries.BT2020))
        colors = tone_map(samples[..., :3], hdr, peak, wide=wide, deep=deep)
        if not alpha:
            return colors
        return np.dstack([colors, samples[..., 3] if deep else samples[..., 3] // 257])
    if format in _BIG_ENDIAN:
        # FFmpeg takes them for little-endian ones.
        frame = _swapped(frame)
    names = ("rgba", "rgba64le") if alpha else ("rgb24", "rgb48le")
    samples = _converted(frame, names[deep])
    # FFmpeg takes all grey frames for full-range ones.
    return _stretched(samples) if grey and limited else samples


def _complete_tags(frame: av.VideoFrame, *, wide: bool) -> None:
    """Matrix and range of a YUV frame as players take them, where it does not tell."""
    matrix = int(frame.colorspace)
    if wide and matrix not in _MATRICES:
        matrix = int(Colorspace.BT2020)
    frame.colorspace = matrix_of(matrix, frame.height)
    if int(frame.color_range) not in (int(ColorRange.MPEG), int(ColorRange.JPEG)):
        full = frame.format.name.startswith("yuvj")
        frame.color_range = ColorRange.JPEG if full else ColorRange.MPEG


def _converted(frame: av.VideoFrame, format: str) -> np.ndarray:
    try:
        return frame.to_ndarray(format=format)
    except (OSError, ValueError) as error:
        raise PixelFormatError(
            f"frames of the pixel format {frame.format.name} cannot be converted here. Convert it "
            "to H.264, for example with ffmpeg -i."
        ) from error


def _swapped(frame: av.VideoFrame) -> av.VideoFrame:
    """A big-endian frame of 16 bits a pixel as the little-endian one."""
    result = av.VideoFrame(frame.width, frame.height, frame.format.name.replace("be", "le"))
    source, target = frame.planes[0], result.planes[0]
    pixels = np.frombuffer(source, "<u2").reshape(frame.height, -1)[:, : frame.width]
    rows = np.zeros((frame.height, target.line_size // 2), "<u2")
    rows[:, : frame.width] = pixels.byteswap()
    target.update(rows.tobytes())
    return result


def _stretched(samples: np.ndarray) -> np.ndarray:
    """Limited range to full range; transparency has the full one anyway."""
    unit = 1 if samples.dtype == np.uint8 else 256
    colors = (samples[..., :3].astype("float32") - 16 * unit) / (219 * unit)
    colors = np.rint(np.clip(colors, 0, 1) * np.iinfo(samples.dtype).max).astype(samples.dtype)
    return np.dstack([colors, samples[..., 3:]])


def tone_map(
    samples: np.ndarray, transfer: str, peak: float = PEAK, *, wide: bool = True, deep: bool = False
) -> np.ndarray:
    """HDR to the range of sRGB: reference white stays white, highlights are rolled off below it.

    The curve acts on the largest of red, green and blue, and the others follow: hues stay.

    Args:
        samples: HWC uint16, as they are coded.
        transfer: "PQ" or "HLG".
        peak: cd/m2 of the brightest highlights.
        wide: Whether the primaries are BT.2020's.
        deep: Whether to return uint16.

    Returns:
        HWC sRGB, uint8, or uint16 if `deep`.
    """
    import cv2

    light = _to_light(transfer)[samples]
    if transfer == "HLG":
        # The system's gamma of a display of 1,000 cd/m2.
        luma = light @ np.array([0.2627, 0.6780, 0.0593], "float32")
        light *= (np.maximum(luma, 1e-6) ** 0.2)[..., None] * np.float32(PEAK / WHITE)
    largest = np.maximum(light.max(axis=-1), 1e-6)
    light *= (_roll_off(largest, max(peak, WHITE) / WHITE) / largest)[..., None]
    if wide:
        light = cv2.transform(light, TO_709)
    table = _from_light(deep)
    return table[np.rint(np.clip(light, 0, 1) * 65535).astype("uint16")]


@lru_cache
def _to_light(transfer: str) -> np.ndarray:
    """Coded values to linear light, 65,536 float32: of PQ 1 is reference white, of HLG the most."""
    code = np.linspace(0, 1, 65536)
    if transfer == "PQ":
        return (_pq_to_nits(code) / WHITE).astype("float32")
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12).astype("float32")


@lru_cache
def _from_light(deep: bool) -> np.ndarray:
    """Linear light, 0 to 65535, to sRGB."""
    light = np.linspace(0, 1, 65536)
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    most, kind = (65535, "uint16") if deep else (255, "uint8")
    return np.rint(coded * most).astype(kind)


_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128


def _pq_to_nits(code: np.ndarray) -> np.ndarray:
    root = code ** (1 / _M2)
    return 10000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)


def _nits_to_pq(nits: np.ndarray) -> np.ndarray:
    power = (np.clip(nits, 0, 10000) / 10000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def _roll_off(light: np.ndarray, peak: float) -> np.ndarray:
    """BT.2390's curve, by a table over PQ: light where 1 is white, `peak` becomes 1."""
    table = _curve(round(peak, 3))
    place = _nits_to_pq(light * np.float32(WHITE)) * (len(table) - 1)
    return np.interp(place, np.arange(len(table)), table).astype("float32")


@lru_cache
def _curve(peak: float) -> np.ndarray:
    source = np.linspace(0, 1, 4096)
    brightest = float(_nits_to_pq(np.float64(peak * WHITE)))
    white = float(_nits_to_pq(np.float64(WHITE))) / brightest
    value = np.minimum(source / brightest, 1)
    knee = max(1.5 * white - 0.5, 0)
    t = np.clip((value - knee) / max(1 - knee, 1e-6), 0, 1)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * white
    )
    return _pq_to_nits(np.where(value < knee, value, spline) * brightest) / WHITE
