"""What `StylizePipeline` takes as photo, style and mask, turned into one form of each."""

from __future__ import annotations

import hashlib
import io
import logging
import math
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from adain.imaging import io as imaging
from adain.imaging.pixels import native_order
from adain.inference.regions import integers_to_mask
from adain.inference.regions import to_mask as check_mask
from adain.inference.style_code import StyleCode
from adain.sources import STYLE_CARD, Source, is_card, read_source

# Of 255: a mask that reaches no further is hardly meant as one. The dark colours of label pictures,
# such as PASCAL VOC's red of 128, have a lightness of up to 113.
_FAINT = 128
_LUMA = np.array([0.299, 0.587, 0.114], "float32")
_PATHS = (str, os.PathLike)
_BYTES = (bytes, bytearray, memoryview)


logger = logging.getLogger(__name__)


class Planes(NamedTuple):
    """A picture, taken apart."""

    colors: np.ndarray
    """HWC uint8 or uint16 sRGB."""
    alpha: np.ndarray | None = None
    """`(height, width)` of the same type, 0 transparent; None: opaque."""


@dataclass(frozen=True, eq=False)
class StyleMix:
    """Several styles blended into one: the weighted mean of their codes.

    Args:
        styles: Anything that `StylizePipeline.run` takes as a style, also other mixes.
        weights: One number for each style, 0 or more, not all 0; None: all count the same.

    Raises:
        ValueError: If the weights do not fit.

    Example:
        >>> image = pipeline.run("photo.jpg", adain.StyleMix(["night.jpg", "blue-river"], [3, 1]))
    """

    styles: Sequence[Any]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        single = isinstance(self.styles, (*_PATHS, *_BYTES, np.ndarray))
        if single or not isinstance(self.styles, Sequence) or not self.styles:
            raise ValueError(
                "`styles` must be a list of one or more styles. "
                f"Received: {type(self.styles).__name__}"
            )
        if self.weights is None:
            return
        try:
            weights = [float(weight) for weight in self.weights]
        except (TypeError, ValueError):
            weights = []
        good = all(weight >= 0 for weight in weights) and 0 < sum(weights) < math.inf
        if len(weights) != len(self.styles) or not good:
            raise ValueError(
                f"`weights` must be {len(self.styles)} numbers, one for each style, 0 or more and "
                f"not all 0. Received: {self.weights!r}"
            )


@dataclass(frozen=True)
class Lazy:
    """A style or mask that is read when it is needed, and again if it was needed long ago.

    Args:
        key: What tells it from others.
        load: Reads it; of a mask, what `to_mask` gives.
        name: What errors call it.
        card: Whether it is a style card, which has no picture.
    """

    key: Hashable
    load: Callable[[], Planes | StyleCode | np.ndarray] = field(compare=False)
    name: str = field(compare=False)
    card: bool = field(default=False, compare=False)


class Part(NamedTuple):
    """One style of a mix."""

    style: Lazy | StyleCode
    weight: float


def to_planes(value: Any, name: str, max_pixels: int) -> Planes:
    """A picture in any form, as colours and transparency.

    Args:
        value: An array, uint8 or uint16 sRGB: `(height, width)` or `(height, width, channels)` with
            1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels; a Pillow picture, turned
            upright, in sRGB and with its transparency as if it were read from a file; or a path or
            the bytes of a file.
        name: What errors call it.
        max_pixels: Refuse pictures of more pixels.

    Raises:
        ImageError: If a file cannot be read.
        ValueError: If it is none of these.
    """
    name = name if name.startswith("`") else f"`{name}`"
    if isinstance(value, _PATHS) and not os.fspath(value):
        raise ValueError(f"{name} must be a picture's path. Received: an empty one")
    if isinstance(value, Image.Image):
        value = _from_pillow(value, name)
    if isinstance(value, _PATHS):
        value = Path(value)
    elif isinstance(value, _BYTES):
        value = bytes(value)
    if isinstance(value, Path | bytes) or hasattr(value, "read"):
        colors, meta = imaging.read_image(value, max_pixels=max_pixels, keep_depth=True)
        return Planes(colors, meta.alpha)
    array = native_order(np.asarray(value) if hasattr(value, "__array__") else value)
    good = isinstance(array, np.ndarray) and array.dtype in (np.uint8, np.uint16) and array.size
    if good and array.ndim == 2:
        array = array[..., None]
    if not good or array.ndim != 3 or array.shape[2] > 4:
        found = type(value).__name__
        if isinstance(array, np.ndarray):
            found = f"shape={array.shape}, dtype={array.dtype}"
        raise ValueError(
            f"{name} must be an array, (height, width) or (height, width, 1 to 4), uint8 or "
            f"uint16 sRGB, a Pillow picture, or a file's path or bytes. Received: {found}"
        )
    channels = array.shape[2]
    alpha = array[..., -1] if channels in (2, 4) else None
    colors = array[..., :3] if channels > 2 else np.repeat(array[..., :1], 3, axis=2)
    return Planes(colors, alpha)


