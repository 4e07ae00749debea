import numpy as np
import pandas as pd
import pytest

from nmf_scratch import InputError
from nmf_scratch.data.inputs import encode
from nmf_scratch.evaluation.baselines import (
    BASELINES,
    EASE,
    BiasModel,
    GlobalMean,
    ItemKNN,
    ItemMean,
    Popularity,
    UserMean,
)

PAIRS = pd.DataFrame({"user": ["a", "a", "b", "c", "c"], "item": [1, 2, 1, 2, 3]})
STARS = [5.0, 3.0, 4.0, 1.0, 2.0]
ASKED = pd.DataFrame({"user": ["a", "new", "a", "new"], "item": [3, 2, 9, 9]})


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        (GlobalMean(), [3.0, 3.0, 3.0, 3.0]),
        (UserMean(), [4.0, 3.0, 4.0, 3.0]),
        (ItemMean(), [2.0, 2.0, 3.0, 3.0]),
    ],
)
def test_means_by_hand_and_new_users_fall_back(baseline, expected):
    np.testing.assert_allclose(baseline.fit(PAIRS, STARS).predict(ASKED), expected)


def test_offsets_solve_their_own_least_squares_problem():
    rng = np.random.default_rng(0)
    users, items = np.divmod(rng.permutation(30 * 17)[:200], 17)
    stars = rng.integers(1, 6, 200).astype(float)
    model = BiasModel(reg_user=3.0, reg_item=2.0, max_iter=500).fit(np.column_stack([users, items]), stars)
    _, ratings = encode(np.column_stack([users, items]), stars)
    n_users, n_items = ratings.shape
    design = np.zeros((200 + n_users + n_items, n_users + n_items))
    rows = np.arange(200)
    design[rows, ratings.users] = 1
    design[rows, n_users + ratings.items] = 1
    design[200:] = np.diag(np.sqrt(np.r_[np.full(n_users, 3.0), np.full(n_items, 2.0)]))
    target = np.r_[ratings.values - model.mean_, np.zeros(n_users + n_items)]
    solution = np.linalg.lstsq(design, target, rcond=None)[0]
    np.testing.assert_allclose(np.r_[model.user_offset_, model.item_offset_], solution, atol=1e-6)


def test_predictions_stay_on_the_scale_of_the_training_ratings():
    predictions = BiasModel(reg_user=0.0, reg_item=0.0).fit(PAIRS, STARS).predict(PAIRS)
    assert predictions.min() >= 1
    assert predictions.max() <= 5


def test_bad_shrinkage_is_refused():
    with pytest.raises(InputError, match="reg_item must be a finite number >= 0, got -1"):
        BiasModel(reg_item=-1).fit(PAIRS, STARS)


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        (Popularity(), {"a": [3], "new": [1, 2, 3]}),
        (ItemMean(), {"a": [3], "new": [1, 2, 3]}),
        (BiasModel(), {"a": [3], "new": [1, 3, 2]}),
        (GlobalMean(), {"a": [3], "new": [1, 2, 3]}),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, dict) else "",
)
def test_everybody_gets_the_best_that_they_have_not_rated(baseline, expected):
    table = baseline.fit(PAIRS, STARS).recommend(["a", "new"], n=3)
    assert table.groupby("user")["item"].agg(list).to_dict() == expected
    assert list(table.columns) == ["user", "item", "score"]


def test_popularity_goes_by_numbers_and_the_bias_model_by_stars():
    pairs = [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("b", 2), ("c", 3)]
    stars = [2.0, 2.0, 2.0, 5.0, 4.0, 3.0]
    assert Popularity().fit(pairs, stars).recommend(["new"], 3)["item"].tolist() == [1, 2, 3]
    assert BiasModel().fit(pairs, stars).recommend(["new"], 3)["item"].tolist() == [2, 3, 1]
    assert Popularity().fit(pairs, stars).recommend(["a"], 1, exclude_seen=False)["item"].tolist() == [1]
    with pytest.raises(InputError, match="n must be an integer >= 1, got 0"):
        Popularity().fit(pairs, stars).recommend(["a"], 0)


def test_each_baseline_does_better_than_the_one_before(demo):
    from nmf_scratch import KFold, cross_validate

    folds = KFold(3, shuffle=True, random_state=0)
    errors = {name: cross_validate(make(), demo, cv=folds)["rmse"].mean() for name, make in BASELINES.items()}
    assert errors["bias model"] < min(errors["user mean"], errors["item mean"]) - 0.01
    assert max(errors["user mean"], errors["item mean"]) < errors["global mean"]


CHOSEN = pd.DataFrame({"user": [0, 0, 1, 1, 2, 2, 3], "item": [0, 1, 1, 2, 3, 4, 0]})


@pytest.mark.parametrize("model", [ItemKNN(n_neighbours=2), EASE(l2=0.5)])
def test_lists_by_items_hold_what_goes_with_what_was_chosen(model):
    table = model.fit(CHOSEN).recommend([3, 2, "new"], 1)
    assert table["item"].tolist()[0] == 1  # who chose 0 chose 1
    assert table["item"].tolist()[2] == 0  # the first of the most chosen


def test_cosines_by_hand_and_only_of_the_nearest():
    model = ItemKNN(n_neighbours=1).fit(CHOSEN)
    assert model.weights_[0, 1] == pytest.approx(0.5)
    assert model.weights_[1].round(6).tolist() == [0, 0, round(0.5**0.5, 6), 0, 0]
    assert model.weights_[3, 4] == pytest.approx(1.0)
    assert (np.diag(model.weights_) == 0).all()


def test_ease_minimises_what_it_says_column_by_column():
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame({"user": rng.integers(0, 30, 200), "item": rng.integers(0, 8, 200)}).drop_duplicates()
    model = EASE(l2=2.0).fit(pairs)
    X = model.confidences_.toarray()
    for i in range(8):
        others = [j for j in range(8) if j != i]
        ridge = np.linalg.solve(X[:, others].T @ X[:, others] + 2 * np.eye(7), X[:, others].T @ X[:, i])
        np.testing.assert_allclose(model.weights_[others, i], ridge, atol=1e-10)
        assert model.weights_[i, i] == 0


@pytest.mark.parametrize("model", [ItemKNN(0), EASE(0.0)])
def test_strengths_of_the_item_models_are_checked(model):
    with pytest.raises(InputError, match="must be"):
        model.fit(CHOSEN)
