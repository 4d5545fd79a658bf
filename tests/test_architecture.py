"""Rules that hold for the whole package: who imports whom, and what nobody does."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

WITH_KERAS = ("networks", "training", "optimization.gatys", "evaluation.metrics")
"""Rooms and modules that import Keras; no other does, but inside functions."""

LIGHT = (
    "networks.style_losses",
    "training.config",
    "training.tune_config",
    "training.recipes",
    "training.command",
    "training.tensorboard",
)
"""Modules of those rooms that do not."""


@pytest.fixture(scope="module")
def trees(root):
    """`{module: syntax tree}` of the package, by names such as `imaging.io`."""
    package = root / "adain"
    return {
        ".".join(path.relative_to(package).with_suffix("").parts): ast.parse(
            path.read_text(encoding="utf-8"), filename=str(path)
        )
        for path in sorted(package.rglob("*.py"))
    }


def imports(tree) -> set[str]:
    """Full names of what is imported anywhere in a module."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = "adain" if node.level else node.module
            names |= {f"{package}.{alias.name}" for alias in node.names}
    return names


def test_imports_go_one_way(root):
    """By the contract in `pyproject.toml`."""
    pytest.importorskip("importlinter")
    code = (
        "import sys; from importlinter.cli import lint_imports as run; sys.exit(run(no_cache=True))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_any_backend(trees):
    """Only the writers of TensorFlow's own formats may call it, and what shares work out."""
    for module, tree in trees.items():
        if module in ("export.keras_formats", "training.devices"):
            continue
        packages = {name.partition(".")[0] for name in imports(tree)}
        assert not packages & {"tensorflow", "tf_keras", "jax", "jaxlib", "torch"}, module


def test_nothing_is_printed_asserted_or_left_undone(trees, root):
    """Output is the command line's, errors are raised, and `assert` vanishes under -O."""
    for module, tree in trees.items():
        for node in ast.walk(tree):
            where = f"{module}.py:{getattr(node, 'lineno', 0)}"
            assert not isinstance(node, ast.Assert), where
            assert not (isinstance(node, ast.Name) and node.id == "print"), where
            # A body still to be written.
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                assert node.value.value is not Ellipsis, where
        text = (root / "adain" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert not re.search(r"\b(TODO|FIXME|XXX)\b", text), module


def loaded(code: str) -> set[str]:
    """Which packages a fresh process has loaded after `code`."""
    report = "\nimport sys; sys.stderr.write(' '.join({n.partition('.')[0] for n in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_help_and_light_modules_load_no_backend(root, trees):
    script = (
        "import runpy, sys; sys.argv = ['stylize.py', '--help']\n"
        f"try: runpy.run_path({str(root / 'stylize.py')!r}, run_name='__main__')\n"
        "except SystemExit as stop: assert stop.code == 0"
    )
    light = [
        f"adain.{name}"
        for name in trees
        if name in LIGHT or not any(f"{name}.".startswith(f"{heavy}.") for heavy in WITH_KERAS)
    ]
    modules = "import " + ", ".join(name for name in light if not name.endswith("__"))
    for code in ("import adain", script, modules):
        packages = loaded(code)
        assert "adain" in packages
        assert not packages & {"keras", "tensorflow", "jax", "torch"}, code
