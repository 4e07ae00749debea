"""How are ratings given? How often each occurs; counts, which are no scale, in logarithmic classes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmf_scratch.data.statistics import Histogram, unit_of
from nmf_scratch.plots.style import BLUE, ORANGE, PERCENT, axes_of, describe, figure_of, log_axis, style


def plot_ratings(histogram: Histogram, mean: float, *, axes: Axes | None = None) -> Figure:
    """Draw how often each rating was given.

    Parameters
    ----------
    histogram : Histogram
        What `nmf_scratch.data.statistics.histogram` returns.
    mean : float
        Of the ratings, marked by a triangle; not where the ratings are counts, of which a few decide the mean.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
        Bars; over each, its share of all ratings.
    """
    shares = histogram.counts / histogram.counts.sum()
    levels, unit = histogram.levels, unit_of(histogram.levels)
    with style():
        axes = axes_of(axes, 7.0, 4.2)
        if histogram.upper is not None:
            edges = np.append(levels, histogram.upper)
            axes.bar(edges[:-1], shares, np.diff(edges), align="edge", color=BLUE, edgecolor=axes.get_facecolor())
            if histogram.logarithmic:
                log_axis(axes.xaxis)
        else:
            step = float(np.diff(levels).min()) if len(levels) > 1 else 1.0
            if histogram.logarithmic:  # few, far apart
                levels, step = np.arange(len(levels)), 1.0
            axes.bar(levels, shares, 0.85 * step, color=BLUE)
            axes.set_xticks(levels, [f"{level:g}" for level in histogram.levels])
            for level, share in zip(levels, shares, strict=True):
                axes.annotate(f"{share:.1%}" if share < 0.0995 else f"{share:.0%}", (level, share), (0, 3),
                              textcoords="offset points", ha="center", fontsize=11)  # fmt: skip
        if not histogram.logarithmic:
            axes.plot([mean], [0.97], "v", color=ORANGE, markersize=9, transform=axes.get_xaxis_transform())
            axes.annotate(f"mean {mean:.2f}", (mean, 0.97), (8, 0), xycoords=("data", "axes fraction"),
                          textcoords="offset points", va="center", fontsize=11)  # fmt: skip
        axes.margins(y=0.2)
        axes.grid(False, axis="x")
        axes.yaxis.set_major_formatter(PERCENT)
        what = "value, logarithmic classes" if histogram.logarithmic else f"rating, {unit}"
        axes.set(title="How often each rating is given", xlabel=what, ylabel="share of all ratings")
        describe(axes, _sentence(histogram, mean))
    return figure_of(axes)


def _sentence(histogram: Histogram, mean: float) -> str:
    most = int(histogram.counts.argmax())
    share = histogram.counts[most] / histogram.counts.sum()
    level = f"{histogram.levels[most]:.3g}"
    top = f"Most often given is {level}" if histogram.upper is None else f"The fullest class begins at {level}"
    return f"{top}, by {share:.0%} of {histogram.counts.sum():,} ratings; the mean is {mean:.2f}."
