"""The section on the model: what was minimised, with which settings, and how training went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from nmf_scratch.evaluation import BIAS_MODEL
from nmf_scratch.plots.convergence import plot_convergence
from nmf_scratch.report.markup import Column, Html, Section, element, facts, joined, paragraphs, table
from nmf_scratch.report.material import Material
from nmf_scratch.report.pictures import figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

STOPPED = {
    "max_iter": "all epochs that were asked for",
    "converged": "as the objective hardly fell any more",
    "kkt": "as the KKT residual was small enough",
    "time": "as the time allowed was used up",
    "no_improvement": "as the error on held-out ratings no longer fell",
    "callback": "as a callback asked for it",
    "interrupted": "by Ctrl-C",
    "diverged": "as the objective exploded",
}
"""Why training ended, after "it ended after 12 epochs, "."""

SHOWN = 60
"""Epochs that the table holds; of longer runs, every second, third, … and the last."""

EPOCHS = (
    Column("epoch", "{:.0f}"),
    Column("seconds", "{:.3f}"),
    Column("objective", "{:.6g}"),
    Column("training RMSE", "{:.4f}"),
    Column("held-out RMSE", "{:.4f}"),
)


def section(material: Material) -> Section:
    """Tell settings and convergence."""
    model, factors = material.model, material.model.fitted_.factors
    what = (
        f"The model is a non-negative factorisation with {factors.n_components} factors"
        f"{' and a bias per user and item' if factors.biases else ''}, fitted by the solver {model.solver_}."
    )
    content = joined(
        paragraphs(what, course(material), held_out_course(material)),
        figures("training", lambda: draw(material)),
        facts("Settings", settings(material)),
        element("details", element("summary", "Every epoch in numbers"), epochs(material)),
    )
    return Section("training", "The model and its training", f"{what} {course(material)}", content)


def course(material: Material) -> str:
    """Say how long training took, how far the objective fell, and why it ended."""
    history = material.model.history_.to_frame()
    first, last = history.iloc[0], history.iloc[-1]
    return (
        f"Training took {last['seconds']:.2f} seconds of solver time and brought the objective down to "
        f"{100 * last['objective'] / first['objective']:.3g} % of its start; it ended after {last['epoch']:.0f} "
        f"epochs, {STOPPED.get(material.model.stop_reason_, material.model.stop_reason_)}."
    )


def held_out_course(material: Material) -> str:
    """Say where the error on held-out ratings was lowest."""
    if material.validation is None:
        if not material.model.predicts_ratings_:
            return "It puts lists in order and predicts no ratings, so there is no error on held-out ones."
        return "No fit with ratings held out was kept with this model, so there is no held-out error to show by epoch."
    errors = material.validation.to_frame().set_index("epoch")["valid_rmse"].dropna()
    if errors.empty:
        return ""
    return (
        f"A second fit held a part of the ratings out. Its error on them (RMSE {material.scale}, unclipped) was "
        f"lowest, {errors.min():.4f}, after {errors.idxmin()} epochs, and {errors.iloc[-1]:.4f} at the end."
    )


def draw(material: Material) -> Iterator[tuple[str, Figure]]:
    """Draw objective and error by epoch."""
    bar = material.mean_scores.get(BIAS_MODEL, {}).get("rmse")
    title = f"{material.name}, on {material.dataset.name}"
    model = material.model
    yield (
        "convergence",
        plot_convergence(
            model.history_, title=title, validation=material.validation, bar=bar, ranking=not model.predicts_ratings_
        ),
    )


def settings(material: Material) -> list[tuple[str, str]]:
    """Return names and values of the model's parameters, "auto" resolved."""
    model = material.model
    given = {name: value for name, value in model.get_params().items() if name not in ("callbacks", "verbose")}
    resolved = {name: getattr(model, f"{name}_") for name in ("alpha", "alpha_bias", "max_iter")}
    shown = {**given, **resolved, "random_state": model.key_}
    return [(name, f"{value} (auto)" if given[name] == "auto" else str(value)) for name, value in shown.items()]


def epochs(material: Material) -> Html:
    """Return the history as a table, thinned where it is long."""
    frame = material.model.history_.to_frame()
    if material.validation is not None:
        held_out = material.validation.to_frame().set_index("epoch")["valid_rmse"]
        frame["valid_rmse"] = frame["epoch"].map(held_out)
    step = -(-len(frame) // SHOWN)
    thinned = pd.concat([frame.iloc[:-1:step], frame.iloc[-1:]])
    columns = ["epoch", "seconds", "objective", "train_rmse", "valid_rmse"]
    return table("Epochs", EPOCHS, thinned[columns].itertuples(index=False), sorted_by=("epoch", "ascending"))
