import numpy as np
import pytest
from problems import OBJECTIVES, small_ratings

from nmf_scratch import InputError, training
from nmf_scratch.history import EpochRecord
from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.solvers import SGD, SOLVERS, MultiplicativeUpdates
from nmf_scratch.training import Monitor, Stopping, fit_factors

RATINGS = small_ratings(1)


def fit(solver, stopping, **settings):
    start = scaled_start(RATINGS, 3, dtype="float64", key=1)
    return fit_factors(RATINGS, start, solver, OBJECTIVES["count"], stopping, **settings)


def split(seed=0, n_valid=25):
    order = np.random.default_rng(seed).permutation(len(RATINGS))
    return RATINGS.take(order[n_valid:]), RATINGS.take(order[:n_valid])


def test_the_history_starts_before_the_first_update_and_has_the_fixed_columns():
    start = scaled_start(RATINGS, 3, dtype="float64", key=1)
    value = OBJECTIVES["count"].value(RATINGS, start)
    history = fit(MultiplicativeUpdates(), Stopping(4), monitor=Monitor(unit=2.0)).history
    frame = history.to_frame()
    assert list(frame.columns) == ["epoch", "seconds", "objective", "train_rmse", "valid_rmse", "kkt"]
    assert frame["epoch"].tolist() == [0, 1, 2, 3, 4]
    assert frame["objective"][0] == pytest.approx(value)
    assert frame["seconds"][0] == 0
    assert frame["seconds"].is_monotonic_increasing
    assert frame["kkt"].notna().tolist() == [True, False, False, False, True]
    assert frame["valid_rmse"].isna().all()


def test_errors_are_reported_in_the_unit_of_the_ratings():
    one, two = (fit(MultiplicativeUpdates(), Stopping(1), monitor=Monitor(unit=unit)).history for unit in (1.0, 2.0))
    assert two.records[1].train_rmse == pytest.approx(2 * one.records[1].train_rmse)
    assert two.records[1].objective == one.records[1].objective


def test_a_sparser_monitor_sees_the_same_run():
    every, third = (fit(SGD(), Stopping(7), monitor=Monitor(every=every)) for every in (1, 3))
    assert [record.epoch for record in third.history.records] == [0, 3, 6, 7]
    np.testing.assert_array_equal(every.factors.W, third.factors.W)


def test_the_clock_excludes_evaluation():
    def slow_callback(record, factors):
        import time

        time.sleep(0.02)

    history = fit(SGD(), Stopping(5), monitor=Monitor(callbacks=[slow_callback])).history
    assert history.records[-1].seconds < 0.05


def test_stops_when_a_monotone_solver_barely_moves():
    result = fit(MultiplicativeUpdates(), Stopping(5000, tol=1e-5))
    assert result.stop_reason == "converged"
    before, last = (record.objective for record in result.history.records[-2:])
    assert before - last < 1e-5 * before
    assert len(result.history.records) < 5000


def test_stops_at_a_small_kkt_residual_and_says_so():
    result = fit(MultiplicativeUpdates(), Stopping(5000, kkt_tol=0.05))
    assert result.stop_reason == "kkt"
    assert result.history.records[-1].kkt <= 0.05 < result.history.records[-2].kkt


def test_stops_when_the_time_is_up():
    result = fit(SGD(), Stopping(10**6, max_seconds=0.02))
    assert result.stop_reason == "time"
    assert result.history.records[-1].seconds >= 0.02 > result.history.records[-2].seconds


def test_tol_zero_and_stochastic_solvers_run_all_epochs():
    assert fit(MultiplicativeUpdates(), Stopping(50, tol=0)).stop_reason == "max_iter"
    assert len(fit(SGD(), Stopping(50, tol=0.5)).history.records) == 51


@pytest.mark.parametrize("name", SOLVERS)
def test_patience_stops_and_the_best_factors_are_kept(name):
    train, valid = split()
    start = scaled_start(train, 8, dtype="float64", key=1)
    unregularised = OBJECTIVES["none"]
    result = fit_factors(train, start, SOLVERS[name](), unregularised, Stopping(400, patience=4), valid=valid)
    assert result.stop_reason == "no_improvement"
    errors = result.history.to_frame()["valid_rmse"]
    assert len(errors) - 1 - errors.argmin() == 4
    predictions = result.factors.predict(valid.users, valid.items)
    assert np.sqrt(np.mean((valid.values - predictions) ** 2)) == pytest.approx(errors.min(), rel=1e-12)


def test_a_callback_can_stop_and_sees_every_record():
    seen = []

    def after_three(record, factors):
        seen.append(record)
        return record.epoch == 3

    result = fit(SGD(), Stopping(10), monitor=Monitor(callbacks=[after_three]))
    assert result.stop_reason == "callback"
    assert [record.epoch for record in seen] == [0, 1, 2, 3]
    assert isinstance(seen[0], EpochRecord)


def test_ctrl_c_keeps_what_was_learnt():
    def interrupt(record, factors):
        if record.epoch == 2:
            raise KeyboardInterrupt

    result = fit(SGD(), Stopping(10), monitor=Monitor(callbacks=[interrupt]))
    two_epochs = fit(SGD(), Stopping(10), monitor=Monitor(callbacks=[lambda record, _: record.epoch == 2]))
    assert result.stop_reason == "interrupted"
    np.testing.assert_array_equal(result.factors.W, two_epochs.factors.W)


def test_ctrl_c_before_the_first_record_is_passed_on(monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(training.Objective, "value_and_squares", interrupt)
    monkeypatch.setattr(training, "warm_up", lambda *args: None)
    with pytest.raises(KeyboardInterrupt):
        fit(SGD(), Stopping(3))


@pytest.mark.parametrize("step", [3e5, 30.0])
def test_a_step_that_is_too_large_is_halved_until_it_works(step):
    result = fit(SGD(step=step), Stopping(15))
    result.factors.check()
    assert result.stop_reason == "max_iter"
    assert result.history.records[-1].objective < result.history.records[0].objective
    assert result.history.events[0].startswith("epoch 1: diverged; back to epoch 0 with the step at 0.5 times")


def test_a_step_beyond_repair_ends_as_diverged_with_good_factors():
    result = fit(SGD(step=1e30), Stopping(15))
    result.factors.check()
    assert result.stop_reason == "diverged"
    assert "the factors of epoch 0 were kept" in result.history.events[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_iter": 0}, "max_iter must be an integer >= 1, got 0"),
        ({"max_iter": 5, "tol": -1.0}, "tol must be a finite number >= 0, got -1.0"),
        ({"max_iter": 5, "kkt_tol": -1.0}, "kkt_tol must be a finite number >= 0, got -1.0"),
        ({"max_iter": 5, "max_seconds": 0}, "max_seconds must be a finite number > 0, got 0"),
        ({"max_iter": 5, "patience": 0}, "patience must be an integer >= 1, got 0"),
    ],
)
def test_bad_stopping_rules_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Stopping(**arguments)


def test_bad_thread_counts_are_refused():
    with pytest.raises(InputError, match="n_threads must be an integer >= 1, got 0"):
        fit(SGD(), Stopping(1), n_threads=0)
