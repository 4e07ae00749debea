import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.statistics import describe, gini, histogram, lacking, unit_of
from nmf_scratch.data.synthetic import make_demo


@pytest.fixture
def tiny():
    """Four items with 4, 2, 1, 1 ratings by four users with 4, 2, 1, 1."""
    ratings = pd.DataFrame(
        {
            "user": [1, 1, 1, 1, 2, 2, 3, 4],
            "item": ["a", "b", "c", "d", "a", "b", "a", "a"],
            "rating": [1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 2.0, 2.0],
            "timestamp": [0, 86_400, 5, 6, 7, 8, 9, 10],
        }
    )
    items = pd.DataFrame(
        {"item": ["a", "b"], "title": ["A", "B"], "year": pd.array([1, 2], "Int64"), "genres": ["x|y", ""]}
    )
    return Dataset("tiny", ratings, items=items, n_duplicates=3)


def test_numbers_by_hand(tiny):
    found = describe(tiny)
    assert (found.name, found.n_ratings, found.n_users, found.n_items) == ("tiny", 8, 4, 4)
    assert found.density == 0.5
    assert found.mean == 3.0
    assert found.std == pytest.approx(np.sqrt(16 / 8))
    assert found.histogram == {1.0: 1, 2.0: 3, 3.0: 1, 4.0: 1, 5.0: 2}
    assert found.ratings_per_user == {0.0: 1.0, 0.25: 1.0, 0.5: 1.5, 0.75: 2.5, 1.0: 4.0}
    assert found.ratings_per_item == found.ratings_per_user
    assert found.top_1_percent == found.top_10_percent == 0.5  # one item of four
    assert found.gini == pytest.approx(5 / 12)
    assert found.first == pd.Timestamp("1970-01-01", tz="UTC")
    assert found.last == pd.Timestamp("1970-01-02", tz="UTC")
    assert (found.n_duplicates, found.n_genres) == (3, 2)


def test_rows_word_every_number(tiny):
    rows = dict(describe(tiny).rows())
    assert rows["ratings"] == "8"
    assert rows["density"] == "50 %"
    assert rows["mean rating"] == "3.000 (standard deviation 1.414)"
    assert rows["rating 2"] == "3 (37.5 %)"
    assert rows["ratings per user"] == "median 1.5, half in 1 to 2.5, from 1 to 4"
    assert rows["held by the top 1 % of items"] == "50.0 %"
    assert rows["Gini coefficient of items"] == "0.417"
    assert rows["time span"] == "1970-01-01 to 1970-01-02"
    assert rows["duplicates merged"] == "3"
    assert rows["genres"] == "2"


def test_what_is_unknown_is_said_to_be(tiny):
    bare = dataclasses.replace(tiny, ratings=tiny.ratings.drop(columns="timestamp"), items=None)
    found = describe(bare)
    assert found.first is None
    assert found.n_genres == 0
    assert dict(found.rows())["time span"] == "unknown"


def test_items_without_genres_have_none(tiny):
    assert describe(dataclasses.replace(tiny, items=tiny.items[["item"]])).n_genres == 0


def test_milliseconds_are_recognised(tiny):
    later = tiny.ratings.assign(timestamp=1_600_000_000_000 + tiny.ratings["timestamp"])
    assert describe(dataclasses.replace(tiny, ratings=later)).last.year == 2020


def test_ratings_of_many_values_are_put_into_classes(tiny):
    ratings = pd.DataFrame({"user": range(100), "item": 0, "rating": np.linspace(0, 100, 100)})
    histogram = describe(dataclasses.replace(tiny, ratings=ratings)).histogram
    assert len(histogram) == 20
    assert sum(histogram.values()) == 100
    assert list(histogram)[:2] == [0.0, 5.0]


def test_the_top_of_many_items():
    counts = np.arange(1, 101)
    ratings = pd.DataFrame({"item": np.repeat(counts, counts), "rating": 1.0})
    ratings["user"] = np.arange(len(ratings))
    found = describe(Dataset("ramp", ratings))
    assert found.top_1_percent == pytest.approx(100 / 5050)
    assert found.top_10_percent == pytest.approx(sum(range(91, 101)) / 5050)


def test_gini_at_its_ends():
    assert gini(np.full(7, 3)) == pytest.approx(0.0)
    assert gini(np.array([0, 0, 0, 12])) == pytest.approx(1.0)
    assert gini(np.array([12])) == 0.0
    assert np.isnan(gini(np.zeros(3)))


@given(st.lists(st.integers(0, 50), min_size=2, max_size=12).filter(any))
def test_gini_is_half_the_relative_mean_difference(counts):
    x = np.array(counts, float)
    expected = np.abs(x[:, None] - x).sum() / (len(x) * (len(x) - 1)) / (2 * x.mean())
    assert gini(x) == pytest.approx(expected, abs=1e-12)


def test_demo():
    found = describe(make_demo())
    assert found.n_genres == 18
    assert 0.12 < found.density < 0.14
    assert sum(found.histogram.values()) == found.n_ratings
    assert 0.2 < found.top_10_percent < 0.4


class TestHistogram:
    def test_few_levels_are_counted_one_by_one(self):
        found = histogram(np.array([5.0, 1.0, 5.0, 2.0]))
        assert found.to_dict() == {1.0: 1, 2.0: 1, 5.0: 2}
        assert (found.upper, found.logarithmic) == (None, False)

    def test_counts_fall_into_logarithmic_classes_that_lose_none(self):
        plays = np.random.default_rng(0).zipf(1.6, 2000).astype(float)
        found = histogram(plays)
        assert found.logarithmic
        assert found.counts.sum() == 2000
        assert found.upper == plays.max()
        edges = np.append(found.levels, found.upper)
        assert (np.diff(edges) > 0).all()
        assert found.to_dict()[1.0] == (plays == 1).sum()  # whole numbers: the first class holds nothing else
        ratios = edges[6:-1] / edges[5:-2]
        assert ratios.max() / ratios.min() < 1.5

    def test_a_wide_scale_is_no_count(self):
        found = histogram(np.random.default_rng(0).uniform(1, 100, 500))
        assert not found.logarithmic
        np.testing.assert_allclose(np.diff(found.levels), np.diff(found.levels)[0])


@pytest.mark.parametrize(
    ("levels", "unit"),
    [([1, 2, 3, 4, 5], "stars"), ([0.5, 1, 5], "stars"), ([1, 5, 10], "units of the file"), ([1], "units of the file")],
)
def test_only_stars_are_called_stars(levels, unit):
    assert unit_of(np.array(levels, float)) == unit


def test_what_is_lacking_is_named(tiny):
    assert lacking(tiny) == ["who the users are"]
    bare = Dataset("bare", tiny.ratings[["user", "item", "rating"]])
    assert lacking(bare) == ["titles", "genres", "who the users are", "when a rating was given"]
