"""What a data set looks like, in numbers: size, density, the shape of its ratings, who rates and what is rated.

Two numbers decide how a factorisation will fare. The *density* says how much is known: 6 % in MovieLens 100K, far
below 1 % in larger sets. The *concentration* says how unevenly: where the top percent of items holds a large share of
the ratings, popularity alone is hard to beat, and most items are known by a handful of people. It is summed up by the
Gini coefficient, 0 if all items are rated equally often, near 1 if one item has everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from nmf_scratch.data.activity import MILLISECONDS
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.genres import members

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
MOST_CLASSES = 20
"""With more different ratings than that, they are counted in so many classes."""

COUNTS_FROM = 20.0
"""Numbers whose largest is so many times their median are counts (plays, clicks, purchases), not a scale of stars."""


@dataclass(frozen=True)
class Statistics:
    """Numbers that describe a data set; see `describe`.

    Attributes
    ----------
    name : str
        Of the data set.
    n_ratings, n_users, n_items, n_duplicates, n_genres : int
        Counts; users and items are those with at least one rating.
    density : float
        n_ratings / (n_users · n_items).
    mean, std : float
        Of the ratings, in their own unit (stars).
    histogram : dict of float to int
        How often each rating occurs, ascending; at most 20 classes, each under its lower bound, if ratings vary more
        (see `histogram`).
    ratings_per_user, ratings_per_item : dict of float to float
        Quantile (0, ¼, ½, ¾, 1) to number of ratings.
    top_1_percent, top_10_percent : float
        Share of the ratings held by the most rated 1 and 10 % of items (rounded up to a whole item).
    gini : float
        Gini coefficient of ratings per item.
    first, last : Timestamp or None
        Time span (UTC), None without timestamps.
    """

    name: str
    n_ratings: int
    n_users: int
    n_items: int
    density: float
    mean: float
    std: float
    histogram: dict[float, int]
    ratings_per_user: dict[float, float]
    ratings_per_item: dict[float, float]
    top_1_percent: float
    top_10_percent: float
    gini: float
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    n_duplicates: int
    n_genres: int

    def rows(self) -> list[tuple[str, str]]:
        """Return (label, text) pairs for a table."""
        span = f"{self.first:%Y-%m-%d} to {self.last:%Y-%m-%d}" if self.first and self.last else "unknown"
        shares = {rating: f"{n:,} ({100 * n / self.n_ratings:.1f} %)" for rating, n in self.histogram.items()}
        return [
            ("ratings", f"{self.n_ratings:,}"),
            ("users", f"{self.n_users:,}"),
            ("items", f"{self.n_items:,}"),
            ("density", f"{100 * self.density:.3g} %"),
            ("mean rating", f"{self.mean:.3f} (standard deviation {self.std:.3f})"),
            *((f"rating {rating:g}", text) for rating, text in shares.items()),
            ("ratings per user", _five(self.ratings_per_user)),
            ("ratings per item", _five(self.ratings_per_item)),
            ("held by the top 1 % of items", f"{100 * self.top_1_percent:.1f} %"),
            ("held by the top 10 % of items", f"{100 * self.top_10_percent:.1f} %"),
            ("Gini coefficient of items", f"{self.gini:.3f}"),
            ("time span", span),
            ("duplicates merged", f"{self.n_duplicates:,}"),
            ("genres", f"{self.n_genres}"),
        ]


def describe(dataset: Dataset) -> Statistics:
    """Compute the numbers that describe a data set.

    Parameters
    ----------
    dataset : Dataset
        At least one rating.

    Returns
    -------
    Statistics
        Numbers only; `Statistics.rows` words them.
    """
    ratings = dataset.ratings
    values = ratings["rating"].to_numpy(np.float64)
    per_user = ratings["user"].value_counts().to_numpy()
    per_item = ratings["item"].value_counts().to_numpy()  # descending
    first, last = _span(ratings)
    return Statistics(
        name=dataset.name,
        n_ratings=len(ratings),
        n_users=len(per_user),
        n_items=len(per_item),
        density=len(ratings) / (len(per_user) * len(per_item)),
        mean=float(values.mean()),
        std=float(values.std()),
        histogram=histogram(values).to_dict(),
        ratings_per_user=_quantiles(per_user),
        ratings_per_item=_quantiles(per_item),
        top_1_percent=share_of_top(per_item, 0.01),
        top_10_percent=share_of_top(per_item, 0.10),
        gini=gini(per_item),
        first=first,
        last=last,
        n_duplicates=dataset.n_duplicates,
        n_genres=_n_genres(dataset.items),
    )


def lacking(dataset: Dataset) -> list[str]:
    """Name what a data set does not say, of what there would be figures about."""
    items, users = (() if table is None else table.columns for table in (dataset.items, dataset.users))
    found = {
        "titles": "title" in items,
        "genres": "genres" in items,
        "who the users are": len(users) > 1,
        "when a rating was given": "timestamp" in dataset.ratings,
    }
    return [what for what, there in found.items() if not there]


def gini(counts: np.ndarray) -> float:
    """Return the Gini coefficient of counts, shape (n,): 0 if all are equal, 1 if one has it all; NaN of nothing."""
    ascending = np.sort(np.asarray(counts, np.float64))
    n, total = len(ascending), ascending.sum()
    if not total:
        return float("nan")
    rank = np.arange(1, n + 1)
    return float((2 * rank - n - 1) @ ascending / total) / max(n - 1, 1)  # (EV.12)


class Histogram(NamedTuple):
    """How often ratings occur; see `histogram`.

    Attributes
    ----------
    levels : ndarray, shape (n,)
        Ratings, or the lower bounds of their classes, ascending.
    counts : ndarray of int, shape (n,)
        How often each occurs.
    upper : float or None
        Upper bound of the last class; None where each level is one rating.
    logarithmic : bool
        Whether classes are of equal width in the logarithm: the numbers are counts, not a scale.
    """

    levels: np.ndarray
    counts: np.ndarray
    upper: float | None
    logarithmic: bool

    def to_dict(self) -> dict[float, int]:
        """Return level to count."""
        return {float(level): int(count) for level, count in zip(self.levels, self.counts, strict=True)}


def histogram(values: np.ndarray) -> Histogram:
    """Count ratings: each level by itself if there are few, else in `MOST_CLASSES` classes, of counts logarithmic ones.

    Parameters
    ----------
    values : ndarray, shape (n,)
        At least one rating.

    Returns
    -------
    Histogram
    """
    levels, counts = np.unique(values, return_counts=True)
    if len(levels) <= MOST_CLASSES:
        return Histogram(levels, counts, None, are_counts(levels, values))
    logarithmic = are_counts(levels, values)
    edges = np.geomspace(levels[0], levels[-1], MOST_CLASSES + 1) if logarithmic else MOST_CLASSES
    counts, bounds = np.histogram(values, bins=edges)
    if logarithmic:  # of whole numbers, the first classes are narrower than one, and some hold none
        whole = np.unique(np.append(np.ceil(bounds[:-1]), levels[-1])) if (levels % 1 == 0).all() else bounds
        counts, bounds = np.histogram(values, bins=whole)
    return Histogram(bounds[:-1], counts, float(bounds[-1]), logarithmic)


def are_counts(levels: np.ndarray, values: np.ndarray) -> bool:
    """Tell whether positive numbers spread so unevenly that they must be counts, not a scale."""
    return bool(levels[0] > 0 and levels[-1] >= COUNTS_FROM * np.median(values))


def unit_of(levels: np.ndarray) -> str:
    """Name the unit of ratings: stars, if they are from half a star to five; else neutrally."""
    halves = len(levels) > 1 and levels[0] >= 0.5 and levels[-1] == 5 and bool((levels * 2 % 1 == 0).all())
    return "stars" if halves else "units of the file"


def _quantiles(counts: np.ndarray) -> dict[float, float]:
    return dict(zip(QUANTILES, np.quantile(counts, QUANTILES).tolist(), strict=True))


def share_of_top(descending: np.ndarray, share: float) -> float:
    """Return what part of a sum the largest share of its terms has, rounded up to a whole term."""
    n_top = int(np.ceil(share * len(descending)))
    return float(descending[:n_top].sum() / descending.sum())


def _span(ratings: pd.DataFrame) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    if "timestamp" not in ratings:
        return None, None
    low, high = (float(bound) for bound in (ratings["timestamp"].min(), ratings["timestamp"].max()))
    unit = "ms" if high > MILLISECONDS else "s"
    return pd.Timestamp(low, unit=unit, tz="UTC"), pd.Timestamp(high, unit=unit, tz="UTC")


def _n_genres(items: pd.DataFrame | None) -> int:
    return 0 if items is None or "genres" not in items else members(items["genres"]).shape[1]


def _five(quantiles: dict[float, float]) -> str:
    low, first, median, third, high = (f"{quantiles[q]:,.4g}" for q in QUANTILES)
    return f"median {median}, half in {first} to {third}, from {low} to {high}"
