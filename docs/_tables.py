"""Tables that pages do not write by hand: from the registry of solvers and from stored measurements.

    python docs/_tables.py

writes each table between its markers, wherever a page of docs/ has them:

    <!-- table: solvers -->
    <!-- end of table -->
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.append(str(ROOT / "benchmarks"))

import lists  # noqa: E402
import output  # noqa: E402
import peers  # noqa: E402
from roofline import Roofs  # noqa: E402
from scale import nanoseconds, point_of  # noqa: E402

from nmf_scratch.solvers import SOLVERS  # noqa: E402

PLACE = re.compile(r"(<!-- table: ([a-z]+) -->\n).*?(<!-- end of table -->)", re.S)
ACCURACY = re.compile(r"^\| NMF, `([\w-]+)` \| \**([\d.]+)", re.M)
RANK = 64
"""The rank at which the table of solvers shows speed."""


def stored(name: str) -> dict[str, Any]:
    """Return what `make bench…` stored last."""
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return found


# ---- choosing a solver


def errors() -> dict[str, float]:
    """Return the RMSE of each solver on the folds of MovieLens 100K, as `make results` wrote it into the README."""
    return {name: float(rmse) for name, rmse in ACCURACY.findall((ROOT / "README.md").read_text(encoding="utf-8"))}


def seconds_per_epoch() -> dict[str, float]:
    """Return the seconds of an epoch of each solver on a million ratings, as `make bench` stored them."""
    found = stored("bench")["benchmarks"]
    return {name: found[f"epoch[{name}-{RANK}]"]["seconds"] for name in SOLVERS}


def solver_table() -> str:
    """Return a line per solver: what it declares, how well it does, how long it takes."""
    heads = ["solver", "what it is", "never rises", "random order", "threads", "β", "epochs", "RMSE"]
    rows = (solver_row(name, errors()[name], seconds) for name, seconds in seconds_per_epoch().items())
    return output.table(6, [*heads, "ms per epoch", "s per fit"], rows)


def solver_row(name: str, error: float, seconds: float) -> list[object]:
    """Return one line of the table of solvers."""
    solver = SOLVERS[name]
    path = f"../../src/{solver.__module__.replace('.', '/')}.py"
    low, high = solver.losses
    beta = f"{low:g}" if low == high else f"{low:g} … {high:g}"
    promises = [yes(solver.monotone), yes(solver.stochastic), "all" if solver.parallel else "one"]
    what = (solver.__doc__ or "").splitlines()[0].rstrip(".")
    epochs = solver.defaults.max_iter
    speed = [f"{1e3 * seconds:.0f}", f"{seconds * epochs:.1f}"]
    return [f"[`{name}`]({path})", what, *promises, beta, epochs, f"{error:.4f}", *speed]


def yes(flag: bool) -> str:
    return "yes" if flag else ""


def advice() -> str:
    """Return what the table says, in sentences."""
    error, seconds = errors(), seconds_per_epoch()
    fits = {name: seconds[name] * solver.defaults.max_iter for name, solver in SOLVERS.items()}
    calm = [name for name, solver in SOLVERS.items() if not solver.stochastic]
    losses = [f"`{name}`" for name, solver in SOLVERS.items() if solver.losses[0] < solver.losses[1]]
    lines = [
        f"The lowest error is that of `{least(error)}`, the shortest fit that of `{least(fits)}`.",
        f"Of the solvers without chance in their order, `{least(error, calm)}` has the lowest error and "
        f"`{least(fits, calm)}` the shortest fit.",
        f"Losses other than squared error: {', '.join(losses)}.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def least(numbers: dict[str, float], among: Iterable[str] | None = None) -> str:
    return min(numbers if among is None else among, key=lambda name: numbers[name])


def defaults_table() -> str:
    """Return what becomes of the validation scores if one of the shared parameters is changed."""
    measures = {"rmse": "{:.4f}", "ndcg": "{:.3f}", "rare": "{:.1%}"}
    heads = [f"{name}, {data}" for name in ("RMSE", "nDCG@10", "rare") for data in ("100k", "small")]
    rows = []
    for key, by_data in stored("defaults/shared").items():
        solver, *setting = key.split()
        changed = [part for part in setting if not part.startswith("alpha=")]
        numbers = [form.format(scores[name]) for name, form in measures.items() for scores in by_data.values()]
        rows.append([f"`{solver}`", f"`{changed[-1]}`" if changed else "nothing", *numbers])
    return output.table(2, ["solver", "changed", *heads], rows)


# ---- beside other libraries


def speed_table() -> str:
    """Return a line per library: its speed, and how many times as fast the solver of ours is that does the same."""
    found = stored("peers")
    records = peers.table(found["records"])
    epochs = records[(records["measure"] == "epoch") & (records["rank"] == peers.SLOW_RANK)]
    heads = ["library", "threads", "its million ratings per second", "ours", "ours, million per second", "ratio"]
    rows = []
    for threads, group in epochs.groupby("threads"):
        for name in peers.RATED_AGAINST:
            if name in set(group["library"]):
                rows.append(speed_row(found, group, name, f"{threads:.0f}"))
    return output.table(1, heads, rows)


def speed_row(found: dict[str, Any], group: Any, name: str, threads: str) -> list[str]:
    """Return one line of the table of speeds."""
    ours = peers.rival(name, group)
    speeds = [
        found["ratings"] / group.loc[group["library"] == library, "seconds"].median() / 1e6 for library in (name, ours)
    ]
    ratio = f"{peers.ratio(group, name, ours):.1f}×"
    title = f"{found['versions'][name]} ({name})"
    solver = f"`{ours.removesuffix('+biases')}`{' with biases' if '+' in ours else ''}"
    return [title, threads, f"{speeds[0]:.1f}", solver, f"{speeds[1]:.1f}", ratio]


def race_table() -> str:
    """Return seconds to the error of LIBMF's iteration 20, and the lowest error seen on the way."""
    records = peers.table(stored("peers")["records"])
    races = records[records["measure"] == "target"]
    rows = [[name, *peers.target_cells(races, name)[1:]] for name in dict.fromkeys(races["library"])]
    titles = [[peers.label(name), *cells] for name, *cells in rows]
    return output.table(1, ["library or solver", "seconds", "relative to LIBMF", "lowest RMSE seen"], titles)


