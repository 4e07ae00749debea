"""Sample weights: a rating of weight 3 is the same rating three times, for the objective and for every solver.

`Ratings` holds no pair twice, but its bare constructor does not look, and no kernel minds: that is the oracle.
"""

import numba
import numpy as np
import pytest
from problems import OBJECTIVES, small_ratings

from nmf_scratch._jit import read_only
from nmf_scratch.data.ratings import Ratings, ones, spaced
from nmf_scratch.evaluation.metrics import rmse
from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers import SOLVERS
from nmf_scratch.training import Stopping, fit_factors

every_kind = pytest.mark.parametrize("kind", OBJECTIVES)
both_forms = pytest.mark.parametrize("biases", [True, False], ids=["biases", "plain"])
deterministic_solvers = pytest.mark.parametrize("name", [name for name in SOLVERS if not SOLVERS[name].stochastic])


def weighted(seed=3, ratings=None):
    """Draw weights 1, 2 or 3; return the ratings with them, and the ratings repeated as often."""
    ratings = ratings or small_ratings(seed)
    times = np.random.default_rng(seed).integers(1, 4, len(ratings))
    columns = ratings.users, ratings.items, ratings.values
    shape = {"n_users": ratings.n_users, "n_items": ratings.n_items}
    return Ratings.from_arrays(*columns, weights=times, **shape), Ratings(
        *(np.repeat(column, times) for column in columns), **shape
    )


def fitted(solver, ratings, start, objective, epochs=6):
    return fit_factors(ratings, start.copy(), solver, objective, Stopping(epochs), key=1).factors


@every_kind
@both_forms
@pytest.mark.parametrize("loss", [2.0, 1.0, 0.5])
def test_the_objective_counts_a_rating_as_often_as_it_weighs(kind, biases, loss):
    few, many = weighted()
    factors = scaled_start(few, 3, biases=biases, dtype="float64", key=2)
    objective = Objective(**{**vars(OBJECTIVES[kind]), "loss": loss})
    assert objective.value_and_squares(few, factors) == pytest.approx(objective.value_and_squares(many, factors))
    assert objective.kkt_residual(few, factors) == pytest.approx(objective.kkt_residual(many, factors))
    for ours, theirs in zip(objective.gradient(few, factors), objective.gradient(many, factors), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@deterministic_solvers
@every_kind
@both_forms
def test_three_times_is_weight_three(name, kind, biases):
    few, many = weighted()
    start = scaled_start(few, 3, biases=biases, dtype="float64", key=3)
    ours, theirs = (fitted(SOLVERS[name](), ratings, start, OBJECTIVES[kind]) for ratings in (few, many))
    np.testing.assert_allclose(ours.W, theirs.W, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(ours.H, theirs.H, rtol=1e-8, atol=1e-9)
    assert np.abs(ours.W - fitted(SOLVERS[name](), small_ratings(3), start, OBJECTIVES[kind]).W).max() > 1e-3


@pytest.mark.parametrize("loss", [1.0, 0.0])
def test_three_times_is_weight_three_under_other_divergences(loss):
    few, many = weighted()
    start, objective = scaled_start(few, 3, dtype="float64", key=3), Objective((0.1, 0.1), (1.0, 1.0), 0.25, loss=loss)
    ours, theirs = (fitted(SOLVERS["mu"](), ratings, start, objective) for ratings in (few, many))
    np.testing.assert_allclose(ours.W, theirs.W, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("sgd", {}),
        ("sgd", {"momentum": 0.5}),
        ("block-sgd", {"n_blocks": 2}),
        ("eg", {}),
        ("adagrad", {"initial": 1e7}),
        ("adagrad", {"initial": 1e7, "per": "coordinate"}),
    ],
)
@every_kind
@both_forms
def test_with_small_steps_weight_three_goes_as_far_as_three_visits(name, settings, kind, biases):
    few, many = weighted()
    start = scaled_start(few, 3, biases=biases, dtype="float64", key=3)
    solver = SOLVERS[name](step=1e-6, schedule="constant", **settings)
    ours, theirs = (fitted(solver, ratings, start, OBJECTIVES[kind], epochs=2) for ratings in (few, many))
    for first, second, before in ((ours.W, theirs.W, start.W), (ours.H, theirs.H, start.H)):
        way = np.abs(first - before).max()
        assert way > 0
        np.testing.assert_allclose(first - before, second - before, rtol=1e-3, atol=1e-4 * way)


@both_forms
@pytest.mark.parametrize(("name", "settings"), [("sgd", {}), ("adagrad", {}), ("adagrad", {"per": "coordinate"})])
def test_gradients_are_proportional_to_the_weight(name, settings, biases):
    ratings, objective = small_ratings(4).take([0]), OBJECTIVES["lasso"]
    start = scaled_start(ratings, 3, biases=biases, dtype="float64", key=4)
    solver, found = SOLVERS[name](step=1e-3, schedule="constant", **settings), []
    for weight in (1.0, 2.5):
        factors = start.copy()
        state = solver.start(ratings, factors, objective, key=4, max_iter=1)
        state["grid"] = state["grid"]._replace(weights=spaced(np.full(1, weight), np.float64))
        solver.epoch(state)
        found.append((state["squares"] / weight, factors.W - start.W, factors.H - start.H))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-14)
    for one, other in zip(found[0][1:], found[1][1:], strict=True):
        assert np.abs(one).max() > 0
        np.testing.assert_allclose(2.5 * one, other, rtol=1e-10, atol=1e-14)


