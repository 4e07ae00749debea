"""Turn what pytest-benchmark measured into a small file, a table and a chart, and compare with the run before.

    pytest benchmarks --benchmark-only --benchmark-json=raw.json && python benchmarks/report.py raw.json
    (or: make bench, make bench-quick)

Kept are medians: a machine that does something else for a moment spoils a mean, and the least time is luck. A ratio is
new / old, so below 1 is faster. Ratios within some 10 % of 1 are noise on most machines; with another processor or on
a busy one, all of them are.

A run that lacks benchmarks which are stored (pytest was asked for some only) is compared, and not stored.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import output
from matplotlib.figure import Figure
from output import say

from nmf_scratch.plots import style as looks

GROUPS = ("reading", "encoding", "views", "epoch", "objective", "top-n")
COLOURS = dict(
    zip(GROUPS, (looks.SKY, looks.PURPLE, looks.GREEN, looks.BLUE, looks.VERMILION, looks.ORANGE), strict=True)
)
FASTER, SLOWER = 1 / 1.1, 1.1
"""Ratios between these are taken for noise."""

Run = dict[str, Any]


def condensed(raw: Run, command: str) -> Run:
    """Return what is kept of a run of pytest-benchmark: by name the group, seconds and things per second."""
    found = sorted(raw["benchmarks"], key=lambda one: (place_of(one["group"]), one["name"]))
    return {**output.facts(command), "benchmarks": {one["name"].removeprefix("bench_"): entry(one) for one in found}}


def place_of(group: str) -> int:
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


def entry(one: Run) -> Run:
    """Return what is kept of one benchmark."""
    speeds = {key: rounded(value) for key, value in one["extra_info"].items() if key.endswith("/s")}
    return {
        "group": one["group"],
        "seconds": rounded(one["stats"]["median"]),
        "rounds": one["stats"]["rounds"],
        **speeds,
    }


def rounded(number: float) -> float:
    """Return a number to four digits: there are no more in it."""
    return float(f"{number:.4g}")


def compare(new: Run, old: Run | None) -> None:
    """Note new / old for every benchmark that both have, and with what was compared."""
    if old is None:
        return
    new["compared_with"] = {key: old[key] for key in ("command", "date", "machine", "versions")}
    for name, found in new["benchmarks"].items():
        if name in old["benchmarks"]:
            found["ratio"] = rounded(found["seconds"] / old["benchmarks"][name]["seconds"])


def markdown(run: Run) -> str:
    """Return the report."""
    parts = [
        "# Benchmarks",
        output.preface(run),
        "On a million synthetic ratings; medians. A ratio is new / old: below 1 is faster.",
        compared(run),
        benchmark_table(run),
        "![Milliseconds of each benchmark](bench.png)",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def compared(run: Run) -> str:
    """Say what the ratios compare with."""
    old = run.get("compared_with")
    if old is None:
        return ""
    versions = ", ".join(f"{package} {number}" for package, number in old["versions"].items())
    elsewhere = "" if old["machine"] == run["machine"] else f" **On another machine**: {old['machine']}."
    return f"Compared with `{old['command']}` on {old['date']}: {versions}.{elsewhere}"


def benchmark_table(run: Run) -> str:
    """Return one line per benchmark."""
    rows = ([found["group"], f"`{name}`", *cells(found)] for name, found in run["benchmarks"].items())
    return output.table(2, ["group", "benchmark", "ms", "per second", "new / old"], rows)


def cells(found: Run) -> list[str]:
    """Return milliseconds, things per second, and the ratio, in bold if it is more than noise."""
    speeds = [f"{value:,.4g} {key.removesuffix('/s')}" for key, value in found.items() if key.endswith("/s")]
    ratio = found.get("ratio")
    shown = "" if ratio is None else f"{ratio:.2f}"
    bold = "" if ratio is None or FASTER < ratio < SLOWER else "**"
    return [f"{1e3 * found['seconds']:.4g}", ", ".join(map(in_millions, speeds)), f"{bold}{shown}{bold}"]


def in_millions(speed: str) -> str:
    """Write large numbers in millions: 12.3M ratings."""
    number, thing = speed.split(" ")
    value = float(number.replace(",", ""))
    return f"{value / 1e6:.1f}M {thing}" if value >= 1e6 else f"{value:,.0f} {thing}"


def draw(run: Run) -> Figure:
    """Draw a dot per benchmark at its milliseconds, and a ring at those of the run compared with."""
    names = list(run["benchmarks"])
    with looks.style():
        figure = looks.new_figure(9.0, 1.5 + 0.24 * len(names))
        axes = figure.subplots()
        for place, found in enumerate(run["benchmarks"].values()):
            draw_benchmark(axes, place, found)
        looks.log_axis(axes.xaxis)
        axes.set(xlabel="milliseconds; a ring is the run before", ylim=(len(names) - 0.5, -0.5))
        axes.set_yticks(range(len(names)), names, fontsize=9)
    return figure


def draw_benchmark(axes: Any, place: int, found: Run) -> None:
    """Draw one line of the chart."""
    new, colour = 1e3 * found["seconds"], COLOURS.get(found["group"], looks.GREY)
    if "ratio" in found:
        old = new / found["ratio"]
        axes.plot([old, new], [place, place], color=colour, linewidth=1.2)
        axes.plot(old, place, "o", color=colour, markerfacecolor="white", markersize=6)
    axes.plot(new, place, "o", color=colour, markersize=6)


def newest(*paths: Path) -> Run | None:
    """Return the first stored run that there is."""
    for path in paths:
        if path.exists():
            return json.loads(path.read_text(encoding="utf-8"))
    return None


def store(run: Run, folder: Path) -> None:
    """Write the file, the table and the chart."""
    folder.mkdir(parents=True, exist_ok=True)
    output.write(folder / "bench.json", json.dumps(run, indent=1) + "\n")
    output.write(folder / "bench.md", markdown(run))
    output.write_figure(folder / "bench.png", draw(run))
    say(f"written: {folder.name}/bench.md, bench.json, bench.png")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("raw", type=Path, help="what pytest --benchmark-json wrote")
    parser.add_argument("--quick", action="store_true", help="a quick run: stored in runs/bench")
    parser.add_argument("--output", type=Path, help="folder of the results")
    parser.add_argument("--force", action="store_true", help="store even if benchmarks of the stored run are missing")
    options = parser.parse_args()
    options.output = options.output or (output.QUICK_RESULTS / "bench" if options.quick else output.RESULTS)
    return options


def main() -> None:
    """Condense, compare, print, store."""
    options = parse()
    text = options.raw.read_text(encoding="utf-8")
    if not text:
        sys.exit("report: nothing was measured")
    run = condensed(json.loads(text), "make bench-quick" if options.quick else "make bench")
    stored = newest(options.output / "bench.json")
    compare(run, stored or newest(output.RESULTS / "bench.json"))
    print("\n\n".join(part for part in (compared(run), benchmark_table(run)) if part))
    missing = set(stored["benchmarks"]) - set(run["benchmarks"]) if stored else set()
    if missing and not options.force:
        return say(f"not stored: {len(missing)} stored benchmarks were not run; --force stores anyway")
    store(run, options.output)
    return None


if __name__ == "__main__":
    main()
