"""`adain tune`: a style card that is learnt, and which everything takes as any other."""

from __future__ import annotations

import json
import os
import shlex
import time

import numpy as np
import pytest
from PIL import Image

from adain import cli
from adain.engines.registry import is_installed, load_stylizer
from adain.imaging.io import save_image
from adain.inference.style_code import StyleCode, mix
from adain.networks.model import StyleTransfer
from adain.networks.vgg19 import get_arrays
from adain.options import UsageError
from adain.presets import npz
from adain.training import style_tuner
from adain.training.callbacks import Checkpoint, TrainingError
from adain.training.config import STATE
from adain.training.style_tuner import StyleTuner
from adain.training.tune import _read_photos, tune
from adain.training.tune_config import STRENGTHS, TuneConfig

pytestmark = pytest.mark.usefixtures("eager")

TINY = {
    "crop_size": 64, "image_size": 64, "batch_size": 2, "val_photos": 2, "val_iter": 2,
    "max_iter": 6, "learning_rate": 0.05, "style_size": 64, "strength": "bold", "quiet": True,
}  # fmt: skip


@pytest.fixture
def make_config(tmp_path, tiny_preset, write_pictures, picture):
    """`make_config(**settings)`: of a run that takes seconds."""
    photos = write_pictures(tmp_path / "photos", 6, size=(80, 72))
    save_image(tmp_path / "style.png", picture(90, 140, seed=50))

    def make(**settings):
        usual = {
            "style_path": str(tmp_path / "style.png"), "content_path": str(photos),
            "out_path": str(tmp_path / "card.npz"), "checkpoint": str(tiny_preset),
            "vgg_path": str(tiny_preset),
        }  # fmt: skip
        return TuneConfig(**usual | TINY | settings)

    return make


@pytest.fixture
def run(make_config):
    """`run(*words, **settings)`: the exit status of `adain tune`."""

    def run(*words, **settings):
        config = make_config(**settings)
        given = [
            part
            for name in sorted(config.given - {"quiet"})
            for value in [getattr(config, name)]
            for part in (
                f"--{name.replace('_', '-')}",
                *(value if isinstance(value, tuple) else [value]),
            )
        ]
        return cli.main([str(word) for word in ["tune", "--quiet", *given, *words]])

    return run


# === The code ===


@pytest.mark.slow
def test_a_tuned_card_is_a_card(any_model, make_config, tmp_path, picture):
    """With each architecture: nearer to the style, the same weights, and equal in all engines."""
    folder = tmp_path / "weights"
    any_model.save_to_preset(folder)
    config = make_config(checkpoint=str(folder))
    tuned = tune(config)
    assert tuned.best.after["val_loss"] < tuned.best.before["val_loss"]
    limit = STRENGTHS["bold"].content_limit * tuned.best.before["val_content_loss"]
    assert tuned.best.after["val_content_loss"] <= limit
    assert (tuned.steps, tuned.reason) == (6, "all iterations were done")
    assert tuned.code.tuned == f"bold, {tuned.best['step']:.0f} iterations"
    tuned.code.save(config.out_path)
    assert os.path.getsize(config.out_path) < 16384
    code = StyleCode.load(config.out_path)
    model = StyleTransfer.from_preset(folder)
    style = np.asarray(Image.open(tmp_path / "style.png").resize((100, 64)))
    measured = model.encode_style(style)
    model.check_code(code)
    assert (code.name, code.encoder, code.widths) == ("style", measured.encoder, measured.widths)
    np.testing.assert_allclose(code.palette.mean, measured.palette.mean, atol=0.02)
    assert not np.allclose(code.means[0], measured.means[0], rtol=1e-2)
    assert min(std.min() for std in code.stds) >= 0
    photo = picture(48, 80, seed=7)
    expected = model.stylize(photo, code).astype(int)
    assert np.abs(expected - model.stylize(photo, measured)).max() > 3
    np.testing.assert_allclose(
        expected, model.stylize(photo, mix([code, measured], [1, 0])), atol=1
    )
    for engine in ("mnn", "onnxruntime", "openvino"):
        if is_installed(engine):
            found = load_stylizer(folder, engine).stylize(photo, code)
            assert np.abs(found - expected).max() <= 1, engine


