"""Metrics: how far predictions are from held-out ratings, and how good a short list is.

*Rating metrics* are in the unit of the ratings (stars). They pool over all pairs; a mean of per-user errors is a
different, usually smaller number, and must not be compared with these.

*Ranking metrics at k* measure what users see: the first k items of a list, against the held-out items that each user
liked (see docs/guide/evaluation.md). Libraries differ in conventions that change the numbers; these hold here:

- A list that ends early is not made up for: precision divides by k all the same.
- Recall divides by all relevant items, even if they are more than k; average precision by min(k, n_relevant), so that
  a perfect list scores 1.
- A user without a relevant item cannot be served well or badly: NaN, and left out of the mean.
- Gains may be graded; then nDCG weighs them, linearly, and the other metrics ask whether the gain is positive.

References: Järvelin & Kekäläinen, *Cumulated gain-based evaluation of IR techniques*, ACM TOIS 20(4), 2002 (nDCG);
Zhou et al., *Solving the apparent diversity-accuracy dilemma of recommender systems*, PNAS 107(10), 2010 (novelty);
Castells, Hurley & Vargas, *Novelty and diversity in recommender systems*, in Recommender Systems Handbook, 2nd edition,
2015 (Gini index); Abdollahpouri et al., *Managing popularity bias in recommender systems with personalized re-ranking*,
FLAIRS 2019 (average recommendation popularity).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmf_scratch._check import InputError, check_number
from nmf_scratch.data import statistics
from nmf_scratch.data.ratings import Ratings

PerUser = NDArray[np.float64]


def rmse(truth: ArrayLike, predictions: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Root mean squared error, √(mean (r − r̂)²), in the unit of the ratings; all of shape (n,), the mean by weight."""
    errors = _errors(truth, predictions)
    shares = None if weights is None else np.asarray(weights, dtype=np.float64)
    return float(np.sqrt(np.average(errors**2, weights=shares)))  # (EV.1)


def mae(truth: ArrayLike, predictions: ArrayLike) -> float:
    """Mean absolute error, mean `|r − r̂|`, in the unit of the ratings; both of shape (n,)."""
    return float(np.mean(np.abs(_errors(truth, predictions))))  # (EV.2)


