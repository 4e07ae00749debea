"""Every solver on one problem: same folds, same start, same penalty, one judge.

What a comparison must hold fixed is the problem. All solvers minimise the same objective, with the same strengths,
from the same factors, so that their objectives and KKT residuals can be compared; hyper-parameters of their own (step
sizes, inner sweeps) are their defaults. The test error is looked at after each epoch and never used: no stopping rule
and no choice of epoch sees it. Seconds are solver time, without compilation and evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from nmf_scratch._check import check_choice
from nmf_scratch._random import random_key
from nmf_scratch.data.pairs import PairEncoder, encode, split_table, values_of
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.factors import BIAS_LEVEL, Factors, scaled_start
from nmf_scratch.metrics import rmse
from nmf_scratch.model_selection import check_cv
from nmf_scratch.objective import Objective
from nmf_scratch.solvers import SOLVERS
from nmf_scratch.training import EpochRecord, Monitor, Stopping, fit_factors

PROBLEM = Objective(alpha=(0.025, 0.025), alpha_bias=(8.0, 8.0), bias_level=BIAS_LEVEL)
"""What all solvers solve by default: strengths that suit ml-100k, for ratings scaled to a mean of 1."""


def compare(
    X: Any,
    y: Any = None,
    *,
    solvers: Iterable[str] | None = None,
    n_components: int = 40,
    objective: Objective = PROBLEM,
    max_iter: int = 60,
    cv: Any = 5,
    random_state: int = 0,
    on_epoch: Callable[[str, int, EpochRecord], None] | None = None,
) -> pd.DataFrame:
    """Run solvers side by side.

    Parameters
    ----------
    X : DataFrame, array_like or Dataset
        (user, item) pairs of shape (n, 2), or data that holds the ratings too.
    y : array_like of float, shape (n,), optional
        Ratings, where X does not hold them.
    solvers : iterable of str, optional
        Names in `SOLVERS`; all by default.
    n_components : int
        Latent columns k.
    objective : Objective
        The problem, for ratings scaled to a mean of 1.
    max_iter : int
        Epochs of every solver; no other stopping rule is in force.
    cv : int or splitter
        Folds, as in `cross_validate`.
    random_state : int
        Key of the start and of random orders.
    on_epoch : callable, optional
        Told (solver, fold, record) after each epoch.

    Returns
    -------
    DataFrame
        One row per solver, fold and epoch: solver, fold, epoch, seconds, objective, train_rmse, test_rmse (clipped, in
        the unit of the ratings), kkt, sparsity (share of latent entries below a thousandth of their side's mean).
    """
    names = list(SOLVERS) if solvers is None else list(solvers)
    for name in names:
        check_choice("solver", name, SOLVERS)
    X, y = split_table(X, y)
    values = values_of(y, len(X))
    runs = []
    for fold, (train, test) in enumerate(check_cv(cv).split(X), start=1):
        problem = _Fold(X.iloc[train], values[train], X.iloc[test], values[test], n_components, random_state)
        for name in names:
            told = (lambda record, name=name, fold=fold: on_epoch(name, fold, record)) if on_epoch else None
            runs.append(problem.run(name, objective, max_iter, told).assign(solver=name, fold=fold))
    table = pd.concat(runs, ignore_index=True)
    return table[["solver", "fold", *[column for column in table if column not in ("solver", "fold")]]]


class _Fold:
    """One fold: encoded training ratings scaled to a mean of 1, test pairs, and the common start."""

    def __init__(self, X: Any, y: Any, X_test: Any, y_test: Any, n_components: int, random_state: int) -> None:
        encoder: PairEncoder
        encoder, ratings = encode(X, y)
        self.scale = float(ratings.values.min()), float(ratings.values.max())
        self.unit = float(ratings.values.mean(dtype=np.float64)) or 1.0
        self.train: Ratings = ratings.with_values(ratings.values / np.float32(self.unit))
        self.test_pairs, self.test_values = encoder.transform(X_test), y_test
        self.key = random_key(random_state)
        self.start = scaled_start(self.train, n_components, key=self.key)

    def run(self, name: str, objective: Objective, max_iter: int, told: Callable[..., None] | None) -> pd.DataFrame:
        extra: list[dict[str, float]] = []

        def look(record: EpochRecord, factors: Factors) -> None:
            extra.append({"test_rmse": self.test_rmse(factors), "sparsity": sparsity(factors)})
            if told is not None:
                told(record)

        monitor = Monitor(unit=self.unit, kkt=True, callbacks=(look,))
        result = fit_factors(
            self.train, self.start.copy(), SOLVERS[name](), objective, Stopping(max_iter), monitor=monitor, key=self.key
        )
        if result.stop_reason == "interrupted":
            raise KeyboardInterrupt
        return result.history.to_frame().drop(columns="valid_rmse").assign(**pd.DataFrame(extra))

    def test_rmse(self, factors: Factors) -> float:
        predictions = self.unit * factors.with_average_rows(self.train).predict(*self.test_pairs)
        return rmse(self.test_values, np.clip(predictions, *self.scale))


def sparsity(factors: Factors) -> float:
    """Return the share of latent entries that are zero for all purposes: below a thousandth of their side's mean."""
    k = factors.n_components
    small = [X[:, :k] < 1e-3 * X[:, :k].mean() for X in (factors.W, factors.H)]
    return float(np.mean(np.concatenate(small)))


def last_epochs(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per solver: its last epoch, averaged over the folds, in the order of the table."""
    last = table.loc[table.groupby(["solver", "fold"], sort=False)["epoch"].idxmax()]
    return last.groupby("solver", sort=False).mean().drop(columns="fold")
