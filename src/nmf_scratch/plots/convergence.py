"""Convergence: whether training settles, and whether what it learns holds for ratings it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nmf_scratch.plots.style import BLUE, GREY, ORANGE, new_figure, style

if TYPE_CHECKING:
    from nmf_scratch.training import TrainingHistory


def plot_convergence(
    history: TrainingHistory, *, title: str, validation: TrainingHistory | None = None, bar: float | None = None
) -> Figure:
    """Draw objective and error against epochs.

    Parameters
    ----------
    history : TrainingHistory
        The run to show.
    title : str
        What was trained on what.
    validation : TrainingHistory, optional
        A run on a part of the ratings, whose held-out error is drawn beside the training error.
    bar : float, optional
        Error to clear, drawn as a dashed line: the bias model's, in the unit of the ratings.

    Returns
    -------
    Figure
        Two panels: the objective in percent of its start, and RMSE in the unit of the ratings.
    """
    frame = history.to_frame()
    with style():
        figure = new_figure(10.0, 3.8, title)
        left, right = figure.subplots(1, 2, sharex=True)
        left.plot(frame["epoch"], frame["objective"] / frame["objective"].iloc[0], color=BLUE)
        left.set(title="Objective, as a share of its start", xlabel="epoch")
        right.plot(frame["epoch"][1:], frame["train_rmse"][1:], color=BLUE, label="ratings trained on")
        if validation is not None:
            held_out = validation.to_frame()[1:]
            right.plot(held_out["epoch"], held_out["valid_rmse"], color=ORANGE, label="ratings held out")
        if bar is not None:
            right.axhline(bar, color=GREY, linestyle="--", linewidth=1.5, label="bias model, cross-validated")
        right.set(title="RMSE, in units of the ratings", xlabel="epoch")
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=3)
        left.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        left.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    return figure
