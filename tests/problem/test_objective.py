from dataclasses import replace

import numpy as np
import pytest
from problems import EMPTY_ITEM, EMPTY_USER, OBJECTIVES, WITH_CELLS, dense, naive_sides, small_ratings
from reference import problem as naive

from nmf_scratch import InputError, Ratings
from nmf_scratch.problem.factors import Factors, scaled_start
from nmf_scratch.problem.objective import Objective, divergence


@pytest.fixture(params=OBJECTIVES)
def objective(request):
    return OBJECTIVES[request.param]


BETAS = [2.0, 1.5, 1.0, 0.5, 0.0]
PROBLEMS = {
    f"{kind}, loss {beta}": replace(problem, loss=beta) for kind, problem in OBJECTIVES.items() for beta in BETAS
}
PROBLEMS |= {f"{kind}, all cells": problem for kind, problem in WITH_CELLS.items()}

every_problem = pytest.mark.parametrize("objective", PROBLEMS.values(), ids=PROBLEMS)


@every_problem
@pytest.mark.parametrize("biases", [True, False])
def test_value_equals_the_dense_twin(objective, biases):
    ratings = small_ratings(1)
    factors = scaled_start(ratings, 3, biases=biases, dtype="float64", key=1)
    expected = naive.objective(
        dense(ratings),
        factors.W,
        factors.H,
        naive_sides(objective, ratings, factors),
        objective.loss,
        objective.unobserved_weight,
    )
    assert objective.value(ratings, factors) == pytest.approx(expected, rel=1e-12)


@every_problem
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("biases", [True, False])
def test_gradient_equals_finite_differences(objective, biases, side):
    ratings = small_ratings(2)
    factors = scaled_start(ratings, 3, biases=biases, dtype="float64", key=2)
    matrix, frozen = (factors.W, factors.H)[side], factors.columns[side].frozen
    gradient = objective.gradient(ratings, factors)[side]
    step = 1e-5
    for row, column in np.ndindex(matrix.shape):
        if column == frozen:
            assert gradient[row, column] == 0
            continue
        here = matrix[row, column]
        values = []
        for moved in (here + step, here - step):
            matrix[row, column] = moved
            values.append(objective.value(ratings, factors))
        matrix[row, column] = here
        assert gradient[row, column] == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-7)


