"""The command line: `adain stylize | optimize | train | ...`, `stylize.py` and `train.py`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import fields

from adain import __version__
from adain.config import (
    EvaluateConfig,
    ExportConfig,
    ListStylesConfig,
    OptimizeConfig,
    SaveStylesConfig,
    ShowStylesConfig,
    StylizeConfig,
    TrainConfig,
    UsageError,
)

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words of the command, by default the process's.
        prog: Name of the script when a sub-command stands on its own.

    Returns:
        Exit status. 0: all done; 1: something failed; 2: the command was not understood.
    """
    parser = build_parser(prog)
    try:
        words = _with_config_file(sys.argv[1:] if arguments is None else list(arguments))
        options = vars(parser.parse_args(words))
    except SystemExit as stop:
        return int(stop.code or 0)
    except UsageError as error:
        _complain(str(error))
        return USAGE
    options.pop("config")
    command = COMMANDS[" ".join(filter(None, (options.pop("command"), options.pop("action", ""))))]
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # It advises against pictures of many sizes, which is what people have.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # Before Keras is imported: it fixes the backend. TensorFlow greets in many lines otherwise.
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return command.run(command.config(**options))
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away, `adain ... | head`; Python would complain again while closing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (ValueError, OSError, ImportError) as error:
        _complain(str(error))
        return USAGE if isinstance(error, UsageError) else FAILED


