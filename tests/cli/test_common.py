"""What the commands share; above all, that a mistake ends in one line that says what to do."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from rich.text import Text

from nmf_scratch import NMF, InputError, __version__, load_dataset
from nmf_scratch.cli import _common, _scores
from nmf_scratch.fitting import TASKS
from nmf_scratch.readers import load

COMMANDS = (
    *([], ["train"], ["evaluate"], ["compare"], ["recommend"]),
    *(["data"], ["data", "list"], ["data", "download"], ["data", "stats"]),
)
GOOD = "1\t2\t3\n1\t3\t4\n"


def only_line(done):
    """Return the one line of an outcome that is a user's mistake."""
    assert done.code == 2
    assert done.out == ""
    assert done.err.endswith("\n")
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    return line


class TestBadFiles:
    """Each mistake in a file is named by file, line and content, with the remedy, whatever the command."""

    @pytest.mark.parametrize("command", [("train",), ("evaluate",), ("data", "stats")])
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", "{path} is empty (0 bytes); give a file with at least one rating"),
            ("user,item,rating\n", "{path} holds a header but no rating; give a file"),
            (GOOD + "hello\n", "{path}, line 3: 1 field(s) where 3 are expected (correct or remove the line): 'hello'"),
            (GOOD + "5\t6\tgood\n", "{path}, line 3: rating 'good' is not a number"),
            (GOOD + "5\t6\t-2\n", "{path}, line 3: rating '-2' is negative; NMF needs ratings >= 0"),
            (GOOD + "5\t6\tnan\n", "{path}, line 3: rating 'nan' is not finite"),
            (GOOD + "5\t6\tinf\n", "{path}, line 3: rating 'inf' is not finite"),
            (GOOD + "\t6\t2\n", "{path}, line 3: "),
        ],
    )
    def test_one_line(self, cli, tmp_path, command, text, expected):
        path = tmp_path / "ratings.txt"
        path.write_text(text, encoding="utf-8")
        line = only_line(cli(*command, "-d", path))
        assert line.startswith("error: " + expected.format(path=path))
        last = text.splitlines()[-1:]
        assert "line 3" not in line or repr(last[0]) in line

    def test_a_file_that_is_not_there(self, cli, tmp_path):
        line = only_line(cli("evaluate", "-d", tmp_path / "none.csv"))
        assert f"dataset '{tmp_path / 'none.csv'}' is neither a known name nor an existing path; known: demo" in line

    def test_a_file_in_another_encoding_and_its_remedy(self, cli, tmp_path):
        path = tmp_path / "latin.csv"
        path.write_bytes("user,item,rating\nZoë,1,4\nbob,2,3\n".encode("latin-1"))
        assert "--encoding" in only_line(cli("data", "stats", "-d", path))
        assert json.loads(cli("data", "stats", "-d", path, "--encoding", "latin-1", "--json").out)["n_users"] == 2

    def test_a_folder_without_data(self, cli, tmp_path):
        assert "give the file of ratings itself" in only_line(cli("evaluate", "-d", tmp_path))

    def test_a_table_of_items_that_is_about_something_else(self, cli, shop, tmp_path):
        (tmp_path / "items.csv").write_text("id,title\nx,y\n", encoding="utf-8")
        line = only_line(cli("train", "-d", shop, "--items", tmp_path / "items.csv", "-o", tmp_path / "runs"))
        assert "no 'id' in it occurs as item in the ratings" in line


