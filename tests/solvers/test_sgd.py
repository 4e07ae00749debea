import numpy as np
import pytest
from problems import OBJECTIVES, dense, naive_frozen, naive_sides, order_of_epoch, small_ratings
from reference import sgd as naive_sgd

from nmf_scratch import InputError, Ratings
from nmf_scratch.problem.factors import Factors, scaled_start
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers import SGD


def test_momentum_goes_the_way_of_the_last_epoch_again():
    ratings, objective = small_ratings(5), OBJECTIVES["count"]
    factors = scaled_start(ratings, 3, dtype="float64", key=5)
    told = naive_sides(objective, ratings, factors), naive_frozen(factors)
    W, H = before = factors.W.copy(), factors.H.copy()
    solver = SGD(step=0.05, schedule="constant", momentum=0.6)
    state = solver.start(ratings, factors, objective, key=5, max_iter=4)
    for _ in range(4):
        order = order_of_epoch(state, ratings)
        pushed = [np.maximum(0, X + 0.6 * (X - old)) for X, old in zip((W, H), before, strict=True)]
        before = W, H
        W, H = naive_sgd.epoch(dense(ratings), *pushed, *told, order, 0.05)
        solver.epoch(state)
        np.testing.assert_allclose(factors.W, W, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(factors.H, H, rtol=1e-10, atol=1e-10)


def test_momentum_is_nesterovs_look_ahead_and_not_the_heavy_ball():
    """With one rating an epoch is one gradient, and both methods are two lines."""

    def gradient(x):
        return -(1.0 - x[0] * x[1]) * x[::-1]

    factors = Factors(np.array([[0.5]]), np.array([[0.7]]))
    ahead = ball = now = np.array([0.5, 0.7])
    before, before_ball = now, ball
    solver = SGD(step=0.1, schedule="constant", momentum=0.6)
    state = solver.start(Ratings.from_arrays([0], [0], [1.0]), factors, Objective(), key=0, max_iter=20)
    for _ in range(20):
        ahead = now + 0.6 * (now - before)
        before, now = now, ahead - 0.1 * gradient(ahead)
        before_ball, ball = ball, ball + 0.6 * (ball - before_ball) - 0.1 * gradient(ball)
        solver.epoch(state)
    x = np.array([factors.W.item(), factors.H.item()])
    np.testing.assert_allclose(x, now, atol=1e-12)
    assert np.abs(x - ball).max() > 1e-3


def test_momentum_is_stopped_by_a_divergence():
    solver = SGD(momentum=0.9, schedule="constant")
    ratings = small_ratings(6)
    factors = scaled_start(ratings, 3, dtype="float64", key=6)
    state = solver.start(ratings, factors, OBJECTIVES["count"], key=6, max_iter=4)
    for _ in range(3):
        solver.epoch(state)
    state["epoch"] = 2
    solver.open_epoch(state)
    np.testing.assert_array_equal(state["before_W"], factors.W)
    np.testing.assert_array_equal(state["before_H"], factors.H)


@pytest.mark.parametrize("momentum", [-0.1, 1.0, float("nan")])
def test_a_momentum_out_of_range_is_refused(momentum):
    with pytest.raises(InputError, match="momentum must be a finite number >= 0 and <= 0.99, got"):
        SGD(momentum=momentum)
