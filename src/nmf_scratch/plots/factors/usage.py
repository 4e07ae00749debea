"""How much is each factor used, and by how many? Shares of the predictions, and rows that have nothing of a factor."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmf_scratch.plots.style import BLUE, GREY, PERCENT, SKY, describe, new_figure, style

MOST_TICKS = 45
"""Up to so many factors, each has its number on the axis."""


def plot_usage(usage: pd.DataFrame) -> Figure:
    """Draw what share each factor has in the predictions, and how many users and items carry it.

    Parameters
    ----------
    usage : DataFrame
        What `nmf_scratch.fitted.factor_statistics.factor_usage` returns.

    Returns
    -------
    Figure
        Three panels over one axis of factors, the weightiest first: share of the predictions, users, items.
    """
    with style():
        figure = new_figure(
            max(7.0, 2.5 + 0.24 * min(len(usage), MOST_TICKS)), 7.4, "Usage and sparsity of each factor"
        )
        top, *sides = figure.subplots(3, 1, sharex=True)
        top.bar(range(len(usage)), usage["share"], color=BLUE)
        top.margins(x=0.01)
        top.set_title("Share of what all factors predict")
        top.yaxis.set_major_formatter(PERCENT)
        first = usage.iloc[0]
        describe(top, f"Factor {first['factor']:.0f} gives {first['share']:.0%} of what all factors predict, the most.")
        for axes, side in zip(sides, ("users", "items"), strict=True):
            _stack(axes, usage, side)
        step = -(-len(usage) // MOST_TICKS)
        numbers = [str(factor) for factor in usage["factor"]]
        sides[-1].set_xticks(range(0, len(usage), step), numbers[::step], fontsize=12 if len(usage) <= 20 else 9)
        sides[-1].set_xlabel("factor, the weightiest first")
        figure.legend(*sides[-1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _stack(axes: Axes, usage: pd.DataFrame, side: str) -> None:
    """Stack the shares of rows with a tenth of the largest weight, with less, and with none."""
    zero, small = usage[f"{side}_zero"], usage[f"{side}_small"]
    parts = {
        "a tenth of the largest weight or more": (1 - zero - small, BLUE),
        "less": (small, SKY),
        "none": (zero, GREY),
    }
    foot = 0 * zero
    for label, (share, colour) in parts.items():
        axes.bar(range(len(usage)), share, bottom=foot, color=colour, label=label)
        foot = foot + share
    axes.set(title=f"Share of the {side} with", ylim=(0, 1))
    axes.yaxis.set_major_formatter(PERCENT)
    means = f"{zero.mean():.0%} of the {side} have exactly nothing of a factor and {small.mean():.0%} little"
    describe(axes, f"On average, {means}.")
