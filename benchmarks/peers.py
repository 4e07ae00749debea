"""Time nmf_scratch against other libraries, on the same ratings, ranks and threads, in turns.

    python benchmarks/peers.py --peers .venv-peers/bin/python      (or: make bench-peers)

How to be fair, in short:

- *One process each.* Every library runs in a process of its own (peer_worker.py), so that neither memory nor threads
  nor warmed caches are shared. A library that is missing or fails is named with its reason, and the rest goes on.
- *In turns.* Machines speed up and slow down by a third within minutes. So rounds go A B C A B C …, and what is
  reported of two libraries is the median of the ratios within a round, not the ratio of two distant measurements.
- *Set-up apart.* t(n₂ epochs) − t(n₁ epochs), over n₂ − n₁, is the time of an epoch; what remains of t(n₁) is set-up.
- *What counts is the error.* An epoch is not worth the same everywhere. So the time to a common validation RMSE is
  measured too: the one that LIBMF reaches in 20 iterations. Each library runs from scratch for 1, 2, 3, 5, … epochs
  until it is there, and the time is interpolated between the last two counts, on a logarithmic scale.

Writes peers.json (every single measurement), peers.md and peers.png into benchmarks/results, with --quick into
runs/peers; after Ctrl-C, with what there is. --choose measures no time: it shows how each library does with penalties
around its own in STRENGTHS of peer_worker.py.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import output
import pandas as pd
from matplotlib.figure import Figure
from output import row, say
from peer_worker import LIBRARIES, STRENGTHS, TOP_N_RANK, Data

from nmf_scratch.data.synthetic import planted_ratings
from nmf_scratch.plots import style as looks

FAMILIES = {
    "Stochastic gradients": (
        *("libmf", "sgd", "block-sgd"),
        *("cornac-mf", "surprise-svd", "sgd+biases", "block-sgd+biases"),
    ),
    "Multiplicative updates": ("cornac-nmf", "surprise-nmf", "mu"),
    "Least squares": ("cmfrec", "cd", "als"),
}
RATED_AGAINST = {
    "libmf": "block-sgd",
    "cornac-mf": "block-sgd+biases",
    "surprise-svd": "block-sgd+biases",
    "cornac-nmf": "mu",
    "surprise-nmf": "mu",
    "cmfrec": "als",
}
"""Which solver of ours a library is compared with: the one that does the same kind of work. On one thread `sgd` stands
in for `block-sgd`, which is the same but for the blocks that several threads need."""

SOLVERS = tuple(name for family in FAMILIES.values() for name in family)
SLOW = ("surprise-svd", "surprise-nmf")
"""Libraries that are timed at one rank and on one thread only: they loop over the ratings in Python."""

SLOW_RANK = 32
LADDER = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80)
TARGET_EPOCHS = 20
LARGEST_N, SEEN = 10, 144
SOURCE = Path(__file__).parent
Record = dict[str, Any]


class PeerError(Exception):
    """A library cannot be measured; the text says why."""


class Worker:
    """One library in a process of its own, that does one job at a time."""

    def __init__(self, library: str, data: Path, threads: int, python: str) -> None:
        self.library = library
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        command = [python, str(SOURCE / "peer_worker.py"), library, str(data), str(threads)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.errors, "text": True}
        try:
            self.process = subprocess.Popen(command, env=environment(threads), **pipes)
        except OSError as error:
            raise PeerError(f"cannot start {Path(python).name}: {error.strerror}") from None

    def ask(self, **job: Any) -> Record:
        """Do a job and return what came back."""
        with suppress(BrokenPipeError):  # then the answer, or its absence, says why
            print(json.dumps(job), file=self.process.stdin, flush=True)
        return self.answer()

    def answer(self) -> Record:
        """Return the next line that the process says."""
        line = self.process.stdout.readline()
        reply = json.loads(line) if line else {"error": f"died with status {self.process.wait()} {self.last_words()}"}
        if "error" in reply:
            raise PeerError(reply["error"])
        return reply

    def last_words(self) -> str:
        """Return the last line that the process wrote to standard error."""
        self.errors.seek(0)
        return (self.errors.read().strip().splitlines() or [""])[-1]

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self.process.kill()
        self.process.communicate()
        self.errors.close()


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a worker: its number of threads, and no thread that spins while others are timed."""
    pools = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    return {**os.environ, **{f"{pool}_NUM_THREADS": str(threads) for pool in pools}, "OMP_WAIT_POLICY": "passive"}


