"""Networks as ONNX files: what is in them, and what cannot be."""

from __future__ import annotations

import hashlib
import sys

import keras
import numpy as np
import pytest

from adain import cli
from adain.networks.model import StyleTransfer
from adain.networks.vgg19 import get_arrays
from adain.presets.preset import ONNX_FILES

onnx = pytest.importorskip("onnx")
export_onnx = pytest.importorskip("adain.export.onnx").export_onnx


def described(values):
    """`{name: (element type, number of dimensions)}` of a graph's inputs or outputs."""
    return {
        value.name: (
            onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type),
            len(value.type.tensor_type.shape.dim),
        )
        for value in values
    }


def test_what_goes_in_and_out(any_model, tmp_path):
    sums = export_onnx(any_model, tmp_path / "onnx")
    assert sorted(path.name for path in (tmp_path / "onnx").iterdir()) == sorted(ONNX_FILES)
    for name, expected in sums.items():
        content = (tmp_path / "onnx" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == expected
    encode, decode = (onnx.load(tmp_path / "onnx" / name).graph for name in ONNX_FILES)
    count = {"vgg19": 1, "compact": 4}[any_model.architecture]
    levels = {f"level{number}": ("FLOAT", 4) for number in range(1, count + 1)}
    assert described(encode.input) == {"image": ("UINT8", 4)}
    statistics = {"mean": ("FLOAT", 4), "std": ("FLOAT", 4)}
    assert described(encode.output) == levels | statistics
    styles = {f"style_{name}": kind for name, kind in statistics.items()}
    assert described(decode.input) == levels | statistics | styles | {"alpha": ("FLOAT", 4)}
    assert described(decode.output) == {"picture": ("UINT8", 4)}


def test_every_weight_is_there_once_in_half_precision(any_model, tmp_path):
    export_onnx(any_model, tmp_path)
    for name, network in zip(ONNX_FILES, (any_model.encoder, any_model.decoder), strict=True):
        weights = [
            onnx.numpy_helper.to_array(item)
            for item in onnx.load(tmp_path / name).graph.initializer
            if item.data_type == onnx.TensorProto.FLOAT16
        ]
        expected = [array.astype("float16") for array in get_arrays(network).values()]
        # Layouts differ: the same numbers in another order.
        found, expected = (
            sorted(sorted(array.ravel().tolist()) for array in arrays)
            for arrays in (weights, expected)
        )
        assert found == expected


def test_the_same_weights_give_the_same_files(make_any, tmp_path):
    sums = [export_onnx(make_any(), tmp_path / str(i)) for i in range(2)]
    assert sums[0] == sums[1] != export_onnx(make_any(1), tmp_path / "other")


def test_command(tiny_preset, tmp_path, capsys):
    out = tmp_path / "deep" / "onnx"
    assert cli.main(["export", "--checkpoint", str(tiny_preset), "--out-path", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(ONNX_FILES)
    expected = export_onnx(StyleTransfer.from_preset(tiny_preset), tmp_path / "expected")
    said = capsys.readouterr().err
    for name, text in expected.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == text
        assert f"written: {out}/{name}" in said


def test_unknown_layers_are_named(make_model, tmp_path):
    model = make_model()
    *taps, deepest = model.encoder.outputs
    deepest = keras.layers.SpatialDropout2D(0.5, name="forgetful")(deepest)
    encoder = keras.Model(model.encoder.inputs, [*taps, deepest])
    with pytest.raises(ValueError, match="forgetful: a SpatialDropout2D cannot be exported"):
        export_onnx(StyleTransfer(encoder, model.decoder), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unknown_activations_are_named(make_model, tmp_path):
    model = make_model()
    model.decoder.get_layer("conv2_2").activation = keras.activations.tanh
    with pytest.raises(ValueError, match="conv2_2: activation .*tanh.* cannot be exported"):
        export_onnx(model, tmp_path)


def test_without_onnx_the_remedy_is_said(tiny_preset, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "adain.export.onnx")
    assert cli.main(["export", "--checkpoint", str(tiny_preset), "--out-path", str(tmp_path)]) == 1
    assert "error: Exporting needs onnx: pip install onnx" in capsys.readouterr().err


def test_flat_pictures_stay_finite(any_model, tmp_path):
    """Deviations are never 0, in the files neither."""
    onnxruntime = pytest.importorskip("onnxruntime")
    export_onnx(any_model, tmp_path)
    session = onnxruntime.InferenceSession(
        tmp_path / ONNX_FILES[0], providers=["CPUExecutionProvider"]
    )
    *_, std = session.run(None, {"image": np.full((1, 32, 48, 3), 255, "uint8")})
    assert np.isfinite(std).all()
    assert (std > 0).all()
