"""The benchmarks run, and say what they measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.slow

BENCHMARK = "benchmarks/speed.py"
VERSUS = "benchmarks/versus.py"


@pytest.fixture
def speed(load_script):
    return load_script(BENCHMARK)


@pytest.fixture
def versus(load_script):
    return load_script(VERSUS)


def test_report(root, tiny_preset, tmp_path):
    out = tmp_path / "speed.json"
    command = [sys.executable, str(root / BENCHMARK), "--preset", str(tiny_preset)]
    command += ["--sizes", "64", "--calls", "stylize", "--repeats", "1"]
    command += ["--batch-size", "2", "--crop-size", "32", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert set(report) == {"machine", "preset", "calls", "pipeline", "training"}
    for name in ("cpu", "cores", "device", "backend", "dtype", "keras", "numpy", "adain"):
        assert report["machine"][name], name
    (call,) = report["calls"]
    assert (call["call"], call["size"]) == ("stylize", 64)
    for timing in (call, report["training"]):
        times, memory = timing["milliseconds"], timing["memory_mib"]
        assert times["first"] > 0
        assert times["median"] >= times["min"] > 0
        assert timing["repeats"] == 1
        assert 1 < memory["loaded"] <= memory["peak"]
    assert report["pipeline"]["images_per_second"] > 0
    assert report["training"]["images_per_second"] > 0
    assert report["training"]["steps_per_second"] > 0


def test_batch(root, tiny_preset, tmp_path, write_pictures):
    write_pictures(tmp_path / "photos", 3)
    out = tmp_path / "batch.json"
    command = [sys.executable, str(root / "benchmarks/batch.py"), "--preset", str(tiny_preset)]
    command += [
        "--content-path",
        str(tmp_path / "photos"),
        "--style-path",
        str(tmp_path / "photos"),
    ]
    command += ["--workers", "1", "--seconds", "0.1", "--skip", "0", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    for networks in report["networks"].values():
        # The graphs alone take less than all of it.
        assert networks["graphs"] >= networks["stylize"] > 0
        assert networks["cpu"]["stylize"] >= networks["cpu"]["graphs"] > 0
    (run,) = report["runs"]
    assert (run["workers"], run["pictures"]) == (1, 3)
    assert run["steady"] >= run["whole"] > 0
    assert run["share"] >= run["share_of_graphs"] > 0


@pytest.mark.parametrize("call", ["encode", "decode", "stylize_code"])
def test_each_call(speed, tiny_preset, call):
    options = speed.parse(["--preset", str(tiny_preset), "--repeats", "3"])
    result = speed.measure_call(options, call, 60)
    assert result["repeats"] == 3
    assert result["milliseconds"]["median"] > 0


def test_a_wrong_preset_is_one_line(root, tmp_path):
    command = [sys.executable, str(root / BENCHMARK), "--preset", "nothing", "--calls", "encode"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert "error: nothing: no such weights" in done.stderr
    assert "Traceback" not in done.stderr


# === Beside others ===


def test_turns_and_ratios(versus):
    assert list(versus.turns("abc", 2)) == ["a", "b", "c", "b", "c", "a"]
    assert versus.ratio([4, 9, 8], [2, 3, 1]) == {"median": 3, "min": 2, "max": 8}


def test_operations_are_those_of_the_convolutions(versus, tiny_preset):
    pairs = {32: (3 * 4 + 4 * 4), 16: (4 * 8 + 8 * 8), 8: 4 * 8 * 8, 4: 8 * 16}
    # Two networks, one the other's mirror; a product and a sum for each of nine weights.
    mirror = sum(2 * 2 * 9 * side**2 * count for side, count in pairs.items())
    skips = sum(2 * side**2 * 8 * 8 for side in (8, 16))
    wanted = mirror + skips
    assert versus.count_operations(str(tiny_preset), 32) == wanted


def test_the_torch_network_is_ours(versus, tiny_model, tiny_preset, picture, tmp_path):
    pytest.importorskip("torch")
    photo, style = picture(48, 48), picture(48, 48, seed=1)
    np.save(tmp_path / "photo48.npy", photo)
    np.save(tmp_path / "style48.npy", style)
    racer = versus.Contender("torch", "", 48, preset=str(tiny_preset), folder=str(tmp_path))
    run, _ = versus.load_torch(racer)
    # The preset is in half precision.
    np.testing.assert_allclose(run().astype(int), tiny_model.stylize(photo, style), atol=2)


def test_beside_others(root, tiny_preset, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    out = tmp_path / "versus.json"
    command = [sys.executable, str(root / VERSUS), "--no-baseline", "--out", str(out)]
    command += ["--fast", str(tiny_preset), "--full", str(tiny_preset), "--sizes", "32"]
    command += ["--engines", "onnxruntime", "--engine", "onnxruntime"]
    command += ["--rounds", "2", "--seconds", "0", "--count", "3"]
    environment = os.environ | {"ADAIN_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert set(report) == {"machine", "settings", "networks", "start", "folders"}
    for rows in report["networks"].values():
        for row in rows:
            assert len(row["milliseconds"]["rounds"]) == 2
            assert 1 < row["memory_mib"]["loaded"] <= row["memory_mib"]["peak"]
            assert row["peak_fraction"] > 0
    assert report["start"][0]["seconds"]["median"] > 0
    assert report["folders"]["steady_per_second"]["median"] > 0
    for heading in ("### Networks", "### Start", "### Folders: 3 files"):
        assert heading in done.stdout


def test_beside_others_with_a_wrong_preset(root, tmp_path):
    command = [sys.executable, str(root / VERSUS), "--no-baseline", "--fast", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert "error: nothing: no such weights" in done.stderr
    assert "Traceback" not in done.stderr


def test_large_pictures(root, tmp_path):
    out = tmp_path / "large.json"
    command = [sys.executable, str(root / "benchmarks/large.py"), "--presets", "adain_fast"]
    command += ["--side", "320", "--max-memory", "1GiB", "--preview", "64"]
    command += ["--strokes-side", "160", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    (memory,), (strokes,) = report["memory"], report["strokes"]
    assert 20 < memory["memory_mib"] < 1024 and memory["seconds"] > 0
    assert strokes["with"]["correlation"] > strokes["without"]["correlation"]
    assert strokes["with"]["difference"] < strokes["without"]["difference"]


def test_simulated_clusters(load_script):
    """By hand, where nothing varies; and losses cost, but lose nothing."""
    simulate = load_script("benchmarks/cluster_plan.py").simulate
    assert simulate(10, 2.0, 1, 1) == 20
    assert simulate(10, 2.0, 2, 2) == 6  # Three rounds of four cores.
    assert simulate(8, 2.0, 2, 2, start=0, join=10) == 4 + 5
    assert simulate(1, 3.0, 64, 2) == 3
    steady = simulate(1000, 60, 4, 2, start=30, spread=0.3)
    assert 7500 < steady < 7500 + 60 + 30 + 4 * 60
    lossy = simulate(1000, 60, 4, 2, start=30, spread=0.3, lost=200)
    assert steady < lossy < 2 * steady
