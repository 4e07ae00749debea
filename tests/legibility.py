"""Can a figure be read? Where its texts lie, and which of them lie on one another or leave the page."""

from itertools import chain

import pytest
from matplotlib.text import Text

both_themes = pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
"""Texts lie where they lie in any colour, so one theme is enough in the short run."""


def shown_texts(figure):
    """Return every text that is drawn: titles, labels, ticks within view, legends, annotations."""
    figure.draw_without_rendering()
    hidden = set(chain.from_iterable(_ticks_out_of_view(axes) for axes in figure.axes))
    texts = (text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip())
    return [text for text in texts if text not in hidden]


def _ticks_out_of_view(axes):
    """Yield the labels of ticks that exist but are not drawn."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        slack = 1e-9 * (high - low)
        drawn = axes.axison and axes.get_visible() and axis.get_visible()
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not (drawn and low - slack <= tick.get_loc() <= high + slack):
                yield from (tick.label1, tick.label2)


def collisions(figure):
    """Return pairs of texts that lie on one another."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown_texts(figure)]
    return [(a, b) for i, (a, first) in enumerate(boxes) for b, second in boxes[:i] if first.overlaps(second)]


def outside(figure):
    """Return texts that leave the page."""
    page = figure.bbox.padded(1)
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown_texts(figure)]
    return [
        text
        for text, box in boxes
        if not (page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1)
    ]


def assert_legible(figure):
    assert collisions(figure) == []
    assert outside(figure) == []
