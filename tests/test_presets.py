"""Where weights lie and what is checked before they are used."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from adain.presets import npz
from adain.presets import preset as presets
from adain.presets.graphs import GRAPHS
from adain.presets.preset import PARTS, Preset, PresetError


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
    preset = Preset.load(tiny_preset)
    assert preset.folder == tiny_preset
    assert preset.architecture.name == "vgg19"
    assert preset.widths == (4, 8, 8, 16)
    assert preset.level_widths == (8, 8, 16)
    assert preset.name == "tiny0"
    assert preset.license == preset.summary == ""
    for file in ("encoder.npz", "decoder.npz", GRAPHS):
        content = (tiny_preset / file).read_bytes()
        assert preset.sum_of(file) == hashlib.sha256(content).hexdigest()
        assert preset.read_file(file) == content
    assert preset.sum_of("encoder.npz").startswith(preset.fingerprint)


def test_shipped_presets_are_whole():
    for name in presets.available_presets():
        preset = Preset.load(name)
        assert preset.name == name and preset.license and preset.summary
        assert set(preset.sums) == {"encoder.npz", "decoder.npz", GRAPHS}
        for part in PARTS:
            arrays = preset.read_weights(part)
            assert all(np.isfinite(array).all() for array in arrays.values())
        preset.read_file(GRAPHS)
        config = json.loads((preset.folder / "config.json").read_text(encoding="utf-8"))
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
    "text",
    [
        "", "{", "[]", "3", "[" * 100_000, '{"about": ' * 50_000, '"text"', "{}",
        '{"widths": [4, 8, 8, 16]}', "\udcff",
    ],
    ids=lambda text: ascii(text[:30]),
)  # fmt: skip
def test_damaged_config(tiny_preset, text):
    from adain.networks.model import StyleTransfer

    (tiny_preset / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(PresetError, match=r"config\.json"):
        StyleTransfer.from_preset(tiny_preset)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "vast"}, r"one of vgg19, compact\. Received: 'vast'"),
        ({"architecture": ["vgg19"]}, r"the architecture must be one of .* Received: \['vgg19'\]"),
        ({"widths": 4}, "the widths of vgg19 must be 4 numbers"),
        ({"widths": [4, 8, 8]}, "the widths of vgg19 must be 4 numbers"),
        ({"widths": [4, 8, 8, "16"]}, "the widths of vgg19 must be 4 numbers"),
        ({"widths": [4, 8, True, 16]}, "the widths of vgg19 must be 4 numbers"),
        ({"widths": [4, 8, 8.0, 16]}, "the widths of vgg19 must be 4 numbers"),
        ({"widths": [4, 8, -8, 16]}, "the widths of vgg19 must be 4 numbers"),
        ({"widths": [4, 8, 8, 10**9]}, "must be 4 numbers between 1 and 4096"),
        pytest.param(
            {"widths": [4] * 10**5}, "the widths of vgg19 must be 4 numbers", id="many widths"
        ),
        ({"sha256": []}, "the sha256 must be sums of 64 hexadecimal digits"),
        ({"sha256": {"encoder.npz": 3}}, "the sha256 must be sums of 64 hexadecimal digits"),
        ({"sha256": {"encoder.npz": "ab"}}, "the sha256 must be sums of 64 hexadecimal digits"),
        ({"palette": "half"}, r"the palette must be a number in \[0, 1\]. Received: 'half'"),
        ({"palette": True}, r"the palette must be a number in \[0, 1\]"),
        ({"palette": float("nan")}, r"the palette must be a number in \[0, 1\]. Received: nan"),
        ({"about": "mine"}, "the about must be an object. Received: 'mine'"),
        ({"about": {"preset": 3}}, "the preset in about must be text. Received: 3"),
        ({"about": {"license": None}}, "the license in about must be text. Received: None"),
        ({"about": {"summary": {}}}, "the summary in about must be text. Received: {}"),
    ],
    ids=str,
)
def test_entries_of_the_wrong_kind(tiny_preset, edit_config, change, message):
    edit_config(tiny_preset, lambda config: config.update(change))
    with pytest.raises(PresetError, match=message) as caught:
        Preset.load(tiny_preset)
    text = str(caught.value)
    assert str(tiny_preset / "config.json") in text
    assert len(text) < len(str(tiny_preset)) + 250 and "\n" not in text


@pytest.mark.parametrize("entry", ["widths", "sha256", "about"])
def test_missing_entries(tiny_preset, edit_config, entry):
    edit_config(tiny_preset, lambda config: config.pop(entry))
    with pytest.raises(PresetError, match=rf"config\.json: not a preset's \('{entry}' is missing"):
        Preset.load(tiny_preset)


@pytest.mark.parametrize("file", ["config.json", GRAPHS, "encoder.npz"])
def test_a_file_that_is_far_too_large(tiny_preset, file):
    with open(tiny_preset / file, "r+b") as large:
        large.truncate(2**40)  # A hole: it takes no space.
    with pytest.raises(PresetError, match=rf"{file}: .*at most \d+ MiB, and has more"):
        Preset.load(tiny_preset).read_file(file)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 7e4, 1e300])
def test_weights_that_paint_black_or_white(tiny_preset, replace_file, value):
    arrays = Preset.load(tiny_preset).read_weights("decoder")
    arrays["conv1_1/bias"] = np.array([value, 0, 0])
    npz.save(tiny_preset / "decoder.npz", arrays)
    replace_file(tiny_preset, "decoder.npz", (tiny_preset / "decoder.npz").read_bytes())
    message = r"decoder\.npz: conv1_1/bias must hold finite numbers of half precision"
    with pytest.raises(PresetError, match=message):
        Preset.load(tiny_preset).read_weights("decoder")
    Preset.load(tiny_preset).read_weights("encoder")


def test_encoder_without_decoder(tiny_preset, edit_config):
    """Such a preset is good for training; asking more of it says what is missing."""
    from adain.networks.model import StyleTransfer

    (tiny_preset / "decoder.npz").unlink()
    edit_config(tiny_preset, lambda config: config["sha256"].pop("decoder.npz"))
    assert Preset.load(tiny_preset).read_weights("encoder")
    with pytest.raises(PresetError, match=r"config\.json: the SHA-256 of decoder\.npz is missing"):
        StyleTransfer.from_preset(tiny_preset)


def test_weights_of_other_widths(tiny_preset, edit_config):
    from adain.networks.model import StyleTransfer

    edit_config(tiny_preset, lambda config: config.update(widths=[4, 8, 8, 8]))
    with pytest.raises(PresetError, match=r"encoder\.npz: conv4_1/kernel .* must have shape"):
        StyleTransfer.from_preset(tiny_preset)


def test_a_file_that_is_no_weights_file(tiny_preset, replace_file):
    replace_file(tiny_preset, "decoder.npz", b"<html>404</html>")
    with pytest.raises(PresetError, match=r"decoder\.npz: not a weights file"):
        Preset.load(tiny_preset).read_weights("decoder")


def test_writing_is_repeatable_and_leaves_nothing_behind(tmp_path):
    arrays = {"conv1_1/kernel": np.random.default_rng(0).normal(size=(3, 3, 3, 4))}
    weights = {part: arrays for part in PARTS}
    about = {"preset": "new", "license": "Ö"}
    settings = ("vgg19", (4, 8, 8, 16), weights, {"notes.txt": b"x"}, about)
    first = Preset.save(tmp_path, *settings)
    content = (tmp_path / "config.json").read_bytes()
    assert Preset.save(tmp_path, *settings) == first == Preset.load(tmp_path)
    assert (tmp_path / "config.json").read_bytes() == content
    assert first.license == "Ö"
    names = ["config.json", "decoder.npz", "encoder.npz", "notes.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert first.read_file("notes.txt") == b"x"
    back = first.read_weights("encoder")["conv1_1/kernel"]
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
