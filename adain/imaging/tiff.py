"""TIFF of every depth and layout (tifffile reads and writes; EXIF's directories are added here).

Reference:
    TIFF Revision 6.0, 1992; Adobe Photoshop TIFF Technical Notes, 2002
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tifffile import TiffPages

from adain.imaging import exif as exif_blocks
from adain.imaging.exif import Exif
from adain.imaging.formats import ImageError
from adain.imaging.frames import Frame, Header
from adain.imaging.pillow import BROKEN
from adain.imaging.pixels import stretch

logger = logging.getLogger(__name__)

# Photometric interpretations, compressions and sample formats, by their numbers.
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _MASK, _CMYK, _YCBCR = range(7)
_LAB = {8: "signed", 9: "unsigned", 10: "unsigned"}
_JPEG, _OLD_JPEG = 7, 6
_ASSOCIATED, _UNASSOCIATED = 1, 2
# Tiles may be larger than a small picture.
_TILE = 4096**2
_CHANNELS = 32
_DNG_VERSION, _ORIENTATION = 0xC612, 0x0112


class TiffReader:
    """An open TIFF, of which the first page is read."""

    def __init__(self, data: bytes):
        import tifffile

        # tifffile also logs the errors it raises.
        logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
        self._data = data
        pages = tifffile.TiffFile(io.BytesIO(data)).pages
        self._page = page = pages[0]
        numbers = (page.imagelength, page.imagewidth, page.samplesperpixel, page.bitspersample)
        if not all(isinstance(number, int) for number in numbers):
            raise ImageError("the header is broken")
        if page.photometric not in (*range(7), *_LAB) or _DNG_VERSION in page.tags:
            raise ImageError("it is a camera's raw file; develop it first")
        if page.imagedepth > 1 or not page.imagelength or not page.imagewidth:
            raise ImageError("it is not a two-dimensional picture")
        if not self._colors() <= page.samplesperpixel <= _CHANNELS:
            raise ImageError(f"it cannot have {page.samplesperpixel} channels")
        pixels, tile = page.imagelength * page.imagewidth, page.tilelength * page.tilewidth
        if tile > max(_TILE, 4 * pixels):
            raise ImageError("its tiles are larger than the picture")
        bits = page.bitspersample
        block = exif_blocks.parse(data) if not page.parent.is_bigtiff else Exif()
        turned, dpi = page.tags.valueof(_ORIENTATION, 1), block.dpi() or self._dpi()
        self.header = Header(
            "TIFF", page.imagelength, page.imagewidth, self._mode(),
            1 if bits == 1 else 8 if bits <= 8 else 16 if bits <= 16 else 32,
            icc=bytes(page.iccprofile or b""),
            exif=exif_blocks.without_resolution(block).tobytes(),
            dpi=dpi,
            orientation=turned if turned in range(1, 9) else 1,
            note="only its first page is read" if _has_more(pages) else "",
        )  # fmt: skip

    def _dpi(self) -> tuple[float, float] | None:
        """The resolution of a BigTIFF, whose tags `exif` does not read."""
        page = self._page
        unit = int(page.tags.valueof("ResolutionUnit", 2))
        ratios = [page.tags.valueof(name, (0, 1)) for name in ("XResolution", "YResolution")]
        values = [over / under * {2: 1, 3: 2.54}.get(unit, 0) if under else 0
                  for over, under in ratios]  # fmt: skip
        return (values[0], values[1]) if min(values) > 1 else None

    def _mode(self) -> str:
        page = self._page
        if page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _MASK):
            if self._alpha_channel() is not None:
                return "LA"
            if page.sampleformat == 3:
                return "F"
            bits = page.bitspersample
            return "1" if bits == 1 else "L" if bits <= 8 else "I;16" if bits <= 16 else "I"
        if page.photometric == _RGB:
            return "RGB" if self._alpha_channel() is None else "RGBA"
        known = {_PALETTE: "P", _CMYK: "CMYK", _YCBCR: "YCbCr"}
        return known.get(page.photometric, "LAB")

    def _alpha_channel(self) -> int | None:
        """Index of the alpha channel, or None; other extra channels are ignored."""
        page, colors = self._page, self._colors()
        if not page.extrasamples and page.samplesperpixel == colors + 1:
            return colors  # Some programs do not declare it.
        for number, kind in enumerate(page.extrasamples):
            if kind in (_ASSOCIATED, _UNASSOCIATED):
                return colors + number
        return None

    def _colors(self) -> int:
        known = {_RGB: 3, _CMYK: 4, _YCBCR: 3, **dict.fromkeys(_LAB, 3)}
        return known.get(self._page.photometric, 1)

    @property
    def is_whole(self) -> bool:
        """Whether the samples of the first page are all inside the file."""
        offsets, counts = self._page.dataoffsets, self._page.databytecounts
        ends = [start + count for start, count in zip(offsets, counts, strict=True)]
        return bool(ends) and max(ends) <= len(self._data)

    def frames(self) -> Iterator[Frame]:
        yield self.first()

    def first(self) -> Frame:
        page = self._page
        if not self.is_whole:
            raise ImageError("the file is truncated")
        samples = self._samples()
        alpha_at, kind = self._alpha_channel(), page.photometric
        alpha = None
        if alpha_at is not None:
            alpha = stretch(samples[..., alpha_at], page.bitspersample)
        count = self._colors()
        colors = samples[..., 0] if count == 1 else samples[..., :count]
        if kind == _PALETTE:
            return Frame(self._from_palette(colors), "rgb", alpha)
        if kind in _LAB:
            return Frame(
                _from_lab(colors, _LAB[kind] == "signed", page.bitspersample), "lab", alpha
            )
        colors = stretch(colors, page.bitspersample)
        if kind == _WHITE_IS_ZERO:
            colors = np.iinfo(colors.dtype).max - colors
        if alpha is not None and _ASSOCIATED in page.extrasamples:
            colors = _divide(colors, alpha)
        space = {_RGB: "rgb", _YCBCR: "rgb", _CMYK: "cmyk"}.get(kind, "gray")
        return Frame(colors, space, alpha)

    def _samples(self) -> np.ndarray:
        """HWC, in whatever type and range the file has."""
        page = self._page
        if page.photometric == _YCBCR and page.compression != _JPEG:
            return self._from_ycbcr()
        samples = page.asarray()
        if page.planarconfig == 2 and page.samplesperpixel > 1:
            samples = np.moveaxis(samples, 0, -1)
        samples = samples.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
        return samples if samples.dtype != bool else samples.astype(np.uint8)

    def _from_ycbcr(self) -> np.ndarray:
        """Luma and chroma, subsampled or not, converted by libtiff."""
        import imagecodecs

        return imagecodecs.tiff_decode(self._data, asrgb=True)[..., :3]

    def _from_palette(self, indices: np.ndarray) -> np.ndarray:
        table = np.asarray(self._page.colormap)  # (3, 2 ** bits) uint16
        # Some programs store 8-bit values in the 16-bit palette.
        table = table if table.max() < 256 else table >> 8
        return table.T.astype(np.uint8)[np.minimum(indices, table.shape[1] - 1)]


def _has_more(pages: TiffPages) -> bool:
    """Whether another page follows; reduced copies of the first and masks are none."""
    # A few, because a directory may say anything of where the next one is.
    with contextlib.suppress(*BROKEN):
        return any(
            not page.is_reduced and not page.is_mask for page in itertools.islice(pages, 1, 4)
        )
    return False


def _from_lab(colors: np.ndarray, signed: bool, bits: int) -> np.ndarray:
    """TIFF's encodings of L*a*b* in Little CMS's, where 255 or 65535 stand for 100 and 127."""
    colors = colors.view(f"u{colors.itemsize}")
    if signed:
        colors = colors + np.array([0, 1, 1], colors.dtype) * (1 << bits - 1)
    if bits != 16:
        return stretch(colors, bits)
    # 65280 is 100 and 127 in the older encoding; where they are signed, it is 127 only.
    scale = np.array([1 if signed else 65535 / 65280, 257 / 256, 257 / 256])
    return np.minimum(np.rint(colors * scale), 65535).astype(np.uint16)


def _divide(colors: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Undo the multiplication of colours by alpha."""
    white = np.iinfo(colors.dtype).max
    share = alpha if colors.ndim == 2 else alpha[..., None]
    whole = colors.astype(np.uint64) * white // np.maximum(share, 1)
    return np.minimum(whole, white).astype(colors.dtype)


