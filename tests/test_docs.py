r"""The documentation, kept true: its equations, its code, its links and the inequalities of its proofs.

An equation is *defined* where a ```math block of a page in docs/ carries \tag{MU.4}, *cited* where (MU.4) stands in
running text or a docstring, and *carried* by the line of code that ends in the comment # (MU.4).
"""

import ast
import os
import re
import tokenize
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numba
import numpy as np
import pytest
from _pages import parse, run, same_picture, with_measurements, without_code
from problems import OBJECTIVES, dense, naive_frozen, naive_sides, small_ratings
from reference import multiplicative as naive_mu
from reference import problem as naive_problem

from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.solvers import SOLVERS

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*DOCS, *ROOT.glob("README.md")]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TWINS = sorted((ROOT / "tests" / "reference").rglob("*.py"))

CITATION = re.compile(r"\(([A-Z]+\.\d+)\)")
DEFINITION = re.compile(r"\\tag\{([A-Z]+\.\d+)\}")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
NEEDS_NUMBA = "<!-- needs Numba -->"
"""Stands on pages whose code takes minutes without it."""
PINNED = f"matplotlib=={matplotlib.__version__}" in (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
"""Whether pictures are drawn by the version that drew those in docs/figures: letters differ between versions."""


def read(page):
    return parse(page.read_text(encoding="utf-8"))


def prose(text):
    return "\n".join(parse(text).prose)


# Equations


def definitions(page):
    return [tag for block in read(page).blocks if block.language == "math" for tag in DEFINITION.findall(block.text)]


def carried(path):
    """Tags in comments that end a line of code."""
    with tokenize.open(path) as file:
        tokens = list(tokenize.generate_tokens(file.readline))
    comments = (token for token in tokens if token.type == tokenize.COMMENT)
    on_code = (token.string for token in comments if token.line[: token.start[1]].strip())
    return {tag for comment in on_code for tag in CITATION.findall(comment)}


DEFINED = Counter(tag for page in DOCS for tag in definitions(page))


def test_every_equation_is_defined_once_and_in_a_math_block():
    assert DEFINED
    assert {tag: count for tag, count in DEFINED.items() if count > 1} == {}
    written = Counter(tag for page in DOCS for tag in DEFINITION.findall(page.read_text(encoding="utf-8")))
    assert written == DEFINED


def test_equations_are_numbered_without_gaps():
    numbers = {}
    for tag in DEFINED:
        family, number = tag.split(".")
        numbers.setdefault(family, set()).add(int(number))
    assert numbers == {family: set(range(1, len(found) + 1)) for family, found in numbers.items()}


def evening():
    """Return the files of the first evening, in order."""
    text = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    section = text.split("## The first evening")[1].split("\n## ")[0]
    return [ROOT / link for link in re.findall(r"\(\.\./(src/[\w/]+\.py)\)", section)]


def test_the_first_evening_fits_into_one():
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in evening())
    assert 5000 < lines <= 6500


def test_each_file_of_the_first_evening_needs_only_the_ones_before():
    names = [".".join(path.relative_to(ROOT / "src").with_suffix("").parts) for path in evening()]
    for n, path in enumerate(evening()):
        imported = {source for source in re.findall(r"^from ([\w.]+) import", path.read_text(encoding="utf-8"), re.M)}
        assert not imported & set(names[n:]), path.name


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=lambda solver: solver.name)
def test_every_rung_of_a_solvers_ladder_names_the_next(solver):
    kernel = "src/" + solver.__module__.replace(".", "/") + ".py"
    twin = f"tests/reference/{Path(kernel).name}"
    lecture = ast.get_docstring(ast.parse((ROOT / kernel).read_text(encoding="utf-8")))
    page = ROOT / re.search(r"docs/learn/[\w-]+\.md", lecture).group()
    (ladder,) = re.findall(rf"The ladder of `{solver.name}`:.*?\n\n", page.read_text(encoding="utf-8"), re.S)
    assert re.search(r"lines( of `sgd`)?\]\((projected-sgd\.md)?#[\w-]+\)", ladder)
    assert f"(../../{twin})" in ladder
    assert f"(../../{kernel})" in ladder
    assert twin in lecture
    assert kernel in ast.get_docstring(ast.parse((ROOT / twin).read_text(encoding="utf-8")))


