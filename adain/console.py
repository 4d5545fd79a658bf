"""What the commands write to a terminal: progress, errors, one line of JSON for each result."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import sys
from typing import BinaryIO, cast

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")


class _Closed(io.RawIOBase):
    """What stands in for a standard output that is closed: nothing is lost without a word."""

    def writable(self) -> bool:
        return True

    def write(self, _) -> int:
        raise OSError(errno.EBADF, "standard output is closed")


class _Nowhere(io.TextIOBase):
    """What stands in for a standard error that is closed."""

    def write(self, text: str) -> int:
        return len(text)


def replace_closed_streams() -> None:
    """Give those standard streams that are closed, `>&-`, something to write to."""
    if sys.stderr is None:
        sys.stderr = _Nowhere()
    if sys.stdout is None:
        # Unbuffered, so that nothing is left to be written when Python ends.
        sys.stdout = io.TextIOWrapper(cast(BinaryIO, _Closed()), "utf-8", write_through=True)


def progress_bar(total: int, unit: str, quiet: bool, **how):
    """A progress bar on a terminal, nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        return NoProgress()
    # Here, because importing it is a tenth of the time that one picture takes.
    from tqdm import tqdm

    size: dict = {"dynamic_ncols": True}
    with contextlib.suppress(OSError):
        # Some terminals say that they have no columns and lines; tqdm would believe it.
        if 0 in os.get_terminal_size(sys.stderr.fileno()):
            size = {"ncols": 80, "nrows": 24}
    return tqdm(total=total, unit=unit, file=sys.stderr, **size, **how)


class NoProgress:
    """What stands in for a progress bar."""

    n = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, _: int = 1) -> None:
        pass

    def set_postfix(self, *_, **__) -> None:
        pass

    set_postfix_str = set_description_str = set_postfix

    @staticmethod
    def write(text: str, file) -> None:
        file.write(f"{text}\n")


class PictureBar:
    """How much of all results is done, with the time that is left."""

    def __init__(self, total: int, quiet: bool):
        form = "{percentage:3.0f}%|{bar}| {elapsed}, {remaining} left{postfix}"
        self._bar = progress_bar(total, "picture", quiet, bar_format=form, miniters=0)
        self._total = total
        self._done = 0
        self.write = self._bar.write

    def __enter__(self):
        self._bar.__enter__()
        return self

    def __exit__(self, *reason):
        self._bar.__exit__(*reason)

    def move(self, part: float) -> None:
        # Those that are still being written count as stylised.
        self._bar.update(max(min(self._done + part, self._total) - self._bar.n, 0))

    def finish_one(self) -> None:
        self._done += 1
        self.move(0.0)
        self._bar.set_postfix_str(f"{self._done}/{self._total}")


def complain(*messages: str) -> None:
    for message in messages:
        sys.stderr.write(f"error: {one_line(message)}\n")


def tell(*messages: str) -> None:
    """Write notices, which are not errors, to stderr."""
    for message in messages:
        sys.stderr.write(f"{one_line(message)}\n")


def one_line(text: str) -> str:
    """A text in one line; of other control characters, which names of files may hold, the codes."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", " ".join(text.split()))


def shorten(lines: list[str], most: int = 20) -> list[str]:
    """The first lines, and how many more there are."""
    return [*lines[:most], *([f"and {len(lines) - most} more"] if len(lines) > most else [])]


def report(outcome, write, *, as_json: bool) -> bool:
    """Tell what became of one file; whether it failed."""
    if outcome.error and not outcome.reported:
        source = " ".join(filter(None, (outcome.content, outcome.style and f"({outcome.style})")))
        error = one_line(outcome.error)
        paths = (outcome.content + " + " + outcome.style).split(" + ")
        paths = ["standard input" if path == "-" else path for path in paths]
        named = any(path and one_line(path) in error for path in paths)
        write(f"error: {error if named else one_line(f'{source}: {error}')}", file=sys.stderr)
    if as_json:
        record = {
            "content": outcome.content,
            "style": outcome.style,
            "output": outcome.output,
            "ok": not outcome.error,
            "error": outcome.error,
            "milliseconds": round(1000 * outcome.seconds, 1),
        }
        for name in ("losses", "cells", "settings", "skipped"):
            if found := getattr(outcome, name):
                record[name] = found
        sys.stdout.write(json.dumps(record) + "\n")
        sys.stdout.flush()
    return bool(outcome.error)


def finish(config, done: int, failed: int) -> int:
    """Tell how many pictures were made; the exit status."""
    if not config.quiet:
        where = "" if config.out_path == "-" else f" in {config.out_path}"
        sys.stderr.write(
            f"{done} picture{'' if done == 1 else 's'} done{where}"
            + (f", {failed} failed\n" if failed else "\n")
        )
    return FAILED if failed else DONE


def load_backend(*, seeds: bool = False) -> None:
    """Import Keras without TensorFlow's greeting, which no setting of its own turns off.

    Args:
        seeds: Whether seeds are going to be set, for which Keras loads TensorFlow, where there is
            one, on every backend.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import keras

        if seeds:
            keras.utils.set_random_seed(0)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
