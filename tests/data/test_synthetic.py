import hashlib

import numpy as np
import pandas as pd
import pytest

from nmf_scratch._check import InputError
from nmf_scratch.data.demo import GENRES, NOISE, TASTES
from nmf_scratch.data.synthetic import demo_truth, make_demo, planted_ratings

SHAPE = (60, 37, 3)


@pytest.fixture(scope="module")
def demo():
    return make_demo()


def rmse(error):
    return float(np.sqrt(np.mean(np.square(error))))


# --- planted ratings ---


@pytest.mark.parametrize("n_ratings", [60, 61, 400, 2000, 60 * 37])
def test_planted_pairs_are_distinct_and_cover_everyone(n_ratings):
    planted = planted_ratings(*SHAPE, n_ratings=n_ratings, random_state=1)
    pairs = planted.users * 37 + planted.items
    assert len(pairs) == len(planted.values) == n_ratings
    assert (np.diff(pairs) > 0).all()
    assert set(planted.users) == set(range(60))
    assert set(planted.items) == set(range(37))


def test_too_few_ratings_to_cover_everyone():
    planted = planted_ratings(*SHAPE, n_ratings=10)
    assert len(planted.values) == 10
    assert len(set(planted.users)) == 10


def test_planted_values_are_the_product_plus_noise():
    exact = planted_ratings(*SHAPE, density=0.5, noise=0.0, random_state=2)
    np.testing.assert_allclose(exact.values, (exact.W @ exact.H.T)[exact.users, exact.items])
    noisy = planted_ratings(*SHAPE, density=0.5, noise=0.05, random_state=2)
    np.testing.assert_array_equal(noisy.W, exact.W)
    assert rmse(noisy.values - exact.values) == pytest.approx(0.05, rel=0.1)


def test_planted_factors_are_non_negative_with_the_mean_asked_for():
    planted = planted_ratings(300, 200, 4, density=0.05, mean=3.5)
    assert planted.W.shape == (300, 4)
    assert planted.H.shape == (200, 4)
    assert (planted.W >= 0).all()
    assert (planted.H >= 0).all()
    assert (planted.W @ planted.H.T).mean() == pytest.approx(3.5, rel=0.05)
    assert (planted_ratings(*SHAPE, density=0.9, noise=50.0).values >= 0).all()


def test_planted_popularity_and_activity_are_uneven_unless_switched_off():
    even = planted_ratings(300, 200, 2, n_ratings=6000, popularity=0.0, activity=0.0)
    uneven = planted_ratings(300, 200, 2, n_ratings=6000)
    for name in ("users", "items"):
        flat, steep = (np.bincount(getattr(planted, name)).max() for planted in (even, uneven))
        assert steep > 2.5 * flat


def test_planted_ratings_are_a_function_of_the_seed():
    first, second, other = (planted_ratings(*SHAPE, density=0.3, random_state=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.items, second.items)
    assert not np.array_equal(first.values, other.values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give exactly one of n_ratings and density, got None and None"),
        ({"n_ratings": 5, "density": 0.1}, "give exactly one of n_ratings and density"),
        ({"density": 0.0}, "density must be a finite number > 0 and <= 1, got 0.0"),
        ({"n_ratings": 2221}, "n_ratings must be an integer >= 1 and <= 2220, got 2221"),
        ({"density": 0.1, "noise": -1.0}, "noise must be a finite number >= 0, got -1.0"),
        ({"density": 0.1, "mean": 0.0}, "mean must be a finite number > 0, got 0.0"),
    ],
)
def test_planted_options_out_of_range(options, message):
    with pytest.raises(InputError, match=message):
        planted_ratings(*SHAPE, **options)


def test_planted_shape_out_of_range():
    with pytest.raises(InputError, match="n_items must be an integer >= 1, got 0"):
        planted_ratings(3, 0, 1, density=0.5)


# --- the demo data ---


def test_demo_has_the_schema_of_ml_100k(demo):
    assert demo.ratings.columns.tolist() == ["user", "item", "rating", "timestamp"]
    assert demo.ratings.dtypes.map(str).tolist() == ["int64", "int64", "float64", "int64"]
    assert demo.users.columns.tolist() == ["user", "age", "gender", "occupation", "zip"]
    assert demo.items.columns.tolist() == ["item", "title", "year", "genres"]
    assert isinstance(demo.ratings.index, pd.RangeIndex)
    assert not demo.ratings.duplicated(["user", "item"]).any()


