"""What users' paths mean, and where results go: odd names, links, pipes, patterns, suffixes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import unicodedata
from pathlib import Path

import pytest

from adain import cli, outputs
from adain.imaging.io import ImageError, encode_image, load_image, save_image
from adain.options import UsageError
from adain.sources import Source, check_streams, disambiguate, find_sources, read_source


@pytest.fixture
def touch(tmp_path):
    """`touch("a/b.png", ...)`: empty files in a temporary folder, which it returns."""

    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return make


def find(*paths, **how):
    return find_sources([str(path) for path in paths], **how)


def names(found):
    return [source.name for source in found.sources]


# === Folders ===


def test_suffixes_count_in_any_case_and_other_files_are_told_in_one_line(touch):
    folder = touch("a.JPG", "b.HEIC", "c.CR2", "d.Jpeg", "e..png", "f .png", "-g.png", "h\ni.png")
    found = find(folder)
    assert names(found) == ["-g", "a", "d", "e.", "f ", "h\ni"]
    assert found.problems == []
    assert found.notes == [f"{folder}: 2 files left out: b.HEIC, c.CR2"]


def test_many_files_left_out_are_counted(touch):
    folder = touch("a.png", *(f"{i:02}.heic" for i in range(14)))
    (note,) = find(folder).notes
    assert "14 files left out: 00.heic, " in note and note.endswith("09.heic and 4 more")


def test_hidden_files_are_no_pictures_and_no_cards(touch):
    folder = touch(".a.png", "._x.npz", ".thumbnails/c.png", "GRID.NPZ", "d.png")
    assert names(find(folder, cards=True)) == ["GRID", "d"]
    found = find(folder)
    assert names(found) == ["d"] and found.notes == [f"{folder}: 1 file left out: GRID.NPZ"]


def test_only_regular_files_are_found(touch):
    folder = touch("a.png")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.jpg")
    found = find(folder)
    assert names(found) == ["a"] and found.problems == []
    assert found.notes == [
        f"{folder}: 2 files left out: pipe.jpg (a pipe or a device), zero.jpg (a pipe or a device)"
    ]


@pytest.mark.parametrize("target", ["loop.png", "gone.png"])
def test_broken_links_are_named_when_they_are_read(touch, target):
    folder = touch("a.png")
    (folder / "loop.png").symlink_to(target)
    broken, named = (find(path).sources[-1] for path in (folder, folder / "a.png"))
    assert (broken.name, named.name) == ("loop", "a")
    with pytest.raises(ImageError, match=r"loop\.png: "):
        read_source(broken, 1000)
    found = find(folder / "loop.png")
    assert found.sources == [] and len(found.problems) == 1
    assert str(folder / "loop.png") in found.problems[0]


def test_what_is_not_there_is_named_as_it_was_given():
    url = "https://example.com/a.jpg"
    assert find_sources([url]).problems == [f"{url}: no such file or folder"]


def test_a_folder_without_pictures_is_a_problem(touch):
    folder = touch("b.heic")
    found = find(folder)
    assert found.problems == [f"{folder}: no pictures in this folder"]
    assert found.notes == [f"{folder}: 1 file left out: b.heic"]


def test_linked_folders_and_other_spellings_count_once(touch, monkeypatch):
    folder = touch("one/a.png")
    (folder / "two").symlink_to("one")
    monkeypatch.chdir(folder)
    paths = ["one/a.png", "./one/a.png", "one//a.png", "two/../one/a.png", "one", "two", "*/a.png"]
    assert names(find(*paths)) == ["a"]
    # Two entries of a folder are two pictures, even if one is a link to the other.
    (folder / "one" / "b.png").symlink_to("a.png")
    assert names(find("one")) == ["a", "b"]


def test_what_is_named_twice_counts_twice_where_that_matters(touch):
    folder = touch("a.png", "b.png")
    a, b = folder / "a.png", folder / "b.png"
    assert names(find(a, b, a)) == ["a", "b"]
    assert names(find(a, b, a, repeats=True)) == ["a", "b", "a"]
    assert names(find(a, folder, repeats=True)) == ["a", "b"]


def test_twins_of_unicode_are_two_files(touch):
    composed, decomposed = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    found = find(touch(f"{composed}.png", f"{decomposed}.png"))
    assert sorted(names(found)) == sorted([composed, decomposed])


@pytest.mark.parametrize("text", ["", "\0", "x" * 300, "no*thing", "a/" * 3000])
def test_what_is_nothing_is_told(text):
    if not text:
        with pytest.raises(UsageError, match="an empty one"):
            find_sources([text])
        return
    found = find_sources([text])
    assert found.sources == [] and len(found.problems) == 1


# === Patterns ===


def test_literal_names_go_before_patterns(touch, monkeypatch):
    monkeypatch.chdir(touch("L [2023]/a.jpg", "L [2023]/b.JPG", "L 2/c.jpg", "[x].png", "x.png"))
    assert names(find("L [2023]/*.jpg")) == ["a"]
    assert names(find("[x].png")) == ["[x]"]
    assert names(find("[xy].png")) == ["x"]
    assert names(find("L [123]/*.jpg")) == ["c"]
    assert names(find("*/L [2023]/*.jpg", "L*/[ac].jpg")) == ["c", "a"]
    assert names(find(Path.cwd() / "L [2023]" / "?.jpg")) == ["a"]


def test_a_literal_folder_inside_a_pattern(touch, monkeypatch):
    monkeypatch.chdir(touch("trip 1/L [2023]/a.jpg", "trip 2/L [2023]/b.jpg", "trip 2/L 2/c.jpg"))
    assert names(find("trip*/L [2023]/*.jpg")) == ["a", "b"]
    # Nothing in the folder of that name: then it is a pattern.
    (Path.cwd() / "trip 1" / "L [2]").mkdir()
    (Path.cwd() / "trip 1" / "L 2").mkdir()
    (Path.cwd() / "trip 1" / "L 2" / "d.jpg").touch()
    assert names(find("trip 1/L [2]/*.jpg")) == ["d"]


def test_patterns_of_whole_trees(touch, monkeypatch):
    folder = touch("a/1.png", "a/b/2.png", "a/b/1.png", "a/.b/3.png", "a/.4.png", "a/n.txt")
    (folder / "a" / "up").symlink_to(folder / "a")
    monkeypatch.chdir(folder)
    # Names that are there twice are told apart by their folders.
    assert names(find("a/**/*.png")) == ["1", "b/1", "2"]
    assert names(find("**/2.png")) == ["2"]
    found = find("a/**")
    assert sorted(names(found)) == ["1", "2", "b/1"]
    assert found.notes == ["a/**: 1 file left out: n.txt"]
    assert names(find("a/.*.png")) == [".4"]


def test_a_pattern_of_folders_finds_what_is_in_them(touch, monkeypatch):
    monkeypatch.chdir(touch("trip1/a.png", "trip2/deep/b.png"))
    assert names(find("trip*")) == ["a", "deep/b"]


def test_a_pattern_that_finds_no_pictures_says_what_it_found(touch, monkeypatch):
    monkeypatch.chdir(touch("a.heic"))
    found = find("*.heic")
    assert found.problems == ["*.heic: no pictures match this"]
    assert found.notes == ["*.heic: 1 file left out: a.heic"]


# === The output folder ===


def test_what_lies_in_the_output_folder_is_no_input(touch, monkeypatch):
    folder = touch("a.png", "out/a_x.png", "out/deep/a_x.png", "outside/b.png")
    monkeypatch.chdir(folder)
    for out in ("out", "./out/", str(folder / "out"), "outside/../out"):
        assert names(find(".", out_path=out)) == ["a", "outside/b"]
        assert names(find("**/*.png", out_path=out)) == ["a", "b"]
    # But it is if it is named.
    assert names(find(".", "out/a_x.png", out_path="out")) == ["a", "outside/b", "a_x"]
    (folder / "link").symlink_to("out")
    assert names(find(".", out_path="link")) == ["a", "outside/b"]
    (folder / "one.png").touch()
    # Folders have their own names, even if links to them come first.
    assert names(find(".", out_path="one.png")) == [
        "a", "out/a_x", "out/deep/a_x", "outside/b",
    ]  # fmt: skip


def test_of_the_output_folder_itself_only_results_are_left_out(touch, monkeypatch):
    monkeypatch.chdir(touch("c/a.png", "c/a_x.png", "c/deep/b.png"))

    def is_result(path):
        return path.stem.endswith("_x")

    for content, out, expected in (
        ("c", "c", ["a", "deep/b"]),
        ("c/*", "c", ["a"]),
        ("c", ".", ["a", "deep/b"]),
        ("c/deep", "c", ["b"]),
    ):
        assert names(find(content, out_path=out, is_result=is_result)) == expected
    (Path.cwd() / "c" / "a.png").unlink()
    (problem,) = find("c/*.png", out_path="c", is_result=is_result).problems
    assert "results in the output folder are no inputs unless they are named" in problem


# === Names of results ===


def apart(found):
    return [
        source.title
        for source in disambiguate(
            found.sources,
            lambda source: (source.title, outputs.result_suffix(source)),
            lambda source: source.path.suffix == outputs.result_suffix(source),
        )
    ]


def test_pictures_of_one_name_are_told_apart(touch):
    folder = touch("a.png", "a.tga", "a.PNG", "b.jpg", "b.JPG", "b.jpeg", "c.tga", "c.ppm")
    touch("d/a.png", "e.qoi")
    assert apart(find(folder)) == [
        "a_PNG", "a", "a_tga", "b_JPG", "b", "b", "c_ppm", "c_tga", "d/a", "e",
    ]  # fmt: skip


def test_pictures_of_one_name_in_several_folders_are_told_apart(touch, monkeypatch):
    monkeypatch.chdir(touch("x1/a.jpg", "x1/s/b.jpg", "x1/c.png", "x2/a.jpg", "x2/s/b.jpg"))
    touch("x2/c.tga", "x2/c.png", "a.jpg")
    assert apart(find("x1", "x2")) == [
        "x1/a",
        "x1/c",
        "x1/s/b",
        "x2/a",
        "x2/c",
        "x2/c_tga",
        "x2/s/b",
    ]
    assert apart(find("x1/a.jpg", "x2/a.jpg")) == ["x1/a", "x2/a"]
    assert apart(find("a.jpg", "x2/a.jpg")) == ["a", "x2/a"]
    assert apart(find("x1/c.png", "x2/c.tga")) == ["c", "c_tga"]


def test_names_with_a_suffix_may_be_taken(touch):
    assert apart(find(touch("a.png", "a.tga", "a_tga.png"))) == ["a", "a_tga_tga", "a_tga"]


@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("n" * 251, "x"),
        ("n" * 251, "s" * 251),
        ("n", "s" * 251),
        ("漢字" * 41, "画" * 83),
        ("👩‍👩‍👧‍👦" * 10, "é" * 125),
        ("e\u0301" * 80, "x"),
        ("\udcff" * 200, "\udcfe" * 200),
    ],
)
def test_names_are_cut_to_what_fits(tmp_path, name, style):
    source = Source(Path(f"{name}.jpg"), name)
    path = outputs.output_path(str(tmp_path), source, f"_stylized_{style}")
    assert len(os.fsencode(path.name)) <= 255 and path.suffix == ".jpg"
    path.write_bytes(b"x")  # The file system takes it.
    # Others of the same beginning have other names.
    other = outputs.output_path(str(tmp_path), source, f"_stylized_{style}2")
    assert other != path and len(os.fsencode(other.name)) <= 255
    longer = Source(source.path, f"{name}2")
    assert outputs.output_path(str(tmp_path), longer, f"_stylized_{style}") != path
    assert not unicodedata.combining(path.stem.split("~")[0][-1])


def test_names_that_fit_are_not_cut(tmp_path):
    source = Source(Path("a.png"), "deep/" + "n" * 100)
    path = outputs.output_path(str(tmp_path), source, "_stylized_x")
    assert path == tmp_path / "deep" / f"{'n' * 100}_stylized_x.png"


def test_the_file_system_tells_how_long_names_may_be(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "pathconf", lambda path, name: 143)
    path = outputs.output_path(str(tmp_path / "new"), Source(Path("a.png"), "n" * 200), "_s_x")
    assert len(path.name) == 143 and path.name.endswith("_s_x.png")


@pytest.mark.parametrize(
    "name", ["r.heic", "r.jxl", "r.jgp", "R.JPGG", "r.ppm", "r.TGA", "r.j2k", "r.txt", "sub/r.mp4"]
)
def test_files_that_cannot_be_written_are_refused(tmp_path, name):
    with pytest.raises(UsageError, match=r"cannot be written. Use .*\.jpg .*\.png") as caught:
        outputs.check_out_path(str(tmp_path / name))
    assert f"{tmp_path / name}/" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["out", "out.d/", "r.heic/", "2023.11", "v2.5", "a.v2", "r.PNG", "r.jpeg", "-", "a."]
)
def test_other_places_for_results_are_taken(tmp_path, name):
    outputs.check_out_path(name if name == "-" else f"{tmp_path}/{name}")


def test_places_that_are_there_already(tmp_path):
    (tmp_path / "r.heic").mkdir()
    outputs.check_out_path(str(tmp_path / "r.heic"))
    (tmp_path / "notes").touch()
    os.mkfifo(tmp_path / "p.png")
    for name, message in (("notes", "without a suffix"), ("p.png", "a pipe or a device")):
        with pytest.raises(UsageError, match=message):
            outputs.check_out_path(str(tmp_path / name))
    with pytest.raises(UsageError, match="an empty one"):
        outputs.check_out_path("")


# === Reading ===


def test_a_pipe_is_read_once(tmp_path, picture):
    data = encode_image(picture(20, 30))
    path = tmp_path / "pipe.png"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(data,))
    writer.start()
    (source,) = find(path).sources
    for _ in range(3):
        assert read_source(source, 1000)[0].shape == (20, 30, 3)
    writer.join()
    assert source.digest() == hashlib.sha256(data).hexdigest()


def test_what_has_no_end_is_read_up_to_a_bound(tmp_path, picture):
    (source,) = find("/dev/zero").sources
    with pytest.raises(ImageError, match=r"/dev/zero: "):
        read_source(source, 1000)
    # It begins like a picture.
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write():
        with contextlib.suppress(BrokenPipeError), open(path, "wb") as file:
            file.write(encode_image(picture(8, 8)))
            while True:
                file.write(bytes(2**20))

    writer = threading.Thread(target=write)
    writer.start()
    with pytest.raises(ImageError, match=r"pipe: more than 64 MB"):
        read_source(find(path).sources[0], 1000)
    writer.join()


def test_files_larger_than_any_picture_are_not_read(tmp_path):
    path = tmp_path / "a.png"
    with open(path, "wb") as file:
        file.truncate(2**40)
    with pytest.raises(ImageError, match=r"a\.png: "):
        read_source(find(tmp_path).sources[0], 1000)


def test_digests_are_of_what_was_read(tmp_path, picture):
    path = tmp_path / "a.png"
    save_image(path, picture(8, 8))
    (source,) = find(path).sources
    before = source.digest()
    save_image(path, picture(8, 8, seed=1))
    assert source.digest() == before
    read_source(source, 1000)
    assert source.digest() == hashlib.sha256(path.read_bytes()).hexdigest() != before
    assert load_image(path).shape == (8, 8, 3)


def test_errors_have_the_names_of_files(tmp_path):
    for name, data in (("empty.png", b""), ("text.png", b"text")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError, match=rf"^{tmp_path / name}: "):
            read_source(find(tmp_path / name).sources[0], 1000)


# === Streams, and disks that do not tell upper from lower case ===


@pytest.mark.parametrize("flag", ["--style-path", "--mask", "mix", "mask twice"])
@pytest.mark.parametrize("stream", ["-", "pipe", "/dev/stdin"])
def test_a_stream_named_twice_is_refused(tmp_path, capsys, picture, monkeypatch, flag, stream):
    save_image(tmp_path / "a.png", picture(16, 20))
    pipe, photo = tmp_path / "pipe", str(tmp_path / "a.png")
    os.mkfifo(pipe)
    if stream == "/dev/stdin":
        pipe.unlink()
        pipe.symlink_to("/proc/self/fd/0")
    with contextlib.ExitStack() as stack:
        if stream == "/dev/stdin":
            reading, writing = os.pipe()
            kept = os.dup(0)
            os.dup2(reading, 0)
            monkeypatch.setattr("sys.stdin", stack.enter_context(open(0, closefd=False)))
            for number in (reading, writing, kept):
                stack.callback(os.close, number)
            stack.callback(os.dup2, kept, 0)
        name = "-" if stream == "-" else str(pipe)
        words = {
            "--style-path": ["--content-path", name, "--style-path", name],
            "--mask": ["--content-path", name, "--style-path", "starry-night", "--mask", name],
            "mix": ["--content-path", photo, "--style-path", name, name, "--style-mix"],
            "mask twice": ["--content-path", photo, "--style-path", "starry-night",
                           "--mask", name, name],
        }[flag]  # fmt: skip
        if stream == "/dev/stdin":  # By both of its names.
            words[words.index(name)] = "-"
        assert cli.main(["stylize", *words, "--out-path", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "is named twice, but can be read only once" in error and "empty" not in error


def test_one_stream_and_files_are_no_clash(tmp_path):
    os.mkfifo(tmp_path / "p")
    (tmp_path / "f").touch()
    streams = [Source(None, "stdin"), Source(tmp_path / "p", "p")]
    check_streams([*streams, Source(tmp_path / "f", "f"), Source(tmp_path / "f", "f")])


class _Job:
    def __init__(self, output):
        self.output = output

    def __str__(self):
        return f"<{self.output.name}>"


@pytest.mark.parametrize("first, second", [("A.png", "a.png"), ("\u00e9.png", "e\u0301.png")])
def test_names_that_are_one_on_some_disks(tmp_path, monkeypatch, first, second):
    jobs = [_Job(tmp_path / "out" / name) for name in (first, "other.png", second)]
    outputs.check_outputs(str(tmp_path / "out"), jobs, [])  # This disk tells them apart.
    assert os.listdir(tmp_path) == []
    monkeypatch.setattr(outputs, "_are_one", lambda *paths: True)
    with pytest.raises(UsageError, match=f"on this disk, would be written twice: from <{first}>"):
        outputs.check_outputs(str(tmp_path / "out"), jobs, [])


def test_disks_are_asked_whether_two_names_are_one(tmp_path):
    assert outputs._are_one(tmp_path / "new" / "a.png", tmp_path / "new" / "a.png")
    assert not outputs._are_one(tmp_path / "new" / "A.png", tmp_path / "new" / "a.png")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("path", ["x.html", "report.png", "there.txt"])
def test_a_file_where_a_folder_belongs(tmp_path, path):
    place = str(tmp_path / path)
    if path == "there.txt":
        Path(place).touch()
    with pytest.raises(UsageError, match="--out-path must be a folder, for tables"):
        outputs.check_out_folder("--out-path", place, "tables")


@pytest.mark.parametrize("path", ["x.html/", "report", "v1.5", "run.v2", "2024.11"])
def test_names_of_folders(tmp_path, path):
    outputs.check_out_folder("--out-path", f"{tmp_path}/{path}", "tables")
    (tmp_path / "there.html").mkdir()
    outputs.check_out_folder("--out-path", str(tmp_path / "there.html"), "tables")
