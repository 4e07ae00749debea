"""What the items are: genres, which of them go together, and how each is rated.

An item has any number of genres, so shares of genres add up to more than one. Where each item must stand in one place
only, in a picture of areas or of colours, it stands under its *leading* genre: the rarest one, by ratings, that it has.
Nearly every film is a drama or a comedy; that one of them is a western says more.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from nmf_scratch.data.activity import Array, Coded, Matrix, item_names
from nmf_scratch.data.dataset import Dataset

NO_GENRE = "no genre"

PRIOR = 5.0
"""Items that a pair of genres is shrunk by: with fewer in common, little is claimed."""


def members(genres: pd.Series) -> pd.DataFrame:
    """Tell by 1 and 0 which genres (columns) each item (row) has, from text such as ``Comedy|Drama``."""
    return genres.fillna("").astype(str).str.get_dummies("|").drop(columns="", errors="ignore")


def genres_of(dataset: Dataset, item_ids: Array) -> pd.DataFrame:
    """Tell which genres the given items have; no columns where none is known."""
    if dataset.items is None or "genres" not in dataset.items:
        return pd.DataFrame(index=range(len(item_ids)))
    known = dataset.items.drop_duplicates("item").set_index("item")["genres"].reindex(item_ids)
    return members(known.reset_index(drop=True))


def genre_table(ratings: Coded, genres: pd.DataFrame) -> pd.DataFrame:
    """Count and average ratings by genre.

    Parameters
    ----------
    ratings : Coded
        What `nmf_scratch.data.activity.coded` returns.
    genres : DataFrame, shape (n_items, n_genres)
        What `genres_of` returns.

    Returns
    -------
    DataFrame
        One row per genre, the most rated first: ``genre``, ``items``, ``ratings``, their ``mean``, and ``low`` and
        ``high``: half of the ratings go to items with means in between. An item counts in each of its genres.
    """
    rows = []
    for genre in genres:
        own = np.flatnonzero(genres[genre])
        counts, means = ratings.item_counts[own], ratings.item_means[own]
        low, high = _weighted_quantiles(means, counts, (0.25, 0.75))
        rows.append((genre, len(own), int(counts.sum()), float(counts @ means / counts.sum()), low, high))
    table = pd.DataFrame(rows, columns=["genre", "items", "ratings", "mean", "low", "high"])
    return table.sort_values("ratings", ascending=False, kind="stable", ignore_index=True)


def _weighted_quantiles(values: Matrix, weights: Array, shares: tuple[float, ...]) -> list[float]:
    order = np.argsort(values, kind="stable")
    held = np.cumsum(weights[order]) / weights.sum()
    return [float(values[order][np.searchsorted(held, share)]) for share in shares]


def genre_pairs(genres: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return how many items have both of two genres, and how many times as many as if genres were independent.

    Parameters
    ----------
    genres : DataFrame, shape (n_items, n_genres)
        What `genres_of` returns.

    Returns
    -------
    counts, lifts : DataFrame, shape (n_genres, n_genres)
        Genres of like company are neighbours. Lifts are shrunk towards 1 by `PRIOR` items; none on the diagonal (NaN).
    """
    member = genres.to_numpy(np.float64)
    counts = member.T @ member
    expected = np.outer(member.sum(axis=0), member.sum(axis=0)) / len(member)
    lifts = (counts + PRIOR) / (expected + PRIOR)
    np.fill_diagonal(lifts, np.nan)
    order = _neighbours_together(lifts)
    names = list(genres.columns[order])
    counts, lifts = (table[np.ix_(order, order)] for table in (counts, lifts))
    return pd.DataFrame(counts.astype(int), names, names), pd.DataFrame(lifts, names, names)


def _neighbours_together(lifts: Matrix) -> Array:
    """Order genres by the leaves of a tree that joins those of like company."""
    from scipy.cluster.hierarchy import leaves_list, linkage  # 0.2 s to load, which nobody else needs
    from scipy.spatial.distance import squareform

    if len(lifts) < 3:
        return np.arange(len(lifts))
    distances = -np.log(lifts)
    distances -= np.nanmin(distances)
    pairs = squareform(np.nan_to_num(distances), checks=False)
    return np.asarray(leaves_list(linkage(pairs, "average", optimal_ordering=True)))


def leading_genres(genres: pd.DataFrame, item_counts: Array) -> list[str]:
    """Name the rarest genre, by ratings, of each item; `NO_GENRE` for items without any."""
    member = genres.to_numpy(bool)
    if not member.size:
        return [NO_GENRE] * len(genres)
    order = np.argsort(item_counts @ member, kind="stable")
    leading = order[member[:, order].argmax(axis=1)]
    names = [str(genres.columns[place]) for place in leading]
    return [name if row.any() else NO_GENRE for name, row in zip(names, member, strict=True)]


def genre_tree(dataset: Dataset, ratings: Coded, genres: pd.DataFrame, n_items: int = 100) -> pd.DataFrame:
    """Return the most rated items, each under its leading genre.

    Parameters
    ----------
    dataset, ratings, genres
        A data set, what `coded` makes of it, and what `genres_of` returns.
    n_items : int
        How many of the most rated.

    Returns
    -------
    DataFrame
        Columns ``genre``, ``name``, ``ratings`` and ``mean``: the genre with most ratings first, within it the most
        rated item. What share of all ratings the items hold is in ``attrs["share"]``.
    """
    table = pd.DataFrame({
        "genre": leading_genres(genres, ratings.item_counts),
        "name": item_names(dataset, ratings.item_ids),
        "ratings": ratings.item_counts,
        "mean": ratings.item_means,
    })  # fmt: skip
    top = table.sort_values("ratings", ascending=False, kind="stable")[:n_items]
    total = top.groupby("genre")["ratings"].transform("sum")
    order = np.lexsort((-top["ratings"], top["genre"], -total))
    tree = top.iloc[order].reset_index(drop=True)
    tree.attrs["share"] = float(tree["ratings"].sum() / len(ratings.values))
    return tree
