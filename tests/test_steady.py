"""Statistics that are smoothed over the frames of a clip."""

from __future__ import annotations

import numpy as np
import pytest

from adain.inference.regions import Region
from adain.inference.steady import Steady
from adain.stylize.pipeline import StylizePipeline


def test_a_running_mean():
    steady = Steady(4)
    for frame in range(3):
        steady.next_frame()
        (value,) = steady.hold("x", 0, [np.full(2, float(frame), "float32")])
        # At first the plain mean.
        np.testing.assert_allclose(value, np.mean(range(frame + 1)), rtol=1e-6)
        assert value.dtype == np.float32
    for _ in range(60):
        steady.next_frame()
        (value,) = steady.hold("x", 0, [np.full(2, 7, "float32")])
    np.testing.assert_allclose(value, 7, atol=1e-4)
    steady.next_frame(cut=True)
    assert steady.hold("x", 0, [np.zeros(2)])[0].tolist() == [0, 0]


def test_the_time_constant():
    steady = Steady(10)
    for _ in range(200):
        steady.next_frame()
        steady.hold("x", 0, [np.zeros(1)])
    for _ in range(10):
        steady.next_frame()
        (value,) = steady.hold("x", 0, [np.ones(1)])
    assert value[0] == pytest.approx(1 - np.exp(-1), abs=1e-6)


def test_without_a_window_each_frame_has_its_own():
    steady = Steady(0)
    for value in (3.0, 5.0):
        steady.next_frame()
        assert steady.due("x")
        assert steady.hold("x", 0, [np.array(value)])[0] == value


def test_costly_measures_are_taken_now_and_then():
    steady = Steady(12)
    due = []
    for _ in range(7):
        steady.next_frame()
        due.append(steady.due("x"))
        if due[-1]:
            steady.hold("x", 0, [np.zeros(1)])
        assert steady.held("x", 0)[0] == 0
    assert due == [True, False, False, True, False, False, True]


def test_calls_and_regions_are_apart_and_come_back():
    steady = Steady(5)
    steady.next_frame()
    steady.hold("x", 0, [np.ones(1, "float32")])
    steady.hold("x", 1, [np.full(1, 2.0)])
    steady.next_call()
    steady.hold("x", 0, [np.full(1, 3.0)])
    other = Steady(5)
    other.restore(steady.state())
    for each in (steady, other):
        each.next_frame()
        found = [each.hold("x", n, [np.zeros(1, "float32")])[0][0] for n in (0, 1)]
        each.next_call()
        found += each.hold("x", 0, [np.zeros(1)])[0].tolist()
        assert found == [0.5, 1.0, 1.5]


# === In the pipeline ===


@pytest.fixture
def make_pipeline(any_model, tmp_path):
    any_model.save_to_preset(tmp_path / "any")
    options = {"checkpoint": str(tmp_path / "any"), "engine": "keras"}
    return lambda **more: StylizePipeline(stylizer=any_model, **(options | more))


@pytest.mark.parametrize("more", [{}, {"keep_colors": "coral"}, {"passes": 2}, {"tile": 64}])
def test_equal_frames_stay_equal(make_pipeline, picture, more):
    """Whatever is smoothed: of equal frames the mean is what each one has."""
    pipeline, photo, style = make_pipeline(**more), picture(72, 96), picture(48, 48, seed=5)
    alone = pipeline.run(photo, style)
    steady = Steady(8)
    for _ in range(5):
        steady.next_frame()
        planes = pipeline.run_planes(_planes(photo), [Region(None, style)], steady=steady)
        assert np.abs(planes.colors.astype(int) - alone).max() <= 2


def test_what_enters_a_frame_does_not_change_the_rest(make_pipeline, picture):
    pipeline, style = make_pipeline(palette=1.0), picture(48, 48, seed=5)
    empty = picture(64, 320)
    full = empty.copy()
    full[:, :64] = 250
    jumps = {}
    for window in (0, 8):
        steady, results = Steady(window), []
        for frame in (empty, empty, empty, empty, full):
            steady.next_frame()
            planes = pipeline.run_planes(_planes(frame), [Region(None, style)], steady=steady)
            results.append(planes.colors.astype(int))
        jumps[window] = np.abs(results[-1] - results[-2])[:, 256:].mean()
    assert jumps[8] < 0.6 * jumps[0]


def _planes(photo):
    from adain.stylize.inputs import Planes

    return Planes(photo)
