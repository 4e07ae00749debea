import numpy as np
import pytest
from problems import OBJECTIVES, dense, naive_frozen, naive_sides, order_of_epoch, small_ratings
from reference import adagrad as naive_adagrad

from nmf_scratch import InputError
from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.solvers import SGD, AdaGrad


def started(solver, *, k=3, biases=True, kind="count", seed=1):
    ratings = small_ratings(seed)
    factors = scaled_start(ratings, k, biases=biases, dtype="float64", key=seed)
    return solver.start(ratings, factors, OBJECTIVES[kind], key=seed, max_iter=10), factors, ratings


@pytest.mark.parametrize("kind", OBJECTIVES)
@pytest.mark.parametrize("biases", [True, False], ids=["biases", "plain"])
@pytest.mark.parametrize("per", ["row", "coordinate"])
def test_both_groupings_equal_the_naive_twin(per, biases, kind):
    solver = AdaGrad(step=0.2, per=per, initial=0.4, schedule="constant")
    state, factors, ratings = started(solver, biases=biases, kind=kind)
    W, H = factors.W.copy(), factors.H.copy()
    G_W, G_H = np.full(W.shape, 0.4), np.full(H.shape, 0.4)
    told = naive_sides(OBJECTIVES[kind], ratings, factors), naive_frozen(factors)
    for _ in range(4):
        order = order_of_epoch(state, ratings)
        n_shared = 3 if per == "row" else 1
        W, H, G_W, G_H = naive_adagrad.epoch(dense(ratings), W, H, *told, order, 0.2, G_W, G_H, n_shared)
        solver.epoch(state)
    np.testing.assert_allclose(factors.W, W, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(factors.H, H, rtol=1e-10, atol=1e-10)
    if per == "row":
        np.testing.assert_allclose(state["sums_W"][:, 0], G_W[state["rows_W"], 0], rtol=1e-10)
    else:
        np.testing.assert_allclose(state["sums_W"][:, :3], G_W[state["rows_W"], :3], rtol=1e-10)
    if biases:
        np.testing.assert_allclose(state["bias_sums_W"], G_W[state["rows_W"], 3], rtol=1e-10)


def test_with_one_latent_column_rows_are_coordinates():
    ends = []
    for per in ("row", "coordinate"):
        solver = AdaGrad(per=per)
        state, factors, _ = started(solver, k=1)
        for _ in range(3):
            solver.epoch(state)
        ends.append(factors)
    np.testing.assert_allclose(ends[0].W, ends[1].W, rtol=1e-12)
    np.testing.assert_allclose(ends[0].H, ends[1].H, rtol=1e-12)


def test_a_large_first_sum_makes_it_projected_descent():
    state, factors, _ = started(AdaGrad(step=0.1 * 1e6, initial=1e12))
    AdaGrad(step=0.1 * 1e6, initial=1e12).epoch(state)
    plain, expected, _ = started(SGD(step=0.1))
    SGD(step=0.1).epoch(plain)
    np.testing.assert_allclose(factors.W, expected.W, rtol=1e-9)
    np.testing.assert_allclose(factors.H, expected.H, rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per": "column"}, "per='column' is unknown"),
        ({"initial": 0}, "initial must be a finite number > 0, got 0"),
    ],
)
def test_bad_hyper_parameters_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        AdaGrad(**arguments)
