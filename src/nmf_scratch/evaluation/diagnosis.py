"""Where is a model right, and where is it wrong? Tables about ratings that it has not seen.

A model that is trained on all ratings has nothing left to be tested on. `hold_out` takes a part of its own ratings away
and fits a copy with the same parameters to the others; the copy is evaluated, and stands for the model. If you ask with
ratings that were trained on is refused.

*Intervals.* Ratings by one user resemble each other, so n ratings tell less than n independent ones. The standard
errors here add up the deviations of each user (or item) before they square them,

    s.e. of a mean = √(C / (C − 1) Σ_c (Σ_i∈c (x_i − x̄))²) / n     over C clusters c,

the cluster-robust ones of Liang & Zeger, *Longitudinal data analysis using generalized linear models*, Biometrika
73(1), 1986. Intervals are ± 1.96 of them; for RMSE that of the mean squared error, its root taken of both ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import InputError, check_number
from nmf_scratch._estimator import ratings_by
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.encoder import LabelEncoder
from nmf_scratch.data.inputs import PairEncoder
from nmf_scratch.evaluation.baselines import BiasModel
from nmf_scratch.evaluation.cross_validation import quantile_groups
from nmf_scratch.evaluation.metrics import coverage
from nmf_scratch.evaluation.splits import KFold

Z = 1.96
"""Half the width of a 95 % interval, in standard errors."""

LEVELS = 11
"""Most groups of true ratings; finer scales are cut into as many of equal size."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
HEAD = 0.8
"""Share of the ratings that the most rated items hold; the others are the long tail."""


class HeldOut(NamedTuple):
    """A copy of a model that has not seen a part of its ratings.

    Attributes
    ----------
    model : NMF
        Fitted to `train` with the parameters and the seed of the model.
    train, test : DataFrame
        Columns user, item, rating, in raw ids; together all ratings of the model.
    """

    model: Any
    train: pd.DataFrame
    test: pd.DataFrame


def training_ratings(model: Any) -> pd.DataFrame:
    """Return the ratings that a model was trained on: columns user, item, rating, in raw ids, sorted."""
    ratings = model.fitted_.ratings
    users, items = model.user_ids_[ratings.users], model.item_ids_[ratings.items]
    return pd.DataFrame({"user": users, "item": items, "rating": ratings.values.astype(np.float64)})


def training_dataset(model: Any, ratings: pd.DataFrame | None = None) -> Dataset:
    """Return the ratings that a model was trained on, or a part of them, with what it knows of the items."""
    items = None if model.items_ is None else model.items_.assign(item=model.item_ids_)
    return Dataset("model", training_ratings(model) if ratings is None else ratings, items=items)


def hold_out(model: Any, *, n_folds: int = 5, callbacks: Sequence[Any] = ()) -> HeldOut:
    """Fit a copy of a model without a part of the ratings it was trained on.

    Parameters
    ----------
    model : NMF
        A fitted model.
    n_folds : int
        One part in so many is held out, drawn by the model's seed.
    callbacks : sequence of callable
        Called after each epoch of the fit.

    Returns
    -------
    HeldOut
    """
    check_number("n_folds", n_folds, minimum=2, integer=True)
    ratings = training_ratings(model)
    folds = KFold(n_folds, shuffle=True, random_state=model.key_ % 2**32)
    train, test = (ratings.iloc[part].reset_index(drop=True) for part in next(iter(folds.split(ratings))))
    copy = model.clone(random_state=model.key_, callbacks=callbacks, verbose=False).fit(training_dataset(model, train))
    if copy.stop_reason_ == "interrupted":
        raise KeyboardInterrupt  # half a fit would stand for the whole
    return HeldOut(copy, train, test)