def _load_backend() -> None:
    """Import Keras without TensorFlow's greeting, which no setting of its own turns off."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import keras  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The parser; flags, help and defaults come from the dataclasses in `adain.config`."""
    parser = argparse.ArgumentParser(
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
        if command.config is not dict:
            _add_flags(sub, command.config)
        sub.add_argument(
            "--config",
            metavar="FILE.toml",
            help="a file of flags, such as `alpha = 0.8`; flags that are given count more",
        )
    return parser


def _add_flags(parser: argparse.ArgumentParser, config: type) -> None:
    for item in fields(config):
        about = dict(item.metadata)
        text = about.pop("help").replace("%", "%%")
        if about.pop("place", False):
            parser.add_argument(item.name, metavar=item.name.upper(), help=text, **about)
            continue
        flags = ["--" + item.name.replace("_", "-"), *filter(None, [about.pop("short", "")])]
        if isinstance(item.default, bool):
            parser.add_argument(*flags, action="store_true", help=text)
            continue
        if item.default not in ("", (), None) and "default:" not in text:
            default = item.default
            shown = " ".join(default) if isinstance(default, tuple) else default
            text += f" (default: {shown})"
        if "const" in about:
            about["nargs"] = "?"
        if not isinstance(item.default, tuple):
            about.setdefault("type", type(item.default))
        # A metavar of its own: choices would be listed twice.
        metavar = None if "choices" in about else item.name.upper()
        parser.add_argument(*flags, default=item.default, help=text, metavar=metavar, **about)


def _with_config_file(words: list[str]) -> list[str]:
    """The words of `--config`'s file ahead of the others, which so count more.

    Raises:
        UsageError: If the file cannot be read, or holds anything but flags.
    """
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config")
    path = finder.parse_known_args(words)[0].config
    if path is None:
        return words
    # Here, because most commands have no such file.
    import tomllib

    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except (OSError, ValueError) as error:
        raise UsageError(f"--config {path}: {error}") from error
    more: list[str] = []
    for key, value in table.items():
        flag = "--" + key.replace("_", "-")
        values = value if isinstance(value, list) else [value]
        if flag == "--config" or not all(isinstance(v, str | int | float) for v in values):
            raise UsageError(f"--config {path}: {key} must be a flag's value. Received: {value!r}")
        if value is True:
            more.append(flag)
        elif value is not False:
            more += [flag, *map(str, values)]
    # After the names of the command, and of its action.
    names = 2 if words[0] in GROUPS else 1
    return [*words[:names], *more, *words[names:]]


def _progress(total: int, unit: str, quiet: bool, **how):
    """A progress bar on a terminal, nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        return _NoProgress()
    # Here, because importing it is a tenth of the time that one picture takes.
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, file=sys.stderr, dynamic_ncols=True, **how)


class _NoProgress:
    """What stands in for a progress bar."""

    n = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, _: int = 1) -> None:
        pass

    def set_postfix(self, *_, **__) -> None:
        pass

    set_postfix_str = set_postfix

    @staticmethod
    def write(text: str, file) -> None:
        file.write(f"{text}\n")


def _complain(*messages: str) -> None:
    for message in messages:
        sys.stderr.write(f"error: {' '.join(message.split())}\n")


# === Commands ===


def _stylize(config: StylizeConfig) -> int:
    from adain import engines, stylize_jobs, stylize_plan

    if max(config.alpha) > 1:
        text = "alpha %g exaggerates the style: expect artefacts"
        logging.warning(text, max(config.alpha))
    planned, finished, problems = stylize_plan.plan(config)
    _complain(*problems)
    failed = len(problems)
    if finished and not config.quiet:
        logging.info("%d finished before, skipped; --overwrite makes them anew", len(finished))
    if config.dry_run:
        for painting in planned:
            _tell(config, painting)
        return FAILED if failed else DONE
    if planned:
        if config.refine or engines.resolve(config.engine) == "keras":
            _load_backend()
        with _Bar(len(planned), config.quiet) as bar:
            for outcome in stylize_jobs.stylize_files(config, planned, bar.move):
                bar.finish_one()
                failed += _report(outcome, bar.write, as_json=config.json)
    return _finish(config, len(planned) + len(problems) - failed, failed)


def _tell(config: StylizeConfig, painting) -> None:
    """What `--dry-run` says of one result."""
    output = "-" if painting.output is None else str(painting.output)
    if config.json:
        record = {
            "content": str(painting.content),
            "style": " + ".join(map(str, painting.styles)),
            "masks": [str(mask) for mask in painting.masks],
            "output": output,
        }
        sys.stdout.write(json.dumps(record) + "\n")
    else:
        sys.stdout.write(f"{painting} -> {output}\n")


class _Bar:
    """How far all paintings are, in parts of paintings, with the time that is left."""

    def __init__(self, total: int, quiet: bool):
        form = "{percentage:3.0f}%|{bar}| {elapsed}, {remaining} left{postfix}"
        self._bar = _progress(total, "picture", quiet, bar_format=form, miniters=0)
        self._total = total
        self._done = 0
        self.write = self._bar.write

    def __enter__(self):
        self._bar.__enter__()
        return self

    def __exit__(self, *reason):
        self._bar.__exit__(*reason)

    def move(self, part: float) -> None:
        # Those that are still being written count as painted.
        self._bar.update(max(min(self._done + part, self._total) - self._bar.n, 0))

    def finish_one(self) -> None:
        self._done += 1
        self.move(0.0)
        self._bar.set_postfix_str(f"{self._done}/{self._total}")


def _finish(config: StylizeConfig | OptimizeConfig, done: int, failed: int) -> int:
    """Tell how many pictures were made; the exit status."""
    if not config.quiet:
        where = "" if config.out_path == "-" else f" in {config.out_path}"
        sys.stderr.write(
            f"{done} picture{'' if done == 1 else 's'} done{where}"
            + (f", {failed} failed\n" if failed else "\n")
        )
    return FAILED if failed else DONE


def _optimize(config: OptimizeConfig) -> int:
    from adain import gatys_jobs, presets

    presets.find_preset(config.checkpoint)
    planned, problems = gatys_jobs.plan(config)
    _complain(*problems)
    failed = len(problems)
    if planned:
        _load_backend()
        bar = _progress(len(planned) * config.steps, "step", config.quiet)

        def on_step(losses):
            bar.set_postfix({name: f"{loss:.3g}" for name, loss in losses.items()}, refresh=False)
            bar.update()

        with bar:
            for i, outcome in enumerate(gatys_jobs.optimize_files(config, planned, on_step), 1):
                # L-BFGS may have stopped early.
                bar.update(i * config.steps - bar.n)
                failed += _report(outcome, bar.write, as_json=config.json)
    return _finish(config, len(planned) + len(problems) - failed, failed)


def _report(outcome, write, *, as_json: bool) -> bool:
    """Tell what became of one file; whether it failed."""
    if outcome.error:
        source = " ".join(filter(None, (outcome.content, outcome.style and f"({outcome.style})")))
        named = any(path and path in outcome.error for path in (outcome.content, outcome.style))
        prefix = "" if named else f"{source}: "
        write(f"error: {prefix}{outcome.error}", file=sys.stderr)
    if as_json:
        record = {
            "content": outcome.content,
            "style": outcome.style,
            "output": outcome.output,
            "ok": not outcome.error,
            "error": outcome.error,
            "milliseconds": round(1000 * outcome.seconds, 1),
        }
        for name in ("losses", "settings"):
            if found := getattr(outcome, name):
                record[name] = found
        sys.stdout.write(json.dumps(record) + "\n")
        sys.stdout.flush()
    return bool(outcome.error)


def _train(config: TrainConfig) -> int:
    _load_backend()
    from adain import recipes
    from adain.trainer import train

    for run in recipes.stages(config):
        train(run)
    sys.stderr.write(
        f"The weights are in {config.checkpoint}. Look at the curves and pictures with\n"
        f"  tensorboard --logdir {config.log_path or config.checkpoint}\n"
    )
    return DONE


def _save_styles(config: SaveStylesConfig) -> int:
    from adain import cards, engines

    planned, problems = cards.plan(config)
    _complain(*problems)
    failed, done = len(problems), 0
    if planned:
        if engines.resolve(config.engine) == "keras":
            _load_backend()
        for outcome in cards.save(config, planned):
            failed += _report(outcome, _NoProgress.write, as_json=False)
            done += not outcome.error
    sys.stderr.write(f"{done} style card{'' if done == 1 else 's'} in {config.out_path}\n")
    return FAILED if failed else DONE


def _list_styles(config: ListStylesConfig) -> int:
    return _tell_styles(config, lambda card: "\t".join(card[key] for key in _CARD_COLUMNS))


def _show_styles(config: ShowStylesConfig) -> int:
    return _tell_styles(
        config, lambda card: "\n".join(f"{key:10}{value}" for key, value in card.items()) + "\n"
    )


_CARD_COLUMNS = ("style", "title", "credit", "licence")


def _tell_styles(config: ListStylesConfig | ShowStylesConfig, form) -> int:
    from adain import cards

    found, problems = cards.find(config)
    for card in found:
        sys.stdout.write((json.dumps(card) if config.json else form(card)) + "\n")
    _complain(*problems)
    return FAILED if problems else DONE


def _evaluate(config: EvaluateConfig) -> int:
    from adain import evaluate, pairs, report

    planned = pairs.plan(config)
    _complain(*planned.problems)
    if config.write_pairs:
        problems = pairs.write_pairs(config, planned)
        where = config.write_pairs
    else:
        _load_backend()
        result, problems = evaluate.measure(config, planned)
        sys.stdout.write(report.to_tables(result))
        for note in result["notes"]:
            logging.info(note)
        where = f"{config.out_path}/report.md"
    _complain(*problems)
    sys.stderr.write(f"written: {where}\n")
    return FAILED if planned.problems or problems else DONE


def _export(config: ExportConfig) -> int:
    _load_backend()
    from adain.export import export_onnx
    from adain.model import StyleTransfer

    for file in export_onnx(StyleTransfer.from_preset(config.checkpoint), config.out_path):
        sys.stderr.write(f"written: {config.out_path}/{file}\n")
    return DONE


def _presets(_: dict) -> int:
    from adain import presets

    for name in presets.available_presets():
        about = presets.read_config(presets.find_preset(name))["about"]
        sys.stdout.write(f"{name}\t{about.get('summary', '')}\t{about.get('licence', '')}\n")
    return DONE


class _Command:
    def __init__(self, config: type, run, help: str):
        self.config = config
        self.run = run
        self.help = help


GROUPS = {"styles": "Style cards, which stand in for style pictures: save, list, show."}

COMMANDS = {
    "stylize": _Command(StylizeConfig, _stylize, "Repaint photos in the style of any picture."),
    "optimize": _Command(
        OptimizeConfig, _optimize, "Repaint photos by the slow method, or make textures of styles."
    ),
    "train": _Command(TrainConfig, _train, "Train the decoder on photographs and paintings."),
    "styles save": _Command(
        SaveStylesConfig, _save_styles, "Turn pictures into style cards of a few kilobytes."
    ),
    "styles list": _Command(
        ListStylesConfig, _list_styles, "List the style cards that come with the weights."
    ),
    "styles show": _Command(ShowStylesConfig, _show_styles, "Tell all about single style cards."),
    "evaluate": _Command(EvaluateConfig, _evaluate, "Measure content kept and style taken."),
    "export": _Command(ExportConfig, _export, "Write weights as ONNX files, for other programs."),
    "presets": _Command(dict, _presets, "List the weights that come with the package."),
}