class Bench:
    """The options of a run, its measurements so far, and the libraries that could not be measured."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.records: list[Record] = []
        self.versions: dict[str, str] = {}
        self.missing: dict[str, str] = {}

    def wanted(self, names: Iterable[str]) -> list[str]:
        """Return those libraries that were asked for and have not failed."""
        return [name for name in names if name in self.options.only and name not in self.missing]

    @contextmanager
    def workers(self, names: Iterable[str], data: Path, threads: int) -> Iterator[dict[str, Worker]]:
        """Start libraries at once, wait until all are ready, and end them."""
        started: dict[str, Worker] = {}
        try:
            for name in self.wanted(names):
                self.attempt(name, lambda name=name: started.update({name: self.start(name, data, threads)}))
            for name, worker in list(started.items()):
                ready = self.attempt(name, worker.answer)
                self.versions[name] = ready["ready"] if ready else self.versions.get(name, "")
            yield {name: worker for name, worker in started.items() if name not in self.missing}
        finally:
            for worker in started.values():
                worker.close()

    def start(self, name: str, data: Path, threads: int) -> Worker:
        """Start a library, ours with this Python, others with theirs."""
        return Worker(name, data, threads, sys.executable if is_ours(name) else self.options.peers)

    def attempt(self, name: str, action: Any, *args: Any, **job: Any) -> Any:
        """Return what an action returns; if it fails, note why, and return None from now on."""
        if name in self.missing:
            return None
        try:
            return action(*args, **job)
        except PeerError as error:
            self.missing[name] = str(error)
            say(f"  {name}: {error}")
            return None

    def note(self, measure: str, library: str, **values: Any) -> None:
        """Add a measurement."""
        self.records.append({"measure": measure, "library": library, **values})


def is_ours(name: str) -> bool:
    return LIBRARIES[name][1] == "nmf-scratch"


# ---- the ratings


def make_ratings(path: Path, n_ratings: int) -> None:
    """Write ratings of 0.5 … 5 stars, long-tailed, rank 8 plus noise, and a tenth as many held out."""
    growth = (n_ratings / 1e6) ** 0.64  # 20 million ratings have the shape of MovieLens 20M
    shape = round(20_000 * growth), round(4_000 * growth)
    planted = planted_ratings(*shape, 8, n_ratings=round(1.1 * n_ratings), noise=0.0, random_state=0)
    rng = np.random.default_rng(0)
    noisy = 1.5 + 0.5 * planted.values + 0.8 * rng.standard_normal(len(planted.values))
    stars = np.clip(np.round(2 * noisy) / 2, 0.5, 5.0).astype(np.float32)
    held_out = hold_out(planted.users, planted.items, n_ratings // 10, rng)
    codes = planted.users.astype(np.int32), planted.items.astype(np.int32)
    columns = [column[part] for part in (~held_out, held_out) for column in (*codes, stars)]
    np.savez(path, **dict(zip(Data._fields, [*columns, np.array(shape)], strict=True)))


def hold_out(users: np.ndarray, items: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Mark n ratings at random, never the first one of a user or an item: everybody is known from training."""
    free = np.ones(len(users), dtype=bool)
    for codes in (users, items):
        free[np.unique(codes, return_index=True)[1]] = False
    held_out = np.zeros(len(users), dtype=bool)
    held_out[rng.permutation(np.flatnonzero(free))[:n]] = True
    return held_out


