"""Lifts as colours: how many times its share each row has in each column, in doublings and halvings about 1."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter

from nmf_scratch.plots.style import DIVERGING, figure_of

DARK, LIGHT = "#1A1A1A", "#FFFFFF"


def draw_lifts(
    axes: Axes, lifts: pd.DataFrame, *, numbered: bool, steps: int = 1, label: str = "lift (1× is the genre's share)"
) -> None:
    """Colour a table of lifts, with a colour bar beside it.

    Parameters
    ----------
    axes : Axes
        Where to draw; rows and columns are named by the caller.
    lifts : DataFrame
        Above 0, or NaN for what is left blank.
    numbered : bool
        Whether each cell also says its number.
    steps : int
        Marks of the colour bar for each doubling.
    label : str
        What is coloured.
    """
    doublings = np.log2(lifts.to_numpy(np.float64))
    reach = max(1.0, np.ceil(np.nanmax(doublings) * steps) / steps)  # halvings beyond it are as dark as can be
    image = axes.imshow(doublings, cmap=DIVERGING, vmin=-reach, vmax=reach, aspect="auto")
    axes.grid(False)
    axes.tick_params(length=0)
    below = "min" if np.nanmin(doublings) < -reach else "neither"
    bar = figure_of(axes).colorbar(image, ax=axes, pad=0.02, aspect=30, extend=below)
    bar.set_label(label)
    bar.ax.yaxis.set_major_locator(FixedLocator(list(np.arange(-reach, reach + 1e-9, 1 / steps))))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda power, _: _times(2.0**power)))
    if numbered:
        _number(axes, lifts)


def ink_on(colour: tuple[float, ...]) -> str:
    """Return the colour of text that is legible on this one: dark on light, light on dark."""
    red, green, blue = colour[:3]
    return DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else LIGHT


def _times(lift: float) -> str:
    """Write a lift as people do: 1/4×, 1.4×, 2×."""
    if not np.isclose(np.log2(lift) % 1, 0):
        return f"{lift:.2g}×"
    return f"{lift:g}×" if lift >= 1 else f"1/{1 / lift:g}×"


def _number(axes: Axes, lifts: pd.DataFrame) -> None:
    (image,) = axes.get_images()
    for (row, column), lift in np.ndenumerate(lifts.to_numpy(dtype=np.float64)):
        if np.isfinite(lift):
            colour = ink_on(tuple(np.ravel(image.cmap(image.norm(np.log2(lift))))))
            axes.text(column, row, f"{lift:.1f}", ha="center", va="center", fontsize=9.5, color=colour)
