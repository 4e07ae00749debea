"""When were ratings given, and did they drift? Counts and means by period, beside what the items rated explain."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from nmf_scratch.plots.style import BLUE, GREY, ORANGE, describe, new_figure, plain, style

FEWEST = 30
"""Ratings of a period whose mean is worth a dot."""


def plot_time(table: pd.DataFrame, *, unit: str) -> Figure:
    """Draw activity over time, and the drift of mean ratings.

    Parameters
    ----------
    table : DataFrame
        What `nmf_scratch.data.activity.over_time` returns.
    unit : str
        Of the ratings.

    Returns
    -------
    Figure
        Two panels over one axis of time: ratings and first-time users per period; and the mean rating with twice its
        standard error, beside the mean that the items rated then have over all time.
    """
    period = table.attrs["period"]
    starts, ends = table["start"].dt.start_time, table["start"].dt.end_time
    middles = starts + (ends - starts) / 2
    widths = (ends - starts).dt.total_seconds() / 86400
    sound = (table["ratings"] >= FEWEST).to_numpy()
    with style():
        figure = new_figure(9.5, 6.4, "When ratings were given, and whether they drift")
        top, below = figure.subplots(2, 1, sharex=True)
        top.bar(middles, table["ratings"], 0.9 * widths, color=BLUE)
        top.set_title(f"Ratings in each {period}, and users who rate for the first time")
        top.set_ylabel("ratings", color=BLUE)
        right = top.twinx()
        right.plot(middles, table["new_users"], "o-", color=ORANGE, markersize=4)
        right.set_ylabel("new users", color=ORANGE)
        right.grid(False)
        for axes in (top, right):
            axes.set_ylim(0)
            axes.yaxis.set_major_formatter(lambda value, _: plain(value))
        below.fill_between(middles[sound], *_band(table[sound]), color=BLUE, alpha=0.2, linewidth=0,
                           label="± 2 standard errors")  # fmt: skip
        below.plot(middles[sound], table["mean"][sound], "o-", color=BLUE, markersize=4, label="mean rating")
        below.plot(middles[sound], table["expected"][sound], "--", color=GREY, linewidth=1.8,
                   label="of the same items, over all time")  # fmt: skip
        below.set(title="Mean rating", ylabel=unit)
        locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
        below.xaxis.set_major_locator(locator)
        formatter = ConciseDateFormatter(locator, show_offset=False)  # type: ignore[no-untyped-call]
        below.xaxis.set_major_formatter(formatter)
        figure.legend(*below.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        _describe(top, below, table, sound)
    return figure


def _band(table: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    return table["mean"] - 2 * table["standard_error"], table["mean"] + 2 * table["standard_error"]


def _describe(top: Axes, below: Axes, table: pd.DataFrame, sound: np.ndarray) -> None:
    period, busiest = table.attrs["period"], table.iloc[int(table["ratings"].argmax())]
    describe(top, f"From {table['start'].iloc[0].start_time:%Y-%m-%d} to {table['start'].iloc[-1].end_time:%Y-%m-%d}; "
             f"the busiest {period}, from {busiest['start'].start_time:%Y-%m-%d}, holds {busiest['ratings']:,} of "
             f"{table['ratings'].sum():,} ratings.")  # fmt: skip
    if sound.any():
        means, excess = table["mean"][sound], (table["mean"] - table["expected"])[sound]
        describe(below, f"Means by {period} run from {means.min():.2f} to {means.max():.2f}; what the items rated do "
                 f"not explain of that lies between {excess.min():+.2f} and {excess.max():+.2f}.")  # fmt: skip
