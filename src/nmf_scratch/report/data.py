"""The section on the data: how much is known, how unevenly it is spread, and what it looks like."""

from __future__ import annotations

from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.statistics import Statistics, describe
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
        paragraphs(size, spread(numbers), lacking(dataset)),
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


def lacking(dataset: Dataset) -> str:
    """Say what the data does not hold: figures and columns about it are left out."""
    items, users = (() if table is None else table.columns for table in (dataset.items, dataset.users))
    found = {
        "titles": "title" in items,
        "genres": "genres" in items,
        "who the users are": len(users) > 1,
        "when a rating was given": "timestamp" in dataset.ratings,
    }
    missing = [what for what, there in found.items() if not there]
    return f"Not known, and therefore left out: {listed(missing)}." if missing else ""


def terms(dataset: Dataset) -> Html | None:
    """Say where the data comes from and under which terms."""
    known = {"Citation": dataset.citation, "Licence": dataset.licence}
    rows = [element("p", element("b", f"{name}: "), text) for name, text in known.items() if text]
    return joined(*rows) if rows else None
