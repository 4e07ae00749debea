"""Solvers that claim to converge end in the same place where there is only one: with one side fixed."""

import numpy as np
import pytest
from problems import OBJECTIVES, small_ratings

from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.solvers import SOLVERS
from nmf_scratch.training import Stopping, fit_factors

HALF_STEPPERS = ["cd", "als", "pgd"]
"""They update all of W first and then all of H; `ccd` goes column by column, so no side is ever fixed."""


def users_with_items_fixed(name, ratings, objective, n_epochs):
    """Iterate on W alone: put H back after each epoch."""
    factors = scaled_start(ratings, 3, dtype="float64", key=5)
    items = factors.H.copy()
    solver = SOLVERS[name]()
    state = solver.start(ratings, factors, objective, key=0, max_iter=n_epochs)
    for _ in range(n_epochs):
        solver.epoch(state)
        factors.H[:] = items
    return factors.W


@pytest.mark.compiled
@pytest.mark.parametrize("kind", ["count", "plain", "lasso"])
def test_the_half_problem_has_one_minimiser_and_all_find_it(kind):
    ratings = small_ratings(5)
    rated = ratings.user_counts > 0
    solutions = {
        name: users_with_items_fixed(name, ratings, OBJECTIVES[kind], 1 if name == "als" else 400)[rated]
        for name in HALF_STEPPERS
    }
    for name in HALF_STEPPERS:
        np.testing.assert_allclose(solutions[name], solutions["als"], atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", ["cd", "ccd", "als", "pgd"])
@pytest.mark.parametrize("kind", ["count", "plain"])
def test_long_runs_end_at_a_stationary_point(name, kind):
    ratings = small_ratings(6)
    start = scaled_start(ratings, 3, dtype="float64", key=6)
    result = fit_factors(ratings, start, SOLVERS[name](), OBJECTIVES[kind], Stopping(20_000, kkt_tol=1e-5))
    assert result.stop_reason == "kkt"