def make_seen(path: Path, n_users: int, n_items: int) -> None:
    """Write what users have seen, 144 items each at even distances, and no validation part."""
    rng = np.random.default_rng(0)
    seen = min(SEEN, n_items // 4)
    items = (np.arange(seen) + rng.random((n_users, seen))) * (n_items / seen)
    users = np.repeat(np.arange(n_users, dtype=np.int32), seen)
    values = np.ones(len(users), dtype=np.float32)
    nothing = [np.empty(0, dtype=np.int32)] * 3
    columns = [users, items.astype(np.int32).ravel(), values, *nothing, np.array((n_users, n_items))]
    np.savez(path, **dict(zip(Data._fields, columns, strict=True)))


# ---- the measurements


def measure_epochs(bench: Bench, data: Path) -> None:
    """Measure the time of an epoch, at every rank and number of threads."""
    for threads in bench.options.threads:
        for rank in bench.options.ranks:
            names = [name for name in SOLVERS if name not in SLOW or (rank, threads) == (SLOW_RANK, 1)]
            say(f"epochs: rank {rank}, {threads} thread(s)")
            with bench.workers(names, data, threads) as workers:
                time_epochs(bench, workers, rank, threads)


def time_epochs(bench: Bench, workers: dict[str, Worker], rank: int, threads: int) -> None:
    """Go through the libraries in turns, with one epoch and with as many as the budget allows."""
    counts = {name: bench.attempt(name, affordable, bench, worker, rank) for name, worker in workers.items()}
    for turn in range(bench.options.rounds):
        for name, worker in workers.items():
            if name not in bench.missing:
                times = bench.attempt(name, two_times, worker, rank, counts[name])
                if times:
                    bench.note("epoch", name, rank=rank, threads=threads, round=turn, **times)
    for name in workers:
        say(f"  {name:18} {summary(bench, name, rank, threads)}")


def affordable(bench: Bench, worker: Worker, rank: int) -> int:
    """Return how many epochs fit into the time for one measurement; this also warms the library up."""
    worker.ask(rank=rank, epochs=1)
    times = two_times(worker, rank, 2)
    return 1 + min(50, max(1, int(bench.options.budget / max(times["seconds"], 1e-3))))


def two_times(worker: Worker, rank: int, epochs: int) -> Record:
    """Return the seconds per epoch, and those of set-up."""
    one, many = (worker.ask(rank=rank, epochs=count)["seconds"] for count in (1, epochs))
    each = (many - one) / (epochs - 1)
    return {"seconds": each, "setup": one - each, "epochs": epochs}


def summary(bench: Bench, name: str, rank: int, threads: int) -> str:
    """Return the median seconds per epoch for the log."""
    same = {"measure": "epoch", "library": name, "rank": rank, "threads": threads}
    seconds = [record["seconds"] for record in bench.records if same.items() <= record.items()]
    return f"{median(seconds):.4f} s" if seconds else f"not measured: {bench.missing.get(name, '')}"


def measure_targets(bench: Bench, data: Path) -> None:
    """Measure the time to the error of LIBMF's twentieth iteration."""
    for threads in bench.options.threads:
        for rank in bench.options.target_ranks:
            names = [name for name in SOLVERS if name not in SLOW]
            with bench.workers(names, data, threads) as workers:
                if "libmf" in workers:
                    race(bench, workers, rank, threads)


def race(bench: Bench, workers: dict[str, Worker], rank: int, threads: int) -> None:
    """Find the two epoch counts between which each library gets there, then time these in turns."""
    climbs = {"libmf": climb(bench, "libmf", workers["libmf"], rank, target=0.0, most=TARGET_EPOCHS)}
    if "libmf" in bench.missing:
        return
    target = climbs["libmf"][TARGET_EPOCHS]
    say(f"time to RMSE {target:.4f}: rank {rank}, {threads} thread(s)")
    for name, worker in workers.items():
        if name != "libmf":
            climbs[name] = climb(bench, name, worker, rank, target, most=LADDER[-1])
    brackets = {name: bracket(errors, target) for name, errors in climbs.items()}
    for turn in range(bench.options.rounds):
        for name, counts in brackets.items():
            values = {"rank": rank, "threads": threads, "round": turn, "target": target}
            seconds = bench.attempt(name, cross, workers[name], rank, climbs[name], counts, target)
            bench.note("target", name, **values, seconds=seconds, best=min(climbs[name].values(), default=math.nan))
    for name, counts in brackets.items():
        say(f"  {name:18} {f'epochs {counts}' if counts else 'not reached'}")


def climb(bench: Bench, name: str, worker: Worker, rank: int, target: float, most: int) -> dict[int, float]:
    """Return the validation RMSE after 1, 2, 3, 5, … epochs, each from scratch, until the target or patience ends."""
    errors: dict[int, float] = {}
    for epochs in LADDER:
        reply = bench.attempt(name, worker.ask, rank=rank, epochs=epochs)
        if reply is None:
            return {}
        errors[epochs] = reply["rmse"]
        if reply["rmse"] <= target or epochs >= most or (target and reply["seconds"] > bench.options.patience):
            return errors
    return errors


def bracket(errors: dict[int, float], target: float) -> tuple[int, int] | None:
    """Return the first count that reaches the target and the one before it; None if there is none."""
    before = 0
    for epochs, error in errors.items():
        if error <= target:
            return before or epochs, epochs
        before = epochs
    return None


def cross(
    worker: Worker, rank: int, errors: dict[int, float], counts: tuple[int, int] | None, target: float
) -> float | None:
    """Time the two counts and interpolate log(seconds) where the error passes the target."""
    if counts is None:
        return None
    low, high = (worker.ask(rank=rank, epochs=count)["seconds"] for count in counts)
    if counts[0] == counts[1]:
        return min(low, high)
    share = (errors[counts[0]] - target) / (errors[counts[0]] - errors[counts[1]])
    return low * (high / low) ** share if math.isfinite(share) else high


def measure_memory(bench: Bench, data: Path) -> None:
    """Measure what a fit adds to the memory of a process that has done nothing else, each library in a new one."""
    rank = max(bench.options.target_ranks)
    say(f"memory: rank {rank}")
    for name in bench.wanted(SOLVERS):
        with bench.workers([name], data, 1) as workers:
            for worker in workers.values():
                reply = bench.attempt(name, worker.ask, rank=rank, epochs=3)
                if reply:
                    bench.note("memory", name, rank=rank, bytes=reply["peak"])


def measure_zeros(bench: Bench, data: Path) -> None:
    """Measure the error of the model that takes unknown ratings for zeros."""
    say("scikit-learn: unknown as zero")
    with bench.workers(["sklearn-nmf"], data, 1) as workers:
        for name, worker in workers.items():
            reply = bench.attempt(name, worker.ask, rank=SLOW_RANK, epochs=TARGET_EPOCHS)
            if reply:
                bench.note("zeros", name, rank=SLOW_RANK, rmse=reply["rmse"], seconds=reply["seconds"])


def measure_top_n(bench: Bench, _: Path) -> None:
    """Measure top-10 lists for all users, on as many threads as allowed."""
    names = ("implicit-top-n", "top-n")
    if not bench.wanted(names):
        return
    n_users, n_items = bench.options.top_n_shape
    say(f"top-{LARGEST_N}: {n_users} users, {n_items} items")
    data = bench.folder / "seen.npz"
    make_seen(data, n_users, n_items)
    for threads in bench.options.threads:
        with bench.workers(names, data, threads) as workers:
            for turn in range(-1, bench.options.rounds):  # the first one compiles
                for name, worker in workers.items():
                    reply = bench.attempt(name, worker.ask, n=LARGEST_N)
                    if reply and turn >= 0:
                        bench.note("top-n", name, threads=threads, round=turn, seconds=reply["seconds"], users=n_users)


def choose(bench: Bench, data: Path) -> None:
    """Print the validation RMSE for a grid of penalties around those in use, best of several epoch counts."""
    for name in bench.wanted(STRENGTHS):
        grid = [round(STRENGTHS[name] * factor, 4) for factor in (0.35, 0.5, 0.7, 1.0, 1.4, 2.0)]
        with bench.workers([name], data, max(bench.options.threads)) as workers:
            for worker in workers.values():
                errors = {strength: lowest(bench, name, worker, strength) for strength in grid}
                print(f"{name:14}", "  ".join(f"{strength:g}: {error:.4f}" for strength, error in errors.items()))


def lowest(bench: Bench, name: str, worker: Worker, strength: float) -> float:
    """Return the lowest validation RMSE after 10, 20 or 40 epochs; NaN if the library failed."""
    replies = [
        bench.attempt(name, worker.ask, rank=SLOW_RANK, epochs=epochs, strength=strength) for epochs in (10, 20, 40)
    ]
    return min((reply["rmse"] for reply in replies if reply), default=math.nan)


# ---- the report


def report(bench: Bench, results: Path) -> None:
    """Write everything that was measured."""
    results.mkdir(parents=True, exist_ok=True)
    facts = {
        "command": command(),
        "machine": output.machine(),
        "rounds": bench.options.rounds,
        "ratings": bench.options.ratings,
    }
    versions = dict(sorted(bench.versions.items()))
    content = {**facts, "versions": versions, "missing": bench.missing, "records": bench.records}
    output.write(results / "peers.json", json.dumps(without_nan(content), indent=1) + "\n")
    output.write(results / "peers.md", markdown(facts, versions, bench.missing, table(bench.records)))
    figure = draw(table(bench.records), bench.options.ratings)
    if figure is not None:
        output.write_figure(results / "peers.png", figure)
    say(f"written: peers.md, peers.json and peers.png in {results}")


def without_nan(value: Any) -> Any:
    """Replace NaN and infinity by null: JSON has neither."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def command() -> str:
    """Return how to run this again, without paths of this machine."""
    return " ".join(["make bench-peers", *([f'ARGS="{" ".join(own_arguments())}"'] if own_arguments() else [])])


def own_arguments() -> list[str]:
    """Return the arguments but for --peers, which the Makefile adds, and --output, which changes nothing."""
    given = sys.argv[1:]
    for option in {"--peers", "--output"} & set(given):
        where = given.index(option)
        del given[where : where + 2]
    return given


def table(records: list[Record]) -> pd.DataFrame:
    """Return the measurements as a table that has every column, even when there is nothing in it."""
    columns = ["measure", "library", "rank", "threads", "round", "seconds", "setup", "target", "best", "bytes"]
    return pd.DataFrame(records).reindex(columns=[*columns, "rmse", "users"])


def markdown(facts: Record, versions: dict[str, str], missing: dict[str, str], records: pd.DataFrame) -> str:
    """Return the report."""
    n = facts["ratings"]
    parts = [
        "# nmf_scratch and other libraries",
        f"Written by `{facts['command']}` on {time.strftime('%Y-%m-%d')}.",
        f"Machine: {facts['machine']}.",
        f"Versions: {', '.join(sorted(set(versions.values()) - {''}))}.",
        f"Data: {n:,} synthetic ratings of 0.5 … 5 stars, long-tailed, rank 8 plus noise; {n // 10:,} more held out. "
        f"Medians of {facts['rounds']} rounds, in which the libraries take turns; ratios are medians of the ratios "
        "within a round.",
        *not_measured(missing),
        *epoch_section(records, n),
        *target_section(records),
        *memory_section(records),
        *top_n_section(records),
        *zeros_section(records),
        CAVEATS,
    ]
    return "\n\n".join(parts) + "\n"


CAVEATS = """## What is not the same

- **Biases**: LIBMF, both libraries' NMF and cmfrec (as set here) have none, so they stand against ours without;
  cornac's MF and Surprise's SVD have them, and stand against ours with. Ours are non-negative.
- **Signs**: cornac's MF and Surprise's SVD are not NMF: their factors may be negative, which saves a comparison
  per number.
- **Objective**: all fit the observed ratings by least squares with a squared penalty weighted by the number of
  ratings. Its strength, in each library's own unit, was picked from a small grid at rank 32 for a low error on these
  very held-out ratings: they rank speed here, not accuracy. The other parameters are defaults. LIBMF's steps adapt (two
  more numbers per row), ours follow a schedule.
