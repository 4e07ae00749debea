import numpy as np
import pytest
from problems import EMPTY_ITEM, small_ratings

from nmf_scratch import NMF, InputError
from nmf_scratch.problem.factors import BIAS_LEVEL, scaled_start
from nmf_scratch.problem.initialisers import INITIALISERS, filled, own_start, shrunk_offsets

every_start = pytest.mark.parametrize("name", INITIALISERS)


@every_start
@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("k", [1, 4, 30])
def test_starts_are_positive_and_near_the_mean_rating(name, biases, dtype, k):
    ratings = small_ratings(1)
    factors = INITIALISERS[name](ratings, k, biases=biases, dtype=dtype, key=1)
    factors.check()
    assert factors.W.dtype == factors.H.dtype == dtype
    assert factors.n_components == k
    for X, columns in zip((factors.W, factors.H), factors.columns, strict=True):
        assert (X[:, : columns.n_latent] > 0).all()
    assert factors.predict(ratings.users, ratings.items).mean() == pytest.approx(ratings.values.mean(), rel=0.15)


@every_start
def test_the_key_repeats_a_start(name):
    ratings = small_ratings(2)
    first, again = (INITIALISERS[name](ratings, 4, key=3) for _ in range(2))
    np.testing.assert_array_equal(first.W, again.W)
    np.testing.assert_array_equal(first.H, again.H)


@every_start
def test_no_matrix_is_too_small(name):
    ratings = small_ratings(1).take([0])
    INITIALISERS[name](ratings, 3, key=0).check()


def test_the_filled_operator_is_the_matrix_it_stands_for():
    ratings = small_ratings(3)
    values = ratings.values.astype(np.float64)
    b, c = shrunk_offsets(ratings, values - values.mean(), 10.0, 10.0)
    dense = values.mean() + b[:, None] + c - 0.5
    dense[ratings.users, ratings.items] = values - 0.5
    operator = filled(ratings, taken=0.5)
    np.testing.assert_allclose(operator @ np.eye(ratings.n_items), dense, atol=1e-12)
    np.testing.assert_allclose(operator.T @ np.eye(ratings.n_users), dense.T, atol=1e-12)


def test_a_spectral_start_fits_better_than_a_random_one():
    ratings = small_ratings(4, n_users=90, n_items=60)
    errors = {}
    for name in ("scaled", "nndsvda"):
        factors = INITIALISERS[name](ratings, 5, biases=False, key=0)
        errors[name] = np.mean((ratings.values - factors.predict(ratings.users, ratings.items)) ** 2)
    assert errors["nndsvda"] < errors["scaled"]


def test_rows_with_few_ratings_start_near_the_average_row():
    ratings = small_ratings(5)
    scaled, popular = (INITIALISERS[name](ratings, 4, key=0) for name in ("scaled", "popularity"))
    spread = [factors.H[:, :4].std(axis=1) for factors in (scaled, popular)]
    assert spread[1][EMPTY_ITEM] == pytest.approx(0, abs=1e-6)
    assert (spread[1] <= spread[0] + 1e-6).all()
    assert popular.H[EMPTY_ITEM, 5] == pytest.approx(BIAS_LEVEL * ratings.values.mean(), rel=1e-5)


class TestOwnFactors:
    ratings = small_ratings(6)

    def test_own_factors_are_taken_as_they_are(self):
        W, H = np.full((23, 2), 0.3), np.full((14, 2), 0.4)
        factors = own_start((W, H, np.full(23, 0.1), np.full(14, 0.2)), self.ratings, 2, dtype="float64")
        np.testing.assert_allclose(factors.predict(np.arange(3), np.arange(3)), 2 * 0.12 + 0.3)
        assert own_start((W, H), self.ratings, 2, biases=False).W.shape == (23, 2)

    def test_a_warm_start_continues_where_the_other_model_was(self):
        first = NMF(3, solver="mu", tol=0, max_iter=30, dtype="float64", random_state=0).fit(self.ratings)
        own = (first.W_, first.H_, first.user_bias_, first.item_bias_)
        second = NMF(3, solver="mu", tol=0, max_iter=1, dtype="float64", init=own).fit(self.ratings)
        end, start = first.history_.records[-1].objective, second.history_.records[0].objective
        assert start == pytest.approx(end)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ((np.ones((23, 3)), np.ones((14, 2))), r"init: W must have shape \(23, 2\), got \(23, 3\)"),
            ((np.ones((23, 2)), np.ones((5, 2))), r"init: H must have shape \(14, 2\), got \(5, 2\)"),
            ((np.ones((23, 2)), np.ones((14, 2)), np.ones(2), np.ones(14)), r"init: user_bias must have shape \(23,\)"),
            ((np.ones((23, 2)), -np.ones((14, 2))), "H must be finite and non-negative"),
            (np.ones((23, 2)), r"init must be a name, \(W, H\) or \(W, H, user_bias, item_bias\), got ndarray"),
        ],
    )
    def test_unusable_factors_are_refused(self, given, message):
        with pytest.raises(InputError, match=message):
            own_start(given, self.ratings, 2)


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="init='nndsvd' is unknown .*choose one of: nndsvda, popularity, scaled"):
        NMF(2, init="nndsvd").fit(small_ratings(1))


def test_scaled_is_the_default_of_the_model():
    ratings = small_ratings(1)
    by_default = NMF(2, random_state=5, max_iter=1).fit(ratings).history_.records[0].objective
    by_name = NMF(2, init="scaled", random_state=5, max_iter=1).fit(ratings).history_.records[0].objective
    assert by_default == by_name
    assert scaled_start(ratings, 2, key=5).W.shape == (23, 4)
