"""Torch's files of weights, read without Torch; none of them runs code from the file."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

KNOWN_FILES = (
    "Use vgg_normalised.t7 or .pth, torchvision's vgg19 .pth, "
    "Keras Applications' VGG19 notop .h5, or an encoder .npz of this project"
)


class WeightsError(ValueError):
    """Weights that cannot be used: one line with the file, the reason and the remedy."""

    def __init__(self, source: str | os.PathLike, problem: str, remedy: str = KNOWN_FILES):
        super().__init__(" ".join(f"{source}: {problem}. {remedy}.".split()))


def load_t7(path: Path, word: int) -> Any:
    """Read a Torch7 object with longs of `word` bytes.

    torchfile 0.1.0 holds no eval, import or pickle: it unpacks numbers, strings and tables, and
    keeps serialised Lua functions as bytes. What it gets wrong is mended here: `xrange` where
    8-byte longs are forced, no way to read 4-byte longs where a C long has 8, and
    tensors that reach beyond their storage.
    """
    import torchfile

    class Reader(torchfile.T7Reader):
        limit = path.stat().st_size
        arrays: tuple[list[int], ...] = ()
        offset = 0

        def read_long(self) -> int:
            (value,) = struct.unpack("<q" if word == 8 else "<i", self.f.read(word))
            # Sizes, strides, offsets: none can exceed the file. Also tells a wrong word size.
            if not 0 <= value <= self.limit:
                raise ValueError(f"a size of {value}")
            self.offset = value - 1
            return value

        def read_long_array(self, n: int) -> list[int]:
            if not 0 <= n <= 8:
                raise ValueError(f"a tensor of {n} dimensions")
            values = [self.read_long() for _ in range(n)]
            self.arrays += (values,)
            return values

        def read_obj(self) -> Any:
            # A tensor is its sizes, strides and offset, then its storage as an object. torchfile
            # makes a view of that memory without asking whether the storage is large enough.
            arrays, offset, self.arrays = self.arrays, self.offset, ()
            value = super().read_obj()
            if len(arrays) == 2 and value is not None:
                _check_view(offset, *arrays, count=len(value))
            return value

    with open(path, "rb") as file:
        # Lists are left as tables: torchfile's test for them fails on tables of tensors.
        return Reader(file, use_list_heuristic=False).read_obj()


def _check_view(offset: int, shape: Any, strides: Any, count: int) -> None:
    """Refuse a strided view that leaves a storage of `count` elements, or repeats them."""
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    elements = int(np.prod(shape, dtype=object))
    if min(offset, *shape, *strides) < 0 or last >= count or elements > count:
        raise ValueError(f"a tensor of shape {tuple(shape)} in a storage of {count}")


class _Storage(NamedTuple):
    dtype: str
    key: str
    count: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


_STORAGES = {
    "DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "LongStorage": "i8",
    "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "?",
}  # fmt: skip

# Magic number and version of a checkpoint that is no zip file.
_LEGACY = (0x1950A86A20F9469CFC6C, 1001)


class _TorchUnpickler(pickle.Unpickler):
    """Admits dictionaries of tensors, and describes a tensor in place of building it."""

    def __init__(self, file: BinaryIO, path: Path):
        super().__init__(file, encoding="utf-8")
        self.path = path
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _STORAGES:
            return name
        # Fresh functions: a pickle may set attributes of whatever it is handed.
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(
                storage, offset, shape, strides
            )
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        remedy = "Only state dicts are read: save `model.state_dict()`, and trust the file's source"
        raise WeightsError(self.path, f"refused, it asks for `{module}.{name}`", remedy)

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage, key, _, count, *view = pid
        if kind != "storage" or any(view):
            raise pickle.UnpicklingError(f"persistent id {kind!r}")
        self.storages[key] = _Storage(_STORAGES[storage], key, count)
        return self.storages[key]


_ReadStorage = Callable[[_Storage], np.ndarray]


@contextmanager
def open_pth(path: Path) -> Iterator[tuple[dict[str, tuple[int, ...]], Callable]]:
    """Open a state dict.

    Args:
        path: A `.pth` file, of any version of torch.

    Yields:
        The shape of each tensor by its name, and a function that reads one: name to array, of
        its own dtype. Works while the file is open.

    Raises:
        WeightsError: If the file holds more than dictionaries of tensors.
        Exception: Of many kinds, if the file is damaged.
    """
    with open(path, "rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
        file.seek(0)
        state, read_storage = (_open_zip if zipped else _open_legacy)(path, file)
        state = state.get("state_dict", state)
        tensors = {name: value for name, value in state.items() if isinstance(value, _Tensor)}

        def read(name: str) -> np.ndarray:
            storage, offset, shape, strides = tensors[name]
            _check_view(offset, shape, strides, count=storage.count)
            values = read_storage(storage)
            strides = [values.itemsize * step for step in strides]
            return np.lib.stride_tricks.as_strided(values[offset:], shape, strides).copy()

        yield {name: tensor.shape for name, tensor in tensors.items()}, read


def _open_zip(path: Path, file: BinaryIO) -> tuple[Any, _ReadStorage]:
    """A checkpoint of torch >= 1.6: `data.pkl`, and one entry `data/KEY` for each storage."""
    archive = zipfile.ZipFile(file)
    entries = {info.filename: info for info in archive.infolist()}
    prefix = next(name for name in entries if name.split("/")[-1] == "data.pkl")[: -len("data.pkl")]

    def content(name: str) -> bytes:
        # torch.save never compresses; what is stored cannot be larger than the file.
        if entries[prefix + name].compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name} is compressed")
        return archive.read(prefix + name)

    big = prefix + "byteorder" in entries and content("byteorder") == b"big"

    def read(storage: _Storage) -> np.ndarray:
        dtype = np.dtype(storage.dtype).newbyteorder(">" if big else "<")
        return np.frombuffer(content(f"data/{storage.key}"), dtype, storage.count)

    return _TorchUnpickler(io.BytesIO(content("data.pkl")), path).load(), read


def _open_legacy(path: Path, file: BinaryIO) -> tuple[Any, _ReadStorage]:
    """A checkpoint of older torch: five pickles, then each storage as its length and values."""
    magic, version, system = (_TorchUnpickler(file, path).load() for _ in range(3))
    if (magic, version) != _LEGACY:
        raise ValueError("no checkpoint of torch")
    unpickler = _TorchUnpickler(file, path)
    state = unpickler.load()
    order = "<" if system["little_endian"] else ">"
    size, places = path.stat().st_size, {}
    for key in _TorchUnpickler(file, path).load():
        (count,) = struct.unpack(f"{order}q", file.read(8))
        length = count * np.dtype(unpickler.storages[key].dtype).itemsize
        places[key] = start = file.tell()
        if not 0 <= length <= size - start:
            raise ValueError(f"a storage of {count}")
        file.seek(start + length)

    def read(storage: _Storage) -> np.ndarray:
        file.seek(places[storage.key])
        dtype = np.dtype(storage.dtype).newbyteorder(order)
        return np.frombuffer(file.read(storage.count * dtype.itemsize), dtype, storage.count)

    return state, read
