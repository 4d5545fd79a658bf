"""Keep the content's colours: change the style before stylising, or the result after it.

"luma" works on the result, "coral" and "histogram" on the style, so a caller does both:

    style = prepare_style(style, content, method)
    image = restore_colors(stylize(content, style), content, method)

Pictures are HWC sRGB throughout. One may have 8 bits and the other 16: the changed one keeps its
type.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from adain.imaging.color_methods import COLOR_METHODS, changes_style
from adain.imaging.palette import FLOOR, Palette, power
from adain.imaging.resize import resample

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_BAND = 512


def prepare_style(style: np.ndarray, content: np.ndarray, method: str | None) -> np.ndarray:
    """Give the style the content's colours, for the methods that act before stylising.

    Args:
        style: HWC sRGB, uint8 or uint16.
        content: HWC sRGB, uint8 or uint16, of any size.
        method: One of `COLOR_METHODS`, or None for no change.

    Returns:
        HWC sRGB, of the style's size and type; the style itself for None and methods that change
        the result.

    Raises:
        ValueError: If the method is unknown or a picture has another shape or type.

    Reference:
        Gatys et al., Preserving Color in Neural Artistic Style Transfer, arXiv 1606.05897
    """
    _check_method(method)
    return COLOR_METHODS[method].function(style, content) if changes_style(method) else style


def restore_colors(image: np.ndarray, content: np.ndarray, method: str | None) -> np.ndarray:
    """Give the result the content's colours, for the method that acts after stylising.

    Args:
        image: The stylised picture, HWC sRGB, uint8 or uint16.
        content: HWC sRGB, uint8 or uint16; resized to `image` where the sizes differ.
        method: One of `COLOR_METHODS`, or None for no change.

    Returns:
        HWC sRGB, of `image`'s size and type; the picture itself for None and methods that change
        the style.

    Raises:
        ValueError: If the method is unknown or a picture has another shape or type.
    """
    _check_method(method)
    done = method is None or changes_style(method)
    return image if done else COLOR_METHODS[method].function(image, content)


def keep_luma(image: np.ndarray, content: np.ndarray) -> np.ndarray:
    """The luma of one picture with the chroma of another: Y(image), Cb(content), Cr(content).

    Colours that this pushes out of range lose saturation, never luma or hue.

    Args:
        image: The stylised picture, HWC sRGB, uint8 or uint16.
        content: HWC sRGB, uint8 or uint16; resized to `image` where the sizes differ.

    Returns:
        HWC sRGB, of `image`'s size and type.

    Raises:
        ValueError: If a picture has another shape or type.
    """
    _check_image("image", image)
    _check_image("content", content)
    height, width = image.shape[:2]
    if content.shape != image.shape:
        content = resample(content, (height, width), Image.Resampling.BICUBIC)
    result, white = np.empty_like(image), _white(image)
    factor = np.float32(white / _white(content))
    # In bands: the float copies of a very large picture would not fit.
    for top in range(0, height, _BAND):
        rows = slice(top, top + _BAND)
        luma = _luma(image[rows])
        color = content[rows] * factor
        chroma = color - _luma(color)
        # Equal chroma is an equal distance from grey; shorten it to what the range leaves.
        room = np.where(chroma > 0, white - luma, luma)
        fits = room / np.maximum(np.abs(chroma), 1e-6)
        scale = np.minimum(fits.min(axis=-1, keepdims=True), 1)
        result[rows] = np.clip(np.rint(luma + scale * chroma), 0, white)
    return result


def _luma(picture: np.ndarray) -> np.ndarray:
    # Not a product of matrices, which rounds by where a pixel is: one colour would become two.
    red, green, blue = (share * picture[..., i : i + 1] for i, share in enumerate(_LUMA))
    return red + green + blue


def match_color_coral(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Give one picture the mean and covariance of another's colours (CORAL).

        y = C_target^(1/2) C_source^(-1/2) (x - mu_source) + mu_target

    Args:
        source: The picture to change, HWC sRGB, uint8 or uint16.
        target: The picture with the wanted colours, HWC sRGB, uint8 or uint16, of any size.

    Returns:
        HWC sRGB, of the source's size and type.

    Raises:
        ValueError: If a picture has another shape or type.

    Reference:
        Sun et al., Return of Frustratingly Easy Domain Adaptation, arXiv 1511.05547
    """
    _check_image("source", source)
    _check_image("target", target)
    ours, theirs = Palette.of(source), Palette.of(target)
    floor = FLOOR * np.eye(3)
    roots = (
        power(theirs.covariance + floor, 0.5, FLOOR),
        power(ours.covariance + floor, -0.5, FLOOR),
    )
    matrix = roots[0] @ roots[1]  # (3, 3)
    offset = theirs.mean - matrix @ ours.mean
    white = _white(source)
    colors = source.astype(np.float32) @ matrix.T.astype(np.float32) + white * offset
    return np.clip(np.rint(colors), 0, white).astype(source.dtype)


def match_color_histogram(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Give one picture the histogram of another's, channel by channel.

    Args:
        source: The picture to change, HWC sRGB, uint8 or uint16.
        target: The picture with the wanted colours, HWC sRGB, uint8 or uint16, of any size.

    Returns:
        HWC sRGB, of the source's size and type.

    Raises:
        ValueError: If a picture has another shape or type.
    """
    _check_image("source", source)
    _check_image("target", target)
    result, factor = np.empty_like(source), _white(source) / _white(target)
    for channel in range(3):
        ranks, _ = _ranks(source[..., channel])
        wanted, present = _ranks(target[..., channel])
        table = np.interp(ranks, wanted[present], present) * factor
        result[..., channel] = np.rint(table).astype(source.dtype)[source[..., channel]]
    return result


def _ranks(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each level's place among the pixels, in [0, 1], and the levels that occur."""
    counts = np.bincount(plane.ravel(), minlength=_white(plane) + 1)
    # Those below and half of its own: a flat picture turns to the other's median.
    return (np.cumsum(counts) - counts / 2) / plane.size, np.flatnonzero(counts)


def _white(image: np.ndarray) -> int:
    return np.iinfo(image.dtype).max


def _check_method(method: str | None) -> None:
    if method is not None and method not in COLOR_METHODS:
        raise ValueError(
            f"`method` must be one of {', '.join(COLOR_METHODS)}, or None. "
            f"Received: method={method!r}"
        )


def _check_image(name: str, image: np.ndarray) -> None:
    good = image.dtype in (np.uint8, np.uint16) and 0 not in image.shape
    if not good or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"`{name}` must be (height, width, 3), uint8 or uint16. "
            f"Received: shape={image.shape}, dtype={image.dtype}"
        )
