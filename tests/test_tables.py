"""Tables that are written into pages by docs/_tables.py say what the registry and the stored measurements say."""

import re

import pytest
from _tables import DOCS, PLACE, TABLES, errors, filled, least, seconds_per_epoch, solver_table

from nmf_scratch.solvers import SOLVERS

PAGES = {path: path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
WITH_TABLES = [path for path, text in PAGES.items() if "<!-- table:" in text]


@pytest.mark.parametrize("path", WITH_TABLES, ids=lambda path: path.name)
def test_a_page_shows_its_tables_as_they_are(path):
    assert filled(PAGES[path]) == PAGES[path], "run: python docs/_tables.py"


def test_every_table_stands_on_a_page():
    assert {place[1] for text in PAGES.values() for place in PLACE.findall(text)} == set(TABLES)


def test_a_stale_table_is_found_and_renewed():
    stale = "Before\n\n<!-- table: solvers -->\nold\n<!-- end of table -->\n\nAfter\n"
    renewed = filled(stale)
    assert "old" not in renewed
    assert renewed.startswith("Before\n\n<!-- table: solvers -->\n\n| solver |")
    assert renewed.endswith("|\n\n<!-- end of table -->\n\nAfter\n")
    assert filled(renewed) == renewed


def test_biases_are_as_much_of_the_way_as_the_problem_says():
    """The page says "more than four fifths" of the way from the mean to the best factorisation."""
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    mean, biases = (
        float(re.search(rf"^\| {name} \| ([\d.]+)", readme, re.M)[1]) for name in ("global mean", "bias model")
    )
    assert "more than four fifths of it" in PAGES[DOCS / "learn" / "the-problem.md"]
    assert 0.8 < (mean - biases) / (mean - min(errors().values())) < 0.9


def test_an_unknown_table_is_an_error():
    with pytest.raises(KeyError, match="nothing"):
        filled("<!-- table: nothing -->\n<!-- end of table -->\n")


def test_the_table_of_solvers_has_all_of_them_with_what_was_measured():
    assert set(errors()) == set(seconds_per_epoch()) == set(SOLVERS)
    lines = solver_table().splitlines()[2:]
    for line, (name, solver) in zip(lines, SOLVERS.items(), strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[0].startswith(f"[`{name}`]")
        assert cells[2:5] == ["yes" * solver.monotone, "yes" * solver.stochastic, "all" if solver.parallel else "one"]
        assert cells[7] == f"{errors()[name]:.4f}"


def test_the_least_is_found_among_those_asked_for():
    assert least({"a": 3, "b": 1, "c": 2}) == "b"
    assert least({"a": 3, "b": 1, "c": 2}, ["a", "c"]) == "c"
