"""Who rates, and what is rated? The long tail, the table's empty corner, and what popularity says about liking."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike

from nmf_scratch.data.activity import Coded, Grid, lorenz, popularity
from nmf_scratch.data.statistics import are_counts, gini, share_of_top, unit_of
from nmf_scratch.plots.labels import place_labels
from nmf_scratch.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    PERCENT,
    SKY,
    axes_of,
    describe,
    figure_of,
    log_axis,
    new_figure,
    plain,
    style,
)

COMMAS = FuncFormatter(lambda number, _: plain(number))
HEAD = 0.2
"""Share of the most rated items that counts as the head; the others are the long tail."""

MOST_DOTS = 3000
"""Items that are drawn as dots: with more of them, so many drawn evenly from all."""


def plot_long_tail(item_counts: ArrayLike, user_counts: ArrayLike) -> Figure:
    """Draw how unevenly ratings are spread over items and over users.

    Parameters
    ----------
    item_counts, user_counts : array_like of int
        Ratings of each item and of each user.

    Returns
    -------
    Figure
        Two panels: counts by rank, both logarithmic; and the share of the ratings that the most rated hold.
    """
    counts = {"items": np.sort(np.asarray(item_counts))[::-1], "users": np.sort(np.asarray(user_counts))[::-1]}
    with style():
        figure = new_figure(11.5, 4.6, "How unevenly ratings are spread over items and users")
        left, right = figure.subplots(1, 2)
        for (name, ranked), colour in zip(counts.items(), (BLUE, ORANGE), strict=True):
            left.step(np.arange(1, len(ranked) + 1), ranked, where="mid", color=colour, label=name)
            share, held = lorenz(ranked)
            right.plot(share, held, color=colour, label=f"{name}, Gini coefficient {gini(ranked):.2f}")
        for axis in (left.xaxis, left.yaxis):
            log_axis(axis)
        left.set(title="Ratings by rank", xlabel="rank, the most rated or most active first", ylabel="ratings")
        left.legend(loc="lower left")
        right.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1.5, label="all alike")
        right.axvline(HEAD, color=GREY, linewidth=1)
        right.set(title="Share of the ratings that the top holds", xlabel="share of items or users, most rated first",
                  ylabel="share of the ratings", xlim=(0, 1), ylim=(0, 1.02))  # fmt: skip
        for axis in (right.xaxis, right.yaxis):
            axis.set_major_formatter(PERCENT)
        right.set_xticks(np.linspace(HEAD, 1, 5))  # the corner has its zero already
        right.legend(loc="lower right", fontsize=11)
        tail = {name: 1 - share_of_top(ranked, HEAD) for name, ranked in counts.items()}
        describe(left, f"The most rated item has {counts['items'][0]:,} ratings, the median one "
                 f"{np.median(counts['items']):,.0f}; the most active user gave {counts['users'][0]:,}, the median one "
                 f"{np.median(counts['users']):,.0f}.")  # fmt: skip
        describe(right, f"The long tail, {1 - HEAD:.0%} of the items, holds {tail['items']:.0%} of the ratings; the "
                 f"less active {1 - HEAD:.0%} of the users gave {tail['users']:.0%}.")  # fmt: skip
    return figure


def plot_sparsity(grid: Grid, *, axes: Axes | None = None) -> Figure:
    """Draw how densely the table of users × items is filled.

    Parameters
    ----------
    grid : Grid
        What `nmf_scratch.data.activity.density_grid` returns.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
        One cell per block of users and items, coloured by the share of its pairs that are rated; empty ones are paper.
    """
    density = np.ma.masked_equal(grid.density, 0)
    n_users, n_items = int(grid.user_edges[-1]), int(grid.item_edges[-1])
    sizes = np.outer(np.diff(grid.user_edges), np.diff(grid.item_edges))
    known = float((grid.density * sizes).sum() / sizes.sum())
    with style():
        axes = axes_of(axes, 7.4, 5.8)
        lowest = min(float(density.min()), 0.5)
        image = axes.pcolormesh(grid.item_edges, grid.user_edges, density, norm=LogNorm(lowest, 1.0), rasterized=True)
        axes.invert_yaxis()
        axes.grid(False)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5))
            axis.set_major_formatter(COMMAS)
        axes.set(title="How much of the table is known", xlabel="items, the most rated first",
                 ylabel="users, the most active first")  # fmt: skip
        bar = figure_of(axes).colorbar(image, ax=axes, pad=0.02, aspect=30)
        bar.set_label("share of pairs rated (blank: none)")
        lead = (1.0,) if lowest < 1e-3 else (1.0, 2.0, 5.0)
        marks = [digit * 10.0**power for power in range(-9, 1) for digit in lead]
        marks = [mark for mark in marks if 0.999 * lowest <= mark <= 1]
        bar.ax.yaxis.set_major_locator(FixedLocator(marks))
        bar.ax.yaxis.set_major_formatter(FixedFormatter([f"{100 * mark:.10g}%" for mark in marks]))
        bar.ax.yaxis.set_minor_locator(FixedLocator([]))
        describe(axes, f"{known:.2%} of {n_users:,} × {n_items:,} pairs are rated; "
                 f"{float((grid.density == 0).mean()):.0%} of the blocks shown hold no rating at all, the densest is "
                 f"filled to {float(grid.density.max()):.0%}.")  # fmt: skip
    return figure_of(axes)


def plot_popularity(ratings: Coded, names: list[str], *, n_named: int = 14, axes: Axes | None = None) -> Figure:
    """Draw the mean rating of items against the number of their ratings.

    Parameters
    ----------
    ratings : Coded
        What `nmf_scratch.data.activity.coded` returns.
    names : list of str
        Of the items, by code.
    n_named : int
        Items to name, of the most rated and of the best and worst among those rated often.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
        A dot per item; a line through the medians of items rated about equally often, with a band between quartiles.
    """
    counts, means = ratings.item_counts, ratings.item_means
    bands, levels = popularity(ratings), np.unique(ratings.values)
    shown = np.linspace(0, len(counts) - 1, min(len(counts), MOST_DOTS)).astype(int)
    with style():
        axes = axes_of(axes, 8.4, 5.4)
        axes.scatter(counts[shown], means[shown], s=9, color=SKY, alpha=0.5, linewidth=0, rasterized=True)
        axes.fill_between(bands["ratings"], bands["low"], bands["high"], color=BLUE, alpha=0.2, linewidth=0,
                          label="half of the items")  # fmt: skip
        axes.plot(bands["ratings"], bands["median"], color=BLUE, label="median of items rated about as often")
        axes.axhline(ratings.values.mean(), color=GREY, linestyle="--", linewidth=1.5, label="mean of all ratings")
        log_axis(axes.xaxis)
        if are_counts(levels, ratings.values):
            log_axis(axes.yaxis)
        axes.set(title="Are popular items liked better?", xlabel="ratings of the item",
                 ylabel=f"mean rating, {unit_of(levels)}")  # fmt: skip
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, fontsize=11)
        chosen = _worth_naming(counts, means)[:n_named]
        axes.plot(counts[chosen], means[chosen], "o", color=ORANGE, markersize=5)
        place_labels(axes, np.column_stack([counts, means])[chosen], [names[item] for item in chosen], size=9)
        correlation = round(pd.Series(np.log(counts)).corr(pd.Series(means)), 2) + 0.0  # never −0
        describe(axes, f"Mean rating and logarithm of the number of ratings correlate at {correlation:.2f} over "
                 f"{len(counts):,} items; the most rated is {names[chosen[0]]}, with {counts[chosen[0]]:,} ratings and "
                 f"a mean of {means[chosen[0]]:.2f}.")  # fmt: skip
    return figure_of(axes)


def _worth_naming(counts: np.ndarray, means: np.ndarray) -> list[int]:
    """Return the most rated items, then in turn the best and worst of those rated often: one in ten."""
    often = np.flatnonzero(counts >= np.quantile(counts, 0.9))
    ascending = often[np.argsort(means[often], kind="stable")]
    lists = np.argsort(-counts, kind="stable"), ascending[::-1], ascending
    ordered = [int(item) for three in zip(*(ranked[: len(often)] for ranked in lists), strict=True) for item in three]
    return list(dict.fromkeys(ordered))