class TestBadOptions:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (("-d", "ml-100kk"), "dataset 'ml-100kk' is neither a known name (did you mean 'ml-100k'?)"),
            (("-s", "sdg"), "solver='sdg' is unknown (did you mean 'sgd'?); choose one of: "),
            (("--folds", "1"), "--folds must be u1-u5 or an integer of 2 or more, got '1'"),
            (("--folds", "u1-u4"), "--folds must be u1-u5 or an integer of 2 or more, got 'u1-u4'"),
            (("--folds", "²"), "--folds must be u1-u5 or an integer of 2 or more, got '²'"),
            (("--columns", "user"), "--columns must read like user=reader,item=isbn,rating=stars, got 'user'"),
            (("--columns", "user=,item=1"), "--columns must read like"),
            (("-k", "0"), "n_components must be an integer >= 1"),
            (("--max-iter", "0"), "max_iter must be an integer >= 1, got 0"),
            (("--alpha", "-1"), "alpha must be a finite number >= 0, got -1.0"),
            (("--alpha-bias", "nan"), "alpha_bias must be a finite number >= 0, got nan"),
            (("--seed", "-1"), "seed must be an integer >= 0, got -1"),
            (("-k", "many"), "Invalid value for '--n-components'"),
            (("--sover", "mu"), "No such option: --sover"),
            (("surplus",), "Got unexpected extra argument"),
        ],
    )
    @pytest.mark.parametrize("command", ["train", "evaluate"])
    def test_one_line_before_any_data_is_read(self, cli, monkeypatch, command, options, expected):
        def read_in_vain(name, **others):
            if name != "ml-100kk":
                raise AssertionError("the data was read before the options were checked")
            return genuine(name, **others)

        genuine = load.load_dataset
        if "--columns" not in options:
            monkeypatch.setattr(load, "load_dataset", read_in_vain)
        assert only_line(cli(command, *options)).startswith("error: " + expected)

    @pytest.mark.parametrize(
        ("columns", "expected"),
        [
            (
                "user=user,item=item,rating=stars",
                "columns['rating']='stars' is not in {path}; it has: user, item, rating",
            ),
            ("user=user,item=item,rating=9", "columns['rating']=9 "),
            ("user=user,book=item,rating=rating", "columns key='book' is unknown"),
            ("user=²,item=item,rating=rating", "columns['user']='²' is not in {path}"),
        ],
    )
    def test_columns_that_are_not_there(self, cli, shop, columns, expected):
        line = only_line(cli("evaluate", "-d", shop, "--columns", columns))
        assert line.startswith("error: " + expected.format(path=shop))

    @pytest.mark.parametrize("args", [("trian",), ("data", "lst"), ("--verison",)])
    def test_a_command_that_is_none(self, cli, args):
        assert args[-1] in only_line(cli(*args))

    def test_more_folds_than_ratings(self, cli, shop):
        done = cli("evaluate", "-d", shop, "--folds", 361)
        assert done.code == 2
        assert done.err.splitlines()[-1].startswith("error: ")
        assert "361" in done.err.splitlines()[-1]


class TestReading:
    def test_repeats_are_merged_counted_and_reported(self, cli, tmp_path):
        path = tmp_path / "repeats.csv"
        path.write_text("user,item,rating,timestamp\n1,2,3,20\n1,2,5,10\n1,3,4,5\n2,2,1,5\n2,2,2,5\n", encoding="utf-8")
        done = cli("data", "stats", "-d", path, "--json")
        assert done.err == "2 repeated (user, item) pairs: the last of each was kept, by time\n"
        numbers = json.loads(done.out)
        assert (numbers["n_ratings"], numbers["n_duplicates"]) == (3, 2)
        assert numbers["histogram"] == {"2.0": 1, "3.0": 1, "4.0": 1}

    @pytest.mark.parametrize(
        ("options", "words", "mean"),
        [((), "the last of each was kept, in the order of the file", 5), (("--implicit",), "were added up", 8)],
    )
    def test_what_became_of_repeats_is_said(self, cli, tmp_path, options, words, mean):
        path = tmp_path / "repeats.csv"
        path.write_text("user,item,rating\n1,2,3\n1,2,5\n", encoding="utf-8")
        done = cli("data", "stats", "-d", path, *options, "--json")
        assert words in done.err
        assert json.loads(done.out)["mean"] == mean

    def test_columns_separator_and_positions(self, cli, tmp_path):
        path = tmp_path / "books.txt"
        path.write_text("5;ann;b1\n3;bob;b1\n", encoding="utf-8")
        done = cli("data", "stats", "-d", path, "--columns", "user=1, item=2,rating=0", "--separator", ";", "--json")
        numbers = json.loads(done.out)
        assert (numbers["n_users"], numbers["n_items"], numbers["mean"]) == (2, 1, 4.0)

    def test_a_tab_can_be_typed(self, cli, tmp_path):
        path = tmp_path / "tabs.txt"
        path.write_text(GOOD, encoding="utf-8")
        assert json.loads(cli("data", "stats", "-d", path, "--separator", r"\t", "--json").out)["n_ratings"] == 2

    def test_columns_as_typed(self):
        typed = "user=reader, item = 3,rating=stars"
        assert _common.parse_columns(typed) == {"user": "reader", "item": 3, "rating": "stars"}
        assert _common.parse_columns(None) is None

    def test_one_line_about_a_dataset(self, shop):
        line = "shop: 360 ratings of 25 items by 40 users (36.00% observed)"
        assert _common.describe_line(load_dataset(shop)) == line


SCORES = {
    name: pd.DataFrame(
        {
            "fold": [1, 2, 3],
            "rmse": rmse,
            "mae": mae,
            "fit_seconds": [9.0, 1.0, 2.0],
            "predict_seconds": [0.3, 0.1, 0.2],
        }
    )
    for name, rmse, mae in (("one", [1.0, 2.0, 3.0], [0.5] * 3), ("two", [4.0, 4.0, 4.0], [0.1, 0.2, 0.3]))
}


