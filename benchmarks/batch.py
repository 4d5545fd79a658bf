"""Measure `adain batch` on this machine, alone or as a Ray cluster, beside its networks alone.

    python benchmarks/batch.py --content-path PHOTOS --workers 1 2
    python benchmarks/batch.py --content-path PHOTOS --workers 1 2 --cluster

networks  pictures a second of the networks alone, with one thread in each process: `one` process,
          and as many as there are cores `at_once`, which share caches, memory and clock
runs      of each number of workers: `whole` is pictures a second from the start of the command to
          its end, `steady` without the first `--skip` seconds, and `share` steady as a share of
          workers times `one`

With --cluster the same command runs on a Ray cluster of one node that is started before.
"""

from __future__ import annotations

import argparse
import contextlib
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

from common import make_parser, write_report

ROOT = Path(__file__).resolve().parent.parent
PICTURES = 16


def main() -> int:
    options = parse(sys.argv[1:])
    report = {"cores": os.cpu_count(), "engine": options.engine, "preset": options.preset}
    if options.seconds:
        one = measure_networks(options, 1)
        cores = os.cpu_count() or 1
        report["networks"] = {"one": one, "at_once": measure_networks(options, cores)}
    report["runs"] = runs = []
    with cluster() if options.cluster else contextlib.nullcontext() as address:
        for workers in options.workers:
            run = measure_batch(options, workers, address)
            if options.seconds:
                run["share"] = round(run["steady"] / (workers * one), 3)
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
    parser.add_argument("--skip", type=float, default=5.0, help="seconds that are not `steady`")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="for the networks alone (0: leave them out)"
    )
    parser.add_argument("--out", help="file for the report (default: standard output)")
    return parser.parse_args(words)


# === The networks alone ===


def measure_networks(options: argparse.Namespace, processes: int) -> float:
    """Pictures a second of all processes together."""
    context = multiprocessing.get_context("spawn")
    ready, rates = context.Barrier(processes), context.Queue()
    started = [
        context.Process(target=run_networks, args=(options, ready, rates)) for _ in range(processes)
    ]
    for process in started:
        process.start()
    total = sum(rates.get() for _ in started)
    for process in started:
        process.join()
    return round(total, 2)


def run_networks(options: argparse.Namespace, ready, rates) -> None:
    from adain import load_image
    from adain.engines.registry import load_stylizer

    stylizer = load_stylizer(options.preset, options.engine, threads=1)
    photos = [load_image(path) for path in sorted(Path(options.content_path).iterdir())[:PICTURES]]
    code = stylizer.encode_style(photos[0])
    for photo in photos[:4]:
        stylizer.stylize(photo, code)
    ready.wait()
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < options.seconds:
        stylizer.stylize(photos[count % len(photos)], code)
        count += 1
    rates.put(count / (time.perf_counter() - begun))


# === The whole command ===


def measure_batch(options: argparse.Namespace, workers: int, address: str | None) -> dict:
    """One run into a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        words = [sys.executable, "-m", "adain", "batch", "--quiet", "--out-path", str(out)]
        words += ["--content-path", options.content_path, "--style-path", options.style_path]
        words += ["--checkpoint", options.preset, "--engine", options.engine]
        words += ["--workers", str(workers), *(["--cluster", address] if address else [])]
        # Files' times and this clock are the same.
        begun = time.time()
        subprocess.run(words, check=True, cwd=ROOT)
        end = time.time()
        times = sorted(path.stat().st_mtime for path in out.iterdir() if path.is_file())
    late = [moment for moment in times if moment > begun + options.skip]
    return {
        "workers": workers,
        "pictures": len(times),
        "seconds": round(end - begun, 2),
        "first": round(times[0] - begun, 2),
        "whole": round(len(times) / (end - begun), 2),
        "steady": round(len(late) / (times[-1] - begun - options.skip), 2) if late else 0.0,
    }


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
