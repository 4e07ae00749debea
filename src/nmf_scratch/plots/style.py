"""One look for every figure: colours that colour-blind readers can tell apart, light or dark, same bytes every time.

A drawing function works inside `style()`, puts its picture on an Axes and says in one computed sentence what is to be
seen there (`describe`); `save_figure` writes picture and sentences, which are the text for readers who do not see it.
"""

from __future__ import annotations

import math
import warnings
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from nmf_scratch._archive import write_file
from nmf_scratch._console import visible

# Okabe & Ito (2008), the palette made for colour-blind readers; the grey is legible on white and on black alike.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#7A7A7A",
)  # fmt: skip
COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW)
"""The palette in the order in which nameless series take it."""

SEQUENTIAL, DIVERGING = "cividis", "PuOr_r"
"""Colour maps for amounts, and for differences about a middle: both keep their order for colour-blind readers."""

SOLVER_LOOKS = {
    "mu": (BLUE, "-"),
    "cd": (VERMILION, "-"),
    "ccd": (PURPLE, "-"),
    "als": (GREEN, "-"),
    "pgd": (ORANGE, "-"),
    "sgd": (BLUE, "--"),
    "adagrad": (GREEN, "--"),
    "adam": (PURPLE, "--"),
    "eg": (ORANGE, "--"),
    "block-sgd": (VERMILION, "--"),
}
"""Colour and line of each solver, the same in every figure: solid for those that go by rows, dashed for those that go
rating by rating. Within each five, which share a panel, no two share a colour."""

Theme = Literal["light", "dark"]
_INK_AND_PAPER: dict[Theme, tuple[str, str, str]] = {
    "light": ("#1A1A1A", "#FFFFFF", "#E3E3E3"),
    "dark": ("#E8E8E8", "#16181C", "#3A3D42"),
}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SHOWN_AT = 0.8
"""Size of a figure in a notebook, beside its own."""

_pyplot: ContextVar[bool] = ContextVar("pyplot", default=False)
_theme: ContextVar[Theme] = ContextVar("theme", default="light")

_RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same on every machine
    "text.parse_math": False,  # a title that holds $ is a title
    "font.size": 12,  # still legible when a page shows the figure at half its size
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "grid.linewidth": 0.8,
    "image.cmap": SEQUENTIAL,
    "lines.linewidth": 2.0,
    "legend.frameon": False,
    "savefig.facecolor": "auto",
    "svg.hashsalt": "nmf-scratch",
}


@contextmanager
def use_theme(theme: Theme) -> Iterator[None]:
    """Draw what is drawn within the block in dark ink on white paper ("light"), or the other way round ("dark")."""
    token = _theme.set(theme)
    try:
        yield
    finally:
        _theme.reset(token)


@contextmanager
def style() -> Iterator[None]:
    """Apply the look within a block, leaving the caller's settings alone."""
    ink, paper, grid = _INK_AND_PAPER[_theme.get()]
    colours = {
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), ink),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor"), paper),
        "grid.color": grid,
    }
    settings: dict[Any, Any] = {**_RC, **colours}
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box stands for a letter that the font lacks
        yield


def ink() -> str:
    """Return the colour of text in the theme at hand, for marks that should be as plain as text."""
    return _INK_AND_PAPER[_theme.get()][0]


def paper() -> str:
    """Return the colour of the ground in the theme at hand, for gaps between areas that touch."""
    return _INK_AND_PAPER[_theme.get()][1]


def solver_look(name: str) -> dict[str, Any]:
    """Return the line style of a solver; one that is not known is grey."""
    colour, line = SOLVER_LOOKS.get(name, (GREY, "-"))
    return {"color": colour, "linestyle": line}


class _Picture(Figure):
    """A figure that a notebook shows by itself, with its text for readers who do not see it."""

    def _repr_html_(self) -> str:
        data = b64encode(figure_bytes(self, "png")).decode()
        width = round(96 * self.get_size_inches()[0] * SHOWN_AT)
        return f'<img alt="{escape(alt_text(self))}" width="{width}" src="data:image/png;base64,{data}">'


