"""Every solver on one problem: same folds, same start, same penalty, one measure.

What a comparison must hold fixed is the problem. All solvers minimise the same objective, with the same strengths,
from the same factors, so that their objectives and KKT residuals can be compared; hyper-parameters of their own (step
sizes, inner sweeps) are their defaults. The test error is looked at after each epoch and never used: no stopping rule
and no choice of epoch sees it. Seconds are solver time, without compilation and evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from nmf_scratch._check import check_choice, check_number
from nmf_scratch._random import random_key
from nmf_scratch.data.inputs import PairEncoder, encode
from nmf_scratch.evaluation.cross_validation import RatingData
from nmf_scratch.evaluation.metrics import rmse
from nmf_scratch.history import EpochRecord, TrainingHistory
from nmf_scratch.problem.factors import BIAS_LEVEL, Factors, scaled_start
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers import SOLVERS
from nmf_scratch.training import Monitor, Stopping, fit_factors

LONGER, REFERENCE_SOLVER, REFERENCE = 10, "cd", "reference"
"""The run that objectives are held against: so many times as many epochs, of the solver that gets far in little time.

Held against the best of the runs compared, one of them would fall to zero by construction."""

KEYS = ["solver", "fold", "seed"]
"""Columns that tell runs apart."""

PROBLEM = Objective(alpha=(0.2, 0.2), alpha_bias=(16.0, 16.0), bias_level=BIAS_LEVEL, weighting=0.5)
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
    random_state: int | Sequence[int] = 0,
    longer: int = LONGER,
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
    cv : int, splitter or list of (train, test)
        Folds, as in `cross_validate`.
    random_state : int or sequence of int
        Key of the start and of random orders; with several, each fold is run with each.
    longer : int
        The run that objectives are held against has so many times as many epochs; 0 for none.
    on_epoch : callable, optional
        Told (solver, fold, record) after each epoch; of the longer run, after every `max_iter` epochs, with the name
        `REFERENCE`.

    Returns
    -------
    DataFrame
        One row per solver, fold, seed and epoch: solver, fold, seed, epoch, seconds, objective, train_rmse, kkt,
        test_rmse (clipped, in the unit of the ratings), sparsity (share of latent entries below a thousandth of their
        side's mean), and reference, the objective at the end of the longer run (NaN if there was none).
    """
    names = list(SOLVERS) if solvers is None else list(solvers)
    for name in names:
        check_choice("solver", name, SOLVERS)
    check_number("longer", longer, minimum=0, integer=True)
    data, runs = RatingData(X, y), []
    for fold, train, test in data.folds(cv, None):
        for seed in [random_state] if isinstance(random_state, int) else random_state:
            parts = data.pairs.iloc[train], data.values[train], data.pairs.iloc[test], data.values[test]
            problem = _Problem(*parts, objective, n_components, seed, partial(_tell, on_epoch, fold))
            reference = problem.reference(max_iter, longer) if longer else np.nan
            keys = {"fold": fold, "seed": seed, "reference": reference}
            runs += [problem.run(name, max_iter).assign(solver=name, **keys) for name in names]
    table = pd.concat(runs, ignore_index=True)
    return table[[*KEYS, *(column for column in table if column not in KEYS)]]


def _tell(on_epoch: Callable[[str, int, EpochRecord], None] | None, fold: int, name: str, record: EpochRecord) -> None:
    if on_epoch is not None:
        on_epoch(name, fold, record)


class _Problem:
    """One fold and seed: encoded training ratings scaled to a mean of 1, test pairs, and the common start."""

    def __init__(
        self, X: Any, y: Any, X_test: Any, y_test: Any, objective: Objective, n_components: int, seed: int,
        tell: Callable[[str, EpochRecord], None],
    ) -> None:  # fmt: skip
        encoder: PairEncoder
        encoder, ratings = encode(X, y)
        self.objective, self.tell = objective, tell
        self.scale = float(ratings.values.min()), float(ratings.values.max())
        self.unit = ratings.unit
        self.train = ratings.scaled(self.unit)
        self.test_pairs, self.test_values = encoder.transform(X_test), y_test
        self.key = random_key(seed)
        self.start = scaled_start(self.train, n_components, key=self.key)

    def run(self, name: str, max_iter: int) -> pd.DataFrame:
        """Run a solver, and measure every epoch."""
        extra: list[dict[str, float]] = []

        def look(record: EpochRecord, factors: Factors) -> None:
            extra.append({"test_rmse": self.test_rmse(factors), "sparsity": sparsity(factors)})
            self.tell(name, record)

        history = self._fit(name, max_iter, Monitor(unit=self.unit, kkt=True, callbacks=(look,)))
        return history.to_frame().drop(columns="valid_rmse").assign(**pd.DataFrame(extra))

    def reference(self, max_iter: int, longer: int) -> float:
        """Return the objective that a run of so many times as many epochs ends with."""
        monitor = Monitor(every=max_iter, callbacks=(lambda record, factors: self.tell(REFERENCE, record),))
        return self._fit(REFERENCE_SOLVER, longer * max_iter, monitor).records[-1].objective

    def _fit(self, name: str, max_iter: int, monitor: Monitor) -> TrainingHistory:
        start, stopping = self.start.copy(), Stopping(max_iter)
        result = fit_factors(
            self.train, start, SOLVERS[name](), self.objective, stopping, monitor=monitor, key=self.key
        )
        if result.stop_reason == "interrupted":
            raise KeyboardInterrupt
        return result.history

    def test_rmse(self, factors: Factors) -> float:
        predictions = self.unit * factors.with_average_rows(self.train).predict(*self.test_pairs)
        return rmse(self.test_values, np.clip(predictions, *self.scale))


def sparsity(factors: Factors) -> float:
    """Return the share of latent entries that are zero for all purposes: below a thousandth of their side's mean."""
    k = factors.n_components
    small = [X[:, :k] < 1e-3 * X[:, :k].mean() for X in (factors.W, factors.H)]
    return float(np.mean(np.concatenate(small)))


def last_epochs(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per solver: its last epoch, averaged over folds and seeds, in the order of the table."""
    last = table.loc[table.groupby(KEYS, sort=False)["epoch"].idxmax()]
    return last.groupby("solver", sort=False).mean().drop(columns=["fold", "seed"])


def excess(table: pd.DataFrame) -> pd.Series[float]:
    """Return how far each objective lies above the reference, relative to that; below 0 where it lies below."""
    return table["objective"] / table["reference"] - 1


def time_to(table: pd.DataFrame, reached: pd.Series[bool]) -> pd.DataFrame:
    """Return the solver time after which each run first is where it should be.

    Parameters
    ----------
    table : DataFrame
        What `compare` returns.
    reached : Series of bool
        For each of its rows, whether the target is reached.

    Returns
    -------
    DataFrame
        One row per solver, fold and seed, in the order of the table: the keys, ``epoch`` and ``seconds``, both NaN
        where the run never got there.
    """
    first = table[reached].groupby(KEYS, sort=False)[["epoch", "seconds"]].first()
    return first.reindex(pd.MultiIndex.from_frame(table[KEYS].drop_duplicates())).reset_index()
