"""The section on the factors: what each of them is about, and how much of the predictions it is."""

from __future__ import annotations

import pandas as pd

from nmf_scratch.fitted.factor_statistics import factor_summary
from nmf_scratch.plots.factors import factor_figures
from nmf_scratch.report.markup import Column, Html, Section, joined, paragraphs, table
from nmf_scratch.report.material import Material
from nmf_scratch.report.pictures import figures

TITLES = 5
"""Titles that the table names for each factor."""

NUMBERS = {
    "share": Column("share, %", "{:.1f}"),
    "items": Column("items, %", "{:.0f}"),
    "users": Column("users, %", "{:.0f}"),
    "sparsity": Column("sparsity", "{:.2f}"),
}
LEGEND = (
    "Share: of what all factors together add to the predictions of the training ratings. Items, users: those with at "
    "least a tenth of the factor's largest weight. Sparsity: 0 where all items weigh the same, 1 where a single one "
    "has all the weight. Genres and titles are those that the factor favours beyond their share."
)


def section(material: Material) -> Section:
    """Show what the factors are about."""
    summary = factor_summary(material.model.fitted_, TITLES)
    said = leading(summary)
    content = joined(
        paragraphs(said, without_genres(summary)),
        figures("factors", lambda: factor_figures(material.model)),
        overview(summary),
        paragraphs(LEGEND),
    )
    return Section("factors", "The factors", said, content)


def without_genres(summary: pd.DataFrame) -> str:
    """Say that no genres are known, where it is so."""
    return "" if summary["genres"].any() else "No genres are known, so factors are told by their titles alone."


def leading(summary: pd.DataFrame) -> str:
    """Say which factor is the weightiest, and how many make up half of what all add."""
    first = summary.iloc[0]
    about = f"{first['genres']}: " if first["genres"] else ""
    half = int((summary["share"].cumsum() < 0.5).sum()) + 1
    return (
        f"The weightiest of {len(summary)} factors, number {first['factor']} "
        f"({about}{'; '.join(first['titles'][:3])}), makes up {100 * first['share']:.1f} % of what they add to "
        f"predictions; half of it comes from {half} of them."
    )


def overview(summary: pd.DataFrame) -> Html:
    """Return the table of factors, the weightiest first."""
    genres = [Column("genres")] if summary["genres"].any() else []
    columns = (Column("factor", "{:.0f}"), *NUMBERS.values(), *genres, Column("typical titles"))
    rows = (
        [row["factor"], *(row[name] * (100 if "%" in column.heading else 1) for name, column in NUMBERS.items()),
         *(row["genres"] for _ in genres), "; ".join(row["titles"])]
        for row in summary.to_dict("records")
    )  # fmt: skip
    return table("Factors", columns, rows, sorted_by=("share, %", "descending"))
