"""Choose the default hyper-parameters, one setting for all data, on inner validation splits; no test fold takes part.

    python benchmarks/choose_defaults.py                  # every solver
    python benchmarks/choose_defaults.py adagrad als      # some
    python benchmarks/choose_defaults.py shared           # what all solvers share, with lists evaluated

Two data sets: the training part of u1 (ml-100k), and the training part of the first of five folds of ml-latest-small.
From each, three times, a tenth is held out at random. A setting's score is the mean validation RMSE over both.

What all solvers share (`SHARED`) comes first, by a sweep of one parameter at a time around it for two solvers, a
stochastic and a deterministic one. No single number decides there: besides the RMSE it shows nDCG@10 (relevant are
ratings of 4 and more) and the share of places in top tens that go to items with fewer than ten ratings. Then each
solver's own parameters are searched by RMSE: one at a time, keep the best value, start over until nothing improves.
Where a costlier setting gains less than 0.0005, the default is the cheaper one.

Every score is kept in benchmarks/results/defaults/, one file per solver, as soon as it is known: an interrupted search
goes on where it was, and a changed solver wants its file deleted.

One remark on cleanliness: u1's training part contains the test ratings of u2 to u5, as it must. The score on u1 is free
of any choice made here; those on the others share ratings with it, and should be read with that in mind.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nmf_scratch import NMF, KFold, PredefinedSplit, cross_validate, evaluate_ranking, load_dataset
from nmf_scratch.solvers import SOLVERS

RESULTS = Path(__file__).parent / "results" / "defaults"

SHARED: dict[str, Any] = {"n_components": 100, "weighting": 0.5, "alpha_bias": 16.0}
"""Parameters that every solver has, the same for all."""

ALPHA = [0.12, 0.14, 0.17, 0.2, 0.24, 0.28, 0.33]
"""Penalties to try, for `weighting` 0.5."""

OWN: dict[str, dict[str, list[Any]]] = {
    "mu": {"alpha": ALPHA, "max_iter": [50, 100, 200, 400]},
    "cd": {"alpha": ALPHA, "inner_sweeps": [1, 2, 3], "max_iter": [10, 20, 30, 60]},
    "ccd": {"alpha": ALPHA, "inner_sweeps": [1, 2, 3], "max_iter": [5, 8, 12, 20]},
    "als": {"alpha": ALPHA, "max_iter": [5, 10, 20, 40]},
    "pgd": {"alpha": ALPHA, "inner_steps": [3, 5, 10], "max_iter": [15, 30, 60]},
    "sgd": {"alpha": ALPHA, "step": [0.07, 0.1, 0.15, 0.2], "max_iter": [30, 60, 100]},
    "adagrad": {"alpha": ALPHA, "step": [0.05, 0.07, 0.1, 0.15], "initial": [0.1, 0.3, 1.0], "max_iter": [20, 30, 45]},
    "adam": {
        "alpha": ALPHA,
        "step": [0.002, 0.0035, 0.005, 0.007],
        "beta2": [0.8, 0.9, 0.99],
        "max_iter": [30, 40, 60],
    },
    "eg": {"alpha": ALPHA, "step": [0.05, 0.07, 0.1, 0.15], "max_iter": [40, 60, 100]},
    "block-sgd": {"alpha": ALPHA, "step": [0.07, 0.1, 0.15, 0.2], "max_iter": [30, 60, 100]},
}
"""Each solver's own parameters, and how long it runs."""

AROUND = [
    {},
    {"weighting": 0.0},
    {"weighting": 0.4},
    {"weighting": 0.6},
    {"weighting": 1.0},
    {"alpha_bias": 8.0},
    {"alpha_bias": 32.0},
    {"n_components": 40},
    {"n_components": 150},
    {"exact_below": 10},
]
"""What is changed in the sweep of shared parameters; the last for stochastic solvers only."""


@cache
def inner_splits(n: int = 3) -> dict[str, list[tuple[pd.DataFrame, PredefinedSplit]]]:
    """Return by data set what is left of it for choosing, with n ways to hold a tenth of that out."""
    hundred, small = load_dataset("ml-100k"), load_dataset("ml-latest-small")
    folds = PredefinedSplit(hundred.test_fold), KFold(5, shuffle=True, random_state=0)
    found = {}
    for dataset, cv in zip((hundred, small), folds, strict=True):
        train, _ = next(iter(cv.split(dataset.ratings)))
        table = dataset.ratings.iloc[train]
        draws = (np.random.default_rng(seed).random(len(table)) < 0.1 for seed in range(n))
        found[dataset.name] = [(table, PredefinedSplit(np.where(held_out, 0, -1))) for held_out in draws]
    return found


