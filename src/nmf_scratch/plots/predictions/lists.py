"""What do lists hold, the same few items for all or the long tail? Places on lists against the items' popularity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from nmf_scratch.plots.style import BLUE, GREY, ORANGE, VERMILION, axes_of, describe, figure_of, ink, style

if TYPE_CHECKING:
    from nmf_scratch.evaluation.diagnosis import Exposure

_LOOKS: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "linestyle": "-"},
    {"color": ORANGE, "linestyle": "--"},
    {"color": VERMILION, "linestyle": ":"},
)


def plot_exposure(exposures: Mapping[str, Exposure], head: int, n: int, *, axes: Axes | None = None) -> Figure:
    """Draw the share of the places that the most rated items hold on lists, as items are added.

    Parameters
    ----------
    exposures : mapping of str to Exposure
        What `nmf_scratch.evaluation.diagnosis.exposure` returns, by the name of who recommends.
    head : int
        Items that are not of the long tail (`nmf_scratch.evaluation.diagnosis.head_size`).
    n : int
        Length of the lists.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
        A curve near the upper left lists what everybody rates; on the diagonal all items stand on as many lists.
    """
    first = next(iter(exposures.values()))
    items = np.arange(len(first.rated) + 1) / len(first.rated)
    with style():
        axes = axes_of(axes, 6.5, 4.8)
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="-.", label="all items alike")
        axes.plot(items, _running_share(first.rated), color=GREY, label="ratings trained on")
        for look, (name, shown) in zip(_LOOKS, exposures.items(), strict=False):
            label = f"lists of {name}: {shown.coverage:.0%} of items, {shown.tail:.0%} from the tail"
            axes.plot(items, _running_share(shown.listed), label=label, **look)
        axes.axvline(head / len(first.rated), color=ink(), linewidth=1)
        axes.annotate("long tail →", (head / len(first.rated), 0.03), (6, 0), textcoords="offset points", fontsize=11)
        axes.set(title=f"Lists of {n} for all users", xlim=(0, 1), ylim=(0, 1.02))
        axes.set(xlabel="share of the items, the most rated first", ylabel="share of places, or of ratings")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1))
        axes.tick_params(axis="x", pad=7)  # two zeros meet in the corner
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=11)
        said = [
            f"lists of {name} hold {shown.coverage:.0%} of the items and give {shown.tail:.0%} of their places to it"
            for name, shown in exposures.items()
        ]
        tail = 1 - head / len(first.rated)
        describe(axes, f"The long tail are {tail:.0%} of the items, with a fifth of the ratings; {'; '.join(said)}.")
    return figure_of(axes)


def _running_share(counts: np.ndarray) -> np.ndarray:
    """Return the share of the total that the first items hold, from none of them to all."""
    running = np.concatenate([[0], np.cumsum(counts)])
    shares: np.ndarray = running / (running[-1] or 1)
    return shares
