import numpy as np
import pytest
from problems import OBJECTIVES, small_ratings

from nmf_scratch.factors import scaled_start
from nmf_scratch.solvers import SOLVERS
from nmf_scratch.training import Stopping, fit_factors

NAMES = ["mu", "cd", "als"]
"""The solvers that offer it."""


def history(name, extrapolate, *, kind="count", seed=1, max_iter=40, dtype="float64"):
    ratings = small_ratings(seed)
    start = scaled_start(ratings, 3, dtype=dtype, key=seed)
    solver = SOLVERS[name](extrapolate=extrapolate)
    result = fit_factors(ratings, start, solver, OBJECTIVES[kind], Stopping(max_iter))
    result.factors.check()
    return result.history.to_frame()["objective"].to_numpy()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", OBJECTIVES)
@pytest.mark.parametrize("seed", range(5))
def test_accepted_iterates_never_increase_the_objective(name, kind, seed):
    values = history(name, True, kind=kind, seed=seed)
    assert (values[1:] <= values[:-1] * (1 + 1e-12)).all()


@pytest.mark.parametrize("name", NAMES)
def test_it_gets_further_in_as_many_epochs(name):
    plain, fast = (
        np.mean([history(name, extrapolate, seed=seed, max_iter=25)[-1] for seed in range(8)])
        for extrapolate in (False, True)
    )
    assert fast < plain


def test_single_precision_works_too():
    values = history("mu", True, dtype="float32")
    assert values[-1] < values[0]
