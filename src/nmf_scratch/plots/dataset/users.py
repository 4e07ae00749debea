"""Who are the users? Their groups, what each of them prefers, and how alike users are."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmf_scratch.data.likeness import FEWEST_COMMON, Likeness
from nmf_scratch.plots.heatmap import draw_lifts
from nmf_scratch.plots.style import BLUE, GREY, ORANGE, PERCENT, axes_of, describe, figure_of, new_figure, style


def plot_groups(tables: dict[str, pd.DataFrame], *, unit: str) -> Figure:
    """Draw how many users each group has, and how high it rates.

    Parameters
    ----------
    tables : dict of str to DataFrame
        For each kind of group, such as age, what `nmf_scratch.data.demographics.group_table` returns.
    unit : str
        Of the ratings.

    Returns
    -------
    Figure
        A row of two panels for each kind: users, and mean ratings.
    """
    heights = [len(table) + 1.4 for table in tables.values()]
    with style():
        figure = new_figure(10.0, 0.9 + 0.27 * sum(heights), "Who the users are, and how high they rate")
        panels = figure.subplots(len(tables), 2, squeeze=False, height_ratios=heights, sharex="col")
        for (left, right), (kind, table) in zip(panels, tables.items(), strict=True):
            places, share = np.arange(len(table)), table["users"] / table["users"].sum()
            left.barh(places, table["users"], 0.75, color=BLUE)
            for place, users, part in zip(places, table["users"], share, strict=True):
                left.annotate(f"{part:.0%}" if part >= 0.01 else "<1%", (users, place), (4, 0), va="center",
                              textcoords="offset points", fontsize=10)  # fmt: skip
            right.plot(table["mean"], places, "o", color=ORANGE, markersize=7)
            for axes in (left, right):
                axes.set_yticks(places, list(table["group"]) if axes is left else [""] * len(table), fontsize=11)
                axes.set_ylim(len(table) - 0.4, -0.6)
                axes.tick_params(axis="y", length=0)
                axes.grid(axes is right, axis="y")
            left.set_title(f"Users by {kind}")
            right.set_title("Mean rating")
            left.margins(x=0.12)
            most, high = (table.iloc[int(table[column].argmax())] for column in ("users", "mean"))
            describe(left, f"By {kind}, the largest of {len(table)} groups is {most['group']}, {share.max():.0%} of "
                     "the users.")  # fmt: skip
            describe(right, f"Highest rates {high['group']}, at {high['mean']:.2f} on average.")
        panels[-1, 0].set_xlabel("users")
        panels[-1, 1].set_xlabel(unit)
    return figure


def plot_preferences(lifts: pd.DataFrame, *, kind: str, axes: Axes | None = None) -> Figure:
    """Draw what each group prefers as a heatmap.

    Parameters
    ----------
    lifts : DataFrame
        What `nmf_scratch.data.demographics.preference_lifts` returns: genres in rows, groups in columns.
    kind : str
        Of the groups, such as "age".
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
    """
    n_genres, n_groups = lifts.shape
    with style():
        axes = axes_of(axes, 3.9 + 0.5 * max(n_groups, 5), 2.6 + 0.32 * n_genres)
        axes.set(title=f"What users of each {kind} prefer")
        draw_lifts(axes, lifts, numbered=n_groups <= 25, steps=2, label="share of genre (1×: all users)")
        axes.set_yticks(range(n_genres), list(lifts.index))
        axes.set_xticks(range(n_groups), list(lifts.columns), rotation=90)
        genre, group = divmod(int(lifts.to_numpy().argmax()), n_groups)
        highest = float(lifts.to_numpy().max())
        describe(axes, f"By {kind}, the most marked preference is that of {lifts.columns[group]} for "
                 f"{lifts.index[genre]}: {highest:.1f} times the share that it has with all users.")  # fmt: skip
    return figure_of(axes)


def plot_likeness(likeness: Likeness) -> Figure:
    """Draw how alike users are, in what they rate and in how.

    Parameters
    ----------
    likeness : Likeness
        What `nmf_scratch.data.likeness.user_likeness` returns.

    Returns
    -------
    Figure
        Two panels: items in common of two users; and the correlation of their ratings, where they have at least
        `FEWEST_COMMON`, beside that of ratings shuffled within each item, which is what chance alone gives.
    """
    with style():
        figure = new_figure(11.0, 4.4, f"How alike users are: all pairs of {likeness.n_users:,} drawn at random")
        left, right = figure.subplots(1, 2)
        _draw_common(left, likeness.common)
        _draw_similarity(right, likeness)
    return figure


def _draw_common(axes: Axes, common: np.ndarray) -> None:
    """Draw how many items pairs have in common, in classes that double in width: 0, 1, 2 to 3, 4 to 7."""
    classes = np.frexp(common)[1]
    shares = np.bincount(classes) / max(len(common), 1)
    lowest = [0, *(2**place for place in range(len(shares) - 1))]
    axes.bar(range(len(shares)), shares, color=BLUE)
    axes.set_xticks(range(len(shares)), [str(number) for number in lowest], fontsize=11)
    axes.grid(False, axis="x")
    axes.yaxis.set_major_formatter(PERCENT)
    axes.set(title="In what they rate", xlabel="items that both have rated, from … on", ylabel="share of pairs")
    if len(common):
        describe(axes, f"{(common == 0).mean():.0%} of the pairs have no item in common, half have at least "
                 f"{np.median(common):.0f}.")  # fmt: skip


def _draw_similarity(axes: Axes, likeness: Likeness) -> None:
    pairs = {"observed": (likeness.similarity, BLUE, "-"), "chance": (likeness.chance, GREY, "--")}
    if not len(likeness.similarity):
        axes.text(0.5, 0.5, f"no two users have {FEWEST_COMMON} items in common", ha="center", va="center")
        axes.set_axis_off()
        return
    reach = max(0.05, float(np.quantile(np.abs(likeness.similarity), 0.999)))
    edges = np.linspace(-reach, reach, 50)
    for name, (values, colour, line) in pairs.items():
        shares = np.histogram(values, edges)[0] / len(values)
        axes.stairs(shares, edges, color=colour, linestyle=line, linewidth=2, label=name, fill=name == "observed",
                    alpha=0.6 if name == "observed" else 1.0)  # fmt: skip
    axes.axvline(0, color=GREY, linewidth=1)
    axes.yaxis.set_major_formatter(PERCENT)
    axes.set(title=f"In how they rate {FEWEST_COMMON} or more of them")
    axes.set(xlabel="correlation of ratings, shrunk", ylabel="share of pairs")
    axes.legend(loc="upper right", fontsize=11)
    observed, chance = likeness.similarity.std(), likeness.chance.std()
    describe(axes, f"Correlations spread by {observed:.3f} about a mean of {likeness.similarity.mean():+.3f}, by "
             f"chance alone they would spread by {chance:.3f} about {likeness.chance.mean():+.3f}.")  # fmt: skip
