"""Figures of a data set: how ratings are given, how unevenly they are spread, what is rated, when, and by whom."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nmf_scratch.data.activity import Coded, coded, density_grid, item_names, over_time
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.demographics import group_table, groups_of, preference_lifts
from nmf_scratch.data.genres import genre_pairs, genre_table, genre_tree, genres_of, leading_genres
from nmf_scratch.data.likeness import item_graph, user_likeness
from nmf_scratch.data.statistics import histogram, unit_of
from nmf_scratch.plots.dataset.activity import plot_long_tail, plot_popularity, plot_sparsity
from nmf_scratch.plots.dataset.genres import plot_genre_pairs, plot_genres
from nmf_scratch.plots.dataset.graph import plot_item_graph
from nmf_scratch.plots.dataset.ratings import plot_ratings
from nmf_scratch.plots.dataset.time import plot_time
from nmf_scratch.plots.dataset.treemap import plot_treemap
from nmf_scratch.plots.dataset.users import plot_groups, plot_likeness, plot_preferences

__all__ = [
    "dataset_figures",
    "plot_genre_pairs",
    "plot_genres",
    "plot_groups",
    "plot_item_graph",
    "plot_likeness",
    "plot_long_tail",
    "plot_popularity",
    "plot_preferences",
    "plot_ratings",
    "plot_sparsity",
    "plot_time",
    "plot_treemap",
]


def dataset_figures(dataset: Dataset) -> Iterator[tuple[str, Figure]]:
    """Draw what there is to see of a data set, one figure after the other.

    Parameters
    ----------
    dataset : Dataset
        At least one rating. What it does not say (times, genres, who the users are) has no figure: see
        `nmf_scratch.data.statistics.lacking`.

    Yields
    ------
    name : str
        Of the file, without suffix.
    figure : Figure
    """
    ratings = coded(dataset)
    names, levels = item_names(dataset, ratings.item_ids), histogram(ratings.values)
    mean, unit = float(ratings.values.mean()), unit_of(levels.levels)
    yield "ratings", plot_ratings(levels, mean)
    yield "long-tail", plot_long_tail(ratings.item_counts, ratings.user_counts)
    yield "sparsity", plot_sparsity(density_grid(ratings))
    yield "popularity", plot_popularity(ratings, names)
    if "timestamp" in dataset.ratings:
        yield "time", plot_time(over_time(dataset, ratings), unit=unit)
    genres = genres_of(dataset, ratings.item_ids)
    if genres.shape[1]:
        yield "genres", plot_genres(genre_table(ratings, genres), mean, unit=unit)
        if genres.shape[1] > 1:
            yield "genre-pairs", plot_genre_pairs(*genre_pairs(genres))
        yield "treemap", plot_treemap(genre_tree(dataset, ratings, genres), unit=unit)
    groups = groups_of(dataset, ratings.user_ids)
    if groups:
        yield "users", plot_groups({kind: group_table(labels, ratings) for kind, labels in groups.items()}, unit=unit)
    for kind in ("age", "occupation"):
        if kind in groups and genres.shape[1]:
            yield f"preferences-{kind}", plot_preferences(preference_lifts(groups[kind], ratings, genres), kind=kind)
    yield "item-graph", plot_item_graph(*_graph(ratings, names, genres))
    if len(ratings.user_ids) > 1:
        yield "user-likeness", plot_likeness(user_likeness(ratings))


def _graph(ratings: Coded, names: list[str], genres: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    items, ties = item_graph(ratings)
    leading = np.array(leading_genres(genres, ratings.item_counts), dtype=object)
    nodes = {"name": [names[item] for item in items], "genre": leading[items], "ratings": ratings.item_counts[items]}
    return pd.DataFrame(nodes), ties
