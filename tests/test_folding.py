import numpy as np
import pytest
from problems import EMPTY_USER, OBJECTIVES, dense, naive_frozen, naive_sides, small_ratings
from reference import als as naive_als

from nmf_scratch.factors import scaled_start
from nmf_scratch.folding import RowSolver, refined, take_rows, with_best_rows
from nmf_scratch.objective import Objective

every_kind = pytest.mark.parametrize("kind", OBJECTIVES)
both_forms = pytest.mark.parametrize("biases", [True, False], ids=["biases", "plain"])


@every_kind
@both_forms
@pytest.mark.parametrize("side", [0, 1])
def test_rows_are_those_of_the_naive_half_step(kind, biases, side):
    ratings, objective = small_ratings(1, 40, 60, density=0.5), OBJECTIVES[kind]
    factors = scaled_start(ratings, 3, biases=biases, dtype="float64", key=1)
    view = (ratings.by_user, ratings.by_item)[side]
    rows = RowSolver(factors, objective, side).solve(view)
    R = (dense(ratings), dense(ratings).T)[side]
    own, other = ((factors.W, factors.H), (factors.H, factors.W))[side]
    frozen = naive_frozen(factors)[side]
    expected = naive_als.half_step(R, own, other, *naive_sides(objective, ratings, factors)[side], frozen)
    rated = np.diff(view.indptr) > 0
    np.testing.assert_allclose(rows[rated], expected[rated], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_at_a_time_is_all_at_once_on_any_number_of_threads(dtype):
    ratings = small_ratings(2, 300, 40, density=0.4)
    factors = scaled_start(ratings, 5, dtype=dtype, key=2)
    solver = RowSolver(factors, OBJECTIVES["count"], 0)
    one, two = (solver.solve(ratings.by_user, n_threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one, two)
    alone = [solver.solve(take_rows(ratings.by_user, np.array([u])))[0] for u in range(20)]
    np.testing.assert_array_equal(one[:20], alone)
    assert one.dtype == dtype


@pytest.mark.parametrize("loss", [0.5, 1.0, 1.5])
def test_other_divergences_are_stationary(loss):
    ratings = small_ratings(3)
    objective = Objective((0.03, 0.0), (0.7, 0.0), 0.25, loss=loss)
    factors = scaled_start(ratings, 2, dtype="float64", key=3)
    factors.W[:] = RowSolver(factors, objective, 0).solve(ratings.by_user)
    gradient = objective.gradient(ratings, factors)[0][ratings.user_counts > 0]
    W = factors.W[ratings.user_counts > 0]
    # Either the slope or the entry is zero, as far as multiplicative updates get in so many steps.
    assert np.abs(gradient * W).max() < 2e-3
    assert gradient.min() > -2e-2
    factors.check()


def test_the_last_half_step_leaves_users_without_ratings_alone():
    ratings = small_ratings(4)
    factors = scaled_start(ratings, 3, dtype="float64", key=4)
    objective = OBJECTIVES["count"]
    ended = with_best_rows(factors, ratings, objective)
    np.testing.assert_array_equal(ended.W[EMPTY_USER], factors.W[EMPTY_USER])
    np.testing.assert_array_equal(ended.H, factors.H)
    assert objective.value(ratings, ended) < objective.value(ratings, factors)


def test_rows_are_taken_in_the_order_asked_for():
    view = small_ratings(5).by_user
    taken = take_rows(view, np.array([7, EMPTY_USER, 2]))
    for position, row in enumerate([7, EMPTY_USER, 2]):
        for part, whole in ((taken.indices, view.indices), (taken.values, view.values)):
            mine = part[taken.indptr[position] : taken.indptr[position + 1]]
            np.testing.assert_array_equal(mine, whole[view.indptr[row] : view.indptr[row + 1]])


def test_refining_touches_what_it_is_told_to_and_nothing_else():
    ratings, objective = small_ratings(6), OBJECTIVES["count"]
    factors = scaled_start(ratings, 3, dtype="float64", key=6)
    users, items = np.array([0, 4]), np.array([1, 9, 10])
    better = refined(factors, ratings, objective, (users, items), rounds=2)
    for new, old, touched in ((better.W, factors.W, users), (better.H, factors.H, items)):
        changed = np.flatnonzero((new != old).any(axis=1))
        np.testing.assert_array_equal(changed, touched)
    assert objective.value(ratings, better) < objective.value(ratings, factors)
    # The users come last: theirs are the best rows for the items as they are.
    best = RowSolver(better, objective, 0).solve(take_rows(ratings.by_user, users))
    np.testing.assert_allclose(better.W[users], best, rtol=1e-12)
