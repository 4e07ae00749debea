import numba
import numpy as np
import pytest
from problems import OBJECTIVES, small_ratings

from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.solvers import ExponentiatedGradient
from nmf_scratch.solvers.exponentiated_gradient import SERIES, SMALLEST, multiplied


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 3e-6), ("float64", 1e-12)])
def test_the_short_series_is_the_exponential_and_clipped(dtype, rtol):
    x = np.linspace(-3, 3, 601).astype(dtype)
    one, floor, *series = map(x.dtype.type, (1, SMALLEST, *SERIES))
    row = np.array([multiplied(one, y, floor, tuple(series)) for y in x])
    rounds_more = bool(numba.config.DISABLE_JIT)  # NumPy fuses no product with a sum
    np.testing.assert_allclose(row, np.exp(np.clip(x.astype(float), -1, 1)), rtol=(1 + rounds_more) * rtol)


@pytest.mark.parametrize("kind", OBJECTIVES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_factors_stay_strictly_positive(kind, dtype):
    ratings = small_ratings(1)
    ratings = ratings.with_values(ratings.values * (ratings.items != 4))  # item 4 is hated: its row sinks forever
    factors = scaled_start(ratings, 3, dtype=dtype, key=1)
    solver = ExponentiatedGradient(step=0.5, schedule="constant")
    state = solver.start(ratings, factors, OBJECTIVES[kind], key=1, max_iter=300)
    for _ in range(300):
        solver.epoch(state)
    floor = factors.W.dtype.type(SMALLEST)
    assert factors.W.min() >= floor
    assert factors.H.min() >= floor


def test_an_entry_at_the_floor_comes_back():
    ratings = small_ratings(2)
    factors = scaled_start(ratings, 1, biases=False, dtype="float64", key=2)
    solver = ExponentiatedGradient(step=0.3, schedule="constant")
    state = solver.start(ratings, factors, OBJECTIVES["none"], key=2, max_iter=100)
    factors.H[0] = 0.0
    for _ in range(30):
        solver.epoch(state)
    assert factors.H[0, 0] > 0.1