- **Result**: ours is the same for any number of threads. LIBMF's and cornac's depend on which thread comes first;
  cornac's threads write to the same rows without locks.
- **Numbers**: float32 everywhere, but float64 in Surprise.
- **Builds**: LIBMF is compiled for this very processor (AVX, OpenMP), and so is cmfrec, by its own choice; the others
  are wheels as published. Ours is compiled by Numba at first use, which is not counted.
- **Set-up** starts from what a library fits: an array for LIBMF, a sparse matrix for cmfrec, their own data sets for
  cornac and Surprise, sorted arrays (`Ratings`) for ours. Making these is not counted; sorting inside a fit is.
- Ratings come in the order user, item, as in MovieLens's files; cornac and Surprise visit them in that order."""


def not_measured(missing: dict[str, str]) -> list[str]:
    """Return a list of the libraries that could not be measured."""
    lines = [f"- {name}: {reason}" for name, reason in missing.items()]
    return ["Not measured:\n\n" + "\n".join(lines)] if lines else []


def epoch_section(records: pd.DataFrame, n_ratings: int) -> list[str]:
    """Return the tables of speed, one per number of threads."""
    epochs = records[records["measure"] == "epoch"]
    parts = [
        "## Speed",
        "Million ratings per second and epoch; in brackets, how many times as fast the solver of ours named beside is.",
    ]
    for threads, group in epochs.groupby("threads"):
        ranks = sorted(group["rank"].unique())
        lines = [row([f"{threads:.0f} thread(s)", "against", *(f"k = {rank:.0f}" for rank in ranks), "set-up, s"])]
        lines.append(rule(2, len(ranks) + 1))
        lines += [speed_row(group, name, ranks, n_ratings) for name in SOLVERS if name in set(group["library"])]
        parts.append("\n".join(lines))
    return parts if len(epochs) else []


