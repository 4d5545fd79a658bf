"""`adain batch`: data sets of every form, draws, parts, and runs that are killed."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from batch_sets import (
    InlinePool,
    contents,
    encoded,
    manifest,
    read_table,
    read_tar,
    write_table,
    write_tar,
)

from adain.batch import command
from adain.batch.draws import Stream, draw
from adain.batch.estimate import describe, describe_size, spans
from adain.batch.pool import Pool, portable
from adain.batch.sets import File, Unit
from adain.batch.worker import BatchWorker
from adain.files import WriteError
from adain.imaging.io import load_image
from adain.stylize.pipeline import StylizePipeline


@pytest.fixture
def sets(tmp_path, picture):
    """`{form: path}` of the same six pictures, in two classes."""
    photos = [encoded(picture(32 + 2 * number, 40, seed=number)) for number in range(6)]
    for number, data in enumerate(photos):
        folder = tmp_path / "tree" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(data)
    for shard in range(2):
        members = {}
        for number in range(3 * shard, 3 * shard + 3):
            members[f"x/{number}.png"] = photos[number]
            members[f"x/{number}.cls"] = str(number % 2).encode()
            members[f"x/{number}.json"] = b'{"n": %d}' % number
        write_tar(tmp_path / "tar" / f"{shard}.tar", members)
    write_table(
        tmp_path / "parquet" / "train.parquet", photos, 4,
        label=[number % 2 for number in range(6)], note=[f"n{number}" for number in range(6)],
    )  # fmt: skip
    return {form: tmp_path / form for form in ("tree", "tar", "parquet")}


def pictures_in(out, form):
    """`{picture: bytes of its result}`."""
    if form == "tree":
        return contents(out)
    if form == "tar":
        return {
            f"{shard}/{name[:-4]}": data
            for shard in "01"
            for name, data in read_tar(out / f"{shard}.tar").items()
            if name.endswith(".png")
        }
    rows = read_table(out / "train.parquet")
    return {f"train/{number}": row["image"]["bytes"] for number, row in enumerate(rows)}


# === Draws ===


def test_draws_are_what_they_have_always_been():
    """The definition, by hand; other machines and later versions must draw the same."""
    key = hashlib.blake2b(b"7\0styles\0picture\0cats/1.jpg", digest_size=32).digest()
    counter = (0).to_bytes(8, "little")
    number = int.from_bytes(hashlib.blake2b(counter, key=key, digest_size=16).digest(), "little")
    assert draw(7, "cats/1.jpg", "", 1000)[0].styles == (number % 1000,)
    assert [draw(0, f"{name}", "", 16)[0].styles[0] for name in range(8)] == [
        3, 2, 8, 4, 15, 7, 5, 8
    ]  # fmt: skip


def test_draws_of_k_of_n():
    for name in map(str, range(50)):
        found = draw(3, name, "", 7, draws=3, mix=2, alpha=(0.25, 0.75))
        taken = [style for each in found for style in each.styles]
        assert len(set(taken)) == 6 and set(taken) <= set(range(7))
        assert all(sum(each.weights) == pytest.approx(1) for each in found)
        assert all(0.25 < each.alpha < 0.75 for each in found)
        # More draws begin with those of fewer, and nothing depends on other pictures.
        assert draw(3, name, "", 7, draws=1, mix=2, alpha=(0.25, 0.75)) == found[:1]
    assert sorted(draw(0, "a", "", 5, mix=5)[0].styles) == list(range(5))


def test_draws_by_class():
    found = {
        (name, label): draw(0, str(name), label, 100, by="class", alpha=(0, 1))[0]
        for name in range(10)
        for label in ("cat", "dog")
    }
    assert {each.styles for (_, label), each in found.items() if label == "cat"} == {
        found[0, "cat"].styles
    }
    assert found[0, "cat"].styles != found[0, "dog"].styles
    assert len({each.alpha for each in found.values()}) == 10


def test_draws_are_even():
    counts = Counter(draw(1, str(name), "", 8)[0].styles[0] for name in range(4000))
    # Chi-squared of 7 degrees of freedom: beyond 24.3 in one of 1000.
    assert sum((counts[style] - 500) ** 2 / 500 for style in range(8)) < 24.3
    numbers = [Stream(2, str(name)).uniform() for name in range(4000)]
    assert abs(np.mean(numbers) - 0.5) < 0.02 and 0 < min(numbers) < max(numbers) < 1


# === Forms ===


@pytest.mark.parametrize("form", ["tree", "tar", "parquet"])
def test_the_same_shape_comes_out(batch, sets, inline, form, tmp_path, tiny_preset, batch_styles):
    assert batch(sets[form], "out") == 0
    out = tmp_path / "out"
    rows = manifest(out)
    assert [row["status"] for row in rows] == ["done"] * 6
    labels = "ab" if form == "tree" else "01"
    assert Counter(row["label"] for row in rows) == dict.fromkeys(labels, 3)
    found = pictures_in(out, form)
    assert found.keys() == {row["picture"] for row in rows}
    pipeline = StylizePipeline(checkpoint=str(tiny_preset), engine="mnn")
    originals = pictures_in(sets[form], form)
    for row in rows:
        data = found[row["picture"]]
        assert hashlib.sha256(data).hexdigest() == row["digest"]
        assert len(data) == row["bytes"]
        drawn = draw(0, row["picture"], row["label"], 5)[0]
        assert row["styles"] == [f"{drawn.styles[0]:03}"]
        style = batch_styles / f"{row['styles'][0]}.png"
        expected = pipeline.run(originals[row["picture"]], style)
        image = load_image(data)
        assert image.shape[:2] == (row["height"], row["width"])
        assert np.abs(image.astype(int) - expected).max() <= 2
    if form == "tree":
        assert contents(out).keys() == contents(sets[form]).keys()
    elif form == "tar":
        for shard in "01":
            new, old = (read_tar(place / f"{shard}.tar") for place in (out, sets[form]))
            assert list(new) == list(old)
            same = [name for name in old if not name.endswith(".png")]
            assert {name: new[name] for name in same} == {name: old[name] for name in same}
    else:
        import pyarrow.parquet as pq

        new, old = (pq.ParquetFile(place / "train.parquet") for place in (out, sets[form]))
        assert new.schema_arrow.equals(old.schema_arrow, check_metadata=True)
        for index in range(2):
            assert new.metadata.row_group(index).num_rows == old.metadata.row_group(index).num_rows
        assert new.metadata.row_group(0).column(0).compression == "ZSTD"
        new, old = (place.read().drop_columns("image") for place in (new, old))
        assert new.equals(old)


@pytest.mark.parametrize("form", ["tree", "tar", "parquet"])
def test_parts_are_those_of_the_whole(batch, sets, inline, form, tmp_path, monkeypatch):
    """In other orders, with other neighbours, in folders of their own or in one."""
    monkeypatch.setattr(f"adain.batch.{'shards' if form == 'tar' else 'tree'}.UNIT", 2)
    flags = ["--alpha", 0.4, 1, "--mix", 2, "--seed", 5]
    assert batch(sets[form], "whole", *flags) == 0
    whole = contents(tmp_path / "whole")
    for part in (1, 0):
        assert batch(sets[form], "shared", *flags, "--shard", f"{part}/2") == 0
        assert batch(sets[form], f"part{part}", *flags, "--shard", f"{part}/2") == 0
    parts = [contents(tmp_path / f"part{part}") for part in range(2)]
    assert parts[0].keys() & parts[1].keys() == set()
    assert parts[0] | parts[1] == whole
    assert contents(tmp_path / "shared") == whole
    rows = [manifest(tmp_path / "shared", f"manifest-{part}-of-2.parquet") for part in range(2)]
    key = lambda row: row["picture"]  # noqa: E731
    assert sorted(rows[0] + rows[1], key=key) == sorted(manifest(tmp_path / "whole"), key=key)


def test_several_draws_are_several_data_sets(batch, sets, inline, tmp_path):
    assert batch(sets["tar"], "one") == 0
    assert batch(sets["tar"], "two", "--draws", 2) == 0
    first, second = (contents(tmp_path / "two" / f"draw-{number}") for number in range(2))
    assert first == contents(tmp_path / "one")
    assert second.keys() == first.keys() and second != first
    rows = manifest(tmp_path / "two")
    assert len(rows) == 12 and {row["draw"] for row in rows} == {0, 1}
    for one, other in zip(rows[::2], rows[1::2], strict=True):
        assert one["picture"] == other["picture"] and one["styles"] != other["styles"]


def test_sizes_formats_and_quality(batch, sets, inline, tmp_path):
    sizes = {}
    for quality in (30, 95):
        how = ["--output-size", "24x20", "--format", "jpg", "--quality", quality]
        assert batch(sets["tree"], f"q{quality}", *how) == 0
        found = contents(tmp_path / f"q{quality}")
        assert {name.rpartition(".")[2] for name in found} == {"jpg"}
        assert {load_image(data).shape for data in found.values()} == {(24, 20, 3)}
        sizes[quality] = sum(map(len, found.values()))
    assert sizes[30] < sizes[95]
    assert batch(sets["tar"], "shards", "--output-size", 16, "--format", "webp") == 0
    members = read_tar(tmp_path / "shards" / "0.tar")
    assert [name for name in members if name.endswith(".webp")] == [f"x/{n}.webp" for n in range(3)]
    assert min(load_image(members["x/0.webp"]).shape[:2]) == 16
    assert batch(sets["parquet"], "tables", "--format", "jpg") == 0
    row = read_table(tmp_path / "tables" / "train.parquet")[0]
    assert row["image"]["path"] == "0.jpg" and row["image"]["bytes"][:2] == b"\xff\xd8"


def test_by_class(batch, sets, inline, tmp_path):
    for form in sets:
        assert batch(sets[form], f"out-{form}", "--by", "class") == 0
        looks = {(row["label"], *row["styles"]) for row in manifest(tmp_path / f"out-{form}")}
        assert len(looks) == len({label for label, _ in looks}) == 2


# === Networks for sizes that are common ===


@pytest.fixture
def prepared(monkeypatch):
    """Sizes that networks were made for, in multiples of 8; two pictures of a size are enough."""
    sizes, prepare = [], StylizePipeline.prepare

    def watched(self, *size):
        sizes.append(tuple(-(-side // 8) * 8 for side in size))
        prepare(self, *size)

    monkeypatch.setattr(StylizePipeline, "prepare", watched)
    monkeypatch.setattr("adain.stylize.sizes.LEAST", 2)
    return sizes


@pytest.mark.parametrize("form", ["tree", "tar", "parquet"])
def test_common_sizes(batch, sets, inline, form, tmp_path, prepared):
    # Of heights of 32 to 42 pixels, four are 40 in multiples of 8.
    assert batch(sets[form], "out", "--supersample", 0) == 0
    assert prepared == [(40, 40)]
    assert batch(sets[form], "cut", "--supersample", 0, "--crop-size", 24) == 0
    assert prepared[1:] == [(32, 40)]
    assert batch(sets[form], "few", "--content-size", 80) == 0
    assert prepared[2:] == []


def test_what_is_made_later_is_made_alike(batch, sets, inline, tmp_path, prepared, picture):
    assert batch(sets["tree"], "out", "--supersample", 0) == 0
    for number in range(8):
        (sets["tree"] / "a" / f"new-{number}.png").write_bytes(encoded(picture(64, 64, number)))
    assert batch(sets["tree"], "out", "--supersample", 0) == 0
    assert prepared == [(40, 40), (40, 40)]
    assert batch(sets["tree"], "other", "--supersample", 0) == 0
    assert prepared[2:] == [(64, 64), (40, 40)]


def test_broken_pictures_have_no_size(batch, sets, inline, tmp_path, prepared):
    for name in ("1", "3"):
        (sets["tree"] / "b" / f"{name}.png").write_bytes(b"no picture")
    assert batch(sets["tree"], "out", "--supersample", 0) == 1
    assert prepared == [(40, 40)]


def test_networks_for_a_size_paint_the_same(batch, sets, inline, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    how = ["--engine", "openvino", "--supersample", 0]
    assert batch(sets["tar"], "any", *how) == 0
    monkeypatch.setattr("adain.stylize.sizes.LEAST", 2)
    assert batch(sets["tar"], "one", *how) == 0
    for name, data in pictures_in(tmp_path / "one", "tar").items():
        expected = load_image(pictures_in(tmp_path / "any", "tar")[name])
        assert np.abs(load_image(data) - expected.astype(float)).max() <= 1


# === Resuming ===


def test_what_is_finished_is_not_made_again(batch, sets, inline, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("adain.batch.tree.UNIT", 2)
    for form in sets:
        assert batch(sets[form], form + "-out") == 0
        before = contents(tmp_path / f"{form}-out")
        # Clocks may jump: what is newer tells nothing.
        for number, path in enumerate(
            [*sets[form].rglob("*"), *(tmp_path / f"{form}-out").rglob("*")]
        ):
            os.utime(path, (4e9, 4e9) if number % 2 else (1, 1))
        monkeypatch.setattr("time.time", lambda: -1e6)
        with monkeypatch.context() as patch:
            patch.setattr("adain.batch.worker.BatchWorker.run", None)
            patch.setattr("adain.batch.worker.BatchWorker.join", None)
            assert batch(sets[form], form + "-out") == 0
        assert "6 of 6 pictures finished before" in capsys.readouterr().err
        assert contents(tmp_path / f"{form}-out") == before
        # What was removed, or replaced, is made again.
        victim = next(path for path in sorted((tmp_path / f"{form}-out").rglob("*"))
                      if path.is_file() and "_adain" not in path.parts)  # fmt: skip
        victim.unlink()
        assert batch(sets[form], form + "-out") == 0
        assert contents(tmp_path / f"{form}-out") == before


def test_a_picture_that_was_mended_is_made(batch, sets, inline, tmp_path, capsys):
    broken = sets["tree"] / "a" / "0.png"
    good = broken.read_bytes()
    broken.write_bytes(good[:200])
    assert batch(sets["tree"], "out") == 1
    (row,) = [row for row in manifest(tmp_path / "out") if row["status"] != "done"]
    assert row["picture"] == "a/0.png" and row["status"] == "broken" and row["message"]
    assert "1 broken, 0 failed" in capsys.readouterr().err
    broken.write_bytes(good)
    assert batch(sets["tree"], "out") == 0
    assert (tmp_path / "out" / "a" / "0.png").is_file()


class Killing(Pool):
    """Kills each process that begins picture 1, some times."""

    times = 1

    def _hear(self, each):
        for event in super()._hear(each):
            if event.picture == 1 and Killing.times > 0:
                Killing.times -= 1
                each.process.kill()
            yield event


@pytest.mark.slow
def test_workers_that_are_always_killed(batch, sets, tmp_path, monkeypatch, capfd):
    """Even where its picture is left out: the unit fails, the others are made."""
    write_tar(sets["tar"] / "2.tar", {"one.png": encoded(np.zeros((24, 24, 3), "uint8"))})
    monkeypatch.setattr(command, "Pool", Killing)
    monkeypatch.setattr(Killing, "times", 10**6)
    assert batch(sets["tar"], "out", "--workers", 1) == 1
    rows = manifest(tmp_path / "out")
    assert [row["picture"] for row in rows if row["status"] == "done"] == ["2/one"]
    assert all("again and again" in row["message"] for row in rows if row["status"] != "done")
    assert {path.name for path in (tmp_path / "out").glob("*.tar")} == {"2.tar"}
    monkeypatch.setattr(Killing, "times", 0)
    assert batch(sets["tar"], "out", "--workers", 1) == 0
    assert {row["status"] for row in manifest(tmp_path / "out")} == {"done"}


class Reaping(Pool):
    """Kills the first process as soon as it is ready."""

    count = 0

    def _hear(self, each):
        yield from super()._hear(each)
        if each.ready and each.task is None and not Reaping.count:
            Reaping.count += 1
            each.process.kill()
            each.process.join()


def test_an_idle_worker_that_is_killed(batch, sets, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "Pool", Reaping)
    monkeypatch.setattr(Reaping, "count", 0)
    assert batch(sets["tree"], "out", "--workers", 1) == 0
    assert Reaping.count == 1
    assert {row["status"] for row in manifest(tmp_path / "out")} == {"done"}


class Stillborn(Pool):
    """Kills each process before it is ready."""

    def _spawn(self):
        each = super()._spawn()
        each.process.kill()
        return each


def test_workers_that_cannot_start(batch, sets, monkeypatch, capfd):
    monkeypatch.setattr(command, "Pool", Stillborn)
    assert batch(sets["tree"], "out", "--workers", 1) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: worker processes end with -9 before they are ready")


class Odd(Exception):
    """It can be sent to another process, but not be read there."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def test_errors_travel_between_processes():
    error = portable(Odd(1, 2))
    assert type(error) is RuntimeError and str(error) == "Odd: 1 2"
    error = portable(WriteError(28, "No space left on device", "out"))
    assert type(error) is WriteError and error.errno == 28


