"""Recipes: what a name stands for, and that its stages are run one after the other."""

from __future__ import annotations

import pytest

from adain import cli
from adain.options import UsageError
from adain.presets import npz
from adain.training import recipes
from adain.training.config import RECIPE_NAMES, TrainConfig

FOLDERS = {"content_path": ("photos",), "style_path": ("paintings",)}


def test_no_recipe_is_one_run():
    config = TrainConfig(**FOLDERS)
    assert recipes.stages(config) == [config]


def test_config_offers_every_recipe():
    assert set(RECIPE_NAMES) == recipes.RECIPES.keys()
    for name in RECIPE_NAMES:
        assert TrainConfig(**FOLDERS, recipe=name).recipe == name


def test_the_papers_recipe_is_the_default():
    (run,) = recipes.stages(TrainConfig(**FOLDERS, recipe="paper"))
    assert run == TrainConfig(**FOLDERS, pretrain_iter=0)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_stages_follow_each_other(name):
    runs = recipes.stages(TrainConfig(**FOLDERS, recipe=name, checkpoint="out", workers=3))
    assert runs[-1].checkpoint == "out"
    assert runs[0].init == ""
    for before, run in zip(runs, runs[1:], strict=False):
        assert run.init == before.checkpoint
        assert before.checkpoint.startswith("out/stage")
    assert len({run.checkpoint for run in runs}) == len(runs)
    assert all(run.workers == 3 and not run.recipe for run in runs)


def test_given_settings_take_precedence():
    runs = recipes.stages(TrainConfig(**FOLDERS, recipe="adain_vgg19", batch_size=2))
    assert {run.batch_size for run in runs} == {2}
    assert len({run.crop_size for run in runs}) > 1


def test_settings_given_at_their_default_take_precedence():
    default = TrainConfig(**FOLDERS)
    given = {"ema": default.ema, "batch_size": default.batch_size, "normalized_content": False}
    runs = recipes.stages(TrainConfig(**FOLDERS, recipe="adain_fast", **given))
    for run in runs:
        assert {name: getattr(run, name) for name in given} == given
    # Positions count as well, and what is not given is the recipe's.
    positional = TrainConfig(("photos",), ("paintings",), "adain_fast")
    assert positional.given == {"content_path", "style_path", "recipe"}
    assert [run.ema for run in recipes.stages(positional)] == [0.999, 0.999, 0.995, 0.99, 0.999]


def test_a_share_of_the_start_goes_to_stages_that_have_one(tmp_path):
    given = {**FOLDERS, "init_share": 0.25}
    runs = recipes.stages(TrainConfig(**given, recipe="adain_fast"))
    assert [run.init_share for run in runs] == [0, 0.25, 0.25, 0.25, 0.25]
    runs = recipes.stages(TrainConfig(**given, recipe="adain_fast", init="a"))
    assert [run.init_share for run in runs] == [0.25] * 5
    (tmp_path / "one.toml").write_text("init-share = 0.5")
    with pytest.raises(UsageError, match="`init_share` must be 0 without --init"):
        recipes.stages(TrainConfig(**FOLDERS, recipe=str(tmp_path / "one.toml")))


def test_settings_are_checked_with_the_recipes():
    """Those that go with its network and losses, not with the default ones."""
    given = {"detail_size": 96, "crop_size": 160, "style_crop_size": 192}
    runs = recipes.stages(TrainConfig(**FOLDERS, recipe="adain_fast", **given))
    assert [(run.network, run.detail_size) for run in runs] == [("compact", 96)] * 5
    assert [run.coarse_weight for run in runs] == [2.5, 0.6, 0.6, 0.6, 0.6]
    for wrong, message in (
        ({"crop_size": 100}, "a multiple of 32"),
        ({"cache_contents": 1}, "0 without --cache-styles"),
        ({"network": "vgg19", "detail_size": 96}, "0 with --network vgg19"),
    ):
        with pytest.raises(UsageError, match=message):
            recipes.stages(TrainConfig(**FOLDERS, recipe="adain_fast", **wrong))


