"""What concerns time in `adain video`: motion, scenes, styles and masks that change."""

from __future__ import annotations

import sys
from fractions import Fraction

import numpy as np
import pytest

av = pytest.importorskip("av")

from adain import cli  # noqa: E402
from adain.imaging import io as imaging  # noqa: E402
from adain.inference.regions import Region  # noqa: E402
from adain.options import UsageError  # noqa: E402
from adain.stylize.inputs import StyleMix  # noqa: E402
from adain.stylize.pipeline import StylizePipeline  # noqa: E402
from adain.video import motion as motions  # noqa: E402
from adain.video import render as rendering  # noqa: E402
from adain.video.changes import PaintChanges, Painted  # noqa: E402
from adain.video.clip import Frame  # noqa: E402
from adain.video.follower import Follower  # noqa: E402
from adain.video.motion import Motion, MotionEstimator  # noqa: E402
from adain.video.render import Renderer, StyledRegion  # noqa: E402
from adain.video.scenes import SceneDetector  # noqa: E402
from adain.video.styles import Schedule, split_at  # noqa: E402

PHOTOS = ("temple", "coffee", "cat", "flower", "hopper", "rocket")


@pytest.fixture(scope="module")
def moving(root):
    """The benchmark's clips of known motion."""
    sys.path.insert(0, str(root / "benchmarks"))
    try:
        import moving as module
    finally:
        sys.path.pop(0)
    return module


@pytest.fixture(scope="module")
def photo(root):
    return lambda name: imaging.load_image(root / "images" / "inputs" / f"{name}.jpg")


# === Motion ===


@pytest.mark.parametrize("kind", ["pan", "zoom", "rotate", "object", "shake"])
def test_motion_is_found(moving, photo, kind):
    clip = moving.MovingClip(kind, photo("temple"), photo("cat"), (180, 320), 13)
    estimator = MotionEstimator()
    assert estimator.next(clip.frames[0]).cut
    for number in range(1, 4):
        motion = estimator.next(clip.frames[number])
        place, seen = clip.motion(number, number - 1)
        found, trust = motion.places(180, 320)
        error = np.linalg.norm(found - place, axis=-1)
        assert not motion.cut
        assert np.median(error[seen]) < 0.35
        # Most of it is trusted, and what is trusted is right.
        assert trust[seen].mean() > 0.75
        assert np.percentile(error[trust > 0.9], 95) < 1.5


def test_what_was_hidden_is_not_trusted(moving, photo):
    clip = moving.MovingClip("object", photo("temple"), photo("coffee"), (180, 320), 9)
    estimator = MotionEstimator()
    estimator.next(clip.frames[0])
    _, trust = estimator.next(clip.frames[1]).places(180, 320)
    owners = clip._owners(1), clip._owners(0)
    uncovered = (owners[0] == 0) & (owners[1] == 1)
    assert uncovered.sum() > 100
    assert trust[uncovered].mean() < 0.7 * trust[owners[0] == owners[1]].mean()


@pytest.mark.parametrize("kind", ["pan", "zoom", "rotate", "shake"])
def test_the_motion_of_a_camera_is_more_exact_than_flow(moving, photo, kind, monkeypatch):
    clip = moving.MovingClip(kind, photo("temple"), photo("cat"), (360, 640), 24)
    place, seen = clip.motion(5, 4)
    errors = []
    for _ in range(2):
        estimator = MotionEstimator()
        estimator.next(clip.frames[4])
        found, trust = estimator.next(clip.frames[5]).places(360, 640)
        errors.append(np.linalg.norm(found - place, axis=-1)[seen].mean())
        assert trust[seen].mean() > 0.9
        monkeypatch.setattr(motions, "find_camera", lambda places, trust: None)
    assert errors[0] < 0.15 and errors[0] < 0.8 * errors[1]


def test_what_moves_by_itself_is_not_the_cameras(moving, photo):
    clip = moving.MovingClip("object", photo("temple"), photo("coffee"), (180, 320), 13)
    estimator = MotionEstimator()
    estimator.next(clip.frames[4])
    found, trust = estimator.next(clip.frames[5]).places(180, 320)
    place, seen = clip.motion(5, 4)
    error = np.linalg.norm(found - place, axis=-1)
    mine = (clip._owners(5) == 1) & seen & (trust > 0.5)
    assert mine.sum() > 3000 and np.median(error[mine]) < 0.4


