"""What is rated? Genres by size and mean rating, and which of them stand together."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmf_scratch.plots.heatmap import draw_lifts
from nmf_scratch.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    SKY,
    axes_of,
    describe,
    figure_of,
    log_axis,
    new_figure,
    style,
)


def plot_genres(table: pd.DataFrame, mean: float, *, unit: str) -> Figure:
    """Draw how many items and ratings each genre has, and how it is rated.

    Parameters
    ----------
    table : DataFrame
        What `nmf_scratch.data.genres.genre_table` returns.
    mean : float
        Of all ratings.
    unit : str
        Of the ratings.

    Returns
    -------
    Figure
        Two panels over one list of genres, the most rated first: numbers of items and of ratings, logarithmic; and the
        mean rating, with a line between the means of items that half of the ratings go to.
    """
    places, means = np.arange(len(table)), table["mean"].to_numpy()
    with style():
        figure = new_figure(10.5, 1.9 + 0.29 * len(table), "Genres: how much there is of each, and how it is rated")
        left, right = figure.subplots(1, 2, sharey=True)
        left.hlines(places, table["items"], table["ratings"], color=GREY, linewidth=1.2)
        left.plot(table["items"], places, "s", color=ORANGE, markersize=7, label="items")
        left.plot(table["ratings"], places, "o", color=BLUE, markersize=7, label="ratings")
        log_axis(left.xaxis)
        left.set(title="Items and ratings", xlabel="number")
        left.set_yticks(places, list(table["genre"]))
        left.set_ylim(len(table) - 0.4, -0.6)
        right.hlines(places, table["low"], table["high"], color=SKY, linewidth=4)
        right.plot(table["mean"], places, "o", color=BLUE, markersize=7, label="mean rating")
        right.axvline(mean, color=GREY, linestyle="--", linewidth=1.5)
        right.set(title="Mean rating", xlabel=f"{unit} (dashed: all ratings)")
        for axes in (left, right):
            axes.tick_params(axis="y", length=0)
        right.plot([], [], color=SKY, linewidth=4, label="items that get half of the ratings")
        handles = [handle for axes in (left, right) for handle in axes.get_legend_handles_labels()[0]]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=11)
        first, best, worst = (table.iloc[place] for place in (0, int(means.argmax()), int(means.argmin())))
        describe(left, f"Of {len(table)} genres, {first['genre']} has most ratings, {first['ratings']:,}, of "
                 f"{first['items']:,} items.")  # fmt: skip
        describe(right, f"{best['genre']} is rated highest, at {best['mean']:.2f} on average, {worst['genre']} lowest, "
                 f"at {worst['mean']:.2f}.")  # fmt: skip
    return figure


def plot_genre_pairs(counts: pd.DataFrame, lifts: pd.DataFrame, *, axes: Axes | None = None) -> Figure:
    """Draw which genres stand together more often than chance would have it.

    Parameters
    ----------
    counts, lifts : DataFrame, shape (n_genres, n_genres)
        What `nmf_scratch.data.genres.genre_pairs` returns.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
        A symmetric heatmap.
    """
    n_genres = len(lifts)
    with style():
        axes = axes_of(axes, 3.6 + 0.34 * n_genres, 2.2 + 0.34 * n_genres)
        axes.set(title="Which genres stand together")
        draw_lifts(axes, lifts, numbered=False, label="items in common (1× is chance)")
        axes.set_yticks(range(n_genres), list(lifts.index))
        axes.set_xticks(range(n_genres), list(lifts.columns), rotation=90)
        a, b = divmod(int(np.nanargmax(lifts.to_numpy())), n_genres)
        number, times = counts.to_numpy()[a, b], lifts.to_numpy()[a, b]
        one, other = sorted((str(lifts.index[a]), str(lifts.index[b])))
        describe(axes, f"{one} and {other} stand together most often for their sizes: {number} items, {times:.1f} "
                 "times what chance would give.")  # fmt: skip
    return figure_of(axes)
