"""Weight files of every known format: the same encoder from each, and no surprises."""

from __future__ import annotations

import io
import itertools
import os
import pickle
import struct
import zipfile

import h5py
import keras
import numpy as np
import pytest

from adain.networks.vgg19 import build_encoder, set_arrays
from adain.presets import vgg_files as vgg
from adain.presets.vgg_files import LAYERS, SHAPES, WeightsError, read_vgg

# Neither symmetric nor diagonal, so that a transposed fold shows.
PREPROCESS = np.array([[2.0, 30, 255], [-7, 200, 11], [150, 3, -20]], "float32")
OFFSET = np.array([-103.939, -116.779, -123.68], "float32")
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def weights():
    """A random VGG-19, before any preprocessing is folded in: `{layer: (kernel, bias)}`."""
    rng = np.random.default_rng(0)
    arrays = {}
    for layer, shape in SHAPES.items():
        kernel = rng.standard_normal(shape, "float32") * np.sqrt(2 / np.prod(shape[:3]))
        arrays[layer] = (kernel.astype("float32"), rng.normal(0, 0.1, shape[3]).astype("float32"))
    return arrays


@pytest.fixture(scope="module")
def encoder():
    return build_encoder()


@pytest.fixture(scope="module")
def image(picture):
    return picture(16, 24).astype("float64") / 255


# === NumPy oracle ===


def convolve(x, kernel, bias):
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
    return np.maximum(np.tensordot(windows, kernel, ([2, 3, 4], [2, 0, 1])) + bias, 0)


