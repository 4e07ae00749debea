import numpy as np
import pytest
from problems import EMPTY_USER, OBJECTIVES, small_ratings
from reference import projected_gradient as naive

from nmf_scratch import InputError
from nmf_scratch.data.ratings import ones
from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers import ProjectedGradient
from nmf_scratch.solvers.projected_gradient import curvature_bound, descend, momentum
from nmf_scratch.training import Monitor, Stopping, fit_factors

STRICTLY_CONVEX = [kind for kind in OBJECTIVES if kind != "none"]
both_steps = pytest.mark.parametrize("step", ["column", "row"])


def random_row(seed, n=7, n_row=11, frozen=-1):
    """Draw items, factors with columns of very different size, and a ridge; the frozen column carries none."""
    rng = np.random.default_rng(seed)
    H = rng.random((30, n)) * np.geomspace(0.1, 3, n) * (rng.random((30, n)) < 0.8)
    ridge = rng.random(n)
    if frozen >= 0:
        ridge[frozen] = 0.0
    return rng.choice(30, n_row, replace=False).astype(np.int32), H, ridge


@pytest.mark.parametrize("frozen", [-1, 6, 5], ids=["no bias", "user side", "item side"])
@pytest.mark.parametrize("seed", range(20))
def test_bounds_are_safe_and_not_loose(seed, frozen):
    items, H, ridge = random_row(seed, frozen=frozen)
    free = [f for f in range(7) if f != frozen]
    A = H[items][:, free].T @ H[items][:, free] + np.diag(ridge[free])
    own = items, np.zeros(len(items)), ones(np.float64)
    by_column, by_row = (curvature_bound(own, H, ridge, frozen, one_step) for one_step in (False, True))
    assert np.linalg.eigvalsh(np.diag(by_column[free]) - A).min() >= -1e-12
    largest = np.linalg.eigvalsh(A).max()
    assert largest <= by_row[free].max() == by_column[free].max() <= np.sqrt(len(free)) * largest * (1 + 1e-12)
    np.testing.assert_allclose(by_column[free], A.sum(axis=1), rtol=1e-12)
    assert (by_row[free] == by_row[free][0]).all()
    assert frozen < 0 or by_column[frozen] == by_row[frozen] == np.inf


def test_momentum_grows_towards_one():
    zeta = momentum(200)
    np.testing.assert_allclose(zeta[:4], [0, 0.28175, 0.43404, 0.53106], atol=1e-5)
    assert (np.diff(zeta) > 0).all()
    assert 0.98 < zeta[-1] < 1


def row_problem(seed, ridge=0.01):
    """Return (start, arguments of the kernel but for the momentum, objective of the row)."""
    items, H, _ = random_row(seed)
    terms = (np.full(7, ridge), np.zeros(7), np.zeros(7))
    target = 3 * np.random.default_rng(seed).random(len(items))
    own = items, target, ones(np.float64)
    arguments = (H, own, terms, curvature_bound(own, H, terms[0], -1, False))
    start = np.random.default_rng(seed + 1).random(7)
    return start, arguments, lambda w: naive.value(w, target, H[items], terms[0], terms[1], terms[2])


def after(start, arguments, zeta):
    w = start.copy()
    descend(w, *arguments, zeta)
    return w


@pytest.mark.parametrize("seed", range(10))
def test_no_step_raises_the_objective_of_a_row(seed):
    start, arguments, value = row_problem(seed)
    values = [value(start)] + [value(after(start, arguments, momentum(n))) for n in range(1, 80)]
    assert (np.diff(values) <= 1e-14).all()


@pytest.mark.parametrize("seed", range(10))
def test_far_too_much_momentum_is_undone(seed):
    start, arguments, value = row_problem(seed)
    zeta = np.concatenate([[0.0], np.full(79, 30.0)])
    values = [value(start)] + [value(after(start, arguments, zeta[:n])) for n in range(1, 80)]
    assert (np.diff(values) <= 1e-14).all()
    assert values[-1] < values[0]


@pytest.mark.compiled
def test_momentum_pays():
    gains = []
    for seed in range(10):
        start, arguments, value = row_problem(seed)
        best = value(after(start, arguments, momentum(20_000)))
        fast, slow = (value(after(start, arguments, zeta)) - best for zeta in (momentum(60), np.zeros(60)))
        gains.append(slow / max(fast, 1e-12))
    assert np.median(gains) > 10


@pytest.mark.parametrize("seed", range(10))
def test_restarts_reach_the_minimum_of_a_row(seed):
    start, arguments, _ = row_problem(seed, ridge=0.1)
    w = after(start, arguments, momentum(3000))
    H, (items, target, _), (ridge, _, _), _ = arguments
    gradient = naive.gradient(w, target, H[items], ridge, 0.0, 0.0)
    np.testing.assert_allclose(w, np.maximum(0, w - gradient), atol=1e-6)


@pytest.mark.compiled
@both_steps
@pytest.mark.parametrize("biases", [True, False], ids=["biases", "plain"])
@pytest.mark.parametrize("kind", STRICTLY_CONVEX)
def test_run_long_it_is_stationary(kind, biases, step):
    ratings = small_ratings(1)
    start = scaled_start(ratings, 3, biases=biases, dtype="float64", key=1)
    solver, monitor = ProjectedGradient(step=step, inner_steps=20), Monitor(every=50)
    history = fit_factors(ratings, start, solver, OBJECTIVES[kind], Stopping(3000), monitor=monitor).history
    assert history.records[-1].kkt <= 1e-5


def test_a_step_for_each_column_is_the_faster_one_with_biases():
    ratings, objective = small_ratings(2), OBJECTIVES["count"]
    ends = []
    for step in ("column", "row"):
        start = scaled_start(ratings, 6, dtype="float64", key=2)
        history = fit_factors(ratings, start, ProjectedGradient(step=step), objective, Stopping(20)).history
        ends.append(history.records[-1].objective)
    assert ends[0] < ends[1]


def test_the_empty_user_keeps_its_factors_and_gets_the_usual_bias():
    ratings, objective = small_ratings(3), OBJECTIVES["count"]
    factors = scaled_start(ratings, 3, dtype="float64", key=3)
    factors.W[EMPTY_USER, 3] = 0.9
    before = factors.W[EMPTY_USER].copy()
    solver = ProjectedGradient()
    solver.epoch(solver.start(ratings, factors, objective, key=0, max_iter=1))
    np.testing.assert_array_equal(factors.W[EMPTY_USER, :3], before[:3])
    assert factors.W[EMPTY_USER, 3] == pytest.approx(objective.bias_level)


@both_steps
def test_a_dead_column_stays_where_it_is(step):
    ratings = small_ratings(4)
    factors = scaled_start(ratings, 3, biases=False, dtype="float64", key=4)
    factors.W[:, 1], factors.H[:, 1] = 0.0, 0.0
    solver = ProjectedGradient(step=step)
    solver.epoch(solver.start(ratings, factors, Objective(), key=0, max_iter=1))
    assert (factors.W[:, 1] == 0).all() and (factors.H[:, 1] == 0).all()
    factors.check()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inner_steps": 0}, "inner_steps must be an integer >= 1, got 0"),
        ({"inner_steps": 2.5}, "inner_steps must be an integer >= 1, got 2.5"),
        ({"step": "columns"}, r"step='columns' is unknown \(did you mean 'column'\?\)"),
    ],
)
def test_bad_hyper_parameters_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        ProjectedGradient(**arguments)
