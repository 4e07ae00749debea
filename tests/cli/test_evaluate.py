import json

import pytest

from nmf_scratch import NMF, KFold, cross_validate, evaluate_ranking, load_dataset, summarise

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
    model = NMF(2, max_iter=2, alpha=0.2, alpha_bias=3.0, random_state=4)
    expected = cross_validate(model, load_dataset(shop), cv=KFold(3, shuffle=True, random_state=4))
    assert digits(done.out)["NMF, adagrad, k = 2"]["rmse"] == expected["rmse"].tolist()
    assert digits(done.out)["NMF, adagrad, k = 2"]["mae"] == expected["mae"].tolist()


def test_json_says_what_was_asked(cli, shop):
    content = json.loads(cli("evaluate", "-d", shop, *QUICK, "--seed", 4, "--json").out)
    assert (content["dataset"], content["folds"], content["seed"]) == ("shop", "3", 4)
    assert content["mean"]["NMF, adagrad, k = 2"]["rmse"] > 0


def test_the_table_has_the_solver_beside_the_baselines_and_nothing_is_saved(cli, shop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = cli("evaluate", "-d", shop, *QUICK)
    content = json.loads(cli("evaluate", "-d", shop, *QUICK, "--json").out)["mean"]
    for name, row in zip([*NAMES, "NMF, adagrad, k = 2"], done.out.splitlines()[3:], strict=False):
        for metric in ("rmse", "mae"):
            assert f"{content[name][metric]:.4f} ± {content[name][metric + '_standard_error']:.4f}" in row
        assert row.startswith(name)
    assert list(tmp_path.iterdir()) == []


def test_predefined_folds_where_there_are_none_is_an_error_with_the_remedy(cli):
    done = cli("evaluate", "-d", "demo", "--folds", "u1-u5")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1] == (
        "error: --folds u1-u5 needs ml-100k; demo has no predefined folds: use --folds 5"
    )


@pytest.mark.compiled
def test_predefined_folds_of_movielens(cli, ml_100k):
    done = cli("evaluate", "-d", ml_100k.source, "--folds", "u1-u5", "-k", 2, "--max-iter", 3, "--json")
    assert done.code == 0
    by_fold = json.loads(done.out)["by_fold"]
    assert by_fold["bias model"]["n_test"] == [20_000] * 5
    mean = {name: scores["rmse"] for name, scores in json.loads(done.out)["mean"].items()}
    assert mean["global mean"] == pytest.approx(1.1257, abs=5e-4)  # the published folds, not any five
    assert mean["NMF, adagrad, k = 2"] < mean["item mean"]


# Lists


RANKED = ["popularity", "item-kNN", "EASE", "NMF, ranking", "NMF, adagrad, k = 2"]


def strictly(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_ranking_is_the_library_s_and_stands_beside_the_baselines(cli, shop):
    done = cli("evaluate", "--ranking", "-d", shop, *QUICK, "-n", 4, "--threshold", 3.5, "--seed", 4, "--json")
    content = strictly(done.out)
    assert (done.code, content["k"], content["threshold"]) == (0, 4, 3.5)
    assert list(content["by_fold"]) == list(content["mean"]) == RANKED
    model = NMF(2, max_iter=2, random_state=4)
    folds = KFold(3, shuffle=True, random_state=4)
    expected = evaluate_ranking(model, load_dataset(shop), cv=folds, k=4, threshold=3.5)
    for metric in ("precision", "recall", "ndcg", "map", "mrr", "hit_rate", "coverage", "novelty", "rmse", "n_users"):
        assert content["by_fold"][RANKED[-1]][metric] == expected[metric].tolist()
    table = summarise(expected).set_index("metric")
    assert content["mean"][RANKED[-1]]["ndcg"] == table.loc["ndcg", "mean"]
    assert content["mean"][RANKED[-1]]["ndcg_standard_error"] == table.loc["ndcg", "standard_error"]
    assert content["mean"]["popularity"]["rmse"] is None


def test_the_ranking_table_has_a_row_per_metric(cli, shop):
    shown = cli("evaluate", "--ranking", "-d", shop, *QUICK).out
    content = strictly(cli("evaluate", "--ranking", "-d", shop, *QUICK, "--json").out)
    assert "lists of 10" in shown.splitlines()[0]
    head = " ".join(shown.split("─")[0].splitlines()[1:]).split()  # long names take two lines
    assert sorted(head) == sorted(" ".join(RANKED).split())
    (row,) = (line for line in shown.splitlines() if line.startswith("nDCG"))
    for name in RANKED:
        mean = content["mean"][name]
        assert f"{mean['ndcg']:.4f} ± {mean['ndcg_standard_error']:.4f}" in row
    assert content["threshold"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-n", 4], "error: -n 4 concerns lists: add --ranking, or leave it out"),
        (["--threshold", 4], "error: --threshold 4 concerns lists: add --ranking, or leave it out"),
        (["--ranking", "-n", 0], "error: -n must be an integer >= 1, got 0"),
        (["--ranking", "--threshold", 99], "error: no test rating reaches threshold=99: lower it"),
        (["--loss", 1], "error: solver 'adagrad' cannot minimise loss=1.0; these can: mu"),
    ],
)
def test_options_that_cannot_be_end_in_one_line(cli, shop, options, message):
    done = cli("evaluate", "-d", shop, *options)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].startswith(message)


def test_the_loss_reaches_the_solver(cli, shop):
    one, two = (cli("evaluate", "-d", shop, *QUICK, "-s", "mu", "--loss", loss, "--json") for loss in (1, 2))
    assert digits(one.out)["NMF, mu, k = 2"] != digits(two.out)["NMF, mu, k = 2"]