def provenance() -> str:
    """Say where and with what the peers were measured."""
    found = stored("peers")
    return (
        f"One million synthetic ratings, rank {peers.SLOW_RANK}; {found['machine']}; `{found['command']}`; "
        f"medians of {found['rounds']} rounds in which the libraries take turns."
    )


# ---- scaling


def growth_table() -> str:
    """Return nanoseconds per rating and epoch on one thread, solver by size."""
    found = stored("scale")
    sizes = list(dict.fromkeys(record["size"] for record in found["records"]))
    rows = []
    for solver in dict.fromkeys(record["solver"] for record in found["records"]):
        own = [r for r in found["records"] if r["solver"] == solver and r["threads"] == 1]
        rows.append([f"`{solver}`", *(f"{nanoseconds(record):.0f}" for record in own)])
    return output.table(1, ["ns per rating", *sizes], rows)


def bound_table() -> str:
    """Return what each solver needs at least, and takes, per rating of the largest size on one thread."""
    found = stored("scale")
    roofs = Roofs(**found["roofs"]["1"])
    heads = ["solver", "bound by", "operations", "cache bytes", "memory bytes", "bound, ns", "measured, ns", "share"]
    last = [r for r in found["records"] if r["size"] == found["records"][-1]["size"] and r["threads"] == 1]
    return output.table(2, heads, (bound_row(record, roofs) for record in last))


