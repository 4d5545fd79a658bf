"""Runs recorded with MLflow: what is in its database, and runs that stop and go on."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from adain.extras import MissingExtra
from adain.training.config import TrainConfig
from adain.training.loop import train

mlflow = pytest.importorskip("mlflow")
# MLflow's own: old ways of SQLAlchemy, and connections that it leaves open.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

from adain.training.mlflow import DATABASE, MlflowWriter  # noqa: E402


@pytest.fixture
def read():
    """`read(folder)`: the runs in a folder of records, the last one first, and a client."""

    def runs_in(folder):
        client = mlflow.MlflowClient(f"sqlite:///{folder / DATABASE}")
        (experiment,) = client.search_experiments(filter_string="name = 'adain'")
        return client, client.search_runs([experiment.experiment_id])

    return runs_in


@pytest.mark.usefixtures("eager")
def test_a_run_of_train(tiny_preset, write_pictures, tmp_path, read):
    place = tmp_path / "a run"
    config = TrainConfig(
        content_path=(str(write_pictures(tmp_path / "content", 2)),),
        style_path=(str(write_pictures(tmp_path / "style", 2, seed=50)),),
        vgg_path=str(tiny_preset), checkpoint=str(place), logger=("tensorboard", "mlflow"),
        batch_size=2, image_size=40, crop_size=32, max_iter=2, pretrain_iter=0, summary_iter=1,
        image_iter=2,
    )  # fmt: skip
    train(config, quiet=True)
    client, (run,) = read(place / "logs")
    assert run.info.status == "FINISHED" and run.info.run_name == "a run"
    assert run.data.params["max_iter"] == "2" and run.data.params["logger"] == "tensorboard mlflow"
    points = client.get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in points] == [1, 2]
    assert {
        "content_loss",
        "style_loss",
        "learning_rate",
        "gradients/all",
    } < run.data.metrics.keys()
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"decoder.npz", "config.json", "images"} <= files
    stored = client.download_artifacts(run.info.run_id, "decoder.npz", str(tmp_path))
    assert open(stored, "rb").read() == (place / "decoder.npz").read_bytes()
    assert client.list_artifacts(run.info.run_id, "images")
    # TensorBoard's file is beside it, and nothing is in the folder that tests run in.
    assert list((place / "logs").glob("events.*"))


def test_a_run_that_is_stopped_goes_on(tmp_path, read):
    first = MlflowWriter(tmp_path)
    first.parameters({"max_iter": 10, "content_path": ("a", "b")})
    first.scalars(1, {"loss": 2.0, "val_loss": float("nan")})
    first.image(1, "stylized: a, b?", np.zeros((8, 12, 3), "uint8"))
    first.close()
    _, (run,) = read(tmp_path)
    assert run.info.status == "FAILED"
    # Killed: nobody closes it.
    killed = MlflowWriter(tmp_path)
    killed.scalars(2, {"loss": 1.5})
    last = MlflowWriter(tmp_path)
    last.parameters({"max_iter": 20, "seed": 3})
    last.scalars(3, {"loss": 1.0})
    (tmp_path / "decoder.npz").write_bytes(b"weights")
    last.artifact(tmp_path / "decoder.npz")
    last.close()
    client, (run,) = read(tmp_path)
    assert run.info.status == "FINISHED"
    points = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in points] == [(1, 2.0), (2, 1.5), (3, 1.0)]
    # MLflow keeps what was told first.
    assert run.data.params == {"max_iter": "10", "content_path": "a b", "seed": "3"}
    # A new run on the same folder.
    MlflowWriter(tmp_path).close()
    assert len(read(tmp_path)[1]) == 2


def test_what_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        MlflowWriter(tmp_path / "file")


def test_it_is_not_installed(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("adain.extras.is_installed", lambda module: module != "mlflow")
    with pytest.raises(MissingExtra, match=r'--logger mlflow needs mlflow: pip install ".+\[m'):
        MlflowWriter(tmp_path)