def _errors(truth: ArrayLike, predictions: ArrayLike) -> NDArray[np.float64]:
    truth, predictions = np.asarray(truth, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    if truth.shape != predictions.shape or truth.ndim != 1 or truth.size == 0:
        raise InputError(
            f"truth and predictions must be non-empty and of one shape (n,), got {truth.shape} and {predictions.shape}"
        )
    errors: NDArray[np.float64] = truth - predictions
    return errors


# --- ranking: lists against what the users liked --------------------------------------------------------------------


class ScoredLists(NamedTuple):
    """Lists after `score_lists` has compared them with the relevant items: all that the metrics below need.

    Attributes
    ----------
    gains : ndarray of float64, shape (n_users, k)
        Gain of the item at each place; 0 where it is not relevant or the list has ended.
    ideal : ndarray of float64, shape (n_users, k)
        Gains of the best list there could be: the user's own, descending, then 0.
    n_relevant : ndarray of int64, shape (n_users,)
        Relevant items of each user, listed or not.
    """

    gains: NDArray[np.float64]
    ideal: NDArray[np.float64]
    n_relevant: NDArray[np.int64]

    @property
    def hits(self) -> NDArray[np.bool_]:
        """Whether the item at each place is relevant, shape (n_users, k)."""
        return self.gains > 0


def score_lists(lists: ArrayLike, relevant: Ratings, k: int = 10) -> ScoredLists:
    """Compare the first k items of each list with the relevant items of its user.

    Parameters
    ----------
    lists : array_like of int, shape (n_users, m)
        Item codes, best first, without repeats; −1 fills up a list that ends early.
    relevant : Ratings
        Relevant (user, item) pairs, row u those of list u; the values are the gains (1 for plain relevance), and a
        gain of 0 is not relevant.
    k : int
        Places that count.

    Returns
    -------
    ScoredLists

    Raises
    ------
    InputError
        If the lists do not fit the relevant pairs, or name an item twice.
    """
    top = _first_places(lists, relevant, k)
    keys = relevant.users.astype(np.int64) * relevant.n_items + relevant.items  # ascending, as Ratings are sorted
    asked = np.arange(len(top))[:, None] * relevant.n_items + top
    where = np.searchsorted(keys, asked)
    found = (top >= 0) & (np.append(keys, -1)[where] == asked)
    gains = np.where(found, np.append(relevant.values, 0.0)[where], 0.0)
    return ScoredLists(gains, _ideal(relevant, k), np.bincount(relevant.users[relevant.values > 0], minlength=len(top)))


def _first_places(lists: ArrayLike, relevant: Ratings, k: int) -> NDArray[np.int64]:
    """Cut the lists to k places, or fill them up with −1."""
    check_number("k", k, minimum=1, integer=True)
    codes = np.asarray(lists)
    fits = codes.ndim == 2 and len(codes) == relevant.n_users and codes.dtype.kind in "iu"
    if not fits or codes.max(initial=-1) >= relevant.n_items:
        raise InputError(
            f"lists must hold item codes below {relevant.n_items} in an array of shape ({relevant.n_users}, m), "
            f"got {codes.dtype} of shape {codes.shape} with codes up to {codes.max(initial=-1)}"
        )
    top = np.full((len(codes), k), -1, dtype=np.int64)  # (n_users, k)
    top[:, : codes.shape[1]] = codes[:, :k]
    in_order = np.sort(top, axis=1)
    if ((in_order[:, 1:] == in_order[:, :-1]) & (in_order[:, 1:] >= 0)).any():
        raise InputError("lists must not name an item twice: it would be counted twice; remove the repeats")
    return top


def _ideal(relevant: Ratings, k: int) -> NDArray[np.float64]:
    """Return the k largest gains of each user, descending, shape (n_users, k)."""
    order = np.lexsort((-relevant.values, relevant.users))
    users = relevant.users[order]
    place = np.arange(len(users)) - relevant.by_user.indptr[users]
    ideal = np.zeros((relevant.n_users, k))
    shown = place < k
    ideal[users[shown], place[shown]] = relevant.values[order][shown]
    return ideal


def precision(scored: ScoredLists) -> PerUser:
    """Share of the k places that hold a relevant item, shape (n_users,)."""
    return _where_relevant(scored, scored.hits.sum(axis=1) / scored.hits.shape[1])  # (EV.3)


def recall(scored: ScoredLists) -> PerUser:
    """Share of the user's relevant items that are among the first k, shape (n_users,)."""
    return _where_relevant(scored, scored.hits.sum(axis=1) / np.maximum(scored.n_relevant, 1))  # (EV.4)


def hit_rate(scored: ScoredLists) -> PerUser:
    """1 where at least one of the k items is relevant, else 0, shape (n_users,)."""
    return _where_relevant(scored, np.asarray(scored.hits.any(axis=1), dtype=np.float64))  # (EV.5)


def reciprocal_rank(scored: ScoredLists) -> PerUser:
    """1 / place of the first relevant item, 0 if none is among the first k, shape (n_users,); their mean is MRR."""
    first: NDArray[np.int64] = scored.hits.argmax(axis=1) + 1
    return _where_relevant(scored, scored.hits.any(axis=1) / first)  # (EV.6)


def average_precision(scored: ScoredLists) -> PerUser:
    """Precision at the places of the relevant items, over min(k, n_relevant), shape (n_users,); their mean is MAP."""
    k = scored.hits.shape[1]
    at_place = np.cumsum(scored.hits, axis=1) / np.arange(1, k + 1)  # (n_users, k)
    best = np.clip(scored.n_relevant, 1, k)
    return _where_relevant(scored, (at_place * scored.hits).sum(axis=1) / best)  # (EV.7)


def ndcg(scored: ScoredLists) -> PerUser:
    """Discounted cumulative gain over that of the best list, shape (n_users,); place j is discounted by log₂(j + 1)."""
    discount = 1 / np.log2(np.arange(2, scored.gains.shape[1] + 2))
    best: PerUser = scored.ideal @ discount
    reached: PerUser = scored.gains @ discount
    return _where_relevant(scored, reached / np.where(best > 0, best, 1.0))  # (EV.8)


def _where_relevant(scored: ScoredLists, values: PerUser) -> PerUser:
    """Put NaN where a user has no relevant item."""
    return np.where(scored.n_relevant > 0, values, np.nan)


RANKING_METRICS: dict[str, Callable[[ScoredLists], PerUser]] = {
    "precision": precision,
    "recall": recall,
    "ndcg": ndcg,
    "map": average_precision,
    "mrr": reciprocal_rank,
    "hit_rate": hit_rate,
}
"""Metrics of relevance by the name that tables show; higher is better."""


def mean_over_users(values: PerUser) -> float:
    """Mean over the users that have a score (those without NaN); NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


# --- ranking: what the lists hold, liked or not ---------------------------------------------------------------------


def coverage(lists: NDArray[np.integer[Any]], n_items: int) -> float:
    """Share of the catalogue of `n_items` that stands on at least one list; −1 in `lists` (n_users, k) is no item."""
    return np.unique(lists[lists >= 0]).size / n_items  # (EV.9)


def novelty(lists: NDArray[np.integer[Any]], item_counts: NDArray[np.integer[Any]], n_users: int) -> PerUser:
    """Mean self-information of the listed items, in bits, shape (n_users,).

    An item that half of all users have rated carries 1 bit, one that a thousandth have rated 10: it is less likely that
    the user knows it. One that nobody rated counts as rated once.

    Parameters
    ----------
    lists : ndarray of int, shape (n_lists, k)
        Item codes; −1 is no item, and an empty list has no novelty (NaN).
    item_counts : ndarray of int, shape (n_items,)
        How many users rated each item in training.
    n_users : int
        Users in training.
    """
    bits = -np.log2(np.maximum(item_counts, 1) / n_users)  # (EV.10)
    return _mean_of_listed(lists, bits)


def average_popularity(lists: NDArray[np.integer[Any]], item_counts: NDArray[np.integer[Any]]) -> PerUser:
    """Mean number of training ratings of the listed items, shape (n_lists,); NaN for an empty list."""
    return _mean_of_listed(lists, item_counts.astype(np.float64))  # (EV.11)


def _mean_of_listed(lists: NDArray[np.integer[Any]], values: NDArray[np.float64]) -> PerUser:
    listed = lists >= 0
    totals, lengths = np.where(listed, values[lists], 0.0).sum(axis=1), listed.sum(axis=1)
    means: PerUser = np.divide(totals, lengths, out=np.full(len(lists), np.nan), where=lengths > 0)
    return means


def gini(lists: NDArray[np.integer[Any]], n_items: int) -> float:
    """Inequality of how often items are listed: 0 if all equally often, 1 if all lists hold the same single item.

    NaN where nothing is listed; a catalogue of one item has no inequality.
    """
    return statistics.gini(np.bincount(lists[lists >= 0], minlength=n_items))
