"""One picture of a fitted model, by name: what `NMF.plot` shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from nmf_scratch._check import InputError, check_choice
from nmf_scratch.fitted.factor_statistics import (
    factor_summary,
    factor_usage,
    genre_lifts,
    item_map,
    leading_items,
    user_map,
)
from nmf_scratch.plots.convergence import plot_convergence
from nmf_scratch.plots.factors import (
    NAMED,
    plot_factor_titles,
    plot_genre_lifts,
    plot_map,
    plot_strengths,
    plot_usage,
)


def plot_model(model: Any, what: str) -> Figure:
    """Draw one aspect of a fitted model.

    Parameters
    ----------
    model : NMF
        Fitted.
    what : str
        A name in `PICTURES`.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If there is no such picture, or the model does not know what it needs.
    """
    check_choice("what", what, PICTURES)
    return PICTURES[what](model)


def _convergence(model: Any) -> Figure:
    title = f"NMF, {model.solver_}, k = {model.fitted_.factors.n_components}"
    return plot_convergence(model.history_, title=title, ranking=not model.predicts_ratings_)


def _genres(model: Any) -> Figure:
    lifts = genre_lifts(model.fitted_)
    if not len(lifts):
        raise InputError("what='genres' needs genres of the items: fit a Dataset whose items have the column genres")
    return plot_genre_lifts(lifts)


def _titles(model: Any) -> Figure:
    return plot_factor_titles(factor_summary(model.fitted_), leading_items(model.fitted_))


def _usage(model: Any) -> Figure:
    return plot_usage(factor_usage(model.fitted_))


def _items(model: Any) -> Figure:
    return plot_map(*item_map(model.fitted_), what="items", n_named=NAMED)


def _users(model: Any) -> Figure:
    return plot_map(*user_map(model.fitted_), what="users")


PICTURES: dict[str, Callable[[Any], Figure]] = {
    "convergence": _convergence,
    "titles": _titles,
    "genres": _genres,
    "strengths": plot_strengths,
    "usage": _usage,
    "items": _items,
    "users": _users,
}
"""What can be seen of a model alone."""