def speed_row(group: pd.DataFrame, name: str, ranks: list[float], n_ratings: int) -> str:
    """Return one library's line of the table of speed."""
    own = group[group["library"] == name]
    cells = [speed_cell(group[group["rank"] == rank], name, n_ratings) for rank in ranks]
    return row([label(name), against(name, group), *cells, f"{own['setup'].median():.3f}"])


def speed_cell(group: pd.DataFrame, name: str, n_ratings: int) -> str:
    """Return million ratings per second, and how much faster ours is."""
    seconds = group.loc[group["library"] == name, "seconds"]
    if seconds.empty:
        return ""
    speed = f"{n_ratings / seconds.median() / 1e6:.1f}"
    return speed + bracketed(ratio(group, name, rival(name, group)))


def ratio(group: pd.DataFrame, name: str, other: str | None) -> float:
    """Return the median over rounds of one library's seconds over those of another; NaN if there are none."""
    rounds = group.pivot_table(index="round", columns="library", values="seconds")
    if name not in rounds or other not in rounds:
        return math.nan
    return float((rounds[name] / rounds[other]).median())


def bracketed(number: float) -> str:
    return "" if math.isnan(number) else f" ({number:.2f}×)"


def target_section(records: pd.DataFrame) -> list[str]:
    """Return the table of times to the common error."""
    races = records[records["measure"] == "target"]
    heads = ["rank", "threads", "RMSE", "library", "seconds", "relative to LIBMF", "lowest RMSE seen"]
    lines = [row(heads), rule(0, len(heads))]
    for (rank, threads, target), group in races.groupby(["rank", "threads", "target"]):
        problem = [f"{rank:.0f}", f"{threads:.0f}", f"{target:.4f}"]
        lines += [row([*problem, *target_cells(group, name)]) for name in dict.fromkeys(group["library"])]
    text = (
        "Seconds of a fit from scratch, set-up included, until the validation RMSE is that of LIBMF's iteration "
        f"{TARGET_EPOCHS}. “Relative” below 1 is faster than LIBMF. The search ends with the first success, after "
        f"{LADDER[-1]} epochs or when a fit takes too long, so the last column is no judgement of accuracy."
    )
    return ["## Time to the same error", text, "\n".join(lines)] if len(races) else []


