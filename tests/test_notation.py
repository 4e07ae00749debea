"""One symbol, one meaning: what the formulas of the pages are made of is in the notation, papers in the references."""

import re
from collections import Counter
from pathlib import Path

import pytest
from _pages import parse, without_code
from _papers import keys, with_links
from _papers import listed as listed_papers

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


GREEK = "alpha|beta|gamma|[dD]elta|varepsilon|zeta|eta|theta|kappa|[lL]ambda|mu|nu|xi|pi|rho|sigma|tau|varphi|[oO]mega"
WORDS = r"\\(text|mathrm|mathtt|tag|begin|end|operatorname\*?)\{[^{}]*\}"
ACCENTS = r"\\(?:hat|bar|mathbf) ?\{?([A-Za-z1])\}?"
INDICES = r"_\{?([A-Za-z]+)\}?"
SYMBOL = re.compile(rf"\\(?:{GREEK})\b|(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])")


def symbols(formula):
    """Return the letters of a formula, without words and what LaTeX itself is made of."""
    formula = re.sub(ACCENTS, r" \1 ", re.sub(WORDS, " ", formula))
    formula = re.sub(INDICES, lambda index: " " + " ".join(index[1]) + " ", formula)
    return set(SYMBOL.findall(formula))


def formulas(page):
    text = page.read_text(encoding="utf-8")
    blocks = [block.text for block in parse(text).blocks if block.language == "math"]
    return [*re.findall(r"\$([^$\n]+)\$", without_code(text)), *blocks]


def listed():
    """Return the symbols of each row of the notation's tables."""
    lines = (ROOT / "docs" / "learn" / "notation.md").read_text(encoding="utf-8").splitlines()
    return [re.findall(r"\$([^$]+)\$", line.split(" | ")[0]) for line in lines if line.startswith("| ")]


KNOWN = set().union(*(symbols(symbol) for row in listed() for symbol in row))


@every_page
def test_each_symbol_of_a_page_is_in_the_notation(page):
    assert not set().union(*map(symbols, formulas(page))) - KNOWN


def test_no_symbol_is_in_the_notation_twice():
    counts = Counter(symbol for row in listed() for symbol in row)
    assert len(counts) > 80 and max(counts.values()) == 1


def test_a_symbol_that_is_not_in_the_notation_is_caught():
    assert symbols(r"\hat r_{ui} = \sum_f \tfrac12 w_{uf} \tag{P.1}") == {"r", "u", "i", "f", "w"}
    assert symbols(r"\text{stratum } j = \bigl\{ F_{jl} \bigr\}") - KNOWN == {"F"}


@every_page
def test_each_paper_that_a_page_names_is_in_the_references(page):
    assert not keys(page.read_text(encoding="utf-8")) - set(listed_papers())


NAMED = (
    "Lee and\nSeung (2001), Févotte, Bertin and Durrieu's (2009), O'Brien's (1964), He and others 2016; 1999, `Li 2000`"
)


def test_papers_are_found_but_not_in_code():
    assert keys(NAMED) == {"lee2001", "fevotte2009", "obrien1964", "he2016"}
    assert keys("As Lee (2001):\n\n```python\n# Seung (2002)\n```\n\nand Hu (2003).") == {"lee2001", "hu2003"}


def test_the_site_links_years():
    assert with_links("Lee and\nSeung (2001), `Li 2000`") == "Lee and\nSeung ({cite:year}`lee2001`), `Li 2000`"


def test_no_paper_is_listed_twice():
    assert len(set(listed_papers())) == len(listed_papers()) > 60
