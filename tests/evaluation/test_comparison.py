import numpy as np
import pandas as pd
import pytest

from nmf_scratch import NMF, InputError, KFold
from nmf_scratch.evaluation.comparison import REFERENCE, compare, excess, last_epochs, sparsity, time_to
from nmf_scratch.evaluation.metrics import rmse
from nmf_scratch.problem.factors import Factors

RNG = np.random.default_rng(0)
CODES = RNG.permutation(40 * 25)[:400]
FRAME = pd.DataFrame({"user": CODES // 25, "item": CODES % 25, "rating": RNG.integers(1, 6, 400).astype(float)})
NAMES = ["mu", "sgd"]
OPTIONS = {"solvers": NAMES, "n_components": 3, "max_iter": 6, "cv": KFold(2, shuffle=True, random_state=0)}


@pytest.fixture(scope="module")
def table():
    return compare(FRAME, **OPTIONS)


def test_one_row_per_solver_fold_and_epoch(table):
    assert list(table.columns) == [
        "solver", "fold", "seed", "epoch", "seconds", "objective", "train_rmse", "kkt", "test_rmse", "sparsity",
        "reference",
    ]  # fmt: skip
    assert len(table) == 2 * 2 * 7
    assert not table.isna().any().any()


def test_pairs_may_come_as_an_array_beside_their_ratings(table):
    again = compare(FRAME[["user", "item"]].to_numpy(), FRAME["rating"].to_numpy(), **OPTIONS)
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), table.drop(columns="seconds"))


def test_all_solvers_start_from_the_same_point(table):
    starts = table[table["epoch"] == 0].groupby("fold")
    assert (starts["objective"].nunique() == 1).all()
    assert (starts["test_rmse"].nunique() == 1).all()


def test_errors_equal_those_of_the_estimator(table):
    train, test = next(iter(KFold(2, shuffle=True, random_state=0).split(FRAME)))
    settings = {"alpha": 0.2, "alpha_bias": 16.0, "max_iter": 6, "tol": 0, "random_state": 0}
    model = NMF(3, solver="sgd", **settings).fit(FRAME.iloc[train])
    row = table[(table["solver"] == "sgd") & (table["fold"] == 1) & (table["epoch"] == 6)].iloc[0]
    expected = rmse(FRAME["rating"].iloc[test], model.predict(FRAME.iloc[test]))
    assert row["test_rmse"] == pytest.approx(expected, rel=1e-6)
    assert row["objective"] == pytest.approx(model.history_.records[-1].objective, rel=1e-9)


def test_the_summary_averages_the_last_epochs(table):
    means = last_epochs(table)
    assert means.index.tolist() == NAMES
    last = table[(table["solver"] == "mu") & (table["epoch"] == 6)]
    assert means.loc["mu", "objective"] == pytest.approx(last["objective"].mean())


def test_epochs_are_announced():
    seen = []
    told = {"on_epoch": lambda *call: seen.append(call[:2])}
    compare(FRAME, solvers=["mu"], n_components=2, max_iter=2, cv=2, longer=4, **told)
    before = [REFERENCE] * 5  # of eight epochs every second, and the start
    assert seen == [*((name, 1) for name in (*before, *["mu"] * 3)), *((name, 2) for name in (*before, *["mu"] * 3))]


def test_the_reference_is_a_longer_run_from_the_same_start():
    options = {"n_components": 3, "cv": KFold(2, shuffle=True, random_state=0), "longer": 5}
    short = compare(FRAME, solvers=["mu"], max_iter=4, **options)
    long = compare(FRAME, solvers=["cd"], max_iter=20, **{**options, "longer": 0})
    ends = long[long["epoch"] == 20].set_index("fold")["objective"]
    assert short.groupby("fold")["reference"].first().to_dict() == pytest.approx(ends.to_dict())
    assert long["reference"].isna().all()
    assert (excess(short) > 0).all()
    assert excess(short).iloc[-1] == pytest.approx(short["objective"].iloc[-1] / ends[2] - 1)


def test_each_seed_has_a_start_of_its_own():
    options = {"solvers": ["cd"], "n_components": 2, "max_iter": 2, "cv": 2, "longer": 0}
    table = compare(FRAME, random_state=[7, 8], **options)
    assert table["seed"].unique().tolist() == [7, 8]
    assert table[table["epoch"] == 0]["objective"].nunique() == 4
    alone = compare(FRAME, random_state=8, **options)
    columns = ["fold", "epoch", "objective", "test_rmse"]
    own = table.loc[table["seed"] == 8, columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, alone[columns])


def test_time_to_a_target_is_that_of_the_first_epoch_there_or_none():
    table = pd.DataFrame({"solver": ["b"] * 3 + ["a"] * 3, "fold": 1, "seed": 0, "epoch": [0, 1, 2] * 2})
    table["seconds"], table["kkt"] = table["epoch"] / 2, [3, 1, 0, 3, 2, 2]
    found = time_to(table, table["kkt"] <= 1)
    assert found["solver"].tolist() == ["b", "a"]
    np.testing.assert_array_equal(found["seconds"], [0.5, np.nan])
    np.testing.assert_array_equal(found["epoch"], [1, np.nan])


def test_sparsity_counts_latent_entries_only():
    W = np.array([[1.0, 0.0, 0.3, 1.0], [1.0, 1e-5, 0.0, 1.0]])
    H = np.array([[1.0, 1.0, 1.0, 0.0]])
    assert sparsity(Factors(W, H, biases=True)) == pytest.approx(2 / 6)


def test_an_unknown_solver_is_refused_before_any_work():
    with pytest.raises(InputError, match="solver='sdg' is unknown"):
        compare(FRAME, solvers=["mu", "sdg"])


def test_ctrl_c_ends_the_comparison():
    def interrupt(name, fold, record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(FRAME, solvers=["mu"], n_components=2, max_iter=2, cv=2, on_epoch=interrupt)
