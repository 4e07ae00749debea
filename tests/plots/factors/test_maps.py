import numpy as np
import pandas as pd
import pytest
from legibility import assert_legible
from matplotlib.colors import same_color

from nmf_scratch.plots.factors import plot_map
from nmf_scratch.plots.factors.maps import LOOKS
from nmf_scratch.plots.style import GREY, alt_text, use_theme


def table(n=300, n_groups=9):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((n, 2)), columns=["x", "y"])
    frame["name"] = [f"Quite a Long Title of a Film, Number {number} (1999)" for number in range(n)]
    frame["ratings"] = np.arange(n)[::-1]
    frame["group"] = [f"genre {number % n_groups}" if number % 7 else "no genre" for number in range(n)]
    return frame


def test_points_stand_where_the_table_says_in_the_look_of_their_group():
    frame = table()
    axes = plot_map(frame, (0.4, 0.2), what="items").axes[0]
    largest = [group for group in frame["group"].value_counts().index if group != "no genre"][:6]
    others, *groups = axes.collections
    assert same_color(others.get_facecolor()[0][:3], GREY)
    np.testing.assert_allclose(others.get_offsets(), frame[~frame["group"].isin(largest)][["x", "y"]])
    for points, group, (colour, _) in zip(groups, largest, LOOKS, strict=True):
        np.testing.assert_allclose(points.get_offsets(), frame[frame["group"] == group][["x", "y"]])
        assert same_color(points.get_facecolor()[0][:3], colour)
    areas = np.concatenate([points.get_sizes() for points in axes.collections])
    np.testing.assert_allclose(sorted(areas), 12 + 78 * np.arange(300) / 299)
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == [*largest, "others"]


def test_axes_and_text_say_how_much_is_shown():
    axes = plot_map(table(), (0.4, 0.2), what="items").axes[0]
    assert axes.get_xlabel() == "first principal direction, 40% of the variance"
    assert axes.get_title(loc="left") == "300 items, coloured by leading genre"
    assert "the two directions hold 60% of the variance. Most lean to genre 2 (30)," in alt_text(axes.figure)
    factors = table().assign(group="factor 3")
    assert "leading factor" in plot_map(factors, (0.4, 0.2), what="users").axes[0].get_title(loc="left")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("n", [1, 300])
def test_names_never_overlap_and_the_most_rated_is_named(n, theme):
    with use_theme(theme):
        figure = plot_map(table(n), (0.4, 0.2), what="items", n_named=40)
    assert_legible(figure)
    named = [text.get_text() for text in figure.axes[0].texts]
    assert named[0] == "Quite a Long Title of a Film, Number 0 (1999)"
    assert len(named) == 1 if n == 1 else 5 < len(named) <= 40
