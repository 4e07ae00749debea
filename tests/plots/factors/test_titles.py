import pandas as pd
import pytest
from legibility import assert_legible, both_themes, shown_texts

from nmf_scratch.plots.factors import plot_factor_titles
from nmf_scratch.plots.style import alt_text, use_theme

LONG = "Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb, and Other Long Stories (1963)"


def tables(k, n=4):
    """Make k factors of n titles each; lifts fall from k + n."""
    rows = [
        (f, f"{LONG} {f}" if place % 2 else f"Film {f}.{place}", k + n - f - place)
        for f in range(k)
        for place in range(n)
    ]
    genres = ["Science Fiction and Fantasy, Documentary and Biography" if f % 2 else "" for f in range(k)]
    summary = pd.DataFrame({"factor": range(k), "share": 1 / k, "genres": genres})
    return summary, pd.DataFrame(rows, columns=["factor", "name", "lift"])


@both_themes
@pytest.mark.parametrize("k", [1, 3, 12])
def test_every_title_is_there_in_full(k, theme):
    summary, leading = tables(k)
    with use_theme(theme):
        figure = plot_factor_titles(summary, leading, n_factors=5)
    assert_legible(figure)
    shown = {text.get_text().replace("\n", " ") for text in shown_texts(figure)}
    assert set(leading[leading["factor"] < 5]["name"]) <= shown
    assert len(figure.axes) == min(k, 5)


def test_dots_stand_at_the_lifts_beside_their_titles():
    summary, leading = tables(3)
    for factor, axes in enumerate(plot_factor_titles(summary, leading).axes):
        (dots,) = (line for line in axes.lines if line.get_marker() == "o")
        expected = leading[leading["factor"] == factor]
        assert list(dots.get_xdata()) == list(expected["lift"])
        assert list(dots.get_ydata()) == list(axes.get_yticks())
        assert axes.get_xlim()[1] > leading["lift"].max()
        assert axes.get_ylim()[1] < dots.get_ydata().min() < dots.get_ydata().max() < axes.get_ylim()[0]


def test_it_says_how_many_are_left_out():
    assert plot_factor_titles(*tables(12)).get_suptitle() == "Most typical titles of the 10 weightiest of 12 factors"
    assert plot_factor_titles(*tables(2)).get_suptitle() == "Most typical titles of each factor"
    assert "Factor 1 is led by Film 1.0, at 5.0 times its share." in alt_text(plot_factor_titles(*tables(2)))
