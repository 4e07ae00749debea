import json

import pytest

from nmf_scratch import NMF, KFold, cross_validate, load_dataset

QUICK = ("-k", 2, "--folds", 3, "--max-iter", 2)
NAMES = ["global mean", "user mean", "item mean", "bias model"]


def digits(out):
    """Scores of `evaluate --json` without the seconds."""
    return {
        name: {key: value for key, value in table.items() if not key.endswith("_seconds")}
        for name, table in json.loads(out)["by_fold"].items()
    }


@pytest.mark.parametrize("solver", ["sgd", "mu"])
def test_twice_gives_the_same_digits(cli, shop, solver):
    first, second = (cli("evaluate", "-d", shop, "-s", solver, *QUICK, "--json") for _ in range(2))
    assert first.code == second.code == 0
    assert list(digits(first.out)) == [*NAMES, f"NMF, {solver}, k = 2"]
    assert digits(first.out) == digits(second.out)


def test_it_is_the_library_s_cross_validation(cli, shop):
    done = cli("evaluate", "-d", shop, *QUICK, "--seed", 4, "--alpha", 0.2, "--alpha-bias", 3, "--json")
    model = NMF(2, solver="sgd", max_iter=2, alpha=0.2, alpha_bias=3.0, random_state=4)
    expected = cross_validate(model, load_dataset(shop), cv=KFold(3, shuffle=True, random_state=4))
    assert digits(done.out)["NMF, sgd, k = 2"]["rmse"] == expected["rmse"].tolist()
    assert digits(done.out)["NMF, sgd, k = 2"]["mae"] == expected["mae"].tolist()


def test_json_says_what_was_asked(cli, shop):
    content = json.loads(cli("evaluate", "-d", shop, *QUICK, "--seed", 4, "--json").out)
    assert (content["dataset"], content["folds"], content["seed"]) == ("shop", "3", 4)
    assert content["mean"]["NMF, sgd, k = 2"]["rmse"] > 0


def test_the_table_has_the_solver_beside_the_baselines_and_nothing_is_saved(cli, shop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = cli("evaluate", "-d", shop, *QUICK)
    content = json.loads(cli("evaluate", "-d", shop, *QUICK, "--json").out)["mean"]
    for name, row in zip([*NAMES, "NMF, sgd, k = 2"], done.out.splitlines()[3:], strict=False):
        for metric in ("rmse", "mae"):
            assert f"{content[name][metric]:.4f} ± {content[name][metric + '_std']:.4f}" in row
        assert row.startswith(name)
    assert list(tmp_path.iterdir()) == []


def test_predefined_folds_where_there_are_none_is_an_error_with_the_remedy(cli):
    done = cli("evaluate", "-d", "demo", "--folds", "u1-u5")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1] == (
        "error: --folds u1-u5 needs ml-100k; demo has no predefined folds: use --folds 5"
    )


def test_predefined_folds_of_movielens(cli, ml_100k):
    done = cli("evaluate", "-d", ml_100k.source, "--folds", "u1-u5", "-k", 2, "--max-iter", 3, "--json")
    assert done.code == 0
    by_fold = json.loads(done.out)["by_fold"]
    assert by_fold["bias model"]["n_test"] == [20_000] * 5
    mean = {name: scores["rmse"] for name, scores in json.loads(done.out)["mean"].items()}
    assert mean["global mean"] == pytest.approx(1.1257, abs=5e-4)  # the published folds, not any five
    assert mean["NMF, sgd, k = 2"] < mean["item mean"]
