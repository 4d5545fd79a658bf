"""Files from the browser: bounded, under names that are safe, and read before they are taken."""

from __future__ import annotations

import contextlib
import re
import shutil
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from adain.imaging import io as imaging
from adain.imaging.formats import FORMATS

_MEGABYTE = 1024**2
_NAME = 80
"""Characters of a name that are kept."""
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\u2028\u2029\u202a-\u202e\u2066-\u2069]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class UploadError(ValueError):
    """A file that is not taken: one line with its name, the reason, the remedy."""


@dataclass(frozen=True)
class Upload:
    """A file that was taken."""

    path: Path
    name: str
    """The name of the file, safe and unlike those of the tab's other files."""
    size: tuple[int, int]
    """`(height, width)`, upright."""
    frames: int = 1
    """Of a clip; 0: not known."""
    seconds: float | None = None
    """Of a clip; None: a picture."""


def safe_name(
    name: str, format: str = "PNG", taken: Collection[str] = (), *, keep_suffix: bool = False
) -> str:
    """A file's name without folders and signs that file systems or terminals do not take.

    Args:
        name: What the browser says.
        format: Of the file, by its content; gives the suffix where there is none for pictures.
        taken: Names that are used already; case does not count.
        keep_suffix: Whether any suffix will do.
    """
    name = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    name = _UNSAFE.sub("_", name).strip(" .")
    stem, dot, suffix = name.rpartition(".")
    if not dot or not (keep_suffix or f".{suffix.lower()}" in imaging.IMAGE_SUFFIXES):
        stem, suffix = name, FORMATS[format].suffixes[0][1:]
    # A dash would make it a flag, a dot hide it.
    stem = stem[:_NAME].lstrip("-.~").strip(" .") or "picture"
    if _RESERVED.fullmatch(stem):
        stem = f"_{stem}"
    folded = {other.casefold() for other in taken}
    found, number = f"{stem}.{suffix}", 1
    while found.casefold() in folded:
        number += 1
        found = f"{stem}-{number}.{suffix}"
    return found


async def receive(request: Request, path: Path, most: int) -> None:
    """Write the body of a request into a file; after an error its folder is removed.

    Args:
        request: Its body is the file.
        path: Where it goes.
        most: Megabytes that are taken.

    Raises:
        UploadError: If it is empty or longer.
        ClientDisconnect: If the browser goes away.
    """
    limit, length = most * _MEGABYTE, 0
    long = UploadError(f"the file has more than {most} MB. Raise the limit with --max-upload.")
    told = request.headers.get("content-length", "")
    try:
        if told.isdecimal() and int(told) > limit:
            raise long
        with open(path, "xb") as file:
            async for part in request.stream():
                length += len(part)
                if length > limit:
                    raise long
                file.write(part)
        if not length:
            raise UploadError("the file is empty. Choose it again.")
    except BaseException:
        shutil.rmtree(path.parent, ignore_errors=True)
        raise


def check_picture(path: Path, name: str, max_pixels: int) -> imaging.ImageFile:
    """A picture that was received, opened.

    Raises:
        ImageError: If it is none; the message has `name` and not the path.
    """
    with renamed(path, name):
        return imaging.open_image(path, max_pixels=max_pixels)


@contextlib.contextmanager
def renamed(path: Path, name: str):
    """Give errors the name that the user knows in place of a path."""
    try:
        yield
    except ValueError as error:
        raise type(error)(str(error).replace(str(path), name)) from error
