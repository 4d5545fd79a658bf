"""Readers of VGG-19 weight files; none of them runs code from the file."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adain import extras
from adain.presets import npz, torch_files
from adain.presets.torch_files import KNOWN_FILES, WeightsError

LAYERS = (
    "conv1_1", "conv1_2", "conv2_1", "conv2_2",
    "conv3_1", "conv3_2", "conv3_3", "conv3_4", "conv4_1",
)  # fmt: skip
"""The convolutions of VGG-19 up to relu4_1, in order."""

_WIDTHS = (3, 64, 64, 128, 128, 256, 256, 256, 256, 512)

SHAPES: dict[str, tuple[int, int, int, int]] = {
    layer: (3, 3, *_WIDTHS[i : i + 2]) for i, layer in enumerate(LAYERS)
}
"""Kernel shapes, (height, width, in, out)."""

# VGG-19 with its classifier has 575 MB; a larger file is something else.
_MAX_BYTES = 2**31

# What a network does to RGB in [0, 1] before its first convolution: `P @ rgb + p`.
_Affine = tuple[np.ndarray, np.ndarray]
_CAFFE: _Affine = (255.0 * np.eye(3)[::-1], -np.array([103.939, 116.779, 123.68]))
_STD = np.array([0.229, 0.224, 0.225])
_TORCHVISION: _Affine = (np.diag(1 / _STD), -np.array([0.485, 0.456, 0.406]) / _STD)


def read_vgg(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read VGG-19 up to relu4_1 for pictures in [0, 1], K' = K P and b' = b + sum K p.

    P and p are the network's own preprocessing, `P @ rgb + p`. It is folded into conv1_1, which
    is exact where padding is by reflection: a reflected pixel is preprocessed like any other.

    - `.t7`: `vgg_normalised.t7` of the AdaIN authors; needs the package torchfile.
    - `.pth`, `.pt`: a state dict of the same network, or of torchvision's `vgg19`; PyTorch is
      not needed. Without a leading 1 x 1 convolution, torchvision's normalisation is assumed.
    - `.h5`, `.hdf5`: `VGG19` of Keras Applications, by its layer names.
    - `.npz`: keys as returned here, float16 or float32, nothing folded.

    The authors' network pools with ceil, Keras with floor: the features are the same for heights
    and widths that are multiples of 8.

    Args:
        path: The file; its suffix tells the format.

    Returns:
        `"conv1_1/kernel"`, (3, 3, in, out) float32, and `"conv1_1/bias"`, (out,) float32, and so
        on for `LAYERS`: an encoder of `(batch, h, w, 3)` RGB float in [0, 1].

    Raises:
        WeightsError: If the file is missing, damaged, of another network, or asks for code to be
            run.

    Example:
        >>> arrays = read_vgg("vgg_normalised.t7")
        >>> arrays["conv1_1/kernel"].shape
        (3, 3, 3, 64)

    Reference:
        Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
        Recognition", ICLR 2015, configuration E.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        expected = ", ".join(_READERS)
        raise WeightsError(path, f"expected one of {expected}. Received: {path.suffix!r}")
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise WeightsError(path, f"expected at most {_MAX_BYTES} bytes. Received: {size}")
        return reader(path)
    except WeightsError:
        raise
    except FileNotFoundError as error:
        raise WeightsError(path, "no such file", "Check the path") from error
    except ModuleNotFoundError as error:
        raise extras.explain(error) or error from error
    except Exception as error:  # A damaged file can lead a reader into any exception.
        problem = f"not a readable {path.suffix} file ({type(error).__name__}: {error})"
        raise WeightsError(path, problem, f"Download it again, or: {KNOWN_FILES}") from error


def from_keras_applications() -> dict[str, np.ndarray]:
    """Fetch ImageNet's VGG-19 through Keras Applications, folded like `read_vgg`.

    Returns:
        The same arrays as `read_vgg`.

    Raises:
        WeightsError: If the download fails.

    Reference:
        https://keras.io/api/applications/vgg/
    """
    import keras

    source = "keras.applications.VGG19"
    try:
        model = keras.applications.VGG19(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises a plain Exception when a download fails.
        remedy = "Check the network, or name a weight file in its place"
        raise WeightsError(source, f"could not be fetched ({error})", remedy) from error
    arrays = {}
    for layer in LAYERS:
        kernel, bias = model.get_layer(
            layer.replace("conv", "block").replace("_", "_conv")
        ).get_weights()
        arrays |= {f"{layer}/kernel": kernel, f"{layer}/bias": bias}
    return _finish(source, arrays, _CAFFE)


def _finish(source: Any, arrays: Mapping[str, Any], affine: _Affine | None) -> dict:
    """Check the nine convolutions (arrays or HDF5 datasets) and fold `affine` into the first."""
    result = {}
    for layer, shape in SHAPES.items():
        for key, expected in ((f"{layer}/kernel", shape), (f"{layer}/bias", shape[3:])):
            result[key] = _float32(source, key, arrays.get(key), expected)
    if affine is not None:
        matrix, offset = (np.asarray(part, np.float64) for part in affine)
        kernel = result["conv1_1/kernel"].astype(np.float64)  # (3, 3, c, 64)
        bias = result["conv1_1/bias"] + np.einsum("hwco,c->o", kernel, offset)
        folded = {"kernel": np.einsum("hwco,ci->hwio", kernel, matrix), "bias": bias}
        for kind, array in folded.items():
            key = f"conv1_1/{kind}"
            result[key] = _float32(source, key, array, array.shape)
    return result


def _float32(source: Any, key: str, array: Any, expected: tuple[int, ...]) -> np.ndarray:
    if array is None:
        raise WeightsError(source, f"expected {key} of shape {expected}. Received: no such array")
    # Before any value is read: a file may announce more than memory holds.
    if tuple(array.shape) != expected or array.dtype.kind != "f":
        received = f"{array.dtype} {tuple(array.shape)}"
        raise WeightsError(source, f"expected {key} as float {expected}. Received: {received}")
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(values).all():
        count = int(np.sum(~np.isfinite(values)))
        raise WeightsError(source, f"expected finite values in {key}. Received: {count} others")
    return values


# A convolution of a Torch file: weight (out, in, kh, kw) and bias (out,).
_Convolution = tuple[np.ndarray, "np.ndarray | None"]


def _from_torch(path: Path, convolutions: list[_Convolution], otherwise: _Affine | None) -> dict:
    """Name the convolutions in order; a leading 1 x 1 one is the preprocessing."""
    affine = otherwise
    if convolutions and convolutions[0][0].shape == (3, 3, 1, 1):
        (weight, bias), *convolutions = convolutions
        affine = (weight[:, :, 0, 0], np.zeros(3) if bias is None else bias.reshape(3))
    if affine is None:
        problem = "expected a 1 x 1 preprocessing convolution, or torchvision's features.0.weight"
        raise WeightsError(path, f"{problem}. Received: neither")
    arrays = {}
    for layer, (weight, bias) in zip(LAYERS, convolutions, strict=False):
        arrays |= {f"{layer}/kernel": weight.transpose(2, 3, 1, 0), f"{layer}/bias": bias}
    return _finish(path, arrays, affine)


def _read_t7(path: Path) -> dict[str, np.ndarray]:
    try:
        network = torch_files.load_t7(path, 8)
    except ImportError:
        raise
    except Exception:  # With the wrong word size anything can go wrong.
        network = torch_files.load_t7(path, 4)
    modules = network._obj[b"modules"]
    convolutions: list[_Convolution] = []
    for index in sorted(modules):
        kind, state = modules[index].torch_typename(), modules[index]._obj
        if kind.endswith((b"SpatialConvolution", b"SpatialConvolutionMM")):
            # SpatialConvolutionMM keeps (out, in * kh * kw).
            fields = (b"nOutputPlane", b"nInputPlane", b"kH", b"kW")
            weight = state[b"weight"].reshape([state[field] for field in fields])
            convolutions.append((weight, state.get(b"bias")))
    return _from_torch(path, convolutions, None)


def _read_pth(path: Path) -> dict[str, np.ndarray]:
    with torch_files.open_pth(path) as (shapes, read):
        if any(key.endswith("running_mean") for key in shapes):
            raise WeightsError(path, "expected VGG-19 without batch normalisation. Received: with")
        # In the order of the numbers in their names: 2.weight comes before 10.weight.
        keys = [key for key, shape in shapes.items() if key.endswith("weight") and len(shape) == 4]
        keys.sort(key=lambda k: [int(s) if s.isdigit() else s for s in re.split(r"(\d+)", k)])
        convolutions: list[_Convolution] = []
        # One more than the layers, for the preprocessing; later ones are not needed.
        for key in keys[: len(LAYERS) + 1]:
            bias = key.removesuffix("weight") + "bias"
            convolutions.append((read(key), read(bias) if bias in shapes else None))
    torchvision = bool(keys) and keys[0].endswith("features.0.weight")
    return _from_torch(path, convolutions, _TORCHVISION if torchvision else None)


def _read_h5(path: Path) -> dict[str, np.ndarray]:
    import h5py

    names = {layer.replace("conv", "block").replace("_", "_conv"): layer for layer in LAYERS}
    arrays: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        # Keras has named the arrays `kernel:0`, `block1_conv1_W_1:0` and `0`: their rank tells.
        layer = next((names[part] for part in name.split("/") if part in names), None)
        if layer and isinstance(item, h5py.Dataset):
            kind = "kernel" if item.ndim == 4 else "bias"
            # The model's weights come before those of an optimizer.
            arrays.setdefault(f"{layer}/{kind}", item)

    with h5py.File(path, "r") as file:
        file.visititems(visit)  # Does not follow links to other files.
        return _finish(path, arrays, _CAFFE)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        size = sum(info.file_size for info in archive.infolist())
    if size > _MAX_BYTES:
        problem = f"expected at most {_MAX_BYTES} bytes when unpacked. Received: {size}"
        raise WeightsError(path, problem)
    arrays, _ = npz.load(path)
    return _finish(path, arrays, None)


_READERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {
    ".t7": _read_t7, ".pth": _read_pth, ".pt": _read_pth, ".h5": _read_h5, ".hdf5": _read_h5,
    ".npz": _read_npz,
}  # fmt: skip
