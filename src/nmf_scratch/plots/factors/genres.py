"""What is each factor about? Lift of every genre in every factor, genres and factors in an order that shows blocks."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmf_scratch.plots.heatmap import draw_lifts
from nmf_scratch.plots.style import axes_of, describe, figure_of, style

MOST_NUMBERED = 12
"""Up to so many factors, the cells also say their number."""


def plot_genre_lifts(lifts: pd.DataFrame, *, axes: Axes | None = None) -> Figure:
    """Draw the lift of genres in factors as a heatmap.

    Parameters
    ----------
    lifts : DataFrame
        What `nmf_scratch.fitted.factor_statistics.genre_lifts` returns: genres in rows, factors in columns, 1 for no
        more and no less than the genre's share.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
        Factors are grouped by the genre that leads them; colours are doublings and halvings about the middle.
    """
    table = _in_blocks(lifts)
    n_genres, n_factors = table.shape
    with style():
        axes = axes_of(axes, max(6.5, 2.9 + 0.27 * n_factors if n_factors > MOST_NUMBERED else 0.62 * n_factors + 2.9),
                       1.7 + 0.34 * n_genres)  # fmt: skip
        axes.set(title="Lift of each genre in each factor", xlabel="factor, by leading genre")
        draw_lifts(axes, table, numbered=n_factors <= MOST_NUMBERED)
        axes.set_yticks(range(n_genres), list(table.index))
        axes.set_xticks(range(n_factors), [str(factor) for factor in table.columns])
        axes.tick_params(axis="x", labelsize=12 if n_factors <= MOST_NUMBERED else 9)
        describe(axes, _sentence(lifts))
    return figure_of(axes)


def _in_blocks(lifts: pd.DataFrame) -> pd.DataFrame:
    """Order factors by their leading genre, and genres by the lift of the factor that they lead most."""
    strongest = lifts.max(axis=1).sort_values(ascending=False, kind="stable")
    leader, top = lifts.idxmax(), lifts.max()
    place = {genre: number for number, genre in enumerate(strongest.index)}
    order = sorted(lifts.columns, key=lambda factor: (place[leader[factor]], -top[factor]))
    return lifts.loc[strongest.index, order]


def _sentence(lifts: pd.DataFrame) -> str:
    values = lifts.to_numpy(dtype=np.float64)
    genre, factor = divmod(int(values.argmax()), values.shape[1])
    marked = int((values.max(axis=0) >= 1.5).sum())
    return (
        f"Of {lifts.shape[1]} factors, {marked} give some genre at least 1.5 times its share; the most marked is "
        f"factor {lifts.columns[factor]}, which gives {lifts.index[genre]} {values.max():.1f} times its share."
    )
