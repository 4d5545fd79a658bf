"""`adain batch` on what should not be there: named, refused before any work, or tried again."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import tarfile
import tracemalloc

import numpy as np
import pytest
from batch_sets import contents, encoded, manifest, read_table, read_tar, write_table, write_tar

from adain import outputs
from adain.batch.sets import FORMS
from adain.imaging.io import load_image, open_image, save_image


@pytest.fixture
def photo(picture):
    """`photo(number)`: the bytes of a PNG."""
    return lambda number=0: encoded(picture(32, 36, seed=number))


@pytest.fixture
def shard(tmp_path, photo):
    """`shard(name, count)`: a tar file of samples `0.png`, `0.cls`, `1.png`, ..."""

    def write(name="0.tar", count=3):
        members = {}
        for number in range(count):
            members |= {f"{number}.png": photo(number), f"{number}.cls": b"%d" % number}
        return write_tar(tmp_path / "data" / name, members)

    return write


def statuses(out):
    return {row["picture"]: row["status"] for row in manifest(out)}


def refused(run, capsys, *parts):
    """Status 2, one line with all the parts, and nothing made."""
    assert run == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    for part in parts:
        assert part in line
    return line


# === Shards ===


def test_names_that_are_there_twice(batch, inline, shard, photo, tmp_path, capsys):
    """In one shard they are refused; the shard's name tells those of several apart."""
    twice = [("a.png", photo(0)), ("b.png", photo(1)), ("a.png", photo(2))]
    path = write_tar(tmp_path / "bad" / "0.tar", twice)
    refused(batch(path, "out"), capsys, "several samples of one name: a.", "0.tar")
    assert not (tmp_path / "out").exists()
    write_tar(tmp_path / "bad" / "0.tar", [("a.png", photo(0)), ("a.png", photo(1))])
    refused(batch(path, "out"), capsys, "a.png, a.png")
    shard("0.tar"), shard("1.tar")
    assert batch(tmp_path / "data", "out") == 0
    assert statuses(tmp_path / "out").keys() == {f"{s}/{n}" for s in range(2) for n in range(3)}


def test_members_that_are_there_twice(batch, inline, photo, tmp_path, capsys):
    """And those that would be, because the picture gets another suffix."""
    path = tmp_path / "data" / "0.tar"
    write_tar(path, [("a.png", photo(0)), ("a.cls", b"1"), ("a.cls", b"2")])
    refused(batch(path, "out"), capsys, "several members of one name: a.cls", "0.tar")
    both = [("a.jpg", photo(0)), ("a.png", photo(1))]
    write_tar(path, both)
    flags = ["--picture", "jpg", "--format", "png"]
    refused(batch(path, "out", *flags), capsys, "several members of one name: a.png")
    assert not (tmp_path / "out").exists()
    assert batch(path, "out", "--picture", "jpg") == 0
    assert read_tar(tmp_path / "out" / "0.tar")["a.png"] == photo(1)


def test_empty_shards(batch, inline, shard, tmp_path, capsys):
    shard("0.tar")
    write_tar(tmp_path / "data" / "1.tar", {})
    assert batch(tmp_path / "data", "out") == 0
    assert "1.tar: an empty shard" in capsys.readouterr().err
    assert read_tar(tmp_path / "out" / "1.tar") == {}
    (tmp_path / "data" / "2.tar").write_bytes(b"")
    assert batch(tmp_path / "data", "more") == 1
    assert "2.tar: damaged or cut off after 0 whole samples" in capsys.readouterr().err
    assert statuses(tmp_path / "more")["2.tar"] == "broken"
    assert not (tmp_path / "more" / "2.tar").exists()
    assert set(statuses(tmp_path / "more").values()) == {"done", "broken"}


@pytest.mark.parametrize("cut", [0.1, 0.45, 0.7, 0.95])
def test_shards_that_are_cut_off(batch, inline, shard, tmp_path, capsys, cut):
    """All that is whole is made, and the rest is named."""
    path = shard("0.tar", 4)
    with tarfile.open(path) as tar:
        members = tar.getmembers()
    place = int(members[-1].offset_data * cut)
    path.write_bytes(path.read_bytes()[:place])
    ends = [(member.offset_data + member.size, member.name) for member in members]
    whole = {f"0/{name[0]}" for end, name in ends if name.endswith("cls") and end <= place}
    assert batch(path, "out") == 1
    assert f"cut off after {len(whole)} whole samples" in capsys.readouterr().err
    found = statuses(tmp_path / "out")
    assert found.pop("0.tar") == "broken"
    assert found == dict.fromkeys(whole, "done")


