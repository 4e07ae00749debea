import numpy as np
import pandas as pd
import pytest
from legibility import assert_legible, both_themes, shown_texts

from nmf_scratch.plots.factors import plot_genre_lifts
from nmf_scratch.plots.style import alt_text, new_figure, use_theme

LIFTS = pd.DataFrame([[0.5, 4.0, 1.0], [2.0, 0.25, 1.5]], index=["Drama", "Film-Noir"])


def test_cells_hold_the_lifts_in_doublings():
    axes = plot_genre_lifts(LIFTS).axes[0]
    cells = axes.get_images()[0].get_array()
    genres = [label.get_text() for label in axes.get_yticklabels()]
    factors = [label.get_text() for label in axes.get_xticklabels()]
    for (row, column), doublings in np.ndenumerate(cells):
        assert 2.0**doublings == LIFTS.loc[genres[row], int(factors[column])]
    assert (genres, factors) == (["Drama", "Film-Noir"], ["1", "0", "2"])  # blocks: who leads stands first
    assert {text.get_text() for text in axes.texts} == {"0.5", "4.0", "1.0", "2.0", "0.2", "1.5"}


def test_the_middle_of_the_colours_is_a_lift_of_one():
    image = plot_genre_lifts(LIFTS).axes[0].get_images()[0]
    assert image.norm(0.0) == 0.5
    assert (image.norm.vmin, image.norm.vmax) == (-2, 2)


def test_the_text_names_the_most_marked():
    assert alt_text(plot_genre_lifts(LIFTS)) == (
        "Of 3 factors, 3 give some genre at least 1.5 times its share; the most marked is factor 1, which gives Drama "
        "4.0 times its share."
    )


@both_themes
@pytest.mark.parametrize("k", [2, 12, 13, 60])
def test_it_can_be_read_with_few_factors_and_many(k, theme):
    lifts = pd.DataFrame(2.0 ** np.random.default_rng(k).normal(0, 1.5, (18, k)))
    lifts.index = [f"a rather long genre {number}" for number in range(18)]
    with use_theme(theme):
        figure = plot_genre_lifts(lifts)
    assert_legible(figure)
    assert len(figure.axes[0].texts) == (18 * k if k <= 12 else 0)
    assert len([text for text in shown_texts(figure) if text.get_text().startswith("a rather")]) == 18


def test_it_draws_on_the_callers_axes():
    axes = new_figure(5, 4).subplots()
    assert plot_genre_lifts(LIFTS, axes=axes) is axes.figure
