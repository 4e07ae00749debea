"""For which items and users are predictions good? Error by number of training ratings, beside the bias model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmf_scratch.plots.style import BLUE, ORANGE, axes_of, describe, figure_of, style


def plot_errors_by_count(errors: pd.DataFrame, side: str, *, axes: Axes | None = None) -> Figure:
    """Draw RMSE for tenths of the items or users, from few training ratings to many.

    Parameters
    ----------
    errors : DataFrame
        What `nmf_scratch.evaluation.diagnosis.errors_by_count` returns.
    side : {"item", "user"}
        Whose ratings are counted.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
    """
    places = np.arange(len(errors))
    with style():
        axes = axes_of(axes, 6.5, 4.4)
        spans = np.abs(errors[["low", "high"]].to_numpy().T - errors["rmse"].to_numpy())
        look: dict[str, Any] = {"fmt": "o-", "color": BLUE, "markersize": 6, "linewidth": 1.5}
        axes.errorbar(places, errors["rmse"], np.nan_to_num(spans), label="model, 95 % interval", **look)
        axes.plot(places, errors["bias_model"], "s--", color=ORANGE, markersize=5, linewidth=1.5, label="bias model")
        axes.set_xticks(places, [_span(row) for row in errors.to_dict("records")], fontsize=9)
        axes.set(title=f"Error by {'popularity of the item' if side == 'item' else 'activity of the user'}",
                 xlabel=f"training ratings of the {side}, tenths of all {side}s",
                 ylabel="RMSE, units of the ratings")  # fmt: skip
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize=11)
        describe(axes, _sentence(errors, side))
    return figure_of(axes)


def _span(row: Mapping[Any, Any]) -> str:
    """Write a range of counts in two lines."""
    fewest, most = (_short(int(row[end])) for end in ("fewest", "most"))
    return fewest if fewest == most else f"{fewest}\n–{most}"


def _short(count: int) -> str:
    """Write a count in few letters: 9999, 12k, 3.4M."""
    if count < 10_000:
        return str(count)
    return f"{count / 1e3:.0f}k" if count < 999_500 else f"{count / 1e6:.1f}M"


def _sentence(errors: pd.DataFrame, side: str) -> str:
    first, last = errors.iloc[0], errors.iloc[-1]
    better = int((errors["rmse"] < errors["bias_model"]).sum())
    return (
        f"RMSE is {first['rmse']:.2f} for {side}s with {first['fewest']:.0f} to {first['most']:.0f} training ratings "
        f"and {last['rmse']:.2f} for those with {last['fewest']:.0f} to {last['most']:.0f}; the model is below the "
        f"bias model in {better} of {len(errors)} groups."
    )
