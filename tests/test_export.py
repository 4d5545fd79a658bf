"""Presets as ONNX files: what is in them, and who needs what to write them."""

from __future__ import annotations

import numpy as np
import pytest

from adain import cli
from adain.export.command import export
from adain.export.config import ExportConfig
from adain.export.formats import WHOLE_GRAPHS
from adain.presets.architecture import ARCHITECTURES
from adain.presets.preset import PresetError

onnx = pytest.importorskip("onnx")

WHOLE = ("style.onnx", "stylize.onnx")
TILES = ("encode.onnx", "decode.onnx")


def write(preset, folder, *graphs):
    """Files by their names."""
    named = {"graphs": graphs} if graphs else {}
    paths = list(export(ExportConfig(str(preset), out_path=str(folder), **named)))
    return {path.name: path.read_bytes() for path in paths}


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
    facts = ARCHITECTURES[any_model.architecture]
    further = ("measure", "decode_fixed") if facts.normalized else ()
    graphs = (*WHOLE_GRAPHS, "encode", "decode", *further)
    files = write(preset, tmp_path / "onnx", *graphs)
    assert sorted(path.name for path in (tmp_path / "onnx").iterdir()) == sorted(files)
    assert list(files) == [f"{name}.onnx" for name in graphs]
    style, stylize, encode, decode, *rest = (
        onnx.load_from_string(content).graph for content in files.values()
    )
    code = {"style_mean": ("FLOAT", 1), "style_std": ("FLOAT", 1)}
    code |= {"palette_mean": ("FLOAT", 1), "palette_covariance": ("FLOAT", 2)}
    assert described(style.input) == {"style": ("UINT8", 4)}
    assert described(style.output) == code
    given = code | {"content": ("UINT8", 4), "alpha": ("FLOAT", 1), "palette": ("FLOAT", 1)}
    assert described(stylize.input) == given
    assert described(stylize.output) == {"picture": ("UINT8", 4)}
    levels = {f"level{number}": ("FLOAT", 4) for number in range(1, facts.levels + 1)}
    assert described(encode.input) == {"image": ("UINT8", 4)}
    statistics = {"mean": ("FLOAT", 4), "std": ("FLOAT", 4)}
    assert described(encode.output) == levels | statistics
    styles = {f"style_{name}": kind for name, kind in statistics.items()}
    assert described(decode.input) == levels | statistics | styles | {"alpha": ("FLOAT", 4)}
    assert described(decode.output) == {"picture": ("UINT8", 4)}
    if facts.normalized:
        measure, fixed = rest
        found, given = {"statistics": ("FLOAT", 4)}, described(decode.input)
        assert described(measure.input) == given | {"weight": ("FLOAT", 4)}
        assert described(measure.output) == found
        assert described(fixed.input) == given | found
        assert described(fixed.output) == described(decode.output)
    else:
        with pytest.raises(PresetError, match="does not normalise, so that there is no measure"):
            write(preset, tmp_path / "measure", "measure")


def test_the_same_weights_give_the_same_files(make_any, tmp_path):
    files = []
    for number, seed in enumerate((0, 0, 1)):
        make_any(seed).save_to_preset(tmp_path / str(number))
        files.append(write(tmp_path / str(number), tmp_path / "onnx"))
    assert files[0] == files[1] != files[2]


def test_command(tiny_preset, tmp_path, capsys):
    out = tmp_path / "deep" / "onnx"
    assert cli.main(["export", "--checkpoint", str(tiny_preset), "--out-path", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(WHOLE)
    expected = write(tiny_preset, tmp_path / "expected")
    said = capsys.readouterr().err
    for name, content in expected.items():
        assert (out / name).read_bytes() == content
        assert f"written: {out}/{name}" in said


def test_a_preset_without_graphs(tiny_preset, tmp_path, edit_config):
    edit_config(tiny_preset, lambda config: config["sha256"].pop("graphs.json"))
    with pytest.raises(PresetError, match=r"config\.json: the SHA-256 of graphs\.json is missing"):
        write(tiny_preset, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()


def test_flat_pictures_stay_finite(preset, tmp_path):
    """Deviations are never 0, in the files neither."""
    onnxruntime = pytest.importorskip("onnxruntime")
    write(preset, tmp_path, "encode")
    session = onnxruntime.InferenceSession(tmp_path / TILES[0], providers=["CPUExecutionProvider"])
    *_, std = session.run(None, {"image": np.full((1, 32, 48, 3), 255, "uint8")})
    assert np.isfinite(std).all()
    assert (std > 0).all()


@pytest.mark.parametrize("out", ["file", "file/below", "new.onnx"])
def test_where_no_folder_can_be_is_told_at_once(tmp_path, capsys, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert cli.main(["export", "--checkpoint", "adain_fast", "--out-path", out]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and out in error
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