def test_a_shard_without_its_end(batch, inline, shard, tmp_path, capsys):
    """Cut between two members: a label may be missing."""
    path = shard("0.tar", 3)
    with tarfile.open(path) as tar:
        place = tar.getmembers()[-1].offset
    path.write_bytes(path.read_bytes()[:place])
    assert batch(path, "out") == 1
    assert "no end-of-archive mark" in capsys.readouterr().err
    assert statuses(tmp_path / "out") == {"0.tar": "broken", "0/0": "done", "0/1": "done"}


@pytest.mark.parametrize("gap", ["joined", "hole", "zeros"])
def test_shards_with_gaps(batch, inline, shard, tmp_path, capsys, gap):
    """What looks like the end is not: shards that were joined, downloads that are not complete."""
    path = shard("0.tar", 3)
    data = path.read_bytes()
    with tarfile.open(path) as tar:
        place = tar.getmembers()[5].offset
    path.write_bytes(
        {
            "joined": data + data,
            "hole": data[:place] + bytes(512) + data[place + 512 :],
            "zeros": data[:place] + bytes(2**21),
        }[gap]
    )
    assert batch(path, "out") == 1
    said = "zeros at its end" if gap == "zeros" else "more data after an end-of-archive mark"
    assert said in capsys.readouterr().err
    # Of the sample before the gap a member may be missing.
    whole = {"0/0": "done", "0/1": "done"}
    assert statuses(tmp_path / "out") == {"0.tar": "broken"} | whole


def test_zeros_that_tar_adds(batch, inline, shard, tmp_path):
    path = shard("0.tar", 3)
    path.write_bytes(path.read_bytes() + bytes(500 * 1024))
    assert batch(path, "out") == 0


def test_links_in_shards(batch, inline, photo, tmp_path):
    """Pictures and classes that are links are named; others stay as they are."""
    path = write_tar(tmp_path / "0.tar", {"a.png": photo(), "a.cls": b"1"})
    with tarfile.open(path, "a") as tar:

        def add(name, kind=tarfile.REGTYPE, target="", data=b""):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, target, len(data)
            tar.addfile(member, io.BytesIO(data))

        add("b.png", tarfile.LNKTYPE, "a.png"), add("b.cls", data=b"2")
        add("c.png", data=photo(2)), add("c.cls", tarfile.LNKTYPE, "a.cls")
        add("d.png", tarfile.SYMTYPE, "/a.png")
        add("e.png", data=photo(3)), add("e.json", tarfile.SYMTYPE, "a.json")
    assert batch(path, "out") == 1
    found = {row["picture"]: row for row in manifest(tmp_path / "out")}
    status = {name: row["status"] for name, row in found.items()}
    broken = dict.fromkeys(["0/b", "0/c", "0/d"], "broken")
    assert status == {"0/a": "done", "0/e": "done"} | broken
    assert found["0/d"]["message"].startswith("d.png is a link to /a.png, which is not followed")
    assert found["0/c"]["message"].startswith("c.cls is a link to a.cls")
    with tarfile.open(tmp_path / "out" / "0.tar") as tar:
        assert tar.getnames() == ["a.png", "a.cls", "e.png", "e.json"]
        assert tar.getmember("e.json").linkname == "a.json"


