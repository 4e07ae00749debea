import numpy as np
import pytest
from problems import OBJECTIVES, dense, naive_frozen, naive_sides, order_of_epoch, small_ratings
from reference import adam as naive_adam

from nmf_scratch import InputError
from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.solvers import Adam


def test_the_powers_count_the_visits_of_each_row():
    solver, ratings = Adam(beta1=0.8, beta2=0.95), small_ratings(1)
    factors = scaled_start(ratings, 3, dtype="float64", key=1)
    state = solver.start(ratings, factors, OBJECTIVES["count"], key=1, max_iter=4)
    for _ in range(4):
        solver.epoch(state)
    for side, counts in (("W", ratings.user_counts), ("H", ratings.item_counts)):
        visits = 4 * counts[state[f"rows_{side}"]]
        np.testing.assert_allclose(state[f"powers_{side}"], np.stack([0.8**visits, 0.95**visits], 1), rtol=1e-10)


def test_a_first_visit_moves_each_entry_by_the_step():
    solver, ratings = Adam(step=0.01, schedule="constant"), small_ratings(2).take([0])
    factors = scaled_start(ratings, 3, dtype="float64", key=2)
    start = factors.copy()
    solver.epoch(solver.start(ratings, factors, OBJECTIVES["none"], key=2, max_iter=1))
    moved = np.abs(factors.W - start.W)[ratings.users[0]]
    np.testing.assert_allclose(moved, [0.01, 0.01, 0.01, 0.01, 0.0], rtol=1e-5)


@pytest.mark.parametrize("name", ["beta1", "beta2"])
@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_rates_out_of_range_are_refused(name, value):
    with pytest.raises(InputError, match=f"{name} must be a finite number >= 0 and <= 0.9999, got {value}"):
        Adam(**{name: value})


@pytest.mark.parametrize("beta1", [0.5, 0.9])
def test_with_momentum_it_equals_the_twin(beta1):
    solver, ratings = Adam(beta1=beta1, schedule="constant"), small_ratings(3)
    factors = scaled_start(ratings, 3, dtype="float64", key=3)
    W, H, moments = factors.W.copy(), factors.H.copy(), naive_adam.start(factors.W, factors.H)
    sides, frozen = naive_sides(OBJECTIVES["count"], ratings, factors), naive_frozen(factors)
    state = solver.start(ratings, factors, OBJECTIVES["count"], key=3, max_iter=3)
    for _ in range(3):
        order = order_of_epoch(state, ratings)
        rates = solver.step, moments, solver.beta1, solver.beta2
        W, H = naive_adam.epoch(dense(ratings), W, H, sides, frozen, order, *rates)
        solver.epoch(state)
    np.testing.assert_allclose(factors.W, W, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(factors.H, H, rtol=1e-10, atol=1e-10)