def target_cells(group: pd.DataFrame, name: str) -> list[str]:
    """Return one library's time to the target, relative to LIBMF's, and its lowest error on the way."""
    own = group[group["library"] == name]
    seconds = own["seconds"].astype(float).median()
    shown = "not reached" if math.isnan(seconds) else f"{seconds:.3f}"
    return [label(name), shown, bracketed(ratio(group, name, "libmf")).strip(" ()"), f"{own['best'].median():.4f}"]


def memory_section(records: pd.DataFrame) -> list[str]:
    """Return the table of memory."""
    memory = records[records["measure"] == "memory"]
    lines = [row(["library", "MB"]), rule(1, 1)]
    lines += [row([label(line.library), f"{line.bytes / 1e6:.0f}"]) for line in memory.itertuples()]
    text = (
        f"What a fit at rank {memory['rank'].max():.0f} adds at its peak to a process that has loaded library and "
        "data, factors included; one measurement each."
    )
    return ["## Memory", text, "\n".join(lines)] if len(memory) else []


def top_n_section(records: pd.DataFrame) -> list[str]:
    """Return the table of recommendation."""
    lists = records[records["measure"] == "top-n"]
    lines = [row(["threads", "library", "users per second", "relative to ours"]), rule(0, 4)]
    for (threads, name), group in lists.groupby(["threads", "library"]):
        speed = f"{group['users'].max() / group['seconds'].median():,.0f}"
        relative = bracketed(ratio(lists[lists["threads"] == threads], name, "top-n")).strip(" ()")
        lines.append(row([f"{threads:.0f}", label(name), speed, relative]))
    text = (
        f"Top {LARGEST_N} for {lists['users'].max():,.0f} users from the same random factors of rank {TOP_N_RANK}, "
        f"{SEEN} seen items per user left out. “Relative” is time: above 1 is slower than ours."
    )
    return ["## Recommendation", text, "\n".join(lines)] if len(lists) else []


