"""One look for every figure: colours that colour-blind readers can tell apart, thin axes, same bytes every time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe & Ito (2008), the palette made for colour-blind readers.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#6E6E6E",
)  # fmt: skip

SOLVER_LOOKS = {
    "mu": (BLUE, "-"),
    "cd": (VERMILION, "-"),
    "ccd": (VERMILION, "--"),
    "als": (GREEN, "-"),
    "pgd": (GREEN, "--"),
    "sgd": (ORANGE, "-"),
    "block-sgd": (ORANGE, "--"),
    "adagrad": (PURPLE, "-"),
    "adam": (PURPLE, "--"),
    "eg": (SKY, "-"),
}
"""Colour and line of each solver, the same in every figure; kin share a colour."""

_RC = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same on every machine
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.0,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "nmf-scratch",
}


@contextmanager
def style() -> Iterator[None]:
    """Apply the look within a block, leaving the caller's settings alone."""
    with mpl.rc_context(_RC):  # type: ignore[arg-type]
        yield


def solver_look(name: str) -> dict[str, Any]:
    """Return the line style of a solver; a stranger is grey."""
    colour, line = SOLVER_LOOKS.get(name, (GREY, "-"))
    return {"color": colour, "linestyle": line}


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches, that needs no display and is not kept alive by pyplot."""
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG or SVG by its suffix; the same figure gives the same bytes."""
    path = Path(path)
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with style():
        figure.savefig(path, metadata=metadata)
