import dataclasses

import numpy as np
import pandas as pd
import pytest
from legibility import assert_legible, both_themes, shown_texts
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from nmf_scratch.data.activity import coded, density_grid
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.genres import genre_tree, genres_of
from nmf_scratch.data.statistics import histogram
from nmf_scratch.plots.dataset import (
    dataset_figures,
    plot_item_graph,
    plot_long_tail,
    plot_popularity,
    plot_ratings,
    plot_sparsity,
    plot_treemap,
)
from nmf_scratch.plots.style import BLUE, GREY, ORANGE, alt_text, use_theme

ALL = [
    "ratings", "long-tail", "sparsity", "popularity", "time", "genres", "genre-pairs", "treemap", "users",
    "preferences-age", "preferences-occupation", "item-graph", "user-likeness",
]  # fmt: skip
BARE = ["ratings", "long-tail", "sparsity", "popularity", "item-graph", "user-likeness"]


@pytest.fixture(scope="module")
def figures(demo):
    return dict(dataset_figures(demo))


@both_themes
def test_all_figures_can_be_read(demo, theme, request):
    with use_theme(theme):
        figures = request.getfixturevalue("figures") if theme == "light" else dict(dataset_figures(demo))
    assert list(figures) == ALL
    for figure in figures.values():
        assert_legible(figure)
        assert len(alt_text(figure)) > 40


def test_what_is_not_known_is_left_out(demo):
    bare = Dataset("bare", demo.ratings[["user", "item", "rating"]][:500])
    figures = dict(dataset_figures(bare))
    assert list(figures) == BARE
    assert "genre" not in alt_text(figures["item-graph"])
    for figure in figures.values():
        assert_legible(figure)


@pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_least_of_data_can_be_drawn(n):
    ratings = pd.DataFrame({"user": range(n), "item": 7, "rating": 3.0, "timestamp": 10})
    items = pd.DataFrame({"item": [7], "title": ["Seven"], "genres": ["Crime"]})
    users = pd.DataFrame({"user": range(n), "age": 30, "occupation": "spy"})
    for figure in dict(dataset_figures(Dataset("least", ratings, users=users, items=items))).values():
        assert_legible(figure)


def test_titles_and_genres_are_text_whatever_they_hold(demo):
    """Neither markup nor mathematics: a title is a title."""
    hostile = '<b>$\\frac{1}{0}$ & "x" $'
    items = demo.items.assign(title=hostile, genres=["$x^2$|<i>" if item % 2 else "a_b" for item in demo.items["item"]])
    figures = dict(dataset_figures(dataclasses.replace(demo, ratings=demo.ratings[:9000], items=items)))
    for name in ("treemap", "item-graph", "popularity"):
        texts = " ".join(text.get_text().replace("\n", " ") for text in shown_texts(figures[name]))
        assert hostile in texts
    ticks = [text.get_text() for text in figures["genres"].axes[0].get_yticklabels()]
    assert set(ticks) == {"$x^2$", "<i>", "a_b"}


class TestRatings:
    def test_a_bar_for_each_rating_is_as_high_as_its_share(self):
        axes = plot_ratings(histogram(np.array([1.0, 5.0, 5.0, 4.0])), 3.75).axes[0]
        assert [bar.get_height() for bar in axes.patches] == [0.25, 0.25, 0.5]
        assert [bar.get_x() + bar.get_width() / 2 for bar in axes.patches] == [1, 4, 5]
        assert axes.get_xlabel() == "rating, stars"
        assert set(axes.lines[0].get_xdata()) == {3.75}

    def test_counts_have_logarithmic_classes_and_no_stars(self):
        plays = np.random.default_rng(0).zipf(1.6, 2000).astype(float)
        figure = plot_ratings(histogram(plays), float(plays.mean()))
        (axes,) = figure.axes
        assert axes.get_xscale() == "log"
        assert axes.get_xlabel() == "value, logarithmic classes"
        assert sum(bar.get_height() for bar in axes.patches) == pytest.approx(1)
        assert not axes.lines
        assert_legible(figure)


def test_the_long_tail_is_told_in_numbers():
    figure = plot_long_tail([50, 20, 10, 10, 10], [60, 40])
    left, right = figure.axes
    items, users = left.lines
    assert list(items.get_ydata()) == [50, 20, 10, 10, 10]
    assert list(users.get_ydata()) == [60, 40]
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    np.testing.assert_allclose(right.lines[0].get_ydata(), [0, 0.5, 0.7, 0.8, 0.9, 1])
    assert "The long tail, 80% of the items, holds 50% of the ratings" in alt_text(figure)


