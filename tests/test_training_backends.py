"""Training runs with all losses on TensorFlow, JAX and PyTorch, each in its own process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

BACKENDS = ("tensorflow", "jax", "torch")
PROBE = Path(__file__).with_name("training_probe.py")


@pytest.fixture(scope="module")
def run(tmp_path_factory, make_model, picture):
    """`run(backend)`: what the probe found, and said; each backend runs once."""
    from PIL import Image

    place, results = tmp_path_factory.mktemp("training"), {}
    make_model().save_to_preset(place / "tiny")
    for seed, name in enumerate(("photos", "paintings")):
        (place / name).mkdir()
        for i in range(3):
            Image.fromarray(picture(48, 64, 10 * seed + i)).save(place / name / f"{i}.png")

    def run(backend):
        if importlib.util.find_spec(backend) is None:
            pytest.skip(f"{backend} is not installed")
        if backend not in results:
            paths = [str(place / name) for name in ("tiny", "photos", "paintings", backend)]
            done = subprocess.run(
                [sys.executable, str(PROBE), *paths], env=os.environ | {"KERAS_BACKEND": backend},
                capture_output=True, text=True, timeout=900,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            with np.load(place / backend / "found.npz") as archive:
                results[backend] = (dict(archive), done.stdout)
        assert results[backend][0]["backend"] == backend
        return results[backend]

    return run


@pytest.mark.parametrize("backend", BACKENDS)
def test_validation_changes_nothing(run, backend):
    """Neither weights nor optimizer nor moving average, whatever was measured in between."""
    found, _ = run(backend)
    names = [name.removeprefix("with/") for name in found if name.startswith("with/")]
    assert len(names) > 50
    for name in names:
        np.testing.assert_array_equal(found[f"with/{name}"], found[f"without/{name}"], name)
    # They are what is learnt: the average lags behind.
    assert np.abs(found["with/average/conv4_1/kernel"] - found["with/decoder/0"]).max() > 1e-5


@pytest.mark.parametrize("backend", BACKENDS)
def test_validation_follows_the_weights(run, backend):
    """Each of the four measurements is of other weights, and of the same pairs."""
    found, _ = run(backend)
    losses = [float(found[f"log/{number}/val_loss"]) for number in range(4)]
    assert "log/4/val_loss" not in found
    assert len(set(losses)) == 4 and np.isfinite(losses).all()


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_backends_measure_the_same(run, backend):
    """All losses before anything was learnt differ by rounding, later ones by a little more."""
    found, expected = run(backend)[0], run("tensorflow")[0]
    names = [name for name in expected if name.startswith("log/0/")]
    measured = {name.removeprefix("log/0/val_").removesuffix("_loss") for name in names}
    assert {"gram", "range", "identity", "stability", "smoothness", "teacher"} < measured
    assert found.keys() == expected.keys()
    # Adam's first steps have the learning rate's size, however small and inexact the gradient.
    for name in names:
        assert float(found[name]) == pytest.approx(float(expected[name]), rel=0.05), name


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_that_are_not_numbers_are_not_saved(run, backend):
    _, said = run(backend)
    assert "was no longer finite after step 9" in said
