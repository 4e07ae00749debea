"""What is rated alike, and who rates alike: correlations between columns, or rows, of a table with gaps.

Two films are alike if those who rated both agree about them: the Pearson correlation, over the users in common, of
ratings from which each user's mean is taken, so that a generous user is not evidence. With few in common, it is mostly
chance: two ratings correlate at ±1. So it is shrunk by its support (Koren, *Factor in the neighbors*, TKDD 2010),

    s = n / (n + λ) · correlation,      n users in common.

How much of the likeness of users is more than chance? The same numbers, after the residuals of each item have been
shuffled among those who rated it, tell.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from nmf_scratch._random import generator
from nmf_scratch.data.activity import Array, Coded, Matrix

SHRINK_ITEMS, SHRINK_USERS = 50.0, 10.0
"""λ: of users in common, of items in common."""

FEWEST_COMMON = 10
"""Items that two users must have in common for their correlation to say anything."""

PARTNERS = 2
"""Each item is tied to so many of the others, those most like it."""

_USERS, _SHUFFLE = 0, 1
_KEY = 20071028


def item_graph(ratings: Coded, n_items: int = 60, n_partners: int = PARTNERS) -> tuple[Array, pd.DataFrame]:
    """Tie the most rated items to those that are rated most like them.

    Parameters
    ----------
    ratings : Coded
        What `nmf_scratch.data.activity.coded` returns.
    n_items : int
        Items to look at.
    n_partners : int
        Ties of each item; it can have more, from items that are tied to it.

    Returns
    -------
    items : ndarray of int, shape (≤ n_items,)
        Codes, the most rated first.
    ties : DataFrame
        Columns ``a``, ``b`` (positions in `items`, a < b), ``similarity`` (above 0) and ``common`` (users).
    """
    items = np.argsort(-ratings.item_counts, kind="stable")[:n_items]
    place = np.full(len(ratings.item_ids), -1)
    place[items] = np.arange(len(items))
    chosen = np.flatnonzero(place[ratings.items] >= 0)
    users = ratings.users[chosen]
    residuals = ratings.values[chosen] - ratings.user_means[users]
    shape = len(items), len(ratings.user_ids)
    similarity, common = _correlations(csr_array((residuals, (place[ratings.items[chosen]], users)), shape=shape))
    np.fill_diagonal(similarity, 0.0)
    best = np.argsort(-similarity, axis=1, kind="stable")[:, :n_partners]
    pairs = {(min(a, b), max(a, b)) for a, row in enumerate(best) for b in row if similarity[a, b] > 0}
    ordered = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    a, b = ordered.T
    return items, pd.DataFrame({"a": a, "b": b, "similarity": similarity[a, b], "common": common[a, b].astype(int)})


def _correlations(rows: csr_array, shrink: float = SHRINK_ITEMS) -> tuple[Matrix, Matrix]:
    """Return the shrunk correlation of each two rows over what both have, and how much that is."""
    known = rows.copy()
    known.data = np.ones_like(rows.data)
    squares = rows.copy()
    squares.data = rows.data**2
    common, products = (known @ known.T).toarray(), (rows @ rows.T).toarray()
    sums, sums_of_squares = (rows @ known.T).toarray(), (squares @ known.T).toarray()  # of the row's, over the common
    n = np.maximum(common, 1)
    spread = np.maximum(sums_of_squares - sums**2 / n, 0)
    scale = np.sqrt(spread * spread.T)
    covariance = products - sums * sums.T / n
    correlation = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 1e-9 * n)
    return n / (n + shrink) * np.clip(correlation, -1, 1), common


class Likeness(NamedTuple):
    """How alike pairs of users are; see `user_likeness`.

    Attributes
    ----------
    n_users : int
        Users that were drawn.
    common : ndarray of int, shape (n_pairs,)
        Items that both have rated.
    similarity, chance : ndarray, shape (pairs with at least `FEWEST_COMMON` items in common,)
        Shrunk correlations; the same after each item's ratings were shuffled.
    """

    n_users: int
    common: NDArray[np.int64]
    similarity: Matrix
    chance: Matrix


def user_likeness(ratings: Coded, n_users: int = 700) -> Likeness:
    """Compare users, drawn at random, in pairs: in what they rate, and in how.

    Parameters
    ----------
    ratings : Coded
        What `nmf_scratch.data.activity.coded` returns.
    n_users : int
        Users to draw, the same ones every time.

    Returns
    -------
    Likeness
        Of residuals: what is left of a rating without the mean of its item.
    """
    n_all = len(ratings.user_ids)
    drawn = np.sort(generator(_KEY, _USERS).permutation(n_all)[:n_users])
    place = np.full(n_all, -1)
    place[drawn] = np.arange(len(drawn))
    chosen = np.flatnonzero(place[ratings.users] >= 0)
    users, items = place[ratings.users[chosen]], ratings.items[chosen]
    residuals = ratings.values[chosen] - ratings.item_means[items]
    shape = len(drawn), len(ratings.item_ids)
    upper = np.triu_indices(len(drawn), 1)
    tables = [csr_array((values, (users, items)), shape=shape) for values in (residuals, _shuffled(items, residuals))]
    (similarity, common), (chance, _) = (_correlations(table, SHRINK_USERS) for table in tables)
    shared = common[upper].astype(np.int64)
    sound = shared >= FEWEST_COMMON
    return Likeness(len(drawn), shared, similarity[upper][sound], chance[upper][sound])


def _shuffled(items: Array, residuals: Matrix) -> Matrix:
    """Shuffle the residuals of each item among its own places."""
    drawn = generator(_KEY, _SHUFFLE).permutation(len(items))
    order = np.argsort(items, kind="stable")
    drawn = drawn[np.argsort(items[drawn], kind="stable")]
    shuffled = np.empty_like(residuals)
    shuffled[order] = residuals[drawn]
    return shuffled
