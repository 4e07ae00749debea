"""Which items is each factor about? A small panel for each of the weightiest factors, its leading titles by lift."""

from __future__ import annotations

import math
import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from nmf_scratch.plots.style import BLUE, describe, figure_of, new_figure, style

SHOWN = 10
"""Factors that have a panel, the weightiest."""

WIDTH, LINE = 36, 0.2
"""Letters on a line of a title, and the height of a line in inches."""


def plot_factor_titles(summary: pd.DataFrame, leading: pd.DataFrame, *, n_factors: int = SHOWN) -> Figure:
    """Draw the leading titles of the weightiest factors, one panel for each.

    Parameters
    ----------
    summary : DataFrame
        What `nmf_scratch.fitted.explanation.factor_summary` returns.
    leading : DataFrame
        What `nmf_scratch.fitted.factor_statistics.leading_items` returns.
    n_factors : int
        Factors to show.

    Returns
    -------
    Figure
        Panels two by two on one scale of lifts; long titles are set in several lines, never cut. In brackets, the share
        of the factor in what all factors predict.
    """
    shown = summary.head(n_factors)
    tables = [leading[leading["factor"] == factor] for factor in shown["factor"]]
    columns = min(2, len(shown))
    rows = math.ceil(len(shown) / columns)
    lines = [sum(len(wrapped(name)) for name in table["name"]) for table in tables]
    heights = [max(lines[columns * row : columns * (row + 1)]) for row in range(rows)]
    what = f"the {len(shown)} weightiest of {len(summary)} factors" if len(shown) < len(summary) else "each factor"
    with style():
        size = 6.4 * columns, LINE * sum(heights) + 0.62 * rows + 0.9
        figure = new_figure(*size, f"Most typical titles of {what}")
        panels = figure.subplots(rows, columns, squeeze=False, height_ratios=[height + 0.5 for height in heights])
        for place, (table, row) in enumerate(zip(tables, shown.to_dict("records"), strict=True)):
            axes = panels.flat[place]
            plot_leading(table, axes=axes, height=heights[place // columns], reach=leading["lift"].max())
            about = f": {row['genres']}" if row["genres"] else ""
            axes.set_title(textwrap.fill(f"Factor {row['factor']} ({row['share']:.0%}){about}", WIDTH + 4), fontsize=12)
            if place + columns < len(shown):
                axes.tick_params(labelbottom=False)
            else:
                axes.set_xlabel("lift")
        for axes in panels.flat[len(shown) :]:
            axes.remove()
    return figure


def plot_leading(
    leading: pd.DataFrame, *, axes: Axes, height: float | None = None, reach: float | None = None
) -> Figure:
    """Draw the titles of one factor as dots on an axis of lifts.

    Parameters
    ----------
    leading : DataFrame
        Columns name and lift, the largest first.
    axes : Axes
        Where to draw.
    height : float, optional
        Lines of text that the axes have room for; as many as the titles take by default.
    reach : float, optional
        Largest lift that the axes have room for; that of the first title by default.

    Returns
    -------
    Figure
    """
    texts = [wrapped(name) for name in leading["name"]]
    sizes = np.array([len(text) for text in texts], dtype=float)
    places = np.cumsum(sizes) - sizes / 2
    with style():
        axes.hlines(places, 1, leading["lift"], color=BLUE, linewidth=1.5)
        axes.plot(leading["lift"], places, "o", color=BLUE, markersize=7)
        axes.axvline(1, color=BLUE, linewidth=1)
        axes.set_yticks(places, ["\n".join(text) for text in texts], fontsize=10)
        axes.set_ylim(max(height or 0, sizes.sum()), 0)
        axes.grid(False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda lift, _: f"{lift:g}×"))
        axes.set_xlim(0, 1.06 * (reach or leading["lift"].max()))
        factor, first = leading["factor"].iloc[0], leading.iloc[0]
        describe(axes, f"Factor {factor} is led by {first['name']}, at {first['lift']:.1f} times its share.")
    return figure_of(axes)


def wrapped(name: str) -> list[str]:
    """Return a title as lines of text, all of it."""
    return textwrap.wrap(name, WIDTH) or [""]
