"""Training on several devices: what is refused, and that it is the training of one device."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from adain import cli
from adain.options import UsageError
from adain.presets import npz
from adain.training import devices, pretrain
from adain.training.config import TrainConfig
from adain.training.data import StyleContentDataset

PROBE = Path(__file__).with_name("devices_probe.py")
FOLDERS = {"content_path": ("photos",), "style_path": ("paintings",)}


# === What is refused ===


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"devices": 0}, "devices"),
        ({"devices": 3}, "`batch_size` must be a multiple of --devices 3"),
        ({"devices": 2, "val_pairs": 5}, "`val_pairs` must be a multiple of --devices 2"),
    ],
)
def test_parts_must_be_equal(settings, named):
    with pytest.raises(UsageError, match=named):
        TrainConfig(**FOLDERS, **settings)
    # Of whole batches there is no remainder.
    assert TrainConfig(**FOLDERS, devices=4, val_pairs=9).devices == 4


def test_more_devices_than_there_are(tmp_path, write_pictures, tiny_preset, capsys):
    folders = [str(write_pictures(tmp_path / name, 2)) for name in ("photos", "paintings")]
    words = ["--content-path", folders[0], "--style-path", folders[1], "--batch-size", "64"]
    words += ["--vgg-path", str(tiny_preset), "--checkpoint", str(tmp_path / "out")]
    assert cli.main(["train", *words, "--devices", "64"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --devices 64")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("backend", "settings", "named"),
    [
        ("torch", {}, "needs KERAS_BACKEND=jax or tensorflow"),
        ("jax", {"devices": 4}, "there are 3, cpu:0 cpu:1 cpu:2"),
        (
            "tensorflow",
            {"stability_weight": 1.0, "crop_size": 80},
            "--stability-weight with --devices 2 needs KERAS_BACKEND=jax",
        ),
        ("tensorflow", {"identity_weight": 1.0}, "a --batch-size that is a multiple of 6"),
        (
            "tensorflow",
            {"identity_weight": 1.0, "batch_size": 12, "val_pairs": 4},
            "a --val-pairs that is a multiple of 6",
        ),
    ],
)
def test_what_a_backend_cannot_do(monkeypatch, backend, settings, named):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0", "cpu:1", "cpu:2"])
    run = TrainConfig(**FOLDERS, **{"devices": 2, **settings})
    with pytest.raises(UsageError, match=named), devices.data_parallel([run]):
        pass


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_several_processes_need_jax(monkeypatch, backend):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setenv(devices.PROCESSES, "2")
    with pytest.raises(UsageError, match=devices.PROCESSES):
        with devices.data_parallel([TrainConfig(**FOLDERS)]):
            pass


# === Parts of batches ===


def test_shards_are_the_batch(tmp_path, write_pictures):
    folders = [write_pictures(tmp_path / name, 4, seed=i) for i, name in enumerate("ab")]
    how = {"batch_size": 6, "image_size": 24, "crop_size": 24, "workers": 1, "second_views": True}
    whole = StyleContentDataset(*folders, **how).batch(5)
    parts = [StyleContentDataset(*folders, **how, shard=(i, 2)) for i in range(2)]
    assert whole["second"].shape == (2, 8, 8, 3)
    for part in parts:
        np.testing.assert_array_equal(part.batch(5)["offset"], whole["offset"])
    for kind in ("content", "style", "second"):
        pictures = whole[kind]
        found = np.concatenate([part.batch(5)[kind] for part in parts])
        np.testing.assert_array_equal(found, pictures)
    np.testing.assert_array_equal(parts[1].unsharded().contents(5), whole["content"])
    # Three pictures each: the second process begins with a painting.
    mixes = [pretrain._mix(part.batch(5), part.places) for part in parts]
    wanted = pretrain._mix(whole, range(6))
    assert sorted(x.tobytes() for mix in mixes for x in mix) == sorted(x.tobytes() for x in wanted)


# === Whole runs ===


@pytest.fixture
def place(tmp_path, write_pictures, tiny_preset):
    """`place(name, runs)` writes settings for the probe; its command line, and the report."""
    photos = write_pictures(tmp_path / "photos", 12)
    paintings = write_pictures(tmp_path / "paintings", 12, seed=50)
    # Rates so small that rounding does not grow: Adam's first steps are as large as the rate,
    # however small and inexact the gradient.
    common = dict(
        content_path=str(photos), style_path=str(paintings), vgg_path=str(tiny_preset),
        batch_size=6, image_size=40, crop_size=32, pretrain_iter=2, learning_rate=1e-5, max_iter=4,
        save_iter=2, summary_iter=1, val_pairs=6, val_iter=2, identity_weight=1.0, clip_norm=0.1,
        ema=0.5, logger=(), workers=1,
    )  # fmt: skip

    def place(name, *runs, **more):
        settings, report = (tmp_path / f"{name}-{kind}.json" for kind in ("settings", "report"))
        runs = [
            common | more | run | {"checkpoint": str(tmp_path / run["checkpoint"])} for run in runs
        ]
        settings.write_text(json.dumps(runs))
        return [sys.executable, str(PROBE), str(settings), str(report)], report

    return place


def skip_without(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")


def run_all(backend, *commands, **more):
    """Run commands at the same time; each has its variables behind it."""
    environment = os.environ | {"KERAS_BACKEND": backend} | more
    running = [
        subprocess.Popen(command, env=environment | own, stderr=subprocess.PIPE, text=True)
        for command, own in commands
    ]
    for process in running:
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said


def assert_same_training(whole, parts, one, other):
    """Losses alike, and weights, moving averages and Adam's memory."""
    assert whole["losses"].keys() == parts.keys() == {"1", "2", "3", "4"}
    for step, losses in whole["losses"].items():
        for name in losses.keys() - {"images_per_second"}:
            assert parts[step][name] == pytest.approx(losses[name], rel=1e-3), (step, name)
    assert {"val_identity_loss", "gradients/all"} < whole["losses"]["4"].keys()
    states = [npz.load(folder / "state.npz")[0] for folder in (one, other)]
    assert states[0].keys() == states[1].keys()
    for name, array in states[0].items():
        allowed = 1e-3 * np.abs(array).max()
        np.testing.assert_allclose(states[1][name], array, rtol=0, atol=allowed, err_msg=name)


