"""One epoch of each solver, and one look at the objective, on a million ratings; checked before timed."""

import pytest

from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers import SOLVERS

PENALTY = Objective((0.02, 0.02), (4.0, 4.0), 0.25)


@pytest.mark.benchmark(group="epoch")
@pytest.mark.parametrize("k", [16, 64])
@pytest.mark.parametrize("name", SOLVERS)
def bench_epoch(benchmark, per_second, million, name, k):
    solver = SOLVERS[name]()
    factors = scaled_start(million, k, key=0)
    before = PENALTY.value(million, factors)
    state = solver.start(million, factors, PENALTY, key=0, max_iter=100)
    solver.epoch(state)
    assert PENALTY.value(million, factors) < before
    factors.check()
    benchmark.extra_info["k"] = k
    per_second(lambda: solver.epoch(state), len(million), "ratings")


@pytest.mark.benchmark(group="objective")
@pytest.mark.parametrize("what", ["value", "kkt_residual"])
def bench_objective(per_second, million, what):
    factors = scaled_start(million, 16, key=0)
    evaluate = getattr(PENALTY, what)
    assert evaluate(million, factors) > 0
    per_second(lambda: evaluate(million, factors), len(million), "ratings")
