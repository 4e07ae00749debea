import numpy as np
import pandas as pd
import pytest

from nmf_scratch.data.activity import coded
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.genres import (
    NO_GENRE,
    PRIOR,
    genre_pairs,
    genre_table,
    genre_tree,
    genres_of,
    leading_genres,
    members,
)


@pytest.fixture
def films():
    """Five films with 4, 3, 2, 1, 1 ratings; c has no genre, z is never rated."""
    counts = {"a": 4, "b": 3, "c": 2, "d": 1, "e": 1}
    values = {"a": 4.0, "b": 2.0, "c": 5.0, "d": 1.0, "e": 3.0}
    ratings = pd.DataFrame(
        [(user, item, values[item]) for item, n in counts.items() for user in range(n)],
        columns=["user", "item", "rating"],
    )
    items = pd.DataFrame(
        {
            "item": ["z", "e", "d", "b", "a"],
            "title": ["Zed", "Elf", "Dune", "Bee", "Ant"],
            "genres": ["Silent", "Drama|War", "Drama", "Drama", "Comedy|Drama"],
        }
    )
    return Dataset("films", ratings, items=items)


def test_genres_are_those_of_items_that_are_rated(films):
    ratings = coded(films)
    found = genres_of(films, ratings.item_ids)
    assert list(found) == ["Comedy", "Drama", "War"]
    assert found.to_numpy().tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 1, 0], [0, 1, 1]]


def test_without_genres_there_are_none():
    bare = Dataset("bare", pd.DataFrame({"user": [1], "item": [2], "rating": [3.0]}))
    assert genres_of(bare, np.array([2])).shape == (1, 0)
    assert members(pd.Series(["", None, "A|B"])).sum().to_dict() == {"A": 1, "B": 1}


def test_an_item_counts_in_each_of_its_genres(films):
    ratings = coded(films)
    table = genre_table(ratings, genres_of(films, ratings.item_ids)).set_index("genre")
    assert list(table.index) == ["Drama", "Comedy", "War"]
    assert table["items"].to_dict() == {"Drama": 4, "Comedy": 1, "War": 1}
    assert table["ratings"].to_dict() == {"Drama": 9, "Comedy": 4, "War": 1}
    assert table.loc["Drama", "mean"] == pytest.approx((4 * 4 + 3 * 2 + 1 + 3) / 9)
    assert table.loc["Drama", ["low", "high"]].tolist() == [2.0, 4.0]  # of 1, 2, 2, 2, 3, 4, 4, 4, 4


def test_pairs_are_held_against_chance(films):
    genres = genres_of(films, coded(films).item_ids)
    counts, lifts = genre_pairs(genres)
    assert set(counts.index) == {"Comedy", "Drama", "War"}
    assert counts.loc["Comedy", "Drama"] == 1
    assert lifts.loc["Comedy", "Drama"] == pytest.approx((1 + PRIOR) / (1 * 4 / 5 + PRIOR))
    assert lifts.loc["Comedy", "War"] == pytest.approx((0 + PRIOR) / (1 / 5 + PRIOR))
    assert np.isnan(np.diag(lifts)).all()
    np.testing.assert_array_equal(lifts, lifts.T)


def test_genres_of_like_company_are_neighbours():
    sets = ["A|B"] * 30 + ["C|D"] * 30 + ["A", "B", "C", "D"]
    order = list(genre_pairs(members(pd.Series(sets).sample(frac=1, random_state=1).reset_index(drop=True)))[0])
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset("AB"), frozenset("CD")}


def test_the_leading_genre_is_the_rarest_by_ratings(films):
    ratings = coded(films)
    found = leading_genres(genres_of(films, ratings.item_ids), ratings.item_counts)
    assert found == ["Comedy", "Drama", NO_GENRE, "Drama", "War"]
    assert leading_genres(pd.DataFrame(index=range(2)), np.array([1, 1])) == [NO_GENRE] * 2


def test_the_tree_holds_the_most_rated_under_one_genre_each(films):
    ratings = coded(films)
    tree = genre_tree(films, ratings, genres_of(films, ratings.item_ids), n_items=4)
    assert tree["name"].tolist() == ["Ant", "Bee", "Dune", "c"]  # Comedy and Drama both have four ratings
    assert tree["genre"].tolist() == ["Comedy", "Drama", "Drama", NO_GENRE]
    assert tree["ratings"].tolist() == [4, 3, 1, 2]
    assert tree["mean"].tolist() == [4.0, 2.0, 1.0, 5.0]
    assert tree.attrs["share"] == pytest.approx(10 / 11)
