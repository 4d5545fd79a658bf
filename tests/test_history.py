"""Running again: what is finished, what is made again, and what is left alone."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adain import cli, files
from adain.imaging.io import load_image, read_history, read_image, save_image
from adain.stylize import history

pytestmark = pytest.mark.usefixtures("exact")


@pytest.fixture
def place(tmp_path, tiny_preset, picture):
    """Two photos, two styles and a mask; `run(...)` stylises."""

    class Place:
        folder = tmp_path / "place"
        photos, style, mask = folder / "photos", folder / "x.png", folder / "m.png"
        out = folder / "out"
        preset = tiny_preset

        def run(self, *flags, content=None, style=None, out=None):
            words = ["stylize", "--content-path", content or self.photos]
            words += ["--style-path", style or self.style, "--out-path", out or self.out]
            words += ["--checkpoint", tiny_preset, "--quiet", *flags]
            return cli.main([str(word) for word in words])

        def stamps(self):
            paths = [p for p in self.out.rglob("*") if p.is_file() and p.name[0] != "."]
            return {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in paths}

        def names(self):
            return sorted(self.stamps())

    Place.photos.mkdir(parents=True)
    for i, name in enumerate("ab"):
        save_image(Place.photos / f"{name}.png", picture(32, 40, seed=i))
    save_image(Place.style, picture(36, 36, seed=5))
    save_image(Place.mask, np.repeat([[0, 255]], 20, axis=1).repeat(32, axis=0).astype("uint8"))
    return Place()


def older(path: Path) -> None:
    os.utime(path, (1e9, 1e9))


# === Content, not names and dates ===


@pytest.mark.parametrize("which", ["photo", "style", "mask"])
def test_other_files_of_the_same_names_are_made_again_and_told(place, picture, capsys, which):
    flags = ["--mask", place.mask]
    assert place.run(*flags) == 0
    before = place.stamps()
    path = {"photo": place.photos / "a.png", "style": place.style, "mask": place.mask}[which]
    image = np.eye(32, 40, dtype="uint8") * 255 if which == "mask" else picture(30, 44, seed=40)
    save_image(path, image)
    older(path)
    capsys.readouterr()
    assert place.run(*flags) == 0
    after = place.stamps()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == ({"a_stylized_x.png"} if which == "photo" else set(before))
    error = capsys.readouterr().err
    assert f"{len(changed)} made before from other photos, styles or masks" in error
    assert all(name in error for name in changed)
    assert place.run(*flags) == 0
    assert place.stamps() == after


def test_dates_names_of_folders_and_masks_and_versions_do_not_matter(place, monkeypatch):
    assert place.run("--mask", place.mask) == 0
    before = place.stamps()
    later = 4e9
    for path in (place.photos / "a.png", place.style, place.mask):
        os.utime(path, (later, later))
    moved = place.photos.rename(place.folder / "moved")
    mask = place.mask.rename(place.folder / "other.png")
    monkeypatch.setattr(history, "__version__", "9.9")
    assert place.run("--mask", mask, content=moved) == 0
    assert place.stamps() == before


def test_other_settings_are_that_file_s_problem(place, capsys):
    assert place.run(content=place.photos / "a.png") == 0
    before = place.stamps()
    assert place.run("--alpha", 0.5) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert "a_stylized_x.png is there already, and it was made with other settings" in line
    assert place.names() == ["a_stylized_x.png", "b_stylized_x.png"]
    assert place.stamps()["a_stylized_x.png"] == before["a_stylized_x.png"]
    # Nothing can be done: then it is the command that is wrong.
    assert place.run("--alpha", 0.25) == 2
    assert place.run("--alpha", 0.25, "--overwrite") == 0


def test_a_folder_where_a_result_goes_is_that_file_s_problem(place, capsys):
    (place.out / "a_stylized_x.png").mkdir(parents=True)
    assert place.run("--overwrite") == 1
    assert "a_stylized_x.png is there already, and is no file" in capsys.readouterr().err
    assert place.names() == ["b_stylized_x.png"]


def test_results_of_development_versions_are_made_again(place):
    """They tell settings, but not from which files they were made."""
    assert place.run(content=place.photos / "a.png") == 0
    path = place.out / "a_stylized_x.png"
    made = json.loads(read_history(path))
    del made["inputs"]
    made["layers"] = made.pop("regions")
    exif = Image.Exif()
    exif[0x9213] = json.dumps(made)
    Image.fromarray(load_image(path)).save(path, exif=exif)
    before = place.stamps()
    assert place.run(content=place.photos / "a.png") == 0
    assert place.stamps() != before
    assert json.loads(read_history(path)).keys() >= {"inputs", "regions"}


# === Formats that hold no text ===


@pytest.mark.parametrize("suffix", [".gif", ".bmp", ".jp2"])
def test_formats_without_exif_have_a_record_beside_them(place, picture, capsys, suffix):
    for name in "ab":
        (place.photos / f"{name}.png").unlink()
        save_image(place.photos / f"{name}{suffix}", picture(24, 32, seed=ord(name)))
    assert place.run() == 0
    before = place.stamps()
    assert set(before) == {f"a_stylized_x{suffix}", f"b_stylized_x{suffix}"}
    assert place.run() == 0
    assert place.stamps() == before
    # Another picture of that name is not the one that the record tells of.
    save_image(place.out / f"a_stylized_x{suffix}", picture(24, 32, seed=3))
    (place.out / f"b_stylized_x{suffix}").unlink()
    foreign = place.stamps()
    assert place.run() == 1
    assert "it does not tell how it was made" in capsys.readouterr().err
    assert place.stamps()[f"a_stylized_x{suffix}"] == foreign[f"a_stylized_x{suffix}"]
    assert place.run("--alpha", 0.5) == 2


@pytest.mark.parametrize(
    "suffix", [".png", ".jpg", ".webp", ".avif", ".tiff", ".gif", ".bmp", ".jp2"]
)
def test_truncated_results_are_made_again(place, picture, capsys, suffix):
    for name in "ab":
        (place.photos / f"{name}.png").unlink()
        save_image(place.photos / f"{name}{suffix}", picture(48, 64, seed=ord(name)))
    assert place.run() == 0
    cut, other = (place.out / f"{name}_stylized_x{suffix}" for name in "ab")
    whole, stamp = cut.read_bytes(), place.stamps()[other.name]
    for share in (0.6, 0.95):
        cut.write_bytes(whole[: int(share * len(whole))])
        capsys.readouterr()
        assert place.run() == 0
        assert f"{cut} is truncated, and made again" in capsys.readouterr().err
        assert np.array_equal(load_image(cut), load_image(io.BytesIO(whole)))
        assert place.stamps()[other.name] == stamp
    cut.write_bytes(b"")
    assert place.run() == 0
    assert load_image(cut).shape == (48, 64, 3)


def test_truncated_results_of_other_settings_stay(place):
    assert place.run(content=place.photos / "a.png") == 0
    cut = place.out / "a_stylized_x.png"
    cut.write_bytes(cut.read_bytes()[:-40])
    assert place.run("--alpha", 0.5, content=place.photos / "a.png") == 2


@pytest.mark.parametrize("damage", ["folder", "pipe", "nonsense", "read-only"])
def test_no_picture_is_lost_to_a_broken_record(place, picture, capsys, caplog, monkeypatch, damage):
    for name in "ab":
        (place.photos / f"{name}.png").unlink()
        save_image(place.photos / f"{name}.bmp", picture(24, 32, seed=ord(name)))
    records = place.out / history.RECORDS
    place.out.mkdir()
    if damage == "folder":
        records.mkdir()
    elif damage == "pipe":
        os.mkfifo(records)
    elif damage == "nonsense":
        records.write_bytes(b"{}\n\xff\xfe\n[1]\nno record")
    else:
        # Both writing threads have found out before either of them tells.
        both = threading.Barrier(2)

        def refuse(path):
            both.wait(10)
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        monkeypatch.setattr(history, "_locked", refuse)
    assert place.run() == 0
    assert place.names() == ["a_stylized_x.bmp", "b_stylized_x.bmp"]
    if damage == "nonsense":  # Lines can still be added.
        assert place.run() == 0
        (place.out / "a_stylized_x.bmp").write_bytes((place.photos / "a.bmp").read_bytes())
        assert place.run() == 1
        assert f"{records} has 4 lines that are no records" in capsys.readouterr().err
    else:
        assert caplog.text.count(f"{records} cannot be written") == 1


def test_animations_are_finished_too(place, picture):
    for path in list(place.photos.iterdir()):
        path.unlink()
    frames = [Image.fromarray(picture(16, 24, seed=i)) for i in range(2)]
    for suffix in ("gif", "webp", "png"):
        frames[0].save(place.photos / f"{suffix}.{suffix}", save_all=True, append_images=frames[1:])
    assert place.run() == 0
    before = place.stamps()
    assert len(before) == 3
    assert place.run() == 0
    assert place.stamps() == before


@pytest.mark.parametrize("size", [40_000, 64_500])
def test_much_exif_is_no_obstacle(place, picture, size):
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    # The maker note is what makes EXIF large.
    exif.get_ifd(0x8769)[0x927C] = b"m" * size
    Image.fromarray(picture(24, 32)).save(place.photos / "big.jpg", exif=exif)
    assert place.run() == 0
    before = place.stamps()
    assert place.run() == 0
    assert place.stamps() == before


def test_records_of_runs_at_the_same_time_are_all_kept(tmp_path):
    code = (
        "import io, sys; from pathlib import Path; from adain.stylize.history import _Records\n"
        "records = _Records(Path(sys.argv[1]))\n"
        "for i in range(60):\n"
        "    records.add(f'{sys.argv[2]}{i}', io.BytesIO(b'x'), {'program': 'adain'})\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    runs = [subprocess.Popen([*command, name]) for name in "pq"]
    assert [run.wait() for run in runs] == [0, 0]
    lines, problem = history._lines(tmp_path / history.RECORDS)
    assert not problem
    assert sorted(line["file"] for line in lines) == sorted(
        f"{n}{i}" for n in "pq" for i in range(60)
    )
    assert os.listdir(tmp_path) == [history.RECORDS]


def test_records_survive_half_lines_and_do_not_grow_for_ever(tmp_path, monkeypatch):
    import io

    path = tmp_path / history.RECORDS
    (tmp_path / "a").write_bytes(b"x")
    history._Records(tmp_path).add("a", io.BytesIO(b"x"), {"n": 0})
    with open(path, "ab") as file:
        file.write(b'\xff{"file": "b", "sha')
    history._Records(tmp_path).add("c", io.BytesIO(b"y"), {"n": 1})
    assert history._Records(tmp_path).find(tmp_path / "a", True) == {"n": 0}
    assert [line["file"] for line in history._lines(path)[0]] == ["a", "c"]
    monkeypatch.setattr(history, "_SPARE", 3)
    for number in range(20):
        history._Records(tmp_path).add("a", io.BytesIO(b"x"), {"n": number})
    assert len(history._lines(path)[0]) < 10
    assert history._Records(tmp_path).find(tmp_path / "a", True) == {"n": 19}
    assert history._Records(tmp_path).find(tmp_path / "c", True) is None


@pytest.mark.parametrize(
    "line",
    [
        '{"file": ["g"], "sha256": "0", "made": {}}',
        '{"file": "g", "sha256": [1], "made": {}}',
        '{"file": "g", "sha256": "0", "made": 5}',
        '{"file": {"a": 1}, "sha256": null, "made": null}',
        "[1]",
        "[" * 100_000,
        '{"file":' * 50_000,
    ],
    ids=lambda line: line[:40],
)
def test_records_and_histories_of_any_content_stop_nothing(place, picture, line):
    save_image(place.photos / "g.gif", picture(32, 40, seed=3))
    assert place.run() == 0
    stamps = place.stamps()
    with open(place.out / history.RECORDS, "a") as records:
        records.write(line + "\n")
    assert place.run() == 0
    assert place.stamps() == stamps
    image, meta = read_image(place.out / "a_stylized_x.png")
    save_image(place.out / "a_stylized_x.png", image, meta=replace(meta, history=line))
    assert place.run() == 1, "a picture with another history is left alone"
    assert place.stamps()["b_stylized_x.png"] == stamps["b_stylized_x.png"]


# === Killed runs and full disks ===


def test_leftovers_of_killed_runs_go_and_others_stay(place):
    place.out.mkdir()
    dead, foreign = place.out / ".0123456789ab.part", place.out / ".download.part"
    for path in (dead, foreign):
        path.write_bytes(b"half")
    with files.replacing(place.out / "live.png") as file:
        file.write(b"x")
        assert place.run() == 0
        assert not dead.exists() and foreign.exists()
        assert len([p for p in place.out.iterdir() if p.name.startswith(".")]) == 2
    assert (place.out / "live.png").exists()


def test_a_full_disk_is_told_once_and_the_run_goes_on_later(place, monkeypatch, capsys, picture):
    for i in range(6):
        save_image(place.photos / f"c{i}.png", picture(20, 24, seed=i))
    real, lock, calls = os.fsync, threading.Lock(), []

    def fsync(descriptor):
        with lock:
            calls.append(descriptor)
            # Two for each file: its folder is synced, too.
            if len(calls) > 4:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        assert place.run("--json") == 1
    told = capsys.readouterr()
    (line,) = [line for line in told.err.splitlines() if line.startswith("error")]
    assert str(place.out) in line and "No space left on device" in line and "Free some" in line
    records = [json.loads(line) for line in told.out.splitlines()]
    done = [record["output"] for record in records if record["ok"]]
    assert len(records) == 8 and 0 < len(done) < 8
    assert sorted(map(str, place.out.iterdir())) == sorted(done)
    before = place.stamps()
    assert place.run() == 0
    assert len(place.names()) == 8
    assert all(place.stamps()[name] == stamp for name, stamp in before.items())


def test_a_folder_that_takes_no_files_is_told_once_before_any_work(place, monkeypatch, capsys):
    real = os.access
    place.out.mkdir()
    monkeypatch.setattr(os, "access", lambda path, *how: path != place.out and real(path, *how))
    assert place.run() == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert f"{place.out}: cannot be written (Permission denied)" in line
    assert place.names() == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts a disk")
def test_a_read_only_and_a_full_disk(place, capsys):
    """Real ones, where the system lets us."""
    place.out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(place.out)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted")
    try:
        assert place.run() == 2
        (line,) = [ln for ln in capsys.readouterr().err.splitlines() if ln.startswith("error")]
        assert "Read-only file system" in line
        subprocess.run(["mount", "-o", "remount,rw", str(place.out)], check=True)
        with contextlib.suppress(OSError):
            (place.out / "much").write_bytes(bytes(2**17))
        assert place.run() == 1
        lines = [ln for ln in capsys.readouterr().err.splitlines() if ln.startswith("error")]
        assert len(lines) == 1 and "No space left on device" in lines[0]
        assert not [path for path in place.out.iterdir() if path.name.startswith(".")]
    finally:
        subprocess.run(["umount", str(place.out)], check=True)


# === The command line ===


def test_results_in_the_photos_folder_are_no_photos(place):
    for out in (place.photos / "out", place.photos):
        for _ in range(3):
            assert place.run(out=out) == 0
        found = sorted(path.name for path in out.glob("*_stylized_*"))
        assert found == ["a_stylized_x.png", "b_stylized_x.png"]


def test_pictures_of_one_name_are_all_done(place, picture):
    Image.fromarray(picture(20, 24)).save(place.photos / "a.tga")
    Image.fromarray(picture(20, 24)).save(place.folder / "x.bmp")
    assert place.run() == 0
    assert place.names() == ["a_stylized_x.png", "a_tga_stylized_x.png", "b_stylized_x.png"]
    styles = ["--style-path", place.folder / "x.png", place.folder / "x.bmp"]
    assert place.run(*styles, out=place.folder / "two") == 0
    assert len(list((place.folder / "two").iterdir())) == 6


def test_long_names_are_written_and_found_again(place, picture):
    long = place.photos / ("漢" * 82 + ".jpg")
    save_image(long, picture(16, 20))
    style = place.folder / ("s" * 250 + ".png")
    save_image(style, picture(16, 20, seed=1))
    assert place.run(style=style) == 0
    before = place.stamps()
    assert len(before) == 3
    assert place.run(style=style) == 0
    assert place.stamps() == before


def test_paths_that_are_too_long_are_that_file_s_problem(place, picture, monkeypatch, capsys):
    """The photo can be read by a path from here; the result's path is longer."""
    deep = Path(*["d" * 250] * 15)
    monkeypatch.chdir(place.photos)
    for _ in deep.parts:
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
    save_image("c.png", picture(16, 20))
    monkeypatch.chdir(place.photos)
    assert place.run(content=".", out=Path("..", "out", "o" * 200, "o" * 200)) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "File name too long" in line
    assert place.names() == ["a_stylized_x.png", "b_stylized_x.png"]
    assert place.run(content=".", out="../out") == 0


