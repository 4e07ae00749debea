"""Solvers in motion: their ways through a plane of two numbers, and a small table that fills in, epoch by epoch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nmf_scratch._archive import write_file
from nmf_scratch.evaluation.demonstrations import Path as Way
from nmf_scratch.evaluation.demonstrations import Reconstruction, minimum, paths, reconstruct, value
from nmf_scratch.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    SEQUENTIAL,
    alt_text,
    describe,
    ink,
    new_figure,
    paper,
    solver_look,
    style,
)

FRAMES_PER_SECOND, DPI = 6, 80
PER_EPOCH = 5
"""Frames of an epoch in the plane: one for each rating that stochastic gradient descent visits."""

TITLES = {"mu": "Multiplicative updates", "sgd": "Projected SGD", "cd": "Coordinate descent", "als": "Exact solve"}
_BUTTONS = {
    "minus": "−", "fast-backward": "|◀", "step-backward": "◂", "play fa-flip-horizontal": "◀", "pause": "■",
    "play": "▶", "step-forward": "▸", "fast-forward": "▶|", "plus": "+",
}  # fmt: skip


def animations() -> Iterator[tuple[str, Moving]]:
    """Yield name and animation of all there are; each is computed when its turn comes."""
    yield "solver-paths", animate_paths(paths())
    yield "reconstruction", animate_reconstruction(reconstruct())


def plot_paths(ways: dict[str, Way], *, until: float | None = None, figure: Figure | None = None) -> Figure:
    """Draw the ways of solvers over the contours of the objective, a panel each.

    Parameters
    ----------
    ways : dict of str to Path
        What `nmf_scratch.evaluation.demonstrations.paths` returns.
    until : float, optional
        Epoch up to which to draw; all by default.
    figure : Figure, optional
        An earlier result, of the same ways, whose panels are drawn on; a new one by default.

    Returns
    -------
    Figure
        A star is the best allowed point; below the edge, an entry would be negative.
    """
    end = max(way.epochs[-1] for way in ways.values()) if until is None else until
    with style():
        if figure is None:
            title = "The ways of four solvers to the best allowed point of a problem with two numbers"
            figure = new_figure(11.5, 3.9, title)
            panels = figure.subplots(1, len(ways), sharex=True, sharey=True, squeeze=False)[0]
            panels[0].set_ylabel("second entry of w")
            for axes, name in zip(panels, ways, strict=True):
                _draw_contours(axes, TITLES[name])
                axes.plot([], [], color=solver_look(name)["color"], marker=".", markersize=5, linewidth=1.6)
                axes.plot([], [], "o", color=solver_look(name)["color"], markersize=8)
                axes.text(0.97, 0.95, "", transform=axes.transAxes, ha="right", va="top", fontsize=10)
        for axes, way in zip(figure.axes, ways.values(), strict=True):
            shown = way.points[way.epochs <= end + 1e-9]
            line, head = axes.lines[-2:]
            line.set_data(*shown.T)
            head.set_data(*shown[-1:].T)
            excess = max(0.0, float(value(shown[-1]) - value(minimum())))
            axes.texts[-1].set_text(f"epoch {int(end + 1e-9)}\nexcess {excess:.4f}")
            describe(axes, f"{axes.get_title(loc='left')}: {excess:.2g} above the lowest value.")
    return figure


def _draw_contours(axes: Axes, title: str) -> None:
    x, y = np.linspace(0, 2.6, 80), np.linspace(0, 2.4, 80)
    heights = value(np.stack(np.meshgrid(x, y), axis=-1)) - value(minimum())
    axes.contour(x, y, heights, levels=np.geomspace(0.02, 20, 12), colors=GREY, linewidths=0.8, alpha=0.6)
    axes.plot(*minimum(), "*", color=ink(), markersize=13, markeredgecolor=paper(), clip_on=False, zorder=5)
    axes.set(title=title, xlabel="first entry of w", xlim=(0, 2.6), ylim=(-0.08, 2.4))
    axes.axhspan(-0.08, 0, color=GREY, alpha=0.3, linewidth=0)
    axes.grid(False)


def animate_paths(ways: dict[str, Way]) -> Moving:
    """Return `plot_paths` in motion."""
    figure = plot_paths(ways, until=0)
    end = int(max(way.epochs[-1] for way in ways.values()))
    return _moving(figure, lambda frame: plot_paths(ways, until=frame / PER_EPOCH, figure=figure), PER_EPOCH * end + 1)


def plot_reconstruction(run: Reconstruction, *, epoch: int | None = None, figure: Figure | None = None) -> Figure:
    """Draw what is known of a small table, what the model makes of it, the truth, and the errors so far.

    Parameters
    ----------
    run : Reconstruction
        What `nmf_scratch.evaluation.demonstrations.reconstruct` returns.
    epoch : int, optional
        Up to which to draw; the last by default.
    figure : Figure, optional
        An earlier result, of the same run, whose panels are drawn on; a new one by default.

    Returns
    -------
    Figure
    """
    last = len(run.predictions) - 1
    epoch = last if epoch is None else epoch
    with style():
        if figure is None:
            figure = _empty_tables(run)
        _, middle, _, errors, *_ = figure.axes
        middle.images[0].set_data(run.predictions[epoch])
        middle.set_title(f"W Hᵀ after epoch {epoch}")
        for line, rmse in zip(errors.lines, (run.known_rmse, run.hidden_rmse), strict=True):
            line.set_data(np.arange(epoch + 1), rmse[: epoch + 1])
        describe(middle, f"After {epoch} epochs of {run.solver}, the error is {run.known_rmse[epoch]:.2f} on what is "
                 f"known and {run.hidden_rmse[epoch]:.2f} on what is not; at the start it was "
                 f"{run.known_rmse[0]:.2f} and {run.hidden_rmse[0]:.2f}.")  # fmt: skip
    return figure


def _empty_tables(run: Reconstruction) -> Figure:
    figure = new_figure(12.5, 3.9, "A table with gaps, filled in by three factors")
    panels = figure.subplots(1, 4, width_ratios=[1, 1, 1, 1.05])
    share = np.isfinite(run.known).mean()
    tables = {f"Known: {share:.0%} of the cells": run.known, "W Hᵀ": run.predictions[0], "Truth": run.truth}
    for axes, (title, table) in zip(panels[:3], tables.items(), strict=True):
        image = axes.imshow(table, vmin=0.5, vmax=5, cmap=SEQUENTIAL, aspect="auto", interpolation="nearest")
        axes.set(title=title, xticks=[], yticks=[], xlabel="items")
        axes.grid(False)
    panels[0].set_ylabel("users")
    bar = figure.colorbar(image, ax=list(panels[:3]), pad=0.01, aspect=30)
    bar.set_label("rating, stars")
    errors = panels[3]
    errors.plot([], [], color=BLUE, label="known")
    errors.plot([], [], "--", color=ORANGE, label="unknown")
    errors.set(title="RMSE, stars", xlabel="epoch", xlim=(0, len(run.predictions) - 1))
    errors.set_ylim(0, 1.05 * max(run.known_rmse.max(), run.hidden_rmse.max()))
    errors.legend(loc="upper right", fontsize=11)
    return figure


def animate_reconstruction(run: Reconstruction) -> Moving:
    """Return `plot_reconstruction` in motion."""
    figure = plot_reconstruction(run, epoch=0)
    return _moving(figure, lambda epoch: plot_reconstruction(run, epoch=epoch, figure=figure), len(run.predictions))


class Moving(FuncAnimation):
    """An animation that a notebook shows by itself, with controls."""

    @property
    def figure(self) -> Figure:
        """What moves."""
        figure: Figure = self._fig  # type: ignore[attr-defined]
        return figure

    def to_jshtml(self, fps: int | None = None, embed_frames: bool = True, default_mode: str | None = None) -> str:
        """Return a player in HTML that needs no network: characters serve where matplotlib's own fetches a font."""
        with style(), mpl.rc_context({"savefig.dpi": DPI}):
            player = super().to_jshtml(fps or FRAMES_PER_SECOND, embed_frames, default_mode or "once")
        player = re.sub(r'<link rel="stylesheet"[^>]*>', "", player)
        for name, sign in _BUTTONS.items():
            player = player.replace(f'<i class="fa fa-{name}"></i>', sign)
        name = hashlib.sha256(alt_text(self.figure).encode()).hexdigest()[:32]  # matplotlib's is another each time
        return re.sub(r"[0-9a-f]{32}", name, player)

    def _repr_html_(self) -> str:
        return self.to_jshtml()


