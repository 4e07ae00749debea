"""Does another seed find the same factors? Likeness to the partner in other fits, beside the likeness of neighbours."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nmf_scratch.plots.style import BLUE, ORANGE, axes_of, describe, figure_of, style

MOST_TICKS = 45
"""Up to so many factors, each has its number on the axis."""


def plot_stability(stability: pd.DataFrame, nearest: ArrayLike, *, axes: Axes | None = None) -> Figure:
    """Draw how alike each factor is to its partners in fits with other seeds.

    Parameters
    ----------
    stability : DataFrame
        What `nmf_scratch.fitted.factor_statistics.stability` returns.
    nearest : array_like, shape (k,)
        What `nmf_scratch.fitted.factor_statistics.nearest_factors` returns, by number of the factor.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
        A dot for the mean over seeds, a line down to the worst of them, and a dash for the nearest other factor of the
        same model. A factor whose dot is not above its dash has not come back.
    """
    places, neighbours = range(len(stability)), pd.Series(nearest)[stability["factor"]].to_numpy()
    with style():
        axes = axes_of(axes, max(6.5, 2.5 + 0.24 * min(len(stability), MOST_TICKS)), 4.6)
        axes.vlines(places, stability["minimum"], stability["mean"], color=BLUE, linewidth=1.5)
        axes.plot(places, stability["mean"], "o", color=BLUE, markersize=6, label="mean over seeds, line to the worst")
        axes.plot(places, neighbours, "_", color=ORANGE, markersize=9, markeredgewidth=2.5,
                  label="nearest other factor of the same model")  # fmt: skip
        step = -(-len(stability) // MOST_TICKS)
        numbers = [str(factor) for factor in stability["factor"]]
        axes.set_xticks(places[::step], numbers[::step], fontsize=12 if len(stability) <= 20 else 9)
        axes.set(title="Do factors come back with another seed?", ylim=(0, 1.03))
        axes.set(xlabel="factor, the most stable first", ylabel="cosine of columns of H")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=11)
        back = int((stability["mean"].to_numpy() > neighbours).sum())
        describe(
            axes,
            f"{back} of {len(stability)} factors come back more alike than their nearest neighbour in the same model; "
            f"mean cosines run from {stability['mean'].min():.2f} to {stability['mean'].max():.2f}.",
        )
    return figure_of(axes)
