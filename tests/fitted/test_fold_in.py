import numpy as np
import pytest
from problems import EMPTY_USER, OBJECTIVES, dense, naive_frozen, naive_sides, small_ratings
from reference import als as naive_als

from nmf_scratch import NMF, InputError
from nmf_scratch.data.ratings import take_rows
from nmf_scratch.fitted.fold_in import RowSolver, rows_below, with_best_rows
from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.problem.objective import Objective

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
    # Either the gradient or the entry is zero, as far as multiplicative updates get in so many steps.
    assert np.abs(gradient * W).max() < 2e-3
    assert gradient.min() > -2e-2
    factors.check()


def test_the_last_half_step_leaves_users_without_ratings_alone():
    ratings = small_ratings(4)
    factors = scaled_start(ratings, 3, dtype="float64", key=4)
    objective, users = OBJECTIVES["count"], rows_below(ratings, len(ratings) + 1)[0]
    ended = with_best_rows(factors, ratings, objective, (users, np.zeros(0, np.intp)))
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


@pytest.mark.parametrize("sides", [(1, 0), (0, 1, 0)])
def test_the_rows_asked_for_are_solved_and_no_others(sides):
    ratings, objective = small_ratings(6), OBJECTIVES["count"]
    factors = scaled_start(ratings, 3, dtype="float64", key=6)
    before = factors.copy()
    users, items = np.array([0, 4]), np.array([1, 9, 10])
    better = with_best_rows(factors, ratings, objective, (users, items), sides=sides)
    for new, old, touched in ((better.W, factors.W, users), (better.H, factors.H, items)):
        changed = np.flatnonzero((new != old).any(axis=1))
        np.testing.assert_array_equal(changed, touched)
    np.testing.assert_array_equal(factors.W, before.W)
    assert objective.value(ratings, better) < objective.value(ratings, factors)
    # The users come last: theirs are the best rows for the items as they are.
    best = RowSolver(better, objective, 0).solve(take_rows(ratings.by_user, users))
    np.testing.assert_allclose(better.W[users], best, rtol=1e-12)


def test_rows_below_a_threshold_have_some_ratings_but_fewer():
    ratings = small_ratings(7)
    for rows, counts in zip(rows_below(ratings, 4), (ratings.user_counts, ratings.item_counts), strict=True):
        assert rows.tolist() == [row for row in range(len(counts)) if counts[row] in (1, 2, 3)]
    users, _ = rows_below(ratings, len(ratings) + 1)
    assert len(users) == ratings.n_users - 1  # one has no rating
    assert [len(rows) for rows in rows_below(ratings, 0)] == [0, 0]


class TestTheEndOfAFit:
    ratings = small_ratings(8, 60, 40, density=0.15)

    def fit(self, solver="sgd", **settings):
        return NMF(3, solver=solver, max_iter=5, dtype="float64", random_state=0, **settings).fit(self.ratings)

    @pytest.mark.parametrize("solver", ["sgd", "adagrad", "als"])
    def test_the_last_record_describes_the_factors_returned(self, solver):
        model = self.fit(solver, exact_below=5)
        scaled = self.ratings.with_values(self.ratings.values / self.ratings.mean)
        factors = model.fitted_.factors.in_unit(1 / self.ratings.mean)
        last = model.history_.records[-1]
        assert last.epoch == model.n_iter_ <= 5
        assert last.objective == pytest.approx(model.fitted_.objective.value(scaled, factors), rel=1e-6)
        assert last.kkt == pytest.approx(model.fitted_.objective.kkt_residual(scaled, factors), rel=1e-4)
        error = self.ratings.mean * (scaled.values - factors.predict(scaled.users, scaled.items))
        assert last.train_rmse == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-5)

    def test_rare_rows_are_solved_and_counted(self):
        plain, ended = self.fit(exact_below=0), self.fit(exact_below=5)
        users, items = rows_below(self.ratings, 5)
        assert ended.history_.events == [
            f"epoch 5: the rows of {len(items)} items and {len(users)} users were solved exactly"
        ]
        assert plain.history_.events == []
        np.testing.assert_array_equal(np.flatnonzero((plain.H_ != ended.H_).any(axis=1)), items)
        np.testing.assert_array_equal(np.flatnonzero((plain.W_ != ended.W_).any(axis=1)), users)
        assert ended.history_.records[-1].objective < plain.history_.records[-1].objective

    def test_a_rare_user_is_the_same_folded_in(self):
        model = self.fit(exact_below=5)
        user = rows_below(self.ratings, 5)[0][0]
        own = self.ratings.users == user
        new = model.fold_in(list(zip(self.ratings.items[own], self.ratings.values[own], strict=True)))
        np.testing.assert_allclose(new.factors, model.W_[user], atol=1e-6)

    @pytest.mark.parametrize(
        ("solver", "settings"), [("sgd", {"early_stopping": True}), ("mu", {"loss": 1.0}), ("sgd", {"exact_below": 0})]
    )
    def test_where_it_does_not_apply_nothing_is_solved(self, solver, settings):
        assert self.fit(solver, **{"exact_below": 5, **settings}).history_.events == []

    def test_a_threshold_that_is_no_number_of_ratings_is_refused(self):
        with pytest.raises(InputError, match="exact_below must be an integer >= 0, got -1"):
            self.fit(exact_below=-1)
