"""A training run that is killed and started again ends where an undisturbed one ends."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest

from adain import cli
from adain.presets import npz

pytestmark = pytest.mark.slow

STEPS = 12


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


KILLED = """
import os, signal, sys
from adain import cli, files

left, half, replace = int(sys.argv[1]), sys.argv[2] == "half", os.replace

def count(part, path):
    global left
    left -= os.path.basename(path) == "state.npz"
    if left == 0 and half:
        os.truncate(part, os.path.getsize(part) // 2)
    else:
        replace(part, path)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

files.os.replace = count
sys.exit(cli.main(["train", *sys.argv[3:]]))
"""
"""Trains, and is killed without warning when the state is written for the n-th time: when it is
complete, or with half of it on the disk."""


def run_and_kill(flags, folder, count, half=False):
    """Returns the step of the checkpoint that is left."""
    words = [str(count), "half" if half else "whole", *flags]
    done = subprocess.run([sys.executable, "-c", KILLED, *words], capture_output=True, timeout=900)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    return read_step(folder)


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
    # The first checkpoint is written when pretraining ends, at step 0.
    assert run_and_kill(place.flags("killed"), folder, 1) == 0
    # In the middle of writing the second of the next run, at step 6.
    assert run_and_kill(place.flags("killed"), folder, 2, half=True) == 3
    assert len(list(folder.glob(".*.part"))) == 1
    command = place.command("killed")
    assert f"going on at step 3 of {STEPS}" in run(command)
    assert_same_run(whole, folder)
    assert list(folder.glob(".*")) == []
    # Nothing is left to do.
    files = [folder / name for name in ("state.npz", "decoder.npz", "encoder.npz", "config.json")]
    stamps = [file.stat().st_mtime_ns for file in files]
    assert "nothing to do" in run(command)
    assert [file.stat().st_mtime_ns for file in files] == stamps


def test_killed_with_cached_styles_and_a_moving_average(place):
    """The cache is made again; it must hold the same crops."""
    flags = ("--cache-styles", 1, "--ema", 0.9)
    whole = place.train_undisturbed(*flags)
    folder = place.path / "killed"
    assert run_and_kill(place.flags("killed", *flags), folder, 3) == 6
    assert f"going on at step 6 of {STEPS}" in run(place.command("killed", *flags))
    assert_same_run(whole, folder)