class _Unseen(FigureCanvasAgg):
    """A canvas that draws only what is written: for a screen, matplotlib would draw each frame twice more."""

    def draw_idle(self, *args: Any, **kwargs: Any) -> None:
        """Draw nothing."""


def _moving(figure: Figure, draw: Callable[[int], object], n_frames: int) -> Moving:
    """Let frames share one layout, so that nothing jumps; the last one stays for a second."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    if figure.canvas.manager is None:
        _Unseen(figure)
    order = [*range(n_frames), *[n_frames - 1] * FRAMES_PER_SECOND]

    def update(frame: int) -> list[Artist]:
        draw(frame)
        return []

    return Moving(figure, update, frames=order, interval=1000 / FRAMES_PER_SECOND, blit=False)


def save_animation(animation: Moving, path: str | Path) -> str:
    """Write an animation as a GIF, or as an HTML page with controls, by its suffix; return its text."""
    path = Path(path)
    if path.suffix == ".gif":
        with style(), mpl.rc_context({"savefig.dpi": DPI}):
            animation.save(path, writer=PillowWriter(fps=FRAMES_PER_SECOND))
    else:
        write_file(path, _page(animation))
    return alt_text(animation.figure)


def _page(animation: Moving) -> str:
    title, player = escape(animation.figure.get_suptitle()), animation.to_jshtml()
    return f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n{player}\n</html>\n'