def test_the_table_is_drawn_with_the_active_and_the_popular_first(demo):
    grid = density_grid(coded(demo), most=50)
    figure = plot_sparsity(grid)
    (mesh,) = figure.axes[0].collections
    drawn = np.ma.filled(mesh.get_array().reshape(50, 50), 0)
    np.testing.assert_allclose(drawn, grid.density)
    top, bottom = figure.axes[0].get_ylim()[::-1]
    assert top == 0 < bottom == 600
    assert "13.22% of 600 × 500 pairs" in alt_text(figure)


def test_popular_items_are_named(demo):
    ratings = coded(demo)
    figure = plot_popularity(ratings, [f"film {item}" for item in ratings.item_ids])
    axes = figure.axes[0]
    dots = axes.collections[0].get_offsets()
    np.testing.assert_allclose(dots[:, 0], ratings.item_counts)
    np.testing.assert_allclose(dots[:, 1], ratings.item_means)
    most = f"film {ratings.item_ids[ratings.item_counts.argmax()]}"
    assert most in [text.get_text() for text in axes.texts]


def test_time_shows_activity_and_what_items_explain(figures, demo):
    top, below, new = figures["time"].axes
    assert sum(bar.get_height() for bar in top.patches) == demo.n_ratings
    assert sum(new.lines[0].get_ydata()) == demo.n_users
    assert [line.get_label() for line in below.lines] == ["mean rating", "of the same items, over all time"]


def test_areas_of_the_treemap_are_ratings(demo):
    ratings = coded(demo)
    tree = genre_tree(demo, ratings, genres_of(demo, ratings.item_ids), n_items=30)
    figure = plot_treemap(tree, unit="stars")
    tiles = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle) and patch.get_fill()]
    areas = np.array([tile.get_width() * tile.get_height() for tile in tiles])
    for genre in tree["genre"].unique():  # between genres, the lines with their names take a little
        mine = (tree["genre"] == genre).to_numpy()
        np.testing.assert_allclose(areas[mine] / areas[mine].sum(), tree["ratings"][mine] / tree["ratings"][mine].sum())
    assert all(later <= 1.02 * sooner for sooner, later in zip(areas[mine], areas[mine][1:], strict=False))
    assert np.corrcoef(areas, tree["ratings"])[0, 1] > 0.98


def test_alike_items_stand_together_in_the_graph():
    """Two groups of four, tied among themselves: the way within a group is shorter than between."""
    nodes = pd.DataFrame({"name": list("abcdefgh"), "genre": ["X"] * 4 + ["Y"] * 4, "ratings": range(80, 0, -10)})
    pairs = [(a, b) for half in (range(4), range(4, 8)) for a in half for b in half if a < b]
    ties = pd.DataFrame([(*pair, 0.5) for pair in [*pairs, (3, 4)]], columns=["a", "b", "similarity"])
    figure = plot_item_graph(nodes, ties)
    lines, dots = figure.axes[0].collections
    points, groups = dots.get_offsets(), np.repeat([0, 1], 4)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    same = groups[:, None] == groups[None]
    assert distance[same].max() < distance[~same].mean()
    assert len(lines.get_segments()) == len(ties)
    assert [to_hex(colour).upper() for colour in dots.get_facecolors()] == [BLUE] * 4 + [ORANGE] * 4
    assert (np.diff(dots.get_sizes()) < 0).all()
    assert "92% of 13 ties join two items of one leading genre, chance would make it 50%" in alt_text(figure)


def test_small_groups_of_the_graph_are_grey():
    genres = [*"AABBCCDDEEFF", "G"]
    nodes = pd.DataFrame({"name": genres, "genre": genres, "ratings": 1})
    ties = pd.DataFrame({"a": [], "b": [], "similarity": []}, dtype=float).astype({"a": int, "b": int})
    figure = plot_item_graph(nodes, ties)
    assert to_hex(figure.axes[0].collections[1].get_facecolors()[-1]).upper() == GREY
    assert "No two of the 13 most rated items are rated alike." in alt_text(figure)


def test_chance_is_drawn_beside_what_is_observed(figures):
    left, right = figures["user-likeness"].axes
    assert sum(bar.get_height() for bar in left.patches) == pytest.approx(1)
    observed, chance = right.patches
    assert chance.get_data().values.max() > observed.get_data().values.max()  # planted factors spread the observed
