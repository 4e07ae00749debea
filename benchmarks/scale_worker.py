"""One process of scale.py: makes ratings, or times one solver on them, and answers with one line of JSON.

    scale_worker.py make FOLDER '{"n_users": 20000, "n_items": 4000, "n_ratings": 1000000}'
    scale_worker.py time FOLDER '{"solver": "cd", "rank": 32, "epochs": 5, "threads": [1, 2], "patience": 60}'

A process has one peak of memory in its life, so each measurement of memory needs a process of its own.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from large import large_ratings

from nmf_scratch import Ratings
from nmf_scratch._jit import threads
from nmf_scratch.data.sorting import is_increasing
from nmf_scratch.problem.factors import Factors, scaled_start
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers import SOLVERS, Solver, State
from nmf_scratch.training import warm_up

COLUMNS = ("users", "items", "values")
SAMPLE = 100_000
"""Ratings by which is checked that the solver learns."""


def make(folder: Path, shape: dict[str, int]) -> dict[str, Any]:
    """Make ratings, check them, and store one file per column."""
    started = time.perf_counter()
    ratings = large_ratings(**shape)
    seconds = time.perf_counter() - started
    if not is_increasing(ratings.users, ratings.items):
        raise AssertionError("pairs must ascend, each once")
    folder.mkdir(parents=True, exist_ok=True)
    for name in COLUMNS:
        np.save(folder / f"{name}.npy", getattr(ratings, name))
    (folder / "shape.json").write_text(json.dumps(ratings.shape), encoding="ascii")  # last: now it is complete
    return {"ratings": len(ratings), "seconds": seconds, "peak": peak()}


def load(folder: Path) -> Ratings:
    """Read ratings as they are: they are sorted and sound already."""
    shape = json.loads((folder / "shape.json").read_text(encoding="ascii"))
    return Ratings(*(np.load(folder / f"{name}.npy") for name in COLUMNS), *shape)


def time_solver(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Time epochs, the numbers of threads in turns: a machine that slows down slows all of them down."""
    ratings = load(folder)
    solver = SOLVERS[job["solver"]]()
    factors = scaled_start(ratings, job["rank"], biases=False)
    error = sample_error(ratings, factors)
    warm_up(solver, factors)
    with threads(max(job["threads"])):
        setup, state = timed(lambda: start(solver, ratings, factors))
        solver.epoch(state)  # touches all memory for the first time
    seconds = rounds(solver, state, job)
    most = peak()
    factors.check()
    if not sample_error(ratings, factors) < error:
        raise AssertionError("the solver learns nothing")
    shape = {"ratings": len(ratings), "users": ratings.n_users, "items": ratings.n_items}
    return {**shape, "setup": setup, "seconds": seconds, "peak": most}


def start(solver: Solver, ratings: Ratings, factors: Factors) -> State:
    """Prepare a run without biases, with the penalty that is the solver's default."""
    alpha = solver.defaults.alpha
    return solver.start(ratings, factors, Objective((alpha, alpha)), key=0, max_iter=solver.defaults.max_iter)


def rounds(solver: Solver, state: State, job: dict[str, Any]) -> dict[int, list[float]]:
    """Return the seconds of each epoch by number of threads; impatience sets in after two rounds."""
    seconds: dict[int, list[float]] = {n: [] for n in job["threads"]}
    end = time.perf_counter() + job["patience"]
    for turn in range(job["epochs"]):
        if turn >= 2 and time.perf_counter() > end:
            break
        for n in job["threads"]:
            with threads(n):
                seconds[n].append(timed(lambda: solver.epoch(state))[0])
    return seconds


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def sample_error(ratings: Ratings, factors: Factors) -> float:
    """Return the mean squared error on ratings at even distances."""
    step = max(1, len(ratings) // SAMPLE)
    users, items, values = (getattr(ratings, name)[::step] for name in COLUMNS)
    predictions = np.einsum("pf,pf->p", factors.W[users], factors.H[items])
    return float(np.mean((values - predictions) ** 2))


def peak() -> int:
    """Return the most memory this process had, in bytes.

    Linux carries `ru_maxrss` over from the process that started this one; its VmHWM is this one's own.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def main() -> None:
    """Do one job."""
    task, folder, job = sys.argv[1:]
    answer = {"make": make, "time": time_solver}[task](Path(folder), json.loads(job))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
