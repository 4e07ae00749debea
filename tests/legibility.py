"""Can a figure be read? Where its texts lie, and which of them lie on one another or leave the page."""

from itertools import chain

import numpy as np
import pytest
from matplotlib.text import Text

both_themes = pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
"""Texts lie where they lie in any colour, so one theme is enough in the short run."""


def shown_texts(figure):
    """Return every text that is drawn: titles, labels, ticks within view, legends, annotations."""
    figure.draw_without_rendering()
    panels = [panel for axes in figure.axes for panel in (axes, *axes.child_axes)]
    hidden = set(chain.from_iterable(_ticks_out_of_view(axes) for axes in panels))
    texts = (text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip())
    return [text for text in texts if text not in hidden]


def _ticks_out_of_view(axes):
    """Yield the labels of ticks that exist but are not drawn."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        slack = 1e-9 * (low if axis.get_scale() == "log" else high - low)
        drawn = axes.axison and axes.get_visible() and axis.get_visible()
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not (drawn and low - slack <= tick.get_loc() <= high + slack):
                yield from (tick.label1, tick.label2)


def boxes_of(figure):
    """Return what each text says, and its box in pixels: left, bottom, right, top."""
    texts = shown_texts(figure)
    return [text.get_text() for text in texts], np.array([text.get_window_extent().extents for text in texts])


def collisions(names, boxes):
    """Return pairs of texts that lie on one another."""
    low, high = np.split(boxes[:, None], 2, axis=2)
    apart = (low >= high.swapaxes(0, 1)) | (high <= low.swapaxes(0, 1))
    return [(names[i], names[j]) for i, j in np.argwhere(~apart.any(axis=2)) if i > j]


def outside(names, boxes, page):
    """Return texts that leave the page."""
    (left, bottom), (right, top) = page.get_points()
    gone = (boxes[:, :2] < [left, bottom]).any(axis=1) | (boxes[:, 2:] > [right, top]).any(axis=1)
    return [name for name, out in zip(names, gone, strict=True) if out]


def assert_legible(figure):
    names, boxes = boxes_of(figure)
    assert collisions(names, boxes) == []
    assert outside(names, boxes, figure.bbox.padded(1)) == []
