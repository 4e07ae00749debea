"""Figures of factors: what they are about, how strong and how sparse they are, whether another seed finds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from nmf_scratch.fitted.factor_statistics import (
    factor_strengths,
    factor_summary,
    factor_usage,
    genre_lifts,
    item_map,
    leading_items,
    nearest_factors,
    singular_values,
    user_map,
)
from nmf_scratch.plots.factors.genres import plot_genre_lifts
from nmf_scratch.plots.factors.maps import plot_map
from nmf_scratch.plots.factors.spectrum import plot_explained, plot_spectrum
from nmf_scratch.plots.factors.stability import plot_stability
from nmf_scratch.plots.factors.titles import plot_factor_titles
from nmf_scratch.plots.factors.usage import plot_usage
from nmf_scratch.plots.style import new_figure, style

__all__ = [
    "factor_figures",
    "plot_explained",
    "plot_factor_titles",
    "plot_genre_lifts",
    "plot_map",
    "plot_spectrum",
    "plot_stability",
    "plot_strengths",
    "plot_usage",
]

NAMED = 30
"""The most rated items, whose titles are tried for a place on the map."""


def factor_figures(
    model: Any, *, stability: pd.DataFrame | None = None, n_titles: int = 5
) -> Iterator[tuple[str, Figure]]:
    """Draw what there is to see of a model's factors, one figure after the other.

    Parameters
    ----------
    model : NMF
        A fitted model.
    stability : DataFrame, optional
        What `nmf_scratch.fitted.factor_statistics.stability` returns, which fits the model anew for each seed; without
        it, its figure is left out.
    n_titles : int
        Titles for each factor.

    Yields
    ------
    name : str
        Of the file, without suffix.
    figure : Figure
        What needs genres is left out where none are known.
    """
    lifts = genre_lifts(model.fitted_)
    if len(lifts):
        yield "factor-genres", plot_genre_lifts(lifts)
    yield "factor-titles", plot_factor_titles(factor_summary(model.fitted_), leading_items(model.fitted_, n_titles))
    yield "factor-strengths", plot_strengths(model)
    yield "factor-usage", plot_usage(factor_usage(model.fitted_))
    items, users = item_map(model.fitted_), user_map(model.fitted_)
    if len(items.table) and len(users.table):  # else all factors are zero
        yield "factor-items", plot_map(*items, what="items", n_named=NAMED)
        yield "factor-users", plot_map(*users, what="users")
    if stability is not None:
        yield "factor-stability", plot_stability(stability, nearest_factors(model.fitted_))


def plot_strengths(model: Any) -> Figure:
    """Draw how strong the factors of a fitted model are, and beside it what they explain, if it predicts ratings."""
    strengths = factor_strengths(model.fitted_)
    if not model.predicts_ratings_:
        return plot_spectrum(strengths, singular_values(model.fitted_), unit="scores")
    with style():
        figure = new_figure(11.5, 4.4, "How strong each factor is, and what it explains of the ratings trained on")
        left, right = figure.subplots(1, 2)
        plot_spectrum(strengths, singular_values(model.fitted_), axes=left)
        plot_explained(strengths, axes=right)
    return figure
