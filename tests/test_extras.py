"""Which packages are needed for what, and what is said where they are missing."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError

import pytest

import adain
from adain import cli, extras
from adain.engines import registry as engines
from adain.extras import EXTRAS, MissingExtra

MODULES = {
    "mlflow-skinny": "mlflow",
    "mnn": "MNN",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "scikit-image": "skimage",
}
"""Modules whose names are not those of their distributions."""

TOOLS = ("all", "test", "dev")


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture
def without(monkeypatch):
    """`without("keras", ...)`: as if these modules were not installed."""
    monkeypatch.delenv("KERAS_BACKEND", raising=False)

    def block(*modules: str) -> None:
        for name in list(sys.modules):
            if name.partition(".")[0] in modules:
                monkeypatch.delitem(sys.modules, name)
        for module in modules:
            monkeypatch.setitem(sys.modules, module, None)

    return block


HEAVY = sorted({module for name, modules in EXTRAS.items() if name for module in modules})


def modules_of(requirements: list[str]) -> set[str]:
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}
    return {MODULES.get(name, name) for name in names}


def test_the_table_is_that_of_the_project(project):
    assert set(EXTRAS[""]) == modules_of(project["dependencies"])
    declared = project["optional-dependencies"]
    assert {name for name in EXTRAS if name} == declared.keys() - set(TOOLS)
    for name in EXTRAS.keys() - {""}:
        assert set(EXTRAS[name]) == modules_of(declared[name]), name


def test_all_is_every_command_and_engine(project):
    (everything,) = project["optional-dependencies"]["all"]
    named = set(re.search(r"\[(.*)\]", everything)[1].split(","))
    assert named == EXTRAS.keys() - {"", "jax", "torch", "mlflow"}


def test_one_version_for_one_requirement(project):
    bounds: dict[str, set[str]] = {}
    declared = project["optional-dependencies"]
    for requirements in [project["dependencies"], *declared.values()]:
        for requirement in requirements:
            name, _, bound = requirement.partition(">=")
            bounds.setdefault(name, set()).add(bound)
    assert {name: found for name, found in bounds.items() if len(found) > 1} == {}


def pins(path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    found: dict[str, list[str]] = {}
    for line in lines:
        if match := re.match(r"([\w-]+)(?:\[.*\])?==(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return {name: " | ".join(versions) for name, versions in found.items()}


def test_pinned_versions(root, project):
    core, everything = pins(root / "requirements-core.txt"), pins(root / "requirements.txt")
    test = pins(root / "requirements-test.txt")
    assert core.items() <= everything.items()
    assert not test.keys() & everything.keys()
    needed = {name: name for name in project["dependencies"]}
    for extra in set(EXTRAS) - {"", "jax", "torch", "mlflow"}:
        needed |= {name: name for name in project["optional-dependencies"][extra]}
    names = {re.match(r"[\w-]+", name)[0] for name in needed}
    assert names <= everything.keys()
    assert {re.match(r"[\w-]+", name)[0] for name in project["dependencies"]} <= core.keys()


# === Missing packages ===


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        ("train", "train"),
        ("train --content-path a --style-path b", "train"),
        ("optimize --content-path a --style-path b", "optimize"),
        ("export", "export"),
        ("batch --content-path images/inputs --style-path images/styles", "batch"),
        ("evaluate --content-path images/inputs --style-path images/styles", "evaluate"),
        ("stylize --content-path images/inputs --style-path images/styles --refine 1", "optimize"),
        *(
            (f"{words} --engine {engine}", extra)
            for words in (
                "stylize --content-path images/inputs --style-path images/styles",
                "styles save images/styles cards",
            )
            for engine, extra in (
                ("keras", "train"), ("onnxruntime", "onnxruntime"), ("openvino", "openvino"),
            )
        ),
    ],
)  # fmt: skip
def test_one_line_says_what_to_install(without, monkeypatch, root, tmp_path, capsys, words, extra):
    monkeypatch.chdir(root)
    without(*HEAVY)
    out = [] if words in ("train", "export") else ["--out-path", str(tmp_path / "out")]
    if words.startswith(("train ", "styles ")):
        out = []
    monkeypatch.setattr(cli.logging, "basicConfig", lambda **_: None)
    assert cli.main([*words.split(), *out]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    needed = ", ".join(EXTRAS[extra])
    assert re.fullmatch(
        rf'error: (adain|--)[\w -]+ needs .+: pip install "[^"]+\[{extra}\]"\n', said.err
    )
    if not words.startswith("styl"):
        assert f" needs {needed}: " in said.err
    assert not (tmp_path / "out").exists()


def test_scripts_are_named(without, capsys):
    without(*HEAVY)
    assert cli.main(["train"], prog="train.py") == 2
    assert capsys.readouterr().err.startswith("error: train.py needs keras, tensorflow, ")


def test_help_needs_nothing(without, capsys):
    without(*HEAVY)
    for command in ("train", "optimize", "evaluate", "export", "batch"):
        assert cli.main([command, "--help"]) == 0
        assert f"adain {command}" in capsys.readouterr().out


@pytest.mark.parametrize("module", sorted({*EXTRAS["train"]}))
def test_only_what_is_missing_is_named(without, module, capsys):
    without(module, "jax", "torch")
    assert cli.main(["train", "--content-path", "a", "--style-path", "b"]) == 2
    said = capsys.readouterr().err
    assert said == f"error: adain train needs {module}: {extras.install_command('train')}\n"


@pytest.mark.parametrize("installed", [True, False])
def test_a_clone_is_installed_from_its_folder(root, monkeypatch, installed):
    def distribution(name):
        if not installed:
            raise PackageNotFoundError(name)

    monkeypatch.setattr(extras.metadata, "distribution", distribution)
    package = "adain" if installed else root
    assert extras.install_command("video") == f'pip install "{package}[video]"'
    assert extras.install_command() == f'pip install "{package}"'


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_have_extras_of_their_own(without, monkeypatch, backend):
    without(*HEAVY)
    monkeypatch.setenv("KERAS_BACKEND", backend)
    for extra in ("train", "optimize", "evaluate"):
        with pytest.raises(MissingExtra, match=rf'{backend}.*: pip install ".+\[{backend}\]"'):
            extras.require(extra, "it")
    with pytest.raises(MissingExtra, match=r"it needs onnx: .*\[export\]"):
        extras.require("export", "it")
    # The backend's extra has everything that the commands need.
    for extra in ("train", "optimize", "evaluate"):
        assert set(EXTRAS[extra]) - {"tensorflow"} <= set(EXTRAS[backend])


def test_the_backend_that_is_installed_is_taken(without, monkeypatch):
    found = {"jax", "torch"}
    without()
    monkeypatch.setattr(extras, "is_installed", lambda name: name in found)
    assert extras.choose_backend() == "jax"
    found.remove("jax")
    assert extras.choose_backend() == "torch"
    found.add("tensorflow")
    assert extras.choose_backend() == "tensorflow"
    found.clear()
    assert extras.choose_backend() == "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert extras.choose_backend() == "jax"


@pytest.mark.parametrize("name", ["StyleTransfer", "optimize_image", "AdaINTrainer"])
def test_public_names_say_it_too(without, monkeypatch, name):
    without("keras")
    monkeypatch.delitem(sys.modules, f"adain.{adain._PUBLIC[name]}", raising=False)
    with pytest.raises(MissingExtra, match=r'^this needs keras: pip install ".+\[train\]"$'):
        getattr(adain, name)


def test_a_broken_installation(without):
    """What is always installed is missing."""
    without("MNN", "onnxruntime", "openvino", "keras")
    command = re.escape(extras.install_command())
    with pytest.raises(MissingExtra, match=f"^--engine mnn needs MNN: {command}$"):
        engines.resolve("auto")


def test_core_engines_do_without_the_extras(without, tiny_preset, picture):
    without(*HEAVY)
    stylizer = adain.load_stylizer(tiny_preset)
    assert type(stylizer).__name__ == "MnnStylizer"
    assert stylizer.stylize(picture(40, 56), picture(32, 32)).shape == (40, 56, 3)


def test_public_names_are_type_checked(root):
    """Every module with a public name is in pyright's list."""
    tools = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    modules = {f"adain/{module.replace('.', '/')}.py" for module in adain._PUBLIC.values()}
    assert set(tools["pyright"]["include"]) >= modules | {"adain/__init__.py"}
