"""Measure `adain batch` on this machine, alone or as a Ray cluster, beside its networks alone.

    python benchmarks/batch.py --content-path PHOTOS --workers 1 2
    python benchmarks/batch.py --content-path PHOTOS --workers 1 2 --cluster

networks  what the networks alone do, with one thread in each process: `one` process, and as many
          as there are cores `at_once`, which share caches, memory and clock. Of each, pictures a
          second of all processes: of `stylize`, the passes through the networks and the move of
          the colours, of photos in memory that have the size at which the command paints them;
          of `graphs`, the same without what is done outside of the engine. `cpu` is ms of CPU
          for a picture, which other programs on the machine change least
runs      of each number of workers: `whole` is pictures a second from the start of the command to
          its end, `steady` without the first `--skip` seconds; `cpu` is ms of CPU for a picture in
          all processes, in that time

          `share` is steady as a share of workers times one process's part of `at_once` (of `one`,
          with one worker): of cores times the networks' own speed, all cores being busy.
          `cpu_share` is the same of CPU times. Both have a form for the `graphs`

With --cluster the same command runs on a Ray cluster of one node that is started before.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import psutil
from common import make_parser, write_report

ROOT = Path(__file__).resolve().parent.parent
PICTURES = 16


def main() -> int:
    options = parse(sys.argv[1:])
    report = {"cores": os.cpu_count(), "engine": options.engine, "preset": options.preset}
    if options.seconds:
        cores = os.cpu_count() or 1
        report["networks"] = networks = {
            "one": measure_networks(options, 1),
            "at_once": measure_networks(options, cores),
        }
    report["runs"] = runs = []
    with cluster() if options.cluster else contextlib.nullcontext() as address:
        for workers in options.workers:
            run = measure_batch(options, workers, address)
            if options.seconds:
                alone = networks["one"] if workers == 1 else networks["at_once"]
                part = workers / (1 if workers == 1 else cores)
                for key, suffix in (("stylize", ""), ("graphs", "_of_graphs")):
                    run["share" + suffix] = round(run["steady"] / (part * alone[key]), 3)
                    run["cpu_share" + suffix] = round(alone["cpu"][key] / run["cpu"], 3)
            runs.append(run)
    write_report(report, options.out)
    return 0


def parse(words: list[str]) -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--content-path", required=True, help="folder of photographs of one size")
    parser.add_argument("--style-path", default=str(ROOT / "images/paintings"), help="styles")
    parser.add_argument("--preset", default="adain_fast", help="weights")
    parser.add_argument("--engine", default="mnn", help="engine")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers to try")
    parser.add_argument("--cluster", action="store_true", help="on a Ray cluster of one node")
    parser.add_argument("--supersample", type=int, default=512, help="as in adain batch")
    parser.add_argument("--skip", type=float, default=5.0, help="seconds that are not `steady`")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="for the networks alone (0: leave them out)"
    )
    parser.add_argument("--out", help="file for the report (default: standard output)")
    return parser.parse_args(words)


# === The networks alone ===


def measure_networks(options: argparse.Namespace, processes: int) -> dict:
    """Pictures a second of all processes together, and CPU for each."""
    context = multiprocessing.get_context("spawn")
    ready, found = context.Barrier(processes), context.Queue()
    started = [
        context.Process(target=run_networks, args=(options, ready, found)) for _ in range(processes)
    ]
    for process in started:
        process.start()
    measured = [found.get() for _ in started]
    for process in started:
        process.join()
    return {
        **{key: round(sum(each[key] for each in measured), 2) for key in ("stylize", "graphs")},
        "cpu": {
            key: round(sum(each["cpu"][key] for each in measured) / processes, 2)
            for key in ("stylize", "graphs")
        },
    }


def run_networks(options: argparse.Namespace, ready, found) -> None:
    import cv2

    from adain import load_image
    from adain.engines.registry import load_stylizer
    from adain.stylize.sizes import LEAST

    cv2.setNumThreads(1)
    stylizer = load_stylizer(options.preset, options.engine, threads=1)
    paths = sorted(Path(options.content_path).iterdir())
    photos = [as_painted(load_image(path), options.supersample) for path in paths[:PICTURES]]
    if len(paths) >= LEAST:  # As the command does.
        stylizer.prepare(*photos[0].shape[:2])
    code = stylizer.encode_style(photos[0])
    inside = {"wall": 0.0, "cpu": 0.0}

    def timed(call):
        def run(*arguments, **named):
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return call(*arguments, **named)
            finally:
                inside["wall"] += time.perf_counter() - wall
                inside["cpu"] += time.thread_time() - cpu

        return run

    stylizer._encode, stylizer._decode = timed(stylizer._encode), timed(stylizer._decode)
    for photo in photos[:4]:
        stylizer.stylize(photo, code)
    ready.wait()
    inside.update(wall=0.0, cpu=0.0)
    begun, cpu, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < options.seconds:
        stylizer.stylize(photos[count % len(photos)], code)
        count += 1
    found.put({
        "stylize": count / (time.perf_counter() - begun),
        "graphs": count / inside["wall"],
        "cpu": {
            "stylize": 1000 * (time.process_time() - cpu) / count,
            "graphs": 1000 * inside["cpu"] / count,
        },
    })  # fmt: skip


def as_painted(photo, supersample: int):
    """A photo at the size and depth at which the command paints it."""
    from adain.imaging.io import resize_image, to_depth
    from adain.inference.supersample import painted_size

    size = painted_size(*photo.shape[:2], supersample)
    return photo if size == photo.shape[:2] else resize_image(to_depth(photo, "uint16"), size)


# === The whole command ===


def measure_batch(options: argparse.Namespace, workers: int, address: str | None) -> dict:
    """One run into a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        words = [sys.executable, "-m", "adain", "batch", "--quiet", "--out-path", str(out)]
        words += ["--content-path", options.content_path, "--style-path", options.style_path]
        words += ["--checkpoint", options.preset, "--engine", options.engine]
        words += ["--workers", str(workers), *(["--cluster", address] if address else [])]
        words += ["--supersample", str(options.supersample)]
        # Files' times and this clock are the same.
        begun = time.time()
        command = subprocess.Popen(words, cwd=ROOT)
        # (time, seconds of CPU of all processes); what has ended is not counted any more.
        samples = [(begun, 0.0)]
        while command.poll() is None:
            time.sleep(0.25)
            samples.append((time.time(), max(samples[-1][1], cpu_of(command.pid, address))))
        end = time.time()
        if command.returncode:
            raise SystemExit(f"adain batch ended with {command.returncode}")
        times = sorted(path.stat().st_mtime for path in out.iterdir() if path.is_file())
    late = [moment for moment in times if moment > begun + options.skip]
    first, *_ = [sample for sample in samples if sample[0] > begun + options.skip] or samples[-1:]
    last = [sample for sample in samples if sample[0] < times[-1]][-1]
    between = sum(first[0] < moment <= last[0] for moment in times)
    return {
        "workers": workers,
        "pictures": len(times),
        "seconds": round(end - begun, 2),
        "first": round(times[0] - begun, 2),
        "whole": round(len(times) / (end - begun), 2),
        "steady": round(len(late) / (times[-1] - begun - options.skip), 2) if late else 0.0,
        "cpu": round(1000 * (last[1] - first[1]) / between, 2) if between else math.nan,
    }


def cpu_of(pid: int, address: str | None) -> float:
    """Seconds of CPU of a process and all that it started; on a cluster, of all of this machine."""
    if address:
        busy = psutil.cpu_times()
        return busy.user + busy.system
    total = 0.0
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                used = process.cpu_times()
                total += used.user + used.system
    return total


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """A Ray cluster of one node on this machine; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Paths of sockets are short.
    folder = tempfile.mkdtemp(prefix="ray")
    words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    words += ["--port", str(port), "--node-ip-address", "127.0.0.1", "--temp-dir", folder]
    words += ["--include-dashboard", "false", "--disable-usage-stats"]
    node = subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(120):
            time.sleep(0.5)
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
        time.sleep(5)
        yield f"127.0.0.1:{port}"
    finally:
        # With all that it started; asked to end, it would wait half a minute for them.
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