class TestScores:
    def test_means_over_folds_and_median_seconds(self):
        assert _scores.summary(SCORES)["one"] == {
            "rmse": 2.0, "rmse_std": 1.0, "rmse_standard_error": 1 / np.sqrt(3),
            "mae": 0.5, "mae_std": 0.0, "mae_standard_error": 0.0,
            "median_fit_seconds": 2.0, "median_predict_seconds": 0.2,
        }  # fmt: skip

    def test_the_best_of_each_column_is_bold(self):
        table = _scores.score_table(SCORES, "title")
        cells = [list(column.cells) for column in table.columns]
        assert cells[0] == ["one", "two"]
        assert cells[1] == [Text("2.0000 ± 0.5774", "bold"), Text("4.0000 ± 0.0000")]
        assert [cell.style for cell in cells[1]] == ["bold", ""]
        assert cells[2] == [Text("0.5000 ± 0.0000"), Text("0.2000 ± 0.0577", "bold")]
        assert [cell.style for cell in cells[2]] == ["", "bold"]
        assert cells[3] == ["2.00", "2.00"]

    def test_it_fits_a_narrow_terminal(self):
        table = _scores.score_table({"NMF, sgd, k = 20": SCORES["one"]}, "ml-100k, folds: u1-u5")
        assert np.isclose(_common.stdout.measure(table).maximum, 58, atol=2)


class TestEnd:
    def test_a_message_of_several_lines_is_put_on_one(self, cli, monkeypatch):
        def fail(*args, **options):
            raise InputError("first\nsecond")

        monkeypatch.setattr(load, "load_dataset", fail)
        assert only_line(cli("evaluate", "-d", "demo")) == "error: first second"

    def test_markup_in_a_message_is_left_alone(self, cli):
        assert "[bold]x[/bold]" in only_line(cli("evaluate", "-d", "[bold]x[/bold]"))

    def test_errors_of_the_system_are_mistakes_too(self, cli, monkeypatch):
        def fail(*args, **options):
            raise PermissionError(13, "Permission denied", "secret.csv")

        monkeypatch.setattr(load, "load_dataset", fail)
        assert only_line(cli("evaluate", "-d", "demo")) == "error: [Errno 13] Permission denied: 'secret.csv'"

    def test_any_other_error_is_a_bug_and_keeps_its_traceback(self, cli, monkeypatch):
        def fail(*args, **options):
            raise KeyError("x")

        monkeypatch.setattr(load, "load_dataset", fail)
        with pytest.raises(KeyError):
            cli("evaluate", "-d", "demo")


class TestHelp:
    @pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
    def test_each_command_has_help(self, cli, command):
        done = cli(*command, "--help")
        assert (done.code, done.err) == (0, "")
        usage = next(line for line in done.out.splitlines() if "Usage:" in line)
        assert " ".join(command) in usage
        assert cli(*command, "-h").out == done.out

    @pytest.mark.parametrize("command", [[], ["data"]], ids=" ".join)
    def test_nothing_asked_for_shows_the_help(self, cli, command):
        done = cli(*command)
        assert (done.code, done.err) == (0, "")
        assert done.out.split() == cli(*command, "--help").out.split()

    def test_defaults_that_depend_are_explained(self, cli):
        """Square brackets in a help text are markup, and vanish."""
        text = " ".join(cli("train", "--help").out.replace("│", " ").split())
        assert "[default: (ml-100k, else demo)]" in text
        assert "[default: ($NMF_SCRATCH_DATA_DIR or ./data)]" in text

    def test_defaults_are_those_of_the_estimator(self):
        params = NMF().get_params()
        assert (params["n_components"], str(params["weighting"])) == (_common.RANK, _common.WEIGHTING)

    def test_the_help_names_the_solvers_that_the_tasks_choose(self, cli):
        text = " ".join(cli("train", "--help").out.replace("│", " ").split())
        assert f"[default: ({TASKS['rating']['solver']}, {TASKS['ranking']['solver']} with --implicit)]" in text

    def test_the_version(self, cli):
        assert cli("--version") == (0, f"{__version__}\n", "")

    def test_help_and_version_load_no_heavy_library(self):
        script = f"""
import contextlib, io, sys
from nmf_scratch.cli import main
for command in {[*([*command, "--help"] for command in COMMANDS), ["--version"]]}:
    sys.argv = ["nmf-scratch", *command]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main()
print(*sys.modules)
"""
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        )
        loaded = set(done.stdout.split())
        assert "nmf_scratch.cli.train" in loaded
        assert loaded & {"numba", "matplotlib", "pandas", "scipy", "pooch", "sklearn"} == set()
