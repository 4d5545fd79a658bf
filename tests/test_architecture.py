"""Rules that hold for the whole package: who imports whom, and what nobody does."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

# What a module may import of ours, also inside functions. Modules come after what they import:
# one way only. A new module needs a line here.
ALLOWED = {
    "__init__": set(),  # Looks its names up when they are used.
    "_npz": set(),
    "config": set(),
    "_decode": set(),
    "image": {"_decode", "config"},  # config: MAX_PIXELS
    "color": {"image"},
    "architectures": set(),
    "presets": {"_npz", "architectures"},
    "recipes": {"config"},
    "codes": {"_npz"},
    "functional": {"codes"},
    "_lpips": set(),
    "vgg": {"_npz"},
    "events": {"image"},
    "data": {"image"},
    "layers": {"codes", "functional"},
    "losses": {"codes", "functional"},
    "tiling": {"codes"},
    "pixels": set(),
    "regions": {"architectures", "codes", "pixels"},
    "painter": {"architectures", "codes", "pixels", "regions", "tiling"},
    "networks": {"layers"},
    "compact": {"layers"},
    "pretrain": {"data"},
    "model": {
        "architectures", "compact", "functional", "networks", "painter", "pixels", "presets",
    },
    "export": {"__init__", "architectures", "codes", "layers", "model", "presets"},
    "engines": {"architectures", "config", "model", "painter", "presets"},
    "callbacks": {"_npz", "config", "events", "model"},
    "trainer": {
        "callbacks", "config", "data", "functional", "losses", "model", "networks", "presets",
        "pretrain", "vgg",
    },
    "gatys": {"architectures", "functional", "losses", "networks", "pixels"},
    "jobs": {"config", "image"},
    "memory": {"painter"},
    "strokes": {"image", "pixels"},
    "sheets": set(),
    "stylize_plan": {
        "__init__", "codes", "config", "image", "jobs", "presets",
    },
    "stylize_jobs": {
        "codes", "color", "config", "engines", "gatys", "image", "jobs", "memory", "model",
        "painter", "presets", "regions", "sheets", "strokes", "stylize_plan",
    },
    "cards": {"codes", "config", "engines", "jobs", "memory", "presets"},
    "gatys_jobs": {"config", "gatys", "image", "jobs", "memory", "model"},
    "metrics": {"_lpips", "functional", "losses"},
    "report": {"__init__", "_npz", "image", "sheets"},
    "pairs": {"_lpips", "_npz", "config", "image", "jobs", "presets"},
    "evaluate": {
        "_npz", "config", "engines", "gatys", "image", "jobs", "metrics", "model", "pairs",
        "presets", "report",
    },
    "cli": {
        "__init__", "cards", "config", "engines", "evaluate", "export", "gatys_jobs", "model",
        "pairs", "presets", "recipes", "report", "stylize_jobs", "stylize_plan", "trainer",
    },
    "__main__": {"cli"},
}  # fmt: skip

WITHOUT_KERAS = (
    "_npz", "_lpips", "config", "color", "_decode", "image", "presets", "recipes", "jobs",
    "gatys_jobs", "report", "pairs", "evaluate", "cli", "codes", "architectures", "tiling",
    "pixels", "regions", "painter", "engines", "stylize_jobs",
    "stylize_plan", "cards", "memory", "strokes", "sheets",
)  # fmt: skip


@pytest.fixture(scope="module")
def trees(root):
    """`{module: syntax tree}` of the package."""
    return {
        path.stem: ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        for path in sorted((root / "adain").glob("*.py"))
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


def ours(tree, modules) -> set[str]:
    found = set()
    for name in imports(tree):
        package, _, rest = name.partition(".")
        if package == "adain":
            part = rest.partition(".")[0]
            found.add(part if part in modules else "__init__")
    return found


def test_imports_go_one_way(trees):
    assert trees.keys() == ALLOWED.keys(), "a new module needs a line in the table"
    for module, tree in trees.items():
        assert ours(tree, trees.keys()) <= ALLOWED[module], module


def test_the_table_itself_goes_one_way():
    above: set[str] = set()
    for module, allowed in ALLOWED.items():
        assert allowed <= above, module
        above.add(module)


def test_nothing_is_allowed_that_nobody_needs(trees):
    for module, tree in trees.items():
        assert ours(tree, trees.keys()) == ALLOWED[module], module


def test_any_backend(trees):
    for module, tree in trees.items():
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
        text = (root / "adain" / f"{module}.py").read_text(encoding="utf-8")
        assert not re.search(r"\b(TODO|FIXME|XXX)\b", text), module


def loaded(code: str) -> set[str]:
    """Which packages a fresh process has loaded after `code`."""
    report = "\nimport sys; sys.stderr.write(' '.join({n.partition('.')[0] for n in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_help_and_light_modules_load_no_backend(root):
    script = (
        "import runpy, sys; sys.argv = ['stylize.py', '--help']\n"
        f"try: runpy.run_path({str(root / 'stylize.py')!r}, run_name='__main__')\n"
        "except SystemExit as stop: assert stop.code == 0"
    )
    modules = "import adain, " + ", ".join(f"adain.{name}" for name in WITHOUT_KERAS)
    for code in ("import adain", script, modules):
        packages = loaded(code)
        assert "adain" in packages
        assert not packages & {"keras", "tensorflow", "jax", "torch"}, code