@pytest.mark.parametrize("fails", ["run", "join"])
def test_a_shard_that_cannot_be_finished(batch, sets, inline, tmp_path, monkeypatch, capsys, fails):
    """Its pictures have no results, whatever became of each; the next run makes what is missing."""
    monkeypatch.setattr("adain.batch.shards.UNIT", 2)
    real, calls = getattr(BatchWorker, fails), []

    def failing(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == 1:
            raise ValueError("a damaged page")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(BatchWorker, fails, failing)
    assert batch(sets["tar"], "out") == 1
    written = {path.stem for path in (tmp_path / "out").glob("*.tar")}
    rows = manifest(tmp_path / "out")
    assert {row["shard"].removesuffix(".tar") for row in rows if row["status"] == "done"} == written
    lost = [row for row in rows if row["status"] != "done"]
    assert lost and all("a damaged page" in row["message"] and not row["output"] for row in lost)
    assert batch(sets["tar"], "out") == 0
    assert {row["status"] for row in manifest(tmp_path / "out")} == {"done"}


def test_results_are_on_the_disk_before_their_record(batch, sets, inline, tmp_path, monkeypatch):
    """A power failure may take what was not synced; a record says that nothing is missing."""
    monkeypatch.setattr("adain.batch.tree.UNIT", 4)
    real, synced, recorded = (os.fsync, os.replace), set(), []

    def fsync(descriptor):
        synced.add(os.fstat(descriptor).st_ino)
        real[0](descriptor)

    def replace(source, target):
        if "units" in target.parts:
            made = [path for path in (tmp_path / "out").glob("[ab]/*.png")]
            assert {path.stat().st_ino for path in made} <= synced
            recorded.append(len(made))
        real[1](source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    assert batch(sets["tree"], "out") == 0
    assert recorded == [4, 6]


@pytest.mark.parametrize("form", ["tree", "tar", "parquet"])
def test_what_killed_processes_left_is_removed(batch, sets, inline, form, tmp_path):
    assert batch(sets[form], "out") == 0
    before, out = contents(tmp_path / "out"), tmp_path / "out"
    folders = [
        out / "a" if form == "tree" else out,
        out / "_adain",
        *(out / "_adain/units").iterdir(),
    ]
    for folder in folders:
        (folder / ".0123456789ab.part").write_bytes(b"half")
    assert batch(sets[form], "out") == 0
    assert list(out.rglob("*.part")) == [] and contents(out) == before


@pytest.mark.parametrize("form", ["tree", pytest.param("tar", marks=pytest.mark.slow)])
def test_a_worker_that_is_killed(batch, sets, form, tmp_path, monkeypatch, capfd):
    """Once: nothing is lost. Again and again: the picture is named, the others are made."""
    monkeypatch.setattr(command, "Pool", Killing)
    monkeypatch.setattr(Killing, "times", 1)
    assert batch(sets[form], "once", "--workers", 1) == 0
    assert {row["status"] for row in manifest(tmp_path / "once")} == {"done"}
    if form == "tree":
        return
    monkeypatch.setattr(Killing, "times", 2)
    assert batch(sets[form], "often", "--workers", 1) == 1
    (row,) = [row for row in manifest(tmp_path / "often") if row["status"] != "done"]
    assert row["status"] == "failed" and "out of memory" in row["message"]
    assert "1 failed" in capfd.readouterr().err
    # It may pass: the next run tries again, and ends with the same.
    assert batch(sets[form], "often", "--workers", 1) == 0
    assert contents(tmp_path / "often") == contents(tmp_path / "once")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["tree", "tar"])
def test_killed_at_any_moment(
    batch, sets, form, batch_styles, tiny_preset, tmp_path, monkeypatch, picture
):
    """The whole group, workers too, and then only the first process."""
    more = {f"y/{number}.png": encoded(picture(40, 40, seed=number)) for number in range(90)}
    (sets["tree"] / "y").mkdir()
    for name, data in more.items():
        (sets["tree"] / name).write_bytes(data)
    write_tar(sets["tar"] / "2.tar", more)
    monkeypatch.setattr(command, "Pool", InlinePool)
    assert batch(sets[form], "whole") == 0
    rng = random.Random(4)
    words = ["--content-path", sets[form], "--style", batch_styles, "--checkpoint", tiny_preset]
    words += ["--engine", "mnn", "--out-path", tmp_path / "out", "--workers", "2"]
    runs = [sys.executable, "-m", "adain", "batch", *map(str, words)]
    alive = []
    for number in range(6):
        process = subprocess.Popen(runs, start_new_session=True, stderr=subprocess.DEVNULL)
        # At any moment of the work: after some more files, and a moment.
        enough = len(list((tmp_path / "out").rglob("*"))) + rng.randint(1, 8)
        while process.poll() is None and len(list((tmp_path / "out").rglob("*"))) < enough:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.03))
        alive.append(process.poll() is None)
        # One that has ended has neither a group nor workers.
        if alive[-1] and number % 2:
            os.killpg(process.pid, signal.SIGKILL)
        elif alive[-1]:
            process.kill()
        process.wait()
    assert sum(alive) >= 3, "the runs ended before they could be killed"
    for _ in range(2):
        assert subprocess.run(runs, stderr=subprocess.DEVNULL).returncode == 0
        assert contents(tmp_path / "out") == contents(tmp_path / "whole")
        assert manifest(tmp_path / "out") == manifest(tmp_path / "whole")


