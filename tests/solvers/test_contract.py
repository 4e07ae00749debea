"""What every solver promises, over the whole registry; a promise is kept or declared not to be made, never skipped."""

import numpy as np
import pytest
from problems import EMPTY_ITEM, EMPTY_USER, OBJECTIVES, dense, naive_frozen, naive_sides, order_of_epoch, small_ratings
from reference import adagrad as naive_adagrad
from reference import adam as naive_adam
from reference import als as naive_als
from reference import block_sgd as naive_block_sgd
from reference import ccd as naive_ccd
from reference import coordinate_descent as naive_cd
from reference import exponentiated_gradient as naive_eg
from reference import multiplicative as naive_mu
from reference import projected_gradient as naive_pgd
from reference import sgd as naive_sgd

from nmf_scratch import Ratings
from nmf_scratch._random import SHUFFLE, generator
from nmf_scratch.data.synthetic import planted_ratings
from nmf_scratch.evaluation.metrics import rmse
from nmf_scratch.problem.factors import Factors, scaled_start
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers import SOLVERS
from nmf_scratch.solvers.block_sgd import strata
from nmf_scratch.solvers.grid import Grid, visiting_order
from nmf_scratch.training import Monitor, Stopping, fit_factors

EPOCHS = 6

every_solver = pytest.mark.parametrize("name", SOLVERS)
monotone_solvers = pytest.mark.parametrize("name", [name for name in SOLVERS if SOLVERS[name].monotone])
deterministic_solvers = pytest.mark.parametrize("name", [name for name in SOLVERS if not SOLVERS[name].stochastic])
both_forms = pytest.mark.parametrize("biases", [True, False], ids=["biases", "plain"])


def fitted(name, ratings, *, biases=True, dtype="float64", k=3, key=1, objective=OBJECTIVES["count"], **settings):
    """Run a solver for a few epochs from a seeded start."""
    start = settings.pop("start", None) or scaled_start(ratings, k, biases=biases, dtype=dtype, key=key)
    stopping = Stopping(settings.pop("max_iter", EPOCHS))
    return fit_factors(ratings, start, SOLVERS[name](), objective, stopping, key=key, **settings)


@every_solver
def test_declares_its_abilities(name):
    solver = SOLVERS[name]
    assert solver.name == name
    for ability in ("monotone", "stochastic", "parallel"):
        assert isinstance(getattr(solver, ability), bool)
    assert not (solver.monotone and solver.stochastic)
    low, high = solver.losses
    assert 0 <= low <= high == 2  # squared error is what all of them can do


@every_solver
@both_forms
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", OBJECTIVES)
def test_factors_stay_non_negative_finite_and_of_their_dtype(name, biases, dtype, kind):
    factors = fitted(name, small_ratings(1), biases=biases, dtype=dtype, objective=OBJECTIVES[kind]).factors
    factors.check()
    assert factors.W.dtype == factors.H.dtype == dtype


@every_solver
@both_forms
@pytest.mark.parametrize("kind", OBJECTIVES)
def test_learns(name, biases, kind):
    result = fitted(name, small_ratings(2), biases=biases, objective=OBJECTIVES[kind], max_iter=30)
    first, last = result.history.records[0], result.history.records[-1]
    assert last.objective < 0.9 * first.objective


@monotone_solvers
@both_forms
@pytest.mark.parametrize("kind", OBJECTIVES)
@pytest.mark.parametrize("seeds", [range(5), pytest.param(range(5, 25), marks=pytest.mark.slow)], ids=["few", "many"])
def test_monotone_solvers_never_increase_the_objective(name, biases, kind, seeds):
    settings = {"biases": biases, "objective": OBJECTIVES[kind], "max_iter": 15}
    for seed in seeds:  # with the slow ones 200 random problems for each solver
        objective = fitted(name, small_ratings(seed), key=seed, **settings).history.to_frame()["objective"].to_numpy()
        # 1e-20: without a penalty a small problem is fitted exactly, and what is left is rounding.
        assert (objective[1:] <= objective[:-1] * (1 + 1e-12) + 1e-20).all(), seed


@every_solver
@both_forms
@pytest.mark.parametrize("kind", OBJECTIVES)
def test_equals_its_naive_twin(name, biases, kind):
    ratings, objective = small_ratings(3), OBJECTIVES[kind]
    start = scaled_start(ratings, 3, biases=biases, dtype="float64", key=3)
    expected = NAIVE_TWINS[name](ratings, start.copy(), objective, key=3)
    factors = fitted(name, ratings, biases=biases, objective=objective, start=start, key=3).factors
    # Restarts of pgd compare objectives to 1e-14; near a minimum that is 1e-7 in a row, and rounding decides.
    near = 1e-9 if (name, kind) == ("pgd", "plain lasso") else 1e-10
    np.testing.assert_allclose(factors.W, expected[0], rtol=1e-10, atol=near)
    np.testing.assert_allclose(factors.H, expected[1], rtol=1e-10, atol=near)