@pytest.mark.slow
def test_tensorflow(tmp_path, place):
    """One device, and two."""
    skip_without("tensorflow")
    taught = {"teacher": str(tmp_path / "tiny"), "teacher_weight": 1.0}
    command, report = place(
        "all", {"checkpoint": "one"}, {"checkpoint": "two", "devices": 2}, **taught
    )
    run_all("tensorflow", (command, {}))
    one, two = json.loads(report.read_text())
    assert_same_training(one, two["losses"], tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_jax(tmp_path, place):
    """One device; and two processes with one each, whose run is resumed by one with three."""
    skip_without("jax")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    half = {"checkpoint": "shared", "devices": 2, "max_iter": 2}
    steady = {"stability_weight": 1.0}
    places = [place(f"process{number}", half, **steady) for number in range(2)]
    run_all(
        "jax",
        *(
            (command, {"KERAS_DISTRIBUTION_PROCESS_ID": str(number)})
            for number, (command, _) in enumerate(places)
        ),
        KERAS_DISTRIBUTION_JOB_ADDRESSES=address,
        KERAS_DISTRIBUTION_NUM_PROCESSES="2",
    )
    (writer,), (helper,) = (json.loads(report.read_text()) for _, report in places)
    assert "state.npz" in writer["files"] and helper == {"files": [], "losses": {}}
    command, report = place(
        "all", {"checkpoint": "one"}, {"checkpoint": "shared", "devices": 3}, **steady
    )
    devices = "--xla_force_host_platform_device_count=3"
    run_all("jax", (command, {}), XLA_FLAGS=f"{os.environ['XLA_FLAGS']} {devices}")
    whole, second = json.loads(report.read_text())
    parts = writer["losses"] | second["losses"]
    assert_same_training(whole, parts, tmp_path / "one", tmp_path / "shared")
