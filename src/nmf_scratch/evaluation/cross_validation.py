"""Honest numbers: fit on one part of the ratings, measure on the other.

The rules that make two numbers comparable: predictions are clipped to the rating scale; test pairs with an unknown user
or item count (the model answers by its policy); errors are pooled over all test pairs; nothing of the test part is seen
in training, not even to stop early.

Three questions, one table each, with one row per fold: how far off are the stars (`cross_validate`), for whom and for
which items (`evaluate_groups`), and how good are the lists (`evaluate_ranking`). `summarise` turns any of them into
means with standard errors.

The standard error over folds is the usual one, and too small by an unknown factor, because folds share training data:
Bengio & Grandvalet, *No unbiased estimator of the variance of k-fold cross-validation*, JMLR 5, 2004.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import InputError, check_number
from nmf_scratch._estimator import ratings_by
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.inputs import PairEncoder, read_input
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.evaluation.metrics import (
    RANKING_METRICS,
    average_popularity,
    coverage,
    gini,
    mae,
    mean_over_users,
    novelty,
    rmse,
    score_lists,
)
from nmf_scratch.evaluation.splits import check_cv

OnFold = Callable[[int], None]

QUANTILES = {"activity": 4, "popularity": 10}
"""Groups that `evaluate_groups` makes by counting training ratings: quarters of the users, tenths of the items."""


RARE = 10
"""Items with fewer training ratings are rare: what is said of them is mostly chance."""


class RatingData:
    """The caller's ratings, and the table that splitters look at, with timestamps where there are any."""

    def __init__(self, X: Any, y: Any, *, choices: bool = False) -> None:
        users, items, self.values, times, _ = read_input(X, y, choices=choices)
        self.pairs = pd.DataFrame({"user": np.asarray(users), "item": np.asarray(items)})
        self.table = self.pairs if times is None else self.pairs.assign(timestamp=times)

    def codes(self) -> tuple[PairEncoder, NDArray[Any], NDArray[Any]]:
        """Encode users and items."""
        return PairEncoder.fit_transform(self.pairs["user"], self.pairs["item"])

    def folds(self, cv: Any, on_fold: OnFold | None) -> Iterable[tuple[int, NDArray[np.intp], NDArray[np.intp]]]:
        """Yield (number of the fold from 1, train, test), each announced first."""
        for fold, (train, test) in enumerate(check_cv(cv).split(self.table), start=1):
            if on_fold is not None:
                on_fold(fold)
            yield fold, train, test

    def fit(self, model: Any, train: NDArray[np.intp]) -> tuple[Any, float]:
        """Fit a copy of the model; return it and the seconds it took."""
        fitted, started = copy.copy(model), time.perf_counter()
        fitted.fit(self.pairs.iloc[train], self.values[train])
        if getattr(fitted, "stop_reason_", "") == "interrupted":
            raise KeyboardInterrupt  # the fit kept what it had; a score of half a fit would mislead
        return fitted, time.perf_counter() - started


def cross_validate(model: Any, X: Any, y: Any = None, *, cv: Any = 5, on_fold: OnFold | None = None) -> pd.DataFrame:
    """Fit and measure a model on each fold.

    Parameters
    ----------
    model : estimator
        Anything with fit(X, y) and predict(X); it is copied, never changed.
    X : DataFrame, array_like or Dataset
        (user, item) pairs of shape (n, 2), or data that holds the ratings too.
    y : array_like of float, shape (n,), optional
        Ratings, where X does not hold them.
    cv : int, splitter or list of (train, test)
        Number of folds (as `KFold`, unshuffled), or an object with split(X) that yields (train, test) positions. It is
        given the pairs, and their timestamps where X holds them.
    on_fold : callable, optional
        Told the number of each fold (1, 2, …) before it starts.

    Returns
    -------
    DataFrame
        One row per fold: fold, rmse and mae (in the unit of the ratings), fit_seconds, predict_seconds, n_train,
        n_test. For means with standard errors, see `summarise`.
    """
    data = RatingData(X, y)
    rows = []
    for fold, train, test in data.folds(cv, on_fold):
        fitted, seconds = data.fit(model, train)
        started = time.perf_counter()
        predictions = ratings_by(fitted, data.pairs.iloc[test])
        predict_seconds = time.perf_counter() - started
        errors = _errors(data.values[test], predictions)
        sizes = {"n_train": len(train), "n_test": len(test)}
        rows.append({"fold": fold, **errors, "fit_seconds": seconds, "predict_seconds": predict_seconds, **sizes})
    return pd.DataFrame(rows)


