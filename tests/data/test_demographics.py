import numpy as np
import pandas as pd
import pytest

from nmf_scratch.data.activity import coded
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.demographics import PRIOR, age_groups, group_table, groups_of, preference_lifts
from nmf_scratch.data.genres import genres_of


@pytest.fixture
def club():
    """Three users: one saw two comedies, one a comedy and a war film, one (of unknown age) a drama that is both."""
    ratings = pd.DataFrame(
        {"user": [3, 3, 1, 1, 2], "item": ["a", "b", "a", "w", "m"], "rating": [4.0, 2.0, 5.0, 5.0, 1.0]}
    )
    users = pd.DataFrame(
        {"user": [1, 2, 3], "age": [30, None, 12], "gender": ["M", "F", "F"], "occupation": ["none", "spy", "spy"]}
    )
    items = pd.DataFrame({"item": ["a", "b", "w", "m"], "genres": ["Comedy", "Comedy", "War", "Comedy|War"]})
    return Dataset("club", ratings, users=users, items=items)


@pytest.mark.parametrize(
    ("age", "group"), [(1, "under 18"), (17, "under 18"), (18, "18–24"), (56, "56 and over"), (99, "56 and over")]
)
def test_age_groups_hold_their_lower_bound(age, group):
    assert age_groups(pd.Series([age])).tolist() == [group]


def test_groups_are_worded_and_follow_the_ids(club):
    found = groups_of(club, np.array([3, 1, 2]))
    assert found["gender"].tolist() == ["women", "men", "women"]
    assert found["occupation"].tolist() == ["spy", "no occupation", "spy"]
    assert found["age"].astype(object).where(found["age"].notna(), None).tolist() == ["under 18", "25–34", None]


def test_what_is_not_known_makes_no_groups(club):
    bare = Dataset("bare", club.ratings, users=pd.DataFrame({"user": [1, 2], "age": [None, None], "zip": ["1", "2"]}))
    assert groups_of(bare, np.array([1, 2, 3])) == {}
    assert groups_of(Dataset("bare", club.ratings), np.array([1])) == {}


def test_groups_are_counted_with_their_mean_rating(club):
    ratings = coded(club)
    found = group_table(groups_of(club, ratings.user_ids)["gender"], ratings)
    assert found.to_dict("list") == {
        "group": ["women", "men"], "users": [2, 1], "ratings": [3, 2], "mean": [pytest.approx(7 / 3), 5.0],
    }  # fmt: skip
    ages = group_table(groups_of(club, ratings.user_ids)["age"], ratings)
    assert ages["group"].tolist() == ["under 18", "25–34"]  # by age, not by size; nobody else


def test_lifts_count_each_user_once_and_are_shrunk(club):
    """Shares of comedy: user 1 has 1/2, user 2 has 1/2 (of one film), user 3 has 1: 2/3 on average."""
    ratings = coded(club)
    genres = genres_of(club, ratings.item_ids)
    found = preference_lifts(groups_of(club, ratings.user_ids)["gender"], ratings, genres)
    assert list(found) == ["women", "men"]
    assert list(found.index) == ["Comedy", "War"]
    women = (2 * (0.75 / (2 / 3)) + PRIOR) / (2 + PRIOR)
    men = (1 * (0.5 / (1 / 3)) + PRIOR) / (1 + PRIOR)
    assert found.loc["Comedy", "women"] == pytest.approx(women)
    assert found.loc["War", "men"] == pytest.approx(men)


def test_planted_preferences_are_found(demo):
    """Homemakers were given 2.2 times the usual weight for family films, and half that for what lies elsewhere."""
    ratings = coded(demo)
    lifts = preference_lifts(
        groups_of(demo, ratings.user_ids)["occupation"], ratings, genres_of(demo, ratings.item_ids)
    )
    assert lifts.loc["Children's", "homemaker"] > 1.05 > 0.95 > lifts.loc["Sci-Fi", "homemaker"]
    assert lifts.loc["Sci-Fi", "programmer"] > 1.1
