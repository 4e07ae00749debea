"""Figures of predictions: how far off they are, for whom, whether they mean what they say, what lists hold, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.figure import Figure

from nmf_scratch.evaluation.baselines import BiasModel
from nmf_scratch.evaluation.diagnosis import (
    calibration_bins,
    errors_by_count,
    evaluate_predictions,
    exposure,
    head_size,
    residuals_by_rating,
    typical_pair,
)
from nmf_scratch.plots.predictions.calibration import plot_calibration
from nmf_scratch.plots.predictions.explanation import plot_explanation, waterfall_steps
from nmf_scratch.plots.predictions.groups import plot_errors_by_count
from nmf_scratch.plots.predictions.lists import plot_exposure
from nmf_scratch.plots.predictions.residuals import plot_residuals
from nmf_scratch.plots.style import new_figure, style

if TYPE_CHECKING:
    from nmf_scratch.fitted.explanation import Explanation

__all__ = [
    "plot_calibration",
    "plot_errors",
    "plot_errors_by_count",
    "plot_explanation",
    "plot_exposure",
    "plot_groups",
    "plot_residuals",
    "prediction_figures",
    "waterfall_steps",
]


def prediction_figures(
    model: Any, train: pd.DataFrame, test: pd.DataFrame, *, explanation: Explanation | None = None, n: int = 10
) -> Iterator[tuple[str, Figure]]:
    """Draw how good predictions are for ratings that were held out, one figure after the other.

    Parameters
    ----------
    model : NMF
        Fitted to `train`; `nmf_scratch.evaluation.diagnosis.hold_out` makes all three from a model.
    train, test : DataFrame
        Columns user, item, rating.
    explanation : Explanation, optional
        The score to explain; by default that of a typical user's first recommendation.
    n : int
        Length of the lists.

    Yields
    ------
    name : str
        Of the file, without suffix.
    figure : Figure

    Raises
    ------
    InputError
        If the model was trained on one of the test ratings.
    """
    table = evaluate_predictions(model, train, test)
    yield "prediction-errors", plot_errors(table)
    yield "prediction-groups", plot_groups(table)
    bias_model = BiasModel().fit(train[["user", "item"]], train["rating"])
    exposures = {
        name: exposure(lister, train, n) for name, lister in {"NMF": model, "the bias model": bias_model}.items()
    }
    yield "prediction-lists", plot_exposure(exposures, head_size(exposures["NMF"].rated), n)
    shown = model.explain(*typical_pair(model)) if explanation is None else explanation
    scale = model.rating_scale_ if model.fitted_.predicts_ratings else None
    yield "prediction-explanation", plot_explanation(shown, rating_scale=scale)


def plot_errors(table: pd.DataFrame) -> Figure:
    """Draw residuals by true rating and, beside them, calibration, from what `evaluate_predictions` returns."""
    with style():
        figure = new_figure(12.0, 5.0, f"How far off predictions are, on {len(table):,} held-out ratings")
        left, right = figure.subplots(1, 2)
        plot_residuals(residuals_by_rating(table), axes=left)
        plot_calibration(calibration_bins(table), axes=right)
    return figure


def plot_groups(table: pd.DataFrame) -> Figure:
    """Draw the error by popularity and, beside it, by activity, from what `evaluate_predictions` returns."""
    with style():
        figure = new_figure(12.0, 4.8, f"For whom, and for what, predictions are good: {len(table):,} held-out ratings")
        left, right = figure.subplots(1, 2, sharey=True)
        plot_errors_by_count(errors_by_count(table, "item"), "item", axes=left)
        plot_errors_by_count(errors_by_count(table, "user"), "user", axes=right)
        right.set_ylabel("")
    return figure
