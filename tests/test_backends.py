"""TensorFlow, JAX and PyTorch compute the same from one weights file, each in its own process."""

from __future__ import annotations

import importlib.util
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

BACKENDS = ("tensorflow", "jax", "torch")
PROBE = Path(__file__).with_name("backend_probe.py")


@pytest.fixture(scope="module")
def place(tmp_path_factory, make_model, picture):
    """A folder with a tiny preset and the arrays that every backend gets."""
    folder = tmp_path_factory.mktemp("backends")
    make_model().save_to_preset(folder / "tiny")
    rng = np.random.default_rng(3)
    np.savez(
        folder / "pictures.npz",
        content=picture(72, 90),
        style=picture(48, 64, seed=1),
        content_batch=np.stack([picture(32, 32, seed) for seed in (2, 3)]),
        style_batch=np.stack([picture(32, 32, seed) for seed in (4, 5)]),
        # Far from 0 beside their deviation, as loud channels are.
        content_features=rng.normal(50, 3, (2, 9, 7, 5)).astype("float32"),
        style_features=rng.normal(-8, 2, (2, 4, 11, 5)).astype("float32"),
    )
    return folder


@pytest.fixture(scope="module")
def run(place):
    """`run(backend)`: what the probe found; each backend runs once."""
    results = {}

    def run(backend):
        if importlib.util.find_spec(backend) is None:
            pytest.skip(f"{backend} is not installed")
        if backend not in results:
            result = place / f"{backend}.npz"
            paths = [str(path) for path in (place / "tiny", place / "pictures.npz", result)]
            done = subprocess.run(
                [sys.executable, str(PROBE), *paths],
                env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True,
                timeout=900,
            )  # fmt: skip
            results[backend] = {"error": done.stderr}
            if done.returncode == 0:
                with np.load(result) as archive:
                    results[backend] = dict(archive)
        assert "error" not in results[backend], results[backend]["error"]
        assert results[backend]["backend"] == backend
        return results[backend]

    return run


@pytest.mark.parametrize("backend", BACKENDS)
def test_maths_against_numpy(run, place, backend):
    found = run(backend)
    with np.load(place / "pictures.npz") as data:
        content, style = (data[f"{key}_features"].astype("float64") for key in ("content", "style"))
    means, stds = (
        [getattr(x, kind)(axis=(1, 2), keepdims=True) for x in (content, style)]
        for kind in ("mean", "var")
    )
    stds = [np.sqrt(variance + 1e-5) for variance in stds]
    np.testing.assert_allclose(found["mean"], means[0], rtol=1e-5)
    np.testing.assert_allclose(found["std"], stds[0], rtol=1e-4)
    target = stds[1] * (content - means[0]) / stds[0] + means[1]
    expected = 0.7 * target + 0.3 * content
    np.testing.assert_allclose(found["adain"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_tensorflow_stays_out(run, backend):
    """Also while training: it would take the graphics card's memory."""
    assert not run(backend)["imports_tensorflow"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_step_changes_every_weight(run, backend):
    changes = {k: v for k, v in run(backend).items() if k.startswith("change/")}
    assert len(changes) == 22
    assert all(np.isfinite(v).all() and np.abs(v).max() > 0 for v in changes.values())


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(BACKENDS, 2)))
def test_backends_agree(run, one, other):
    one, other = run(one), run(other)
    assert one.keys() == other.keys()
    assert one["image"].shape == (72, 90, 3)
    assert one["image"].std() > 5
    assert np.abs(one["image"].astype(int) - other["image"].astype(int)).max() <= 1
    logs = {f"log/{name}" for name in ("loss", "content_loss", "style_loss", "tv_loss")}
    assert logs == {name for name in one if name.startswith("log/")}
    for name in logs:
        assert one[name] == pytest.approx(other[name], rel=1e-4)
        assert one[name] > 0
    assert np.abs(one["gradient"]).max() > 0
    for name in one:
        if name.startswith("optimize/"):
            assert one[name] == pytest.approx(other[name], rel=1e-4)
            assert one[name] > 0
        if name.startswith("change/") or name == "gradient":
            difference = np.abs(one[name] - other[name]).max()
            assert difference <= 2e-3 * np.abs(one[name]).max(), name
