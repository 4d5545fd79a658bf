"""`adain batch --cluster`: a Ray cluster of three nodes on this machine, one of which is killed."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from batch_sets import contents, encoded, manifest, write_tar

from adain.batch import command
from adain.batch.cluster import RayWorker
from adain.batch.pool import Event
from adain.extras import is_installed

# Ray warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def cluster():
    """`(address, nodes)`: three nodes with a core each; the processes that hold them."""
    if not is_installed("ray"):
        pytest.skip("Ray is not installed")
    # Paths of sockets are short.
    folder = tempfile.mkdtemp(prefix="ray")
    port = free_port()
    address = f"127.0.0.1:{port}"
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus", "1"]
    ray += ["--object-store-memory", str(80 * 2**20), "--disable-usage-stats"]
    head = ["--head", "--port", str(port), "--include-dashboard", "false"]
    head += ["--node-ip-address", "127.0.0.1", "--temp-dir", folder]
    env = os.environ | {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
        "RAY_memory_monitor_refresh_ms": "0",
    }
    nodes = []

    def start(*words):
        nodes.append(
            subprocess.Popen(
                [*ray, *words],
                env=env,
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
        )

    start(*head)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.5)
    for _ in range(2):
        start("--address", address)
    yield address, nodes
    for node in nodes:
        kill(node)
    shutil.rmtree(folder, ignore_errors=True)


def kill(node):
    """A node with everything that it started."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        family = [*psutil.Process(node.pid).children(recursive=True), psutil.Process(node.pid)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
    node.wait()


@pytest.mark.slow
def test_a_node_that_is_killed(cluster, batch, batch_styles, inline, tmp_path, picture, capfd):
    """The results are those of one machine, byte for byte."""
    address, nodes = cluster
    for shard in range(3):
        members = {}
        for number in range(40):
            members[f"{number}.png"] = encoded(picture(40, 48, seed=100 * shard + number))
            members[f"{number}.cls"] = b"%d" % (number % 3)
        write_tar(tmp_path / "data" / f"{shard}.tar", members)
    flags = ["--mix", 2, "--alpha", 0.5, 1]
    assert batch(tmp_path / "data", "one", *flags) == 0
    units = tmp_path / "many" / "_adain" / "units"
    records = []

    def watch():
        while not records and nodes[2].poll() is None:
            records.extend(units.rglob("*.json"))
            time.sleep(0.05)
        kill(nodes[2])

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    assert batch(tmp_path / "data", "many", *flags, "--cluster", address) == 0, capfd.readouterr()
    watcher.join()
    assert 0 < len(records) < 6
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert manifest(tmp_path / "many") == manifest(tmp_path / "one")


def test_a_picture_that_kills(batch, inline, monkeypatch, tmp_path, picture, capsys):
    """Ray's tries of a unit, without Ray: the picture that two of them end with is left out."""
    shard = {f"{number}.png": encoded(picture(32, 32, seed=number)) for number in range(3)}
    path = write_tar(tmp_path / "0.tar", shard)
    jobs, tries = [], []

    class Recorded(command.Pool):
        def run(self):
            worker = RayWorker(self.job, list(self.tasks))
            jobs.append(self.job)
            run = worker._worker.run

            def killed(unit, skip, note, ahead):
                assert ahead == (not tries)
                if 1 in skip:
                    return run(unit, skip, note, ahead=ahead)
                tries.append(unit)
                note(0), note(1)
                raise SystemExit  # Nothing is done any more.

            monkeypatch.setattr(worker._worker, "run", killed)
            for _ in range(2):
                with pytest.raises(SystemExit):
                    worker({"index": [0]})
            assert worker({"index": [0]}) == {"index": [0], "error": [b""]}
            yield Event(self.tasks[0], rows=[])

    monkeypatch.setattr(command, "Pool", Recorded)
    assert batch(path, "out") == 1
    found = {row["picture"]: row for row in manifest(tmp_path / "out")}
    assert {name: row["status"] for name, row in found.items()} == {
        "0/0": "done", "0/1": "failed", "0/2": "done",
    }  # fmt: skip
    assert "killed" in found["0/1"]["message"]
    assert not list((jobs[0].room / "tries").iterdir())


def test_a_unit_that_always_kills(batch, inline, monkeypatch, tmp_path, picture):
    """Also where the picture is left out: the next try says so, and Ray makes no other."""
    path = write_tar(tmp_path / "0.tar", {"0.png": encoded(picture(32, 32))})

    class Recorded(command.Pool):
        def run(self):
            worker = RayWorker(self.job, list(self.tasks))

            def killed(unit, skip, note, ahead):
                note(0)
                raise SystemExit

            monkeypatch.setattr(worker._worker, "run", killed)
            for _ in range(3):
                with pytest.raises(SystemExit):
                    worker({"index": [0]})
            (error,) = worker({"index": [0]})["error"]
            yield Event(self.tasks[0], error=pickle.loads(error))

    monkeypatch.setattr(command, "Pool", Recorded)
    assert batch(path, "out") == 1
    (row,) = manifest(tmp_path / "out")
    assert row["status"] == "failed" and "killed, again and again" in row["message"]


def test_no_cluster(batch, tmp_path, picture, capfd):
    if not is_installed("ray"):
        pytest.skip("Ray is not installed")
    path = write_tar(tmp_path / "0.tar", {"a.png": encoded(picture(32, 32))})
    assert batch(path, "out", "--cluster", f"127.0.0.1:{free_port()}") == 1
    assert "no cluster there" in capfd.readouterr().err
    assert not list(Path(tmp_path / "out").glob("*.tar"))