def model_of(name: str, setting: dict[str, Any]) -> NMF:
    """Return the model of a setting: fields of the solver go to the solver, all else to the estimator."""
    general = {key: value for key, value in setting.items() if key in NMF().get_params()}
    own = {key: value for key, value in setting.items() if key not in general}
    return NMF(solver=SOLVERS[name](**own), **{**SHARED, **general}, tol=0, random_state=0)


def measure(name: str, setting: dict[str, Any], lists: bool = False) -> dict[str, dict[str, float]]:
    """Return the mean validation RMSE in each data set and, on request, nDCG@10 and the share of rare items."""
    model = model_of(name, setting)
    evaluated = {
        dataset: [list_scores(model, *split) if lists else star_scores(model, *split) for split in splits]
        for dataset, splits in inner_splits().items()
    }
    return {dataset: pd.DataFrame(scores).mean().to_dict() for dataset, scores in evaluated.items()}


def star_scores(model: NMF, table: pd.DataFrame, cv: PredefinedSplit) -> dict[str, float]:
    """Return the RMSE on what is held out."""
    return cross_validate(model, table, cv=cv)[["rmse"]].iloc[0].to_dict()


def list_scores(model: NMF, table: pd.DataFrame, cv: PredefinedSplit) -> dict[str, float]:
    """Return RMSE, nDCG@10, and the share of places in top tens for items with fewer than ten ratings."""
    scores = evaluate_ranking(model, table, cv=cv, k=10, threshold=4.0)[["rmse", "ndcg"]].iloc[0].to_dict()
    train, _ = next(iter(cv.split(table)))
    model.fit(table.iloc[train])
    return {**scores, "rare": float((model.recommend(model.user_ids_, n=10)["n_ratings"] < 10).mean())}


def known(name: str, setting: dict[str, Any], shared: bool = False) -> float:
    """Return the score of a setting, from the file if it is there; else measure it, and keep it."""
    file = "shared" if shared else name
    path = RESULTS / f"{file}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    words = [f"{parameter}={value}" for parameter, value in setting.items()]
    key = " ".join([name, *words] if shared else words)
    if key not in kept:
        kept[key] = measure(name, setting, lists=shared)
        path.parent.mkdir(exist_ok=True)
        path.with_suffix(".new").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        path.with_suffix(".new").replace(path)
    score = float(np.mean([found["rmse"] for found in kept[key].values()]))
    print(f"  {file}: {key} -> {score:.4f} {kept[key]}", flush=True)
    return score


def search(name: str) -> tuple[dict[str, Any], float]:
    """Sweep one parameter at a time from today's default until a whole round changes nothing."""
    grid, solver = OWN[name], SOLVERS[name]()
    today = {**vars(solver), "alpha": solver.defaults.alpha, "max_iter": solver.defaults.max_iter}
    best = {key: min(values, key=lambda value: abs(value - today[key])) for key, values in grid.items()}
    before = None
    while before != best:
        before = dict(best)
        for key, values in grid.items():
            best = min(({**best, key: value} for value in values), key=lambda setting: known(name, setting))
    return best, known(name, best)


def sweep_shared() -> None:
    """Change one shared parameter at a time, for the default solver and a deterministic one."""
    for name, alpha in (("adagrad", 0.2), ("ccd", 0.28)):
        for change in AROUND:
            nu = change.get("weighting", 0.5)
            scaled = round(alpha * 100 ** (0.5 - nu), 4)  # the same for a row with a hundred ratings
            if "exact_below" not in change or SOLVERS[name].stochastic:
                known(name, {"alpha": scaled, **change}, shared=True)


def main() -> None:
    """Search for every solver named on the command line, or for all."""
    for name in sys.argv[1:] or SOLVERS:
        if name == "shared":
            sweep_shared()
        else:
            best, error = search(name)
            print(f"{name}: {best} -> validation RMSE {error:.4f}")


if __name__ == "__main__":
    main()
