import pandas as pd
import pytest
from legibility import assert_legible, both_themes

from nmf_scratch import NMF
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.fitted.factor_statistics import stability
from nmf_scratch.plots.factors import factor_figures
from nmf_scratch.plots.style import alt_text, use_theme

ALL = [
    "factor-genres", "factor-titles", "factor-strengths", "factor-usage", "factor-items", "factor-users",
    "factor-stability",
]  # fmt: skip


@pytest.fixture(scope="module")
def renamed(demo):
    """Put the demo data under long titles."""
    titles = demo.items["title"] + " or: How I Learned to Stop Worrying and Love the Matrix, Part Two"
    return Dataset("demo", demo.ratings, items=demo.items.assign(title=titles))


@pytest.mark.compiled
@both_themes
def test_all_figures_of_a_model_can_be_read(renamed, theme):
    model = NMF(6, solver="cd", max_iter=10, random_state=0).fit(renamed)
    table = stability(model, renamed, n_seeds=1)
    with use_theme(theme):
        figures = dict(factor_figures(model, stability=table))
    assert list(figures) == ALL
    for figure in figures.values():
        assert_legible(figure)
        assert len(alt_text(figure)) > 40


@pytest.mark.parametrize("parameters", [{}, {"biases": False}, {"solver": "mu"}], ids=str)
def test_the_least_of_models_is_drawn_without_what_is_not_known(parameters):
    pairs = [("ann", "dune"), ("ann", "solaris"), ("bob", "dune"), ("bob", "emma"), ("eve", "emma")]
    model = NMF(1, random_state=0, **parameters).fit(pairs, [5, 4, 4, 1, 2])
    figures = dict(factor_figures(model))
    assert list(figures) == ALL[1:-1]
    for figure in figures.values():
        assert_legible(figure)


@pytest.mark.compiled
def test_a_penalty_that_leaves_no_factor_leaves_no_map(demo):
    model = NMF(3, solver="als", alpha=500.0, max_iter=3, random_state=0).fit(demo)
    assert not model.H_.any()
    figures = dict(factor_figures(model))
    assert list(figures) == ALL[:4]
    for figure in figures.values():
        assert_legible(figure)


def test_items_without_genres_are_grey_and_the_rest_is_coloured(demo):
    genres = demo.items["genres"].where(demo.items["item"] % 2 == 0, "")
    data = Dataset("demo", demo.ratings, items=demo.items.assign(genres=genres))
    model = NMF(3, solver="cd", max_iter=3, random_state=0).fit(data)
    assert_legible(dict(factor_figures(model))["factor-items"])
    assert isinstance(model.items_, pd.DataFrame)
