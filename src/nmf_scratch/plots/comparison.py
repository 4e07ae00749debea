"""Which solver gets there first? Objective, errors and KKT residual, against epochs and against seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nmf_scratch.evaluation.comparison import excess, time_to
from nmf_scratch.plots.labels import halo, label_ends
from nmf_scratch.plots.style import GREY, axes_of, describe, figure_of, log_axis, new_figure, plain, solver_look, style

MOST = 5
"""Lines in one panel: with more solvers, they stand in several."""

NEAR = (0.1, 0.01)
"""Targets: relative excess of the objective over the reference."""


class Quantity(NamedTuple):
    """What is drawn: name of the file, title, label, and whether its axis is logarithmic."""

    name: str
    title: str
    label: str
    logarithmic: bool


QUANTITIES = {
    "excess": Quantity("objective", "Objective above that of a much longer run", "relative excess", True),
    "test_rmse": Quantity("test-error", "Error on held-out ratings", "RMSE, units of the ratings", False),
    "train_rmse": Quantity("train-error", "Error on the ratings trained on", "RMSE, units of the ratings", False),
    "kkt": Quantity("kkt", "Distance from a stationary point", "KKT residual, scale-free", True),
}
"""Columns of the table, and what is written beside them."""

ABSCISSAE = {"epoch": "epoch", "seconds": "solver time, seconds"}


def comparison_figures(
    table: pd.DataFrame, *, title: str, bar: float | None = None, quantities: Iterable[str] = tuple(QUANTITIES)
) -> Iterator[tuple[str, Figure]]:
    """Draw what `nmf_scratch.evaluation.comparison.compare` measured, one figure after the other.

    Parameters
    ----------
    table : DataFrame
        One row per solver, fold, seed and epoch.
    title : str
        What was compared on what.
    bar : float, optional
        Held-out error to clear: the bias model's.
    quantities : iterable of str
        Keys of `QUANTITIES`, a figure for each; the time to target comes last.

    Yields
    ------
    name : str
        Of the file, without suffix.
    figure : Figure
    """
    measured = table.assign(excess=excess(table))
    for quantity in quantities:
        if measured[quantity].notna().any():
            figure = plot_comparison(measured, quantity, title=title, bar=bar if quantity == "test_rmse" else None)
            yield QUANTITIES[quantity].name, figure
    if measured["excess"].notna().any():
        yield "time-to-target", plot_targets(measured)


def plot_comparison(table: pd.DataFrame, quantity: str, *, title: str, bar: float | None = None) -> Figure:
    """Draw one quantity of several solvers against epochs and against seconds.

    Parameters
    ----------
    table : DataFrame
        One row per solver, fold, seed and epoch, with the quantity as a column.
    quantity : str
        One of `QUANTITIES`.
    title : str
        What was compared on what.
    bar : float, optional
        Drawn as a dashed line.

    Returns
    -------
    Figure
        A row of two panels for each `MOST` solvers; the start, which all share, is left out. Bands reach from the
        lowest to the highest of folds and seeds, lines are their means, of logarithmic quantities medians. Errors are
        levelled first: what is harder in a fold for all solvers is taken out, so that bands tell solvers apart.
    """
    names, what = list(table["solver"].unique()), QUANTITIES[quantity]
    groups = [names[start : start + MOST] for start in range(0, len(names), MOST)]
    middle = _summary(table, quantity)
    with style():
        figure = new_figure(11.0, 1.1 + 3.3 * len(groups), f"{what.title}\n{title}")
        panels = figure.subplots(len(groups), 2, squeeze=False, sharex="col", sharey=True)
        lines = [_draw(axes, middle, group, by) for row, group in zip(panels, groups, strict=True)
                 for axes, by in zip(row, ABSCISSAE, strict=True)]  # fmt: skip
        if what.logarithmic:
            log_axis(panels[0, 0].yaxis)
        _frame(panels[0, 0], middle, what.logarithmic, bar)
        log_axis(panels[0, 1].xaxis)
        for row in panels:
            row[0].set_ylabel(what.label)
        for axes, label in zip(panels[-1], ABSCISSAE.values(), strict=True):
            axes.set_xlabel(label)
        for axes, drawn in zip(panels.flat, lines, strict=True):
            if bar is not None:
                axes.axhline(bar, color=GREY, linestyle=":", linewidth=1.5)
                axes.annotate("bias model", (0.01, bar), (0, 2), xycoords=("axes fraction", "data"), fontsize=10,
                              textcoords="offset points", va="bottom", in_layout=False,
                              path_effects=halo())  # fmt: skip
            label_ends(axes, drawn)
        describe(panels[0, 0], _sentence(middle, what))
    return figure


def _summary(table: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return the middle of each solver and epoch over folds and seeds, with the range and the mean time."""
    shown = table[table["epoch"] > 0]
    if not QUANTITIES[quantity].logarithmic:
        level = shown.groupby(["fold", "seed"])[quantity].transform("mean")
        shown = shown.assign(**{quantity: shown[quantity] - level + shown[quantity].mean()})
    runs = shown.groupby(["solver", "epoch"], sort=False)
    middle = runs[quantity].median() if QUANTITIES[quantity].logarithmic else runs[quantity].mean()
    spread = runs[quantity].agg(["min", "max"]).assign(middle=middle)
    return spread.assign(seconds=runs["seconds"].mean(), runs=runs.size()).reset_index()


