import json
import shlex

import pandas as pd
import pytest

from nmf_scratch.cli.tune import make_command, make_space
from nmf_scratch.evaluation import tuning

QUICK = ("-s", "als,sgd", "-k", "2,3", "--alpha", "0.02:0.5", "--loss", "2", "--candidates", 4, "--inner-folds", 2)


@pytest.fixture
def searched(cli, shop, tmp_path):
    """Search briefly; return what was printed and the folder."""
    folder = tmp_path / "search"
    return cli("tune", "-d", shop, *QUICK, "--folds", 3, "-o", folder, "--json"), folder


def test_the_printed_command_runs_and_repeats_the_promised_error(cli, searched, tmp_path):
    done, _ = searched
    content = json.loads(done.out)
    assert done.code == 0
    program, *arguments = shlex.split(content["command"])
    trained = cli(*arguments, "-o", tmp_path / "runs", "--json")
    assert (program, trained.code) == ("nmf-scratch", 0)
    metrics = json.loads((tmp_path / "runs" / "latest" / "metrics.json").read_text())["by_fold"]
    promised = content["test_rmse"]
    best = content["best"]
    assert metrics[f"NMF, {best['solver']}, k = {best['n_components']}"]["rmse"][0] == promised["winner"]
    assert metrics["bias model"]["rmse"][0] == promised["bias model"]
    assert list(promised) == ["winner", "default (adagrad)", "bias model"]


def test_the_folder_holds_what_the_module_says(searched):
    done, folder = searched
    assert sorted(path.name for path in folder.iterdir()) == ["trials.json", "tuning.csv", "tuning.png"]
    content = json.loads(done.out)
    table = pd.read_csv(folder / "tuning.csv")
    assert table["rmse"].tolist() == pytest.approx([trial["rmse"] for trial in content["trials"]], abs=1e-12)
    assert min(table["rmse"]) == pytest.approx(content["validation_rmse"], abs=1e-12)
    assert len(table) == 4 + 2 + 1 + 1, "the default runs beside the last"


def test_the_table_the_story_and_the_command(cli, shop, tmp_path):
    done = cli("tune", "-d", shop, *QUICK, "--folds", 3, "-o", tmp_path)
    lines = done.out.splitlines()
    assert lines[0].startswith("shop, best of 8 trials")
    assert all(word in lines[1] for word in ("rung", "solver", "n components", "alpha", "max iter", "RMSE"))
    assert lines[-1].startswith("nmf-scratch train --solver ")
    assert "RMSE on fold 1, which took no part: winner " in done.err
    again = cli("tune", "-d", shop, *QUICK, "--folds", 3, "-o", tmp_path)
    assert again.out == done.out  # seconds and all: nothing was run again


def test_ctrl_c_keeps_the_best_so_far_and_the_same_command_goes_on(cli, shop, tmp_path, monkeypatch):
    arguments = ("tune", "-d", shop, *QUICK, "--folds", 3, "-o", tmp_path)
    measured, calls = tuning.cross_validate, []

    def interrupted(*args, **options):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return measured(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "cross_validate", interrupted)
        stopped = cli(*arguments)
    assert stopped.code == 130
    assert "best of 3 trials" in stopped.out
    assert stopped.out.splitlines()[-1].startswith("nmf-scratch train --solver ")
    assert "this is the best so far; the same command goes on" in stopped.err
    finished = cli(*arguments, "--json")
    fresh = cli(*arguments[:-1], tmp_path / "other", "--json")
    assert (finished.code, fresh.code) == (0, 0)
    first, second = (json.loads(done.out) for done in (finished, fresh))
    assert first["best"] == second["best"]
    assert [trial["rmse"] for trial in first["trials"]] == [trial["rmse"] for trial in second["trials"]]


