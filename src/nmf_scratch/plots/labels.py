"""Names beside points, none over another: each takes the first free place around its point, the rest stay unnamed.

Labels are laid out in pixels, so they come last, when the axes have their limits and the figure its panels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from nmf_scratch.plots.style import figure_of, paper

_AROUND = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
_SIDES = {1: "left", 0: "center", -1: "right"}
_LEVELS = {1: "bottom", 0: "center", -1: "top"}


def halo() -> list[AbstractPathEffect]:
    """Return the rim that keeps text legible on lines."""
    return [withStroke(linewidth=2.5, foreground=paper())]


def place_labels(
    axes: Axes,
    points: np.ndarray,
    texts: Sequence[str],
    *,
    gap: float | Sequence[float] = 6.0,
    size: float = 9.0,
    clear: bool = False,
) -> list[Annotation]:
    """Name points in the order given, the most important first; a name without a free place is left out.

    Parameters
    ----------
    axes : Axes
        Where the points stand, limits and all.
    points : (n, 2) array
        Places in data coordinates.
    texts : sequence of str
        One name per point.
    gap : float or sequence of float, optional
        Distance between point and name, in points of 1/72 inch: at least the radius of the mark.
    size : float, optional
        Font size in points.
    clear : bool
        Whether names also keep off the marks, squares of twice the gap about the points; not for crowds.

    Returns
    -------
    list of Annotation
        The names that found a place; no two overlap, and all lie within the axes.
    """
    figure = figure_of(axes)
    figure.draw_without_rendering()  # settles where the panels are
    frame, gaps = axes.get_window_extent(), np.broadcast_to(gap, len(texts))
    taken = _squares(axes, points, gaps) if clear else []
    placed = []
    for point, text, distance in zip(points, texts, gaps, strict=True):
        label = _first_free(axes, point, text, float(distance), size, frame, taken)
        if label is not None:
            placed.append(label)
            taken.append(label.get_window_extent())
    return placed


def _squares(axes: Axes, points: np.ndarray, gaps: np.ndarray) -> list[Bbox]:
    """Return what marks cover, a little less than the gap, so that a name beside one is clear of it."""
    reach = 0.7 * gaps[:, None] * figure_of(axes).dpi / 72
    centres = axes.transData.transform(points)
    return [Bbox(corners) for corners in np.stack([centres - reach, centres + reach], axis=1)]


def _first_free(
    axes: Axes, point: np.ndarray, text: str, gap: float, size: float, frame: Bbox, taken: list[Bbox]
) -> Annotation | None:
    for right, up in _AROUND:
        reach = gap if 0 in (right, up) else gap * 0.75
        label = axes.annotate(
            text, (point[0], point[1]), (right * reach, up * reach), textcoords="offset points", fontsize=size,
            ha=_SIDES[right], va=_LEVELS[up], in_layout=False, zorder=5, annotation_clip=True,
            path_effects=halo(),
        )  # fmt: skip
        box = label.get_window_extent()
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        if inside and not any(box.overlaps(other) for other in taken):
            return label
        label.remove()
    return None


def label_ends(axes: Axes, lines: Sequence[Line2D], *, size: float = 10.0) -> list[Annotation]:
    """Name lines at their right ends, by their labels, so that nobody has to look up a legend.

    Parameters
    ----------
    axes : Axes
        With its limits and scales as they will be; call this last.
    lines : sequence of Line2D
        Lines with labels.
    size : float, optional
        Font size in points.

    Returns
    -------
    list of Annotation
        One name per line that has a visible point, beside its last one; where ends are close, names are moved apart,
        and a leader in the colour of the line joins each to its end.
    """
    figure_of(axes).draw_without_rendering()
    frame, height = axes.get_window_extent(), 1.25 * size * figure_of(axes).dpi / 72
    ends = []
    for line in lines:
        points = axes.transData.transform(np.column_stack([line.get_xdata(), line.get_ydata()]).astype(float))
        visible = points[np.isfinite(points).all(axis=1) & (points[:, 1] >= frame.y0 - 1) & (points[:, 1] <= frame.y1)]
        if len(visible):
            ends.append((visible[np.argmax(visible[:, 0])], line))
    ends.sort(key=lambda end: end[0][1])
    places = _apart([float(point[1]) for point, _ in ends], height, frame.y0, frame.y1)
    dpi, to_data = figure_of(axes).dpi, axes.transData.inverted()
    shifts = [(place - float(point[1])) * 72 / dpi for (point, _), place in zip(ends, places, strict=True)]
    moved = any(abs(shift) > size / 4 for shift in shifts)
    if moved:
        for (point, line), shift in zip(ends, shifts, strict=True):
            _lead(axes, tuple(to_data.transform(point)), (17, shift), line)
    return [
        axes.annotate(
            str(line.get_label()), tuple(to_data.transform(point)), (18 if moved else 6, shift),
            textcoords="offset points", fontsize=size, va="center", annotation_clip=False,
            path_effects=halo(), zorder=6,
        )
        for (point, line), shift in zip(ends, shifts, strict=True)
    ]  # fmt: skip


def _lead(axes: Axes, end: tuple[float, float], name: tuple[float, float], line: Line2D) -> None:
    """Draw the stroke from a name to the end of its line."""
    stroke = {"arrowstyle": "-", "color": line.get_color(), "linewidth": 1.0, "shrinkA": 0.0, "shrinkB": 3.0}
    axes.annotate("", end, name, textcoords="offset points", arrowprops=stroke, annotation_clip=False, zorder=6)


def _apart(places: list[float], gap: float, low: float, high: float) -> list[float]:
    """Move ascending places as little as needed to stand at least so far apart, within bounds if there is room."""
    clusters: list[list[float]] = []  # [first place, number of members, sum of where they want the first to be]
    for place in places:
        clusters.append([place, 1.0, place])
        while len(clusters) > 1 and clusters[-2][0] + clusters[-2][1] * gap > clusters[-1][0]:
            _, n, wanted = clusters.pop()
            before = clusters[-1]
            before[2] += wanted - n * before[1] * gap
            before[1] += n
            before[0] = before[2] / before[1]
            before[0] = max(low, min(before[0], high - (before[1] - 1) * gap))
    return [first + member * gap for first, n, _ in clusters for member in range(int(n))]
