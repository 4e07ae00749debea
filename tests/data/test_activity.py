import dataclasses

import numpy as np
import pandas as pd
import pytest

from nmf_scratch.data.activity import coded, density_grid, item_names, lorenz, over_time, popularity
from nmf_scratch.data.dataset import Dataset

DAY = 86_400


@pytest.fixture
def tiny():
    """Four items with 4, 2, 1, 1 ratings by four users with 4, 2, 1, 1."""
    ratings = pd.DataFrame(
        {
            "user": [9, 9, 9, 9, 2, 2, 3, 4],
            "item": ["a", "b", "c", "d", "a", "b", "a", "a"],
            "rating": [1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 2.0, 2.0],
            "timestamp": [0, 1, 2, 3, DAY, DAY, 3 * DAY, 3 * DAY],
        }
    )
    return Dataset("tiny", ratings, items=pd.DataFrame({"item": ["b", "a"], "title": ["Bee", None]}))


def test_ratings_are_counted_and_averaged_by_code(tiny):
    found = coded(tiny)
    assert list(found.user_ids) == [2, 3, 4, 9]
    assert list(found.user_counts) == [2, 1, 1, 4]
    assert list(found.item_counts) == [4, 2, 1, 1]
    assert list(found.user_means) == [5.0, 2.0, 2.0, 2.5]
    assert list(found.item_means) == [2.5, 3.5, 3.0, 4.0]


def test_items_go_by_their_title_or_else_their_id(tiny):
    assert item_names(tiny, coded(tiny).item_ids) == ["a", "Bee", "c", "d"]
    assert item_names(dataclasses.replace(tiny, items=None), np.array([3, 1])) == ["3", "1"]


def test_the_curve_of_shares_begins_with_the_most_rated():
    share, held = lorenz(np.array([1, 4, 2, 1]))
    np.testing.assert_allclose(share, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(held, [0, 0.5, 0.75, 0.875, 1])


class TestDensityGrid:
    def test_small_tables_are_shown_cell_by_cell(self, tiny):
        grid = density_grid(coded(tiny))
        expected = [[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]  # users and items by activity
        np.testing.assert_array_equal(grid.density, expected)
        assert list(grid.user_edges) == [0, 1, 2, 3, 4]

    def test_blocks_hold_the_share_of_their_pairs(self, tiny):
        grid = density_grid(coded(tiny), most=2)
        np.testing.assert_allclose(grid.density, [[1, 0.5], [0.5, 0]])

    def test_no_rating_is_lost_where_blocks_differ_in_size(self, demo):
        grid = density_grid(coded(demo), most=37)
        assert grid.density.shape == (37, 37)
        counts = grid.density * np.outer(np.diff(grid.user_edges), np.diff(grid.item_edges))
        assert counts.sum() == pytest.approx(demo.n_ratings)


def test_means_are_summarised_over_items_that_are_rated_as_often():
    """Items rated once have means 1 … 5; those rated eight times 3, 3, 3, 3, 5; one more is alone in its class."""
    counts, means = [1] * 5 + [8] * 5 + [100], [1, 2, 3, 4, 5, 3, 3, 3, 3, 5, 1]
    items = np.repeat(np.arange(11), counts)
    ratings = pd.DataFrame({"item": items, "rating": np.repeat(np.array(means, float), counts)})
    ratings["user"] = np.arange(len(ratings))
    found = popularity(coded(Dataset("steps", ratings)), n_bins=4)
    assert list(found["items"]) == [5, 5]
    assert list(found["low"]) == [2, 3]
    assert list(found["median"]) == [3, 3]
    assert list(found["high"]) == [4, 3]
    assert found["ratings"].is_monotonic_increasing


class TestOverTime:
    def test_days_by_hand(self, tiny):
        found = over_time(tiny, coded(tiny))
        assert found.attrs["period"] == "day"
        assert [f"{period.start_time:%d}" for period in found["start"]] == ["01", "02", "04"]  # none on the third
        assert list(found["ratings"]) == [4, 2, 2]
        assert list(found["new_users"]) == [1, 1, 2]
        assert list(found["mean"]) == [2.5, 5.0, 2.0]
        assert list(found["expected"]) == [(2.5 + 3.5 + 3 + 4) / 4, 3.0, 2.5]
        np.testing.assert_allclose(found["standard_error"], [np.std([1, 2, 3, 4]) / 2, 0, 0])

    @pytest.mark.parametrize(
        ("days", "period"), [(50, "day"), (300, "week"), (1500, "month"), (4000, "quarter"), (9000, "year")]
    )
    def test_the_longer_the_time_the_longer_the_periods(self, days, period):
        times = np.linspace(0, days * DAY, 400).astype(int)
        ratings = pd.DataFrame({"user": range(400), "item": 1, "rating": 3.0, "timestamp": times})
        found = over_time(Dataset("long", ratings), coded(Dataset("long", ratings)))
        assert found.attrs["period"] == period
        assert found["ratings"].sum() == found["new_users"].sum() == 400
        assert len(found) <= 60

    def test_milliseconds_are_recognised(self, tiny):
        later = tiny.ratings.assign(timestamp=1_600_000_000_000 + 1000 * tiny.ratings["timestamp"])
        data = dataclasses.replace(tiny, ratings=later)
        found = over_time(data, coded(data))
        assert {period.year for period in found["start"]} == {2020}
        assert list(found["ratings"]) == [4, 2, 2]
