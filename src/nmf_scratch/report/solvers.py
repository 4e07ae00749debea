"""The section that sets the solvers side by side: one problem, one start, the same folds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from nmf_scratch.evaluation.comparison import last_epochs
from nmf_scratch.plots.comparison import comparison_figures
from nmf_scratch.report.markup import Column, Html, Section, element, joined, paragraphs, table
from nmf_scratch.report.material import Comparison, Material
from nmf_scratch.report.pictures import figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

LAST = {
    "objective": Column("objective", "{:.0f}"),
    "train_rmse": Column("training RMSE", "{:.4f}"),
    "test_rmse": Column("test RMSE", "{:.4f}"),
    "kkt": Column("KKT residual", "{:.1e}"),
    "epoch": Column("epochs", "{:.0f}"),
    "seconds": Column("seconds", "{:.2f}"),
    "sparsity": Column("zeros, %", "{:.0f}"),
}


def section(material: Material) -> Section:
    """Compare solvers, or say how to."""
    head = "solvers", "Solvers compared"
    comparison = material.comparison
    if comparison is None:
        absent = "Solvers were not compared on these ratings."
        ranking = "" if material.model.predicts_ratings_ else "--ranking "
        code = element("code", f"nmf-scratch compare {ranking}--dataset {material.dataset.name}")
        return Section(*head, "", joined(element("p", absent, " To see them side by side, run ", code, " first.")))
    said = verdict(last_epochs(comparison.table), material)
    content = joined(
        paragraphs(how(comparison), said),
        figures("solvers", lambda: draw(material, comparison)),
        last(comparison.table),
        paragraphs("Zeros: share of the latent entries that are zero for all purposes. Seconds: solver time alone."),
    )
    return Section(*head, said, content)


def how(comparison: Comparison) -> str:
    """Say what was held fixed."""
    n_folds, n_epochs = comparison.table["fold"].nunique(), comparison.table["epoch"].max()
    folds = "one fold" if n_folds == 1 else f"{n_folds} folds"
    caution = " This is a brief look: longer runs may end otherwise." if comparison.brief else ""
    return (
        f"All solvers minimised the same objective on {folds}, from the same start, for {n_epochs} epochs; settings of "
        f"their own, such as step sizes, are their defaults.{caution}"
    )


def verdict(means: pd.DataFrame, material: Material) -> str:
    """Name the solvers with the lowest test error, the lowest objective and the shortest time."""
    test, objective, fast = means["test_rmse"].idxmin(), means["objective"].idxmin(), means["seconds"].idxmin()
    return (
        f"Of {len(means)} solvers, {test} ended with the lowest error on held-out ratings (RMSE "
        f"{means['test_rmse'].min():.4f} {material.scale}), {objective} with the lowest objective, and {fast} took the "
        f"least time ({means['seconds'].min():.2f} seconds)."
    )


def draw(material: Material, comparison: Comparison) -> Iterator[tuple[str, Figure]]:
    """Draw objective and test error by epoch and by time, and the time to target."""
    quantities = "excess", "test_rmse"
    yield from comparison_figures(
        comparison.table, title=material.dataset.name, bar=comparison.bar, quantities=quantities
    )


def last(epochs: pd.DataFrame) -> Html:
    """Return the table of last epochs, the lowest test error first."""
    means = last_epochs(epochs).sort_values("test_rmse")
    means["sparsity"] *= 100
    rows = ([solver, *numbers] for solver, numbers in zip(means.index, means[list(LAST)].to_numpy(), strict=True))
    return table("Solvers, last epoch", (Column("solver"), *LAST.values()), rows, sorted_by=("test RMSE", "ascending"))
