"""The benchmark runs, and says what it measured."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

BENCHMARK = "benchmarks/speed.py"


@pytest.fixture
def speed(load_script):
    return load_script(BENCHMARK)


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