def test_large_members_are_not_held_in_memory(batch, inline, photo, tmp_path):
    film = np.random.default_rng(0).bytes(40 * 2**20 + 77)
    path = write_tar(tmp_path / "0.tar", {"a.png": photo(), "a.mp4": film, "b.png": photo(1)})
    flags = ["--max-pixels", 10**6, "--draws", 2]
    assert batch(write_tar(tmp_path / "1.tar", {"b.png": photo(1)}), "warm", *flags) == 0
    tracemalloc.start()
    assert batch(path, "out", *flags) == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 36 * 2**20
    for folder in ("draw-0", "draw-1"):
        new = read_tar(tmp_path / "out" / folder / "0.tar")
        assert list(new) == ["a.png", "a.mp4", "b.png"] and new["a.mp4"] == film
    # Larger than any picture of so few pixels: not read at all.
    write_tar(path, {"a.png": film + bytes(2**26), "b.png": photo(1)})
    assert batch(path, "more", *flags) == 1
    found = {row["picture"]: row["message"] for row in manifest(tmp_path / "more")}
    assert found == {"0/a": "a.png is larger than any picture of --max-pixels.", "0/b": ""}


def test_members_that_are_no_pictures(batch, inline, photo, tmp_path, capsys):
    members = {
        "README": b"hello", "LICENSE.txt": b"MIT", "._x.png": b"junk", "a.png": photo(),
        "a.txt": b"a cat", "b.jpg": b"<html>", "b.cls": b"1", "c.json": b"{}",
        "d/e.f/g.seg.png": b"mask", "d/e.f/g.JPG": photo(1),
    }  # fmt: skip
    path = write_tar(tmp_path / "0.tar", members)
    with tarfile.open(path, "a") as tar:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    assert batch(path, "out") == 1
    assert "5 samples or files without a picture, copied" in capsys.readouterr().err
    found = {row["picture"]: row for row in manifest(tmp_path / "out")}
    status = {name: row["status"] for name, row in found.items()}
    assert status == {"0/a": "done", "0/b": "broken", "0/d/e.f/g": "done"}
    assert "a web page" in found["0/b"]["message"]
    new = read_tar(tmp_path / "out" / "0.tar")
    # The broken sample is left out with all that belongs to it.
    assert list(new) == [name for name in members if name not in ("b.jpg", "b.cls")]
    changed = {name for name in new if new[name] != members[name]}
    assert changed == {"a.png", "d/e.f/g.JPG"}
    with tarfile.open(tmp_path / "out" / "0.tar") as tar:
        assert tar.getmember("folder").isdir()


def test_members_keep_their_headers(batch, inline, photo, tmp_path):
    """Long names, names that are not ASCII, times, owners."""
    name = "ü/" + "x" * 150
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for suffix, data in ((".png", photo()), (".txt", b"text")):
            member = tarfile.TarInfo(name + suffix)
            member.size, member.mtime, member.uname, member.mode = len(data), 77, "me", 0o640
            tar.addfile(member, io.BytesIO(data))
    assert batch(tmp_path / "0.tar", "out") == 0
    with tarfile.open(tmp_path / "out" / "0.tar") as tar:
        found = [(m.name, m.mtime, m.uname, m.mode) for m in tar]
    assert found == [(name + suffix, 77, "me", 0o640) for suffix in (".png", ".txt")]


def test_which_picture_of_a_sample(batch, inline, photo, tmp_path, capsys):
    members = {"a.jpg": photo(), "a.png": photo(1)}
    path = write_tar(tmp_path / "0.tar", members)
    refused(batch(path, "out"), capsys, "Received: a.jpg, a.png. Choose with --picture.")
    assert batch(path, "out", "--picture", "png") == 0
    new = read_tar(tmp_path / "out" / "0.tar")
    assert new["a.jpg"] == members["a.jpg"] and new["a.png"] != members["a.png"]


def test_by_class_needs_classes(batch, inline, photo, tmp_path, capsys):
    path = write_tar(tmp_path / "0.tar", {"a.png": photo(), "a.txt": b"cat"})
    refused(batch(path, "out", "--by", "class"), capsys, "members of the kind cls")
    assert batch(path, "out", "--by", "class", "--label", "txt") == 0
    assert manifest(tmp_path / "out")[0]["label"] == "cat"
    table = write_table(tmp_path / "t.parquet", [photo()], 1, kind=["x"])
    refused(batch(table, "other", "--by", "class"), capsys, "needs a column label", "image, kind")
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "a.png").write_bytes(photo())
    refused(batch(tmp_path / "flat", "other", "--by", "class"), capsys, "a folder for each class")
    refused(batch(tmp_path / "flat", "other", "--label", "x"), capsys, "--picture and --label")


