"""`NMF.fit(X, y, sample_weight)`: weights on the way from the caller to the model, its file and its answers."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score

from nmf_scratch import NMF, InputError, Ratings
from nmf_scratch.data.ratings import take_rows
from nmf_scratch.fitted.explanation import influences

SETTINGS = {"n_components": 3, "solver": "als", "max_iter": 5, "random_state": 0, "tol": 0.0}


@pytest.fixture(scope="module")
def data():
    """Pairs, ratings and weights 0 … 3 of 40 users and 25 items."""
    rng = np.random.default_rng(8)
    users, items = np.nonzero(rng.random((40, 25)) < 0.5)
    return np.column_stack([users, items]) + 100, rng.integers(1, 6, len(users)), rng.integers(0, 4, len(users))


@pytest.fixture(scope="module")
def model(data):
    return NMF(**SETTINGS).fit(*data)


def same(first, second):
    return np.array_equal(first.W_, second.W_) and np.array_equal(first.H_, second.H_)


def test_weights_change_the_fit_and_ones_do_not(data, model):
    X, y, weights = data
    plain = NMF(**SETTINGS).fit(X, y)
    assert not same(model, plain)
    np.testing.assert_allclose(NMF(**SETTINGS).fit(X, y, np.ones(len(y))).W_, plain.W_, rtol=1e-5, atol=1e-6)
    assert model.mean_rating_ == pytest.approx(np.average(y, weights=weights))


def test_large_weights_are_obeyed(data):
    X, y, _ = data
    important = np.arange(len(y)) % 10 == 0
    errors = {}
    for weight in (1, 50):
        fitted = NMF(**SETTINGS).fit(X, y, np.where(important, weight, 1))
        errors[weight] = np.abs(fitted.predict(X) - y)[important].mean()
    assert errors[50] < 0.5 * errors[1]


def test_the_order_of_the_rows_does_not_matter(data, model):
    order = np.random.default_rng(0).permutation(len(data[1]))
    assert same(NMF(**SETTINGS).fit(*(column[order] for column in data)), model)


def test_training_error_is_that_of_the_weighted_ratings(data):
    X, y, weights = data
    fitted = NMF(**{**SETTINGS, "solver": "cd", "max_iter": 400}).fit(X, y, weights)
    errors = y - np.clip(fitted.predict(X), -np.inf, np.inf)
    raw = fitted.history_.to_frame()["train_rmse"].iloc[-1]
    assert np.sqrt(np.average(errors**2, weights=weights)) == pytest.approx(raw, rel=0.05)


def test_a_model_file_keeps_weights(data, model, tmp_path):
    model.save(tmp_path / "m.npz")
    for mmap in (False, True):
        loaded = NMF.load(tmp_path / "m.npz", mmap=mmap)
        np.testing.assert_array_equal(loaded.fitted_.ratings.weights, model.fitted_.ratings.weights)
    new = [(100, 101), (9999, 101)], [1, 5]
    assert same(loaded.partial_fit(*new), NMF.load(tmp_path / "m.npz").partial_fit(*new))


def test_a_checkpoint_of_other_weights_is_refused(data, tmp_path):
    X, y, weights = data
    NMF(**SETTINGS).fit(X, y, weights, checkpoint=tmp_path / "c.npz")
    with pytest.raises(InputError, match="other training ratings"):
        NMF(**SETTINGS).fit(X, y, np.maximum(weights, weights == 1) * 2, checkpoint=tmp_path / "c.npz", resume=True)


def test_new_ratings_may_have_weights(data):
    X, y, weights = data
    models = {weight: NMF(**SETTINGS).fit(X, y, weights) for weight in (None, 1, 50)}
    for weight, fitted in models.items():
        fitted.partial_fit([(100, 110)], [5], None if weight is None else [weight])
    assert same(models[None], models[1])
    error = {weight: abs(5 - fitted.predict([(100, 110)])[0]) for weight, fitted in models.items()}
    assert error[50] < error[1]
    plain = NMF(**SETTINGS).fit(X, y).partial_fit([(100, 110)], [5], [3])
    assert plain.fitted_.ratings.weights.max() == 3
    assert NMF(**SETTINGS).partial_fit(X, y, weights).W_.shape == plain.W_.shape


def test_reasons_know_the_weights(model):
    """The influences of a user's ratings on a factor add up to its part of the score, as without weights."""
    factors, view = model.fitted_.factors, model.fitted_.ratings.by_user
    for u in range(5):
        _, *seen = take_rows(view, np.array([u]))
        w, h = factors.W[u].astype(float), factors.H[3].astype(float)
        np.testing.assert_allclose(influences(model.fitted_, w, h, seen).sum(axis=1), (w * h)[:3], rtol=1e-3, atol=1e-4)


def test_scikit_learn_hands_weights_on(data):
    X, y, weights = data
    weights = weights + 1
    ours = cross_val_score(NMF(**SETTINGS), X, y, cv=3, params={"sample_weight": weights})
    assert not np.allclose(ours, cross_val_score(NMF(**SETTINGS), X, y, cv=3))
    search = GridSearchCV(NMF(**SETTINGS), {"alpha": [0.01, 0.1]}, cv=3).fit(X, y, sample_weight=weights)
    assert same(search.best_estimator_, NMF(**{**SETTINGS, **search.best_params_}).fit(X, y, weights))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], "sample_weight must hold one number per row of X"),
        (["a"] * 3, "sample_weight must hold numbers, got 'a' at position 0"),
        ([1, -2, 1], "weights must be finite and not negative, got -2.0 at position 1"),
        ([0, 0, 0], "weights must not all be zero"),
    ],
)
def test_unusable_weights_are_refused(weights, message):
    with pytest.raises(InputError, match=message):
        NMF(2).fit([(1, 1), (1, 2), (2, 1)], [1, 2, 3], weights)


def test_weights_go_with_rows():
    with pytest.raises(InputError, match="sample_weight goes with rows of X"):
        NMF(2).fit(Ratings.from_arrays([0, 1], [0, 1], [1, 2]), sample_weight=[1, 2])
    with_own = Ratings.from_arrays([0, 0, 1], [0, 1, 1], [1, 2, 4], weights=[1, 2, 3])
    assert NMF(2, max_iter=2).fit(with_own).mean_rating_ == pytest.approx(17 / 6)