@pytest.mark.parametrize("speed", [0.1, 0.24, 0.4])
def test_slow_motion_is_not_too_short(moving, photo, speed, monkeypatch):
    """Flow alone of less than a pixel is, the same way in every frame."""
    shift = np.array([[1, 0, -speed], [0, 1, speed / 2], [0, 0, 1]])
    picture = photo("temple")[:400, :700]
    frames = [
        np.clip(np.rint(moving._warp(picture.astype("float32"), matrix, (360, 640))), 0, 255)
        for matrix in (np.eye(3), shift)
    ]
    biases = []
    for _ in range(2):
        estimator = MotionEstimator()
        for frame in frames:
            motion = estimator.next(frame.astype("uint8"))
        # Of frames half as large.
        inside = 2 * motion.flow[10:-10, 10:-10].mean(axis=(0, 1))
        biases.append(np.abs(inside - [-speed, speed / 2]).max())
        monkeypatch.setattr(motions, "find_camera", lambda places, trust: None)
    assert biases[0] < 0.03 and biases[0] < biases[1]


def test_outlines_are_not_trusted(moving, photo):
    """A slow object uncovers a pixel or two in each frame, and drags no strokes along."""
    clip = moving.MovingClip("object", photo("temple"), photo("cat"), (360, 640), 160)
    estimator = MotionEstimator()
    estimator.next(clip.frames[80])
    places, trust = estimator.next(clip.frames[81]).places(360, 640)
    uncovered = (clip._owners(81) == 0) & (clip._owners(80) == 1)
    assert uncovered.sum() > 100 and trust[uncovered].mean() < 0.2
    assert trust.mean() > 0.93
    # Where it covers what lies before it, both sides of its outline were seen, and most points move
    # as one of them does.
    outline, columns = clip._edges(clip._owners(81)), np.indices(trust.shape)[1]
    front = outline & (columns > columns[clip._owners(81) == 1].mean() + 40)
    assert trust[front].mean() > 0.85
    wrong = np.abs(places - clip.motion(81, 80)[0]).max(axis=-1)
    assert np.median(wrong[front]) < 0.5


def test_results_follow(moving, photo):
    """Noise that stands for flicker goes, and the picture does not blur away."""
    clip = moving.MovingClip("pan", photo("temple"), photo("cat"), (180, 320), 13)
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(frame + rng.normal(0, 25, frame.shape), 0, 255).astype("uint8")
        for frame in clip.frames
    ]
    estimator, follower = MotionEstimator(), Follower(0.9)
    found = []
    for frame, result in zip(clip.frames, noisy, strict=True):
        found.append(follower.next(result, estimator.next(frame)))
    assert moving.warping_error(clip, found, 1) < 0.4 * moving.warping_error(clip, noisy, 1)
    assert moving.warping_error(clip, found, 5) < 0.6 * moving.warping_error(clip, noisy, 5)
    gap = np.abs(found[-1].astype(float) - clip.frames[-1]).mean()
    assert gap < 0.8 * np.abs(noisy[-1].astype(float) - clip.frames[-1]).mean()