# === Plans ===


@pytest.mark.parametrize("more", [[], ["--plan"], ["--workers", 2]])
def test_memory_that_one_process_passes(batch, sets, tmp_path, more, caplog, capsys, monkeypatch):
    """It is told, once, and one is at work, also where more were asked for."""
    monkeypatch.setattr("adain.batch.tree.UNIT", 2)
    started, spawn = [], Pool._spawn
    monkeypatch.setattr(Pool, "_spawn", lambda pool: started.append(1) or spawn(pool))
    assert batch(sets["tree"], "out", "--max-memory", "1KiB", *more) == 0
    told = caplog.text + capsys.readouterr().err
    assert told.count("max_memory 1KiB is less than the") == 1
    assert " MiB of one process; one is at work, and the limit is passed" in told
    assert len(started) == (more != ["--plan"])
    assert "1 worker of" in told or more != ["--plan"]


def test_plan_makes_nothing(batch, sets, tmp_path, capsys):
    assert batch(sets["tar"], "out", "--plan", "--workers", 3) == 0
    said = capsys.readouterr().err
    assert "6 pictures, 5 styles, engine mnn" in said
    assert "3 workers of" in said and "pictures a second" in said
    assert "on 1 machine, " in said and "on 64 machines" in said
    assert not (tmp_path / "out").exists()


def test_estimates():
    shards = [File(str(number), None) for number in range(10)]
    units = [Unit(f"{number}-{half}", 50, shards[number]) for number in range(10) for half in "ab"]
    # 10 shards of 100: 8 machines take two, 64 one.
    assert spans(units, 10, 2) == {1: 102, 8: 22, 64: 12}
    tree = [Unit(str(number), 32, None, ()) for number in range(64)]
    assert spans(tree, 32, 0) == {1: 64, 8: 8, 64: 1}
    assert [describe(seconds) for seconds in (0.2, 59.5, 61, 3601, 190_000)] == [
        "1 s", "60 s", "2 min", "1 h 1 min", "2 d 4 h"
    ]  # fmt: skip
    assert describe_size(1536) == "1.5 KiB" and describe_size(2.5 * 2**40) == "2.5 TiB"
