from dataclasses import replace

import numpy as np
import pytest
from problems import EMPTY_USER, OBJECTIVES, small_ratings
from scipy.optimize import nnls

from nmf_scratch import InputError
from nmf_scratch.problem.factors import Factors, scaled_start
from nmf_scratch.problem.objective import Objective, exponent
from nmf_scratch.solvers import AlternatingLeastSquares
from nmf_scratch.solvers.exact_rows import descend, pivot
from nmf_scratch.training import Monitor, Stopping, fit_factors

STRICTLY_CONVEX = [kind for kind in OBJECTIVES if kind != "none"]
METHODS = {
    "pivoting": AlternatingLeastSquares(),
    "descent": AlternatingLeastSquares(method="descent", descent_sweeps=100_000, tolerance=1e-13),
}


def random_problem(seed, *, n=8, n_rows=20, ridge=0.0):
    """Draw A = BᵀB + ridge and d of mixed signs, so that about half of the solution is zero."""
    rng = np.random.default_rng(seed)
    B = rng.random((n_rows, n))
    return B.T @ B + ridge * np.eye(n), rng.normal(size=n) * n_rows / 4, rng.random(n) * (rng.random(n) < 0.5)


def by_scipy(A, d):
    """Minimise ½ w·Aw − d·w over w ≥ 0 as the least squares of ‖Lᵀw − L⁻¹d‖, A = LLᵀ."""
    L = np.linalg.cholesky(A)
    return nnls(L.T, np.linalg.solve(L, d))[0]


def one_epoch(solver, ratings, start, objective):
    factors = start.copy()
    solver.epoch(solver.start(ratings, factors, objective, key=0, max_iter=1))
    return factors


@pytest.mark.parametrize("n", [1, 2, 5, 17, 40])
@pytest.mark.parametrize("seed", range(20))
def test_both_kernels_agree_with_scipy(seed, n):
    A, d, w = random_problem(seed, n=n, n_rows=n + 3, ridge=0.1)
    expected, other = by_scipy(A, d), w.copy()
    assert pivot(A, d, w)
    descend(A, d, other, 100_000, 1e-14)
    np.testing.assert_allclose(w, expected, atol=1e-9)
    np.testing.assert_allclose(other, expected, atol=1e-6)
    assert ((w > 0) == (expected > 1e-12)).all()


def augmented(ratings, u, H, columns, objective):
    """Return the rows of user u's penalised problem as one least-squares system over the free columns."""
    known = ratings.users == u
    h, n = H[ratings.items[known]], known.sum()
    free = [f for f in range(H.shape[1]) if f != columns.frozen]
    target = ratings.values[known] - (h[:, columns.frozen] if columns.frozen >= 0 else 0)
    strength = objective.alpha[0] * n ** exponent(objective.weighting) * (1 - objective.l1_ratio)
    ridge = np.array([strength if f < columns.n_latent else objective.alpha_bias[0] for f in free])
    centre = np.array([0.0 if f < columns.n_latent else objective.bias_level for f in free])
    root = np.sqrt(ridge)
    return free, np.vstack([h[:, free], np.diag(root)]), np.concatenate([target, root * centre])


@pytest.mark.parametrize("biases", [True, False], ids=["biases", "plain"])
@pytest.mark.parametrize("kind", ["count", "plain"])
@pytest.mark.parametrize("method", METHODS)
def test_half_step_is_the_non_negative_least_squares_of_the_augmented_system(method, kind, biases):
    ratings, objective = small_ratings(1), OBJECTIVES[kind]
    start = scaled_start(ratings, 4, biases=biases, dtype="float64", key=1)
    W = one_epoch(METHODS[method], ratings, start, objective).W
    zeros = 0
    for u in np.flatnonzero(ratings.user_counts):
        free, system, target = augmented(ratings, u, start.H, start.columns[0], objective)
        expected, _ = nnls(system, target)
        np.testing.assert_allclose(W[u, free], expected, atol=1e-9)
        zeros += np.sum(expected == 0)
    assert zeros > 10  # else the constraint was not tested