def mu_twin(ratings, start, objective, key):
    W, H = start.W, start.H
    for _ in range(EPOCHS):
        W, H = naive_mu.epoch(dense(ratings), W, H, naive_sides(objective, ratings, start), naive_frozen(start))
    return W, H


def cd_twin(ratings, start, objective, key):
    W, H, sides, frozen = start.W, start.H, naive_sides(objective, ratings, start), naive_frozen(start)
    for _ in range(EPOCHS):
        W, H = naive_cd.epoch(dense(ratings), W, H, sides, frozen, SOLVERS["cd"]().inner_sweeps)
    return W, H


def ccd_twin(ratings, start, objective, key):
    W, H, sides, frozen = start.W, start.H, naive_sides(objective, ratings, start), naive_frozen(start)
    for _ in range(EPOCHS):
        W, H = naive_ccd.epoch(dense(ratings), W, H, sides, frozen, SOLVERS["ccd"]().inner_sweeps)
    return W, H


def sgd_twin(ratings, start, objective, key):
    W, H = start.W, start.H
    for R, *told in random_epochs(SOLVERS["sgd"](), ratings, start, objective, key):
        W, H = naive_sgd.epoch(R, W, H, *told)
    return W, H


def als_twin(ratings, start, objective, key):
    W, H = start.W, start.H
    for _ in range(EPOCHS):
        W, H = naive_als.epoch(dense(ratings), W, H, naive_sides(objective, ratings, start), naive_frozen(start))
    return W, H


def pgd_twin(ratings, start, objective, key):
    W, H, n_steps = start.W, start.H, SOLVERS["pgd"]().inner_steps
    sides, frozen = naive_sides(objective, ratings, start), naive_frozen(start)
    for _ in range(EPOCHS):
        W, H = naive_pgd.epoch(dense(ratings), W, H, sides, frozen, n_steps)
    return W, H


def random_epochs(solver, ratings, start, objective, key):
    """Yield what the twins of stochastic solvers are told in each epoch: R, sides, frozen, order and step."""
    sides, frozen = naive_sides(objective, ratings, start), naive_frozen(start)
    state = solver.start(ratings, start.copy(), objective, key=key, max_iter=EPOCHS)
    for state["epoch"] in range(EPOCHS):
        step = solver.step / 2 * (1 + np.cos(np.pi * state["epoch"] / EPOCHS))
        yield dense(ratings), sides, frozen, order_of_epoch(state, ratings), step


def adagrad_twin(ratings, start, objective, key, solver=None):
    solver = solver or SOLVERS["adagrad"]()
    W, H, n_shared = start.W, start.H, start.n_components if solver.per == "row" else 1
    G_W, G_H = np.full(W.shape, solver.initial), np.full(H.shape, solver.initial)
    for R, *told in random_epochs(solver, ratings, start, objective, key):
        W, H, G_W, G_H = naive_adagrad.epoch(R, W, H, *told, G_W, G_H, n_shared)
    return W, H


def adam_twin(ratings, start, objective, key):
    W, H, solver = start.W, start.H, SOLVERS["adam"]()
    moments = naive_adam.start(W, H)
    for R, *told in random_epochs(solver, ratings, start, objective, key):
        W, H = naive_adam.epoch(R, W, H, *told, moments, solver.beta1, solver.beta2)
    return W, H


def eg_twin(ratings, start, objective, key):
    W, H = start.W, start.H
    sizes = W.mean(axis=0), H.mean(axis=0)
    for R, *told in random_epochs(SOLVERS["eg"](), ratings, start, objective, key):
        W, H = naive_eg.epoch(R, W, H, *told, sizes)
    return W, H


def block_sgd_twin(ratings, start, objective, key):
    W, H, solver = start.W, start.H, SOLVERS["block-sgd"]()
    sides, frozen = naive_sides(objective, ratings, start), naive_frozen(start)
    grid = Grid(2, (16, 16), *[None] * 5)  # few ratings: two blocks a side, of 16 x 16 tiles
    parts = naive_block_sgd.tiles(dense(ratings), 32, generator(key, SHUFFLE, EPOCHS))
    for epoch in range(EPOCHS):
        rng = generator(key, SHUFFLE, epoch)
        order = naive_block_sgd.visits(parts, visiting_order(grid, strata(2, rng), rng))
        W, H = naive_sgd.epoch(dense(ratings), W, H, sides, frozen, order, solver.step_size(epoch, EPOCHS))
    return W, H


NAIVE_TWINS = {
    "mu": mu_twin,
    "cd": cd_twin,
    "ccd": ccd_twin,
    "als": als_twin,
    "pgd": pgd_twin,
    "sgd": sgd_twin,
    "adagrad": adagrad_twin,
    "adam": adam_twin,
    "eg": eg_twin,
    "block-sgd": block_sgd_twin,
}