def test_adam_learns_from_weights():
    few, _ = weighted()
    start = scaled_start(few, 3, dtype="float64", key=3)
    with_weights, without = (fitted(SOLVERS["adam"](), r, start, OBJECTIVES["count"]) for r in (few, small_ratings(3)))
    objective = OBJECTIVES["count"]
    assert objective.value(few, with_weights) < objective.value(few, without)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_of_one_change_nothing(name, dtype):
    ratings = small_ratings(4)
    columns = ratings.users, ratings.items, ratings.values
    once = Ratings.from_arrays(*columns, weights=np.ones(len(ratings)), n_users=23, n_items=14)
    start = scaled_start(ratings, 3, dtype=dtype, key=3)
    ours, theirs = (fitted(SOLVERS[name](), r, start, OBJECTIVES["plain"]) for r in (once, ratings))
    # To the last bit where the kernel does not look whether all are one: it is the same code.
    exact = name != "ccd"
    tolerance = 0 if exact else 1e-4 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(ours.W, theirs.W, rtol=tolerance, atol=0 if exact else 1e-6)
    np.testing.assert_allclose(ours.H, theirs.H, rtol=tolerance, atol=0 if exact else 1e-6)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
@pytest.mark.parametrize("n_ratings", [1, 2, 90])
def test_to_a_kernel_weights_are_of_one_type(n_ratings):
    assert numba.typeof(read_only(spaced(np.ones(n_ratings), np.float32))) == numba.typeof(ones(np.float32))


def test_in_a_grid_of_tiles_weights_stay_with_their_ratings(monkeypatch):
    from nmf_scratch.solvers import grid

    monkeypatch.setattr(grid, "CACHE_BYTES", 0)
    monkeypatch.setattr(grid, "TILE_BYTES", 200)
    few, many = weighted(ratings=small_ratings(5, 60, 40))
    start = scaled_start(few, 3, dtype="float64", key=3)
    made = grid.into_grid(few, start, 1)
    grid.shuffle_tiles(made, np.random.default_rng(0))
    assert len(made.starts) > 5
    users, items, _ = made.triples
    expected = dict(zip(zip(few.users.tolist(), few.items.tolist(), strict=True), few.weights, strict=True))
    stored = made.weights[: len(users)].tolist()
    assert [expected[pair] for pair in zip(users.tolist(), items.tolist(), strict=True)] == stored
    solver = SOLVERS["sgd"](step=1e-6, schedule="constant")
    ours, theirs = (fitted(solver, ratings, start, OBJECTIVES["count"], epochs=1) for ratings in (few, many))
    np.testing.assert_allclose(ours.W - start.W, theirs.W - start.W, rtol=1e-3, atol=1e-10)


class TestRatings:
    def test_weights_follow_their_ratings(self):
        shuffled = Ratings.from_arrays([2, 0, 1, 0], [0, 1, 1, 0], [1, 2, 3, 4], weights=[10, 20, 30, 40])
        assert shuffled.weights.tolist() == [40, 20, 30, 10]
        assert shuffled.by_item.weights.tolist() == [40, 10, 20, 30]
        assert shuffled.T.weights.tolist() == [40, 10, 20, 30]
        assert shuffled.take([3, 1]).weights.tolist() == [20, 10]
        assert shuffled.with_values(np.zeros(4)).weights is shuffled.weights
        assert not shuffled.weights.flags.writeable

    def test_sums_and_mean_count_weights(self):
        few, many = weighted()
        for ours, counts in zip(few.row_weights, (many.user_counts, many.item_counts), strict=True):
            np.testing.assert_allclose(ours, counts)
        assert few.total_weight == len(many) == many.total_weight
        assert few.mean == pytest.approx(many.mean)

    def test_weight_zero_leaves_a_rating_out(self):
        ratings = Ratings.from_arrays([0, 1, 2], [0, 1, 0], [5, 4, 3], weights=[1, 0, 2])
        assert (ratings.users.tolist(), ratings.weights.tolist(), ratings.shape) == ([0, 2], [1, 2], (3, 2))

    def test_the_last_of_a_repeated_pair_brings_its_weight(self):
        with pytest.warns(UserWarning, match="1 repeated"):
            ratings = Ratings.from_arrays([0, 0, 1], [0, 0, 1], [5, 4, 3], weights=[7, 8, 9])
        assert (ratings.values.tolist(), ratings.weights.tolist()) == ([4, 3], [8, 9])

    def test_without_weights_they_cost_no_memory(self):
        ratings = small_ratings(1)
        assert ratings.weights is None
        assert ratings.by_user.weights.base.nbytes == 4
        assert (ones(np.float64)[:3] == 1).all()

    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            ([1, -1], "weights must be finite and not negative, got -1.0 at position 1"),
            ([np.nan, 1], "weights must be finite and not negative, got nan at position 0"),
            ([1, np.inf], "weights must be finite"),
            ([0, 0], "weights must not all be zero"),
            ([1], "weights must be one for each rating, 2, got 1"),
        ],
    )
    def test_unusable_weights_are_refused(self, weights, message):
        with pytest.raises(ValueError, match=message):
            Ratings.from_arrays([0, 1], [0, 1], [1, 2], weights=weights)


def test_the_mean_squared_error_counts_weights():
    assert rmse([1, 2], [0, 0], weights=[3, 1]) == pytest.approx(np.sqrt(7 / 4))
