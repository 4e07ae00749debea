"""Which solver gets there first? Objective and test error of several solvers, against epochs and against seconds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmf_scratch.plots.style import GREY, log_axis, new_figure, solver_look, style


def plot_comparison(table: pd.DataFrame, *, title: str, bar: float | None = None) -> Figure:
    """Draw what `nmf_scratch.comparison.compare` measured.

    Parameters
    ----------
    table : DataFrame
        One row per solver, fold and epoch.
    title : str
        What was compared on what.
    bar : float, optional
        Error to clear, drawn as a dashed line: the bias model's.

    Returns
    -------
    Figure
        Four panels: objective above the lowest one reached (logarithmic) and test RMSE, means over the folds, against
        epochs and against seconds of solver time.
    """
    means = table.groupby(["solver", "epoch"], sort=False).mean(numeric_only=True).reset_index()
    means["excess"] = means["objective"] / means["objective"].min() - 1
    with style():
        figure = new_figure(11.0, 7.5, title)
        panels = figure.subplots(2, 2, sharey="row")
        for row, (quantity, label) in enumerate(_QUANTITIES.items()):
            for column, (abscissa, unit) in enumerate(_ABSCISSAE.items()):
                axes = panels[row][column]
                _draw(axes, means, abscissa, quantity)
                axes.set(xlabel=unit, title=label if column == 0 else "")
        for axes in panels[0]:
            log_axis(axes.yaxis)
        for axes in panels[1]:
            _frame_errors(axes, means, bar)
        for axes in panels[:, 1]:
            log_axis(axes.xaxis)
        figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


_QUANTITIES = {
    "excess": "Objective, relative excess over the lowest",
    "test_rmse": "Test RMSE, in units of the ratings",
}
_ABSCISSAE = {"epoch": "epoch", "seconds": "solver time, seconds"}


def _draw(axes: Axes, means: pd.DataFrame, abscissa: str, quantity: str) -> None:
    for solver, run in means.groupby("solver", sort=False):
        shown = run[run["epoch"] > 0]
        positive = shown[shown[quantity] > 0]  # the lowest objective itself has no place on a logarithmic axis
        axes.plot(positive[abscissa], positive[quantity], label=str(solver), **solver_look(str(solver)))


def _frame_errors(axes: Axes, means: pd.DataFrame, bar: float | None) -> None:
    """Show the range in which solvers differ; the first epochs may lie far above it."""
    low = min(means["test_rmse"].min(), np.inf if bar is None else bar)  # the bar may lie below all solvers
    high = max(bar or 0.0, means.groupby("solver")["test_rmse"].min().max(), 1.02 * low)
    axes.set_ylim(low - 0.15 * (high - low), high + 0.4 * (high - low))
    if bar is not None:
        axes.axhline(bar, color=GREY, linestyle="--", linewidth=1.5)
        axes.annotate("bias model", (0.99, bar), xycoords=("axes fraction", "data"), ha="right", va="bottom")
