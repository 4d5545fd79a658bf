"""What a data set costs on many machines: a plan from measured times, and a simulation of it.

    python benchmarks/cluster_plan.py --pictures 1e6 --machines 1 8 64
    python benchmarks/cluster_plan.py --pictures 1e9 --machines 64 512 --unit 2048 --lost 2

The plan divides: pictures by pictures a second. The simulation hands units of pictures to
whichever core is free, as Ray does, with times that vary, machines that start one after another
and some that are lost, whose units are done again; then it joins shards. Where both differ, units
are too few or too large.

Times are those that `adain batch --plan` measured; the defaults are adain_fast with OpenVINO at
512 x 512 on two cores, files and all (docs/batch.md, "Speed").
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys

import numpy as np


def simulate(
    units: int,
    seconds: float,
    machines: int,
    cores: int,
    *,
    start: float = 0.0,
    spread: float = 0.0,
    lost: float = 0.0,
    join: float = 0.0,
    seed: int = 0,
) -> float:
    """Seconds until all units are done.

    Args:
        units: How many.
        seconds: What one takes on one core, on average.
        machines, cores: How many, and cores of each.
        start: Seconds from a machine's start, or its loss, to its first unit.
        spread: Standard deviation of a unit's time, as a share of its mean.
        lost: Machines that are lost in 100 hours of one machine.
        join: Seconds to join shards at the end, in all.
        seed: Of times and losses.
    """
    rng = np.random.default_rng(seed)
    rate = lost / 360_000
    # Machines start within a minute, or at once if there is one.
    begin = start + rng.uniform(0, 60, machines) * (machines > 1 and start > 0)
    dies = rng.exponential(1 / rate, machines) if rate else np.full(machines, np.inf)
    free = [(begin[machine], machine) for machine in range(machines) for _ in range(cores)]
    heapq.heapify(free)
    left, end = units, 0.0
    while left:
        now, machine = heapq.heappop(free)
        took = seconds
        if spread:
            took *= rng.gamma(1 / spread**2, spread**2)
        if dies[machine] <= now + took:
            # What its other cores have under way is done by the time it is noticed, or again: at
            # most a unit a core, which is what is lost here.
            back = max(dies[machine], now) + start
            heapq.heappush(free, (back, machine))
            if back > dies[machine] and now <= dies[machine]:
                left += cores - 1
            dies[machine] = back + rng.exponential(1 / rate)
            continue
        left -= 1
        end = max(end, now + took)
        heapq.heappush(free, (now + took, machine))
    return end + join / machines


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=float, default=1e6)
    parser.add_argument("--rate", type=float, default=21.3, help="pictures a second of a machine")
    parser.add_argument("--cores", type=int, default=2, help="of a machine")
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--unit", type=int, default=32, help="pictures done at once")
    parser.add_argument("--start", type=float, default=30, help="seconds until a machine works")
    parser.add_argument("--spread", type=float, default=0.3, help="of times, as a share")
    parser.add_argument("--lost", type=float, default=0.5, help="machines in 100 machine-hours")
    parser.add_argument("--kib", type=float, default=100, help="of one result")
    parser.add_argument("--disk", type=float, default=200, help="MiB a second, to join shards")
    parser.add_argument("--price", type=float, default=0.10, help="of a machine for an hour")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(words)
    units = -(-int(options.pictures) // options.unit)
    size = options.pictures * options.kib / 1024
    lines = []
    for machines in options.machines:
        planned = options.start + options.pictures / options.rate / machines
        found = simulate(
            units, options.unit * options.cores / options.rate, machines, options.cores,
            start=options.start, spread=options.spread, lost=options.lost,
            join=2 * size / options.disk, seed=options.seed,
        )  # fmt: skip
        lines.append(
            {
                "machines": machines,
                "planned_hours": round(planned / 3600, 2),
                "simulated_hours": round(found / 3600, 2),
                "machine_hours": round(machines * found / 3600, 1),
                "cost": round(machines * found / 3600 * options.price, 2),
                "gib_written": round(size / 1024, 1),
                "mib_a_second_written": round(size / found, 1),
            }
        )
    json.dump({"settings": vars(options), "plans": lines}, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
