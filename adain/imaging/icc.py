"""ICC profiles: to sRGB when a picture is read, and back when its result is written (Little CMS).

Colours are HW or HWC, uint8 or uint16, full range, and keep their type.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

MAX_PROFILE = 64 * 1024**2
"""Larger profiles, in bytes, are passed over; printers' have a few million."""

_SPACES = {b"GRAY": "gray", b"RGB ": "rgb", b"CMYK": "cmyk", b"Lab ": "lab"}
_CHANNELS = {"gray": 1, "rgb": 3, "cmyk": 4, "lab": 3}
_RELATIVE = 1


def color_space(profile: bytes) -> str:
    """The profile's colour space: "gray", "rgb", "cmyk" or "lab"; "" for any other."""
    return _SPACES.get(profile[16:20], "") if profile[36:40] == b"acsp" else ""


def to_srgb(colors: np.ndarray, profile: bytes, space: str) -> np.ndarray | None:
    """A picture's colours as sRGB.

    Args:
        colors: HW grey or HWC.
        profile: The picture's profile.
        space: What the channels are: "gray", "rgb", "cmyk" (0: no ink) or "lab".

    Returns:
        HWC sRGB, the array itself if the profile is sRGB; None if the profile is broken or of
        another colour space.
    """
    if color_space(profile) != space or len(profile) > MAX_PROFILE:
        return None
    if space == "rgb" and is_srgb(profile):
        return colors
    return _transform(colors, profile, srgb(), space)


def from_srgb(colors: np.ndarray, profile: bytes) -> np.ndarray | None:
    """sRGB colours, HWC, as those of an RGB profile; None if it does not work in this direction."""
    if color_space(profile) != "rgb":
        return None
    return colors if is_srgb(profile) else _transform(colors, srgb(), profile, "rgb")


def lab_to_srgb(colors: np.ndarray) -> np.ndarray | None:
    """CIE L*a*b* under D50, in ICC's encoding (a* and b* are 0 in the middle), as sRGB."""
    from PIL import ImageCms

    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    return _transform(colors, lab, srgb(), "lab")


@lru_cache(maxsize=1)
def srgb() -> bytes:
    """Little CMS's own sRGB profile."""
    import imagecodecs

    return imagecodecs.cms_profile("srgb")


@lru_cache(maxsize=32)
def is_srgb(profile: bytes) -> bool:
    """Whether a profile leaves colours where they are, to half a grey level; its name may lie."""
    steps = np.linspace(0, 65535, 9).astype(np.uint16)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    moved = _transform(cube, profile, srgb(), "rgb")
    return moved is not None and bool(np.abs(moved.astype(int) - cube).max() <= 128)


def _transform(colors: np.ndarray, source: bytes, target: bytes, space: str) -> np.ndarray | None:
    import imagecodecs

    if (1 if colors.ndim == 2 else colors.shape[2]) != _CHANNELS[space]:
        return None
    flags = imagecodecs.CMS.FLAGS
    # Optimised, a transform of 16 bits interpolates in a table too coarse for dark colours.
    deep = flags.NOOPTIMIZE if colors.dtype == np.uint16 else 0
    try:
        return imagecodecs.cms_transform(
            np.ascontiguousarray(colors),
            source,
            target,
            colorspace=space,
            outcolorspace="rgb",
            intent=_RELATIVE,
            flags=flags.BLACKPOINTCOMPENSATION | deep,
        )
    except (imagecodecs.CmsError, ValueError, TypeError):
        return None
