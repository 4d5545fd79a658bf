"""The command line: `adain stylize | optimize | train | ...`, `stylize.py` and `train.py`."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import Field, dataclass, fields
from typing import Any

from adain import __version__, extras
from adain.console import FAILED, INTERRUPTED, USAGE, complain, replace_closed_streams
from adain.extras import MissingExtra
from adain.files import describe, read_toml
from adain.options import UsageError, check_value, choices_of, load


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words of the command, by default the process's.
        prog: Name of the script when a sub-command stands on its own.

    Returns:
        Exit status. 0: all done; 1: something failed; 2: the command was not understood.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    replace_closed_streams()
    parser = build_parser(prog, words)
    try:
        _check_packages(words, prog)
        words = _with_config_file(words)
        options = vars(parser.parse_args(words))
    except SystemExit as stop:
        return int(stop.code or 0)
    except UsageError as error:
        complain(str(error))
        return USAGE
    except MissingExtra as error:
        complain(str(error))
        return USAGE
    options.pop("config")
    # Names of files need not be text of the terminal's encoding.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    command = COMMANDS[" ".join(filter(None, (options.pop("command"), options.pop("action", ""))))]
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # It advises against pictures of many sizes, which is what people have.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # It tells of each kind of accelerator that is not there.
    logging.getLogger("jax").setLevel(logging.WARNING)
    # Before Keras is imported: it fixes the backend. TensorFlow greets in many lines otherwise.
    os.environ.setdefault("KERAS_BACKEND", extras.choose_backend())
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        config = load(command.config)(**options) if command.config else None
        if any(item.metadata["writes"] for item in _fields_of(command)):
            load("adain.outputs:check_written")(config)
        return load(command.run)(config)
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away, `adain ... | head`; Python would complain again while closing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (ValueError, OSError, ImportError) as error:
        if isinstance(error, ModuleNotFoundError):
            error = extras.explain(error) or error
        complain(describe(error) if isinstance(error, OSError) else str(error))
        return USAGE if isinstance(error, UsageError | MissingExtra) else FAILED


class _Parser(argparse.ArgumentParser):
    """Refuses unknown flags of a command itself, with that command's name and usage."""

    def parse_known_args(self, args=None, namespace=None):
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown


def _check_packages(words: list[str], prog: str | None) -> None:
    """Refuse a command that cannot do anything here, even before its flags are read."""
    command = COMMANDS.get(" ".join(words[:1]))
    if command and command.extra and not {"-h", "--help"} & set(words):
        extras.require(command.extra, prog or f"adain {words[0]}")


