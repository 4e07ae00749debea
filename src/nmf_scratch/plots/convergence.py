"""Does training settle, and does what it learns hold for ratings it has not seen? One run, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nmf_scratch.plots.labels import halo, label_ends
from nmf_scratch.plots.style import BLUE, GREY, ORANGE, describe, log_axis, new_figure, style

if TYPE_CHECKING:
    from nmf_scratch.history import TrainingHistory


def plot_convergence(
    history: TrainingHistory,
    *,
    title: str,
    validation: TrainingHistory | None = None,
    bar: float | None = None,
    reference: float | None = None,
    ranking: bool = False,
) -> Figure:
    """Draw objective, errors and, where it was looked at, the KKT residual of a run.

    Parameters
    ----------
    history : TrainingHistory
        The run to show.
    title : str
        What was trained on what.
    validation : TrainingHistory, optional
        A run on a part of the ratings, whose held-out error is drawn beside the training error; by default the run
        itself, if it held ratings out.
    bar : float, optional
        Error to clear, drawn as a dashed line: the bias model's, in the unit of the ratings.
    reference : float, optional
        Objective of a much longer run. With it, the objective is drawn as the excess over that, else as a share of its
        start.
    ranking : bool
        Whether the model ranks: its errors are those of scores, not of ratings.

    Returns
    -------
    Figure
        Panels over one axis of epochs, with solver time above. The lowest held-out error, where early stopping takes
        its factors from, is marked.
    """
    frame = history.to_frame()
    held_out = (validation or history).to_frame()
    with_kkt = frame["kkt"].notna().sum() > 2
    with style():
        figure = new_figure(13.5 if with_kkt else 10.0, 4.4, title)
        panels = figure.subplots(1, 3 if with_kkt else 2, sharex=True)
        _draw_objective(panels[0], frame, reference)
        _draw_errors(panels[1], frame, held_out[1:].dropna(subset="valid_rmse"), bar)
        panels[1].set_title("RMSE of scores (a choice is 1)" if ranking else "RMSE, in units of the ratings")
        if with_kkt:
            _draw_kkt(panels[2], frame.dropna(subset="kkt"))
        for axes in panels:
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
            _tell_time(axes, frame)
        label_ends(panels[1], [line for line in panels[1].lines if not str(line.get_label()).startswith("_")])
    return figure


def _draw_objective(axes: Axes, frame: pd.DataFrame, reference: float | None) -> None:
    first, last = frame["objective"].iloc[0], frame["objective"].iloc[-1]
    if reference is None:
        axes.plot(frame["epoch"], frame["objective"] / first, color=BLUE)
        axes.set_title("Objective, as a share of its start")
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        describe(axes, f"The objective falls to {last / first:.1%} of its start in {frame['epoch'].iloc[-1]} epochs.")
        return
    excess = frame["objective"] / reference - 1
    above = excess > 0  # what lies below the reference has no place on a logarithmic axis
    axes.plot(frame["epoch"][above], excess[above], color=BLUE)
    if above.any():
        log_axis(axes.yaxis)
    axes.set(title="Objective above that of a much longer run", ylabel="relative excess")
    describe(axes, f"The objective ends {excess.iloc[-1]:.2%} above that of a much longer run.")


def _draw_errors(axes: Axes, frame: pd.DataFrame, held_out: pd.DataFrame, bar: float | None) -> None:
    axes.plot(frame["epoch"][1:], frame["train_rmse"][1:], color=BLUE, label="trained on")
    said = f"RMSE on the ratings trained on ends at {frame['train_rmse'].iloc[-1]:.4f}"
    if len(held_out):
        axes.plot(held_out["epoch"], held_out["valid_rmse"], color=ORANGE, label="held out")
        best = held_out.iloc[int(np.argmin(held_out["valid_rmse"]))]
        place = best["epoch"], best["valid_rmse"]
        axes.plot(*place, "v", color=ORANGE, markersize=9)
        side = "left" if place[0] < frame["epoch"].iloc[-1] / 2 else "right"
        up = bar is not None and place[1] > bar  # away from the line of the bias model
        axes.annotate(f"lowest {place[1]:.3f}, epoch {place[0]:.0f}", place, (0, 10 if up else -10), ha=side,
                      va="bottom" if up else "top", textcoords="offset points", fontsize=10,
                      path_effects=halo())  # fmt: skip
        said += f", on those held out it is lowest after {best['epoch']:.0f} epochs, at {best['valid_rmse']:.4f}"
    if bar is not None:
        axes.axhline(bar, color=GREY, linestyle="--", linewidth=1.5)
        axes.annotate("bias model", (0.99, bar), (0, 3), xycoords=("axes fraction", "data"), ha="right", fontsize=10,
                      textcoords="offset points", in_layout=False, path_effects=halo())  # fmt: skip
        said += f"; the bias model has {bar:.4f}"
    describe(axes, f"{said}.")


def _draw_kkt(axes: Axes, frame: pd.DataFrame) -> None:
    axes.plot(frame["epoch"], frame["kkt"], color=BLUE)
    log_axis(axes.yaxis)
    axes.set(title="Distance from a stationary point", ylabel="KKT residual")
    describe(axes, f"The KKT residual falls from {frame['kkt'].iloc[0]:.1e} to {frame['kkt'].iloc[-1]:.1e}.")


def _tell_time(axes: Axes, frame: pd.DataFrame) -> None:
    """Show solver time above the axes, as if all epochs took the same."""
    pace = frame["seconds"].iloc[-1] / max(frame["epoch"].iloc[-1], 1)
    if pace > 0:
        above = axes.secondary_xaxis("top", functions=(lambda epoch: epoch * pace, lambda time: time / pace))
        above.tick_params(labelsize=9, length=3)
        above.xaxis.set_major_locator(MaxNLocator(5))
        above.set_xlabel("solver time, seconds", fontsize=9)