def features(x, weights):
    """The four taps of VGG-19 for an already preprocessed picture."""
    taps = []
    for layer in LAYERS:
        if layer[-1] == "1" and taps:
            height, width, channels = x.shape
            x = x.reshape(height // 2, 2, width // 2, 2, channels).max(axis=(1, 3))
        x = convolve(x, *weights[layer])
        if layer[-1] == "1":
            taps.append(x)
    return taps


def check(path, preprocessed, weights, encoder, image):
    """The file makes the encoder that VGG-19 behind its own preprocessing is."""
    arrays = read_vgg(path)
    assert {key: array.dtype for key, array in arrays.items()} == {
        f"{layer}/{kind}": np.float32 for layer in LAYERS for kind in ("kernel", "bias")
    }
    for layer in LAYERS[1:]:
        for kind, array in zip(("kernel", "bias"), weights[layer], strict=True):
            np.testing.assert_array_equal(arrays[f"{layer}/{kind}"], array)
    set_arrays(encoder, arrays)
    found = encoder.predict_on_batch(image[None].astype("float32"))
    for tap, expected in zip(found, features(preprocessed, weights), strict=True):
        np.testing.assert_allclose(tap[0], expected, rtol=1e-3, atol=1e-4 * expected.max())


# === .t7 ===


class Lua:
    """Writes Torch7's binary format, with longs of 4 or 8 bytes."""

    def __init__(self, word):
        self.word = word
        self.out = io.BytesIO()
        self.index = 0

    def ints(self, *values):
        self.out.write(struct.pack(f"<{len(values)}i", *values))

    def longs(self, *values):
        self.out.write(struct.pack(f"<{len(values)}{'q' if self.word == 8 else 'i'}", *values))

    def text(self, value):
        self.ints(len(value))
        self.out.write(value)

    def start(self, kind, *names):
        self.index += 1
        self.ints(kind, self.index)
        for name in names:
            self.text(name)

    def put(self, value):
        if isinstance(value, int | float):
            self.ints(1)
            self.out.write(struct.pack("<d", value))
        elif isinstance(value, bytes):
            self.ints(2)
            self.text(value)
        elif isinstance(value, dict):
            self.start(3)
            self.ints(len(value))
            for key, item in value.items():
                self.put(key)
                self.put(item)
        elif isinstance(value, tuple):  # An object: its class and its fields.
            self.start(4, b"V 1", value[0])
            self.put(value[1])
        else:
            self.tensor(value)
        return self

    def tensor(self, array, count=None):
        self.start(4, b"V 1", b"torch.FloatTensor")
        self.ints(array.ndim)
        self.longs(*array.shape, *(step // array.itemsize for step in array.strides), 1)
        self.start(4, b"V 1", b"torch.FloatStorage")
        self.longs(array.size if count is None else count)
        self.out.write(array.tobytes())


def to_torch(kernel):
    return np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))


def lua_network(weights, preprocess=True, matrices=False):
    """An `nn.Sequential` as the authors' file holds it, other modules in between."""

    def convolution(weight, bias, **fields):
        out, inner, height, width = weight.shape
        sizes = {b"nOutputPlane": out, b"nInputPlane": inner, b"kH": height, b"kW": width}
        kind = b"nn.SpatialConvolutionMM" if matrices else b"nn.SpatialConvolution"
        weight = weight.reshape(out, -1) if matrices else weight
        return kind, sizes | {b"weight": weight, b"bias": bias} | fields

    modules = []
    if preprocess:
        modules.append(convolution(PREPROCESS[:, :, None, None], OFFSET))
        modules[0][1][b"name"] = b"preprocess"
    for kernel, bias in weights.values():
        modules.append((b"nn.SpatialReflectionPadding", {b"pad_l": 1}))
        modules.append(convolution(to_torch(kernel), bias))
        modules.append((b"nn.ReLU", {b"threshold": 0}))
    return b"nn.Sequential", {b"modules": dict(enumerate(modules, start=1))}


@pytest.fixture(scope="module")
def t7(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("t7") / "vgg_normalised.t7"
    path.write_bytes(Lua(8).put(lua_network(weights)).out.getvalue())
    return path


def test_t7(t7, weights, encoder, image):
    pytest.importorskip("torchfile")
    check(t7, image @ PREPROCESS.T + OFFSET, weights, encoder, image)


def test_t7_of_a_32_bit_machine_and_with_matrices(t7, weights, tmp_path):
    pytest.importorskip("torchfile")
    path = tmp_path / "old.t7"
    path.write_bytes(Lua(4).put(lua_network(weights, matrices=True)).out.getvalue())
    expected = read_vgg(t7)
    for key, array in read_vgg(path).items():
        np.testing.assert_array_equal(array, expected[key])


def test_t7_without_preprocessing_is_refused(weights, tmp_path):
    pytest.importorskip("torchfile")
    path = tmp_path / "bare.t7"
    path.write_bytes(Lua(8).put(lua_network(weights, preprocess=False)).out.getvalue())
    refused(path, "expected a 1 x 1 preprocessing convolution")


@pytest.mark.parametrize("count", [3, 2**40])
def test_t7_with_a_false_size(tmp_path, count):
    """A tensor larger than its storage, and a storage larger than the file."""
    pytest.importorskip("torchfile")
    lua = Lua(8)
    lua.tensor(np.zeros((64, 3, 3, 3), "float32"), count=count)
    path = tmp_path / "false.t7"
    path.write_bytes(lua.out.getvalue())
    refused(path, "not a readable .t7 file")


# === .pth, written without torch ===

AUTHORS, TORCHVISION = "{}.{}", "features.{}.{}"


def text(value):
    return b"X" + struct.pack("<i", len(value)) + value.encode()


def number(value):
    short = value < 2**31
    return b"J" + struct.pack("<i", value) if short else b"\x8a\x08" + struct.pack("<q", value)


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(key, count, shape, strides):
    """Opcodes of what `torch.save` writes for one float tensor."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu")
    storage += number(count) + b"tQ"
    rest = number(0) + numbers(shape) + numbers(strides) + b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + b"tR"


def pickled(items):
    """A state dict, `{name: opcodes}`."""
    body = b"".join(text(name) + opcodes + b"s" for name, opcodes in items.items())
    return b"\x80\x02ccollections\nOrderedDict\n)R" + body + b"."


def state_dict(weights, names, leading=()):
    """Opcodes of the tensors, and the storages. Torch counts padding and ReLU as modules."""
    arrays = [*leading, *((to_torch(kernel), bias) for kernel, bias in weights.values())]
    items, storages = {}, {}
    for i, pair in enumerate(arrays):
        for kind, array in zip(("weight", "bias"), pair, strict=True):
            key = str(len(storages))
            strides = [step // array.itemsize for step in array.strides]
            items[names.format(3 * i, kind)] = tensor(key, array.size, array.shape, strides)
            storages[key] = array
    return items, storages


def write_zip(path, opcodes, storages, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", opcodes)
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
    return path


def write_legacy(path, opcodes, storages):
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    head = b"".join(pickle.dumps(part, 2) for part in parts)
    body = b"".join(struct.pack("<q", a.size) + a.tobytes() for a in storages.values())
    path.write_bytes(head + opcodes + pickle.dumps(list(storages), 2) + body)
    return path


@pytest.fixture(scope="module")
def pth(weights, tmp_path_factory):
    items, storages = state_dict(weights, TORCHVISION)
    return write_zip(tmp_path_factory.mktemp("pth") / "vgg19.pth", pickled(items), storages)


def test_torchvision_pth(pth, weights, encoder, image):
    check(pth, (image - MEAN) / STD, weights, encoder, image)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_authors_pth(tmp_path, write, weights, encoder, image):
    items, storages = state_dict(weights, AUTHORS, [(PREPROCESS[:, :, None, None], OFFSET)])
    # Order of the numbers, not of the file or of the alphabet.
    path = write(tmp_path / "vgg.pth", pickled(dict(reversed(items.items()))), storages)
    check(path, image @ PREPROCESS.T + OFFSET, weights, encoder, image)


@pytest.mark.parametrize("zipped", [True, False])
def test_pth_of_torch_itself(tmp_path, zipped, weights, pth):
    torch = pytest.importorskip("torch")
    network = torch.nn.Module()
    network.features = torch.nn.Sequential()
    for i, (kernel, bias) in enumerate(weights.values()):
        layer = torch.nn.Conv2d(*kernel.shape[2:], 3)
        # A view that is not contiguous, as checkpoints converted from elsewhere hold.
        layer.weight = torch.nn.Parameter(torch.from_numpy(kernel).permute(3, 2, 0, 1))
        layer.bias = torch.nn.Parameter(torch.from_numpy(bias))
        network.features.add_module(str(2 * i), layer)
    network.classifier = torch.nn.Sequential(torch.nn.Linear(7, 5))
    path = tmp_path / "vgg19.pt"
    state = {"state_dict": network.state_dict(), "epoch": 3}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    expected = read_vgg(pth)
    for key, array in read_vgg(path).items():
        np.testing.assert_array_equal(array, expected[key])


@pytest.mark.parametrize("write", [write_zip, write_legacy])
@pytest.mark.parametrize("function", ["posix system", "builtins exec", "torch.hub load"])
def test_pth_that_asks_for_code_is_refused(tmp_path, write, function):
    marker = tmp_path / "marker"
    module, name = function.split()
    attack = f"c{module}\n{name}\n".encode() + b"(" + text(f"touch {marker}") + b"tR"
    path = write(tmp_path / "evil.pth", pickled({"features.0.weight": attack}), {})
    refused(path, f"refused, it asks for `{module}.{name}`")
    assert not marker.exists()
    # The same pickle, read by one who does not look: the attack is real.
    if module == "posix":
        pickle.loads(pickled({"x": attack}))
        assert marker.exists()


def test_a_bare_pickle_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'marker'}",)

    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Evil()))
    refused(path, "refused, it asks for `posix.system`")
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("write", [write_zip, write_legacy])
@pytest.mark.parametrize(
    ("count", "shape", "strides"),
    [
        (2**40, (64, 3, 3, 3), (27, 9, 3, 1)),
        (27, (64, 3, 3, 3), (0, 9, 3, 1)),
        (27, (64, 3, 3, 3), (27, 9, 3, 1)),
        (2**40, (2**20, 2**20, 1, 1), (2**20, 1, 1, 1)),
    ],
)
def test_pth_with_a_false_size(tmp_path, write, count, shape, strides):
    items = {"features.0.weight": tensor("0", count, shape, strides)}
    path = write(tmp_path / "false.pth", pickled(items), {"0": np.zeros(27, "float32")})
    refused(path, "not a readable .pth file")


def test_legacy_pth_with_a_false_storage(tmp_path):
    items = {"features.0.weight": tensor("0", 2**40, (64, 3, 3, 3), (27, 9, 3, 1))}
    path = write_legacy(tmp_path / "false.pth", pickled(items), {"0": np.zeros(27, "float32")})
    content = path.read_bytes()
    path.write_bytes(content[:-116] + struct.pack("<q", 2**40) + content[-108:])
    refused(path, "a storage of 1099511627776")


def test_compressed_pth_is_refused(tmp_path):
    """What is compressed can unpack to any size; torch never compresses."""
    path = write_zip(tmp_path / "bomb.pth", b"\x80\x02}." * 99, {}, zipfile.ZIP_DEFLATED)
    refused(path, "is compressed")


def test_batch_normalisation_is_refused(weights, tmp_path):
    items, storages = state_dict(dict(list(weights.items())[:1]), TORCHVISION)
    items["features.1.running_mean"] = items["features.0.bias"]
    refused(write_zip(tmp_path / "bn.pth", pickled(items), storages), "without batch normal")


# === .h5 ===

LAYOUTS = {
    "Keras Applications": "{0}/{0}_W_1:0 {0}/{0}_b_1:0",
    "Keras 2": "{0}/{0}/kernel:0 {0}/{0}/bias:0",
    "whole model": "model_weights/{0}/vgg19/{0}/kernel model_weights/{0}/vgg19/{0}/bias",
}


def block(layer):
    return layer.replace("conv", "block").replace("_", "_conv")


def write_h5(path, weights, layout="Keras Applications"):
    with h5py.File(path, "w") as file:
        for layer, pair in weights.items():
            for name, array in zip(LAYOUTS[layout].split(), pair, strict=True):
                file[name.format(block(layer))] = array
    return path


def caffe(image):
    return keras.applications.vgg19.preprocess_input(255 * image)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_h5(tmp_path, layout, weights, encoder, image):
    path = write_h5(tmp_path / "vgg19.h5", weights, layout)
    with h5py.File(path, "a") as file:
        file["block5_conv1/block5_conv1_W_1:0"] = np.zeros((3, 3, 4, 4), "float32")
        file["optimizer_weights/adam/block1_conv1/kernel"] = weights["conv1_1"][0] + 1
        file["optimizer_weights/adam/block1_conv1/bias"] = weights["conv1_1"][1] + 1
    check(path, caffe(image), weights, encoder, image)


def test_h5_is_not_read_where_its_shape_is_wrong(weights, tmp_path):
    """Chunks that were never written cost nothing on disk and terabytes in memory."""
    path = write_h5(tmp_path / "vgg19.h5", {k: v for k, v in weights.items() if k != "conv1_2"})
    with h5py.File(path, "a") as file:
        file.create_dataset("block1_conv2/k", (3, 3, 2**20, 2**20), "f4", chunks=(3, 3, 8, 8))
        file["block1_conv2/b"] = weights["conv1_2"][1]
    refused(path, r"expected conv1_2/kernel as float \(3, 3, 64, 64\)")


def test_keras_applications(monkeypatch, weights, encoder, image):
    """The download left out: the real network, with weights of ours."""
    build = keras.applications.VGG19

    def make(include_top, weights):
        assert (include_top, weights) == (False, "imagenet")
        network = build(include_top=False, weights=None)
        for layer, pair in made.items():
            network.get_layer(block(layer)).set_weights(pair)
        return network

    made = weights
    monkeypatch.setattr(keras.applications, "VGG19", make)
    set_arrays(encoder, vgg.from_keras_applications())
    found = encoder.predict_on_batch(image[None].astype("float32"))[-1][0]
    expected = features(caffe(image), weights)[-1]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())


# === .npz ===


def write_npz(path, weights, dtype="float32"):
    arrays = {}
    for layer, (kernel, bias) in weights.items():
        arrays |= {f"{layer}/kernel": kernel, f"{layer}/bias": bias}
    # Only floats are narrowed: an integer has to arrive as one.
    np.savez(path, **{k: a.astype(dtype) if a.dtype.kind == "f" else a for k, a in arrays.items()})
    return path


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_npz_is_taken_as_it_is(tmp_path, dtype, weights, encoder, image):
    rounded = {k: tuple(a.astype(dtype).astype("float32") for a in v) for k, v in weights.items()}
    path = write_npz(tmp_path / "encoder.npz", weights, dtype)
    check(path, image, rounded, encoder, image)
    np.testing.assert_array_equal(read_vgg(path)["conv1_1/kernel"], rounded["conv1_1"][0])


def test_the_shipped_encoder_can_be_named_as_a_file(root):
    arrays = read_vgg(root / "weights" / "adain_vgg19" / "encoder.npz")
    assert {key: array.shape for key, array in arrays.items() if key.endswith("kernel")} == {
        f"{layer}/kernel": shape for layer, shape in SHAPES.items()
    }


def test_npz_with_objects_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'marker'}",)

    np.savez(tmp_path / "evil.npz", **{"conv1_1/kernel": np.array([Evil()])})
    refused(tmp_path / "evil.npz", "not a readable .npz file")
    assert not (tmp_path / "marker").exists()


def test_npz_with_a_false_size(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (10**13,)}
    )
    with zipfile.ZipFile(tmp_path / "false.npz", "w") as archive:
        archive.writestr("conv1_1/kernel.npy", header.getvalue())
    refused(tmp_path / "false.npz", "not a readable .npz file")


def test_npz_that_unpacks_to_too_much(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, **{"conv1_1/kernel": np.zeros(2**21, "float32")})
    monkeypatch.setattr(vgg, "_MAX_BYTES", 2**20)  # Gigabytes would take minutes to write.
    assert path.stat().st_size < 2**15
    refused(path, "expected at most 1048576 bytes when unpacked")


# === What every format refuses ===


def refused(path, match):
    """One line: the file, the reason, the remedy."""
    with pytest.raises(WeightsError, match=match) as caught:
        read_vgg(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    remedies = ("Use vgg_normalised.t7", "Download it again", "Check the path", "Only state dicts")
    assert any(remedy in message for remedy in remedies)


def test_missing_file(tmp_path):
    refused(tmp_path / "vgg.npz", "no such file. Check the path")


@pytest.mark.parametrize("name", ["vgg.onnx", "vgg", "vgg.tar.gz"])
def test_wrong_suffix(tmp_path, name):
    (tmp_path / name).write_bytes(b"anything")
    refused(tmp_path / name, r"expected one of \.t7, \.pth, .*\. Received: '(\.onnx|\.gz|)'")


def test_too_large_a_file(tmp_path):
    path = tmp_path / "vgg.h5"
    path.touch()
    os.truncate(path, 2**31 + 1)  # A hole: nothing on disk.
    refused(path, "expected at most 2147483648 bytes. Received: 2147483649")


@pytest.mark.parametrize("suffix", [".t7", ".pth", ".h5", ".npz"])
@pytest.mark.parametrize("content", [b"", b"<html>404 Not Found</html>", b"PK\x03\x04", None])
def test_files_of_another_kind(tmp_path, suffix, content):
    if suffix == ".t7":
        pytest.importorskip("torchfile")
    path = tmp_path / f"vgg{suffix}"
    path.mkdir() if content is None else path.write_bytes(content)
    refused(path, f"not a readable {suffix} file")


@pytest.mark.parametrize("suffix", [".t7", ".pth", ".h5", ".npz"])
@pytest.mark.parametrize("share", [0.001, 0.5, 0.9999])
def test_truncated_files(tmp_path, suffix, share, t7, pth, weights):
    path = tmp_path / f"cut{suffix}"
    if suffix == ".t7":
        pytest.importorskip("torchfile")
    if suffix in (".t7", ".pth"):
        path.write_bytes((t7 if suffix == ".t7" else pth).read_bytes())
    else:
        (write_h5 if suffix == ".h5" else write_npz)(path, weights)
    os.truncate(path, int(path.stat().st_size * share))
    refused(path, f"not a readable {suffix} file")


@pytest.mark.parametrize(
    ("suffix", "fault"),
    # The writers above know no Torch tensors of integers.
    [*itertools.product([".t7", ".pth", ".h5", ".npz"], ["narrow", "missing", "infinite"])]
    + [(".h5", "integer"), (".npz", "integer")],
)
def test_wrong_arrays(tmp_path, suffix, fault, weights):
    changed = dict(weights)
    kernel, bias = weights["conv2_1"]
    if fault == "narrow":
        changed["conv2_1"] = kernel[..., :100], bias[:100]
        match = r"expected conv2_1/kernel as float \(3, 3, 64, 128\)\. Received: float32 \(3, 3, 64"
    elif fault == "missing":
        changed = {layer: weights[layer] for layer in LAYERS[:5]}
        match = "expected conv3_2/kernel of shape .* Received: no such array"
    elif fault == "infinite":
        changed["conv2_1"] = kernel, np.where(np.arange(128) == 5, np.nan, bias).astype("float32")
        match = "expected finite values in conv2_1/bias. Received: 1 others"
    else:
        changed["conv2_1"] = kernel, bias.astype("int32")
        match = "expected conv2_1/bias as float"
    path = tmp_path / f"wrong{suffix}"
    if suffix == ".t7":
        pytest.importorskip("torchfile")
        path.write_bytes(Lua(8).put(lua_network(changed)).out.getvalue())
    elif suffix == ".pth":
        items, storages = state_dict(changed, TORCHVISION)
        write_zip(path, pickled(items), storages)
    elif suffix == ".h5":
        write_h5(path, changed)
    else:
        write_npz(path, changed)
    refused(path, match)