# Writing ------------------------------------------------------------------------------------------


def encode(
    samples: np.ndarray, icc: bytes, exif: Exif | None, dpi: tuple[float, float] | None
) -> bytes:
    """A TIFF file, compressed without loss.

    Args:
        samples: HW, or HWC of 3 or 4 channels, uint8 or uint16, alpha last.
        icc: Profile, or b"".
        exif: What to keep, or None; its resolution counts where `dpi` is None.
        dpi: (horizontal, vertical) dots per inch, or None.
    """
    import tifffile

    exif = exif or Exif()
    dpi = dpi or exif.dpi()
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        samples,
        byteorder=exif.order,
        photometric="minisblack" if samples.ndim == 2 else "rgb",
        extrasamples=["unassalpha"] if samples.ndim == 3 and samples.shape[2] == 4 else None,
        compression="adobe_deflate",
        predictor=True,
        rowsperstrip=64,
        iccprofile=icc or None,
        resolution=dpi or (1, 1),
        resolutionunit="INCH" if dpi else "NONE",
        metadata=None,
        software=False,
    )
    data = buffer.getvalue()
    exif = exif_blocks.without_resolution(exif)
    if not (exif.main or exif.exif or exif.gps):
        return data
    if data[2:4] not in (b"*\0", b"\0*"):
        logger.warning("TIFF of more than 4 GB holds no EXIF")
        return data
    (start,) = struct.unpack_from(f"{exif.order}I", data, 4)
    layout = exif_blocks.read_directory(data, exif.order, start)
    # The new first directory goes to the end of the file; the old one is left unused.
    data += b"\0" * (len(data) % 2)
    moved = struct.pack(f"{exif.order}I", len(data))
    return b"".join([data[:4], moved, data[8:], exif.directories(len(data), layout)])
