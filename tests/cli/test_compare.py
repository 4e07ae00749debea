import json

import pandas as pd
import pytest

from nmf_scratch import NMF, KFold, evaluate_ranking, load_dataset


def test_writes_a_table_and_a_figure_and_prints_a_line_per_solver(cli, shop, tmp_path):
    done = cli("compare", "mu", "sgd", "-d", shop, "-k", 3, "--folds", 2, "--max-iter", 3, "-o", tmp_path / "out")
    assert done.code == 0
    figures = ["kkt.png", "objective.png", "test-error.png", "time-to-target.png", "train-error.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["compare.csv", "compare.json", *figures]
    assert "5 figures in" in done.out
    table = pd.read_csv(tmp_path / "out" / "compare.csv")
    assert set(table["solver"]) == {"mu", "sgd"}
    assert table["epoch"].max() == 3
    lines = [line.split() for line in done.out.splitlines()]
    assert [line[0] for line in lines if len(line) == 8 and line[0] in ("mu", "sgd")] == ["mu", "sgd"]


def test_json_has_the_numbers_of_the_table(cli, shop, tmp_path):
    done = cli("compare", "mu", "-d", shop, "-k", 2, "--folds", 2, "--max-iter", 2, "-o", tmp_path / "out", "--json")
    content = json.loads(done.out)
    assert content["solvers"][0]["solver"] == "mu"
    assert content["solvers"][0]["epoch"] == 2
    assert content["figures"][0]["figure"] == "objective"


def test_an_unknown_solver_is_one_line(cli, shop, tmp_path):
    done = cli("compare", "sdg", "-d", shop, "-o", tmp_path / "out")
    assert done.code == 2
    assert done.err.startswith("error: solver='sdg' is unknown (did you mean 'sgd'?)")


def test_an_unwritable_folder_is_one_line(cli, shop, tmp_path):
    (tmp_path / "file").touch()
    done = cli("compare", "mu", "-d", shop, "-k", 2, "--folds", 2, "--max-iter", 1, "-o", tmp_path / "file" / "out")
    assert done.code == 2
    assert "error: cannot write to --output" in done.err


def test_the_growth_of_the_penalty_and_the_lasso_change_the_problem(cli, shop, tmp_path):
    quick = ("compare", "als", "-d", shop, "-k", 2, "--folds", 2, "--max-iter", 2, "--json")
    objectives = []
    for options in ((), ("--weighting", "count"), ("--l1-ratio", "0.5")):
        content = json.loads(cli(*quick, *options, "-o", tmp_path / str(len(objectives))).out)
        objectives.append(content["solvers"][0]["objective"])
    assert len(set(objectives)) == 3
    refused = cli(*quick, "--weighting", "half", "-o", tmp_path / "refused")
    assert (refused.code, (tmp_path / "refused").exists()) == (2, False)
    assert refused.err.startswith("error: weighting='half' is unknown")


def test_lists_of_the_solvers_that_can_beside_the_baselines(cli, shop, tmp_path):
    quick = ("-d", shop, "-k", 2, "--folds", 2, "-o", tmp_path / "out", "--ranking")
    means = json.loads(cli("compare", *quick, "--json").out)["mean"]
    assert list(means) == ["popularity", "item-kNN", "EASE", "NMF, cd", "NMF, als"]
    one = NMF(2, task="ranking", solver="cd", random_state=0)
    expected = evaluate_ranking(one, load_dataset(shop), cv=KFold(2, shuffle=True, random_state=0)).mean()
    assert means["NMF, cd"]["ndcg"] == pytest.approx(expected["ndcg"])
    assert means["NMF, cd"]["rare"] == pytest.approx(expected["rare"])
    assert not (tmp_path / "out").exists()
    assert "places of rare items" in cli("compare", "als", *quick).out


def test_a_solver_that_cannot_make_lists_is_refused(cli, shop):
    done = cli("compare", "sgd", "-d", shop, "-k", 2, "--folds", 2, "--ranking")
    assert (done.code, done.out) == (2, "")
    assert "solver 'sgd' cannot let unrated cells count" in done.err
    assert "these can: cd, als" in done.err
