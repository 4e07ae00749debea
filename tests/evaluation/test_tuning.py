"""The search: who gets to the next rung, what each trial is, what is left after an interruption."""

import json

import numpy as np
import pandas as pd
import pytest

from nmf_scratch import NMF, InputError, KFold, LeaveNOut, cross_validate, tune
from nmf_scratch.evaluation.tuning import Step


def problem(seed=0, n=400):
    rng = np.random.default_rng(seed)
    cells = rng.permutation(40 * 25)[:n]
    tastes = rng.gamma(2.0, size=(40, 2)) @ rng.gamma(2.0, size=(25, 2)).T
    values = np.clip(np.round(tastes.ravel()[cells] / 2 + 1), 1, 5)
    return pd.DataFrame({"user": cells // 25, "item": cells % 25, "rating": values.astype(float)})


SHOP = problem()
MODEL = NMF(solver="als", max_iter=18)
SPACE = {"n_components": [1, 2, 3], "alpha": (0.01, 1.0)}


def search(**options):
    return tune(MODEL, SHOP, **{"space": SPACE, "n_candidates": 9, **options})


def without_seconds(found):
    return found.table.drop(columns="seconds")


@pytest.fixture(scope="module")
def found():
    return search()


def test_a_third_survives_with_three_times_the_epochs(found):
    table = found.table
    assert table.groupby("rung").size().to_dict() == {1: 9, 2: 3, 3: 2}
    assert table.groupby("rung")["max_iter"].unique().map(list).to_dict() == {1: [2], 2: [6], 3: [18]}
    for rung, size in ((1, 3), (2, 1)):
        here = table[table["rung"] == rung].nsmallest(size, "rmse")["candidate"]
        assert set(table.loc[table["rung"] == rung + 1, "candidate"]) - {9} == set(here)


def test_the_model_itself_is_a_candidate_that_runs_in_full(found):
    itself = found.table[found.table["candidate"] == 9]
    names = ["rung", "n_components", "alpha", "max_iter"]
    assert itself[names].values.tolist() == [[3, MODEL.n_components, MODEL.alpha, 18]]
    assert found.best_rmse <= itself["rmse"].iloc[0]


def test_every_row_is_a_complete_fit_that_can_be_repeated(found):
    for row in found.table.iloc[[0, 5, -1]].to_dict("records"):
        names = ("n_components", "alpha", "max_iter")
        model = NMF(solver="als", random_state=0, **{name: row[name] for name in names})
        scores = cross_validate(model, SHOP, cv=KFold(3, shuffle=True, random_state=0))
        assert row["rmse"] == scores["rmse"].mean()
        assert row["standard_error"] == pytest.approx(scores["rmse"].std() / np.sqrt(3))


def test_the_winner_has_the_lowest_error_whatever_its_rung(found):
    best = found.table.loc[found.table["rmse"].idxmin()]
    assert found.best_rmse == best["rmse"]
    assert found.best == {name: best[name] for name in ("n_components", "alpha", "max_iter")}
    assert {name: getattr(found.model, name) for name in found.best} == found.best
    assert (found.model.solver, found.model.random_state, found.interrupted) == ("als", 0, False)
    assert (MODEL.random_state, MODEL.max_iter, hasattr(MODEL, "alpha_")) == (None, 18, False)


def test_one_candidate_is_run_once_and_in_full():
    table = search(n_candidates=1).table
    assert table[["candidate", "rung", "max_iter"]].values.tolist() == [[0, 1, 18], [1, 1, 18]]


@pytest.mark.compiled
@pytest.mark.parametrize("n", [2, 4, 5])
def test_rungs_of_few_candidates(n):
    sizes = search(n_candidates=n, reduction=2).table.groupby("rung").size().tolist()
    assert sizes == {2: [2, 2], 4: [4, 2, 2], 5: [5, 3, 3]}[n]


def test_the_same_seed_finds_the_same_and_folds_are_the_same_for_all(found):
    pd.testing.assert_frame_equal(without_seconds(search()), without_seconds(found))
    assert not np.array_equal(search(random_state=1).table["rmse"], found.table["rmse"])
    drawn = search(space={"n_components": [2, 2]}, n_candidates=None, cv=LeaveNOut(2))  # a repeat is left out
    assert drawn.table["candidate"].tolist() == [0, 1]  # and the model itself


def test_test_ratings_never_reach_the_search(found):
    """Poisoned ratings outside what was passed change nothing: there is nowhere else to look."""
    train = SHOP.iloc[:300]
    first = tune(MODEL, train, space=SPACE, n_candidates=3)
    again = tune(MODEL, train[["user", "item"]], train["rating"], space=SPACE, n_candidates=3)
    pd.testing.assert_frame_equal(without_seconds(first), without_seconds(again))


# Interrupted, resumed


class Stop:
    """Press Ctrl-C before the fit of this number."""

    def __init__(self, at):
        self.at = at
        self.steps = []

    def __call__(self, step):
        self.steps.append(step)
        if len(self.steps) == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", [5, 14, 28, 30, 38])
def test_an_interrupted_search_keeps_the_best_and_ends_with_the_same_table(tmp_path, found, at):
    path = tmp_path / "trials.json"
    partial = search(results=path, on_step=Stop(at))
    n_done = (at - 1) // 3
    assert partial.interrupted
    assert len(partial.table) == n_done
    assert partial.best_rmse == partial.table["rmse"].min() == found.table["rmse"].iloc[:n_done].min()
    steps = Stop(None)
    resumed = search(results=path, on_step=steps)
    assert not resumed.interrupted
    assert steps.steps[0].done == 3 * n_done  # nothing was run twice
    pd.testing.assert_frame_equal(without_seconds(resumed), without_seconds(found))
    assert resumed.best == found.best
    assert [path.name for path in tmp_path.iterdir()] == ["trials.json"]


def test_interrupted_before_the_first_trial_there_is_nothing_to_keep():
    with pytest.raises(KeyboardInterrupt):
        search(on_step=Stop(2))


def test_ctrl_c_within_a_fit_counts_as_well():
    epochs = []

    def press(record, factors):
        epochs.append(record.epoch)
        if len(epochs) == 20:
            raise KeyboardInterrupt

    partial = tune(NMF(2, solver="als", max_iter=9, callbacks=[press]), SHOP, space=SPACE, n_candidates=9)
    assert partial.interrupted
    assert len(partial.table) == 3


def test_a_finished_search_is_read_not_run(tmp_path, found):
    path = tmp_path / "trials.json"
    search(results=path)
    written, steps = path.read_bytes(), Stop(None)
    again = search(results=path, on_step=steps)
    assert [step.done for step in steps.steps] == [42]
    pd.testing.assert_frame_equal(without_seconds(again), without_seconds(found))
    assert path.read_bytes() == written


@pytest.mark.parametrize(
    "change",
    [
        {"random_state": 1},
        {"n_candidates": 8},
        {"cv": 4},
        {"reduction": 2},
        {"space": {**SPACE, "alpha": (0.02, 1.0)}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_results_of_another_search_are_refused(tmp_path, change):
    path = tmp_path / "trials.json"
    search(results=path, on_step=Stop(5))
    with pytest.raises(InputError, match=r"holds another search .*: name another file, or delete it"):
        search(results=path, **change)


def test_results_of_other_data_or_another_model_are_refused(tmp_path):
    path = tmp_path / "trials.json"
    search(results=path, on_step=Stop(5))
    options = {"space": SPACE, "n_candidates": 9, "results": path}
    with pytest.raises(InputError, match="holds another search"):
        tune(MODEL, problem(seed=1), **options)
    with pytest.raises(InputError, match="holds another search"):
        tune(NMF(solver="als", max_iter=18, weighting="plain"), SHOP, **options)


@pytest.mark.parametrize("content", ["{}", "[1]", '{"format": "nmf-scratch sea', '{"format": "other"}', '"x"'])
def test_a_file_that_is_no_search_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "trials.json"
    path.write_text(content)
    with pytest.raises(InputError, match="is no file of a search, or damaged"):
        search(results=path)
    assert path.read_text() == content


def test_a_newer_format_is_refused(tmp_path):
    path = tmp_path / "trials.json"
    search(results=path, on_step=Stop(5))
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 99}))
    with pytest.raises(InputError, match="is no file of a search"):
        search(results=path)


# Progress, mistakes


def test_steps_tell_how_far_it_is(found):
    steps = Stop(None)
    search(on_step=steps)
    assert [step.done for step in steps.steps] == list(range(43))
    assert {(step.total, step.n_rungs) for step in steps.steps} == {(42, 3)}
    assert [step.rung for step in steps.steps] == [1] * 27 + [2] * 9 + [3] * 7
    assert np.isnan(steps.steps[0].best)
    assert steps.steps[-1] == Step(42, 42, 3, 3, found.best_rmse)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": 1}, "reduction must be an integer >= 2, got 1"),
        ({"random_state": -1}, "random_state must be an integer >= 0, got -1"),
        ({"cv": 1}, "n_splits must be an integer >= 2, got 1"),
        ({"space": {"alpha": [-1.0]}}, "alpha must be a finite number >= 0"),
        ({"n_candidates": 0}, "n_candidates must be an integer >= 1, got 0"),
    ],
)
def test_mistakes_are_found_before_anything_is_fitted(options, message):
    with pytest.raises(InputError, match=message):
        search(on_step=Stop(1), **options)