# === Parquet ===


def test_rows_without_pictures(batch, inline, photo, tmp_path):
    """They are left out, and named; numbers of other rows stay."""
    pictures = [photo(0), None, b"", b"junk", photo(4)]
    write_table(tmp_path / "t.parquet", pictures, 2, label=list("abcde"))
    assert batch(tmp_path / "t.parquet", "out") == 1
    found = {row["picture"]: row for row in manifest(tmp_path / "out")}
    broken = {name for name, row in found.items() if row["status"] == "broken"}
    assert broken == {"t/1", "t/2", "t/3"}
    assert all(found[name]["message"].startswith(name) for name in broken)
    assert [row["label"] for row in read_table(tmp_path / "out" / "t.parquet")] == ["a", "e"]


def test_broken_and_empty_tables(batch, inline, photo, tmp_path, capsys):
    folder = tmp_path / "data"
    whole = write_table(folder / "a.parquet", [photo()], 1)
    write_table(folder / "b.parquet", [], 1)
    (folder / "c.parquet").write_bytes(whole.read_bytes()[:-20])
    (folder / "d.parquet").write_bytes(b"")
    assert batch(folder, "out") == 1
    said = capsys.readouterr().err
    assert "b.parquet: no rows" in said and "c.parquet: damaged or cut off" in said
    found = statuses(tmp_path / "out")
    assert found == {"a/0": "done", "c.parquet": "broken", "d.parquet": "broken"}
    assert read_table(tmp_path / "out" / "b.parquet") == []


