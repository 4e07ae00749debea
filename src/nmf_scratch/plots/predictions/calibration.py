"""Does a predicted 4 mean a 4? What was rated where so much was predicted, with intervals and counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from nmf_scratch.plots.style import BLUE, GREY, ORANGE, axes_of, describe, figure_of, style

ENOUGH = 20
"""Ratings from which on a bin has a dot: below, the interval is a guess itself."""


def plot_calibration(calibration: pd.DataFrame, *, axes: Axes | None = None) -> Figure:
    """Draw the mean observed rating against the mean prediction of each bin, with 95 % intervals.

    Parameters
    ----------
    calibration : DataFrame
        What `nmf_scratch.evaluation.diagnosis.calibration_bins` returns.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
        On the dashed line predictions mean what they say; bars at the foot show how many ratings a bin holds.
    """
    shown = calibration[(calibration["n"] >= ENOUGH) & calibration["low"].notna()]
    with style():
        axes = axes_of(axes, 6.0, 4.4)
        ends = float(calibration["left"].min()), float(calibration["right"].max())
        axes.plot(ends, ends, "--", color=GREY, linewidth=1.5, label="as predicted")
        spans = np.abs(shown[["low", "high"]].to_numpy().T - shown["observed"].to_numpy())
        axes.errorbar(shown["predicted"], shown["observed"], yerr=spans, fmt="o-", color=BLUE, linewidth=1.2,
                      markersize=6, label="mean rating, 95 % interval")  # fmt: skip
        low, high = min([ends[0], *shown["low"]]), max([ends[1], *shown["high"]])
        floor = low - 0.35 * (high - low)  # below the lowest mean, so that counts hide nothing
        most = int(calibration["n"].max())
        tall, widths = 0.28 * (high - low) / most * calibration["n"], calibration["right"] - calibration["left"]
        look: dict[str, Any] = {"align": "edge", "color": ORANGE, "label": f"ratings, at most {most:,} in a bin"}
        axes.bar(calibration["left"], tall, widths, floor, **look)
        axes.set_ylim(floor, high + 0.05 * (high - low))
        axes.yaxis.set_major_locator(FixedLocator([tick for tick in axes.get_yticks() if low <= tick <= high]))
        axes.set(title="Calibration", xlabel="predicted rating", ylabel="observed rating, mean")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, fontsize=11)
        describe(axes, _sentence(calibration, shown))
    return figure_of(axes)


def _sentence(calibration: pd.DataFrame, shown: pd.DataFrame) -> str:
    if not len(shown):
        return f"Too few ratings to evaluate calibration: {calibration['n'].sum():,}."
    gap = shown["observed"] - shown["predicted"]
    worst = shown.iloc[int(np.argmax(gap.abs()))]
    inside = int(((shown["low"] <= shown["predicted"]) & (shown["predicted"] <= shown["high"])).sum())
    return (
        f"In {inside} of {len(shown)} bins the interval of the mean rating holds the mean prediction; it is furthest "
        f"off where {worst['predicted']:.2f} is predicted and {worst['observed']:.2f} was rated."
    )
