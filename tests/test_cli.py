"""The commands as people type them: files in, files out, honest exit codes."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
from PIL import Image

from adain import cli
from adain.cli import COMMANDS
from adain.imaging.io import load_image, read_size, save_image
from adain.options import UsageError, load
from adain.outputs import check_place
from adain.stylize.config import StylizeConfig
from adain.training.config import TrainConfig


@pytest.fixture
def place(tmp_path, tiny_preset, gallery):
    """A folder with two photos, two styles and a preset; `run(...)` stylises in it."""
    photos, styles = gallery

    class Place:
        out = tmp_path / "out"
        content, style, preset = photos, styles, tiny_preset

        def run(self, *flags, content=photos, style=styles, out=out):
            return cli.main(
                ["stylize", "--content-path", *_words(content), "--style-path", *_words(style)]
                + ["--out-path", str(out), "--checkpoint", str(tiny_preset), "--quiet"]
                + [str(flag) for flag in flags]
            )

        def results(self):
            return sorted(str(p.relative_to(self.out)) for p in self.out.rglob("*") if p.is_file())

    return Place()


def _words(paths):
    return [str(path) for path in (paths if isinstance(paths, list) else [paths])]


def test_every_photo_meets_every_style(place):
    assert place.run() == 0
    assert place.results() == [
        "a_stylized_x.png",
        "a_stylized_y.png",
        "deep/b_stylized_x.jpg",
        "deep/b_stylized_y.jpg",
    ]
    for path in place.out.rglob("a_*.png"):
        assert load_image(path).shape == (40, 56, 3)
    for path in place.out.rglob("b_*.jpg"):
        assert load_image(path).shape == (33, 47, 3)


def test_one_file_to_one_file(place):
    target = place.out / "sub" / "result.png"
    assert place.run(content=place.content / "a.png", style=place.style / "x.png", out=target) == 0
    assert load_image(target).shape == (40, 56, 3)


def test_globs_and_repeated_paths_count_once(place):
    pattern = str(place.content / "*.png")
    code = place.run(content=[pattern, place.content / "a.png"], style=place.style / "x.png")
    assert code == 0
    assert place.results() == ["a_stylized_x.png"]


def test_many_results_do_not_fit_one_file(place, capsys):
    assert place.run(out=place.out / "one.png") == 2
    assert "one file, but there are 4 results" in capsys.readouterr().err
    assert not place.out.exists()


def test_photos_and_styles_of_one_name_in_several_folders_are_all_done(place, picture):
    other = place.content.parent / "other"
    other.mkdir()
    save_image(other / "a.png", picture(24, 24, seed=3))
    photos, style = [place.content / "a.png", other / "a.png"], place.style / "x.png"
    assert place.run(content=photos, style=style) == 0
    results = [place.out / f"{p.parent.name}/a_stylized_x.png" for p in photos]
    assert [read_size(path) for path in results] == [read_size(path) for path in photos]
    assert place.run(content=place.content / "deep" / "b.jpg", style=photos) == 0
    names = {path.name for path in place.out.glob("*.jpg")}
    assert names == {f"b_stylized_{p.parent.name}_a.jpg" for p in photos}


def test_name_collisions_are_found_before_any_work(place, picture, capsys):
    for name in ("a.tga", "a_tga.png", "a_tga_tga.png"):
        Image.fromarray(picture(24, 24)).save(place.content / name)
    assert place.run(style=place.style / "x.png") == 2
    assert "would be written twice" in capsys.readouterr().err
    assert not place.out.exists()


def test_an_input_is_never_overwritten(place, capsys):
    source = place.content / "a.png"
    before = source.read_bytes()
    assert place.run(content=source, style=place.style / "x.png", out=source) == 2
    assert "is an input" in capsys.readouterr().err
    assert source.read_bytes() == before


def test_broken_files_are_named_and_the_others_done(place, capsys):
    good = (place.content / "a.png").read_bytes()
    (place.content / "cut.png").write_bytes(good[: len(good) // 2])
    (place.content / "text.jpg").write_text("not a picture")
    (place.content / "none.png").write_bytes(b"")
    assert place.run(style=place.style / "x.png") == 1
    error = capsys.readouterr().err
    for name in ("cut.png", "text.jpg", "none.png"):
        assert len([line for line in error.splitlines() if name in line]) == 1
    assert "Traceback" not in error
    assert place.results() == ["a_stylized_x.png", "deep/b_stylized_x.jpg"]


def test_missing_and_empty_paths_fail_and_the_others_are_done(place, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    content = [place.content / "a.png", tmp_path / "missing.jpg", tmp_path / "empty"]
    assert place.run(content=content, style=place.style / "x.png") == 1
    error = capsys.readouterr().err
    assert "missing.jpg: no such file or folder" in error
    assert "empty: no pictures in this folder" in error
    assert place.results() == ["a_stylized_x.png"]


def test_unwritable_folder_is_one_line(place, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert place.run(style=place.style / "x.png", out=tmp_path / "file" / "out") == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error and str(tmp_path / "file") in error


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--alpha", "-0.5"], "`alpha` must be 0 or more. Received: alpha=-0.5"),
        (["--alpha", "nan"], "`alpha` must be"),
        (["--passes", "0"], "`passes` must be"),
        (["--passes", "101"], "`passes` must be in [1, 100]. Received: passes=101"),
        (["--refine", "1000000"], "`refine` must be in [0, 10000]. Received: refine=1000000"),
        (["--tile", "100"], "`tile` must be a multiple of 16"),
        (["--quality", "0"], "`quality` must be"),
        (["--keep-colors", "purple"], "invalid choice"),
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["--alpha", "much"], "invalid float value"),
    ],
)
def test_wrong_flags_exit_with_2(place, capsys, flags, message):
    assert place.run(*flags) == 2
    assert message in capsys.readouterr().err
    assert not place.out.exists()


def test_unknown_weights_list_what_there_is(place, capsys):
    flags = ["--content-path", str(place.content), "--style-path", str(place.style)]
    assert cli.main(["stylize", *flags, "--checkpoint", "nowhere"]) == 1
    assert "nowhere: no such weights. Use one of adain_fast, adain_vgg19" in capsys.readouterr().err


def test_damaged_weights_are_refused(place, capsys):
    file = place.preset / "decoder.npz"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    # Files for other engines may have been made before.
    assert place.run("--engine", "keras") == 1
    error = capsys.readouterr().err
    assert "SHA-256" in error and "Traceback" not in error


def test_alpha_above_1_warns(place, caplog):
    with caplog.at_level("WARNING"):
        assert place.run("--alpha", 1.5, style=place.style / "x.png") == 0
    assert "exaggerates" in caplog.text


def test_alpha_changes_the_strength(place):
    images = []
    for alpha in (0, 0.5, 1):
        out = place.out / str(alpha)
        place.run("--alpha", alpha, content=place.content / "a.png",
                  style=place.style / "y.png", out=out)  # fmt: skip
        images.append(load_image(out / "a_stylized_y.png").astype(float))
    none, half, full = images
    assert np.abs(full - none).mean() > np.abs(half - none).mean() > 0.5


def test_sizes_and_crop(place):
    place.run("--content-size", 64, content=place.content / "a.png", style=place.style / "x.png")
    assert load_image(place.out / "a_stylized_x.png").shape == (64, 90, 3)
    out = place.out / "cropped"
    place.run("--crop-size", 32, content=place.content / "a.png", style=place.style, out=out)
    assert load_image(out / "a_stylized_x.png").shape == (32, 32, 3)


def test_passes_repeat(place):
    one, two, again = place.out / "1", place.out / "2", place.out / "again"
    style = place.style / "x.png"
    place.run(content=place.content / "a.png", style=style, out=one)
    place.run("--passes", 2, content=place.content / "a.png", style=style, out=two)
    place.run(content=one / "a_stylized_x.png", style=style, out=again)
    np.testing.assert_array_equal(
        load_image(two / "a_stylized_x.png"), load_image(again / "a_stylized_x_stylized_x.png")
    )


def test_random_draws_styles_and_repeats_with_the_seed(place, picture):
    for i in range(6):
        save_image(place.style / f"s{i}.png", picture(24, 24, seed=10 + i))
    names = []
    for out, seed in (("1", 5), ("2", 5), ("3", 6)):
        place.run("--random", 2, "--seed", seed, out=place.out / out)
        names.append(sorted(p.name for p in (place.out / out).rglob("*.*")))
    assert len(names[0]) == 4
    assert names[0] == names[1] != names[2]


def test_concat_shows_photo_style_and_result(place):
    place.run("--concat", content=place.content / "a.png", style=place.style / "x.png")
    sheet = load_image(place.out / "a_stylized_x.png")
    assert sheet.shape == (40, 56 + 40 + 56, 3)
    np.testing.assert_array_equal(sheet[:, :56], load_image(place.content / "a.png"))


@pytest.mark.parametrize("method", ["luma", "coral", "histogram"])
def test_keep_colors_brings_the_photo_closer(place, method):
    photo = place.content / "a.png"
    plain, kept = place.out / "plain", place.out / "kept"
    style = place.style / "y.png"
    assert place.run("--alpha", 1, content=photo, style=style, out=plain) == 0
    assert place.run("--keep-colors", method, content=photo, style=style, out=kept) == 0
    results = [load_image(out / "a_stylized_y.png") for out in (plain, kept)]
    assert not np.array_equal(*results)
    if method == "luma":
        means = [image.mean(axis=(0, 1)) - image.mean() for image in (load_image(photo), *results)]
        assert np.abs(means[2] - means[0]).max() < np.abs(means[1] - means[0]).max()


def test_keep_colors_alone_means_coral():
    options = cli.build_parser().parse_args(
        ["stylize", "--content-path", "a", "--style-path", "b", "--keep-colors"]
    )
    assert options.keep_colors == "coral"


def test_style_cards_replace_pictures(place):
    cards = place.out / "cards"
    code = cli.main(
        ["styles", "save", str(place.style), str(cards)]
        + ["--checkpoint", str(place.preset), "--credit", "A. Stylizer"]
    )
    assert code == 0
    assert sorted(p.name for p in cards.iterdir()) == ["x.npz", "y.npz"]
    photo = place.content / "a.png"
    assert place.run(content=photo, style=place.style / "x.png", out=place.out / "p") == 0
    assert place.run(content=photo, style=cards / "x.npz", out=place.out / "c") == 0
    name = "a_stylized_x.png"
    np.testing.assert_array_equal(
        load_image(place.out / "p" / name), load_image(place.out / "c" / name)
    )
    assert place.run("--keep-colors", "coral", content=photo, style=cards / "x.npz") == 2


@pytest.mark.usefixtures("cut")
def test_tiles_do_not_show(place, picture):
    save_image(place.content / "wide.png", picture(150, 260, seed=7))
    photo, style = place.content / "wide.png", place.style / "x.png"
    place.run("--tile", 0, content=photo, style=style, out=place.out / "whole")
    place.run("--tile", 64, content=photo, style=style, out=place.out / "tiled")
    whole, tiled = (
        load_image(place.out / kind / "wide_stylized_x.png").astype(int)
        for kind in ("whole", "tiled")
    )
    assert np.abs(whole - tiled).max() <= 1


def test_json_tells_each_file(place, capsys):
    (place.content / "bad.png").write_bytes(b"no")
    assert place.run("--json", style=place.style / "x.png") == 1
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["ok"] for record in records] == [True, False, True]
    assert "bad.png" in records[1]["error"]
    assert records[0]["output"].endswith("a_stylized_x.png")
    assert records[0]["milliseconds"] > 0
    assert place.run("--json", style=place.style / "x.png") == 1
    again = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record.get("skipped", False) for record in again] == [True, True, False]
    assert again[0]["ok"] and again[0]["output"] == records[0]["output"]


def test_animations_stay_animated(place, picture):
    frames = [Image.fromarray(picture(24, 32, seed=i)) for i in range(3)]
    path = place.content.parent / "move.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[50, 100, 150], loop=0)
    assert place.run(content=path, style=place.style / "x.png") == 0
    with Image.open(place.out / "move_stylized_x.gif") as result:
        assert (result.n_frames, result.size) == (3, (32, 24))


@pytest.mark.parametrize("flags", [["--concat"], ["--sheet", "alpha"], []])
def test_an_animation_of_which_one_frame_is_kept_is_told(place, picture, caplog, flags):
    frames = [Image.fromarray(picture(24, 32, seed=i)) for i in range(3)]
    path = place.content.parent / "move.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    out = place.out if flags else place.out / "still.jpg"
    assert place.run(*flags, content=path, style=place.style / "x.png", out=out) == 0
    (line,) = caplog.messages
    assert f"{path}: only the first of 3 frames is stylised" in line


@pytest.mark.parametrize("size", [(1, 1), (5000, 20)])
def test_odd_sizes(place, picture, size):
    save_image(place.content.parent / "odd.png", picture(*size))
    assert place.run(content=place.content.parent / "odd.png", style=place.style / "x.png") == 0
    assert load_image(place.out / "odd_stylized_x.png").shape == (*size, 3)


def test_a_flat_style_paints_a_flat_picture(place):
    """Its deviations are 0: what is left of the photo is nothing, and not a division by them."""
    flat = place.style.parent / "flat.png"
    save_image(flat, np.full((32, 32, 3), 200, "uint8"))
    photo = place.content / "a.png"
    assert place.run("--palette", 0, content=photo, style=[flat, place.style / "x.png"]) == 0
    found, other = (load_image(place.out / f"a_stylized_{name}.png") for name in ("flat", "x"))
    assert found.std(axis=(0, 1)).max() < 3 < other.std(axis=(0, 1)).min()
    # The same colour as of the flat picture itself, which the decoder makes of its features.
    assert place.run("--palette", 0, content=flat, style=flat) == 0
    expected = load_image(place.out / "flat_stylized_flat.png")
    assert np.abs(found.mean(axis=(0, 1)) - expected.mean(axis=(0, 1))).max() < 3


def test_standard_input_and_output(place, root):
    command = [sys.executable, str(root / "stylize.py"), "--content-path", "-", "--style-path"]
    command += [str(place.style / "x.png"), "--out-path", "-", "--checkpoint", str(place.preset)]
    done = subprocess.run(
        command, input=(place.content / "a.png").read_bytes(), capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    assert load_image(done.stdout).shape == (40, 56, 3)


@pytest.mark.parametrize("flags", [["--json"], ["--json", "--dry-run"], ["--out-path", "-"]])
def test_closed_standard_output_is_one_line(place, capsys, monkeypatch, flags):
    monkeypatch.setattr("sys.stdout", None)
    files = {"content": place.content / "a.png", "style": place.style / "x.png"}
    assert place.run(*flags, **files) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "standard output is closed" in error


def test_closed_standard_error(place, monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    assert place.run("--alpha", -1) == 2
    assert place.run() == 0


def test_help_lists_every_setting_and_does_not_load_keras(root):
    for script, config in (("stylize.py", StylizeConfig), ("train.py", TrainConfig)):
        probe = (
            "import runpy, sys; sys.argv = sys.argv[1:]\n"
            "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
            "finally: assert 'keras' not in sys.modules"
        )
        done = subprocess.run(
            [sys.executable, "-c", probe, str(root / script), "--help"],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        for name in config.__dataclass_fields__:
            assert "--" + name.replace("_", "-") in done.stdout


@pytest.mark.slow
def test_train_script_trains_and_its_folder_stylises(place, root, write_pictures, tmp_path):
    content = write_pictures(tmp_path / "coco", 4)
    style = write_pictures(tmp_path / "wikiart", 3, seed=9)
    (content / "broken.jpg").write_bytes(b"\xff\xd8broken")
    command = [sys.executable, str(root / "train.py"), "--content-path", str(content)]
    command += ["--style-path", str(style), "--batch-size", "2", "--content-weight", "1"]
    command += ["--style-weight", "1e-2", "--tv-weight", "0", "--checkpoint", str(tmp_path / "ck")]
    command += ["--learning-rate", "1e-4", "--lr-decay", "1e-5", "--max-iter", "4"]
    command += ["--save-iter", "2", "--crop-size", "32", "--vgg-path", str(place.preset)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "broken.jpg" in done.stderr and "Traceback" not in done.stderr
    flags = ["--content-path", str(place.content / "a.png"), "--style-path", str(style)]
    out = ["--out-path", str(tmp_path / "o"), "--checkpoint", str(tmp_path / "ck"), "--quiet"]
    assert cli.main(["stylize", *flags, *out]) == 0
    assert len(list((tmp_path / "o").iterdir())) == 3


def test_train_without_pictures_is_one_line(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    flags = ["--content-path", str(tmp_path / "empty"), "--style-path", str(tmp_path / "none")]
    assert cli.main(["train", *flags, "--checkpoint", str(tmp_path / "ck")]) == 1
    error = capsys.readouterr().err
    assert "no pictures here" in error and len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("checkpoint", ["file", ""])
def test_train_knows_at_once_that_it_cannot_write(
    tmp_path, tmp_path_factory, capsys, write_pictures, monkeypatch, checkpoint
):
    from adain.training import loop

    def build(config):
        raise AssertionError("the folder had not been tried")

    monkeypatch.setattr(loop, "build_model", build)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    photos = str(write_pictures(tmp_path_factory.mktemp("photos"), 2))
    flags = ["--content-path", photos, "--style-path", photos, "--checkpoint", checkpoint]
    assert cli.main(["train", *flags]) == 2
    error = capsys.readouterr().err
    assert ("file: cannot be made" if checkpoint else "is not empty") in error


def test_presets_are_listed(capsys):
    assert cli.main(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["adain_fast", "adain_vgg19"]


@pytest.mark.parametrize(
    ("words", "prog", "name"),
    [
        (["stylize", "--content-path", "a", "--style-path", "b"], None, "adain stylize"),
        (["stylize", "--content-path", "a", "--style-path", "b"], "stylize.py", "stylize.py"),
        (["styles", "list"], None, "adain styles list"),
        (["presets"], None, "adain presets"),
        ([], None, "adain"),
    ],
)
def test_unknown_flags_are_refused_by_their_command(capsys, words, prog, name):
    assert cli.main([*words, "--bogus"], prog=prog) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"usage: {name} [-h]") and f"{name}: error: " in error


# === Where results go ===

WRITES = [
    (name, item)
    for name, command in COMMANDS.items()
    if command.config
    for item in fields(load(command.config))
    if item.metadata["writes"]
]


def test_every_flag_that_names_results_says_so():
    found = {(name, item.name): item.metadata["writes"] for name, item in WRITES}
    assert found == {
        ("stylize", "out_path"): "either",
        ("video", "out_path"): "either",
        ("batch", "out_path"): "folder",
        ("live", "out_path"): "folder",
        ("optimize", "out_path"): "either",
        ("train", "checkpoint"): "folder",
        ("train", "log_path"): "folder",
        ("tune", "out_path"): "file",
        ("tune", "run_path"): "folder",
        ("sweep", "out_path"): "folder",
        ("styles save", "out_path"): "either",
        ("evaluate", "out_path"): "folder",
        ("evaluate", "write_pairs"): "folder",
        ("export", "out_path"): "folder",
    }


@pytest.mark.parametrize(("name", "item"), WRITES, ids=lambda value: getattr(value, "name", value))
def test_places_that_cannot_be_written(name, item, tmp_path):
    """Refused before any work, with the flag's name, and nothing is made."""
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.npz").mkdir()
    before = sorted(tmp_path.rglob("*"))
    kind, flag = item.metadata["writes"], item.name.replace("_", "-").upper()
    wrong = ["file/x", "file/x/y.npz", "file/", "link/x", "x" * 300, f"{'x' * 300}.npz"]
    wrong += {"folder": ["file", "link"], "file": ["folder.npz"], "either": ["link"]}[kind]
    for path in wrong:
        with pytest.raises(UsageError) as caught:
            check_place(flag, f"{tmp_path}/{path}", kind)
        assert flag in str(caught.value) and "\n" not in str(caught.value)
    right = {
        "folder": ["new", "new/deep", "folder.npz", "x.y"],
        "file": ["new.npz", "new/deep.npz"],
        "either": ["new", "new.png", "new/deep/", "folder.npz"],
    }[kind]
    for path in right:
        check_place(flag, f"{tmp_path}/{path}", kind)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--content-path", "c", "--style-path", "s", "--checkpoint"],
        ["train", "--content-path", "c", "--style-path", "s", "--checkpoint", "new", "--log-path"],
        ["tune", "--content-path", "c", "--style-path", "s", "-o", "new.npz", "--run-path"],
        ["export", "--out-path"],
        ["batch", "--content-path", "c", "--style-path", "s", "--out-path"],
        ["evaluate", "--content-path", "c", "--style-path", "s", "--write-pairs"],
        ["stylize", "--content-path", "c", "--style-path", "s", "--out-path"],
    ],
    ids=lambda words: " ".join([words[0], words[-1]]),
)
def test_a_file_in_place_of_a_folder(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("adain.cli._check_packages", lambda words, prog: None)
    (tmp_path / "file").write_text("text")
    assert cli.main([*words, "file/"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {words[-1]} file: cannot be made, because file is not a folder")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize("size", [(0, 0), (0, 80), (24, 0), (24, 60)])
def test_progress_is_seen_on_terminals_of_any_size(monkeypatch, size):
    """Rows and columns, of which some terminals say that they have none."""
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    from adain.console import progress_bar

    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, size)
    with open(writer, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress_bar(3, "frame", False) as bar:
            bar.update(2)
        said = b""
        while b"2/3" not in said and select.select([reader], [], [], 5)[0]:
            said += os.read(reader, 4096)
        assert b"2/3" in said
    os.close(reader)