def _from_pillow(picture: Image.Image, name: str) -> np.ndarray | bytes:
    """A Pillow picture as an array, or as a file where colours have to be converted."""
    if picture.mode in ("I", "F"):
        raise ValueError(
            f"{name} must be a picture of 8 or 16 bits. Received: Pillow's mode {picture.mode}, "
            "whose range is not known"
        )
    picture = ImageOps.exif_transpose(picture)
    if picture.mode == "La":  # Colours times opacity, which Pillow converts to LA alone.
        picture = picture.convert("LA")
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith("I;16"):
        return np.asarray(picture).astype(np.uint16)
    if picture.mode in ("L", "LA", "RGB", "RGBA") and not profile:
        if "transparency" not in picture.info:
            return np.asarray(picture)
    if picture.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"):
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    file = io.BytesIO()
    how: dict[str, Any] = {"icc_profile": profile} if profile else {}
    picture.save(file, **how, **({"format": "TIFF"} if picture.mode == "CMYK" else
                                 {"format": "PNG", "compress_level": 1}))  # fmt: skip
    return file.getvalue()


def to_mask(value: Any, name: str, max_pixels: int) -> np.ndarray:
    """A mask in any form, `(height, width)` uint8, 255 inside.

    Args:
        value: `(height, width)` bool, float in [0, 1], uint8 or uint16 (the type's largest number
            is inside), or integers 0 and 1; or a picture, as in `to_planes`, whose lightness
            counts, times its opacity.
        name: What errors call it.
        max_pixels: Refuse pictures of more pixels.

    Raises:
        ValueError: If it is none of these, or has nothing inside.
    """
    if isinstance(value, np.ndarray) and value.ndim == 3 and value.shape[2] == 1:
        value = value[..., 0]
    if isinstance(value, np.ndarray) and value.ndim == 2:
        if not value.size:
            raise ValueError(f"{name} must have pixels. Received: shape={value.shape}")
        alpha = None
        mask = check_mask(value, value.shape, name)
        if mask.dtype.kind == "f":
            mask = np.rint(255 * mask).astype("uint8")
    else:
        planes = value if isinstance(value, Planes) else to_planes(value, name, max_pixels)
        colors, alpha = planes
        mask = np.rint(integers_to_mask(colors, name) @ _LUMA)
        if alpha is not None:
            mask = mask * (alpha / np.float32(np.iinfo(alpha.dtype).max))
        mask = np.rint(mask).astype("uint8")
    if not mask.any():
        found = "all black"
        if alpha is not None and alpha.any():
            found = "black on transparency; white counts, and what is transparent does not"
        raise ValueError(f"{name} must have something white inside. Received: {found}")
    if mask.max() < _FAINT:
        _tell_faint(name, int(mask.max()))
    return mask


@lru_cache(maxsize=256)
def _tell_faint(name: str, highest: int) -> None:
    # Once, and not for each photo or frame.
    logger.warning(
        "%s is %d of 255 where it is brightest: nothing is stylised further than that. Of a "
        "picture of labels make a mask for each, white inside.",
        name,
        highest,
    )


