"""The section on quality: how far predictions are from ratings that the model has not seen, or how good lists are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nmf_scratch.evaluation import BIAS_MODEL, POPULARITY
from nmf_scratch.evaluation.diagnosis import HeldOut
from nmf_scratch.evaluation.metrics import mae, rmse
from nmf_scratch.plots.predictions import prediction_figures
from nmf_scratch.report.markup import Column, Html, Section, joined, paragraphs, table
from nmf_scratch.report.material import Material
from nmf_scratch.report.pictures import figures

SCORES = (
    Column("model"),
    Column("RMSE", "{:.4f}"),
    Column("± (RMSE)", "{:.4f}"),
    Column("MAE", "{:.4f}"),
    Column("± (MAE)", "{:.4f}"),
    Column("fit, seconds", "{:.2f}"),
)
NUMBERS = ("rmse", "rmse_standard_error", "mae", "mae_standard_error", "median_fit_seconds")
Numbers = NDArray[np.float64]
CAPTION = "Cross-validated errors"

LISTS = {
    "ndcg": Column("nDCG", "{:.4f}"),
    "recall": Column("recall", "{:.4f}"),
    "precision": Column("precision", "{:.4f}"),
    "hit_rate": Column("hit rate", "{:.3f}"),
    "coverage": Column("items listed, %", "{:.1f}"),
}
LEGEND = (
    "nDCG: 1 where every list begins with all that was held out. Recall: how much of that is in the list. Precision: "
    "how much of the list is of that. Hit rate: users with at least one such item. Higher is better."
)


def section(material: Material) -> Section:
    """Tell the scores of the run, and show a fit that held ratings out."""
    if not material.model.predicts_ratings_:
        said = listed_well(material)
        return Section("lists", "How good its lists are", said, joined(paragraphs(said), lists(material)))
    said = scored(material) or held_out_error(material)
    held = material.held_out
    content = joined(
        paragraphs(scored(material)),
        scores(material),
        paragraphs(held_out_error(material)),
        figures("predictions", lambda: prediction_figures(*held)) if held else None,
    )
    return Section("predictions", "How well it predicts", said, content)


def scored(material: Material) -> str:
    """Say the cross-validated error, and how it compares with the bias model's."""
    means = material.mean_scores
    if material.name not in means:
        return "The model was not cross-validated when it was trained, so there are no scores over several folds."
    own = means[material.name]
    text = (
        f"In cross-validation with {material.n_folds} folds, predictions of ratings that the model had not seen were "
        f"off by {own['rmse']:.4f} ± {own['rmse_standard_error']:.4f} (RMSE {material.scale}) and by "
        f"{own['mae']:.4f} on average (MAE)."
    )
    if BIAS_MODEL not in means:
        return text
    bar = means[BIAS_MODEL]["rmse"]
    change = 100 * (1 - own["rmse"] / bar)
    return f"{text} That RMSE is {abs(change):.1f} % {'below' if change >= 0 else 'above'} the bias model's, {bar:.4f}."


def held_out_error(material: Material) -> str:
    """Say the error of the fit that the figures show."""
    if material.held_out is None:
        return ""
    predicted, truth = predictions(material.held_out)
    n_train, n_test = len(material.held_out.train), len(material.held_out.test)
    return (
        f"What follows shows one fit to {n_train:,} ratings and its predictions of {n_test:,} others: "
        f"RMSE {rmse(truth, predicted):.4f}, MAE {mae(truth, predicted):.4f}."
    )


def listed_well(material: Material) -> str:
    """Say how much of what was held out the lists have, beside lists of what is most popular."""
    means = material.mean_scores
    if material.name not in means:
        return "The model was not cross-validated when it was trained, so there are no scores over several folds."
    own = means[material.name]["ndcg"]
    text = f"In cross-validation with {material.n_folds} folds, its lists had an nDCG of {own:.4f}"
    return f"{text}, where lists of the most popular items had {means[POPULARITY]['ndcg']:.4f}."


def lists(material: Material) -> Html | None:
    """Return the table of scores of lists, the best model first."""
    if not material.mean_scores:
        return None
    means = sorted(material.mean_scores.items(), key=lambda pair: -pair[1]["ndcg"])
    rows = ([name, *(row[key] * (100 if "%" in column.heading else 1) for key, column in LISTS.items())]
            for name, row in means)  # fmt: skip
    columns = (Column("model"), *LISTS.values())
    return joined(table("Cross-validated lists", columns, rows, sorted_by=("nDCG", "descending")), paragraphs(LEGEND))


def predictions(held: HeldOut) -> tuple[Numbers, Numbers]:
    """Return predicted and true ratings of the part that was held out."""
    return held.model.predict(held.test[["user", "item"]]), held.test["rating"].to_numpy(np.float64)


def scores(material: Material) -> Html | None:
    """Return the table of models, the best one first."""
    if not material.mean_scores:
        return None
    means = sorted(material.mean_scores.items(), key=lambda pair: pair[1]["rmse"])
    rows = ([name, *(row[number] for number in NUMBERS)] for name, row in means)
    return joined(
        table(CAPTION, SCORES, rows, sorted_by=("RMSE", "ascending")),
        paragraphs("±: standard error over the folds. Lower is better. Seconds are the median over the folds."),
    )
