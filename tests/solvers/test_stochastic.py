"""What the stochastic solvers share: schedules, forgetting after a divergence, and surviving any step."""

import math

import numpy as np
import pytest
from problems import OBJECTIVES, small_ratings

from nmf_scratch import InputError, Ratings
from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.problem.objective import Objective, Penalty
from nmf_scratch.solvers import SGD, SOLVERS
from nmf_scratch.solvers.grid import side_of
from nmf_scratch.training import Stopping, fit_factors

STOCHASTIC = [name for name, solver in SOLVERS.items() if solver.stochastic]
every_stochastic_solver = pytest.mark.parametrize("name", STOCHASTIC)


def started(solver, *, seed=1, dtype="float64", max_iter=10):
    ratings = small_ratings(seed)
    factors = scaled_start(ratings, 3, dtype=dtype, key=seed)
    return solver.start(ratings, factors, OBJECTIVES["count"], key=seed, max_iter=max_iter), factors, ratings


def test_schedules_by_hand():
    assert SGD(step=0.2, schedule="constant").step_size(7, 10) == 0.2
    assert SGD(step=0.2, schedule="inverse-time", decay=0.5).step_size(2, 10) == pytest.approx(0.1)
    assert SGD(step=0.2, schedule="cosine").step_size(0, 10) == 0.2
    assert SGD(step=0.2, schedule="cosine").step_size(5, 10) == pytest.approx(0.1)
    assert SGD(step=0.2).step_size(9, 10) == pytest.approx(0.1 * (1 + math.cos(0.9 * math.pi)))


def test_the_bold_driver_grows_after_a_fall_and_halves_after_a_rise_or_nan():
    solver = SGD(step=0.2, schedule="bold-driver", growth=1.5)
    state, steps = started(solver)[0], []
    for squares in (10.0, 9.0, 9.0, 8.0, np.nan):
        steps.append(solver.open_epoch(state))
        solver.close_epoch(state, squares)
    np.testing.assert_allclose(steps, [0.2, 0.3, 0.45, 0.225, 0.3375])
    assert solver.open_epoch(state) == pytest.approx(0.3375 / 2)


@every_stochastic_solver
def test_the_sum_of_squares_is_that_of_the_residuals(name):
    solver = SOLVERS[name](step=1e-12, schedule="constant")
    state, factors, ratings = started(solver)
    solver.epoch(state)
    errors = ratings.values - factors.predict(ratings.users, ratings.items)
    assert state["squares"] == pytest.approx(np.sum(errors**2), rel=1e-6)


@every_stochastic_solver
@pytest.mark.parametrize("schedule", ["constant", "inverse-time", "cosine", "bold-driver"])
def test_every_schedule_learns(name, schedule):
    ratings = small_ratings(2)
    start = scaled_start(ratings, 3, key=2)
    solver = SOLVERS[name](schedule=schedule)
    records = fit_factors(ratings, start, solver, OBJECTIVES["count"], Stopping(30), key=2).history.records
    assert records[-1].objective < 0.9 * records[0].objective


@every_stochastic_solver
def test_a_rewound_run_goes_on_like_a_new_one_with_half_the_step(name):
    """All that is remembered besides W and H must be forgotten, or the two runs would part."""
    solver = SOLVERS[name](schedule="constant")
    fresh, expected, _ = started(solver)
    fresh["step_scale"] = 0.5
    solver.epoch(fresh)
    rewound, factors, _ = started(solver)
    first = factors.copy()
    for _ in range(3):
        solver.epoch(rewound)
    factors.overwrite(first)
    rewound |= {"epoch": 0, "step_scale": 0.5}
    solver.epoch(rewound)
    np.testing.assert_array_equal(factors.W, expected.W)
    np.testing.assert_array_equal(factors.H, expected.H)
    assert rewound["epoch"] == rewound["next_epoch"] == 1