def _draw(axes: Axes, middle: pd.DataFrame, names: list[str], by: str) -> list[Line2D]:
    lines = []
    for name in names:
        run, look = middle[middle["solver"] == name], solver_look(name)
        if (run["runs"] > 1).any():
            axes.fill_between(run[by], run["min"], run["max"], color=look["color"], alpha=0.18, linewidth=0)
        (line,) = axes.plot(run[by], run["middle"], label=name, **look)
        axes.plot(run[by].iloc[-1:], run["middle"].iloc[-1:], "o", color=look["color"], markersize=4)
        lines.append(line)
    return lines


def _frame(axes: Axes, middle: pd.DataFrame, logarithmic: bool, bar: float | None) -> None:
    """Show the range in which solvers differ; the first epochs may lie far above it."""
    if logarithmic:
        positive = middle["middle"][middle["middle"] > 0]
        if len(positive):
            axes.set_ylim(0.7 * positive.min(), 1.3 * positive.max())
        return
    low = min(middle["middle"].min(), np.inf if bar is None else bar)  # the bar may lie below all solvers
    high = max(bar or 0.0, middle.groupby("solver")["middle"].min().max(), 1.02 * low)
    axes.set_ylim(low - 0.15 * (high - low), high + 0.4 * (high - low))


def _sentence(middle: pd.DataFrame, what: Quantity) -> str:
    ends = middle.groupby("solver", sort=False).last()
    best, worst = ends["middle"].idxmin(), ends["middle"].idxmax()
    number = "{:.1e}" if what.logarithmic else "{:.4f}"
    return (
        f"After {middle['epoch'].max()} epochs, {best} ends lowest of {len(ends)} solvers, at "
        f"{number.format(ends['middle'].min())} ({what.label}), {worst} highest, at "
        f"{number.format(ends['middle'].max())}; {ends['runs'].max()} runs each."
    )


def plot_targets(table: pd.DataFrame, *, axes: Axes | None = None) -> Figure:
    """Draw how long each solver takes to come near the reference.

    Parameters
    ----------
    table : DataFrame
        One row per solver, fold, seed and epoch, with the column excess.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
        Solver time until the objective is within 10 % and within 1 % of the reference: a small dot per run, a large one
        for the median. A solver that some run of did not get there says how many did.
    """
    names = list(table["solver"].unique())
    with style():
        axes = axes_of(axes, 8.5, 1.6 + 0.42 * len(names))
        said = []
        for number, near in enumerate(NEAR):
            times = time_to(table, table["excess"] <= near)
            for place, name in enumerate(names):
                own, look = times[times["solver"] == name], solver_look(name)
                level = place + 0.36 * (number - 0.5)
                got = own["seconds"].dropna()
                axes.plot(got, np.full(len(got), level), "o", color=look["color"], markersize=3, alpha=0.5)
                if len(got) > len(own) / 2:
                    axes.plot(got.median(), level, "o" if number == 0 else "D", color=look["color"], markersize=8)
            arrived = times.dropna().groupby("solver")["seconds"].median()
            if len(arrived):
                said.append(f"within {near:.0%} first comes {arrived.idxmin()}, after {arrived.min():.2g} s")
            else:
                said.append(f"within {near:.0%} comes none")
        log_axis(axes.xaxis)
        axes.set_yticks(range(len(names)), [_arrived(times, name) for name in names])  # times to the last target
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.grid(False, axis="y")
        dots, diamonds = (f"{plain(100 * near)} %" for near in NEAR)
        axes.set(title="Time until the objective is near that of a much longer run",
                 xlabel=f"{ABSCISSAE['seconds']} (dots: within {dots}, diamonds: within {diamonds})")  # fmt: skip
        describe(axes, f"Of {len(names)} solvers, {' and '.join(said)}.")
    return figure_of(axes)


def _arrived(times: pd.DataFrame, name: str) -> str:
    """Name a solver, with what share of its runs came within the last target if not all did."""
    own = times.loc[times["solver"] == name, "seconds"]
    return name if own.notna().all() else f"{name} ({own.notna().sum()} of {len(own)} within {plain(100 * NEAR[-1])} %)"
