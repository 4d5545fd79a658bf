"""A training run that is killed and started again ends where an undisturbed one ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from adain import cli
from adain.presets import npz

STEPS = 60


@pytest.fixture
def place(tmp_path, root, tiny_preset, write_pictures):
    """Pictures and a tiny preset; `command(folder, *flags)` trains into `folder`."""
    content = write_pictures(tmp_path / "content", 4)
    style = write_pictures(tmp_path / "style", 3, seed=50)

    class Place:
        path = tmp_path

        def command(self, folder, *flags):
            return [sys.executable, str(root / "train.py"), *self.flags(folder, *flags)]

        def flags(self, folder, *flags):
            words = ["--content-path", str(content), "--style-path", str(style)]
            words += ["--vgg-path", str(tiny_preset)]
            words += ["--checkpoint", str(tmp_path / folder), "--batch-size", "2"]
            words += ["--image-size", "24", "--crop-size", "16", "--learning-rate", "1e-3"]
            words += ["--pretrain-iter", "2", "--max-iter", str(STEPS), "--save-iter", "3"]
            words += map(str, flags)
            return words

        def train_undisturbed(self, *flags):
            """In this process: importing TensorFlow takes seconds."""
            assert cli.main(["train", *self.flags("whole", *flags)]) == 0
            return tmp_path / "whole"

    return Place()


def read_step(folder):
    return npz.load(folder / "state.npz")[1]["step"]


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stderr


def run_and_kill(command, folder, moment):
    """Start, wait for `moment()`, kill without warning; the step of the last checkpoint."""
    with open(folder.with_suffix(".log"), "w") as log:
        process = subprocess.Popen(command, stderr=log)
        deadline = time.monotonic() + 900
        while not moment() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL, folder.with_suffix(".log").read_text()
    step = read_step(folder)
    assert step < STEPS, "killed too late to test anything"
    return step


def assert_same_run(one, other):
    """Decoder files alike to the bit; so are weights in full precision and Adam's memory."""
    assert (one / "decoder.npz").read_bytes() == (other / "decoder.npz").read_bytes()
    states = [npz.load(folder / "state.npz") for folder in (one, other)]
    assert [about["step"] for _, about in states] == [STEPS, STEPS]
    assert states[0][0].keys() == states[1][0].keys()
    for name, array in states[0][0].items():
        np.testing.assert_array_equal(array, states[1][0][name], err_msg=name)


def test_killed_and_continued_is_as_if_never_killed(place):
    whole = place.train_undisturbed()
    folder = place.path / "killed"
    command = place.command("killed")
    # The first checkpoint is written when pretraining ends, at step 0.
    first = run_and_kill(command, folder, (folder / "state.npz").exists)

    # In the middle of writing a later checkpoint.
    def writing():
        return (folder / "state.npz").stat().st_mtime_ns != before and list(folder.glob(".*.part"))

    before = (folder / "state.npz").stat().st_mtime_ns
    second = run_and_kill(command, folder, writing)
    assert second > first
    # What a kill may leave behind, whether or not this one did.
    for name in ("0123456789ab", "ba9876543210"):
        (folder / f".{name}.part").write_bytes(b"PK\x03\x04 half a file")
    assert f"going on at step {second} of {STEPS}" in run(command)
    assert_same_run(whole, folder)
    assert list(folder.glob(".*")) == []
    # Nothing is left to do.
    files = [folder / name for name in ("state.npz", "decoder.npz", "encoder.npz", "config.json")]
    stamps = [file.stat().st_mtime_ns for file in files]
    assert "nothing to do" in run(command)
    assert [file.stat().st_mtime_ns for file in files] == stamps


def test_killed_with_cached_styles_and_a_moving_average(place):
    """The cache is made anew; it must hold the same crops."""
    flags = ("--cache-styles", 1, "--ema", 0.9)
    whole = place.train_undisturbed(*flags)
    folder = place.path / "killed"
    command = place.command("killed", *flags)

    def training():
        return (folder / "state.npz").exists() and read_step(folder) > 0

    step = run_and_kill(command, folder, training)
    assert f"going on at step {step} of {STEPS}" in run(command)
    assert_same_run(whole, folder)
