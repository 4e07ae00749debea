"""How far off are predictions for each true rating? Bands of errors, and how many ratings stand behind them."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmf_scratch.plots.style import BLUE, ORANGE, axes_of, describe, figure_of, ink, style


def plot_residuals(residuals: pd.DataFrame, *, axes: Axes | None = None) -> Figure:
    """Draw the errors for each true rating as boxes: the middle half, nine tenths, median and mean.

    Parameters
    ----------
    residuals : DataFrame
        What `nmf_scratch.evaluation.diagnosis.residuals_by_rating` returns.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
    """
    places = range(len(residuals))
    with style():
        axes = axes_of(axes, 6.5, 4.4)
        axes.axhline(0, color=ink(), linewidth=1)
        axes.vlines(places, residuals["q5"], residuals["q95"], color=BLUE, linewidth=2, label="nine in ten")
        axes.bar(
            places,
            residuals["q75"] - residuals["q25"],
            bottom=residuals["q25"],
            width=0.5,
            color=BLUE,
            label="half of them",
        )
        axes.hlines(
            residuals["q50"], [x - 0.25 for x in places], [x + 0.25 for x in places], color="#FFFFFF", linewidth=2
        )
        axes.plot(places, residuals["mean"], "D", color=ORANGE, markersize=7, label="mean")
        labels = [f"{rating:.3g}\n{n:,}" for rating, n in zip(residuals["rating"], residuals["n"], strict=True)]
        axes.set_xticks(places, labels, fontsize=12 if len(labels) <= 6 else 9)
        axes.grid(False, axis="x")
        axes.set(title="Errors by true rating", xlabel="true rating, and number of held-out ratings",
                 ylabel="rating − prediction,\nunits of the ratings")  # fmt: skip
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=3, fontsize=11)
        first, last = residuals.iloc[0], residuals.iloc[-1]
        describe(
            axes,
            f"Ratings of {first['rating']:.3g} are predicted {_off(first['mean'])}, ratings of {last['rating']:.3g} "
            f"{_off(last['mean'])} on average.",
        )
    return figure_of(axes)


def _off(mean: float) -> str:
    """Word a mean error."""
    return f"{abs(mean):.2f} too {'low' if mean > 0 else 'high'}"