def bound_row(record: dict[str, Any], roofs: Roofs) -> list[str]:
    """Return one line of the table of bounds."""
    point = point_of(record)
    resource, bound = point.work.bound(roofs)
    counts = [f"{count:,.0f}" for count in (point.work.flops, point.work.cache, point.work.memory)]
    times = [f"{1e9 * bound:.1f}", f"{1e9 * point.seconds:.1f}", f"{bound / point.seconds:.0%}"]
    return [f"`{record['solver']}`", resource, *counts, *times]


def memory_table() -> str:
    """Return the peak memory of a process per rating, in bytes, solver by size; and of the largest in gigabytes."""
    found = stored("scale")["records"]
    sizes = list(dict.fromkeys(record["size"] for record in found))
    rows = []
    for solver in dict.fromkeys(record["solver"] for record in found):
        own = [median(r["peak"] for r in found if r["solver"] == solver and r["size"] == size) for size in sizes]
        n = [next(r["ratings"] for r in found if r["size"] == size) for size in sizes]
        rows.append([f"`{solver}`", *(f"{a / b:.0f}" for a, b in zip(own, n, strict=True)), f"{own[-1] / 1e9:.1f}"])
    return output.table(1, ["bytes per rating", *sizes, f"GB at {sizes[-1]}"], rows)


# ---- writing


def lists_table() -> str:
    """Return the lists of other libraries beside ours, as `make bench-peers` measured them."""
    return lists.as_markdown(stored("lists"))


def huber_table() -> str:
    """Return the errors with and without a loss for outliers, as benchmarks/huber.py measured them."""
    found = stored("huber")
    rows = []
    for name, errors in found["rmse"].items():
        spread = stdev(errors) / len(errors) ** 0.5
        rows.append([name, f"{mean(errors):.4f} ± {spread:.4f}"])
    return output.table(1, ["solver", "RMSE on u1 to u5, mean ± standard error"], rows) + "\n\n" + huber_verdict(found)


def huber_verdict(found: dict[str, Any]) -> str:
    """Say what the table says of the hypothesis."""
    adam, long, plain, huber = (mean(errors) for errors in list(found["rmse"].values())[1:])
    gain = (plain - huber) / (long - adam)
    verdict = "so the hypothesis is not refuted" if gain > 0.5 else "so robustness is not the reason, or not most of it"
    return (
        f"A short memory lowers the error of `adam` by {long - adam:.4f}; Huber's loss changes that of `als` by "
        f"{huber - plain:+.4f}, {verdict} (`{found['command']}`)."
    )


def fuzz_table() -> str:
    """Return how many hostile inputs of each kind were tried, and what was found, as tests/fuzz.py counted them."""
    what = {
        "ratings": "ratings files: delimited, compressed, binary",
        "models": "model files: header, arrays, bytes changed",
        "archives": "zip archives, MovieLens folders, tables of items",
        "commands": "command lines",
    }
    counts = stored("fuzz")["kinds"]
    rows = [[what[kind], f"{count['inputs']:,}", f"{count['findings']:,}"] for kind, count in counts.items()]
    return output.table(1, ["what", "inputs", "neither a result nor an `InputError`"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "fuzz": fuzz_table,
    "huber": huber_table,
    "solvers": solver_table,
    "lists": lists_table,
    "advice": advice,
    "defaults": defaults_table,
    "speed": speed_table,
    "race": race_table,
    "provenance": provenance,
    "growth": growth_table,
    "bounds": bound_table,
    "memory": memory_table,
}
"""What a page may ask for, by the name in its marker."""


def filled(text: str) -> str:
    """Return a page with every table as it should be now."""
    return PLACE.sub(lambda place: f"{place[1]}\n{TABLES[place[2]]()}\n\n{place[3]}", text)


def main() -> None:
    """Fill in the tables of all pages."""
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        if filled(text) != text:
            output.write(path, filled(text))
            output.say(f"{path.relative_to(ROOT)} is written")


if __name__ == "__main__":
    main()