def test_wrong_settings_beside_a_recipe_exit_with_2(capsys):
    flags = ["--content-path", "a", "--style-path", "b", "--recipe", "adain_fast"]
    assert cli.main(["train", *flags, "--crop-size", "100"]) == 2
    assert "`crop_size` must be a multiple of 32" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "words", "expected"),
    [
        ("", [], (None, True, "relative")),
        ("", ["--ema", "0", "--style-loss", "sum"], (0.0, True, "sum")),
        ("", ["--no-normalized-content"], (None, False, "relative")),
        ("ema = 0.0\nnormalized_content = false", [], (0.0, False, "relative")),
        ("ema = 0.5\nnormalized_content = false", ["--ema", "0"], (0.0, False, "relative")),
        ("normalized_content = false", ["--normalized-content"], (None, True, "relative")),
    ],
)
def test_flags_given_at_their_default_take_precedence(tmp_path, monkeypatch, file, words, expected):
    found = []
    monkeypatch.setattr("adain.training.command.run", lambda config: found.append(config) or 0)
    path = tmp_path / "flags.toml"
    path.write_text(file)
    flags = ["--content-path", "a", "--style-path", "b", "--recipe", "adain_fast"]
    assert cli.main(["train", *flags, "--config", str(path), *words]) == 0
    ema, *losses = expected
    shipped = [stage["ema"] for stage in recipes.RECIPES["adain_fast"]]
    for run, own in zip(recipes.stages(found[0]), shipped, strict=True):
        # None: what the stage says.
        assert run.ema == (own if ema is None else ema)
        assert [run.normalized_content, run.style_loss] == losses


# === Files ===


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_recipe_written_as_a_file_is_the_same(tmp_path, name):
    file = tmp_path / "deep" / "recipe.toml"
    recipes.write(file, recipes.RECIPES[name], "As shipped.\nTwo lines")
    assert file.read_text().startswith("# As shipped. Two lines\n")
    expected, found = (
        recipes.stages(TrainConfig(**FOLDERS, recipe=recipe, checkpoint="out", ema=0.5))
        for recipe in (name, str(file))
    )
    assert found == expected


