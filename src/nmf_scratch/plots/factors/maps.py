"""Who and what is alike? Users and items in the plane of the two principal directions of their mixes of factors."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nmf_scratch.plots.labels import place_labels
from nmf_scratch.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    axes_of,
    describe,
    figure_of,
    style,
)

LOOKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (VERMILION, "D"), (PURPLE, "v"), (SKY, "P"))
"""Colour and mark of the six largest groups; the others are small and grey."""

OTHERS = "others"


def plot_map(
    table: pd.DataFrame, shares: tuple[float, float], *, what: str, n_named: int = 0, axes: Axes | None = None
) -> Figure:
    """Draw users or items in the plane, coloured by group.

    Parameters
    ----------
    table, shares
        What `nmf_scratch.fitted.factor_statistics.item_map` or `user_map` returns.
    what : str
        Who stands there: "items" or "users".
    n_named : int
        Of the first so many, those whose name finds a place are named.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
        Each axis says what share of the variance it holds. Marks grow with the number of ratings.
    """
    counts = table["group"].value_counts()
    largest = [str(group) for group in counts.index if group != "no genre"][: len(LOOKS)]
    sizes = _sizes(table["ratings"].to_numpy())
    with style():
        axes = axes_of(axes, 8.0, 6.6)
        others = ~table["group"].isin(largest).to_numpy()
        _scatter(axes, table[others], sizes[others], GREY, "o", 0.35)
        for (colour, mark), group in zip(LOOKS, largest, strict=False):
            mine = (table["group"] == group).to_numpy()
            _scatter(axes, table[mine], sizes[mine], colour, mark, 0.7)
        leading = "factor" if table["group"].str.startswith("factor ").all() else "genre"
        axes.set(title=f"{len(table):,} {what}, coloured by leading {leading}", xlabel=_axis("first", shares[0]),
                 ylabel=_axis("second", shares[1]))  # fmt: skip
        axes.margins(0.06)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.legend(handles=_handles(largest, bool(others.any())), loc="upper center", bbox_to_anchor=(0.5, -0.06),
                    ncols=4, fontsize=11)  # fmt: skip
        named = table.head(n_named)
        place_labels(axes, named[["x", "y"]].to_numpy(), list(named["name"]), size=9.5)
        describe(axes, _sentence(table, shares, what, largest))
    return figure_of(axes)


def _sizes(ratings: np.ndarray) -> np.ndarray:
    """Return areas in points², from 12 for no ratings to 90 for the most."""
    areas: np.ndarray = 12 + 78 * ratings / (ratings.max(initial=0) or 1)
    return areas


def _scatter(axes: Axes, table: pd.DataFrame, sizes: np.ndarray, colour: str, mark: str, alpha: float) -> None:
    axes.scatter(table["x"], table["y"], s=sizes, color=colour, marker=mark, alpha=alpha, linewidth=0)


def _handles(groups: list[str], others: bool) -> list[Line2D]:
    looks = [*zip(groups, LOOKS, strict=False), *([(OTHERS, (GREY, "o"))] if others else [])]
    return [Line2D([], [], color=colour, marker=mark, linestyle="", label=group) for group, (colour, mark) in looks]


def _axis(name: str, share: float) -> str:
    return f"{name} principal direction, {share:.0%} of the variance"


def _sentence(table: pd.DataFrame, shares: tuple[float, float], what: str, groups: list[str]) -> str:
    counts = table["group"].value_counts()
    named = ", ".join(f"{group} ({counts[group]})" for group in groups[:3])
    return (
        f"{len(table):,} {what} by their mix of factors; the two directions hold {sum(shares):.0%} of the variance. "
        f"Most lean to {named}."
    )
