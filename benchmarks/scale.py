"""Time an epoch of the fast solvers from one million to a hundred million ratings, and compare with the machine.

    python benchmarks/scale.py                                   (or: make bench-scale)
    python benchmarks/scale.py --sizes 1M,100M --solvers cd,als --threads 1,2

An epoch should cost a time in proportion to the ratings. It does as long as the rows that it needs are near: so the
nanoseconds per rating are shown, and their growth is what larger factors, caches being what they are, cost.

- Every size and solver is measured in a process of its own (scale_worker.py), after a first one has filled the cache of
  compiled kernels: so neither compilation nor a neighbour's memory is in the numbers.
- Reported are medians over epochs, in which the numbers of threads take turns.
- How far from the machine's limits that is, roofline.py knows.

Writes scale.json, scale.md, scale.png and roofline.png; after Ctrl-C, with what there is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import output
from matplotlib.figure import Figure
from output import say
from roofline import FORMULAS, WORK, Point, Roofs, draw_roofline, measure_roofs

from nmf_scratch.plots import style as looks

SHAPES = {"1M": (20_000, 4_000), "10M": (70_000, 10_000), "20M": (138_000, 27_000), "100M": (480_000, 18_000)}
"""Users and items; those of MovieLens 10M and 20M and of the Netflix prize."""

COMPILING = {"n_users": 4_000, "n_items": 2_000, "n_ratings": 600_000}
"""Ratings that make every kernel compile: fewer would be sorted on one thread."""

BYTES_PER_RATING = 12
Record = dict[str, Any]


class MeasurementError(Exception):
    """A process failed; the text says how."""


class Scale:
    """The options of a run, and what it found so far."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.roofs: dict[int, Roofs] = {}
        self.records: list[Record] = []
        self.missing: list[str] = []

    def ask(self, task: str, folder: Path, **job: Any) -> Record:
        """Let a process do a job, and return its answer."""
        command = [sys.executable, str(output.SOURCE / "scale_worker.py"), task, str(folder), json.dumps(job)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"])[-1]
            raise MeasurementError(last)
        return json.loads(done.stdout)

    def time(self, folder: Path, solver: str, epochs: int) -> Record:
        """Time one solver."""
        options = self.options
        job = {"rank": options.rank, "threads": options.threads, "patience": options.patience}
        return self.ask("time", folder, solver=solver, epochs=epochs, **job)


# ---- the measurements


def run(scale: Scale) -> None:
    """Measure the machine, then size by size each solver."""
    options = scale.options
    say(f"the machine, {' and '.join(map(str, options.threads))} thread(s)")
    scale.roofs = measure_roofs(options.threads, seconds=0.3 if options.quick else 1.0)
    say("\n".join(f"  {n} thread(s): {in_words(roofs)}" for n, roofs in scale.roofs.items()))
    if not options.quick:
        compile_all(scale)
    for size in options.sizes:
        try:
            folder = ratings_of(scale, size)
        except MeasurementError as error:
            give_up(scale, f"{size}: {error}")
            continue
        for solver in options.solvers:
            measure(scale, folder, size, solver)


def compile_all(scale: Scale) -> None:
    """Fill the cache of compiled kernels."""
    folder = scale.folder / "compiling"
    scale.ask("make", folder, **COMPILING)
    for solver in list(scale.options.solvers):
        say(f"compiling {solver}")
        try:
            scale.time(folder, solver, epochs=1)
        except MeasurementError as error:
            scale.options.solvers.remove(solver)
            give_up(scale, f"{solver}: {error}")


def ratings_of(scale: Scale, size: str) -> Path:
    """Return the folder of the ratings of one size; make them unless they are there from an earlier run."""
    n_users, n_items = SHAPES[size]
    folder = (scale.options.data or scale.folder) / f"synthetic-{size}"
    if not (folder / "shape.json").exists():
        made = scale.ask("make", folder, n_users=n_users, n_items=n_items, n_ratings=millions(size))
        say(f"{made['ratings']:,} ratings made in {made['seconds']:.1f} s, at most {made['peak'] / 1e6:,.0f} MB")
    return folder


def millions(size: str) -> int:
    return int(size.removesuffix("M")) * 1_000_000


def measure(scale: Scale, folder: Path, size: str, solver: str) -> None:
    """Time one solver on one size, note it, and say so."""
    try:
        found = scale.time(folder, solver, scale.options.epochs)
    except MeasurementError as error:
        return give_up(scale, f"{solver} on {size}: {error}")
    for n_threads, seconds in found.pop("seconds").items():
        record = {"size": size, "solver": solver, "rank": scale.options.rank, "threads": int(n_threads)}
        scale.records.append({**record, **found, "seconds": [round(each, 6) for each in seconds]})
        speed = f"{nanoseconds(scale.records[-1]):.1f} ns per rating"
        say(f"  {size:>4} {solver:9} {n_threads} thread(s): {median(seconds):.4f} s per epoch, {speed}")
    return None


def give_up(scale: Scale, reason: str) -> None:
    """Note what cannot be measured, and why."""
    scale.missing.append(reason)
    say(f"  not measured: {reason}")


def nanoseconds(record: Record) -> float:
    """Return the median time of an epoch per rating."""
    return 1e9 * median(record["seconds"]) / record["ratings"]


# ---- the report


def report(scale: Scale) -> None:
    """Write everything that was measured."""
    results = scale.options.output
    results.mkdir(parents=True, exist_ok=True)
    about = output.facts(" ".join(["make bench-scale", *arguments()]))
    roofs = {str(n): found._asdict() for n, found in scale.roofs.items()}
    content = {**about, "roofs": roofs, "missing": scale.missing, "records": scale.records}
    output.write(results / "scale.json", json.dumps(content, indent=1) + "\n")
    output.write(results / "scale.md", markdown(about, scale))
    output.write_figure(results / "scale.png", draw(scale.records))
    points = points_of_largest(scale.records)
    size, rank = scale.records[-1]["size"], scale.records[-1]["rank"]
    figure = draw_roofline(scale.roofs, points, f"Epochs below the roofline: {size} ratings, rank {rank}")
    output.write_figure(results / "roofline.png", figure)
    say(f"written: {results.name}/scale.md, scale.json, scale.png, roofline.png")


def arguments() -> list[str]:
    """Return how the Makefile passes on the arguments; where the results went is nobody's business."""
    given, kept = iter(sys.argv[1:]), []
    for argument in given:
        if argument in ("--data", "--output"):
            next(given, None)
        elif not argument.startswith(("--data=", "--output=")):
            kept.append(argument)
    return [f'ARGS="{" ".join(kept)}"'] if kept else []


def markdown(about: Record, scale: Scale) -> str:
    """Return the report."""
    parts = [
        "# Epochs from a million to a hundred million ratings",
        output.preface(about),
        *(["Not measured:\n\n" + "\n".join(f"- {reason}" for reason in scale.missing)] if scale.missing else []),
        "## Time and memory",
        f"Synthetic ratings, long-tailed, {BYTES_PER_RATING} bytes each; rank {scale.options.rank}, no biases, "
        "float32. Medians over epochs, compilation excluded. Set-up sorts and copies what epochs need, on all threads. "
        "Memory is the peak of a process that does nothing else, Python and libraries included."
        + (" In this quick run set-up and memory also hold the compiler." if scale.options.quick else ""),
        time_table(scale.records, scale.options.threads),
        "![Seconds per epoch against ratings](scale.png)",
        "## How far from the machine's limits",
        "Attained by Numba kernels in the same run:",
        roof_table(scale.roofs),
        "At least needed per rating and epoch (k columns; rows: users and items per rating). A bound is the longest of "
        "the times for operations, cache bytes and memory bytes; `benchmarks/roofline.py` has the reasoning.",
        output.table(5, ["solver", "operations", "cache bytes", "memory bytes", "why"], FORMULAS),
        share_table(scale.records, scale.roofs),
        "![Roofline](roofline.png)",
        "A ring is a solver's bound, a dot what it attained, on the largest size; in percent, how much of the bound.",
    ]
    return "\n\n".join(parts) + "\n"


def time_table(records: list[Record], n_threads: list[int]) -> str:
    """Return one line per size and solver."""
    heads = ["ratings", "users × items", "solver", "set-up, s"]
    heads += [f"s per epoch, {n} thread(s)" for n in n_threads] + [f"ns per rating, {n} thread(s)" for n in n_threads]
    heads += ["speed-up", "peak, MB", "peak, bytes per rating"]
    return output.table(3, heads, (time_row(group, n_threads) for group in by_problem(records)))


def by_problem(records: list[Record]) -> list[dict[int, Record]]:
    """Return the records of each size and solver, by number of threads."""
    groups: dict[tuple[str, str], dict[int, Record]] = {}
    for record in records:
        groups.setdefault((record["size"], record["solver"]), {})[record["threads"]] = record
    return list(groups.values())


def time_row(group: dict[int, Record], n_threads: list[int]) -> list[str]:
    """Return one line of the table of time and memory."""
    some = group[n_threads[0]]
    shape = f"{some['users']:,} × {some['items']:,}"
    seconds = [median(group[n]["seconds"]) for n in n_threads]
    cells = [some["size"], shape, f"`{some['solver']}`", f"{some['setup']:.2f}", *(f"{each:.4g}" for each in seconds)]
    cells += [f"{nanoseconds(group[n]):.1f}" for n in n_threads]
    speed_up = f"{seconds[0] / seconds[-1]:.2f}"
    return [*cells, speed_up, f"{some['peak'] / 1e6:,.0f}", f"{some['peak'] / some['ratings']:,.0f}"]


def in_words(roofs: Roofs) -> str:
    """Return what is attained, for the log."""
    cells = zip(Roofs._fields, roofs, ("Gflop/s", "Gflop/s", "GB/s", "GB/s"), strict=True)
    return ", ".join(f"{name} {value / 1e9:.1f} {unit}" for name, value, unit in cells)


def roof_table(roofs: dict[int, Roofs]) -> str:
    """Return what the machine attains."""
    heads = ["threads", "float32, Gflop/s", "float64, Gflop/s", "cache, GB/s", "memory, GB/s"]
    return output.table(0, heads, ([n, *(f"{value / 1e9:.1f}" for value in found)] for n, found in roofs.items()))


def share_table(records: list[Record], roofs: dict[int, Roofs]) -> str:
    """Return the share of its bound that each solver reaches."""
    heads = ["ratings", "solver", "bound by", "threads", "operations", "cache bytes", "memory bytes"]
    heads += ["Gflop/s", "bound, ns per rating", "measured, ns per rating", "share"]
    rows = (share_row(record, roofs[record["threads"]]) for record in records if record["solver"] in WORK)
    return output.table(3, heads, rows)


def share_row(record: Record, roofs: Roofs) -> list[str]:
    """Return one line of the table of shares."""
    point = point_of(record)
    resource, bound = point.work.bound(roofs)
    counts = (f"{count:,.0f}" for count in (point.work.flops, point.work.cache, point.work.memory))
    measured = [f"{point.work.flops / point.seconds / 1e9:.1f}", f"{1e9 * bound:.2f}", f"{1e9 * point.seconds:.2f}"]
    problem = [record["size"], f"`{record['solver']}`", resource, str(record["threads"])]
    return [*problem, *counts, *measured, f"**{bound / point.seconds:.0%}**"]


def point_of(record: Record) -> Point:
    """Return what a solver's epoch needs per rating, and takes."""
    rows = (record["users"] + record["items"]) / record["ratings"]
    work = WORK[record["solver"]](record["rank"], rows)
    return Point(record["solver"], work, nanoseconds(record) / 1e9)


def points_of_largest(records: list[Record]) -> dict[int, list[Point]]:
    """Return the points of the last size measured, by number of threads."""
    points: dict[int, list[Point]] = {}
    for record in records:
        if record["size"] == records[-1]["size"] and record["solver"] in WORK:
            points.setdefault(record["threads"], []).append(point_of(record))
    return points


def draw(records: list[Record]) -> Figure:
    """Draw seconds per epoch against ratings, one panel per number of threads."""
    n_threads = sorted({record["threads"] for record in records})
    with looks.style():
        figure = looks.new_figure(11.0, 5.5)
        panels = figure.subplots(1, len(n_threads), sharey=True, squeeze=False)[0]
        for axes, n in zip(panels, n_threads, strict=True):
            draw_panel(axes, [record for record in records if record["threads"] == n])
            axes.set(title=f"{n} thread(s), rank {records[0]['rank']}")
        panels[0].set_ylabel("seconds per epoch")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


def draw_panel(axes: Any, records: list[Record]) -> None:
    """Draw one panel, with what a time in proportion to the ratings would be: from each solver's smallest size on."""
    reach = np.array(sorted({record["ratings"] for record in records}), dtype=float)
    for number, solver in enumerate(dict.fromkeys(record["solver"] for record in records)):
        own = [(record["ratings"], median(record["seconds"])) for record in records if record["solver"] == solver]
        n_ratings, seconds = zip(*own, strict=True)
        line = reach * seconds[0] / n_ratings[0]
        axes.plot(reach, line, ":", color=looks.GREY, linewidth=1.2, label="" if number else "linear")
        axes.plot(n_ratings, seconds, marker="o", label=solver, **looks.solver_look(solver))
    looks.log_axis(axes.xaxis)
    looks.log_axis(axes.yaxis)
    axes.set(xlabel="ratings")
    axes.set_xticks(reach, dict.fromkeys(record["size"] for record in records))
    axes.minorticks_off()


# ---- the command


def parse() -> argparse.Namespace:
    """Read the command line; --quick only changes what is not given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", help=f"comma-separated, of {', '.join(SHAPES)}")
    parser.add_argument("--solvers", default=",".join(WORK), help="comma-separated")
    parser.add_argument("--threads", default="1,2", help="comma-separated")
    parser.add_argument("--epochs", type=int, help="timed epochs per number of threads")
    parser.add_argument("--rank", type=int, default=32, help="columns of the factors")
    parser.add_argument("--patience", type=float, default=120, help="seconds after which two epochs are enough")
    parser.add_argument(
        "--data", type=Path, help="folder that keeps the ratings, 1.2 GB for 100M; else a temporary one"
    )
    parser.add_argument("--output", type=Path, help="folder of the results")
    parser.add_argument(
        "--quick", action="store_true", help="one million only, in under a minute; results in runs/scale"
    )
    options = parser.parse_args()
    complete(parser, options)
    return options


def complete(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Fill in what was not given, and refuse what cannot be."""
    options.sizes = options.sizes or ("1M" if options.quick else ",".join(SHAPES))
    options.epochs = options.epochs or (3 if options.quick else 5)
    options.output = options.output or (output.QUICK_RESULTS / "scale" if options.quick else output.RESULTS)
    for name, known in (("sizes", SHAPES), ("solvers", WORK)):
        chosen = getattr(options, name).split(",")
        setattr(options, name, sorted(chosen, key=list(known).index) if set(chosen) <= set(known) else chosen)
        for choice in set(chosen) - set(known):
            parser.error(f"--{name}: {choice!r} is none of {', '.join(known)}")
    if not all(text.isdigit() and int(text) for text in options.threads.split(",")):
        parser.error(f"--threads must be positive numbers, comma-separated, got {options.threads!r}")
    options.threads = sorted({min(int(text), os.cpu_count() or 1) for text in options.threads.split(",")})
    for name in ("epochs", "rank"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")


def main() -> None:
    """Measure; write what there is, even after Ctrl-C."""
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NUMBA_CACHE_DIR"] = str(Path(folder) / "kernels")  # so that nothing stale is timed
        scale = Scale(options, Path(folder))
        try:
            run(scale)
        except KeyboardInterrupt:
            say("interrupted: writing what there is")
    if not scale.records:
        sys.exit("scale: nothing was measured")
    report(scale)


if __name__ == "__main__":
    main()