@pytest.mark.parametrize("kind", STRICTLY_CONVEX)
def test_both_methods_land_on_the_same_point(kind):
    ratings, objective = small_ratings(2), OBJECTIVES[kind]
    start = scaled_start(ratings, 6, dtype="float64", key=2)
    first, second = (one_epoch(solver, ratings, start, objective) for solver in METHODS.values())
    np.testing.assert_allclose(first.W, second.W, atol=1e-6)
    np.testing.assert_allclose(first.H, second.H, atol=1e-6)


@pytest.mark.parametrize("kind", STRICTLY_CONVEX)
@pytest.mark.parametrize("method", METHODS)
def test_the_first_guess_does_not_matter(method, kind):
    """The minimiser of a half-step is unique; it must not depend on where the row was."""
    ratings, objective = small_ratings(3), OBJECTIVES[kind]
    start = scaled_start(ratings, 4, dtype="float64", key=3)
    sparse, rng = start.copy(), np.random.default_rng(3)
    sparse.W[:, :5] *= rng.random((ratings.n_users, 5)) < 0.3
    first, second = (one_epoch(METHODS[method], ratings, factors, objective) for factors in (start, sparse))
    rated = ratings.user_counts > 0
    np.testing.assert_allclose(first.W[rated], second.W[rated], atol=1e-9)


@pytest.mark.compiled
@pytest.mark.parametrize("biases", [True, False], ids=["biases", "plain"])
@pytest.mark.parametrize("kind", STRICTLY_CONVEX)
@pytest.mark.parametrize("method", METHODS)
def test_run_long_it_is_stationary(method, kind, biases):
    ratings, objective = small_ratings(4), OBJECTIVES[kind]
    start = scaled_start(ratings, 3, biases=biases, dtype="float64", key=4)
    result = fit_factors(ratings, start, METHODS[method], objective, Stopping(1000), monitor=Monitor(every=50))
    assert result.history.records[-1].kkt <= 1e-5


def test_a_row_is_at_its_minimum_after_its_half_step():
    ratings, objective = small_ratings(5), OBJECTIVES["lasso"]
    start = scaled_start(ratings, 4, dtype="float64", key=5)
    factors = Factors(one_epoch(AlternatingLeastSquares(), ratings, start, objective).W, start.H, biases=True)
    gradient = objective.gradient(ratings, factors)[0]
    positive = factors.W > 0
    assert np.abs(gradient[positive]).max() < 1e-12
    assert gradient[~positive].min() > -1e-12


def test_a_singular_problem_goes_to_descent_which_never_rises():
    A, d, w = random_problem(6, n=6, n_rows=3)
    d = A @ np.ones(6)  # something in reach: minimisers fill a part of a plane
    w[:] = np.random.default_rng(6).random(6)
    before = w.copy()
    assert not pivot(A, d, w)
    np.testing.assert_array_equal(w, before)
    values = []
    for _ in range(50):
        values.append(0.5 * w @ A @ w - d @ w)
        descend(A, d, w, 1, 0.0)
    assert (np.diff(values) <= 1e-12).all()
    assert values[-1] == pytest.approx(-0.5 * d @ np.ones(6), rel=1e-3)


def test_what_is_left_by_rounding_counts_as_singular():
    B = np.random.default_rng(11).random((9, 3))
    B[:, 2] = B[:, 1] * (1 + 3e-6 * B[:, 0])
    A = B.T @ B
    assert np.linalg.eigvalsh(A)[0] < 1e-10
    assert not pivot(A, A @ np.ones(3), np.ones(3))


def test_pivoting_survives_a_tie():
    """The gradient of the entry that is zero is exactly zero too: rounding must not send it to and fro."""
    A = np.array([[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]]) / 3
    for start in (np.ones(3), np.array([1.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])):
        w = start.copy()
        assert pivot(A, A @ np.array([1.0, 1.0, 0.0]), w)
        np.testing.assert_allclose(w, [1, 1, 0], atol=1e-12)