def test_only_the_code_learns(make_compact, tiny_model, picture):
    model = make_compact()
    style = picture(64, 64, seed=1)
    code = model.encode_style(style)
    before = [get_arrays(network) for network in (model.encoder, model.decoder)]
    tuner = StyleTuner(model, tiny_model.encoder, code, [style], content_weight=0.0)
    tuner.compile(optimizer="sgd", jit_compile=False)
    assert len(tuner.trainable_variables) == 2
    photos = np.stack([picture(64, 64, seed=seed) for seed in (2, 3)])
    tuner.train_on_batch({"content": photos})
    for network, arrays in zip((model.encoder, model.decoder), before, strict=True):
        for name, array in get_arrays(network).items():
            np.testing.assert_array_equal(array, arrays[name])
    assert any(change.any() for change in tuner.changes)
    start = tuner.code([np.zeros_like(change) for change in tuner.changes])
    np.testing.assert_allclose(start.means[2], code.means[2], rtol=1e-6)
    np.testing.assert_allclose(start.stds[2], code.stds[2], rtol=1e-6)


def test_contents_count_in_proportion_to_styles(tiny_model, picture):
    """Whatever the network's losses are, each strength weighs both alike."""
    style = picture(64, 64, seed=3)
    code = tiny_model.encode_style(style)
    how = {"style_weight": 4.0, "coarse_weight": 2.5, "coarse_levels": 2, "content_weight": 9.0}
    tuner = StyleTuner(tiny_model, None, code, [style], **how)
    tuner.compile(optimizer="sgd", jit_compile=False)
    photos = {"content": np.stack([picture(64, 64, seed=seed) for seed in (2, 3)])}

    def measure():
        tuner.reset_metrics()
        found = tuner.test_on_batch(photos, return_dict=True)
        return {f"val_{name}": float(value) for name, value in found.items()}

    before = measure()
    balanced = tuner.balance(before, 0.5)
    after = measure()
    assert balanced["val_loss"] == pytest.approx(after["val_loss"], rel=1e-4)
    style = 4 * (after["val_style_loss"] + 2.5 * after["val_coarse_loss"])
    assert after["val_loss"] == pytest.approx(1.5 * style, rel=1e-4)


def test_crops_count_together(tiny_model, picture):
    """Two halves of a picture have its statistics, though neither has."""
    style = picture(64, 128, seed=3)
    halves = np.stack([style[:, :64], style[:, 64:]])
    code = tiny_model.encode_style(style)
    tuner = StyleTuner(tiny_model, None, code, list(halves), style_loss="sum")
    taps = tiny_model.encoder(halves.astype("float32") / 255)
    means, stds, _ = tuner._style_statistics({})
    targets = [list(zip(*parts, strict=True)) for parts in zip(means, stds, strict=True)]
    together = float(tuner.style_loss(tuner._compared(taps), targets[0]))
    assert together < 0.5 * float(tuner.style_loss(taps, targets[0]))


def test_large_styles_go_in_pieces(tiny_model, picture, monkeypatch):
    style = picture(64, 128, seed=3)
    code = tiny_model.encode_style(style)
    halves = [style[:, :64], style[:, 64:]]
    expected, _, _ = StyleTuner(tiny_model, None, code, halves)._style_statistics({})
    monkeypatch.setattr(style_tuner, "_PIECE", 64)
    found, _, _ = StyleTuner(tiny_model, None, code, [style])._style_statistics({})
    for mine, wanted in zip(found[0], expected[0], strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-5)


def test_several_pictures_are_one_style(make_config, tmp_path, picture):
    """Each counts alike."""
    save_image(tmp_path / "long.png", picture(64, 300, seed=9))
    names = (str(tmp_path / "style.png"), str(tmp_path / "long.png"))
    tuned = tune(make_config(style_path=names, max_iter=1, learning_rate=1e-9))
    model = StyleTransfer.from_preset(make_config().checkpoint)
    pictures = [np.asarray(Image.open(name)) for name in names]
    pictures[0] = np.asarray(Image.fromarray(pictures[0]).resize((100, 64), Image.BOX))
    expected = mix([model.encode_style(picture) for picture in pictures])
    np.testing.assert_allclose(tuned.code.means[0], expected.means[0], atol=0.15)
    np.testing.assert_allclose(tuned.code.palette.mean, expected.palette.mean, atol=0.02)


