"""What is special to the two coordinate descents: exact moves, fast tails, residuals that stay true."""

import numpy as np
import pytest
from problems import EMPTY_USER, OBJECTIVES, dense, naive_frozen, naive_sides, small_ratings
from reference import ccd as naive_ccd
from reference import coordinate_descent as naive_cd
from scipy.optimize import nnls

from nmf_scratch import InputError, Ratings
from nmf_scratch._jit import threads
from nmf_scratch.problem.factors import Factors, scaled_start
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers import CoordinateDescent, CyclicCoordinateDescent, ccd
from nmf_scratch.training import Stopping, fit_factors

SOLVERS = {"cd": CoordinateDescent, "ccd": CyclicCoordinateDescent}
NAIVE = {"cd": naive_cd, "ccd": naive_ccd}

both = pytest.mark.parametrize("name", SOLVERS)
both_forms = pytest.mark.parametrize("biases", [True, False], ids=["biases", "plain"])
every_kind = pytest.mark.parametrize("kind", OBJECTIVES)


def run(name, ratings, start, objective, n_epochs, **settings):
    """Run epochs outside the training loop; return factors and the objective after each."""
    solver, factors, values = SOLVERS[name](**settings), start.copy(), [objective.value(ratings, start)]
    state = solver.start(ratings, factors, objective, key=0, max_iter=n_epochs)
    for _ in range(n_epochs):
        solver.epoch(state)
        values.append(objective.value(ratings, factors))
    return factors, np.array(values)


@both
@pytest.mark.parametrize("n", [0, -1, 1.5, True, float("nan"), "3"])
def test_inner_sweeps_must_be_a_positive_integer(name, n):
    with pytest.raises(InputError, match="inner_sweeps must be an integer >= 1, got"):
        SOLVERS[name](inner_sweeps=n)