def test_another_search_in_the_folder_is_an_error_and_fresh_starts_over(cli, shop, searched):
    _, folder = searched
    arguments = ("tune", "-d", shop, *QUICK, "--folds", 3, "--seed", 1, "-o", folder)
    refused = cli(*arguments)
    assert (refused.code, refused.out) == (2, "")
    assert "holds another search" in refused.err.splitlines()[-1]
    assert cli(*arguments, "--fresh").code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-k", "many"], "error: --n-components must read like 10,20 or 5:80, got 'many'"),
        (["--alpha", "1:2:3"], "error: --alpha must read like 0.01,0.03 or 0.005:0.1, got '1:2:3'"),
        (["--alpha", "0.1,"], "error: --alpha must read like"),
        (["--grid", "--alpha", "0.1:0.2"], "error: --grid needs a list for --alpha, as in --alpha 0.01,0.03"),
        (["-s", "sdg"], "error: solver='sdg' is unknown (did you mean 'sgd'?)"),
        (["-s", "sgd", "--loss", "1"], "error: no candidate is possible"),
        (["--candidates", 0], "error: --candidates must be an integer >= 1, got 0"),
        (["--inner-folds", 1], "error: --inner-folds must be an integer >= 2, got 1"),
        (["--folds", "u1-u5"], "error: --folds u1-u5 needs ml-100k"),
    ],
)
def test_mistakes_end_in_one_line(cli, shop, tmp_path, options, message):
    done = cli("tune", "-d", shop, *options, "-o", tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].startswith(message)


def test_a_folder_that_cannot_be_made_is_an_error(cli, shop, tmp_path):
    (tmp_path / "file").write_text("")
    done = cli("tune", "-d", shop, "-o", tmp_path / "file")
    assert (done.code, done.out) == (2, "")
    assert "cannot write to --output" in done.err


def test_spaces_as_typed():
    typed = {"solver": "sgd, als", "n_components": "5:80", "alpha": "0.01,0.03", "alpha_bias": "8", "loss": None}
    space = make_space(typed)
    assert space["solver"] == ["sgd", "als"]
    assert space["n_components"] == (5, 80)
    assert space["alpha"] == [0.01, 0.03]
    assert space["alpha_bias"] == [8.0]
    assert "alpha_bias" not in make_space({**typed, "alpha_bias": None})
    assert make_space({"weighting": "count,0.5", "l1_ratio": "0,0.5"})["weighting"] == ["count", 0.5]


def test_the_growth_of_the_penalty_and_the_lasso_are_searched(cli, shop, tmp_path):
    quick = ("-s", "als", "-k", "2", "--alpha", "0.1", "--loss", "2", "--inner-folds", 2, "--grid")
    done = cli("tune", "-d", shop, *quick, "--weighting", "plain,0.5", "--l1-ratio", "0,0.5", "-o", tmp_path, "--json")
    content = json.loads(done.out)
    tried = {(str(trial["weighting"]), trial["l1_ratio"]) for trial in content["trials"]}
    assert tried == {("plain", 0.0), ("plain", 0.5), ("0.5", 0.0), ("0.5", 0.5)}
    best = content["best"]
    assert f"--weighting {best['weighting']} --l1-ratio {best['l1_ratio']}" in content["command"]
    assert cli("tune", "-d", shop, *quick, "--weighting", "half", "-o", tmp_path / "other").code == 2


def test_commands_are_quoted_and_leave_defaults_out():
    best = {"solver": "mu", "alpha": 0.022, "loss": 1.0, "max_iter": 9}
    options = {"dataset": "my books.csv", "folds": "5", "seed": 0, "columns": None, "encoding": "latin-1"}
    assert make_command(best, options) == (
        "nmf-scratch train --solver mu --alpha 0.022 --loss 1.0 --max-iter 9 "
        "--dataset 'my books.csv' --folds 5 --seed 0 --encoding latin-1"
    )
    assert "--loss" not in make_command({"loss": 2.0}, {"encoding": "utf-8"})