def test_kkt_residual_is_zero_at_a_known_minimiser_and_positive_beside_it():
    # One user, two items, H fixed by symmetry: w = (2, 0) with H rows (1, 0) and (0, 1) fits (2, 0) exactly.
    ratings = Ratings.from_arrays([0, 0], [0, 1], [2.0, 0.0])
    factors = Factors(np.array([[2.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert Objective().kkt_residual(ratings, factors) == 0
    factors.W[0, 0] = 1.0
    assert Objective().kkt_residual(ratings, factors) > 0.1


def test_kkt_residual_with_biases_has_a_unit():
    """Columns in stars and in √stars are averaged: only for ratings with a fixed mean is it a pure number."""
    ratings = Ratings.from_dense([[5.0, 3.0, np.nan], [4.0, np.nan, 1.0]])
    factors = scaled_start(ratings, 2, biases=True, dtype="float64", key=0)
    larger = ratings.with_values(100 * ratings.values), factors.in_unit(100.0)
    before, after = Objective().kkt_residual(ratings, factors), Objective().kkt_residual(*larger)
    assert abs(before - after) > 1e-3
    plain = scaled_start(ratings, 2, biases=False, dtype="float64", key=0)
    larger = ratings.with_values(100 * ratings.values), plain.in_unit(100.0)
    assert Objective().kkt_residual(*larger) == pytest.approx(Objective().kkt_residual(ratings, plain))


def test_kkt_residual_counts_an_entry_without_curvature_that_a_lasso_sends_to_zero():
    ratings = Ratings.from_dense([[1.1]])
    factors = Factors(np.array([[1.0, 0.5]]), np.array([[1.0, 0.0]]))
    lasso = Objective(alpha=(0.1, 0.1), l1_ratio=1.0)
    assert lasso.kkt_residual(ratings, factors) == pytest.approx(0.5 / np.sqrt(1.25 / 2), rel=1e-6)  # 0.632


def test_all_zeros_satisfy_the_conditions():
    ratings = Ratings.from_dense([[5.0, 3.0], [4.0, 1.0]])
    assert Objective().kkt_residual(ratings, Factors(np.zeros((2, 3)), np.zeros((2, 3)))) == 0.0


def test_the_weight_of_a_divergence_is_its_curvature_only_where_the_residual_is_zero():
    r, beta, step = 5.0, 0.5, 1e-4

    def curvature(at):
        around = divergence(np.full(3, r), at + step * np.array([-1.0, 0.0, 1.0]), beta)
        return (around[0] - 2 * around[1] + around[2]) / step**2

    assert curvature(r) == pytest.approx(r ** (beta - 2), rel=1e-4)
    assert curvature(2.0) == pytest.approx(2.0 ** (beta - 3) * ((beta - 1) * 2.0 + (2 - beta) * r), rel=1e-4)
    assert curvature(2.0) > 1.5 * 2.0 ** (beta - 2)


def test_kkt_residual_is_free_of_the_scale_of_the_ratings():
    ratings = small_ratings(3)
    factors = scaled_start(ratings, 3, biases=False, dtype="float64", key=3)
    scaled = ratings.with_values(ratings.values * 16)
    larger = Factors(factors.W * 4, factors.H * 4)
    plain = Objective((0.1, 0.1))
    stronger = Objective((1.6, 1.6))
    assert stronger.kkt_residual(scaled, larger) == pytest.approx(plain.kkt_residual(ratings, factors), rel=1e-6)


def test_rows_without_ratings_do_not_disturb_the_objective():
    ratings = small_ratings(4)
    factors = scaled_start(ratings, 3, dtype="float64", key=4)
    before = OBJECTIVES["count"].kkt_residual(ratings, factors)
    factors.W[EMPTY_USER, :3] *= 0.5
    factors.H[EMPTY_ITEM, :3] *= 0.5
    assert np.isfinite(before)
    assert OBJECTIVES["count"].kkt_residual(ratings, factors) == pytest.approx(before, rel=0.02)


@pytest.mark.parametrize("beta", BETAS)
def test_a_divergence_is_zero_at_the_rating_and_positive_beside_it(beta):
    ratings = np.array([0.5, 1.0, 3.0])
    np.testing.assert_allclose(divergence(ratings, ratings, beta), 0, atol=1e-12)
    assert (divergence(ratings, ratings * 1.3, beta) > 0).all()
    assert (divergence(ratings, ratings * 0.7, beta) > 0).all()


def test_ratings_of_zero_have_a_finite_divergence_above_beta_zero():
    np.testing.assert_allclose(divergence(np.zeros(1), np.array([0.4]), 1.0), 0.4)
    assert np.isfinite(divergence(np.zeros(1), np.array([0.4]), 0.5)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": (-1.0, 0.0)}, r"alpha must be a finite number >= 0, got -1.0"),
        ({"alpha_bias": (0.0, np.nan)}, r"alpha_bias must be a finite number >= 0, got nan"),
        ({"l1_ratio": 1.5}, r"l1_ratio must be a finite number >= 0 and <= 1, got 1.5"),
        (
            {"weighting": "counts"},
            r"weighting='counts' is unknown \(did you mean 'count'\?\); choose one of: count, pl",
        ),
        ({"weighting": 1.5}, r"weighting must be a finite number >= 0 and <= 1, got 1.5"),
        ({"unobserved_weight": 0.1, "loss": 1.0}, r"unobserved_weight=0.1 needs squared error, loss=2; got 1"),
        ({"unobserved_weight": -1}, r"unobserved_weight must be a finite number >= 0, got -1"),
        ({"weighting": None}, r"weighting must be a finite number >= 0 and <= 1, got None"),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Objective(**arguments)


@pytest.mark.parametrize(("weighting", "expected"), [("plain", [3, 3, 3]), ("count", [0, 12, 27]), (0.5, [0, 6, 9])])
def test_strengths_grow_with_the_number_of_ratings_by_hand(weighting, expected):
    objective = Objective((1.0, 3.0), l1_ratio=0.25, weighting=weighting)
    penalty = objective.penalty(1, np.array([0, 4, 9]), np.dtype("float64"), 10)
    np.testing.assert_allclose(penalty.ridge, np.multiply(0.75, expected))
    np.testing.assert_allclose(penalty.lasso, np.multiply(0.25, expected))


@pytest.mark.parametrize(("name", "number"), [("count", 1), ("plain", 0)])
def test_the_names_of_exponents_are_numbers(name, number):
    ratings = small_ratings(2)
    factors = scaled_start(ratings, 3, dtype="float64", key=2)
    named, numbered = (Objective((0.1, 0.2), weighting=weighting) for weighting in (name, number))
    assert named.value(ratings, factors) == numbered.value(ratings, factors)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("biases", [True, False])
def test_ratings_taken_in_parts_give_the_same(objective, biases, beta, monkeypatch):
    objective, ratings = replace(objective, loss=beta), small_ratings(5)
    factors = scaled_start(ratings, 3, biases=biases, dtype="float64", key=5)

    def evaluated():
        return objective.value(ratings, factors), objective.kkt_residual(ratings, factors)

    whole, gradients = evaluated(), objective.gradient(ratings, factors)
    monkeypatch.setattr("nmf_scratch.problem.objective.PART_RATINGS", 7)  # a few users each, and some alone
    assert evaluated() == pytest.approx(whole, rel=1e-12)
    for in_parts, at_once in zip(objective.gradient(ratings, factors), gradients, strict=True):
        np.testing.assert_allclose(in_parts, at_once, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("w", "h", "r", "alpha", "expected"),
    [
        (1.0, 2.0, 4.0, (3.0, 1.0), 1 / 7),  # of w: gradient 3 − 4, curvature 4 + 3; h is where it should be
        (0.0, 1.0, 3.0, (0.0, 0.0), 3.0),  # of w: gradient −3, curvature 1; all of W is zero, so its scale is one
        (2.0, 0.0, 0.0, (5.0, 0.0), 1.0),  # of w: gradient 10, curvature 5, so it moves by 2, which is its scale
    ],
)
def test_kkt_residual_by_hand(w, h, r, alpha, expected):
    factors = Factors(np.array([[w]]), np.array([[h]]))
    assert Objective(alpha).kkt_residual(Ratings.from_arrays([0], [0], [r]), factors) == pytest.approx(expected)


@pytest.mark.parametrize(("l1_ratio", "expected"), [(0.0, 0.0), (1.0, 0.5 / np.sqrt((1 + 0.25) / 2))])
def test_without_curvature_only_a_lasso_moves_an_entry_and_all_the_way(l1_ratio, expected):
    # The second user has no ratings and the first is where the lasso would have it: 1 · (2 − 1 · 1) = α.
    ratings = Ratings.from_arrays([0], [0], [2.0], n_users=2)
    objective = Objective((l1_ratio, l1_ratio), l1_ratio=l1_ratio, weighting="plain")
    factors = Factors(np.array([[1.0], [0.5]]), np.array([[2.0 - l1_ratio]]))
    assert objective.kkt_residual(ratings, factors) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("beta", "expected"), [(1.0, np.log(1e12) - 1), (0.0, 1e12 - np.log(1e12) - 1), (0.5, 2e6 - 4)]
)
def test_a_prediction_of_zero_counts_as_the_least_one(beta, expected):
    # By hand, with r = 1 and a prediction of 1e-12: log(r/p) − r + p;  r/p − log(r/p) − 1;  2 (√p − 2√r + r/√p).
    assert divergence(np.ones(1), np.zeros(1), beta)[0] == pytest.approx(expected, rel=1e-6)