@both
@both_forms
@every_kind
def test_several_inner_sweeps_equal_the_twin_and_never_go_up(name, biases, kind):
    ratings, objective = small_ratings(21), OBJECTIVES[kind]
    start = scaled_start(ratings, 4, biases=biases, dtype="float64", key=21)
    factors, values = run(name, ratings, start, objective, 4, inner_sweeps=3)
    W, H = start.W, start.H
    for _ in range(4):
        sides, frozen = naive_sides(objective, ratings, start), naive_frozen(start)
        W, H = NAIVE[name].epoch(dense(ratings), W, H, sides, frozen, 3)
    np.testing.assert_allclose(factors.W, W, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(factors.H, H, rtol=1e-10, atol=1e-10)
    assert (values[1:] <= values[:-1] * (1 + 1e-12)).all()


@both
@both_forms
@pytest.mark.parametrize("kind", ["count", "plain", "lasso"])
def test_run_long_it_is_stationary(name, biases, kind):
    ratings = small_ratings(22)
    start = scaled_start(ratings, 3, biases=biases, dtype="float64", key=22)
    result = fit_factors(ratings, start, SOLVERS[name](), OBJECTIVES[kind], Stopping(3000))
    assert result.history.records[0].kkt > 0.1
    assert result.history.records[-1].kkt <= 1e-5


@pytest.mark.compiled
@both_forms
@every_kind
def test_one_half_run_long_finds_the_minimum_that_least_squares_finds(biases, kind):
    """Each row is a non-negative least-squares problem; a ridge is one more equation per column, a lasso a shift."""
    ratings, objective = small_ratings(23, density=0.7), OBJECTIVES[kind]
    start = scaled_start(ratings, 3, biases=biases, dtype="float64", key=23)
    factors = start.copy()
    solver = CoordinateDescent(inner_sweeps=5000)
    solver.epoch(solver.start(ratings, factors, objective, key=0, max_iter=1))
    R, (lam, rho, centre) = dense(ratings), naive_sides(objective, ratings, start)[0]
    free = [f for f in range(start.W.shape[1]) if f != start.columns[0].frozen]
    for u in (u for u in range(ratings.n_users) if u != EMPTY_USER):
        rated = ~np.isnan(R[u])
        A, left = start.H[rated][:, free], R[u, rated]
        if biases:
            left = left - start.H[rated, start.columns[0].frozen]
        ridge, line = (lam[u] * (1 - rho))[free], (lam[u] * rho)[free]
        gram = A.T @ A + np.diag(ridge)
        pull = A.T @ left + ridge * centre[free] - line
        upper = np.linalg.cholesky(gram).T
        exact, _ = nnls(upper, np.linalg.solve(upper.T, pull))
        np.testing.assert_allclose(factors.W[u, free], exact, atol=1e-6)


@both
def test_every_move_gains_what_is_promised(name):
    """One epoch of one free column: the gain is half the curvature times the squared way, where nothing was cut."""
    ratings = Ratings.from_dense([[1.0, 2.0, 0.5]])
    start = Factors(np.array([[0.3]]), np.array([[1.0], [0.5], [2.0]]))
    objective = Objective((0.1, 0.0))
    factors, values = run(name, ratings, start, objective, 1, inner_sweeps=1)
    halfway = Factors(factors.W, start.H)
    curvature = np.sum(start.H**2) + 3 * 0.1
    gain = values[0] - objective.value(ratings, halfway)
    assert gain == pytest.approx(0.5 * curvature * (factors.W[0, 0] - 0.3) ** 2, rel=1e-6)


@both
def test_zeros_are_exact_and_can_be_left_again(name):
    ratings = small_ratings(24)
    start = scaled_start(ratings, 3, dtype="float64", key=24)
    start.W[:, 1] = 0.0
    factors, _ = run(name, ratings, start, Objective((0.02, 0.02), (1.0, 1.0), 0.25), 5)
    assert (factors.W[:, 1] > 0).any()
    sparse, _ = run(name, ratings, start, Objective((0.4, 0.4), (1.0, 1.0), 0.25, l1_ratio=1.0), 50)
    assert np.mean(sparse.W[:, :3] == 0) > 0.5


@both
def test_rows_without_ratings_go_where_the_penalty_alone_would_have_them(name):
    ratings, start = small_ratings(25), scaled_start(small_ratings(25), 3, dtype="float64", key=25)
    for objective, latent in [
        (Objective((0.2, 0.2), (1.0, 1.0), 0.4, weighting="plain"), 0.0),
        (Objective((0.2, 0.2), (1.0, 1.0), 0.4, weighting="plain", l1_ratio=1.0), 0.0),
        (Objective((0.2, 0.2), (1.0, 1.0), 0.4), start.W[EMPTY_USER, :3]),
    ]:
        factors, _ = run(name, ratings, start, objective, 2)
        np.testing.assert_array_equal(factors.W[EMPTY_USER, :3], latent)
        np.testing.assert_allclose(factors.W[EMPTY_USER, 3:], [0.4, 1.0])


@both
def test_factors_overwritten_between_epochs_are_taken_as_they_are(name):
    """The training loop does this when it goes back to earlier factors: no residual may be remembered."""
    ratings, objective = small_ratings(26), OBJECTIVES["count"]
    start = scaled_start(ratings, 3, dtype="float64", key=26)
    solver, factors = SOLVERS[name](), start.copy()
    state = solver.start(ratings, factors, objective, key=0, max_iter=9)
    solver.epoch(state)
    first = factors.copy()
    solver.epoch(state)
    factors.overwrite(start)
    solver.epoch(state)
    np.testing.assert_array_equal(factors.W, first.W)
    np.testing.assert_array_equal(factors.H, first.H)


@both
@pytest.mark.parametrize("n_items", [1, 31, 32, 33, 70])
def test_padding_a_row_changes_nothing(name, n_items):
    ratings = Ratings.from_dense(np.random.default_rng(n_items).uniform(0.5, 2, (3, n_items)))
    start = scaled_start(ratings, 2, dtype="float64", key=1)
    objective = OBJECTIVES["lasso"]
    factors, _ = run(name, ratings, start, objective, 2, inner_sweeps=1)
    W, H, sides, frozen = start.W, start.H, naive_sides(objective, ratings, start), naive_frozen(start)
    for _ in range(2):
        W, H = NAIVE[name].epoch(dense(ratings), W, H, sides, frozen, 1)
    np.testing.assert_allclose(factors.W, W, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(factors.H, H, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("parallel_from", [0, 10**9])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_column_order_gives_the_same_bits_alone_and_in_company(monkeypatch, parallel_from, n_threads):
    ratings = small_ratings(27, n_users=301, n_items=97, density=0.2)
    start = scaled_start(ratings, 5, dtype="float32", key=27)
    expected, _ = run("ccd", ratings, start, OBJECTIVES["count"], 3)
    monkeypatch.setattr(ccd, "PARALLEL_PASS", parallel_from)
    with threads(n_threads):
        factors, _ = run("ccd", ratings, start, OBJECTIVES["count"], 3)
    np.testing.assert_array_equal(factors.W, expected.W)
    np.testing.assert_array_equal(factors.H, expected.H)


def test_users_and_items_take_strict_turns():
    assert CyclicCoordinateDescent(inner_sweeps=1).steps(2, biases=True) == [(0, 0), (1, 1), (2, 3)]
    assert CyclicCoordinateDescent(inner_sweeps=2).steps(2, biases=False) == [(0, 0), (0, 0), (1, 1), (1, 1)]


def test_more_inner_sweeps_settle_a_column_pair_further():
    ratings, objective = small_ratings(28), Objective((0.05, 0.05))
    start = scaled_start(ratings, 1, biases=False, dtype="float64", key=28)
    one, three, many = (run("ccd", ratings, start, objective, 1, inner_sweeps=n)[0] for n in (1, 3, 200))
    residuals = [objective.kkt_residual(ratings, factors) for factors in (one, three, many)]
    assert residuals[0] > 3 * residuals[1] > 0
    assert residuals[2] < 1e-8