def zeros_section(records: pd.DataFrame) -> list[str]:
    """Say what taking unknown ratings for zeros does to the error."""
    zeros = records[records["measure"] == "zeros"]
    return [
        "## Another question\n\nscikit-learn's NMF takes every rating that nobody gave for a zero. That is right for "
        f"counts and images; its RMSE on held-out ratings is {line.rmse:.2f} stars after {TARGET_EPOCHS} iterations "
        f"at rank {line.rank:.0f}, so its speed is not compared."
        for line in zeros.itertuples()
    ]


def label(name: str) -> str:
    """Return the name of a library for readers; ours in bold."""
    shown = name.replace("+biases", " with biases")
    return f"**{shown}**" if is_ours(name) else shown


def rival(name: str, group: pd.DataFrame) -> str:
    """Return the solver of ours that a library is compared with, empty if none."""
    ours = RATED_AGAINST.get(name, "")
    return ours.removeprefix("block-") if (group["threads"] == 1).all() else ours


def against(name: str, group: pd.DataFrame) -> str:
    return rival(name, group).replace("+biases", " with biases")


def rule(n_left: int, n_right: int) -> str:
    return row(["---"] * n_left + ["---:"] * n_right)


LOOKS = {
    "libmf": (looks.GREY, ":"),
    "cornac-mf": (looks.SKY, ":"),
    "surprise-svd": (looks.PURPLE, ":"),
    "cornac-nmf": (looks.SKY, "--"),
    "surprise-nmf": (looks.PURPLE, "--"),
    "cmfrec": (looks.YELLOW, "--"),
    "sgd": (looks.ORANGE, "-"),
    "sgd+biases": (looks.ORANGE, "-."),
    "block-sgd": (looks.VERMILION, "-"),
    "block-sgd+biases": (looks.VERMILION, "-."),
    "cd": (looks.GREEN, "--"),
}


def draw(records: pd.DataFrame, n_ratings: int) -> Figure | None:
    """Draw ratings per second against rank, one line per library, one panel per number of threads."""
    epochs = records[records["measure"] == "epoch"]
    if epochs.empty:
        return None
    with looks.style():
        figure = looks.new_figure(11.0, 5.5)
        panels = figure.subplots(1, epochs["threads"].nunique(), sharey=True, squeeze=False)[0]
        for axes, (threads, group) in zip(panels, epochs.groupby("threads"), strict=True):
            draw_panel(axes, group, n_ratings / 1e6, f"{threads:.0f} thread(s)")
        panels[0].set_ylabel("million ratings per second")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