def test_demo_sizes(demo):
    assert 38_000 < demo.n_ratings < 42_000
    assert set(demo.ratings["user"]) == set(demo.users["user"]) == set(range(1, 601))
    assert set(demo.ratings["item"]) == set(demo.items["item"]) == set(range(1, 501))
    assert demo.ratings.groupby("user").size().min() >= 20
    assert set(demo.ratings["rating"]) == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_demo_users_and_items_are_plausible(demo):
    assert demo.users["age"].between(13, 75).all()
    assert set(demo.users["gender"]) == {"M", "F"}
    assert demo.users["zip"].str.fullmatch(r"\d{5}").all()
    assert demo.items["title"].is_unique
    assert demo.items["title"].str.fullmatch(r".+ \(\d{4}\)").all()
    np.testing.assert_array_equal(demo.items["title"].str.extract(r"\((\d{4})\)$")[0].astype(int), demo.items["year"])
    genres = demo.items["genres"].str.split("|")
    assert set(genres.explode()) == set(GENRES)
    assert len(GENRES) == 18
    assert genres.map(len).between(1, 4).all()


def test_demo_times_rise_in_sessions_over_seven_months(demo):
    times = demo.ratings.sort_values(["user", "timestamp"])
    gaps = times.groupby("user")["timestamp"].diff().dropna()
    assert gaps.median() < 60
    assert 195 < (times["timestamp"].max() - times["timestamp"].min()) / 86_400 < 220


def test_demo_is_the_same_every_time(demo):
    again = make_demo()
    pd.testing.assert_frame_equal(again.ratings, demo.ratings)
    pd.testing.assert_frame_equal(again.items, demo.items)
    pd.testing.assert_frame_equal(again.users, demo.users)


def test_demo_is_the_same_as_when_it_was_published(demo):
    digest = hashlib.sha256(demo.ratings.astype(np.int64).to_numpy().tobytes()).hexdigest()
    assert digest[:16] == "2d3fb300e083b922"


def test_demo_truth_explains_the_ratings_down_to_the_noise(demo):
    truth = demo_truth()
    assert truth.W.shape == (600, len(TASTES))
    assert truth.H.shape == (500, len(TASTES))
    for part in (truth.W, truth.H, truth.user_bias, truth.item_bias):
        assert (part >= 0).all()
    user, item = demo.ratings["user"].to_numpy() - 1, demo.ratings["item"].to_numpy() - 1
    expected = np.clip(truth.expected()[user, item], 1, 5)
    error = rmse(demo.ratings["rating"] - expected)
    assert NOISE < error < np.sqrt(NOISE**2 + 1 / 12) + 0.01  # rounding to whole stars adds 1/12 of variance
    assert error < 0.65 * demo.ratings["rating"].std(ddof=0)


def test_demo_tastes_go_with_age_gender_and_genre(demo):
    truth = demo_truth()
    taste = {name: column for column, name in enumerate(TASTES)}
    young = (demo.users["age"] < 26).to_numpy()
    women = (demo.users["gender"] == "F").to_numpy()
    elsewhere, hearts = truth.W[:, taste["elsewhere"]], truth.W[:, taste["hearts"]]
    assert elsewhere[young].mean() > 1.5 * elsewhere[~young].mean()
    assert hearts[women].mean() > 1.3 * hearts[~women].mean()
    romance = demo.items["genres"].str.contains("Romance").to_numpy()
    assert truth.H[romance, taste["hearts"]].min() > 0
    assert truth.H[romance, taste["hearts"]].mean() > 3 * truth.H[~romance, taste["hearts"]].mean()


def test_demo_tastes_matter_beyond_biases(demo):
    """Removing user and item means leaves much that the planted factors explain: there is something to learn."""
    truth = demo_truth()
    user, item = demo.ratings["user"].to_numpy() - 1, demo.ratings["item"].to_numpy() - 1
    rating = demo.ratings["rating"].to_numpy()
    b, c = np.zeros(600), np.zeros(500)
    for _ in range(20):
        b = np.bincount(user, rating - c[item]) / np.bincount(user)
        c = np.bincount(item, rating - b[user]) / np.bincount(item)
    bias_model = rmse(rating - np.clip(b[user] + c[item], 1, 5))
    assert bias_model > 1.3 * rmse(rating - np.clip(truth.expected()[user, item], 1, 5))