def evaluate_predictions(model: Any, train: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """Predict ratings that were held out, and say what the model had to go by.

    Parameters
    ----------
    model : NMF
        Fitted to `train`.
    train, test : DataFrame
        Columns user, item, rating.

    Returns
    -------
    DataFrame
        The rows of `test`: user, item, rating, prediction (clipped), bias_model (what user and item alone predict: the
        bar), user_ratings and item_ratings (how many there are in training), user_group and item_group (1 … 10, tenths
        of all users and items, 1 has the fewest training ratings).

    Raises
    ------
    InputError
        If there is no test rating, or the model was trained on one of them.
    """
    if not len(test):
        raise InputError("test holds no rating: hold out more")
    _refuse_seen(model, test)
    pairs = ["user", "item"]
    table = test[[*pairs, "rating"]].reset_index(drop=True)
    table["prediction"] = ratings_by(model, table[pairs])
    table["bias_model"] = BiasModel().fit(train[pairs], train["rating"]).predict(table[pairs])
    codes = [LabelEncoder().fit_transform(pd.concat([train[side], table[side]])) for side in pairs]
    n_train = len(train)
    for side, code in zip(pairs, codes, strict=True):
        table[f"{side}_ratings"] = np.bincount(code[:n_train], minlength=code.max() + 1)[code[n_train:]]
        table[f"{side}_group"] = quantile_groups(code, np.arange(n_train), 10)[n_train:]
    return table


def _refuse_seen(model: Any, test: pd.DataFrame) -> None:
    ratings = model.fitted_.ratings
    users, items = model.fitted_.user_codes(test["user"]), model.fitted_.item_codes(test["item"])
    keys = ratings.users.astype(np.int64) * ratings.n_items + ratings.items  # ascending
    asked = users.astype(np.int64) * ratings.n_items + items
    found = np.append(keys, -1)[np.searchsorted(keys, asked)] == asked
    if seen := int((found & (users >= 0) & (items >= 0)).sum()):
        raise InputError(
            f"the model was trained on {seen} of {len(test)} test ratings: fit it to others (see hold_out)"
        )


# --- tables of what was predicted ------------------------------------------------------------------------------------


def residuals_by_rating(table: pd.DataFrame) -> pd.DataFrame:
    """Describe the errors r − r̂ for each true rating.

    High ratings are predicted too low and low ones too high, by *any* good prediction: it is the mean over what is
    possible, and the extremes are luck, too. Whether predictions can be trusted is for `calibration_bins` to say.

    Parameters
    ----------
    table : DataFrame
        What `evaluate_predictions` returns.

    Returns
    -------
    DataFrame
        One row per rating (or group of ratings, where there are more than `LEVELS`): rating (mean of the group), n,
        mean, and the quantiles q5, q25, q50, q75, q95 of the errors, in the unit of the ratings.
    """
    ratings = table["rating"]
    groups = ratings if ratings.nunique() <= LEVELS else pd.qcut(ratings, LEVELS, duplicates="drop")
    errors = (ratings - table["prediction"]).groupby(groups.to_numpy(), observed=True)
    frame = pd.DataFrame({"rating": ratings.groupby(groups.to_numpy(), observed=True).mean(), "n": errors.size()})
    frame["mean"] = errors.mean()
    for share in QUANTILES:
        frame[f"q{share * 100:.0f}"] = errors.quantile(share)
    return frame.reset_index(drop=True)


def calibration_bins(table: pd.DataFrame, n_bins: int = 12) -> pd.DataFrame:
    """Compare the mean of what was predicted with the mean of what was rated, from low predictions to high ones.

    Parameters
    ----------
    table : DataFrame
        What `evaluate_predictions` returns.
    n_bins : int
        Bins of equal width over the range of the predictions.

    Returns
    -------
    DataFrame
        One row per bin that holds a rating: left and right edge, n, predicted and observed (means), low and high (95 %
        interval of observed, clustered by user; NaN where one user has all of them).
    """
    check_number("n_bins", n_bins, minimum=1, integer=True)
    predictions = table["prediction"].to_numpy()
    edges = np.linspace(predictions.min(), predictions.max(), n_bins + 1)
    bins = np.clip(np.searchsorted(edges, predictions, side="right") - 1, 0, n_bins - 1)
    rows = []
    for number, group in table.groupby(bins):
        observed, error = _mean_and_error(group["rating"].to_numpy(), group["user"])
        left, right = edges[int(number)], edges[int(number) + 1]  # type: ignore[call-overload]
        means = {"predicted": group["prediction"].mean(), "observed": observed}
        rows.append({"left": left, "right": right, "n": len(group), **means, **_interval(observed, error)})
    return pd.DataFrame(rows)


def errors_by_count(table: pd.DataFrame, side: str) -> pd.DataFrame:
    """Measure errors apart for items (or users) with few training ratings and with many.

    Parameters
    ----------
    table : DataFrame
        What `evaluate_predictions` returns.
    side : {"item", "user"}
        Popularity of items, or activity of users.

    Returns
    -------
    DataFrame
        One row per tenth of the items (users) that has test ratings: group (1 … 10), fewest and most (training ratings
        in the group), n, rmse, low and high (95 % interval, clustered by item or user) and bias_model (its RMSE on the
        same ratings).
    """
    rows = []
    for number, group in table.groupby(f"{side}_group"):
        squares = (group["rating"] - group["prediction"]).to_numpy() ** 2
        bar = float(np.sqrt(np.mean((group["rating"] - group["bias_model"]) ** 2)))
        mean, error = _mean_and_error(squares, group[side])
        ends = {name: float(np.sqrt(max(end, 0.0))) for name, end in _interval(mean, error).items()}
        counts = group[f"{side}_ratings"]
        about = {"group": number, "fewest": counts.min(), "most": counts.max(), "n": len(group)}
        rows.append({**about, "rmse": float(np.sqrt(mean)), **ends, "bias_model": bar})
    return pd.DataFrame(rows)


def _mean_and_error(values: NDArray[np.float64], clusters: pd.Series[Any]) -> tuple[float, float]:
    """Return a mean and its cluster-robust standard error; NaN for a single cluster."""
    mean, codes = float(values.mean()), pd.factorize(clusters)[0]
    sums = np.bincount(codes, weights=values - mean)
    if len(sums) < 2:
        return mean, float("nan")
    return mean, float(np.sqrt(len(sums) / (len(sums) - 1) * np.sum(sums**2)) / len(values))


def _interval(mean: float, error: float) -> dict[str, float]:
    return {"low": mean - Z * error, "high": mean + Z * error}


# --- what lists hold -------------------------------------------------------------------------------------------------


class Exposure(NamedTuple):
    """How often items are listed, from the most rated item to the least rated one.

    Attributes
    ----------
    listed : ndarray of int, shape (n_items,)
        On how many lists each item stands.
    rated : ndarray of int, shape (n_items,)
        Its training ratings, descending.
    coverage : float
        Share of the items that stand on a list.
    tail : float
        Share of the places that are held by the long tail: the least rated items, which hold a fifth of the ratings.
    """

    listed: NDArray[np.int64]
    rated: NDArray[np.int64]
    coverage: float
    tail: float


def exposure(recommender: Any, train: pd.DataFrame, n: int = 10) -> Exposure:
    """List n unseen items for every user and count what is listed.

    Parameters
    ----------
    recommender : NMF or baseline
        Fitted to `train`: anything with recommend(users, n).
    train : DataFrame
        Columns user, item.
    n : int
        Length of the lists.
    """
    encoder, _, items = PairEncoder.fit_transform(train["user"], train["item"])
    counts = np.bincount(items)
    order = np.argsort(-counts, kind="stable")
    listed = encoder.item_codes(recommender.recommend(encoder.users.classes_, n=n)["item"])
    times, rated = np.bincount(listed, minlength=len(counts))[order], counts[order]
    share = coverage(listed, len(counts))
    return Exposure(times, rated, share, float(times[head_size(rated) :].sum() / (times.sum() or 1)))


def head_size(rated: NDArray[Any]) -> int:
    """Return how many of the most rated items hold `HEAD` of the ratings; `rated` is descending."""
    return int(np.searchsorted(np.cumsum(rated), HEAD * rated.sum())) + 1


def typical_pair(model: Any) -> tuple[Any, Any]:
    """Return an example to explain: the user with the median number of ratings, and their first recommendation."""
    counts = model.fitted_.ratings.user_counts
    order = np.argsort(counts, kind="stable")[np.sum(counts == 0) :]
    user = model.user_ids_[order[len(order) // 2]]
    return user, model.recommend(user, n=1)["item"].iloc[0]
