import numpy as np
import pytest
from problems import OBJECTIVES, small_ratings

from nmf_scratch import InputError
from nmf_scratch.factors import scaled_start
from nmf_scratch.solvers import Adam


def test_the_powers_count_the_visits_of_each_row():
    solver, ratings = Adam(beta1=0.8, beta2=0.95), small_ratings(1)
    factors = scaled_start(ratings, 3, dtype="float64", key=1)
    state = solver.start(ratings, factors, OBJECTIVES["count"], key=1, max_iter=4)
    for _ in range(4):
        solver.epoch(state)
    for side, counts in (("W", ratings.user_counts), ("H", ratings.item_counts)):
        np.testing.assert_allclose(state[f"powers_{side}"][:, 0], 0.8 ** (4 * counts), rtol=1e-10)
        np.testing.assert_allclose(state[f"powers_{side}"][:, 1], 0.95 ** (4 * counts), rtol=1e-10)


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
