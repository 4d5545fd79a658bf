"""Folders to batches: what is cropped, in what order, and what happens to broken files."""

from __future__ import annotations

import itertools
import logging
import threading

import cv2
import numpy as np
import pytest
from PIL import Image

from adain.training.data import CONTENT, STYLE, Crop, StyleContentDataset


def same(a, b) -> bool:
    return all(np.array_equal(a[key], b[key]) for key in ("content", "style"))


def coordinates(height, width) -> np.ndarray:
    """A picture that says where each pixel comes from: red is the column, green the row."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows, np.full_like(rows, 7)], axis=-1).astype("uint8")


@pytest.fixture
def folders(tmp_path, write_pictures):
    return (
        write_pictures(tmp_path / "content", 5),
        write_pictures(tmp_path / "style", 3, size=(40, 40), seed=50),
    )


@pytest.fixture
def make(folders):
    def make(content=folders[0], style=folders[1], **kwargs):
        settings = {"batch_size": 2, "image_size": 40, "crop_size": 32, "workers": 2} | kwargs
        return StyleContentDataset(content, style, **settings)

    return make


@pytest.fixture
def one_picture(tmp_path, make):
    """A dataset whose only photograph is the given array."""

    def one(picture, **kwargs):
        folder = tmp_path / "one"
        folder.mkdir()
        Image.fromarray(picture).save(folder / "a.png")
        return make(content=folder, **kwargs)

    return one


# === Batches ===


def test_shapes_and_types(make):
    batch = make(style_crop_size=16).batch(0)
    assert batch.keys() == {"content", "style"}
    assert batch["content"].shape == (2, 32, 32, 3)
    assert batch["style"].shape == (2, 16, 16, 3)
    assert batch["content"].dtype == batch["style"].dtype == np.uint8
    assert make().batch(0)["style"].shape == (2, 32, 32, 3)


def test_same_seed_same_batches(make):
    first, second, other = make(seed=3), make(seed=3), make(seed=4)
    assert all(same(first.batch(step), second.batch(step)) for step in range(6))
    assert not any(same(first.batch(step), other.batch(step)) for step in range(6))


def test_a_batch_depends_on_its_number_alone(make):
    dataset, again = make(), make()
    forward = [dataset.batch(step) for step in range(8)]
    for step in (7, 0, 3, 3):
        assert same(again.batch(step), forward[step])
    assert not any(same(a, b) for a, b in itertools.combinations(forward, 2))


def test_batches_come_in_order(make):
    dataset = make()
    stream = list(dataset.batches(2, 9))
    assert len(stream) == 7
    assert all(same(batch, dataset.batch(2 + i)) for i, batch in enumerate(stream))
    # The number of threads changes nothing.
    assert all(map(same, stream, make(workers=1).batches(2, 9)))
    assert list(dataset.batches(3, 3)) == []


def test_endless_stream_can_be_left(make):
    before = threading.active_count()
    stream = make().batches()
    for _ in range(3):
        next(stream)
    stream.close()
    assert threading.active_count() == before


def test_errors_of_the_threads_arrive(make, monkeypatch):
    dataset = make()
    monkeypatch.setattr(dataset, "batch", lambda step: 1 / (3 - step))
    stream = dataset.batches(0, 9)
    assert [next(stream) for _ in range(3)] == [1 / 3, 1 / 2, 1]
    with pytest.raises(ZeroDivisionError):
        next(stream)


# === Epochs ===


def test_every_epoch_visits_every_picture_once(make):
    dataset = make()
    for kind, count in ((CONTENT, 5), (STYLE, 3)):
        picks = [crop for step in range(30) for crop in dataset.plan(step)[kind]]
        epochs = [picks[i : i + count] for i in range(0, 60, count)]
        for number, epoch in enumerate(epochs):
            assert sorted(crop.index for crop in epoch) == list(range(count))
            assert {crop.draw for crop in epoch} == {number}
            assert {crop.kind for crop in epoch} == {kind}
        assert len({tuple(crop.index for crop in epoch) for epoch in epochs}) > 2


@pytest.mark.parametrize("kind", [CONTENT, STYLE])
def test_fixed_draws_repeat(make, kind):
    fixed = (2, 0) if kind == CONTENT else (0, 2)
    dataset = make(fixed_draws=fixed)
    total = len(dataset.files[kind])
    crops = {crop for step in range(30) for crop in dataset.plan(step)[kind]}
    assert len(crops) == total * 2
    pictures = {dataset.load(crop).tobytes() for crop in crops}
    assert len(pictures) == total * 2
    again = make(fixed_draws=fixed)
    assert {again.load(crop).tobytes() for crop in crops} == pictures
    # The other folder goes on being cropped anew, as both do without.
    crops = {crop for step in range(30) for crop in dataset.plan(step)[1 - kind]}
    assert len(crops) == 60
    crops = {crop for step in range(30) for crop in make().plan(step)[kind]}
    assert len(crops) == 60


@pytest.mark.parametrize("kind", [CONTENT, STYLE])
@pytest.mark.parametrize("fixed", [1, 2])
def test_fixed_draws_are_drawn_again(make, kind, fixed):
    """Two rounds with the same crops, then two with others; by the number of the batch alone."""
    dataset = make(fixed_draws=(fixed, fixed), redraw_epochs=2 * fixed)
    total = len(dataset.files[kind])
    picks = [crop for step in range(60) for crop in dataset.plan(step)[kind]]
    assert picks == [
        crop
        for step in range(60)
        for crop in make(fixed_draws=(fixed, fixed), redraw_epochs=2 * fixed).plan(step)[kind]
    ]
    rounds = [set(picks[i * total : (i + 1) * total]) for i in range(len(picks) // total)]
    for number in range(0, len(rounds) - 2 * fixed, 2 * fixed):
        block = rounds[number : number + 2 * fixed]
        assert len(set.union(*block)) == fixed * total
        assert all(block[i] == block[i + fixed] for i in range(fixed))
        assert not set.union(*block) & rounds[number + 2 * fixed]
        assert {dataset.generation(crop) for crop in set.union(*block)} == {number // 2 // fixed}


@pytest.mark.parametrize("kind", [CONTENT, STYLE])
@pytest.mark.parametrize("fixed", [1, 2])
def test_blocks_are_gone_through_before_the_next(make, kind, fixed):
    times = 2 * fixed
    dataset = make(fixed_draws=(fixed, fixed), redraw_epochs=times, redraw_block=2)
    total = len(dataset.files[kind])
    picks = [crop for step in range(120) for crop in dataset.plan(step)[kind]]
    again = make(fixed_draws=(fixed, fixed), redraw_epochs=times, redraw_block=2)
    assert picks[-2:] == again.plan(119)[kind]
    start = 0
    while start + times * total <= len(picks):
        seen = []
        for size in [2] * (total // 2) + [1] * (total % 2):
            block, start = picks[start : start + times * size], start + times * size
            files = {crop.index for crop in block}
            assert len(files) == size
            assert len(set(block)) == fixed * size
            for turn in range(times):
                assert {crop.index for crop in block[turn * size : (turn + 1) * size]} == files
            seen += files
        assert sorted(seen) == list(range(total))
    # Crops of the first generation never come back.
    assert not set(picks[: times * total]) & set(picks[times * total :])


def test_pictures_held_out_are_not_trained_on(make):
    files = make().files
    dataset, other_seed = make(), make(seed=5)
    held = dataset.hold_out(1, batch_size=1)
    assert other_seed.hold_out(1, batch_size=1).files == held.files
    for kind in (CONTENT, STYLE):
        assert len(held.files[kind]) == 1
        assert sorted([*held.files[kind], *dataset.files[kind]]) == sorted(files[kind])
    np.testing.assert_array_equal(
        held.batch(0)["content"], make(seed=9).hold_out(1, 1).batch(0)["content"]
    )
    with pytest.raises(ValueError, match="half of the .* photographs at most"):
        make().hold_out(len(files[CONTENT]), batch_size=1)


def test_random_scale(make, tmp_path):
    """The side of the piece that a crop is made from tells the scale."""
    tmp_path.joinpath("ramp").mkdir()
    Image.fromarray(coordinates(200, 200)).save(tmp_path / "ramp" / "ramp.png")
    dataset = make(content=tmp_path / "ramp", image_size=100, random_scale=2.0)
    scales = []
    for draw in range(60):
        crop = dataset.load(Crop(CONTENT, 0, draw)).astype(float)
        assert crop.shape == (32, 32, 3)
        scales.append(200 * 29 / (100 * (crop[30, 1, 1] - crop[1, 1, 1])) / 2)
    # Log-uniform between 1/2 and 2, as far as 60 draws of whole pixels tell.
    scales = np.log2(np.abs(scales) * 2)
    assert -1.15 < scales.min() < -0.6 and 0.6 < scales.max() < 1.15
    assert abs(scales.mean()) < 0.25
    small = make(content=tmp_path / "ramp", image_size=300, random_scale=1.0)
    enlarged = make(content=tmp_path / "ramp", image_size=600, random_scale=1.01)
    spans = [np.ptp(d.load(Crop(CONTENT, 0, 0))[..., 1].astype(int)) for d in (small, enlarged)]
    # Only with a random scale are small pictures enlarged.
    assert spans[0] == 31 and spans[1] < 14


def test_several_folders_and_subfolders(make, folders, tmp_path, write_pictures):
    write_pictures(folders[0] / "deep" / "er", 2, seed=20)
    other = write_pictures(tmp_path / "other", 4, seed=30)
    assert len(make(content=[folders[0], str(other)]).files[CONTENT]) == 5 + 2 + 4
    assert len(make(content=str(folders[0])).files[CONTENT]) == 7


# === Crops ===


def test_crops_are_windows_of_the_picture(one_picture):
    source = coordinates(48, 200)
    dataset = one_picture(source, image_size=48)
    tops, lefts, flips = set(), set(), 0
    for draw in range(60):
        crop = dataset.load(Crop(CONTENT, 0, draw))
        flipped = crop[0, 0, 0] > crop[0, -1, 0]
        crop = crop[:, ::-1] if flipped else crop
        left, top = crop[0, 0, :2]
        np.testing.assert_array_equal(crop, source[top : top + 32, left : left + 32])
        tops.add(int(top))
        lefts.add(int(left))
        flips += int(flipped)
    assert 15 < flips < 45
    # All of the picture can be reached, its edges too.
    assert min(tops) <= 2
    assert max(tops) >= 14
    assert min(lefts) <= 20
    assert max(lefts) >= 148


@pytest.mark.parametrize(
    ("size", "image_size", "scale"),
    [
        ((96, 200), 48, 2.0),  # Shrunk: the shorter side becomes 48.
        ((200, 96), 48, 2.0),
        ((100, 120), 40, 2.5),
        ((40, 120), 400, 1.0),  # Never enlarged for the sake of image_size ...
        ((20, 120), 400, 20 / 32),  # ... only as far as the crop needs.
        ((120, 8), 48, 8 / 32),
    ],
)
def test_aspect_is_kept(one_picture, size, image_size, scale):
    dataset = one_picture(coordinates(*size), image_size=image_size)
    for draw in range(10):
        crop = dataset.load(Crop(CONTENT, 0, draw)).astype(float)
        assert crop.shape == (32, 32, 3)
        across = np.abs(np.diff(crop[..., 0], axis=1)[:, 4:-4].mean())
        down = np.diff(crop[..., 1], axis=0)[4:-4].mean()
        # Pixels of the picture for one of the crop; a window has whole pixels, hence 6 %.
        assert across == pytest.approx(scale, rel=0.06, abs=0.05)
        assert down == pytest.approx(scale, rel=0.06, abs=0.05)


def test_a_circle_stays_round(one_picture):
    source = np.zeros((120, 240, 3), "uint8")
    for x in range(40, 240, 80):
        cv2.circle(source, (x, 60), 20, (255, 255, 255), -1)
    dataset = one_picture(source, image_size=40, crop_size=40)  # Windows as high as the picture.
    seen = 0
    for draw in range(12):
        white = dataset.load(Crop(CONTENT, 0, draw))[..., 0] > 127
        count, _, boxes, _ = cv2.connectedComponentsWithStats(white.astype("uint8"))
        for left, _, width, height, _ in boxes[1:count]:
            if left > 0 and left + width < 40:
                assert abs(int(width) - int(height)) <= 1
                assert abs(int(height) - 41 / 3) <= 1.5
                seen += 1
    assert seen >= 5


def test_shrinking_does_not_alias(one_picture):
    board = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype("uint8")
    crop = one_picture(np.stack([board] * 3, axis=-1), image_size=32).load(Crop(CONTENT, 0, 0))
    assert np.abs(crop.astype(int) - 127).max() < 12


def test_jpegs_are_read_in_colour(make, tmp_path):
    folder = tmp_path / "jpeg"
    folder.mkdir()
    red = np.zeros((300, 400, 3), "uint8")
    red[..., 0] = 250
    Image.fromarray(red).save(folder / "a.jpg", quality=95)
    Image.fromarray(np.full((60, 60), 90, "uint8")).save(folder / "grey.jpg")
    dataset = make(content=folder)
    assert np.abs(dataset.load(Crop(CONTENT, 0, 0)).astype(int) - [250, 0, 0]).max() < 8
    assert np.abs(dataset.load(Crop(CONTENT, 1, 0)).astype(int) - 90).max() < 4


# === Files that cannot be read ===


@pytest.fixture
def broken(folders, tmp_path):
    content = folders[0]
    whole = tmp_path / "whole.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (80, 80, 3)).astype("uint8")
    Image.fromarray(noise).save(whole, quality=95)
    (content / "0a_garbage.png").write_bytes(b"not a picture")
    (content / "0b_empty.jpg").write_bytes(b"")
    (content / "0c_truncated.jpg").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return {"0a_garbage.png", "0b_empty.jpg", "0c_truncated.jpg"}


def test_broken_files_are_skipped_named_and_counted(make, broken, caplog):
    dataset = make()
    assert len(dataset.files[CONTENT]) == 8
    with caplog.at_level(logging.WARNING, logger="adain.training.data"):
        batches = list(dataset.batches(0, 12))
    assert len(batches) == 12
    assert {path.name for path in dataset.skipped} == broken
    messages = [record.getMessage() for record in caplog.records]
    # Once each, although each was met in three epochs.
    assert len(messages) == 3
    for name in broken:
        assert sum(name in message for message in messages) == 1
    assert sorted(message.split(":")[0] for message in messages) == [
        f"skipped ({count} so far)" for count in (1, 2, 3)
    ]


def test_the_next_file_stands_in(make, broken):
    used, fresh = make(image_size=32, crop_size=48), make(image_size=32, crop_size=48)
    assert [path.name for path in used.files[CONTENT]][4:6] == ["004.png", "0a_garbage.png"]
    # The pictures are 48 high: a crop shows all rows, so its colours tell whose it is.
    means = [used.load(Crop(CONTENT, i, 0)).mean(axis=(0, 1)) for i in (0, 1, 5, 6, 7)]
    for stand_in in means[2:]:
        near = [np.abs(stand_in - other).max() for other in means[:2]]
        assert near[0] < near[1]
    # Whether a broken file was met before makes no difference to what a batch holds.
    assert all(same(fresh.batch(step), used.batch(step)) for step in range(8))


def test_nothing_but_broken_files(make, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"x")
    (folder / "b.png").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"None of the 2 files can be read, for example .*a\.png"):
        make(content=folder).batch(0)


def test_empty_and_missing_folders(make, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no picture")
    with pytest.raises(ValueError, match=r"empty: no pictures here\. Accepted: .*\.png"):
        make(content=tmp_path / "empty")
    with pytest.raises(ValueError, match=r"none: no such folder of style pictures"):
        make(style=tmp_path / "none")