# === When it stops ===


def test_without_gain_the_code_stays(make_config):
    tuned = tune(make_config(learning_rate=1e-9, patience=2, max_iter=20))
    assert (tuned.steps, tuned.reason) == (4, "2 validations brought nothing")
    assert tuned.best["step"] == 0
    assert tuned.best.after == tuned.best.before
    # The card says that it is a measured one.
    assert tuned.code.tuned == ""


def test_time_is_limited(make_config):
    tuned = tune(make_config(max_minutes=1e-6, max_iter=1000))
    assert (tuned.steps, tuned.reason) == (1, "1e-06 minutes were over")


def test_the_photo_is_not_lost(make_config, monkeypatch):
    """However much the style gains: a code whose content loss passes the limit is not kept."""
    monkeypatch.setitem(STRENGTHS, "bold", STRENGTHS["bold"]._replace(content_limit=0.0))
    tuned = tune(make_config(patience=1))
    assert (tuned.best["step"], tuned.steps) == (0, 2)


class Killed(Exception):
    pass


def test_resumes_where_it_was_killed(make_config, monkeypatch, tmp_path):
    whole = tune(make_config(run_path=str(tmp_path / "whole")))
    config = make_config()
    save = Checkpoint.save

    def save_and_die(self, trainer, step):
        save(self, trainer, step)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", save_and_die)
        with pytest.raises(Killed):
            tune(config)
    assert npz.load(config.run_folder / STATE)[1]["step"] == 2
    tuned = tune(config)
    for found, expected in zip(tuned.code.means, whole.code.means, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert tuned.best.before == whole.best.before
    assert tuned.best["seconds"] > 0
    previews = sorted(path.name for path in config.run_folder.glob("*.jpg"))
    assert previews == [f"preview-{step:05}.jpg" for step in (0, 2, 4, 6)]
    assert list((config.run_folder / "logs").glob("events.*"))


def test_another_run_is_not_continued(make_config, picture, tmp_path):
    tune(make_config(max_iter=2))
    save_image(tmp_path / "other.png", picture(64, 64, seed=77))
    for settings, what in (
        ({"strength": "gentle"}, "--strength"),
        ({"val_iter": 1}, "--val-iter"),
        ({"crop_size": 96}, "--crop-size"),
        ({"style_path": str(tmp_path / "other.png")}, "style"),
    ):
        with pytest.raises(TrainingError, match=f"unfinished run has another {what}.*--run-path"):
            tune(make_config(**settings))
    assert tune(make_config(max_iter=2)).steps == 2


# === The command ===


def test_names_with_spaces_and_large_letters(run, tmp_path, capsys):
    """The command that is shown can be given as it is."""
    card = tmp_path / "my night.NPZ"
    assert run(max_iter=1, out_path=str(card), learning_rate=1e-9) == 0
    told = capsys.readouterr().err
    assert "None was better than the style as it was measured." in told
    assert StyleCode.load(card).tuned == ""
    assert (tmp_path / "my night-run").is_dir()
    words = shlex.split(told.strip().splitlines()[-1])
    assert words[words.index("--style") + 1] == str(card)


def test_the_command_writes_a_card(run, make_config, tmp_path, capsys):
    assert run("--name", "Night", "--credit", "me", max_iter=2) == 0
    told = capsys.readouterr().err
    assert "2 iterations in" in told
    assert "card.npz" in told
    config = make_config()
    assert not (config.run_folder / STATE).exists()
    assert cli.main(["styles", "show", config.out_path, "--checkpoint", config.checkpoint,
                     "--json"]) == 0  # fmt: skip
    shown = json.loads(capsys.readouterr().out)
    assert (shown["title"], shown["credit"]) == ("Night", "me")
    assert shown["tuned"].startswith("bold, ")
    before = (tmp_path / "card.npz").read_bytes()
    assert run(max_iter=2) == 2
    assert "is there already. Use --overwrite" in capsys.readouterr().err
    assert (tmp_path / "card.npz").read_bytes() == before
    assert run("--overwrite", max_iter=2) == 0


@pytest.mark.parametrize(
    ("settings", "message", "status"),
    [
        ({"out_path": "card.png"}, "`out_path` must be a style card to write, .npz", 2),
        ({"strength": "wild"}, "invalid choice", 2),
        ({"max_minutes": 0}, "`max_minutes` must be greater than 0", 2),
        ({"style_path": "nowhere.png"}, "nowhere.png: no such file or folder", 2),
        ({"content_path": "nowhere"}, "nowhere: no such folder", 1),
        ({"checkpoint": "nowhere"}, "nowhere", 1),
        ({"content_path": "style.png"}, "style.png: is a file; name a folder of content", 1),
        ({"out_path": "style.png/card.npz"}, "--out-path style.png: cannot be made", 2),
        (
            {"run_path": "style.png"},
            "--run-path style.png: cannot be made, because style.png is no",
            2,
        ),
        ({"crop_size": 100}, "`crop_size` must be a multiple of 32", 2),
        ({"out_path": "folder.npz"}, "--out-path must be a file. Received: folder.npz", 2),
        ({"vgg_path": "adain_fast"}, "adain_fast: --vgg-path must be a VGG-19", 1),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_flags(make_config, capsys, monkeypatch, tmp_path, settings, message, status):
    with pytest.MonkeyPatch.context() as patch:
        # What the settings would refuse themselves reaches the command.
        patch.setattr(TuneConfig, "__post_init__", lambda self: None)
        config = make_config(**settings)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.npz").mkdir()
    words = ["tune"]
    for name in sorted(config.given - {"quiet"}):
        words += [f"--{name.replace('_', '-')}", str(getattr(config, name))]
    assert cli.main(words) == status
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_styles_that_cannot_be_tuned_for(make_config, tmp_path, tiny_model, picture):
    card = tmp_path / "old.npz"
    tiny_model.encode_style(picture(32, 32)).save(card)
    with pytest.raises(UsageError, match="must be pictures for tuning.*old.npz, a card"):
        tune(make_config(style_path=str(card)))
    seen = np.dstack([picture(40, 40), np.full((40, 40), 128, "uint8")])
    Image.fromarray(seen).save(tmp_path / "glass.png")
    with pytest.raises(ValueError, match="glass.png: .*must not be transparent"):
        tune(make_config(style_path=str(tmp_path / "glass.png")))


def test_one_photo_is_not_enough(make_config, write_pictures, tmp_path):
    photos = write_pictures(tmp_path / "one", 1)
    with pytest.raises(ValueError, match="two photographs or more. Received: 1"):
        tune(make_config(content_path=str(photos)))


def test_previews_are_of_photos_that_can_be_read(write_pictures, tmp_path):
    photos = sorted(write_pictures(tmp_path / "few", 3).iterdir())
    photos[0].write_bytes(b"")
    assert len(list(_read_photos(photos))) == 2


def test_too_large_steps_are_told(make_config):
    with pytest.raises(TrainingError, match="became too large.*smaller --learning-rate"):
        tune(make_config(max_iter=1, learning_rate=1e20))


def test_damaged_runs_are_told(make_config):
    config = make_config()
    config.run_folder.mkdir()
    (config.run_folder / STATE).write_bytes(b"PK nonsense")
    with pytest.raises(TrainingError, match="cannot be continued"):
        tune(config)


@pytest.mark.slow
def test_a_whole_run(root, tmp_path, capsys):
    """The shipped weights and a painting: nearer to it, in the time that was asked for."""
    card = tmp_path / "starry.npz"
    words = ["tune", "--style", root / "images" / "paintings" / "starry-night.jpg"]
    words += ["--content-path", root / "images" / "inputs", "--out-path", card]
    words += ["--strength", "bold", "--max-minutes", 2, "--val-iter", 4, "--max-iter", 8]
    started = time.perf_counter()
    assert cli.main([str(word) for word in words]) == 0
    assert time.perf_counter() - started < 600
    code = StyleCode.load(card)
    assert int(code.tuned.split()[1]) >= 4
    words = ["stylize", "--checkpoint", "adain_fast", "--style", card, "--quiet"]
    words += ["--content-path", root / "images" / "inputs" / "cat.jpg"]
    words += ["--out-path", tmp_path / "cat.png", "--content-size", 256]
    assert cli.main([str(word) for word in words]) == 0
    assert np.asarray(Image.open(tmp_path / "cat.png")).std() > 20