def test_every_solver_has_a_twin():
    assert NAIVE_TWINS.keys() == SOLVERS.keys()


@every_solver
def test_same_seed_same_bits_other_seed_other_factors(name):
    first, again, other = (fitted(name, small_ratings(4), dtype="float32", key=key).factors for key in (1, 1, 2))
    np.testing.assert_array_equal(first.W, again.W)
    np.testing.assert_array_equal(first.H, again.H)
    assert not np.array_equal(first.W, other.W)


@pytest.mark.compiled
@every_solver
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_the_thread_count(name, dtype):
    ratings = small_ratings(5, n_users=301, n_items=97, density=0.2)
    one, two = (fitted(name, ratings, dtype=dtype, n_threads=n).factors for n in (1, 2))
    np.testing.assert_array_equal(one.W, two.W)
    np.testing.assert_array_equal(one.H, two.H)


@every_solver
def test_bits_do_not_depend_on_the_file_order(name):
    ratings = small_ratings(6)
    order = np.random.default_rng(0).permutation(len(ratings))
    columns = (ratings.users[order], ratings.items[order], ratings.values[order])
    shuffled = Ratings.from_arrays(*columns, n_users=ratings.n_users, n_items=ratings.n_items)
    first, second = fitted(name, ratings).factors, fitted(name, shuffled).factors
    np.testing.assert_array_equal(first.W, second.W)
    np.testing.assert_array_equal(first.H, second.H)


@deterministic_solvers  # a random order of visits is tied to the order of the rows
def test_renaming_users_renames_their_rows(name):
    ratings = small_ratings(7)
    start = scaled_start(ratings, 3, dtype="float64", key=7)
    new_row = np.random.default_rng(1).permutation(ratings.n_users)
    renamed = Ratings.from_arrays(new_row[ratings.users], ratings.items, ratings.values, n_users=23, n_items=14)
    moved = Factors(np.empty_like(start.W), start.H.copy(), start.biases)
    moved.W[new_row] = start.W
    plain, permuted = fitted(name, ratings, start=start).factors, fitted(name, renamed, start=moved).factors
    np.testing.assert_allclose(permuted.W[new_row], plain.W, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(permuted.H, plain.H, rtol=1e-10, atol=1e-12)


@every_solver
def test_empty_rows_stay_sane_and_one_rating_is_enough(name):
    factors = fitted(name, small_ratings(8), max_iter=40).factors
    assert np.isfinite(factors.W[EMPTY_USER]).all()
    assert np.isfinite(factors.H[EMPTY_ITEM]).all()
    single = Ratings.from_arrays([0], [0], [1.0])
    result = fitted(name, single, k=5, objective=Objective(), max_iter=200)  # k larger than the matrix
    assert result.factors.predict(single.users, single.items)[0] == pytest.approx(1.0, abs=0.05)


@every_solver
def test_ratings_of_zero_and_equal_ratings_are_survived(name):
    zeros = Ratings.from_arrays([0, 0, 1, 2], [0, 1, 1, 0], [0.0, 0.0, 0.0, 0.0])
    fitted(name, zeros, max_iter=20).factors.check()
    equal = Ratings.from_arrays([0, 0, 1, 2], [0, 1, 1, 0], [1.0, 1.0, 1.0, 1.0])
    result = fitted(name, equal, objective=Objective(), max_iter=200)
    np.testing.assert_allclose(result.factors.predict(equal.users, equal.items), 1.0, atol=0.05)


@pytest.mark.compiled
@every_solver
def test_recovers_planted_factors(name):
    planted = planted_ratings(120, 80, 3, density=0.4, noise=0.05, random_state=0)
    everything = Ratings.from_arrays(planted.users, planted.items, planted.values, n_users=120, n_items=80)
    unit = float(everything.values.mean())
    scaled = everything.with_values(everything.values / np.float32(unit))
    order = np.random.default_rng(0).permutation(len(scaled))
    train, test = scaled.take(order[500:]), scaled.take(order[:500])
    weak = Objective((1e-4, 1e-4))
    factors = fitted(name, train, k=3, biases=False, objective=weak, max_iter=400).factors
    error = unit * rmse(test.values, factors.predict(test.users, test.items))
    spread = float(test.values.std()) * unit
    assert error < 0.25 * spread


@every_solver
def test_validation_ratings_never_leak_into_training(name):
    ratings = small_ratings(9)
    order = np.random.default_rng(2).permutation(len(ratings))
    train, valid = ratings.take(order[20:]), ratings.take(order[:20])
    poisoned = valid.with_values(valid.values * 1000)
    honest, poison = (fitted(name, train, valid=v, max_iter=1, monitor=Monitor()) for v in (valid, poisoned))
    assert poison.history.records[1].objective == honest.history.records[1].objective
