"""Figures on the page: drawn in both themes, kept in the page itself, with their words as alternative text."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nmf_scratch.plots.style import Theme, alt_text, figure_bytes, use_theme
from nmf_scratch.report.markup import Html, element, joined, slug

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Draw = Callable[[], Iterable[tuple[str, Figure]]]

LARGEST_SVG = 150_000
"""Bytes from which on a figure is kept as pixels: lines stay sharp at any size, but a cloud of points has no end."""

THEMES: tuple[Theme, Theme] = ("light", "dark")


class _Picture:
    """One figure in one theme, ready for the page; the figure itself, with its arrays, is let go."""

    def __init__(self, name: str, figure: Figure) -> None:
        self.name, self.text = name, alt_text(figure)
        self.width, self.height = (round(96 * inches) for inches in figure.get_size_inches())
        data = figure_bytes(figure, "svg")
        kind = "svg+xml"
        if len(data) > LARGEST_SVG:
            data, kind = figure_bytes(figure, "png"), "png"
        self.address = f"data:image/{kind};base64,{b64encode(data).decode()}"


def figures(section: str, draw: Draw) -> Html:
    """Draw a family of figures, light and dark.

    Parameters
    ----------
    section : str
        Id of the section they stand in: their own ids begin with it.
    draw : callable
        Yields (name, Figure) pairs, drawn in the theme at hand: it is called once for each theme.
    """
    return joined(
        *(_figure(section, light, dark) for light, dark in zip(*map(_drawn, [draw] * 2, THEMES), strict=True))
    )


def _drawn(draw: Draw, theme: Theme) -> list[_Picture]:
    with use_theme(theme):
        return [_Picture(name, figure) for name, figure in draw()]


def _figure(section: str, light: _Picture, dark: _Picture) -> Html:
    """Return a figure; its caption repeats the alternative text for those who see, and for them only."""
    name = f"{section}-{slug(light.name)}"
    picture = element(
        "picture",
        element("source", media="screen and (prefers-color-scheme: dark)", srcset=dark.address),
        element("img", src=light.address, alt=light.text, width=light.width, height=light.height),
    )
    caption = element("figcaption", element("span", light.text, aria_hidden="true"))
    return element("figure", picture, caption, id=name)
