"""What matters? The validation error of every trial of a search, against each parameter that was searched."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from nmf_scratch.plots.style import BLUE, GREY, ORANGE, SKY, VERMILION, log_axis, new_figure, style

_RUNG_LOOKS = [
    {"color": SKY, "marker": "o", "s": 22},
    {"color": ORANGE, "marker": "^", "s": 40},
    {"color": BLUE, "marker": "s", "s": 40},
]
"""One per rung, the last for the longest; shapes differ as well as colours."""

_NOT_PARAMETERS = ("candidate", "rung", "max_iter", "rmse", "standard_error", "seconds")


def plot_tuning(table: pd.DataFrame, *, title: str, bar: float | None = None) -> Figure:
    """Draw what `nmf_scratch.evaluation.tuning.tune` tried.

    Parameters
    ----------
    table : DataFrame
        One row per trial: candidate, rung, the searched parameters, max_iter, rmse.
    title : str
        What was searched on what.
    bar : float, optional
        Error to clear, drawn as a dashed line: the bias model's on the same folds.

    Returns
    -------
    Figure
        One panel per parameter with more than one value, and one for the epochs: RMSE on the inner folds against it,
        each trial a point, the winner ringed. Trials far worse than the median stand at the upper edge.
    """
    searched = [str(name) for name in table if name not in _NOT_PARAMETERS]
    names = [name for name in searched if table[name].nunique() > 1]
    names.append("max_iter")
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    with style():
        figure = new_figure(3.9 * columns + 0.6, 3.2 * rows + 0.9, title)
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
        low, high = _limits(table, bar)
        for number, axes in enumerate(panels.flat):
            if number < len(names):
                _draw(axes, table, names[number], high, bar)
                axes.set_ylim(low, high + 0.04 * (high - low))
                axes.set(xlabel=_LABELS.get(names[number], names[number]))
            else:
                axes.remove()
        panels[0][0].set_title("RMSE on the inner folds, in units of the ratings")
        figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


_LABELS = {
    "n_components": "latent factors, n_components",
    "alpha": "penalty on the factors, alpha",
    "alpha_bias": "penalty on the biases, alpha_bias",
    "loss": "β of the loss",
    "max_iter": "epochs of the trial, max_iter",
}


def _limits(table: pd.DataFrame, bar: float | None) -> tuple[float, float]:
    """Show the better half with room to spare; the worst would squeeze what matters."""
    best = float(table["rmse"].min())
    spread = max(float(table["rmse"].quantile(0.75)) - best, 1e-3 * best)
    high = max(best + 1.6 * spread, min(bar or 0.0, best + 3 * spread) + 0.1 * spread)
    return best - 0.25 * spread, min(high, max(float(table["rmse"].max()), bar or 0.0) + 0.1 * spread)


def _draw(axes: Axes, table: pd.DataFrame, name: str, high: float, bar: float | None) -> None:
    places = _places(axes, table[name])
    shown = table["rmse"].clip(upper=high).to_numpy()
    n_rungs = int(table["rung"].max())
    for rung in sorted(table["rung"].unique()):
        look: dict[str, Any] = _RUNG_LOOKS[int(rung) - n_rungs - 1 + len(_RUNG_LOOKS)]
        of_rung = (table["rung"] == rung).to_numpy()
        label = f"rung {rung} of {n_rungs}: {of_rung.sum()} trials"
        axes.scatter(places[of_rung], shown[of_rung], label=label, alpha=0.85, linewidth=0, zorder=3, **look)
    winner = int(np.argmin(table["rmse"]))
    ring: dict[str, Any] = {"s": 170, "facecolor": "none", "edgecolor": VERMILION, "linewidth": 2, "zorder": 4}
    axes.scatter(places[winner], shown[winner], label="winner", **ring)
    if bar is not None:
        axes.axhline(bar, color=GREY, linestyle="--", linewidth=1.5, label="bias model")


def _places(axes: Axes, values: pd.Series[Any]) -> Any:
    """Return where the trials stand on the axis: numbers on a logarithmic one, choices side by side, a little apart."""
    numbers = pd.api.types.is_numeric_dtype(values) and (values > 0).all()
    if numbers and values.nunique() > 2:
        log_axis(axes.xaxis)
        ticks = _round_ticks(values)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        return values.to_numpy()
    choices = sorted(values.unique(), key=lambda choice: (str(type(choice)), choice))
    axes.set_xticks(range(len(choices)), [f"{choice:g}" if numbers else str(choice) for choice in choices])
    axes.set_xlim(-0.5, len(choices) - 0.5)
    place = values.map({choice: number for number, choice in enumerate(choices)}).to_numpy(dtype=float)
    return place + np.linspace(-0.22, 0.22, len(values))  # in the order of the trials, so that points lie side by side


def _round_ticks(values: pd.Series[Any]) -> list[float]:
    """Return the values themselves where they are few, else 1, 2 and 5 times powers of ten within their range."""
    own = sorted(values.unique())
    if len(own) <= 5:
        return [float(value) for value in own]
    powers = range(math.floor(math.log10(own[0])), math.ceil(math.log10(own[-1])) + 1)
    candidates = [lead * 10.0**power for power in powers for lead in (1, 2, 5)]
    return [tick for tick in candidates if own[0] * 0.999 <= tick <= own[-1] * 1.001]