@pytest.mark.parametrize("scale", [1e-20, 1e20])
@pytest.mark.parametrize("seed", range(8))
def test_the_unit_of_a_column_does_not_matter(seed, scale):
    """Without a penalty columns drift: one side tiny, the other huge. What is small is not therefore nothing."""
    A, d, w = random_problem(seed, n=5, ridge=0.1)
    unit = np.array([1.0, scale, 1.0, 1.0, scale])
    expected, moved, other = by_scipy(A, d), w / unit, w / unit
    assert pivot(A * np.outer(unit, unit), d * unit, moved)
    descend(A * np.outer(unit, unit), d * unit, other, 10_000, 1e-14)
    np.testing.assert_allclose(moved * unit, expected, atol=1e-9)
    np.testing.assert_allclose(other * unit, expected, atol=1e-9)


def guesses_of_full_exchanges(A, d):
    """Change all wrong signs over at once, from the full support; return the guesses until right or known already."""
    support, seen = np.ones(len(d), dtype=bool), []
    while support.tolist() not in seen:
        seen.append(support.tolist())
        x = np.zeros(len(d))
        x[support] = np.linalg.solve(A[np.ix_(support, support)], d[support])
        support = support ^ np.where(support, x < 0, A @ x < d)
    return [*seen, support.tolist()]


def test_single_exchanges_end_what_full_exchanges_cycle_on():
    H = np.array([[0, 1, 3, 2], [2, 2, 2, 1], [3, 2, 0, 0], [2, 2, 1, 0], [0, 1, 3, 2]], dtype=float)
    A, d, w = H.T @ H, np.array([0, 5, 3, 5, 4]) @ H, np.ones(4)
    guesses = guesses_of_full_exchanges(A, d)
    assert guesses[-1] in guesses[:-2]  # a cycle of more than one guess, not an end
    assert pivot(A, d, w)
    np.testing.assert_allclose(w, by_scipy(A, d), atol=1e-9)


def test_the_empty_user_keeps_its_factors_and_gets_the_usual_bias():
    ratings, objective = small_ratings(7), OBJECTIVES["count"]
    start = scaled_start(ratings, 3, dtype="float64", key=7)
    start.W[EMPTY_USER, 3] = 0.9
    W = one_epoch(AlternatingLeastSquares(), ratings, start, objective).W
    np.testing.assert_array_equal(W[EMPTY_USER, :3], start.W[EMPTY_USER, :3])
    assert W[EMPTY_USER, 3] == pytest.approx(objective.bias_level)


def test_float32_factors_are_the_rounded_float64_solution():
    ratings = small_ratings(8)
    weak = replace(OBJECTIVES["count"], alpha=(1e-5, 1e-5))
    start = scaled_start(ratings, 4, dtype="float32", key=8)
    wide = Factors(start.W.astype(np.float64), start.H.astype(np.float64), biases=True)
    single, double = (one_epoch(AlternatingLeastSquares(), ratings, factors, weak) for factors in (start, wide))
    np.testing.assert_allclose(single.W, double.W, rtol=1e-5, atol=1e-5)


def test_without_any_penalty_it_fits_what_it_can():
    ratings = small_ratings(9)
    start = scaled_start(ratings, 14, dtype="float64", key=9)  # as many columns as items
    result = fit_factors(ratings, start, AlternatingLeastSquares(), Objective(), Stopping(100))
    assert result.history.records[-1].train_rmse < 1e-3
    result.factors.check()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "pivot"}, r"method='pivot' is unknown \(did you mean 'pivoting'\?\)"),
        ({"descent_sweeps": 0}, "descent_sweeps must be an integer >= 1, got 0"),
        ({"descent_sweeps": 1.5}, "descent_sweeps must be an integer >= 1, got 1.5"),
        ({"tolerance": -1e-9}, "tolerance must be a finite number >= 0, got -1e-09"),
        ({"tolerance": float("nan")}, "tolerance must be a finite number >= 0, got nan"),
    ],
)
def test_bad_hyper_parameters_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        AlternatingLeastSquares(**arguments)


def test_what_is_positive_by_rounding_alone_is_zero():
    w = np.ones(3)
    assert pivot(np.eye(3), np.array([1.0, 1e-14, 1e-9]), w)
    assert w.tolist() == [1.0, 0.0, 1e-9]