@every_stochastic_solver
@pytest.mark.parametrize("schedule", ["cosine", "bold-driver"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("step", [3.0, 1e6])
def test_an_absurd_step_is_survived(name, schedule, dtype, step):
    ratings = small_ratings(3)
    start = scaled_start(ratings, 3, dtype=dtype, key=3)
    before = OBJECTIVES["count"].value(ratings, start)
    solver = SOLVERS[name](step=step, schedule=schedule)
    result = fit_factors(ratings, start, solver, OBJECTIVES["count"], Stopping(30), key=3)
    result.factors.check()
    assert OBJECTIVES["count"].value(ratings, result.factors) <= 4 * before
    assert result.stop_reason == "max_iter" or "diverged" in result.history.events[-1]


@every_stochastic_solver
def test_a_not_a_number_is_not_projected_away(name):
    """max(0, NaN) could be 0: a run that is broken would look like one that found zeros."""
    solver = SOLVERS[name]()
    state, factors, _ = started(solver)
    factors.W[0, 0] = np.nan
    solver.epoch(state)
    assert np.isnan(factors.W[0, :4]).all()  # all that is free
    assert np.isnan(state["squares"])


@every_stochastic_solver
def test_frozen_columns_keep_their_ones(name):
    solver = SOLVERS[name]()
    state, factors, _ = started(solver, dtype="float32")
    for _ in range(5):
        solver.epoch(state)
    assert (factors.W[:, 4] == 1).all()
    assert (factors.H[:, 3] == 1).all()


@every_stochastic_solver
def test_without_ratings_a_row_stays_where_it_started(name):
    state, factors, ratings = started(SOLVERS[name]())
    start = factors.copy()
    SOLVERS[name]().epoch(state)
    np.testing.assert_array_equal(factors.W[ratings.user_counts == 0], start.W[ratings.user_counts == 0])
    np.testing.assert_array_equal(factors.H[ratings.item_counts == 0], start.H[ratings.item_counts == 0])
    assert not np.array_equal(factors.W, start.W)


@every_stochastic_solver
def test_on_a_single_rating_the_stationary_point_is_reached(name):
    """One rating has no noise: with a step that fades out every solver must end where the KKT residual says so."""
    ratings, objective = Ratings.from_arrays([0], [0], [1.0]), Objective((0.05, 0.05))
    start = scaled_start(ratings, 2, biases=False, dtype="float64", key=4)
    solver = SOLVERS[name](step=0.01 if name == "adam" else 0.1)
    result = fit_factors(ratings, start, solver, objective, Stopping(4000), key=4)
    assert result.history.records[-1].kkt < 1e-5


@every_stochastic_solver
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"step": 0}, "step must be a finite number > 0, got 0"),
        ({"step": float("nan")}, "step must be a finite number > 0, got nan"),
        ({"schedule": "cosin"}, r"schedule='cosin' is unknown \(did you mean 'cosine'\?\)"),
        ({"decay": -1}, "decay must be a finite number >= 0, got -1"),
        ({"growth": 0.9}, "growth must be a finite number >= 1 and <= 2, got 0.9"),
    ],
)
def test_bad_hyper_parameters_are_refused(name, arguments, message):
    with pytest.raises(InputError, match=message):
        SOLVERS[name](**arguments)


def test_a_visit_carries_its_share_of_the_penalty_of_a_row():
    strengths = np.array([0.1, 0.2, 0.0]), np.array([0.3, 0.4, 0.0])
    side = side_of(3, 2, Penalty(*strengths, 5.0, 0.25, np.array([1.0, 4.0, 0.0])), np.array([1, 0, 2]))
    np.testing.assert_allclose(side.ridge, [0.2 / 4, 0.1, 0])
    np.testing.assert_allclose(side.lasso, [0.4 / 4, 0.3, 0])
    np.testing.assert_allclose(side.bias_ridge, [5 / 4, 5, 0])
    assert side.bias_level == 0.25