def test_a_style_card_is_a_file(place, capsys):
    os.mkfifo(place.folder / "card.npz")
    assert place.run(style=place.folder / "card.npz") == 2
    assert "a style card must be a file" in capsys.readouterr().err


def test_files_left_out_are_told(place, capsys):
    for name in ("b.HEIC", "c.CR2"):
        (place.photos / name).touch()
    assert place.run() == 0
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if "2 files left out: b.HEIC, c.CR2" in line]) == 1


def test_cards_that_do_not_fit_are_passed_over_if_found_and_refused_if_named(
    place, picture, capsys
):
    styles = place.folder / "styles"
    styles.mkdir()
    save_image(styles / "x.png", picture(20, 24))
    words = ["styles", "save", str(styles / "x.png"), str(styles / "GRID.NPZ")]
    assert cli.main([*words, "--checkpoint", str(place.preset)]) == 0
    np.savez(styles / "foreign.npz", a=1)
    (styles / "._x.npz").write_bytes(b"junk of another system")
    assert place.run(style=styles, content=place.photos / "a.png") == 0
    assert place.names() == ["a_stylized_GRID.png", "a_stylized_x.png"]
    lines = [line for line in capsys.readouterr().err.splitlines() if "skipped" in line]
    assert len(lines) == 1 and "foreign.npz" in lines[0]
    assert place.run(style=styles / "foreign.npz") == 2
    assert "foreign.npz" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--content-path", ""], "paths that are not empty"),
        (["--style-path", ""], "paths that are not empty"),
        (["--mask", ""], "paths that are not empty"),
        (["--out-path", ""], "text or a path that is not empty"),
        (["--out-path", "r.heic"], ".heic cannot be written. Use .apng"),
        (["--out-path", "r.jgp"], ".jgp cannot be written. Use .apng"),
    ],
)
def test_empty_paths_and_unknown_formats_are_refused_at_once(
    place, capsys, monkeypatch, flags, message
):
    monkeypatch.chdir(place.folder)
    before = sorted(os.listdir())
    assert place.run(*flags) == 2
    assert message in capsys.readouterr().err
    assert sorted(os.listdir()) == before


