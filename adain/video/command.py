"""The command `adain video`, and `adain stylize` where a content is a clip."""

from __future__ import annotations

import json
import sys
from dataclasses import fields

from adain import extras
from adain.console import (
    DONE,
    FAILED,
    USAGE,
    NoProgress,
    complain,
    load_backend,
    one_line,
    progress_bar,
    shorten,
    tell,
)
from adain.options import UsageError, load
from adain.stylize.config import StylizeConfig
from adain.video.sources import is_clip


def video(config) -> int:
    """Stylise clips; `config` is a `VideoConfig`."""
    from adain.presets.preset import Preset
    from adain.stylize.command import tell_planned
    from adain.stylize.history import History
    from adain.stylize.plan import needs_keras
    from adain.video.plan import plan_clips
    from adain.video.run import render_clips, skipped

    history = History(config, Preset.load(config.checkpoint))
    plan = plan_clips(config, history)
    tell(*plan.notes)
    complain(*plan.problems, *shorten(plan.refused))
    failed = len(plan.problems) + len(plan.refused)
    if plan.refused and not (plan.ready or plan.finished or plan.problems):
        return USAGE
    if plan.finished and not config.quiet:
        tell(f"{len(plan.finished)} finished before, skipped")
    # Before anything is listed: a dry run is refused what the run is refused.
    keras = bool(plan.ready) and needs_keras(config)
    if config.dry_run:
        for clip in plan.ready:
            tell_planned(clip.result, config.json)
        return FAILED if failed else DONE
    for clip in plan.finished if config.json else ():
        _write_record(skipped(clip))
    if not plan.ready:
        return FAILED if failed else DONE
    if keras:
        load_backend()
    progress = _Progress(config.quiet)
    made = 0
    try:
        for outcome in render_clips(config, plan.ready, history, progress.watch, progress.tell):
            progress.close()
            lacking = outcome.error or outcome.problems
            failed += bool(lacking)
            made += not outcome.error
            _report(config, outcome)
    except KeyboardInterrupt:
        progress.close()
        tell("The same command goes on after the last segment that is finished.")
        raise
    if not config.quiet and len(plan.ready) > 1:
        tell(f"{made} clip{'' if made == 1 else 's'} done, {failed} failed" if failed else
             f"{made} clips done in {config.out_path}")  # fmt: skip
    return FAILED if failed else DONE


class _Progress:
    """Frames a second and the time left, one bar for each clip."""

    def __init__(self, quiet: bool):
        self._quiet, self._bar = quiet, NoProgress()

    def watch(self, clip, total: int, done: int):
        self._bar = progress_bar(
            total or None, "frame", self._quiet, initial=done, desc=clip.output.name[:40]
        )
        return self._bar.update

    def tell(self, text: str) -> None:
        self._bar.write(one_line(text), file=sys.stderr)

    def close(self) -> None:
        if not isinstance(self._bar, NoProgress):
            self._bar.close()
        self._bar = NoProgress()


def _report(config, outcome) -> None:
    lines = [outcome.error] if outcome.error else list(outcome.problems)
    for line in lines:
        named = one_line(outcome.content) in one_line(line) or outcome.output in line
        complain(line if named else f"{outcome.content}: {line}")
    if config.json:
        _write_record(outcome)
    if not outcome.error and not config.quiet:
        rate = outcome.frames / max(outcome.seconds, 1e-9)
        tell(
            f"{outcome.output}: {outcome.frames} frame{'' if outcome.frames == 1 else 's'} in "
            f"{outcome.seconds:.1f} s, {rate:.1f} a second ({outcome.shares}; at the same time)"
        )


# === adain stylize ===


def stylize(config: StylizeConfig) -> int:
    """`adain stylize`: pictures, and clips among them."""
    clips = tuple(text for text in config.content_path if is_clip(text))
    if not clips:
        return load("adain.stylize.command:stylize")(config)
    extras.require("video", f"a clip such as {clips[0]}")
    settings = as_video(config, clips)
    pictures = tuple(text for text in config.content_path if text not in clips)
    status = DONE
    if pictures:
        status = load("adain.stylize.command:stylize")(_with(config, content_path=pictures))
    return max(status, video(settings))


def as_video(config: StylizeConfig, clips: tuple[str, ...]):
    """The settings of `adain video` for the clips among the contents of `adain stylize`.

    Raises:
        UsageError: If a setting is for pictures only.
    """
    from adain.video.config import VideoConfig

    for name in ("sheet", "random"):
        if getattr(config, name):
            raise UsageError(f"--{name} takes pictures. Received: {clips[0]}, a clip")
    known = {item.name for item in fields(VideoConfig)}
    # What is not given is as `adain video` has it.
    values = {name: getattr(config, name) for name in config.given & known}
    return VideoConfig(**(values | {"content_path": clips}))


def _with(config: StylizeConfig, **changes) -> StylizeConfig:
    values = {name: getattr(config, name) for name in config.given}
    return StylizeConfig(**(values | changes))


def _write_record(outcome) -> None:
    lines = [outcome.error] if outcome.error else list(outcome.problems)
    record = {
        "content": outcome.content,
        "style": outcome.style,
        "output": outcome.output,
        "ok": not lines,
        "error": " ".join(lines),
        "frames": outcome.frames,
        "seconds": round(outcome.seconds, 3),
        "network_seconds": round(outcome.network, 3),
    } | ({"skipped": True} if outcome.skipped else {})
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()
