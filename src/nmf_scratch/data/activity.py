"""Who rates how much, what is rated how often, and when: the shape of a data set, as arrays to draw or to test.

Ratings are not spread evenly. Ranked by how often they are rated, items follow something like Zipf's law: a few hold
half of all ratings (the *head*), and most share what is left (the *long tail*). So do users, less markedly. A table of
users × items is therefore dense in one corner and empty elsewhere, the mean of a rarely rated item is mostly noise
(its standard error is σ / √n), and what a data set looks like also changes with the time at which it was gathered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.encoder import LabelEncoder

Array = NDArray[Any]
Matrix = NDArray[np.float64]

PERIODS = {"D": "day", "W": "week", "M": "month", "Q": "quarter", "Y": "year"}
"""What time is cut into, by pandas' names, finest first."""

MOST_PERIODS = 60
MOST_CELLS = 200
"""Bins on each side of the picture of a table: about one for every two pixels."""

MILLISECONDS = 10**11  # as seconds this would be the year 5138


@dataclass(frozen=True, eq=False)
class Coded:
    """Ratings by code, in the order of the file, with what is counted of users and items.

    Attributes
    ----------
    users, items : ndarray of int, shape (n_ratings,)
        Positions in `user_ids` and `item_ids`.
    values : ndarray of float64, shape (n_ratings,)
        Ratings, in the unit of the file.
    user_ids, item_ids : ndarray
        Raw ids, sorted.
    """

    users: Array
    items: Array
    values: Matrix
    user_ids: Array
    item_ids: Array

    @cached_property
    def user_counts(self) -> NDArray[np.int64]:
        """Ratings of each user, shape (n_users,)."""
        return np.bincount(self.users, minlength=len(self.user_ids))

    @cached_property
    def item_counts(self) -> NDArray[np.int64]:
        """Ratings of each item, shape (n_items,)."""
        return np.bincount(self.items, minlength=len(self.item_ids))

    @cached_property
    def item_means(self) -> Matrix:
        """Mean rating of each item, shape (n_items,)."""
        return np.bincount(self.items, self.values, len(self.item_ids)) / self.item_counts

    @cached_property
    def user_means(self) -> Matrix:
        """Mean rating of each user, shape (n_users,)."""
        return np.bincount(self.users, self.values, len(self.user_ids)) / self.user_counts


def coded(dataset: Dataset) -> Coded:
    """Encode the ratings of a data set; nothing is sorted or left out."""
    users, items = LabelEncoder(), LabelEncoder()
    ratings = dataset.ratings
    return Coded(
        users.fit_transform(ratings["user"]), items.fit_transform(ratings["item"]),
        ratings["rating"].to_numpy(np.float64), users.classes_, items.classes_,
    )  # fmt: skip


def item_names(dataset: Dataset, item_ids: Array) -> list[str]:
    """Return the title of each item, or its id where no title is known."""
    ids = [str(item) for item in item_ids]
    if dataset.items is None or "title" not in dataset.items:
        return ids
    titles = dataset.items.drop_duplicates("item").set_index("item")["title"].reindex(item_ids)
    return [name if pd.isna(title) else str(title) for title, name in zip(titles, ids, strict=True)]


def lorenz(counts: Array) -> tuple[Matrix, Matrix]:
    """Return the curve of shares: what the most rated share of the items holds of the ratings.

    Parameters
    ----------
    counts : array, shape (n,)
        Ratings of each item, or user.

    Returns
    -------
    share, held : ndarray, shape (n + 1,)
        From (0, 0) to (1, 1), the most rated first: the curve lies above the diagonal.
    """
    descending = np.sort(counts)[::-1]
    share = np.linspace(0.0, 1.0, len(counts) + 1)
    return share, np.append(0.0, np.cumsum(descending) / descending.sum())


class Grid(NamedTuple):
    """How dense a table of users × items is, in blocks; the most active users and most rated items come first.

    Attributes
    ----------
    density : ndarray, shape (rows, columns)
        Share of the pairs in each block that is rated.
    user_edges, item_edges : ndarray of int, shapes (rows + 1,) and (columns + 1,)
        Ranks at which blocks begin and end.
    """

    density: Matrix
    user_edges: NDArray[np.int64]
    item_edges: NDArray[np.int64]