def test_a_cut_begins_anew():
    follower = Follower(0.9)
    rng = np.random.default_rng(0)
    fine = rng.choice([-20, 20], (2, 64, 96, 3))
    first, second = (fine + [[[[100]]], [[[200]]]]).astype("uint8")
    follower.next(first, Motion(True))
    np.testing.assert_array_equal(follower.next(second, Motion(True)), second)
    still = Motion(False, np.zeros((64, 96, 2), "float32"), np.ones((64, 96), "float32"))
    follower.next(first, still)
    # A tenth of the strokes, but of the colours of areas a third of what is then left.
    found = follower.state()["last"]
    assert found.mean() == pytest.approx(200 - 10 - 30, abs=1)
    mean = 0.9 * fine[1] + 0.1 * fine[0] + found.mean()
    assert np.abs(found - mean).mean() < 2


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_means_keep_their_details(kind):
    """Strokes of two frames that lie elsewhere do not fade; those of one picture stay as it is."""
    rng = np.random.default_rng(0)
    white = np.iinfo(kind).max
    first, second = (
        (white * (0.5 + 0.08 * rng.normal(size=(64, 96, 3))).clip(0, 1)).astype(kind)
        for _ in range(2)
    )
    still = Motion(False, np.zeros((64, 96, 2), "float32"), np.ones((64, 96), "float32"))
    follower = Follower(0.8)
    follower.next(first, Motion(True))
    rounding = 0 if kind == "uint8" else 1
    np.testing.assert_allclose(follower.next(first, still), first, rtol=0, atol=rounding)
    found = follower.next(second, still)
    faded = np.rint(follower.state()["last"])
    assert faded.std() < 0.85 * second.std()
    # White noise, without outlines, gets a little more than it had.
    assert 0.97 < found.std() / second.std() < 1.25
    plain = np.full((64, 96, 3), white // 3, kind)
    follower.next(plain, Motion(True))
    np.testing.assert_allclose(follower.next(plain, still), plain, rtol=0, atol=rounding)


def test_colors_go_with_the_newest_results(picture):
    """Slowly, all points alike; the mean that goes on to the next frame does not change by that."""
    first = picture(64, 96)
    tinted = (first * (0.6, 0.9, 0.8) + 20).astype("uint8")
    still = Motion(False, np.zeros((64, 96, 2), "float32"), np.ones((64, 96), "float32"))
    follower = Follower(0.999)
    follower.next(first, Motion(True))
    gaps = []
    for _ in range(20):
        found = follower.next(tinted, still)
        gaps.append(np.abs(found.astype(float) - tinted).mean())
    start = np.abs(first.astype(float) - tinted).mean()
    assert 0.4 * start < gaps[0] < 0.6 * start and gaps[-1] < 0.1 * start
    # Areas follow four times as fast: some 8 % of the way by now.
    gap = np.abs(follower.state()["last"] - first).mean()
    assert 0.02 * start < gap < 0.1 * start
    # A run that is resumed goes on with them, and a cut begins anew.
    other = Follower(0.999)
    other.restore(follower.state())
    np.testing.assert_array_equal(other.next(tinted, still), follower.next(tinted, still))
    follower.next(first, Motion(True))
    assert np.abs(follower.next(first, still).astype(float) - first).max() <= 1


def test_deep_frames_follow_too(picture):
    deep = picture(64, 96).astype("uint16") * 257
    follower, estimator = Follower(0.5), MotionEstimator()
    for _ in range(2):
        found = follower.next(deep, estimator.next(deep))
    assert found.dtype == np.uint16 and np.abs(found.astype(int) - deep).max() < 300


def test_tiny_frames_have_no_motion(picture):
    estimator = MotionEstimator()
    for _ in range(2):
        motion = estimator.next(picture(8, 8))
    assert motion == Motion(False)


# === Frames that are left out ===


def test_a_frame_is_brought_back(moving, photo):
    clip = moving.MovingClip("rotate", photo("temple"), photo("cat"), (180, 320), 13)
    estimator = MotionEstimator()
    estimator.next(clip.frames[0])
    back = estimator.next(clip.frames[1]).brought_back(clip.frames[1])
    gaps = [np.abs(frame.astype(float) - clip.frames[0]) for frame in (back, clip.frames[1])]
    inside = np.s_[20:-20, 20:-20]
    assert gaps[0][inside].mean() < 0.4 * gaps[1][inside].mean()


@pytest.fixture
def paint(make_compact, tmp_path, exact, monkeypatch):
    """`paint(frames, regions, stability)`: results, and the numbers of the painted frames."""
    make_compact().save_to_preset(tmp_path / "preset")
    pipeline = StylizePipeline(checkpoint=tmp_path / "preset", palette=1.0, supersample=0)
    monkeypatch.setattr(rendering, "SEGMENT", 2**30)

    def run(frames, regions, stability=0.5):
        plain, painted = Renderer._stylize, []

        def note(self, work):
            painted.append(work.number)
            return plain(self, work)

        monkeypatch.setattr(Renderer, "_stylize", note)
        step = Fraction(1, 25)
        given = (Frame(colors, None, n * step, step) for n, colors in enumerate(frames))
        renderer = Renderer(pipeline, regions, stability=stability, rate=Fraction(25))
        found = [frame.colors for frame in renderer.frames(given, frames[0].shape[:2])]
        monkeypatch.setattr(Renderer, "_stylize", plain)
        return found, sorted(painted)

    return run


def test_every_other_frame_is_painted(moving, photo, paint, gallery):
    """What has come into view is that of the frame after."""
    clip = moving.MovingClip("rotate", photo("temple"), photo("cat"), (180, 320), 40)
    regions = [StyledRegion(lambda time: gallery[1] / "x.png")]
    found, painted = paint(clip.frames, regions)
    assert painted == [*range(0, 39, 2), 39] and len(found) == 40
    plain, each = paint(clip.frames, regions, 0.0)
    assert each == list(range(40))
    assert moving.warping_error(clip, found, 1) < 0.5 * moving.warping_error(clip, plain, 1)
    assert np.abs(found[19].astype(float) - found[18]).mean() > 0
    # Weak following takes each of them.
    assert paint(clip.frames[:6], regions, 0.1)[1] == list(range(6))


def test_frames_of_which_little_is_known_are_painted(photo, paint, gallery, picture):
    first, second = (imaging.resize_image(photo(name), (96, 160)) for name in ("temple", "cat"))
    frames = [first] * 5 + [second] * 4
    regions = [StyledRegion(lambda time: gallery[1] / "x.png")]
    found, painted = paint(frames, regions)
    # Neither the first one of a scene, nor the last one, whose next is another one.
    assert painted == [0, 2, 4, 5, 7, 8]
    np.testing.assert_array_equal(found[5], paint([second], regions)[0][0])
    noise = [picture(96, 160, seed=seed) for seed in range(4)]
    assert paint(noise, regions)[1] == [0, 1, 2, 3]


@pytest.mark.parametrize("radius", [4, 8])
def test_small_things_are_not_left_out(photo, paint, gallery, radius):
    """A lamp that is on in every other frame is seen in each of them."""
    frames, regions = _still(photo, 8), [StyledRegion(lambda time: gallery[1] / "x.png")]
    rows, columns = np.indices((96, 160))
    lamp = np.hypot(rows - 60, columns - 90) < radius
    for number in (1, 3, 5):
        frames[number][lamp] = (255, 240, 60)
    found, painted = paint(frames, regions)
    assert {1, 3, 5} <= set(painted)
    plain, _ = paint(frames, regions, 0.0)
    change = np.abs(plain[5].astype(float) - plain[4])[lamp].mean()
    assert np.abs(found[5].astype(float) - plain[5])[lamp].mean() < 0.5 * change


def test_tiny_frames_have_statistics_of_their_own(photo, paint, gallery):
    """Their deepest features are so few that those of other frames would break them."""
    frames = [imaging.resize_image(frame, (24, 40)) for frame in _still(photo, 5)]
    regions = [StyledRegion(lambda time: gallery[1] / "x.png")]
    np.testing.assert_array_equal(paint(frames, regions)[0], paint(frames, regions, 0.0)[0])


def test_what_is_new_has_no_seam():
    """What was there goes over into what is new; but at outlines it stays as it is."""
    follower = Follower(0.999)
    first, second = (np.full((96, 160, 3), level, "uint8") for level in (50, 200))
    for wide, most in ((60, 100), (4, 160)):
        trust = np.ones((96, 160), "float32")
        trust[:, 80 : 80 + wide] = 0
        follower.next(first, Motion(True))
        follower.next(second, Motion(False, np.zeros((96, 160, 2), "float32"), trust))
        row = follower.state()["last"][48, :, 0]
        assert row[80 + wide // 2] == pytest.approx(200, abs=1) and row[40] < 60
        assert np.abs(np.diff(row)).max() < most


# === What is painted changes ===


def _still(photo, count):
    rng = np.random.default_rng(0)
    plain = imaging.resize_image(photo("temple"), (96, 160)).astype("float32")
    return [
        np.clip(plain + rng.normal(0, 1, plain.shape), 0, 255).astype("uint8") for _ in range(count)
    ]


@pytest.mark.parametrize("transition", [0.0, 0.4, 1.0])
def test_a_new_style_takes_over(photo, paint, gallery, transition):
    """At once, strokes and all that was measured with the old one; steady before and after."""
    frames = _still(photo, 50)
    styles = [gallery[1] / "x.png", gallery[1] / "y.png"]
    schedule = Schedule([Fraction(0), Fraction(2, 5)], styles, transition)
    found, _ = paint(frames, [StyledRegion(schedule.at)])
    plain, _ = paint(frames, [StyledRegion(schedule.at)], 0.0)
    change = np.abs(plain[-1].astype(float) - plain[0]).mean()
    assert change > 10
    end = 11 + round(25 * transition)
    for number in (11, (11 + end) // 2, end, end + 5, 49):
        gap = np.abs(found[number].astype(float) - plain[number]).mean()
        assert gap < 0.15 * change, number
    flicker = [
        np.abs(np.diff(np.float32(part), axis=0)).mean() for part in (found[-12:], plain[-12:])
    ]
    assert flicker[0] < 0.5 * flicker[1]


def test_a_mask_that_moves_is_followed(photo, paint, gallery):
    """What it reaches is painted, what it leaves is the photo again, to the bit."""
    frames = _still(photo, 20)

    def mask_at(time):
        mask = np.zeros((96, 160), "uint8")
        left = 20 + 3 * int(time * 25)
        mask[20:80, left : left + 50] = 255
        return mask

    regions = [StyledRegion(lambda time: gallery[1] / "x.png", 1.0, mask_at)]
    found, painted = paint(frames, regions)
    plain, _ = paint(frames, regions, 0.0)
    assert painted == list(range(20))
    for number in (1, 10, 19):
        outside = mask_at(Fraction(number, 25)) == 0
        np.testing.assert_array_equal(found[number][outside], frames[number][outside])
        reached = ~outside & (mask_at(Fraction(number - 1, 25)) == 0)
        gap, change = (
            np.abs(found[number].astype(float) - other)[reached].mean()
            for other in (plain[number], frames[number])
        )
        assert reached.any() and gap < 0.3 * change
    # Masks that come and go are no exception.
    regions = [StyledRegion(lambda time: gallery[1] / "x.png", 1.0, lambda time: None)]
    found, _ = paint(frames[:3], regions)
    np.testing.assert_array_equal(found, frames[:3])


def test_a_mask_that_fades_in_slowly(photo, paint, gallery):
    """From frame to frame it hardly changes, and in the end all of it is another picture."""
    frames = _still(photo, 60)

    def mask_at(time):
        return np.full((96, 160), min(255, 5 + 5 * int(time * 25)), "uint8")

    regions = [StyledRegion(lambda time: gallery[1] / "x.png", 1.0, mask_at)]
    found, plain = (paint(frames, regions, stability)[0][-1] for stability in (0.5, 0.0))
    change = np.abs(plain.astype(float) - frames[-1]).mean()
    assert np.abs(found.astype(float) - plain).mean() < 0.2 * change


def test_trust_in_what_was_painted():
    """Masks that move with what they cover keep it; styles are the same by what they are."""
    changes = PaintChanges()
    flow = np.zeros((48, 80, 2), "float32")
    flow[..., 0] = -2
    motion = Motion(False, flow, np.ones((48, 80), "float32"))
    mask = np.zeros((96, 160), "uint8")
    mask[30:70, 40:90] = 255
    assert changes.next([Painted("a", mask)], Motion(True)) == (Motion(True), False)
    moved, restyled = changes.next([Painted("a", np.roll(mask, 4, axis=1))], motion)
    assert not restyled and moved.trust.min() == 1
    # It stays, and what it covers moves on.
    stays, restyled = changes.next([Painted("a", np.roll(mask, 4, axis=1))], motion)
    assert not restyled and stays.trust.min() == 0 and stays.trust.mean() > 0.9
    changes = PaintChanges()
    array = np.zeros((8, 8, 3), "uint8")
    mixes = [
        (["a", array], [1, 3], 1.0),
        (["a", array], [2, 6], 1.0),
        ([StyleMix(["a", array], [1, 3]), array], [1, 0], 1.0),
        (["a", array], [1.02, 2.98], 0.75),
        (["a", array.copy()], [1, 3], 0.0),
    ]
    for styles, weights, trust in mixes:
        found, restyled = changes.next([Painted(StyleMix(styles, weights), None)], motion)
        assert found.trust.max() == pytest.approx(trust, abs=1e-4)
        assert restyled == (trust < 1)


# === Scenes ===


def test_cuts_are_found(photo):
    frames = [imaging.resize_image(photo(name), (90, 160)) for name in PHOTOS]
    detector, cuts = SceneDetector(), []
    for frame in frames:
        cuts += [detector.is_cut(frame.mean(axis=-1).astype("uint8")) for _ in range(4)]
    expected = [n % 4 == 0 for n in range(4 * len(PHOTOS))]
    assert cuts == expected


def test_what_slowly_changes_is_trusted_less(photo):
    """Where a light goes on, however slowly: old results are gone in a second, not in four."""
    still = imaging.resize_image(photo("coffee"), (180, 320)).astype("float32")
    for everywhere in (False, True):
        estimator, trusts = MotionEstimator(), []
        for number in range(40):
            frame = 0.7 * still
            frame[40:100, 60:160] += 2.5 * number
            if everywhere:
                frame = (0.6 + 0.01 * number) * still
            motion = estimator.next(np.clip(frame, 0, 255).astype("uint8"))
            if not motion.cut:
                trusts.append(motion.places(180, 320)[1])
        lit = [trust[55:85, 80:140].mean() for trust in trusts]
        assert min(trust[120:170, 200:300].mean() for trust in trusts) > 0.99
        assert min(lit) > 0.99 if everywhere else min(lit) < 0.92


@pytest.mark.parametrize("kind", ["pan", "zoom", "rotate", "object", "shake"])
def test_motion_is_no_cut(moving, photo, kind):
    for name in ("temple", "coffee"):
        clip = moving.MovingClip(kind, photo(name), photo("cat"), (90, 160), 8)
        detector = SceneDetector()
        cuts = [detector.is_cut(frame.mean(axis=-1).astype("uint8")) for frame in clip.frames]
        assert cuts == [True] + 7 * [False]


def test_fades_and_flashes_are_no_cuts(photo):
    frame = imaging.resize_image(photo("temple"), (90, 160)).mean(axis=-1)
    levels = [1, 1, 0.9, 0.75, 0.6, 0.45, 0.3, 0.15, 0]
    fade, flash = SceneDetector(), SceneDetector()
    assert not any([fade.is_cut((frame * share).astype("uint8")) for share in levels][1:])
    lit = [frame, frame, np.clip(frame + 40, 0, 255), frame, frame]
    assert not any([flash.is_cut(each.astype("uint8")) for each in lit][1:])


@pytest.mark.parametrize("color", [0, 90, 255])
@pytest.mark.parametrize("length", [12, 50, 150])
def test_what_comes_up_is_a_scene(photo, color, length):
    """Again and again while little can be seen, and not any more once it is clear."""
    frame = imaging.resize_image(photo("temple"), (90, 160)).mean(axis=-1)
    detector, cuts = SceneDetector(), []
    for number in range(length + 5):
        share = min(number / length, 1)
        faded = (share * frame + (1 - share) * color).astype("uint8")
        if detector.is_cut(faded):
            cuts.append(faded.std())
    assert 2 <= len(cuts) <= 7
    # The last of them is no longer faint, nor has much of it come up.
    assert 8 <= cuts[-1] < 0.6 * frame.std()


# === Styles over time ===


def test_times_and_styles():
    found = split_at(["5s:mosaic", "0:blue-river", "1:30:C:\\a.jpg", "2m:a:b.png"])
    assert found == [(0, "blue-river"), (5, "mosaic"), (90, "C:\\a.jpg"), (120, "a:b.png")]
    for text in ("mosaic", "5s:", ":mosaic", "soon:mosaic"):
        with pytest.raises(UsageError, match="--style-at"):
            split_at([text])
    with pytest.raises(UsageError, match="at the same time"):
        split_at(["1:a", "1s:b"])


def test_a_schedule():
    schedule = Schedule([Fraction(0), Fraction(5), Fraction(10)], ["a", "b", "c"], 2.0)
    assert [schedule.at(Fraction(t)) for t in (0, 4, 8, 12, 99)] == ["a", "a", "b", "c", "c"]
    middle = schedule.at(Fraction(6))
    assert isinstance(middle, StyleMix) and middle.styles == ["a", "b"]
    assert middle.weights == pytest.approx([0.5, 0.5])
    early = schedule.at(Fraction(51, 10)).weights[1]
    assert 0 < early < 0.05
    # A transition that is longer than a style lasts ends in time.
    quick = Schedule([Fraction(0), Fraction(1), Fraction(2)], ["a", "b", "c"], 60.0)
    assert quick.at(Fraction(3, 2)).weights == pytest.approx([0.5, 0.5])
    assert quick.at(Fraction(199, 100)).weights[1] > 0.99
    sudden = Schedule([Fraction(0), Fraction(1)], ["a", "b"], 0.0)
    assert [sudden.at(Fraction(t, 10)) for t in (9, 10)] == ["a", "b"]


@pytest.fixture
def video(tiny_preset, exact):
    words = ["--checkpoint", str(tiny_preset), "--quiet", "--stability", "0"]
    return lambda *flags: cli.main(["video", *map(str, flags), *words])


def test_styles_change_with_the_time(video, make_clip, gallery, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", 12, rate="10")
    x, y = (gallery[1] / f"{name}.png" for name in "xy")
    words = ["--style-at", f"0:{x}", f"0.5s:{y}", "--transition", "0.2"]
    assert video(clip, "-o", tmp_path / "both_%02d.png", *words) == 0
    for name, style in (("x", x), ("y", y)):
        assert video(clip, "-o", tmp_path / f"{name}_%02d.png", "--style", style) == 0

    def load(name, number):
        return imaging.load_image(tmp_path / f"{name}_{number:02}.png").astype(int)

    for number in (1, 5, 6):  # At 0, 0.4 and 0.5 s.
        np.testing.assert_array_equal(load("both", number), load("x", number))
    for number in (8, 12):
        np.testing.assert_array_equal(load("both", number), load("y", number))
    assert (load("both", 7) != load("x", 7)).any() and (load("both", 7) != load("y", 7)).any()
    # Of a part, each frame is as it is in the whole.
    assert video(clip, "-o", tmp_path / "part_%02d.png", *words, "--start", "0.5") == 0
    for number in (1, 2, 3, 7):
        np.testing.assert_array_equal(load("part", number), load("both", number + 5))
    assert video(clip, "-o", tmp_path / "z.mp4", *words, "--style", x) == 2
    assert video(clip, "-o", tmp_path / "z.mp4", "--style-at", "0:missing.png") == 2


# === Masks ===


def test_one_mask_for_a_clip(video, make_clip, gallery, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", 3)
    mask = np.zeros((48, 64), "uint8")
    mask[:, 32:] = 255
    imaging.save_image(tmp_path / "mask.png", mask)
    words = ["--style", gallery[1] / "x.png", "--mask", tmp_path / "mask.png"]
    assert video(clip, "-o", tmp_path / "out_%d.png", *words) == 0
    with av.open(str(clip)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    found = imaging.load_image(tmp_path / "out_2.png")
    assert np.abs(found[:, :32].astype(int) - frames[1][:, :32]).max() <= 2
    assert np.abs(found[:, 32:].astype(int) - frames[1][:, 32:]).mean() > 5


@pytest.mark.parametrize("suffix", ["png", "mp4"])
def test_masks_of_another_size_are_named_once(video, make_clip, gallery, tmp_path, caplog, suffix):
    clip, mask = make_clip(tmp_path / "clip.mp4", 3), tmp_path / f"mask.{suffix}"
    white = np.full((96, 160, 3), 255, "uint8")
    if suffix == "png":
        imaging.save_image(mask, white)
    else:
        make_clip(mask, 3, size=(96, 160), picture=lambda *place: white)
    words = ["--style", gallery[1] / "x.png", "--mask", mask]
    with caplog.at_level("WARNING"):
        assert video(clip, "-o", tmp_path / "out.mp4", *words) == 0
    assert caplog.messages == [f"{mask} is 160 x 96, resized to the photo's 64 x 48"]


def test_masks_that_move(video, make_clip, gallery, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", 8, rate="10")

    def window(height, width, number):
        found = np.zeros((height, width, 3), "uint8")
        # Nothing at first, then a band that moves to the right.
        if number:
            found[:, 16 * number : 16 * number + 16] = 255
        return found

    def band(height, width, number):
        return window(height, width, 1)

    mask = make_clip(
        tmp_path / "mask.mkv", 4, rate="5", codec="ffv1", pixel_format="gray", picture=window
    )
    words = ["--style", gallery[1] / "x.png", "--mask", mask]
    assert video(clip, "-o", tmp_path / "out_%d.png", *words) == 0
    plain = [imaging.load_image(p) for p in _plain(clip, tmp_path)]
    for number in range(8):
        found = imaging.load_image(tmp_path / f"out_{number + 1}.png").astype(int)
        changed = np.abs(found - plain[number]).mean(axis=(0, 2)) > 2
        place = number // 2
        expected = np.zeros(64, bool)
        if place:
            expected[16 * place : 16 * place + 16] = True
        assert (changed == expected).mean() > 0.9, number
    assert video(clip, "-o", tmp_path / "part_%d.png", *words, "--start", "0.3") == 0
    # Where the mask has ended its last frame stays.
    mask = make_clip(tmp_path / "short.mkv", 1, codec="ffv1", pixel_format="gray", picture=band)
    words[-1] = mask
    assert video(clip, "-o", tmp_path / "short_%d.png", *words) == 0
    assert video(clip, "-o", tmp_path / "late_%d.png", *words, "--start", "0.3") == 0
    for number in range(1, 6):
        for part, whole in (("part", "out"), ("late", "short")):
            paths = (tmp_path / f"{part}_{number}.png", tmp_path / f"{whole}_{number + 3}.png")
            np.testing.assert_array_equal(*map(imaging.load_image, paths))


def _plain(clip, folder):
    paths = []
    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            paths.append(folder / f"plain_{number}.png")
            imaging.save_image(paths[-1], frame.to_ndarray(format="rgb24"))
    return paths


# === All of it ===


def results(pipeline, style, clip, stability):
    """What a clip of 25 frames a second becomes, frame after frame."""
    regions = [StyledRegion(lambda time: style)]
    renderer = Renderer(pipeline, regions, stability=stability, rate=Fraction(25))
    frames = (
        Frame(colors, None, Fraction(n, 25), Fraction(1, 25)) for n, colors in enumerate(clip)
    )
    return [renderer.frame(frame).colors for frame in frames]


@pytest.fixture(scope="module", params=["adain_fast", "adain_vgg19"])
def shipped(request):
    """A pipeline of the shipped weights."""
    return StylizePipeline(checkpoint=request.param, engine="auto")


def test_steady_results(moving, photo, root):
    """The shipped weights: at most half the error of frame by frame."""
    clip = moving.MovingClip("pan", photo("temple"), photo("cat"), (120, 216), 9)
    pipeline = StylizePipeline(checkpoint="adain_fast", engine="auto")
    errors = {}
    for stability in (0.0, 0.5):
        found = results(pipeline, "blue-river", clip.frames, stability)
        errors[stability] = moving.warping_error(clip, found, 1)
    assert errors[0.5] < 0.5 * errors[0.0]


def _fade(number, photo, rng):
    return (photo * min(number / 8, 1)).astype("uint8")


def _fade_out(number, photo, rng):
    return (photo * max(1 - number / 8, 0)).astype("uint8")


def _one_color(number, photo, rng):
    return np.full(photo.shape, (20 + 4 * number, 90 + 2 * number, 160 - 5 * number), "uint8")


def _gradient(number, photo, rng):
    down = np.linspace(0, 1, photo.shape[0])[:, None, None] * (30, 20, -20)
    return np.broadcast_to(down + (100 + 2 * number, 150 + number, 200), photo.shape).astype(
        "uint8"
    )


def _grain(number, photo, rng):
    return np.clip(_gradient(0, photo, rng) + rng.normal(0, 1.5, photo.shape), 0, 255).astype(
        "uint8"
    )


@pytest.mark.parametrize("frame_of", [_fade, _fade_out, _one_color, _gradient, _grain])
def test_colors_do_not_drift(photo, shipped, frame_of):
    """Where statistics change fast, or there is nearly nothing to measure, they are the frame's."""
    small, rng = imaging.resize_image(photo("cat"), (64, 112)), np.random.default_rng(3)
    clip = [frame_of(number, small, rng) for number in range(14)]
    means = []
    for stability in (0.0, 0.5):
        found = results(shipped, "starry-night", clip, stability)
        means.append([colors.mean(axis=(0, 1)) for colors in found])
    assert np.abs(np.subtract(*means)).max() < 18


def test_fading_in_ends_as_a_painting(photo):
    """What is painted of black does not stay on what comes up."""
    pipeline = StylizePipeline(checkpoint="adain_fast", engine="auto")
    still = imaging.resize_image(photo("cat"), (180, 240))
    clip = [(still * min(number / 12, 1)).astype("uint8") for number in range(16)]
    ends = [results(pipeline, "starry-night", clip, stability)[-1] for stability in (0.0, 0.5)]
    areas = [
        np.std(end[:180, :240].reshape(9, 20, 12, 20, 3).mean(axis=-1), axis=(1, 3)) for end in ends
    ]
    # Contrast everywhere, not only at outlines.
    assert np.median(areas[1] / areas[0]) > 0.75
    assert (areas[1] < 0.4 * areas[0]).mean() < 0.05


def test_stability_0_is_frame_by_frame(picture, tiny_model, tiny_preset):
    pipeline = StylizePipeline(checkpoint=str(tiny_preset), stylizer=tiny_model)
    style = picture(48, 48, seed=5)
    regions = [StyledRegion(lambda time: style)]
    renderer = Renderer(pipeline, regions, stability=0.0, rate=Fraction(25))
    for number in range(3):
        frame = Frame(picture(48, 64, seed=number), None, Fraction(number), Fraction(1))
        expected = pipeline.run(frame.colors, regions=[Region(None, style)])
        np.testing.assert_array_equal(renderer.frame(frame).colors, expected)