def draw_panel(axes: Any, group: pd.DataFrame, millions: float, title: str) -> None:
    """Draw one panel; solid lines are ours."""
    for name in [name for name in SOLVERS if name in set(group["library"])]:
        seconds = group[group["library"] == name].groupby("rank")["seconds"].median()
        colour, line = LOOKS.get(name) or (looks.solver_look(name)["color"], "-")
        axes.plot(seconds.index, millions / seconds, line, marker="o", color=colour, label=name)
    looks.log_axis(axes.xaxis)
    looks.log_axis(axes.yaxis)
    axes.set(title=title, xlabel="rank")
    ranks = sorted(group["rank"].unique())
    axes.set_xticks(ranks, [f"{rank:.0f}" for rank in ranks])
    axes.minorticks_off()


# ---- the command


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def parse() -> argparse.Namespace:
    """Read the command line; --quick only changes what is not given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default=sys.executable, help="Python that has the other libraries")
    parser.add_argument("--only", help="libraries, comma-separated", default=",".join(LIBRARIES))
    parser.add_argument("--ranks", type=numbers, help="comma-separated")
    parser.add_argument("--threads", type=numbers, help="comma-separated")
    parser.add_argument("--rounds", type=int, help="how often the libraries take turns")
    parser.add_argument("--ratings", type=int, default=1_000_000, help="number of training ratings")
    parser.add_argument("--measure", help="comma-separated", default=",".join(MEASURES))
    parser.add_argument("--output", type=Path, help="folder for peers.md, .json and .png")
    parser.add_argument("--quick", action="store_true", help="a few minutes at rank 32; results in runs/peers")
    parser.add_argument("--choose", action="store_true", help="show which penalties suit best; measure nothing else")
    options = parser.parse_args()
    complete(parser, options)
    return options


def complete(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Fill in what was not given, and refuse names that do not exist."""
    quick = options.quick
    options.ranks = options.ranks or ([32] if quick else [16, 32, 64, 128])
    options.threads = options.threads or ([1] if quick else [1, 2])
    options.rounds = options.rounds or (3 if quick else 5)
    options.budget, options.patience = (0.25, 4.0) if quick else (0.5, 20.0)
    options.output = options.output or (SOURCE.parent / "runs" / "peers" if quick else SOURCE / "results")
    options.target_ranks = [rank for rank in options.ranks if rank in (32, 64)] or options.ranks[:1]
    options.top_n_shape = (5_000, 4_000) if quick else (138_000, 27_000)
    for name, known in (("only", LIBRARIES), ("measure", MEASURES)):
        chosen = getattr(options, name).split(",")
        setattr(options, name, chosen)
        for choice in set(chosen) - set(known):
            parser.error(f"--{name}: {choice!r} is none of {', '.join(known)}")


MEASURES = {
    "epochs": measure_epochs,
    "targets": measure_targets,
    "memory": measure_memory,
    "zeros": measure_zeros,
    "top-n": measure_top_n,
}


def run(bench: Bench) -> None:
    """Make the data and measure what was asked for."""
    data = bench.folder / "ratings.npz"
    say(f"making {bench.options.ratings:,} ratings")
    make_ratings(data, bench.options.ratings)
    if bench.options.choose:
        return choose(bench, data)
    for name in bench.options.measure:
        MEASURES[name](bench, data)


def main() -> None:
    """Measure; write what there is, even after Ctrl-C."""
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NUMBA_CACHE_DIR"] = folder  # so that nothing stale is timed, and each kernel is compiled once
        bench = Bench(options, Path(folder))
        try:
            run(bench)
        except KeyboardInterrupt:
            say("interrupted: writing what there is")
    if bench.records:
        report(bench, options.output)


if __name__ == "__main__":
    main()