def build_parser(
    prog: str | None = None, words: Sequence[str] | None = None
) -> argparse.ArgumentParser:
    """The parser; flags, help and defaults come from the commands' dataclasses.

    Args:
        prog: Name of the script when a sub-command stands on its own.
        words: The command line that is going to be parsed: the flags of other commands are then
            left out, which would take longer than all else before the work begins.
    """
    parser = _Parser(
        prog="adain", description="Any photo in the style of any picture, in one forward pass."
    )
    parser.add_argument("--version", action="version", version=f"adain {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    groups = {}
    for name, command in COMMANDS.items():
        place, (*group, last) = commands, name.split()
        for word in group:
            if word not in groups:
                about = GROUPS[word]
                sub = commands.add_parser(word, help=about, description=about)
                groups[word] = sub.add_subparsers(dest="action", required=True, metavar="ACTION")
            place = groups[word]
        sub = place.add_parser(
            last, help=command.help, description=command.help, allow_abbrev=False
        )
        if prog is not None:
            sub.prog = prog
        named = name.split()
        if command.config and (words is None or list(words[: len(named)]) == named):
            _add_flags(sub, load(command.config))
        sub.add_argument(
            "--config",
            metavar="FILE.toml",
            help="a file of flags, such as `alpha = 0.8`; the command line takes precedence",
        )
    return parser


def _add_flags(parser: argparse.ArgumentParser, config: type) -> None:
    """Add a dataclass' flags; those that are not given are left to its defaults."""
    how = {"default": argparse.SUPPRESS}
    for item in fields(config):
        about = dict(item.metadata["how"])
        text = item.metadata["help"].replace("%", "%%")
        if about.pop("place", False):
            parser.add_argument(item.name, metavar=item.name.upper(), help=text, **how, **about)
            continue
        flags = ["--" + item.name.replace("_", "-"), *filter(None, [about.pop("short", "")])]
        if isinstance(item.default, bool):
            parser.add_argument(*flags, action=argparse.BooleanOptionalAction, help=text, **how)
            continue
        if item.default not in ("", (), None) and "default:" not in text:
            default = item.default
            shown = " ".join(default) if isinstance(default, tuple) else default
            text += f" (default: {shown})"
        if "choices" in about:
            about["choices"] = choices_of(item)
        if "const" in about:
            about["nargs"] = "?"
        if not isinstance(item.default, tuple):
            about.setdefault("type", type(item.default))
        # A metavar of its own: choices would be listed twice.
        metavar = None if "choices" in about else item.name.upper()
        parser.add_argument(*flags, help=text, metavar=metavar, **how, **about)


def _with_config_file(words: list[str]) -> list[str]:
    """The words of `--config`'s file before the others, which so take precedence.

    Raises:
        UsageError: If the file cannot be read, or holds anything but flags.
    """
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    # Without a value the command's own parser complains.
    finder.add_argument("--config", nargs="?")
    path = finder.parse_known_args(words)[0].config
    if path is None:
        return words
    # After the names of the command, and of its action.
    names = 2 if words[0] in GROUPS else 1
    name = " ".join(words[:names])
    more: list[str] = []
    try:
        table = read_toml(path)
        known = _flags_of(COMMANDS[name]) if name in COMMANDS else {}
        for key, value in table.items():
            item = known.get(key.replace("-", "_"))
            if item is None:
                raise ValueError(f"{key} is not a flag of adain {name}")
            more += _to_words(key.replace("_", "-"), value, item)
    except ValueError as error:
        raise UsageError(f"--config {path}: {error}") from error
    return [*words[:names], *more, *words[names:]]


def _fields_of(command: Command) -> tuple[Field, ...]:
    return fields(load(command.config)) if command.config else ()


def _flags_of(command: Command) -> dict[str, Field]:
    """The fields of a command's settings that are flags, by all their names in a file."""
    found = {}
    for item in _fields_of(command):
        how = item.metadata["how"]
        if not how.get("place"):
            found[item.name] = found[how.get("short", "").strip("-")] = item
    return found


def _to_words(key: str, value: Any, item: Field) -> list[str]:
    """A value of a file as words of the command line."""
    values = list(value) if isinstance(value, list) else [value]
    if not all(isinstance(one, str | int | float) for one in values):
        raise UsageError(f"{key} must be a flag's value. Received: {value!r}")
    if value is True and "const" in item.metadata["how"]:
        return [f"--{key}"]
    if item.metadata["how"].get("type", type(item.default)) in (str, tuple):
        # Numbers may be names of files, and sizes.
        values = [one if isinstance(one, bool) else str(one) for one in values]
    check_value(item, values if isinstance(value, list) else values[0])
    if isinstance(item.default, bool):
        return [f"--{key}" if value else f"--no-{key}"]
    return [f"--{key}", *map(str, values)] if values else []


@dataclass(frozen=True)
class Command:
    """One command of the command line; what it needs is imported when it is used."""

    help: str
    run: str
    """`module:function`; it takes the settings and returns the exit status."""
    config: str = ""
    """`module:class` of its settings; none without flags."""
    extra: str = ""
    """The extra without which it can do nothing."""


GROUPS = {"styles": "Style cards, which stand in for style pictures: save, list, show."}

COMMANDS = {
    "stylize": Command(
        "Repaint photos in the style of any picture.",
        "adain.video.command:stylize",
        "adain.stylize.config:StylizeConfig",
    ),
    "video": Command(
        "Repaint clips, steady and with their sound.",
        "adain.video.command:video",
        "adain.video.config:VideoConfig",
        extra="video",
    ),
    "batch": Command(
        "Repaint data sets, on one machine or many.",
        "adain.batch.command:batch",
        "adain.batch.config:BatchConfig",
        extra="batch",
    ),
    "live": Command(
        "Show a camera or a clip in a window, stylised.",
        "adain.video.live_command:live",
        "adain.video.live_config:LiveConfig",
        extra="video",
    ),
    "studio": Command(
        "Open a page in the browser, to repaint photos by hand.",
        "adain.studio.command:studio",
        "adain.studio.config:StudioConfig",
        extra="studio",
    ),
    "optimize": Command(
        "Repaint photos by the slow method, or make textures of styles.",
        "adain.optimization.command:optimize",
        "adain.optimization.config:OptimizeConfig",
        extra="optimize",
    ),
    "train": Command(
        "Train the decoder on photographs and paintings.",
        "adain.training.command:run",
        "adain.training.config:TrainConfig",
        extra="train",
    ),
    "tune": Command(
        "Tune a style card on photographs, for minutes: closer to its style than a measured one.",
        "adain.training.command:tune",
        "adain.training.tune_config:TuneConfig",
        extra="train",
    ),
    "sweep": Command(
        "Try settings of training or optimising, and find the best.",
        "adain.sweep.command:sweep",
        "adain.sweep.config:SweepConfig",
        extra="sweep",
    ),
    "styles save": Command(
        "Turn pictures into style cards of a few kilobytes.",
        "adain.stylize.cards_command:save_styles",
        "adain.stylize.config:SaveStylesConfig",
    ),
    "styles list": Command(
        "List the style cards that come with the weights.",
        "adain.stylize.cards_command:list_styles",
        "adain.stylize.config:ListStylesConfig",
    ),
    "styles show": Command(
        "Tell all about single style cards.",
        "adain.stylize.cards_command:show_styles",
        "adain.stylize.config:ShowStylesConfig",
    ),
    "evaluate": Command(
        "Measure content kept and style taken.",
        "adain.evaluation.command:run",
        "adain.evaluation.config:EvaluateConfig",
    ),
    "export": Command(
        "Write weights as files for other programs.",
        "adain.export.command:run",
        "adain.export.config:ExportConfig",
    ),
    "presets": Command("List the weights that come with the package.", "adain.presets.command:run"),
}
"""Every command, by the words that call it. A new one is a module, and an entry here."""