def use_pyplot(on: bool = True) -> None:
    """Hand every figure from now on to pyplot, so that `plt.show` opens windows: for scripts, which show and end."""
    _pyplot.set(on)


def new_figure(width: float, height: float, title: str | None = None) -> Figure:
    """Return an empty figure, in inches, that needs no display; `use_pyplot` hands it to pyplot as well."""
    size: dict[str, Any] = {"figsize": (width, height), "dpi": 120, "layout": "constrained"}
    if _pyplot.get():
        import matplotlib.pyplot as plt  # looks for a screen

        figure: Figure = plt.figure(FigureClass=_Picture, **size)
    else:
        figure = _Picture(**size)
        FigureCanvasAgg(figure)
    if title is not None:
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure


def axes_of(axes: Axes | None, width: float, height: float) -> Axes:
    """Return the caller's axes, or those of a new figure of the given size in inches."""
    return new_figure(width, height).subplots() if axes is None else axes


def figure_of(axes: Axes) -> Figure:
    """Return the figure that the axes stand in."""
    figure = axes.get_figure()
    figure = None if figure is None else figure.figure  # of a subfigure, that which holds it; of a figure, itself
    assert figure is not None
    return figure


def log_axis(axis: Axis) -> None:
    """Make an axis logarithmic, with numbers as people write them: 1,000 and 10⁻⁵."""
    name = "x" if isinstance(axis, XAxis) else "y"
    axis.axes.set(**{f"{name}scale": "log"})
    axis.set_major_locator(_Decades())
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axis.set_minor_formatter(NullFormatter())


PERCENT = FuncFormatter(lambda share, _: f"{100 * share:g}%")
"""Writes a share on an axis: 0.25 as 25%."""


class _Decades(LogLocator):
    """Marks at powers of ten, and at 2 and 5 times as much where those are few."""

    def tick_values(self, vmin: float, vmax: float) -> Any:
        self.set_params(subs=(1.0, 2.0, 5.0) if vmin > 0 and vmax < 200 * vmin else (1.0,))
        return super().tick_values(vmin, vmax)


def plain(value: float) -> str:
    """Write a number with commas; a power of ten that would have many zeros as such."""
    power = round(math.log10(value)) if value > 0 else 0
    if -4 < power < 7:
        return f"{value:,.10g}"
    factor = f"{value / 10.0**power:.3g}"
    return ("" if factor == "1" else f"{factor}·") + "10" + str(power).translate(_RAISED)


def describe(axes: Axes, sentence: str) -> None:
    """Say in a sentence, with its numbers, what the axes show: part of the text that is saved with the figure."""
    axes.set_label(sentence)


def alt_text(figure: Figure) -> str:
    """Return what the figure shows, in words: its title, then what each of its panels says."""
    title = figure.get_suptitle().rstrip(".").replace("\n", ": ")
    sentences = (str(axes.get_label()) for axes in figure.axes)
    said = (sentence for sentence in sentences if sentence not in ("", "<colorbar>"))
    return " ".join([f"{title}.", *said] if title else said)


def save_figure(figure: Figure, path: str | Path) -> str:
    """Write a figure as PNG or SVG by its suffix and return its text; the same figure gives the same bytes.

    The text (`alt_text`) is stored in the file under the standard name, Description.
    """
    path = Path(path)
    write_file(path, figure_bytes(figure, path.suffix.removeprefix(".")))
    return alt_text(figure)


def figure_bytes(figure: Figure, form: str) -> bytes:
    """Return what `save_figure` writes, in the format "png" or "svg"."""
    text, file = alt_text(figure), BytesIO()
    timeless = {"Date": None} if form == "svg" else {"Software": None}
    with style():
        figure.savefig(file, format=form, metadata={**timeless, **({"Description": visible(text)} if text else {})})
    return file.getvalue()