def test_a_table_that_is_damaged_inside(batch, inline, photo, tmp_path):
    """The rows there are named, all others made; a good copy mends it, though of the same size."""
    import pyarrow.parquet as pq

    path = write_table(tmp_path / "t.parquet", [photo(n) for n in range(6)], 2)
    assert batch(path, "whole") == 0
    good = path.read_bytes()
    place = pq.read_metadata(path).row_group(1).column(0).data_page_offset
    path.write_bytes(good[:place] + b"\xff" * 60 + good[place + 60 :])
    assert batch(path, "out") == 1
    found = {row["picture"]: row for row in manifest(tmp_path / "out")}
    status = {name: row["status"] for name, row in found.items()}
    assert status == {f"t/{n}": "failed" if n in (2, 3) else "done" for n in range(6)}
    assert "t/3: the file is damaged there" in found["t/3"]["message"]
    assert len(read_table(tmp_path / "out" / "t.parquet")) == 4
    path.write_bytes(good)
    assert batch(path, "out") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_which_column(batch, inline, photo, tmp_path, capsys):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": [photo()], "y": [photo(1)], "n": [1]}), tmp_path / "t.parquet")
    line = refused(batch(tmp_path / "t.parquet", "out"), capsys, "--picture must name the column")
    assert "x, y" in line
    refused(batch(tmp_path / "t.parquet", "out", "--picture", "n"), capsys, "Received: n")
    assert batch(tmp_path / "t.parquet", "out", "--picture", "y") == 0
    twice = pa.Table.from_arrays([pa.array([photo()]), *2 * [pa.array([1])]], ["x", "n", "n"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    refused(batch(tmp_path / "twice.parquet", "other"), capsys, "several columns of one name: n")
    (row,) = read_table(tmp_path / "out" / "t.parquet")
    assert row["x"] == photo() and load_image(row["y"]).shape == (32, 36, 3)


@pytest.mark.parametrize(
    "about",
    ["{bad", "[1]", "{}", '{"info": null}', '{"info": {"features": {"image": [1]}}}', b"\xff"],
)
def test_notes_of_datasets_that_are_wrong(batch, inline, photo, tmp_path, about):
    """Then the only column of bytes is that of the pictures, as without them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"image": [photo()]}).replace_schema_metadata({"huggingface": about})
    pq.write_table(table, tmp_path / "t.parquet")
    assert batch(tmp_path / "t.parquet", "out") == 0


# === Trees ===


def test_any_names_and_pictures(batch, inline, photo, picture, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    names = [b"a.PNG", "ü 1.png".encode(), b"bad\xff.png", b"x" * 240 + b".png"]
    for number, name in enumerate(names):
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(photo(number))
    deep = np.dstack([picture(32, 32).astype("uint16") * 257, np.full((32, 32), 40000, "uint16")])
    save_image(folder / "deep.png", deep)
    grey = np.asarray(picture(32, 32)[..., 0])
    save_image(folder / "grey.jpg", grey)
    (folder / "notes.txt").write_text("hello")
    (folder / "image.tga").write_bytes(_tga(picture(32, 32)))
    assert batch(folder, "out") == 0
    found = os.listdir(os.fsencode(tmp_path / "out"))
    assert {*names, b"deep.png", b"grey.jpg", b"image.png", b"_adain"} == set(found)
    image, meta = open_image(tmp_path / "out" / "deep.png").read(keep_depth=True)
    assert image.dtype == np.uint16 and (meta.alpha == 40000).all()
    assert r"bad\xff.png" in statuses(tmp_path / "out")


def _tga(picture):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "TGA")
    return buffer.getvalue()


def test_results_of_one_name(batch, inline, photo, tmp_path, capsys):
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("a.png", "a.jpg"):
        (folder / name).write_bytes(photo())
    refused(batch(folder, "out", "--format", "png"), capsys, "the same name: a.jpg, a.png")
    assert batch(folder, "out") == 0


def test_data_sets_that_are_none(batch, inline, shard, photo, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(batch(empty, "out"), capsys, "no pictures, .tar or .parquet files")
    refused(batch(tmp_path / "missing", "out"), capsys, "no such file or folder")
    (shard().parent / "a.png").write_bytes(photo())
    refused(batch(tmp_path / "data", "out"), capsys, "one kind", "1 tar, 1 tree")
    (empty / "0.tar.gz").write_bytes(b"x")
    refused(batch(empty, "out"), capsys, "Compressed shards are not read: 0.tar.gz")
    packed = tmp_path / "packed.tar"
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        packed.write_bytes(compress(shard().read_bytes()))
        refused(batch(packed, "out"), capsys, "Compressed shards are not read: packed.tar")
    write_tar(packed, {"a.txt": b"hello", "b.jpg": photo()})
    refused(batch(packed, "out", "--picture", "png"), capsys, "no pictures by --picture png")
    refused(batch(write_table(tmp_path / "t.parquet", [], 1), "out"), capsys, "no pictures")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("first, second", [("A.png", "a.png"), ("\u00e9.png", "e\u0301.png")])
def test_names_that_are_one_on_some_disks(batch, inline, photo, tmp_path, monkeypatch, capsys,
                                          first, second):  # fmt: skip
    """Data sets made on one disk, results on another, which would hold one of the two."""
    for name in (first, "b.png", second):
        path = tmp_path / "data" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(photo())
    assert batch(tmp_path / "data", "out") == 0
    assert statuses(tmp_path / "out") == dict.fromkeys([first, "b.png", second], "done")
    monkeypatch.setattr(outputs, "_are_one", lambda *paths: True)
    refused(batch(tmp_path / "data", "other"), capsys, "one on that disk", first, second)
    (tmp_path / "data" / first).rename(tmp_path / "data" / first.replace("png", "jpg"))
    assert batch(tmp_path / "data", "other") == 0
    refused(batch(tmp_path / "data", "more", "--format", "jpg"), capsys, "one on that disk")


@pytest.mark.parametrize("pattern", ["*", "**/*.png", "*/*", "*/*.png"])
def test_results_inside_the_data_set(batch, inline, photo, tmp_path, capsys, pattern):
    """When the run is resumed, they are no part of it."""
    for number in range(3):
        path = tmp_path / "data" / "in" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(number))
    pattern = tmp_path / "data" / pattern
    assert batch(pattern, "data/out") == 0
    before = contents(tmp_path / "data" / "out")
    assert batch(pattern, "data/out") == 0
    assert "3 of 3 pictures finished before" in capsys.readouterr().err
    assert contents(tmp_path / "data" / "out") == before and len(before) == 3


def test_results_are_a_data_set(batch, inline, shard, photo, tmp_path):
    """Their manifest is no part of it."""
    shard("0.tar")
    assert batch(tmp_path / "data", "out", "--draws", 2) == 0
    assert batch(tmp_path / "out", "again") == 0
    assert batch(tmp_path / "out" / "**" / "*.tar", "more") == 0
    names = {f"draw-{n}/0/{m}" for n in range(2) for m in range(3)}
    assert statuses(tmp_path / "again").keys() == statuses(tmp_path / "more").keys() == names


# === Styles, folders, disks ===


def test_styles_that_do_not_fit(batch, inline, shard, batch_styles, tmp_path, capsys):
    refused(batch(shard(), "out", "--draws", 3, "--mix", 2), capsys, "need 6 styles. Received: 5")
    assert batch(shard(count=2), "out") == 0
    assert "5 styles for 2 pictures: not all of them are used" in capsys.readouterr().err
    (batch_styles / "zz.png").write_bytes(b"no picture")
    refused(batch(shard(), "other"), capsys, "zz.png: is not a picture")


def test_a_style_that_is_cut_off(batch, inline, shard, batch_styles, tmp_path):
    """Its beginning is fine; the pictures that it was drawn for tell."""
    for path in batch_styles.iterdir():
        path.write_bytes(path.read_bytes()[:1500])
    assert batch(shard(), "out") == 1
    rows = manifest(tmp_path / "out")
    assert all(row["status"] == "failed" and str(batch_styles) in row["message"] for row in rows)


def test_the_folder_of_another_job(batch, inline, shard, tmp_path, capsys):
    path = shard()
    assert batch(path, "out") == 0
    before = contents(tmp_path / "out")
    line = refused(batch(path, "out", "--seed", 1), capsys, "belongs to another job")
    assert "seed (the default there, 1 now)" in line
    refused(batch(path, "out", "--alpha", 0.5, "--mix", 2), capsys, "alpha (", "mix (")
    refused(batch(shard("1.tar"), "out"), capsys, "data (")
    assert contents(tmp_path / "out") == before
    (tmp_path / "out" / "_adain" / "job.json").write_text("{")
    refused(batch(path, "out"), capsys, "belongs to another job")
    refused(batch(path.parent, "data"), capsys, "must be a new or empty folder")
    file = tmp_path / "file"
    file.write_text("")
    refused(batch(path, "file"), capsys, "is not a folder")


def test_two_runs_at_once(batch, inline, shard, tmp_path, capsys):
    fcntl = pytest.importorskip("fcntl")
    assert batch(shard(), "out") == 0
    with open(tmp_path / "out" / "_adain" / "part-0-of-1.lock", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused(batch(shard(), "out"), capsys, "another run is making this part")
    assert batch(shard(), "out") == 0


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk(batch, inline, shard, photo, tmp_path, capsys, monkeypatch, form):
    """The run ends with one line, and the next one goes on."""
    monkeypatch.setattr("adain.batch.tree.UNIT", 2)
    monkeypatch.setattr("adain.batch.shards.UNIT", 2)
    folder = tmp_path / "data"
    if form == "tar":
        shard(count=6)
    elif form == "parquet":
        write_table(folder / "0.parquet", [photo(number) for number in range(6)], 2)
    else:
        folder.mkdir()
        for number in range(6):
            (folder / f"{number}.png").write_bytes(photo(number))
    assert batch(folder, "whole") == 0
    sync, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 7:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert batch(folder, "out") == 1
    said = capsys.readouterr().err
    assert said.count("error:") == 1 and "Free some space" in said
    assert batch(folder, "out") == 0
    assert "pictures finished before" in capsys.readouterr().err
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--shard", "2/2"], "I/N"),
        (["--shard", "one"], "I/N"),
        (["--output-size", "0"], "such as 256 or 224x224"),
        (["--output-size", "224x"], "such as 256 or 224x224"),
        (["--alpha", 1, 0.5], "the smaller number first"),
        (["--alpha", 0, 0.5, 1], "one number, or two"),
        (["--max-memory", "much"], "a size such as"),
        (["--max-memory", "3GiB", "--cluster", "auto"], "`max_memory` must be left out with"),
        (["--draws", 0], "1 or more"),
    ],
)
def test_flags_that_make_no_sense(batch, shard, capsys, flags, expected):
    refused(batch(shard(), "out", *flags), capsys, expected)
