"""Where weights lie and what is checked before they are used."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from adain.presets import preset as presets
from adain.presets.graphs import GRAPHS
from adain.presets.preset import PresetError


def test_available_presets(root):
    names = presets.available_presets()
    assert names == sorted(names)
    assert presets.DEFAULT_PRESET in names
    assert presets.find_preset(presets.DEFAULT_PRESET) == root / "weights" / "adain_vgg19"


def test_the_folder_of_all_presets_means_the_default(root):
    assert presets.find_preset(root / "weights").name == "adain_vgg19"


def test_a_folder_is_found(tiny_preset):
    assert presets.find_preset(tiny_preset) == tiny_preset
    assert presets.find_preset(str(tiny_preset)) == tiny_preset


@pytest.mark.parametrize("name", ["nonsense", ".", ""])
def test_unknown_presets_name_the_known(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PresetError, match="no such weights. Use one of .*adain_vgg19"):
        presets.find_preset(name)


def test_sums_belong_to_the_files(tiny_preset):
    config = presets.read_config(tiny_preset)
    assert config["widths"] == [4, 8, 8, 16]
    assert config["about"]["preset"] == "tiny0"
    for file in presets.WEIGHT_FILES:
        content = (tiny_preset / file).read_bytes()
        assert config["sha256"][file] == hashlib.sha256(content).hexdigest()


def test_shipped_presets_are_whole():
    for name in presets.available_presets():
        folder = presets.find_preset(name)
        config = presets.read_config(folder)
        assert set(presets.WEIGHT_FILES) <= config["sha256"].keys()
        for file, expected in config["sha256"].items():
            if file in presets.WEIGHT_FILES:
                arrays = presets.read_weights(folder, file, expected)
                assert all(np.isfinite(array).all() for array in arrays.values())
            else:
                assert file == GRAPHS
                presets.read_file(folder, file, expected)
        # What is published names no folder of the machine that made it.
        assert not [
            text for text in strings(config) if text.startswith(("/", "~")) or ":\\" in text
        ]


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '"text"', "{}", '{"widths": [4, 8, 8, 16]}', "\udcff"]
)
def test_damaged_config(tiny_preset, text):
    from adain.networks.model import StyleTransfer

    (tiny_preset / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(PresetError, match=r"config\.json"):
        StyleTransfer.from_preset(tiny_preset)


def test_unknown_architecture(tiny_preset):
    presets.write_config(tiny_preset, presets.read_config(tiny_preset) | {"architecture": "vast"})
    with pytest.raises(PresetError, match=r"one of vgg19, compact\. Received: 'vast'"):
        presets.read_config(tiny_preset)


def test_encoder_without_decoder(tiny_preset):
    """Such a preset is good for training; asking more of it says what is missing."""
    from adain.networks.model import StyleTransfer

    (tiny_preset / "decoder.npz").unlink()
    config = presets.read_config(tiny_preset)
    del config["sha256"]["decoder.npz"]
    presets.write_config(tiny_preset, config)
    with pytest.raises(PresetError, match=r"decoder\.npz: cannot be read"):
        StyleTransfer.from_preset(tiny_preset)


def test_weights_of_other_widths(tiny_preset, make_model, tmp_path):
    from adain.networks.model import StyleTransfer

    make_model(widths=(4, 8, 8, 8)).save_to_preset(tmp_path / "other")
    config = presets.read_config(tiny_preset) | {"widths": [4, 8, 8, 8]}
    presets.write_config(tiny_preset, config)
    with pytest.raises(PresetError, match=r"encoder\.npz: conv4_1/kernel .* must have shape"):
        StyleTransfer.from_preset(tiny_preset)


def test_a_file_that_is_no_weights_file(tiny_preset):
    path = tiny_preset / "decoder.npz"
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(PresetError, match=r"decoder\.npz: not a weights file"):
        presets.read_weights(tiny_preset, "decoder.npz", None)


def test_writing_is_repeatable_and_leaves_nothing_behind(tmp_path):
    arrays = {"conv1_1/kernel": np.random.default_rng(0).normal(size=(3, 3, 3, 4))}
    first = presets.write_weights(tmp_path / "a.npz", arrays)
    assert presets.write_weights(tmp_path / "a.npz", arrays) == first
    presets.write_config(tmp_path, {"about": {"license": "Ö"}})
    assert json.loads((tmp_path / "config.json").read_text())["about"]["license"] == "Ö"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "config.json"]
    back = presets.read_weights(tmp_path, "a.npz", first)["conv1_1/kernel"]
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, arrays["conv1_1/kernel"].astype("float16"))


def test_an_installed_package_finds_its_weights(root, tiny_preset, tmp_path):
    """Package data lies in `adain/weights`, beside the code."""
    shutil.copytree(root / "adain", tmp_path / "site" / "adain")
    shutil.copytree(tiny_preset, tmp_path / "site" / "adain" / "weights" / "tiny")
    code = "import adain; print(adain.available_presets())"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "site", capture_output=True, text=True,
        check=True, env={"PYTHONPATH": str(tmp_path / "site")},
    )  # fmt: skip
    assert result.stdout.strip() == "['tiny']"
