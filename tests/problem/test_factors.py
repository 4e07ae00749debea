import numpy as np
import pytest
from problems import small_ratings

from nmf_scratch import InputError
from nmf_scratch.problem.factors import BIAS_LEVEL, Factors, scaled_start


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("k", [1, 7, 60])
def test_scaled_start_predicts_the_mean_rating(k, biases):
    ratings = small_ratings(1, n_users=200, n_items=150)
    factors = scaled_start(ratings, k, biases=biases, key=3)
    factors.check()
    predictions = factors.predict(ratings.users, ratings.items)
    assert predictions.mean() == pytest.approx(ratings.values.mean(), rel=0.05)


def test_bias_columns_are_where_the_module_says():
    ratings = small_ratings(1)
    factors = scaled_start(ratings, 4, key=0)
    assert factors.W.shape == (23, 6)
    assert factors.H.shape == (14, 6)
    assert factors.n_components == 4
    assert [columns.frozen for columns in factors.columns] == [5, 4]
    assert [columns.free_bias for columns in factors.columns] == [4, 5]
    np.testing.assert_array_equal(factors.W[:, 5], 1)
    np.testing.assert_array_equal(factors.H[:, 4], 1)
    np.testing.assert_allclose(factors.W[:, 4], BIAS_LEVEL * ratings.values.mean(), rtol=1e-6)


def test_both_dtypes_start_from_the_same_point():
    ratings = small_ratings(1)
    single, double = (scaled_start(ratings, 4, dtype=dtype, key=9) for dtype in ("float32", "float64"))
    np.testing.assert_array_equal(single.W, double.W.astype(np.float32))
    np.testing.assert_array_equal(single.H, double.H.astype(np.float32))


def test_the_key_decides_the_start():
    ratings = small_ratings(1)
    first, again, other = (scaled_start(ratings, 4, key=key) for key in (1, 1, 2))
    np.testing.assert_array_equal(first.W, again.W)
    assert not np.array_equal(first.W, other.W)


@pytest.mark.parametrize("biases", [True, False])
def test_in_unit_scales_predictions_and_nothing_else(biases):
    ratings = small_ratings(2)
    factors = scaled_start(ratings, 4, biases=biases, dtype="float64", key=0)
    before = factors.predict(ratings.users, ratings.items)
    scaled = factors.in_unit(3.7)
    scaled.check()
    np.testing.assert_allclose(scaled.predict(ratings.users, ratings.items), 3.7 * before, rtol=1e-12)


@pytest.mark.parametrize(
    ("W", "H", "biases", "message"),
    [
        ([[1.0, -1.0]], [[1.0, 1.0]], False, "W must be finite and non-negative, got a minimum of -1.0"),
        ([[1.0, np.nan]], [[1.0, 1.0]], False, "W must be finite"),
        ([[1.0, 1.0]], [[1.0]], False, "as many columns, got 2 and 1"),
        ([[1.0, 1.0, 0.5]], [[1.0, 1.0, 1.0]], True, "column 2 of W is frozen"),
    ],
)
def test_check_names_what_is_wrong(W, H, biases, message):
    with pytest.raises(InputError, match=message):
        Factors(np.array(W), np.array(H), biases).check()


def test_check_refuses_a_layout_that_kernels_cannot_use():
    with pytest.raises(InputError, match="W must be a C-contiguous matrix"):
        Factors(np.asfortranarray(np.ones((3, 2))), np.ones((4, 2))).check()
