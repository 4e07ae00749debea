"""Choose each solver's default hyper-parameters on inner validation splits of ml-100k; no test fold takes part.

    python benchmarks/choose_defaults.py            # every solver
    python benchmarks/choose_defaults.py sgd        # one

The data is the training part of u1. Three times, a tenth of it is held out at random; a setting's score is its mean
RMSE on the held-out tenths. The search goes through one parameter at a time, keeps the best value, and starts over
until nothing improves. What it prints is where the defaults in the solvers come from; those of the solvers with many
parameters were refined by finer searches on the same three splits.

One remark on cleanliness: u1's training part contains the test ratings of u2 to u5, as it must. The score on u1 is free
of any choice made here; those on the others share ratings with it, and should be read with that in mind.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from nmf_scratch import NMF, PredefinedSplit, load_dataset
from nmf_scratch.metrics import rmse
from nmf_scratch.solvers import SOLVERS

PROBLEM = {
    "alpha": [0.01, 0.015, 0.02, 0.025, 0.03, 0.04],
    "alpha_bias": [1.0, 2.0, 4.0, 8.0, 16.0],
}
"""Parameters that every solver has."""

OWN: dict[str, dict[str, list[Any]]] = {
    "mu": {"max_iter": [50, 100, 200, 400]},
    "cd": {"inner_sweeps": [1, 2, 3], "max_iter": [10, 30, 60, 100]},
    "ccd": {"inner_sweeps": [1, 2, 3], "max_iter": [5, 8, 12, 20, 60]},
    "als": {"max_iter": [5, 10, 20, 40]},
    "pgd": {"inner_steps": [3, 5, 10], "max_iter": [15, 30, 60, 120]},
    "sgd": {"step": [0.05, 0.07, 0.1, 0.15, 0.2], "max_iter": [20, 40, 60, 100]},
    "adagrad": {"step": [0.05, 0.07, 0.1, 0.15], "initial": [0.1, 0.3, 1.0], "max_iter": [20, 30, 40, 60]},
    "adam": {
        "step": [0.002, 0.0035, 0.005, 0.007],
        "beta1": [0.9, 0.5, 0.0],
        "beta2": [0.8, 0.9, 0.99, 0.999],
        "max_iter": [30, 40, 60],
    },
    "eg": {"step": [0.05, 0.07, 0.1, 0.15], "max_iter": [30, 40, 60, 100]},
    "block-sgd": {"step": [0.05, 0.07, 0.1, 0.15, 0.2], "max_iter": [20, 40, 60, 100]},
}
"""What each solver adds: fields of its own, and how long it runs."""


def inner_splits(n: int = 3) -> list[tuple[Any, Any]]:
    """Return (training, validation) tables from the training part of u1."""
    dataset = load_dataset("ml-100k")
    train, _ = next(iter(PredefinedSplit(dataset.test_fold).split(dataset.ratings)))
    table = dataset.ratings.iloc[train]
    draws = (np.random.default_rng(seed).random(len(table)) < 0.1 for seed in range(n))
    return [(table[~held_out], table[held_out]) for held_out in draws]


def score(name: str, setting: dict[str, Any], splits: list[tuple[Any, Any]]) -> float:
    """Return the mean validation RMSE of a setting, in stars."""
    general = {key: value for key, value in setting.items() if key in {*PROBLEM, "max_iter"}}
    own = {key: value for key, value in setting.items() if key not in general}
    errors = []
    for train, valid in splits:
        model = NMF(solver=SOLVERS[name](**own), **general, tol=0, random_state=0).fit(train)
        errors.append(rmse(valid["rating"], model.predict(valid[["user", "item"]])))
    return float(np.mean(errors))


def search(name: str, splits: list[tuple[Any, Any]]) -> tuple[dict[str, Any], float]:
    """Sweep one parameter at a time from the middle of the grid until a whole round changes nothing."""
    grid = {**PROBLEM, **OWN[name]}
    best = {key: values[len(values) // 2] for key, values in grid.items()}
    known = {tuple(best.values()): score(name, best, splits)}
    before = None
    while before != best:
        before = dict(best)
        for key, values in grid.items():
            tried = [{**best, key: value} for value in values]
            for setting in tried:
                if tuple(setting.values()) not in known:
                    known[tuple(setting.values())] = score(name, setting, splits)
                    print(f"  {name} {setting} {known[tuple(setting.values())]:.4f}", flush=True)
            best = min(tried, key=lambda setting: known[tuple(setting.values())])
    return best, known[tuple(best.values())]


def main() -> None:
    """Search for every solver named on the command line, or for all."""
    splits = inner_splits()
    for name in sys.argv[1:] or SOLVERS:
        best, error = search(name, splits)
        print(f"{name}: {best} -> validation RMSE {error:.4f}")


if __name__ == "__main__":
    main()