def to_parts(
    value: Any, name: str, max_pixels: int, library: Mapping[str, Path], share: float = 1.0
) -> list[Part]:
    """A style, or a mix of styles, as a list of styles whose weights sum to `share`.

    Args:
        value: A style in any form; see `StylizePipeline.run`.
        name: What errors call it.
        max_pixels: Refuse pictures of more pixels.
        library: Style cards that are known by name.
        share: What the weights sum to.

    Raises:
        ValueError: If it is no style.
    """
    if isinstance(value, StyleMix):
        equal = [1.0] * len(value.styles)
        weights = equal if value.weights is None else list(map(float, value.weights))
        parts = []
        for number, (style, weight) in enumerate(zip(value.styles, weights, strict=True)):
            inner = share * weight / sum(weights)
            parts += to_parts(style, f"{name}.styles[{number}]", max_pixels, library, inner)
        return parts
    if isinstance(value, Lazy | StyleCode):
        return [Part(value, share)]
    if isinstance(value, _PATHS):
        return [Part(_from_path(value, name, max_pixels, library), share)]
    if isinstance(value, list | tuple):
        raise ValueError(
            f"`{name}` must be one style; for several use StyleMix(styles, weights). "
            f"Received: {type(value).__name__}"
        )
    planes = to_planes(value, name, max_pixels)
    digest = hashlib.blake2b()
    for plane in planes:
        if plane is None:
            continue
        digest.update(f"{plane.shape}{plane.dtype}".encode())
        digest.update(np.ascontiguousarray(plane).data)
    return [Part(Lazy(digest.digest(), lambda: planes, name), share)]


def _from_path(
    value: str | os.PathLike, name: str, max_pixels: int, library: Mapping[str, Path]
) -> Lazy:
    if not os.fspath(value):
        raise ValueError(f"`{name}` must be a picture's path, or a style's name. Received: ''")
    path = Path(value)
    if not path.exists() and str(value) in library:
        path = library[str(value)]
    try:
        about = path.stat()
    except OSError as error:
        raise ValueError(
            f"`{name}`: {value}: no such file, nor a style of that name ({error.strerror}). "
            "`adain styles list` shows the names."
        ) from error
    key = (str(path.absolute()), about.st_mtime_ns, about.st_size)
    if path.suffix.lower() == STYLE_CARD:
        return Lazy(key, lambda: StyleCode.load(path), str(path), card=True)
    return Lazy(key, lambda: to_planes(path, name, max_pixels), str(path))


def source_style(source: Source, max_pixels: int) -> Lazy:
    """The style in a file or stream that the user named."""

    def load() -> Planes | StyleCode:
        if is_card(source):
            return StyleCode.load(source.path)
        colors, meta = read_source(source, max_pixels, keep_depth=True)
        return Planes(colors, meta.alpha)

    return Lazy(source, load, str(source), is_card(source))


# === Sizes ===


def fitted_size(
    size: tuple[int, int], shorter: int, crop: int, max_pixels: int, name: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Size of a picture once it is resized, and once it is cut: `(height, width)` each.

    Args:
        size: `(height, width)`, pixels.
        shorter: Shorter side to resize to, pixels; 0: none.
        crop: Side of the square to cut out of the middle, pixels; 0: none.
        max_pixels: The most pixels that resizing may give.
        name: What errors call the picture.

    Raises:
        ImageError: If it would have more than `max_pixels`.
    """
    height, width = size
    if shorter:
        height, width = imaging.shorter_side_size(size, shorter, max_pixels=max_pixels, name=name)
    resized = (height, width)
    return resized, (min(height, crop), min(width, crop)) if crop else resized


def fit(picture: np.ndarray, shorter: int, crop: int, max_pixels: int, name: str) -> np.ndarray:
    """A picture, HWC or HW, resized and cut as `fitted_size` says."""
    resized, cut = fitted_size(picture.shape[:2], shorter, crop, max_pixels, name)
    return imaging.center_crop(imaging.resize_image(picture, resized), cut)


def fit_mask(
    mask: np.ndarray, size: tuple[int, int], shorter: int, crop: int, max_pixels: int, name: str
) -> np.ndarray:
    """A mask of any size for a photo of `(height, width)`, resized and cut as the photo is."""
    resized, cut = fitted_size(size, shorter, crop, max_pixels, name)
    return imaging.center_crop(imaging.resize_mask(mask, resized), cut)