def test_settings_at_the_top_of_a_file_are_those_of_every_stage(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text(
        "style-weight = 4\nnormalized_content = true\n"
        "[[stage]]\nmax-iter = 10\n[[stage]]\nmax-iter = 20\nstyle-weight = 6.5\n"
    )
    first, second = recipes.stages(TrainConfig(**FOLDERS, recipe=str(file), checkpoint="out"))
    assert (first.max_iter, first.style_weight, first.checkpoint) == (10, 4.0, "out/stage1")
    assert (second.max_iter, second.style_weight, second.init) == (20, 6.5, "out/stage1")
    assert first.normalized_content and second.normalized_content


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("ema = ", "Invalid value"),
        ("styl-weight = 1", "styl-weight is not a flag of adain train"),
        ("checkpoint = 'here'", "checkpoint belongs on the command line"),
        ("devices = 2", "devices belongs on the command line"),
        ("recipe = 'paper'", "recipe belongs on the command line"),
        ("style-weight = 'much'", "`style_weight` must be a number. Received: style_weight='much'"),
        ("style-weight = -1", "`style_weight` must be 0 or more"),
        ("crop-size = 100", "`crop_size` must be a multiple of"),
        ("style-loss = 'none'", "`style_loss` must be one of"),
        ("stage = 3", "stage must be tables"),
        ("[[stage]]\nema = 0.5\n[[stage]]\nemma = 0.5", "emma is not a flag of adain train"),
    ],
)
def test_a_bad_file_is_one_line_with_the_key(tmp_path, capsys, text, message):
    file = tmp_path / "bad.toml"
    if text is not None:
        file.write_text(text)
    flags = ["--content-path", "a", "--style-path", "b", "--recipe", str(file)]
    assert cli.main(["train", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --recipe {file}: ")
    assert message in line


def test_an_unknown_name_is_no_file(capsys):
    flags = ["--content-path", "a", "--style-path", "b", "--recipe", "adain_fats"]
    assert cli.main(["train", *flags]) == 2
    assert "`recipe` must be paper, adain_vgg19, adain_fast or a .toml file" in (
        capsys.readouterr().err
    )


@pytest.mark.slow
def test_replay(tmp_path, write_pictures, tiny_preset, monkeypatch):
    """The first stages, which have a decoder to begin with, and the last."""
    first, second, *_, last = recipes.RECIPES["adain_vgg19"]
    monkeypatch.setitem(recipes.RECIPES, "adain_vgg19", (first, second, last))
    content = write_pictures(tmp_path / "content", 3)
    style = write_pictures(tmp_path / "style", 3, seed=50)
    words = [
        "train", "--content-path", str(content), "--style-path", str(style),
        "--recipe", "adain_vgg19", "--vgg-path", str(tiny_preset), "--max-iter", "2",
        "--crop-size", "64", "--style-crop-size", "64", "--batch-size", "2",
        "--image-size", "72", "--pretrain-iter", "1", "--checkpoint", str(tmp_path / "out"),
    ]  # fmt: skip
    assert cli.main(words) == 0
    stages = sorted(path.parent for path in (tmp_path / "out").rglob("state.npz"))
    assert [stage.name for stage in stages] == ["out"] + [
        f"stage{i}" for i in range(1, len(recipes.RECIPES["adain_vgg19"]))
    ]
    # Each begins where the one before ended.
    inits = [npz.load(stage / "state.npz")[1]["config"]["init"] for stage in stages]
    assert inits == [str(stages[-1]), "", *map(str, stages[1:-1])]


def test_the_last_stages_are_the_runs_on_a_gpu():
    """As the shipped weights were trained; what differs between the two is what is said here."""
    full, fast, finer = (
        recipes.stages(TrainConfig(**FOLDERS, recipe=name))[stage]
        for name, stage in (("adain_vgg19", -1), ("adain_fast", 0), ("adain_fast", 1))
    )
    assert (fast.network, fast.batch_size, fast.max_iter) == ("compact", 16, 21_205)
    assert (full.network, full.batch_size, full.max_iter) == ("vgg19", 8, 13_679)
    assert (fast.gram_weight, fast.palette, fast.content_weight) == (0.0, 0.0, 4.1)
    assert (full.gram_weight, full.palette, full.content_weight) == (2.0, 0.5, 3.5)
    assert (finer.network, finer.batch_size, finer.max_iter) == ("compact", 12, 18_440)
    assert (finer.style_weight, finer.coarse_weight, finer.gram_weight) == (14.0, 0.6, 0.4)
    assert (finer.stability_weight, finer.teacher, finer.teacher_weight) == (
        150.0, "adain_vgg19", 2.0
    )  # fmt: skip
    assert not (fast.stability_weight or fast.teacher or full.stability_weight or full.teacher)
    assert finer.init and finer.pretrain_iter == 0
    *_, nearer, even, long = recipes.stages(TrainConfig(**FOLDERS, recipe="adain_fast"))
    assert (nearer.batch_size, nearer.max_iter, nearer.smoothness_weight) == (6, 2000, 0.0)
    assert (even.batch_size, even.max_iter, even.smoothness_weight) == (6, 700, 150.0)
    assert (nearer.identity_weight, even.identity_weight) == (600.0, 2500.0)
    assert (long.batch_size, long.max_iter, long.smoothness_weight) == (16, 22_300, 150.0)
    assert (long.init_share, long.identity_weight, long.content_weight) == (0.5, 1500.0, 1.9)
    for run in (full, fast):
        # 4 at full size, 10 at half and at a quarter; crops of pictures at 240 to 561 pixels.
        assert run.style_weight * run.coarse_weight == 10
        assert run.image_size / run.random_scale == pytest.approx(240, abs=0.5)
        assert run.image_size * run.random_scale == pytest.approx(561.5, abs=0.5)
        assert run.content_levels == 2 and run.ema == 0.999 and not run.cache_styles
