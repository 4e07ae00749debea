"""Honest numbers: fit on one part of the ratings, measure on the other.

The rules that make two numbers comparable: predictions are clipped to the rating scale; test pairs with an unknown user
or item count (the model answers by its policy); errors are pooled over all test pairs; nothing of the test part is seen
in training, not even to stop early.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from nmf_scratch.data.pairs import columns_of, split_table, values_of
from nmf_scratch.metrics import mae, rmse
from nmf_scratch.model_selection import check_cv

METRICS = ("rmse", "mae", "fit_seconds", "predict_seconds")


def cross_validate(
    model: Any, X: Any, y: Any = None, *, cv: Any = 5, on_fold: Callable[[int], None] | None = None
) -> pd.DataFrame:
    """Fit and measure a model on each fold.

    Parameters
    ----------
    model : estimator
        Anything with fit(X, y) and predict(X); it is copied, never changed.
    X : DataFrame, array_like or Dataset
        (user, item) pairs of shape (n, 2), or data that holds the ratings too.
    y : array_like of float, shape (n,), optional
        Ratings, where X does not hold them.
    cv : int or splitter
        Number of folds (as `KFold`, unshuffled), or an object with split(X) that yields (train, test) positions.
    on_fold : callable, optional
        Told the number of each fold (1, 2, …) before it starts.

    Returns
    -------
    DataFrame
        One row per fold: fold, rmse and mae (in the unit of the ratings), fit_seconds, predict_seconds, n_train,
        n_test.
    """
    X, y = split_table(X, y)
    users, items = columns_of(X)
    pairs = pd.DataFrame({"user": np.asarray(users), "item": np.asarray(items)})
    values = values_of(y, len(pairs))
    rows = []
    for fold, (train, test) in enumerate(check_cv(cv).split(pairs), start=1):
        if on_fold is not None:
            on_fold(fold)
        rows.append({"fold": fold, **_measure(copy.copy(model), pairs, values, train, test)})
    return pd.DataFrame(rows)


def _measure(model: Any, pairs: pd.DataFrame, values: Any, train: Any, test: Any) -> dict[str, float]:
    started = time.perf_counter()
    model.fit(pairs.iloc[train], values[train])
    fitted = time.perf_counter()
    if getattr(model, "stop_reason_", "") == "interrupted":
        raise KeyboardInterrupt  # the fit kept what it had; a score of half a fit would mislead
    predictions = model.predict(pairs.iloc[test])
    predicted = time.perf_counter()
    return {
        "rmse": rmse(values[test], predictions),
        "mae": mae(values[test], predictions),
        "fit_seconds": fitted - started,
        "predict_seconds": predicted - fitted,
        "n_train": len(train),
        "n_test": len(test),
    }