def test_code_carries_exactly_the_equations_that_the_docs_derive():
    assert set().union(*map(carried, SOURCES)) == set(DEFINED)


def test_source_cites_exactly_the_equations_that_the_docs_derive():
    cited = {tag for path in SOURCES for tag in CITATION.findall(path.read_text(encoding="utf-8"))}
    assert cited == set(DEFINED)


@pytest.mark.parametrize("path", [*PAGES, *TWINS], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_page_and_no_twin_cites_an_equation_that_is_not_there(path):
    assert set(CITATION.findall(path.read_text(encoding="utf-8"))) <= set(DEFINED)


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_python_on_a_page_carries_known_equations_at_the_end_of_code(page, tmp_path):
    for block in read(page).blocks:
        if block.language == "python":
            file = tmp_path / f"{block.line}.py"
            file.write_text(block.text, encoding="utf-8")
            assert carried(file) == set(CITATION.findall(block.text)) <= set(DEFINED)


# Code


def names_on(page):
    return run(read(ROOT / "docs" / page), page).names


@every_page
def test_every_python_block_runs_and_prints_what_the_page_shows(page, tmp_path, monkeypatch):
    if numba.config.DISABLE_JIT and NEEDS_NUMBA in page.read_text(encoding="utf-8"):
        pytest.skip("the page needs Numba to be done in time")
    monkeypatch.chdir(tmp_path)
    outcome = run(read(page), page.name)
    assert outcome.different == []
    for link, drawn in outcome.pictures:
        assert not PINNED or same_picture(drawn, (page.parent / link).read_bytes()), link


@pytest.mark.parametrize(
    "name",
    [
        "the-problem",
        "multiplicative-updates",
        "coordinate-descent",
        "alternating-least-squares",
        "projected-gradient",
        "projected-sgd",
        "adaptive-steps",
        "exponentiated-gradient",
        "block-sgd",
    ],
)
def test_pages_that_derive_have_code_that_runs_and_shows_what_it_prints(name):
    languages = Counter(block.language for block in read(ROOT / "docs" / "learn" / f"{name}.md").blocks)
    assert languages["python"] >= languages["text"] >= 5
    assert set(languages) - {"{literalinclude}"} == {"python", "text", "math"}


@pytest.mark.parametrize(
    "page",
    [
        "```python\nprint(1)\n```\n\n```text\n2\n```\n",
        "```python\nprint(1)\n```\n",
        "```python\nprint(1)\n```\nBetween.\n```text\n1\n```\n",
        "```python\nx = 1\n```\n```text\n1\n```\n",
    ],
)
def test_a_page_that_shows_something_else_is_caught(page):
    assert run(parse(page), "page.md").different


@pytest.mark.parametrize(
    ("page", "error"),
    [
        ("```python\nimport warnings\nwarnings.warn('old')\n```\n", UserWarning),
        ("```python\nx = undefined\n```\n", NameError),
        ("```python\nx = 1\n", AssertionError),
    ],
)
def test_a_page_that_does_not_run_is_caught(page, error):
    with pytest.raises(error):
        run(parse(page), "page.md")


def test_blocks_of_a_page_share_one_namespace():
    page = "```python\nx = 2\n```\nThen\n```python\nprint(x)\n```\n\n```text\n2\n```\n"
    assert run(parse(page), "page.md").different == []


def test_what_was_measured_may_differ_in_its_numbers_only_and_is_renewed():
    page = "Start\n\n```python\nprint(f'{took}  s, {1.5} ms')\n```\n\n```text measured\n   0.25 s, 20 ms\n```\n\nEnd\n"
    renewed = "Start\n\n```python\nprint(f'{12}  s, {1.5} ms')\n```\n\n```text measured\n12  s, 1.5 ms\n```\n\nEnd\n"
    page = page.replace("took", "12")
    outcome = run(parse(page), "page.md")
    assert outcome.different == []
    assert with_measurements(page, outcome.printed) == renewed
    assert run(parse(page.replace("20 ms", "20 s")), "page.md").different
    assert run(parse(page.replace("text measured", "text")), "page.md").different


DRAWS = """```python
from nmf_scratch.plots.style import new_figure

figure = new_figure(2, 1)
figure.subplots().plot([0, 1], [0, HEIGHT])

```

```text
```

![A line](figures/line.png)
"""


def test_a_picture_below_a_block_is_its_figure():
    def drawn(height, page=DRAWS):
        return run(parse(page.replace("HEIGHT]", f"{height}]")), "page.md").pictures

    [(link, png)] = drawn(1)
    assert link == "figures/line.png"
    assert same_picture(png, drawn(1)[0][1])
    assert not same_picture(png, drawn("1], [1, 0")[0][1])
    assert drawn(1, DRAWS.replace("![A", "Between.\n\n![A")) == []
    with pytest.raises(KeyError, match="figure"):
        drawn(1, DRAWS + "\n```python\nx = 1\n```\n\n![A line](figures/same.png)\n")


def test_every_picture_in_the_documentation_is_shown():
    shown = {
        (page.parent / link).resolve() for page in PAGES for link in LINK.findall(page.read_text(encoding="utf-8"))
    }
    assert set((ROOT / "docs" / "figures").iterdir()) <= shown


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_source_that_a_page_includes_is_there(page):
    for block in read(page).blocks:
        if block.language == "{literalinclude}":
            source = ast.parse((page.parent / block.rest).resolve(strict=True).read_text(encoding="utf-8"))
            [name] = re.findall(r":pyobject: (\w+)", block.text)
            assert name in {node.name for node in ast.walk(source) if isinstance(node, ast.FunctionDef | ast.ClassDef)}


@every_page
def test_python_blocks_fit_the_page(page):
    for block in read(page).blocks:
        if block.language == "python":
            ast.parse(block.text)
            assert max(map(len, block.text.splitlines())) <= 120


# Links and markup


def slugs(page):
    """Return the anchors that a code host gives to the headings of a page."""
    headings = re.findall(r"^#+ +(.+)$", prose(page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(page, text):
    for link in LINK.findall(without_code(text)):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        outside = ROOT not in (target, *target.parents)
        if path.startswith("/") or outside or not target.exists() or (anchor and anchor not in slugs(target)):
            yield link


@every_page
def test_links_lead_somewhere(page):
    assert list(broken_links(page, page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "link", ["nowhere.md", "../src/nowhere.py", "learn/notation.md#nowhere", "#nowhere", "/etc", "../.."]
)
def test_a_broken_link_is_caught(link):
    assert list(broken_links(ROOT / "docs" / "README.md", f"See [this]({link}).\n")) == [link]


def test_the_index_links_to_every_page():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    linked = {link.partition("#")[0] for link in LINK.findall(prose(index))}
    assert {str(page.relative_to(ROOT / "docs")) for page in DOCS} <= {"README.md", "index.md", *linked}


def test_each_page_leads_to_the_one_before_and_the_one_after():
    """In the order of docs/README.md."""
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8").partition("## The first evening")[0]
    order = re.findall(r"^(?:\d+\.|-)? ?\[[^\]]+\]\(((?:learn|guide)/[\w-]+\.md)\)", index, re.M)
    assert len(order) == len(set(order)) == len([page for page in DOCS if page.parent.name in ("learn", "guide")])
    for before, page, after in zip([None, *order[:-1]], order, [*order[1:], None], strict=True):
        last = (ROOT / "docs" / page).read_text(encoding="utf-8").rstrip().splitlines()[-1]
        linked = [(Path("docs", page).parent / link).as_posix() for link in re.findall(r"\]\(([^)]+)\)", last)]
        assert [str(Path(os.path.normpath(link)).relative_to("docs")) for link in linked] == [
            name for name in (before, after) if name
        ]


def test_pages_that_docstrings_name_exist():
    named = {name for path in SOURCES for name in re.findall(r"docs/[\w/-]+\.md", path.read_text(encoding="utf-8"))}
    assert named
    assert {name for name in named if not (ROOT / name).is_file()} == set()


FRAGILE = re.compile(r"\\[^A-Za-z]|(?<![A-Za-z0-9])_|\*|\|")
"""What Markdown may take for its own inside $…$: an escape, emphasis, a column of a table."""


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_inline_formulas_survive_markdown(page):
    for line in without_code(page.read_text(encoding="utf-8")).splitlines():
        assert line.count("$") % 2 == 0, line
        pieces = line.split("$")
        for before, formula, after in zip(pieces[0::2], pieces[1::2], pieces[2::2], strict=False):
            assert formula == formula.strip() and not FRAGILE.search(formula), line
            assert not re.search(r"\w$", before) and not re.match(r"\w", after), line


# The proofs. The functions under test are those printed on the page.


@pytest.fixture(scope="module")
def mu():
    """Names that the page on multiplicative updates defines."""
    return names_on("learn/multiplicative-updates.md")


class Place(NamedTuple):
    """A place in a problem: W now, H, the terms (λ, ρ, m) of W, and what of the objective depends on W."""

    R: np.ndarray
    now: np.ndarray
    H: np.ndarray
    terms: tuple
    frozen: int | None
    objective: Callable[[np.ndarray], float]


def place(kind, *, biases=True, n_components=3, seed=11):
    ratings = small_ratings(seed)
    factors = scaled_start(ratings, n_components, biases=biases, dtype="float64", key=seed)
    of_W, (lam, *rest) = naive_sides(OBJECTIVES[kind], ratings, factors)
    R, H = dense(ratings), factors.H
    sides = [of_W, (0 * lam, *rest)]  # the penalty of H is left out
    return Place(R, factors.W, H, of_W, naive_frozen(factors)[0], lambda W: naive_problem.objective(R, W, H, sides))


def elsewhere(now, n=40):
    """Matrices near and far, some with zeros."""
    rng = np.random.default_rng(5)
    near = [now * rng.uniform(1 - spread, 1 + spread, now.shape) for spread in np.geomspace(1e-3, 1, n)]
    far = [rng.uniform(0, 4, now.shape) * (rng.random(now.shape) < 0.8) for _ in range(n)]
    return near + far


every_kind = pytest.mark.parametrize("kind", OBJECTIVES)
both_forms = pytest.mark.parametrize("biases", [True, False], ids=["biases", "plain"])


@every_kind
@both_forms
def test_the_bound_lies_above_the_objective(mu, kind, biases):
    here = place(kind, biases=biases)
    for W in elsewhere(here.now):
        assert mu["bound"](here.R, W, here.now, here.H, *here.terms) >= here.objective(W) * (1 - 1e-12)


@every_kind
@both_forms
def test_the_bound_touches_the_objective_in_value_and_gradient(mu, kind, biases):
    here = place(kind, biases=biases)

    def bound(W):
        return mu["bound"](here.R, W, here.now, here.H, *here.terms)

    assert bound(here.now) == pytest.approx(here.objective(here.now), rel=1e-12)
    rng = np.random.default_rng(6)
    for _ in range(10):
        step = 1e-5 * rng.standard_normal(here.now.shape)
        gradients = [(f(here.now + step) - f(here.now - step)) / 2e-5 for f in (bound, here.objective)]
        assert gradients[0] == pytest.approx(gradients[1], rel=1e-6, abs=1e-6)


def test_lifting_the_line_is_all_that_the_bound_adds_at_rank_one(mu):
    """With one column the residuals are no longer coupled; a gap of any other size would be a mistake."""
    here = place("lasso", biases=False, n_components=1)
    lam, rho, _ = here.terms
    for W in elsewhere(here.now):
        gap = mu["bound"](here.R, W, here.now, here.H, *here.terms) - here.objective(W)
        assert gap == pytest.approx(np.sum(lam * rho * (W - here.now) ** 2 / (2 * here.now)), rel=1e-8, abs=1e-10)


@every_kind
@both_forms
def test_the_update_minimises_the_bound_and_gains_what_is_promised(mu, kind, biases):
    here = place(kind, biases=biases)
    lam, rho, _ = here.terms
    rated = ~np.isnan(here.R).all(axis=1)
    known, now, H = ~np.isnan(here.R[rated]), here.now[rated], here.H
    terms = (lam[rated], *here.terms[1:])
    new = mu["half_step"](here.R[rated], now, H, *terms)

    def bound(W):
        return mu["bound"](here.R[rated], W, now, H, *terms)

    den = np.where(known, now @ H.T, 0) @ H + lam[rated] * ((1 - rho) * now + rho)
    for W in elsewhere(now):
        assert bound(W) - bound(new) == pytest.approx(np.sum(den / (2 * now) * (W - new) ** 2), rel=1e-6)
    promised = np.sum(den / (2 * now) * (new - now) ** 2)
    full = here.now.copy()
    full[rated] = new
    assert here.objective(here.now) - here.objective(full) >= promised > 0


@every_kind
@both_forms
def test_five_lines_equal_the_twin_and_lower_the_objective_with_a_column_held(mu, kind, biases):
    here = place(kind, biases=biases)
    expected = naive_mu.half_step(here.R, here.now, here.H, *here.terms, here.frozen)
    with np.errstate(invalid="ignore"):  # the user without ratings has 0 / 0, which the page does not treat
        new = mu["half_step"](here.R, here.now, here.H, *here.terms)
    free = [f for f in range(new.shape[1]) if f != here.frozen]
    rated = ~np.isnan(here.R).all(axis=1)
    np.testing.assert_allclose(new[rated][:, free], expected[rated][:, free], rtol=1e-12)
    assert here.objective(expected) < here.objective(here.now)


def test_updating_both_sides_at_once_raises_the_objective_and_taking_turns_does_not():
    R, start = np.array([[1.0]]), np.array([[0.5]])
    side = (np.zeros((1, 1)), np.zeros(1), np.zeros(1))

    def objective(W, H):
        return naive_problem.objective(R, W, H, [side, side])

    both = [naive_mu.half_step(table, start, start, *side, None) for table in (R, R.T)]
    assert (objective(start, start), objective(*both)) == (0.28125, 4.5)
    assert objective(*naive_mu.epoch(R, start, start, [side, side], [None, None])) == 0


def test_gradients_of_single_ratings_add_up_to_that_of_the_objective():
    """The claim that projected-sgd.md rests on, with every kind of penalty, against the package's own gradient."""
    visit = names_on("learn/projected-sgd.md")["visit"]
    for objective in OBJECTIVES.values():
        ratings = small_ratings(12)
        factors = scaled_start(ratings, 3, dtype="float64", key=12)
        (lam, rho, centre), _ = naive_sides(objective, ratings, factors)
        total, eta = np.zeros_like(factors.W), 1e-3  # too small a step to be cut off at zero
        for u, i, r in zip(ratings.users, ratings.items, ratings.values, strict=True):
            penalty = lam[u] / ratings.user_counts[u]
            moved, _ = visit(r, factors.W[u], factors.H[i], eta, penalty_w=penalty, rho=rho, centre=centre)
            total[u] -= (moved - factors.W[u]) / eta
        rated, free = ratings.user_counts > 0, np.arange(total.shape[1]) != naive_frozen(factors)[0]
        expected = objective.gradient(ratings, factors)[0]
        np.testing.assert_allclose(total[rated][:, free], expected[rated][:, free], rtol=1e-9, atol=1e-9)
