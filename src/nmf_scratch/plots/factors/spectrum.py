"""How strong is each factor, and does the strength explain the ratings? A spectrum, and what comes of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from nmf_scratch.plots.labels import place_labels
from nmf_scratch.plots.style import BLUE, GREY, ORANGE, PERCENT, axes_of, describe, figure_of, ink, style

NAMED = 15
"""Factors that a dot is numbered for: those that explain most."""


def plot_spectrum(
    strengths: pd.DataFrame, singular_values: ArrayLike, *, unit: str = "ratings", axes: Axes | None = None
) -> Figure:
    """Draw the strengths of factors, sorted, and the singular values of their product.

    Parameters
    ----------
    strengths : DataFrame
        What `nmf_scratch.fitted.factor_statistics.factor_strengths` returns.
    singular_values : array_like, shape (k,)
        What `nmf_scratch.fitted.factor_statistics.singular_values` returns.
    unit : str
        Of what the factors predict.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
        A logarithmic axis; the biases, which are no factors, are level lines.
    """
    factors, biases = _apart(strengths)
    values = np.asarray(singular_values, dtype=np.float64)
    rank = np.arange(1, len(factors) + 1)
    with style():
        axes = axes_of(axes, 6.5, 4.2)
        positive = values > 1e-6 * values.max(initial=0)
        axes.plot(rank[positive], values[positive], "s--", color=GREY, markersize=4, linewidth=1.2,
                  label="singular values of WHᵀ")  # fmt: skip
        alive = factors["strength"] > 0
        axes.plot(rank[alive], factors["strength"][alive], "o-", color=BLUE, markersize=5, label="factors, ‖w‖ ‖h‖")
        for look, part, strength in zip(("-", ":"), biases["part"], biases["strength"], strict=False):
            axes.axhline(float(strength), color=ORANGE, linestyle=look, linewidth=1.8, label=part)
        if alive.any():
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
            axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(title="Strength", xlabel="rank", ylabel=f"root mean square over all pairs,\nunits of the {unit}")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, fontsize=11)
        describe(axes, _strength_sentence(factors, biases, values))
    return figure_of(axes)


def plot_explained(strengths: pd.DataFrame, *, axes: Axes | None = None) -> Figure:
    """Draw the share of the variance that each factor explains against its share of the squared strengths.

    Parameters
    ----------
    strengths : DataFrame
        What `nmf_scratch.fitted.factor_statistics.factor_strengths` returns.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
        One dot per factor. On the dashed line a factor explains as it is strong; biases have no dot.
    """
    factors, biases = _apart(strengths)
    squares = factors["strength"] ** 2 / ((factors["strength"] ** 2).sum() or 1.0)
    total = factors["explained"].sum()
    with style():
        axes = axes_of(axes, 6.0, 4.2)
        reach = 1.15 * float(squares.max()) or 1.0
        axes.plot([0, reach], [0, reach * total], "--", color=GREY, linewidth=1.5, label="explains as it is strong")
        axes.plot(squares, factors["explained"], "o", color=BLUE, markersize=6)
        axes.axhline(0, color=ink(), linewidth=0.8)
        axes.margins(y=0.15)
        axes.set_xlim(0, reach)
        axes.xaxis.set_major_formatter(PERCENT)
        axes.yaxis.set_major_formatter(PERCENT)
        axes.set(
            title="Explained", xlabel="share of the factors' squared strength", ylabel="share of variance explained"
        )
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), fontsize=11)
        named = factors.assign(squares=squares).nlargest(NAMED, "explained")
        numbers = [part.split()[-1] for part in named["part"]]
        place_labels(axes, named[["squares", "explained"]].to_numpy(), numbers, size=10)
        describe(axes, _explained_sentence(factors, biases))
    return figure_of(axes)


def _apart(strengths: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part factors from biases."""
    is_factor = strengths["part"].str.startswith("factor ")
    return strengths[is_factor].reset_index(drop=True), strengths[~is_factor].reset_index(drop=True)


def _strength_sentence(factors: pd.DataFrame, biases: pd.DataFrame, values: np.ndarray) -> str:
    first, last = factors.iloc[0], factors.iloc[-1]
    overlap = 1 - float((factors["strength"] ** 2).sum()) / (float(np.sum(values**2)) or 1.0)
    beside = "".join(
        f", the {part} {strength:.2f}" for part, strength in zip(biases["part"], biases["strength"], strict=True)
    )
    return (
        f"The strongest of {len(factors)} factors, {first['part']}, has a strength of {first['strength']:.2f}, the "
        f"weakest, {last['part']}, {last['strength']:.3f}{beside}; {overlap:.0%} of the square of the product is "
        "overlap of factors."
    )


def _explained_sentence(factors: pd.DataFrame, biases: pd.DataFrame) -> str:
    best = factors.iloc[int(factors["explained"].argmax())]
    beside = f"; biases explain {biases['explained'].sum():.0%}" if len(biases) else ""
    return (
        f"In the ratings trained on, the factors explain {factors['explained'].sum():.0%} of the variance, "
        f"{best['part']} alone {best['explained']:.1%}{beside}."
    )