def _errors(truth: Any, predictions: Any) -> dict[str, float]:
    return {"rmse": rmse(truth, predictions), "mae": mae(truth, predictions)}


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Average a table with one row per fold.

    Parameters
    ----------
    scores : DataFrame
        What `cross_validate`, `evaluate_ranking` or `evaluate_groups` returned.

    Returns
    -------
    DataFrame
        One row per metric (and group, where there are groups): metric, mean, standard_error (standard deviation over
        √n_folds; NaN for a single fold) and n_folds (those with a number).
    """
    keys = [column for column in ("by", "group") if column in scores]
    metrics = [name for name in scores if name not in ("fold", "k", *keys) and not str(name).startswith("n_")]
    long = scores.melt(id_vars=keys, value_vars=metrics, var_name="metric")
    values = long.groupby([*keys, "metric"], sort=False, dropna=False)["value"]
    return values.agg(mean="mean", standard_error="sem", n_folds="count").reset_index()


# --- for whom, and for which items ----------------------------------------------------------------------------------


def evaluate_groups(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    by: str | Iterable[str] = ("activity", "popularity"),
    cv: Any = 5,
    on_fold: OnFold | None = None,
) -> pd.DataFrame:
    """Measure errors apart for groups of users and items: a mean may hide that it is good for some only.

    Parameters
    ----------
    model : estimator
        As in `cross_validate`.
    X : DataFrame, array_like or Dataset
        As in `cross_validate`.
    y : array_like of float, shape (n,), optional
        Ratings, where X does not hold them.
    by : str or iterable of str
        "activity" are quarters of the users and "popularity" tenths of the items, by number of training ratings (1 has
        the fewest; ties by id). Any other name is a column of the dataset's users or items, such as "gender", or of the
        ratings frame.
    cv : int, splitter or list of (train, test)
        As in `cross_validate`.
    on_fold : callable, optional
        Told the number of each fold before it starts.

    Returns
    -------
    DataFrame
        One row per fold, grouping and group that has test ratings: fold, by, group, rmse, mae, n_test.

    Raises
    ------
    InputError
        If there is no such column.
    """
    data, names = RatingData(X, y), [by] if isinstance(by, str) else list(by)
    fixed = {name: _column(X, data.pairs, name) for name in names if name not in QUANTILES}
    codes = dict(zip(QUANTILES, data.codes()[1:], strict=True))
    rows = []
    for fold, train, test in data.folds(cv, on_fold):
        fitted, _ = data.fit(model, train)
        predictions = ratings_by(fitted, data.pairs.iloc[test])
        for name in names:
            groups = fixed[name] if name in fixed else quantile_groups(codes[name], train, QUANTILES[name])
            for group, rows_of in pd.Series(groups[test]).groupby(groups[test], dropna=False).indices.items():
                errors = _errors(data.values[test][rows_of], predictions[rows_of])
                rows.append({"fold": fold, "by": name, "group": group, **errors, "n_test": len(rows_of)})
    return pd.DataFrame(rows)


def quantile_groups(codes: NDArray[Any], train: NDArray[np.intp], n_groups: int) -> NDArray[np.intp]:
    """Return the group 1 … n_groups of each rating's row: rows by number of training ratings, groups of equal size."""
    counts = np.bincount(codes[train], minlength=codes.max() + 1)
    rank = np.empty(len(counts), dtype=np.intp)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    groups: NDArray[np.intp] = (rank * n_groups // len(counts) + 1)[codes]
    return groups


def _column(X: Any, pairs: pd.DataFrame, name: str) -> NDArray[Any]:
    """Return what a named column says of each rating."""
    tables = {"user": X.users, "item": X.items} if isinstance(X, Dataset) else {}
    for key, table in tables.items():
        if table is not None and name in table and name != key:
            return table.drop_duplicates(key).set_index(key)[name].reindex(pairs[key]).to_numpy()
    ratings = X.ratings if isinstance(X, Dataset) else X
    if isinstance(ratings, pd.DataFrame) and name in ratings:
        return ratings[name].to_numpy()
    found = [str(column) for table in (*tables.values(), ratings) for column in getattr(table, "columns", ())]
    raise InputError(f"by={name!r} is neither activity nor popularity nor a column; there are: {', '.join(found)}")


# --- how good are the lists -----------------------------------------------------------------------------------------


def evaluate_ranking(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    cv: Any = 5,
    k: int = 10,
    threshold: float | str = "mean",
    on_fold: OnFold | None = None,
) -> pd.DataFrame:
    """Recommend k unseen items to the users of each test part, and score the lists by what they liked there.

    All items compete that the user has not rated in training, not a sample of them: sampled metrics order models
    differently (Krichene & Rendle, *On sampled metrics for item recommendation*, KDD 2020). Most items that a user
    would like are not in the test part, so the numbers are low for every model and only compare models.

    Parameters
    ----------
    model : estimator
        Anything with fit(X, y) and recommend(users, n), a table with columns user and item, best first; `NMF`, and the
        baselines of `nmf_scratch.evaluation.baselines`. It is copied, never changed.
    X : DataFrame, array_like or Dataset
        (user, item) pairs of shape (n, 2), or data that holds the ratings too.
    y : array_like of float, shape (n,), optional
        Ratings, where X does not hold them; without any, whatever was chosen was liked.
    cv : int, splitter or list of (train, test)
        As in `cross_validate`; `LeaveNOut` and `TimeOrderedSplit` suit lists.
    k : int
        Length of the lists.
    threshold : float or "mean"
        Rating from which on a test item was liked. The default, the mean of the training ratings, fits every scale; on
        MovieLens it means 4 stars.
    on_fold : callable, optional
        Told the number of each fold before it starts.

    Returns
    -------
    DataFrame
        One row per fold: fold, k; precision, recall, ndcg, map, mrr, hit_rate (means over the users who liked
        something), coverage and gini (over all items of X), novelty (bits), popularity (training ratings of a listed
        item), rare (share of places for items with fewer than 10 of them), the last five over all users of the test
        part; rmse of the same fit (NaN if it predicts no ratings); fit_seconds, recommend_seconds, n_users (scored).

    Raises
    ------
    InputError
        If k or threshold cannot be used, or no test rating reaches the threshold.
    """
    check_number("k", k, minimum=1, integer=True)
    if threshold != "mean":
        check_number("threshold", threshold)
    data = RatingData(X, y, choices=True)
    lists = _Lists(data, k)
    rows = []
    for fold, train, test in data.folds(cv, on_fold):
        fitted, seconds = data.fit(model, train)
        at = float(data.values[train].mean(dtype=np.float64)) if threshold == "mean" else float(threshold)
        measured = lists.measure(fitted, train, test, at)
        rates = hasattr(fitted, "predict") and getattr(fitted, "predicts_ratings_", True)
        error = rmse(data.values[test], fitted.predict(data.pairs.iloc[test])) if rates else np.nan
        n_users = measured.pop("n_users")
        rows.append({"fold": fold, "k": k, **measured, "rmse": error, "fit_seconds": seconds, "n_users": n_users})
    return pd.DataFrame(rows)


class _Lists:
    """From raw ids to codes: what a model recommends to the users of a test part, scored."""

    def __init__(self, data: RatingData, k: int) -> None:
        self.values, self.k = data.values, k
        self.encoder, self.users, self.items = data.codes()
        self.n_items = len(self.encoder.items.classes_)

    def measure(
        self, fitted: Any, train: NDArray[np.intp], test: NDArray[np.intp], threshold: float
    ) -> dict[str, float]:
        asked = np.unique(self.users[test])
        liked = test[self.values[test] >= threshold]
        if not liked.size:
            raise InputError(f"no test rating reaches threshold={threshold:g}: lower it, or hold more ratings out")
        rows = np.searchsorted(asked, self.users[liked])
        ones = np.ones(len(liked))
        relevant = Ratings.from_arrays(rows, self.items[liked], ones, n_users=len(asked), n_items=self.n_items)
        started = time.perf_counter()
        lists = self.lists_of(fitted, asked)
        seconds = time.perf_counter() - started
        scored = score_lists(lists, relevant, self.k)
        counts = np.bincount(self.items[train], minlength=self.n_items)
        return {
            **{name: mean_over_users(metric(scored)) for name, metric in RANKING_METRICS.items()},
            "coverage": coverage(lists, self.n_items),
            "gini": gini(lists, self.n_items),
            "novelty": mean_over_users(novelty(lists, counts, len(np.unique(self.users[train])))),
            "popularity": mean_over_users(average_popularity(lists, counts)),
            "rare": float(np.mean(counts[lists[lists >= 0]] < RARE)),
            "recommend_seconds": seconds,
            "n_users": int((scored.n_relevant > 0).sum()),
        }

    def lists_of(self, fitted: Any, asked: NDArray[Any]) -> NDArray[np.int64]:
        """Codes of the recommended items, shape (len(asked), k), −1 after a list that ends early."""
        table = fitted.recommend(self.encoder.users.classes_[asked], n=self.k)
        users, items = self.encoder.transform(table)
        places = table.groupby(users).cumcount().to_numpy()
        lists = np.full((len(asked), self.k), -1, dtype=np.int64)
        lists[np.searchsorted(asked, users), places] = items
        return lists
