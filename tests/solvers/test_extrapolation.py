import numpy as np
import pytest
from problems import OBJECTIVES, small_ratings

from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.solvers import SOLVERS, extrapolation
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


@pytest.mark.parametrize(("value", "momentum", "cap"), [(0.5, 0.42, 0.808), (2.0, 0.4 / 1.5, 0.4 / 1.05)])
def test_momentum_grows_to_its_cap_while_it_pays_and_falls_when_it_does_not(monkeypatch, value, momentum, cap):
    here = np.full((1, 1), 3.0)
    state = {"W": here.copy(), "H": here.copy(), "before": (here - 1, here + 1), "objective": 1.0}
    state |= {"momentum": 0.4, "momentum_cap": 0.8}
    started, values = [], iter([value, 0.9])
    monkeypatch.setattr(extrapolation, "_value", lambda state: next(values))
    extrapolation.extrapolated_epoch(lambda state: started.append((float(state["W"][0, 0]), state["H"][0, 0])), state)
    assert started[0] == pytest.approx((3.4, 2.6))  # further on the way from 2 to 3, and from 4 to 3
    assert started[1:] == [(3.0, 3.0)] * (value > 1)  # again, from where we were
    assert (state["momentum"], state["momentum_cap"]) == pytest.approx((momentum, cap))
    assert state["objective"] == (0.5 if value < 1 else 0.9)


def test_momentum_starts_with_the_values_of_the_paper():
    ratings = small_ratings(1)
    factors = scaled_start(ratings, 3, dtype="float64", key=1)
    state = SOLVERS["cd"](extrapolate=True).start(ratings, factors, OBJECTIVES["count"], key=1, max_iter=1)
    assert (state["momentum"], state["momentum_cap"]) == (0.5, 1.0)