def test_pipes_and_process_substitution(place, root):
    photo = place.photos / "a.png"
    flags = f"--style-path {place.style} --checkpoint {place.preset} --quiet --out-path {place.out}"
    stylize = f"{sys.executable} {root}/stylize.py {flags}"
    script = (
        f"{stylize}/one.png --content-path <(cat {photo}) && "
        f"cat {photo} | {stylize}/two.png --content-path /dev/stdin"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    one, two = (load_image(place.out / f"{name}.png") for name in ("one", "two"))
    assert one.shape == (32, 40, 3)
    np.testing.assert_allclose(one.astype(int), two, atol=1)


def test_a_pipe_as_mask_of_several_photos_is_read_once(place):
    pipe = place.folder / "pipe.png"
    os.mkfifo(pipe)
    feeder = threading.Thread(target=lambda: pipe.write_bytes(place.mask.read_bytes()), daemon=True)
    feeder.start()
    assert place.run("--mask", pipe) == 0
    assert place.names() == ["a_stylized_x.png", "b_stylized_x.png"]


def test_a_closed_standard_input_is_told(place, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    assert place.run(content="-") == 1
    assert "standard input is closed" in capsys.readouterr().err


def test_names_do_not_reach_the_terminal_as_controls(place, capsys):
    (place.photos / "c\x1b[31m\nd.png").write_bytes(b"no picture")
    assert place.run() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "c\\x1b[31m d.png: is not a picture" in line
