"""The section on the data: how much is known, how unevenly it is spread, and what it looks like."""

from __future__ import annotations

from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.statistics import Statistics, describe, lacking
from nmf_scratch.report.markup import Html, Section, element, facts, joined, listed, paragraphs
from nmf_scratch.report.material import Material


def section(material: Material) -> Section:
    """Describe the data set in numbers and figures."""
    dataset = material.dataset
    numbers = describe(dataset)
    size = (
        f"{dataset.name} holds {numbers.n_ratings:,} ratings of {numbers.n_items:,} items by {numbers.n_users:,} "
        f"users: {100 * numbers.density:.3g} % of all pairs are known."
    )
    content = joined(
        paragraphs(size, spread(numbers), left_out(dataset)),
        facts("The data in numbers", numbers.rows()),
        terms(dataset),
    )
    return Section("data", "The data", size, content)


def spread(numbers: Statistics) -> str:
    """Say how ratings are spread over values and over items."""
    value, count = max(numbers.histogram.items(), key=lambda pair: pair[1])
    return (
        f"The mean rating is {numbers.mean:.2f}, and the most frequent one is {value:g} "
        f"({100 * count / numbers.n_ratings:.0f} % of all). The most rated tenth of the items holds "
        f"{100 * numbers.top_10_percent:.0f} % of the ratings."
    )


def left_out(dataset: Dataset) -> str:
    """Say what the data does not hold: figures and columns about it are left out."""
    missing = lacking(dataset)
    return f"Not known, and therefore left out: {listed(missing)}." if missing else ""


def terms(dataset: Dataset) -> Html | None:
    """Say where the data comes from and under which terms."""
    known = {"Citation": dataset.citation, "Licence": dataset.licence}
    rows = [element("p", element("b", f"{name}: "), text) for name, text in known.items() if text]
    return joined(*rows) if rows else None
