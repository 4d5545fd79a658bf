"""How much memory there is, and tiles that fit into it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adain.inference.stylizer import Stylizer

# The padded photo and the result; and what a file format's writer copies, twice.
_COPIES, _WRITTEN_COPIES = 2, 3


def choose_tile(
    stylizer: Stylizer,
    picture: np.ndarray,
    *,
    limit: float | None = None,
    regions: int = 0,
    written: int | None = None,
) -> int:
    """The largest tile with which a picture fits into memory.

    Args:
        stylizer: What is going to stylise it.
        picture: HWC.
        limit: Bytes of resident memory that this process may reach; by default half of what is
            free may be taken.
        regions: Number of masks.
        written: Bytes of the picture that is written in the end; by default as many as here.

    Returns:
        What `Stylizer.stylize` takes as `tile`.
    """
    # Here, because most programs that load a stylizer never ask.
    import psutil

    taken = _COPIES * picture.nbytes
    taken += _WRITTEN_COPIES * (picture.nbytes if written is None else written)
    if limit is None:
        room = free_memory() / 2 - taken
    else:
        room = limit - psutil.Process().memory_info().rss - taken
    return stylizer.tile_for(*picture.shape[:2], room / stylizer.lanes, regions=regions)


def free_memory() -> float:
    """Bytes that are free, of the machine or of what its container may use."""
    import psutil

    free = psutil.virtual_memory().available
    group = Path("/sys/fs/cgroup")
    try:
        # A container may be allowed less than the machine has.
        allowed = int((group / "memory.max").read_text())
        return min(free, allowed - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        return free
