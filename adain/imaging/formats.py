"""The picture formats that can be read and written, and how their content identifies them.

The first bytes of a file decide its format, never its name, and only formats on this list reach a
decoder. None of the decoders starts another program or an interpreter, as readers of PostScript,
PDF, SVG or Windows metafiles do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path


class ImageError(ValueError):
    """A picture that cannot be read or written: one line with its name, the reason, the remedy."""


@dataclass(frozen=True)
class Format:
    """What a format can hold, and how its files begin.

    Args:
        name: Pillow's name of the format, such as "JPEG".
        suffixes: Lower-case suffixes of its files.
        starts: Whether a file with these first bytes has this format.
        written: Whether results are written in it.
        animated: Whether it holds animations.
        deep: Whether it holds 16 bits per channel.
        alpha: Whether it holds transparency; of GIF only all or nothing.
        most: Pixels that a side may have at most; 0: no limit that memory does not set.
        icc, exif, dpi: Whether results keep the profile, EXIF and resolution.
    """

    name: str
    suffixes: tuple[str, ...]
    starts: Callable[[bytes], bool]
    written: bool = True
    animated: bool = False
    deep: bool = False
    alpha: bool = True
    most: int = 0
    icc: bool = False
    exif: bool = False
    dpi: bool = False


def _begins(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(signatures)


def _is_avif(head: bytes) -> bool:
    # Image collections name AVIF among the compatible brands that follow the major one.
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[at : at + 4] for at in (8, *range(16, size, 4))}
    return head[4:8] == b"ftyp" and not brands.isdisjoint({b"avif", b"avis"})


def _is_tga(head: bytes) -> bool:
    """TGA has no signature: every field of the header has to make sense."""
    if len(head) < 18:
        return False
    palette, kind, palette_bits, bits, flags = head[1], head[2], head[7], head[16], head[17]
    if not any(head[12:14]) or not any(head[14:16]) or flags & 0xC0:
        return False
    if kind in (1, 9):
        return palette == 1 and bits == 8 and palette_bits in (16, 24, 32)
    allowed = {2: (16, 24, 32), 10: (16, 24, 32), 3: (8, 16), 11: (8, 16)}.get(kind, ())
    return palette in (0, 1) and bits in allowed and (palette == 1 or not any(head[3:8]))


FORMATS = {
    item.name: item
    for item in (
        Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), _begins(b"\xff\xd8\xff"),
               alpha=False, most=65_500, icc=True, exif=True, dpi=True),
        Format("PNG", (".png", ".apng"), _begins(b"\x89PNG\r\n\x1a\n"),
               animated=True, deep=True, icc=True, exif=True, dpi=True),
        Format("WEBP", (".webp",), lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP",
               animated=True, most=16_383, icc=True, exif=True),
        Format("AVIF", (".avif",), _is_avif, animated=True, most=32_768, icc=True, exif=True),
        Format("GIF", (".gif",), _begins(b"GIF87a", b"GIF89a"), animated=True, most=65_535),
        Format("BMP", (".bmp",), _begins(b"BM"), dpi=True),
        Format("TIFF", (".tif", ".tiff"), _begins(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
               deep=True, icc=True, exif=True, dpi=True),
        Format("JPEG2000", (".jp2", ".j2k"),
               _begins(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"), deep=True),
        Format("PPM", (".ppm", ".pgm", ".pbm", ".pnm"),
               lambda head: re.match(rb"P[1-6][\s#]", head) is not None, written=False, deep=True),
        Format("QOI", (".qoi",), _begins(b"qoif"), written=False),
        # Last, because a TGA has no signature.
        Format("TGA", (".tga",), _is_tga, written=False),
    )
}  # fmt: skip
"""The formats that are read, by name, in the order in which content is checked."""

WRITERS = {
    suffix: item.name
    for item in FORMATS.values()
    if item.written
    for suffix in item.suffixes
    if suffix != ".j2k"  # A bare code stream, which has no place for anything but pixels.
}
"""`{suffix: format}` of the formats that are written."""

WRITABLE_SUFFIXES = frozenset(WRITERS)
"""Lower-case suffixes that `save_image` writes."""

IMAGE_SUFFIXES = frozenset(s for item in FORMATS.values() for s in item.suffixes)
"""Lower-case suffixes of the files that `list_images` finds."""

ANIMATED_SUFFIXES = frozenset(s for s, name in WRITERS.items() if FORMATS[name].animated)
"""Lower-case suffixes of the formats that hold animations."""

HISTORY_FORMATS = tuple(item.name for item in FORMATS.values() if item.written and item.exif)
"""Formats whose files hold EXIF, and with it how they were made."""

HEAD = 4096
"""Bytes of a file that decide its format."""

BOXES = (b"ftyp", b"styp", b"moov", b"mdat", b"wide", b"free", b"skip")
"""What MP4 and QuickTime files begin with, after four bytes of its length."""

EBML = b"\x1aE\xdf\xa3"
"""What Matroska and WebM begin with."""

TS_PACKETS = {188: 0, 192: 4}
"""Sizes of transport stream packets, and where in them the sync byte is."""


def is_video(head: bytes) -> bool:
    """Whether a file with these first bytes is a video, or sound in a video's container.

    AVIF and HEIC are MP4 files too, and have to be looked for before.
    """
    if head[4:8] in BOXES or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return True
    if head.startswith((EBML, b"FLV\1", b"OggS", b"\0\0\1\xba", b"YUV4MPEG2 ", _ASF)):
        return True
    return any(
        head[start : start + 4 * size : size] == b"GGGG" for size, start in TS_PACKETS.items()
    )


_ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"
_VIDEO = "a video"

_REFUSED = (
    ("HEIC", lambda head: head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc",
                                                                  b"heim", b"heis", b"mif1")),
    ("JPEG XL", _begins(b"\xff\x0a", b"\0\0\0\x0cJXL ")),
    ("PostScript", lambda head: head.startswith((b"%!", b"\xc5\xd0\xd3\xc6", b"\x04%!"))),
    ("PDF", lambda head: b"%PDF-" in head[:1024]),
    ("SVG", lambda head: b"<svg" in head),
    ("a web page", lambda head: re.match(rb"\s*<(!doctype html|html)", head, re.I) is not None),
    ("Photoshop", _begins(b"8BPS")),
    ("a camera's raw format", lambda head: head[:4] == b"II*\0" and head[8:10] == b"CR"
     or head.startswith((b"FUJIFILMCCD-RAW", b"IIRO", b"IIU\0"))),
    ("OpenEXR", _begins(b"\x76\x2f\x31\x01")),
    # A TGA has zeros where an icon has the number of its pictures.
    ("an icon", lambda head: re.match(rb"icns|\0\0[\1\2]\0(?!\0\0)", head) is not None),
    ("a Windows metafile", _begins(b"\xd7\xcd\xc6\x9a", b"\x01\0\0\0\x6c\0\0\0")),
    (_VIDEO, is_video),
    ("a ZIP archive", _begins(b"PK\x03\x04")),
)  # fmt: skip


def format_of(head: bytes, name: str) -> Format:
    """The format of a file, by its content.

    Args:
        head: Its first `HEAD` bytes, or all it has.
        name: The name used in errors.

    Raises:
        ImageError: If it is of no format of `FORMATS`.
    """
    refused = next((kind for kind, starts in _REFUSED if starts(head)), None)
    found = next((item for item in FORMATS.values() if item.starts(head)), None)
    if found is not None and not (refused and found.name in ("TGA", "TIFF")):
        return found
    accepted = ", ".join(FORMATS)
    if refused == _VIDEO:
        raise ImageError(
            f"{name}: is a video, whatever it is called. Use `adain video`, or save one of its "
            "frames as JPEG or PNG."
        )
    if refused:
        raise ImageError(
            f"{name}: is {refused}, which is not read. Convert it to JPEG or PNG "
            f"(accepted: {accepted})."
        )
    raise ImageError(f"{name}: is not a picture that can be read. Accepted: {accepted}.")


def written_format(target: str | PathLike) -> str:
    """The format that a file's suffix asks for.

    Raises:
        ImageError: If it is none that is written.
    """
    suffix = Path(target).suffix.lower()
    if suffix not in WRITERS:
        raise ImageError(
            f"{target}: cannot write {suffix or 'a file without a suffix'}. "
            f"Use one of {' '.join(sorted(WRITERS))}."
        )
    return WRITERS[suffix]


def check_size(size: tuple[int, int], format: str) -> None:
    """Check that a format holds a picture of `(height, width)` pixels.

    Raises:
        ImageError: If not.
    """
    most = FORMATS[format].most
    if most and max(size) > most:
        raise ImageError(
            f"{size[0]} x {size[1]} pixels do not fit into {format}, whose sides have {most} at "
            "most. Use a smaller size (--content-size), or PNG or TIFF."
        )
