"""Statistics that are smoothed over the frames of a clip."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from adain.inference.regions import Region
from adain.inference.steady import Steady
from adain.stylize.pipeline import StylizePipeline


def test_a_running_mean():
    steady = Steady(4)
    for frame in range(3):
        with steady.next_frame() as shared:
            (value,) = shared.hold("x", 0, [np.full(2, float(frame), "float32")])
        # At first the plain mean.
        np.testing.assert_allclose(value, np.mean(range(frame + 1)), rtol=1e-6)
        assert value.dtype == np.float32
    for _ in range(60):
        with steady.next_frame() as shared:
            (value,) = shared.hold("x", 0, [np.full(2, 7, "float32")])
    np.testing.assert_allclose(value, 7, atol=1e-4)
    with steady.next_frame(cut=True) as shared:
        assert shared.hold("x", 0, [np.zeros(2)])[0].tolist() == [0, 0]


def test_the_time_constant():
    steady = Steady(10)
    for frame in range(210):
        with steady.next_frame() as shared:
            (value,) = shared.hold("x", 0, [np.full(1, float(frame >= 200))])
    assert value[0] == pytest.approx(1 - np.exp(-1), abs=1e-6)


def test_frames_that_are_left_out_take_time_too():
    found = []
    for later in (1, 3):
        steady = Steady(10)
        for frame in range(0, 211, later):
            with steady.next_frame(later=later) as shared:
                (value,) = shared.hold("x", 0, [np.full(1, float(frame >= 201))])
        found.append(value[0])
        state = steady.state()
        again = Steady(10)
        again.restore(state)
        held = []
        for each in (steady, again):
            with each.next_frame() as shared:
                held.append(shared.hold("x", 0, [np.zeros(1)])[0])
        assert held[0] == held[1]
    assert found == pytest.approx([1 - np.exp(-1)] * 2, abs=0.08)


def test_another_style_begins_again():
    """All that depends on it; what a photo is does not."""
    steady = Steady(12)
    for number in range(8):
        with steady.next_frame(restyled=number == 7) as shared:
            kept = shared.hold("content", 0, [np.full(1, float(number == 7))], styled=False)[0]
            if shared.due("decoder"):
                (value,) = shared.hold("decoder", 0, [np.full(1, float(number == 7))])
    assert value[0] == 1 and 0 < kept[0] < 0.2


def test_without_a_window_each_frame_has_its_own():
    steady = Steady(0)
    for value in (3.0, 5.0):
        with steady.next_frame() as shared:
            assert shared.due("x")
            assert shared.hold("x", 0, [np.array(value)])[0] == value


def test_costly_measures_are_taken_now_and_then():
    steady = Steady(12)
    due = []
    for number in range(9):
        with steady.next_frame(cut=number == 7) as shared:
            due.append(shared.due("x"))
            if due[-1]:
                shared.hold("x", 0, [np.zeros(1)])
            assert shared.held("x", 0)[0] == 0
    assert due == [True, False, False, True, False, False, True, True, False]


def test_what_changes_fast_is_followed():
    """As near as the limits ask for, and everything is measured."""
    steady = Steady(12)
    for number in range(3):
        with steady.next_frame() as shared:
            own, limits = np.array([0.0, 0.1 * number]), np.array([1.0, 0.2])
            (value,) = shared.hold("x", 0, [own], [limits])
            np.testing.assert_allclose(value, [0, 0.05 * number])  # The plain mean.
            assert shared.due("y") == (number == 0)
            if number == 0:
                shared.hold("y", 0, [np.zeros(1)])
            shared.held("y", 0)
    with steady.next_frame() as shared:
        held = shared.hold("x", 0, [np.array([9.0]), np.array([5.0, 5.0])])
        assert [value.tolist() for value in held] == [[9], [5, 5]]
    with steady.next_frame() as shared:
        values = np.array([3.0]), np.array([5.0, 15.0])
        held = shared.hold("x", 0, values, [np.full(1, 2.0), np.full(2, 2.0)])
        gaps = np.concatenate([one - other for one, other in zip(held, values, strict=True)])
        assert np.sqrt(np.mean(np.square(gaps / 2))) == pytest.approx(1)
        # All of it, in the direction of what was.
        assert gaps[0] > 0 > gaps[2] and gaps[1] == 0
        assert shared.due("y")


def test_what_was_not_measured_yet_is_due():
    steady = Steady(12)
    with steady.next_frame():
        pass
    for expected in (True, False):
        with steady.next_frame() as shared:
            assert shared.due("x") is expected
            if expected:
                shared.hold("x", 0, [np.zeros(1)])


def test_calls_and_regions_are_apart_and_come_back():
    steady = Steady(5)
    with steady.next_frame() as shared:
        shared.hold("x", 0, [np.ones(1, "float32")])
        shared.hold("x", 1, [np.full(1, 2.0)])
        shared.next_call()
        shared.hold("x", 0, [np.full(1, 3.0)])
    other = Steady(5)
    other.restore(steady.state())
    for each in (steady, other):
        with each.next_frame() as shared:
            found = [shared.hold("x", n, [np.zeros(1, "float32")])[0][0] for n in (0, 1)]
            shared.next_call()
            found += shared.hold("x", 0, [np.zeros(1)])[0].tolist()
        assert found == [0.5, 1.0, 1.5]


@pytest.mark.parametrize("window", [0, 12])
def test_frames_side_by_side_give_what_they_give_one_by_one(window):
    """Threads begin them in order, and are as slow as they like."""
    delays = np.random.default_rng(3).uniform(0, 0.004, (24, 3))

    def work(shared, number, wait):
        with shared:
            time.sleep(wait * delays[number, 0])
            (mean,) = shared.hold("mean", 0, [np.full(1, float(number))])
            time.sleep(wait * delays[number, 1])
            # One frame fails, or is of one colour: it has nothing else.
            if number == 9:
                return [mean[0]]
            if shared.due("costly"):
                time.sleep(wait * delays[number, 2])
                (costly,) = shared.hold("costly", 0, [np.full(1, float(number**2))])
            else:
                (costly,) = shared.held("costly", 0)
            return [mean[0], costly[0]]

    def all_frames(workers):
        steady = Steady(window)
        with ThreadPoolExecutor(workers) as pool:
            frames = [(steady.next_frame(cut=n == 15), n, workers > 1) for n in range(24)]
            found = list(pool.map(work, *zip(*frames, strict=True)))
        return found, steady.state()

    (found, state), (expected, last) = all_frames(4), all_frames(1)
    assert found == expected
    np.testing.assert_equal(state, last)


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
        with steady.next_frame() as shared:
            planes = pipeline.run_planes(_planes(photo), [Region(None, style)], steady=shared)
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
            with steady.next_frame() as shared:
                planes = pipeline.run_planes(_planes(frame), [Region(None, style)], steady=shared)
            results.append(planes.colors.astype(int))
        jumps[window] = np.abs(results[-1] - results[-2])[:, 256:].mean()
    assert jumps[8] < 0.6 * jumps[0]


def test_a_frame_waits_for_no_palette_before_its_networks(any_model, picture):
    """One in a few frames takes the result's palette, at its end; others need it at theirs."""
    code, steady = any_model.encode_style(picture(48, 48, seed=5)), Steady(8)
    frames, finished = [steady.next_frame() for _ in range(4)], threading.Event()

    def run(number, progress=None):
        how = {"palette": 1.0, "steady": frames[number], "progress": progress}
        with frames[number]:
            return any_model.stylize(picture(64, 96, seed=number), code, **how)

    def last(step, steps):
        if step == steps:
            finished.set()

    def runs_the_next(step, steps):
        if step == steps:
            later.append(pool.submit(run, 3, last))
            assert finished.wait(20)

    later = []
    with ThreadPoolExecutor(1) as pool:
        for number, progress in enumerate([None, None, runs_the_next]):
            run(number, progress)
        assert later[0].result(20).shape == (64, 96, 3)


def _planes(photo):
    from adain.stylize.inputs import Planes

    return Planes(photo)
