"""The package as people install it: what the wheel holds, and what works with the core alone."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile

import pytest
from packaging.requirements import Requirement


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_package_is_installed(root, project):
    code = {
        ".".join(path.parent.relative_to(root).parts) for path in root.glob("adain/**/__init__.py")
    }
    weights = {f"adain.weights.{path.parent.name}" for path in root.glob("weights/*/config.json")}
    listed = project["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(code | weights | {"adain.weights"})
    assert weights | {"adain", "adain.weights"} == set(
        project["tool"]["setuptools"]["package-data"]
    )


# === With the core's packages only ===


def distributions(names) -> set[str]:
    """Those distributions and what they need here, without extras."""
    found, waiting = set(), list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name not in found:
            found.add(name)
            needed = map(Requirement, importlib.metadata.requires(name) or [])
            waiting += [
                part.name
                for part in needed
                if part.marker is None or part.marker.evaluate({"extra": ""})
            ]
    return found


@pytest.fixture(scope="module")
def core(root, project, tmp_path_factory):
    """The Python of an environment with the wheel and the core's packages, linked from this one."""
    pytest.importorskip("setuptools", "77")
    place = tmp_path_factory.mktemp("core")
    source = place / "source"
    for name in ("adain", "weights"):
        shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    words = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "-q"]
    words += ["--no-build-isolation", "--disable-pip-version-check", "-w", str(place), str(source)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = place.glob("adain-*.whl")
    venv.create(place / "env")
    (packages,) = (place / "env").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    needed = [Requirement(text).name for text in project["project"]["dependencies"]]
    for name in distributions(needed):
        distribution = importlib.metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files if ".." not in file.parts}
        for top in tops - {"__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(distribution.locate_file(top))
    environment = {**os.environ, "ADAIN_CACHE": str(place / "cache")}
    for name in ("PYTHONPATH", "KERAS_BACKEND"):
        environment.pop(name, None)

    def run(*words):
        return subprocess.run(
            [str(place / "env" / "bin" / "python"), *map(str, words)],
            cwd=place, env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    return run


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="links")
class TestCore:
    def test_it_has_no_keras(self, core):
        code = (
            "import adain, importlib.util as u; from adain.extras import EXTRAS; "
            "print(adain.__file__); "
            "print([m for e, ms in EXTRAS.items() if e for m in ms if u.find_spec(m)])"
        )
        done = core("-c", code)
        assert done.returncode == 0, done.stderr
        path, found = done.stdout.splitlines()
        assert "site-packages" in path
        assert found == "[]"

    @pytest.mark.parametrize("preset", ["adain_fast", "adain_vgg19"])
    def test_every_preset_stylises(self, core, root, tmp_path, preset):
        words = ["--content-path", root / "images/inputs/cat.jpg", "--style", "starry-night"]
        words += ["--checkpoint", preset, "--content-size", "96", "--out-path", tmp_path / "r.png"]
        done = core("-m", "adain", "stylize", *words)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "r.png").stat().st_size > 10_000
        # A picture as the style, a mask's float graphs, and the colours.
        words[3] = root / "images/styles/mosaic.jpg"
        words += ["--mask", root / "images/masks/temple/1-sky.png", "--keep-colors", "luma"]
        done = core("-m", "adain", "stylize", *words, "--overwrite")
        assert done.returncode == 0, done.stderr

    @pytest.mark.parametrize(
        ("words", "extra"),
        [
            (["train.py"], "train"),
            (["train.py", "--content-path", "a", "--style-path", "b"], "train"),
            (["-m", "adain", "optimize", "--content-path", "a", "--style-path", "b"], "optimize"),
            (["-m", "adain", "export"], "export"),
            (["-m", "adain", "evaluate", "--content-path", "a", "--style-path", "b"], "evaluate"),
        ],
    )
    def test_what_is_missing_is_said(self, core, root, words, extra):
        if words[0] == "train.py":
            words = [root / "train.py", *words[1:]]
        done = core(*words)
        assert done.returncode == 2
        assert re.fullmatch(rf'error: .* needs .*: pip install "adain\[{extra}\]"\n', done.stderr)

    def test_the_other_commands_work(self, core):
        for words in (["presets"], ["styles", "list"], ["--help"], ["train", "--help"]):
            done = core("-m", "adain", *words)
            assert done.returncode == 0, done.stderr
            assert done.stdout