def density_grid(ratings: Coded, most: int = MOST_CELLS) -> Grid:
    """Count ratings in at most `most` × `most` blocks of a table that is sorted by activity."""
    rows, user_edges = _blocks(ratings.user_counts, most)
    columns, item_edges = _blocks(ratings.item_counts, most)
    shape = len(user_edges) - 1, len(item_edges) - 1
    cells = rows[ratings.users] * shape[1] + columns[ratings.items]
    counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    return Grid(counts / np.outer(np.diff(user_edges), np.diff(item_edges)), user_edges, item_edges)


def _blocks(counts: Array, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the block of each row, and the ranks at which blocks begin and end."""
    n = len(counts)
    edges = np.linspace(0, n, min(n, most) + 1).astype(np.int64)
    block = np.empty(n, dtype=np.int64)
    block[np.argsort(-counts, kind="stable")] = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    return block, edges


def popularity(ratings: Coded, n_bins: int = 12) -> pd.DataFrame:
    """Summarise the mean ratings of items that are rated about equally often.

    Returns
    -------
    DataFrame
        One row per class of number of ratings, of equal width in the logarithm: ``ratings`` (its middle), ``items``,
        and the quartiles ``low``, ``median``, ``high`` of the items' means. Classes of fewer than five items are left
        out.
    """
    counts = ratings.item_counts
    edges = np.geomspace(1, counts.max() + 1, n_bins + 1)
    table = pd.DataFrame({"bin": np.searchsorted(edges, counts, "right") - 1, "mean": ratings.item_means})
    found = table.groupby("bin")["mean"].describe(percentiles=[0.25, 0.5, 0.75])
    found = found[found["count"] >= 5]
    middle = np.sqrt(edges[:-1] * edges[1:])[found.index]
    columns = {"25%": "low", "50%": "median", "75%": "high"}
    summary = found[list(columns)].rename(columns=columns).assign(items=found["count"].astype(int))
    return summary.assign(ratings=middle).reset_index(drop=True)


def over_time(dataset: Dataset, ratings: Coded) -> pd.DataFrame:
    """Count and average ratings by the time at which they were given.

    Parameters
    ----------
    dataset : Dataset
        With timestamps, in seconds or milliseconds.
    ratings : Coded
        What `coded` makes of it.

    Returns
    -------
    DataFrame
        One row per period that holds ratings: ``start`` (UTC), ``ratings``, ``new_users`` (who rate for the
        first time), ``mean`` and its ``standard_error``, and ``expected``, the mean that the same items
        have over all time: where both move, other items are rated; where only the mean does, the users have changed.
        The name of the period is in ``attrs["period"]``.
    """
    times = pd.to_datetime(dataset.ratings["timestamp"], unit=_unit(dataset.ratings["timestamp"]))
    period, starts = _periods(times)
    n = len(starts)
    counts = np.bincount(period, minlength=n)
    means = np.bincount(period, ratings.values, n) / np.maximum(counts, 1)
    squares = np.bincount(period, ratings.values**2, n) / np.maximum(counts, 1)
    first = np.full(len(ratings.user_ids), n)
    np.minimum.at(first, ratings.users, period)
    table = pd.DataFrame({
        "start": starts,
        "ratings": counts,
        "new_users": np.bincount(first, minlength=n),
        "mean": means,
        "standard_error": np.sqrt(np.maximum(squares - means**2, 0) / np.maximum(counts, 1)),
        "expected": np.bincount(period, ratings.item_means[ratings.items], n) / np.maximum(counts, 1),
    })  # fmt: skip
    found = table[table["ratings"] > 0].reset_index(drop=True)
    found.attrs["period"] = PERIODS[starts.freqstr[0]]
    return found


def _unit(timestamps: pd.Series[Any]) -> Literal["s", "ms"]:
    return "ms" if float(timestamps.max()) > MILLISECONDS else "s"


def _periods(times: pd.Series[Any]) -> tuple[NDArray[np.int64], Any]:
    """Return the period that each time falls into, and all periods: of the finest kind that are not too many."""
    low, high = times.min(), times.max()
    for kind in PERIODS:
        periods = pd.period_range(low, high, freq=kind)
        if len(periods) <= MOST_PERIODS:
            break
    starts = periods.start_time
    return np.searchsorted(starts.to_numpy(), times.to_numpy(), "right") - 1, periods
