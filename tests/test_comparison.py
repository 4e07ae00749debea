import numpy as np
import pandas as pd
import pytest

from nmf_scratch import NMF, InputError, KFold
from nmf_scratch.comparison import compare, last_epochs, sparsity
from nmf_scratch.factors import Factors
from nmf_scratch.metrics import rmse

RNG = np.random.default_rng(0)
CODES = RNG.permutation(40 * 25)[:400]
FRAME = pd.DataFrame({"user": CODES // 25, "item": CODES % 25, "rating": RNG.integers(1, 6, 400).astype(float)})
NAMES = ["mu", "sgd"]


@pytest.fixture(scope="module")
def table():
    return compare(FRAME, solvers=NAMES, n_components=3, max_iter=6, cv=KFold(2, shuffle=True, random_state=0))


def test_one_row_per_solver_fold_and_epoch(table):
    assert list(table.columns) == [
        "solver", "fold", "epoch", "seconds", "objective", "train_rmse", "kkt", "test_rmse", "sparsity",
    ]  # fmt: skip
    assert len(table) == 2 * 2 * 7
    assert not table.isna().any().any()


def test_all_solvers_start_from_the_same_point(table):
    starts = table[table["epoch"] == 0].groupby("fold")
    assert (starts["objective"].nunique() == 1).all()
    assert (starts["test_rmse"].nunique() == 1).all()


def test_errors_equal_those_of_the_estimator(table):
    train, test = next(iter(KFold(2, shuffle=True, random_state=0).split(FRAME)))
    settings = {"alpha": 0.025, "alpha_bias": 8.0, "max_iter": 6, "tol": 0, "random_state": 0}
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
    compare(FRAME, solvers=["mu"], n_components=2, max_iter=2, cv=2, on_epoch=lambda *call: seen.append(call[:2]))
    assert seen == [("mu", 1)] * 3 + [("mu", 2)] * 3


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
