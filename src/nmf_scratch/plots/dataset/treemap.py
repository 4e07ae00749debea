"""What are most ratings about? Areas in proportion to ratings: genres, and within them the most rated items."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pandas as pd
import squarify
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nmf_scratch.plots.heatmap import ink_on
from nmf_scratch.plots.style import SEQUENTIAL, axes_of, describe, figure_of, paper, style

_Frame = tuple[float, float, float, float]
# Left, top, width and height of a rectangle.

WIDTH, HEIGHT = 150.0, 100.0
HEAD = 3.2
"""Height of the line with a genre's name; of all lengths, the unit is a hundredth of the map's height."""

SIZES = (10.0, 9.0, 8.0, 7.0)
"""Font sizes that a name is tried in, in points, before it is left out."""


def plot_treemap(tree: pd.DataFrame, *, unit: str, axes: Axes | None = None) -> Figure:
    """Draw the most rated items as areas in proportion to their ratings, under their genres.

    Parameters
    ----------
    tree : DataFrame
        What `nmf_scratch.data.genres.genre_tree` returns.
    unit : str
        Of the ratings.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
        A rectangle per item, coloured by mean rating, and named where its name fits in.
    """
    groups = [own for _, own in tree.groupby("genre", sort=False)]
    totals = [int(own["ratings"].sum()) for own in groups]
    with style():
        axes = axes_of(axes, 11.5, 7.8)
        axes.set_title(f"The {len(tree)} most rated items, by genre: area is the number of ratings")
        axes.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0), xticks=[], yticks=[])
        axes.grid(False)
        axes.spines[:].set_visible(False)
        image = ScalarMappable(_norm(tree), SEQUENTIAL)
        figure_of(axes).colorbar(image, ax=axes, pad=0.01, aspect=40).set_label(f"mean rating, {unit}")
        figure_of(axes).draw_without_rendering()  # settles how large the map is
        for own, frame in zip(groups, _cut(totals, (0, 0, WIDTH, HEIGHT)), strict=True):
            _draw_genre(axes, own, frame, image)
        top = tree.iloc[int(tree["ratings"].argmax())]
        describe(axes, f"The items shown hold {tree.attrs['share']:.0%} of all ratings; each stands under the rarest "
                 f"of its genres. {groups[0]['genre'].iloc[0]} is the largest, with {len(groups[0])} of them, and the "
                 f"most rated item is {top['name']}, with {top['ratings']:,} ratings.")  # fmt: skip
    return figure_of(axes)


def _norm(tree: pd.DataFrame) -> Normalize:
    """Colour the middle nine tenths of the items; what lies beyond is as dark or as light as can be."""
    low, high = np.quantile(tree["mean"], (0.05, 0.95))
    return Normalize(low, high if high > low else low + 1)


def _cut(sizes: list[int], frame: _Frame) -> list[_Frame]:
    """Cut a rectangle into parts in proportion to sizes, the largest first, as square as can be."""
    x, y, width, height = frame
    parts = squarify.squarify(squarify.normalize_sizes(sizes, width, height), x, y, width, height)
    return [(part["x"], part["y"], part["dx"], part["dy"]) for part in parts]


def _draw_genre(axes: Axes, own: pd.DataFrame, frame: _Frame, image: ScalarMappable) -> None:
    x, y, width, height = frame
    head = min(HEAD, height / 4)
    parts = _cut(list(own["ratings"]), (x, y + head, width, height - head))
    for part, row in zip(parts, own.to_dict("records"), strict=True):
        colour = image.to_rgba(row["mean"])
        axes.add_patch(Rectangle(part[:2], *part[2:], facecolor=colour, edgecolor=paper(), linewidth=1))
        _write(axes, str(row["name"]), part, color=ink_on(tuple(colour)))
    axes.add_patch(Rectangle(frame[:2], width, height, fill=False, edgecolor=paper(), linewidth=4))
    _write(axes, str(own["genre"].iloc[0]), (x, y, width, 1.1 * head), fontweight="bold")


def _write(axes: Axes, text: str, frame: _Frame, **look: Any) -> None:
    """Write text into a rectangle, in the largest size and the fewest lines that fit; or not at all."""
    x, y, width, height = frame
    for size in SIZES:
        for lines in _broken(text):
            label = axes.text(x + width / 2, y + height / 2, lines, ha="center", va="center", fontsize=size,
                              linespacing=1.05, in_layout=False, **look)  # fmt: skip
            box = label.get_window_extent().transformed(axes.transData.inverted())
            if abs(box.width) < 0.94 * width and abs(box.height) < 0.97 * height:
                return
            label.remove()


def _broken(text: str, most: int = 5) -> list[str]:
    """Return the text in one line, two, …: each time as narrow as words allow."""
    longest = max(map(len, text.split()), default=0)
    found: dict[int, str] = {}
    for width in range(max(len(text), 1), max(longest, 1) - 1, -1):
        lines = textwrap.wrap(text, width) or [text]
        found[len(lines)] = "\n".join(lines)
    return [found[n] for n in sorted(found) if n <= most]
