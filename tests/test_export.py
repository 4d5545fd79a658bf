"""Presets as ONNX files: what is in them, and who needs what to write them."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from adain import cli
from adain.presets.architecture import ARCHITECTURES
from adain.presets.preset import PresetError

onnx = pytest.importorskip("onnx")

from adain.export.onnx import export_onnx  # noqa: E402

FILES = ("encode.onnx", "decode.onnx")


@pytest.fixture(scope="module")
def preset(any_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preset")
    any_model.save_to_preset(folder)
    return folder


def described(values):
    """`{name: (element type, number of dimensions)}` of a graph's inputs or outputs."""
    return {
        value.name: (
            onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type),
            len(value.type.tensor_type.shape.dim),
        )
        for value in values
    }


def test_what_goes_in_and_out(preset, any_model, tmp_path):
    sums = export_onnx(preset, tmp_path / "onnx")
    facts = ARCHITECTURES[any_model.architecture]
    further = ("measure.onnx", "decode_fixed.onnx")
    files = FILES + (further if facts.normalized else ())
    assert sorted(path.name for path in (tmp_path / "onnx").iterdir()) == sorted(files)
    for name, expected in sums.items():
        content = (tmp_path / "onnx" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == expected
    encode, decode = (onnx.load(tmp_path / "onnx" / name).graph for name in FILES)
    levels = {f"level{number}": ("FLOAT", 4) for number in range(1, facts.levels + 1)}
    assert described(encode.input) == {"image": ("UINT8", 4)}
    statistics = {"mean": ("FLOAT", 4), "std": ("FLOAT", 4)}
    assert described(encode.output) == levels | statistics
    styles = {f"style_{name}": kind for name, kind in statistics.items()}
    assert described(decode.input) == levels | statistics | styles | {"alpha": ("FLOAT", 4)}
    assert described(decode.output) == {"picture": ("UINT8", 4)}
    if facts.normalized:
        loaded = (onnx.load(tmp_path / "onnx" / name).graph for name in further)
        measure, fixed = loaded
        found, given = {"statistics": ("FLOAT", 4)}, described(decode.input)
        assert described(measure.input) == given | {"weight": ("FLOAT", 4)}
        assert described(measure.output) == found
        assert described(fixed.input) == given | found
        assert described(fixed.output) == described(decode.output)


def test_the_same_weights_give_the_same_files(make_any, tmp_path):
    sums = []
    for number, seed in enumerate((0, 0, 1)):
        make_any(seed).save_to_preset(tmp_path / str(number))
        sums.append(export_onnx(tmp_path / str(number), tmp_path / "onnx"))
    assert sums[0] == sums[1] != sums[2]


def test_command(tiny_preset, tmp_path, capsys):
    out = tmp_path / "deep" / "onnx"
    assert cli.main(["export", "--checkpoint", str(tiny_preset), "--out-path", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    expected = export_onnx(tiny_preset, tmp_path / "expected")
    said = capsys.readouterr().err
    for name, text in expected.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == text
        assert f"written: {out}/{name}" in said


def test_a_preset_without_graphs(tiny_preset, tmp_path, edit_config):
    edit_config(tiny_preset, lambda config: config["sha256"].pop("graphs.json"))
    with pytest.raises(PresetError, match=r"config\.json: the SHA-256 of graphs\.json is missing"):
        export_onnx(tiny_preset, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()


def test_flat_pictures_stay_finite(preset, tmp_path):
    """Deviations are never 0, in the files neither."""
    onnxruntime = pytest.importorskip("onnxruntime")
    export_onnx(preset, tmp_path)
    session = onnxruntime.InferenceSession(tmp_path / FILES[0], providers=["CPUExecutionProvider"])
    *_, std = session.run(None, {"image": np.full((1, 32, 48, 3), 255, "uint8")})
    assert np.isfinite(std).all()
    assert (std > 0).all()
