import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nmf_scratch import NMF, load_dataset
from nmf_scratch._progress import EpochProgress
from nmf_scratch.cli import train as command
from nmf_scratch.cli._runs import RUNS, new_run
from nmf_scratch.readers import catalogue, load

QUICK = ("-k", 2, "--folds", 2, "--max-iter", 2)


def read(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def without_seconds(content):
    """Leave out of nested scores what no two runs share."""
    if not isinstance(content, dict):
        return content
    return {name: without_seconds(value) for name, value in content.items() if not name.endswith("_seconds")}


class TestRunFolder:
    @pytest.fixture
    def run(self, demo_runs):
        return demo_runs / "latest"

    def test_it_holds_exactly_what_the_module_documents(self, run):
        documented = re.findall(r"^    ([\w.-]+)  ", command.__doc__, re.M)
        assert len(documented) == 8
        assert sorted(path.name for path in run.iterdir()) == sorted(documented)
        page = (Path(__file__).parents[2] / "docs" / "reference" / "file-formats.md").read_text(encoding="utf-8")
        table = page.partition("## A run\n")[2].partition("## Ratings")[0]
        assert sorted(re.findall(r"^\| `([\w.-]+)` \|", table, re.M)) == sorted(documented)

    def test_its_name_says_what_was_trained_on_what_and_when(self, run):
        assert re.fullmatch(r"demo-adagrad-\d{8}-\d{6}", run.resolve().name)

    def test_metrics_hold_all_models_per_fold_and_on_average(self, run):
        metrics = read(run / "metrics.json")
        assert list(metrics["mean"]) == ["global mean", "user mean", "item mean", "bias model", "NMF, adagrad, k = 3"]
        assert list(metrics["by_fold"]) == list(metrics["mean"])
        for name, mean in metrics["mean"].items():
            folds = metrics["by_fold"][name]
            assert folds["fold"] == [1, 2, 3]
            assert sum(folds["n_test"]) == 39655
            for metric in ("rmse", "mae"):
                assert mean[metric] == pytest.approx(np.mean(folds[metric]))
                assert mean[f"{metric}_std"] == pytest.approx(np.std(folds[metric], ddof=1))
                assert mean[f"{metric}_standard_error"] == pytest.approx(mean[f"{metric}_std"] / np.sqrt(3))
            assert mean["median_fit_seconds"] == sorted(folds["fit_seconds"])[1]

    def test_the_model_is_the_refit_on_all_ratings(self, run, demo):
        saved = NMF.load(run / "model.safetensors")
        again = NMF(3, max_iter=4, random_state=0).fit(demo)
        np.testing.assert_array_equal(saved.H_, again.H_)
        assert saved.callbacks == ()

    def test_histories_have_one_line_per_epoch(self, run):
        whole, held_out = (pd.read_csv(run / name) for name in ("history.csv", "history-validation.csv"))
        for history in (whole, held_out):
            assert history.columns.tolist() == ["epoch", "seconds", "objective", "train_rmse", "valid_rmse", "kkt"]
            assert history["epoch"].tolist() == [0, 1, 2, 3, 4]
            assert (history["objective"].diff()[1:] < 0).all()
        assert whole["valid_rmse"].isna().all()
        assert (held_out["valid_rmse"][1:] > held_out["train_rmse"][1:]).all()

    def test_the_held_out_part_is_as_large_as_a_fold(self, run, demo):
        """A third: the mean rating that the first objective rests on tells the sizes apart."""
        held_out = pd.read_csv(run / "history-validation.csv")
        watched = NMF(3, max_iter=4, random_state=0, early_stopping=True, patience=4, validation_fraction=1 / 3)
        expected = watched.fit(demo).history_.to_frame()
        np.testing.assert_allclose(held_out["valid_rmse"], expected["valid_rmse"], rtol=1e-12)

    def test_the_figure_is_a_picture(self, run):
        assert (run / "convergence.png").read_bytes().startswith(b"\x89PNG")

    def test_provenance_names_data_seed_versions_and_what_auto_became(self, run, demo):
        provenance = read(run / "run.json")
        assert provenance["dataset"] == {
            "name": "demo", "source": "generated", "n_ratings": 39655, "sha256": command.data_hash(demo),
        }  # fmt: skip
        assert provenance["seed"] == 0
        assert provenance["resolved"]["max_iter"] == 4
        assert provenance["resolved"]["alpha"] > 0
        assert provenance["versions"]["numpy"] == np.__version__
        assert provenance["typed"].startswith("train -d demo -k 3")


class TestReproduction:
    @pytest.mark.parametrize("solver", ["sgd", "mu"])
    def test_the_recorded_command_gives_the_same_digits(self, cli, shop, tmp_path, solver):
        first, second = tmp_path / "first", tmp_path / "second"
        assert cli("train", "-d", shop, "-s", solver, *QUICK, "--seed", 5, "--alpha", 0.03, "-o", first).code == 0
        words = shlex.split(read(first / "latest" / "run.json")["command"])
        assert words[0] == "nmf-scratch"
        assert cli(*words[1:], "-o", second).code == 0
        before, after = (read(runs / "latest" / "metrics.json") for runs in (first, second))
        for part in ("mean", "by_fold"):
            assert without_seconds(before[part]) == without_seconds(after[part])
        factors = [NMF.load(runs / "latest" / "model.safetensors").W_ for runs in (first, second)]
        np.testing.assert_array_equal(*factors)

    def test_the_held_out_curve_goes_on_when_it_rises(self, cli, shop, tmp_path):
        """Overfitting is what it is there to show: random ratings without a penalty, fitted for long."""
        args = ("-s", "mu", "-k", 8, "--alpha", 0, "--folds", 2, "--max-iter", 40)
        assert cli("train", "-d", shop, *args, "-o", tmp_path).code == 0
        held_out = pd.read_csv(tmp_path / "latest" / "history-validation.csv")
        assert held_out["valid_rmse"].idxmin() < 35
        assert held_out["epoch"].iloc[-1] == 40

    def test_another_seed_gives_other_digits(self, cli, shop, tmp_path):
        scores = []
        for seed in (1, 2):
            assert cli("train", "-d", shop, *QUICK, "--seed", seed, "-o", tmp_path / str(seed)).code == 0
            scores.append(
                read(tmp_path / str(seed) / "latest" / "metrics.json")["by_fold"]["NMF, adagrad, k = 2"]["rmse"]
            )
        assert set(scores[0]).isdisjoint(scores[1])

    @pytest.mark.parametrize("column", ["user", "item", "rating"])
    def test_the_hash_of_the_data_sees_every_column(self, shop, column):
        dataset = load_dataset(shop)
        before = command.data_hash(dataset)
        dataset.ratings.loc[3, column] = dataset.ratings.loc[0, column]
        assert command.data_hash(dataset) != before


class TestNames:
    def test_two_runs_of_one_second_have_their_own_names_and_latest_is_the_second(
        self, cli, shop, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(time, "strftime", lambda form: "20260101-120000")
        folders = []
        for _ in range(3):
            folders.append(json.loads(cli("train", "-d", shop, *QUICK, "-o", tmp_path, "--json").out)["run"])
            assert (tmp_path / "latest").resolve() == Path(folders[-1])
        name = "shop-adagrad-20260101-120000"
        assert [Path(folder).name for folder in folders] == [name, f"{name}-2", f"{name}-3"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", name, f"{name}-2", f"{name}-3"]

    def test_a_run_under_way_keeps_its_name(self, tmp_path, monkeypatch):
        monkeypatch.setattr(time, "strftime", lambda form: "now")
        with new_run(tmp_path, "x-sgd") as (_, first), new_run(tmp_path, "x-sgd") as (_, second):
            assert (first.name, second.name) == ("x-sgd-now", "x-sgd-now-2")
        assert (tmp_path / "latest").resolve() == first

    def test_odd_characters_stay_out_of_folder_names(self, tmp_path):
        with new_run(tmp_path, "my books/2024 (new)-sgd") as (_, folder):
            assert folder.name.startswith("my-books-2024-new-sgd-")

    def test_a_run_has_the_name_it_is_given_and_need_not_become_the_latest(self, cli, shop, tmp_path):
        quick = (*("train", "-d", shop, "-k", 2, "--folds", 2, "--max-iter", 1), "-o", tmp_path)
        assert cli(*quick, "--name", "first").code == 0
        done = cli(*quick, "--name", "second", "--no-latest")
        assert done.code == 0
        said = done.err.splitlines()[-1].removeprefix("next: nmf-scratch ")
        assert cli(*shlex.split(said)).code == 0
        assert str(tmp_path / "second") in said
        assert (tmp_path / "latest").resolve() == tmp_path / "first"
        assert (tmp_path / "second" / "model.safetensors").is_file()
        for name in ("first", "a/b", "..", "latest"):
            done = cli(*quick, "--name", name)
            assert (done.code, done.out) == (2, "")
            assert f"--name '{name}' must be a new folder's name" in done.err

    def test_where_links_cannot_be_made_latest_is_a_file_with_the_name(self, cli, shop, tmp_path, monkeypatch):
        def refuse(*args, **options):
            raise OSError("no links here")

        monkeypatch.setattr(Path, "symlink_to", refuse)
        run = json.loads(cli("train", "-d", shop, *QUICK, "-o", tmp_path, "--json").out)["run"]
        assert (tmp_path / "latest").read_text(encoding="utf-8") == Path(run).name + "\n"
        done = cli("recommend", 101, "-o", tmp_path)
        assert done.code == 0
        assert Path(run).name in done.err


class TestOutput:
    def test_the_table_goes_to_stdout_and_the_story_to_stderr(self, cli, shop, tmp_path):
        done = cli("train", "-d", shop, *QUICK, "-o", tmp_path)
        assert done.code == 0
        lines = done.out.splitlines()
        assert lines[0].rstrip() == "shop, folds: 2"
        assert [line.split("  ")[0] for line in lines[3:8]] == [
            "global mean", "user mean", "item mean", "bias model", "NMF, adagrad, k = 2",
        ]  # fmt: skip
        about, saved, following = done.err.splitlines()
        assert about == "shop: 360 ratings of 25 items by 40 users (36.00% observed)"
        assert saved == f"saved to {(tmp_path / 'latest').resolve()} (see convergence.png)"
        assert following.startswith(f"next: nmf-scratch recommend --output {tmp_path} 1")

    def test_the_next_command_works(self, cli, shop, tmp_path):
        done = cli("train", "-d", shop, *QUICK, "-o", tmp_path)
        words = shlex.split(done.err.splitlines()[-1].removeprefix("next: "))
        assert words[0] == "nmf-scratch"
        assert cli(*words[1:]).out.startswith("For user 1")

    @pytest.mark.parametrize(
        ("environment", "expected"), [({"MAKELEVEL": "1"}, "make recommend USER=7"), ({}, "nmf-scratch recommend 7")]
    )
    def test_the_next_command_is_worded_as_this_one_was_called(self, monkeypatch, environment, expected):
        monkeypatch.setattr(os, "environ", environment)
        assert command._next_command(7, RUNS) == expected

    def test_json_is_all_that_stdout_holds(self, cli, shop, tmp_path):
        done = cli("train", "-d", shop, *QUICK, "-o", tmp_path, "--json")
        content = json.loads(done.out)
        assert content["run"] == str((tmp_path / "latest").resolve())
        assert content["dataset"] == "shop"
        assert content["mean"] == read(tmp_path / "latest" / "metrics.json")["mean"]

    def test_the_module_runs_by_itself_without_a_warning(self, shop, tmp_path):
        args = ["-d", shop, *QUICK, "-o", tmp_path]
        done = subprocess.run(
            [sys.executable, "-W", "error::RuntimeWarning", "-m", "nmf_scratch.cli.train", *map(str, args)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "NMF, adagrad, k = 2" in done.stdout
        assert (tmp_path / "latest" / "model.safetensors").is_file()


class TestWithoutMovieLens:
    @pytest.fixture
    def offline(self, monkeypatch):
        def refuse(name, *args, **options):
            raise catalogue.DataUnavailable(f"{name} could not be downloaded (no connection)")

        monkeypatch.setattr(load, "download", refuse)

    def test_the_default_is_demo_and_says_so_in_one_line(self, cli, offline, tmp_path):
        done = cli("train", *QUICK, "--data-dir", tmp_path, "-o", tmp_path / "runs")
        assert done.code == 0
        said = [line for line in done.err.splitlines() if "ml-100k" in line]
        assert said == [
            "Using the built-in demo data, whose ratings are invented, because ml-100k could not be downloaded "
            "(no connection)"
        ]
        assert "--dataset demo" in read(tmp_path / "runs" / "latest" / "run.json")["command"]

    def test_asked_for_by_name_it_is_an_error(self, cli, offline, tmp_path):
        done = cli("train", "--dataset", "ml-100k", "--data-dir", tmp_path, "-o", tmp_path / "runs")
        assert (done.code, done.out) == (2, "")
        assert done.err == "error: ml-100k could not be downloaded (no connection)\n"
        assert not (tmp_path / "runs").exists()


class TestFailure:
    def test_a_bug_keeps_its_traceback_and_leaves_no_folder(self, cli, shop, tmp_path, monkeypatch):
        def fail(*args, **options):
            raise RuntimeError("a bug")

        monkeypatch.setattr(command, "provenance", fail)
        with pytest.raises(RuntimeError, match="a bug"):
            cli("train", "-d", shop, *QUICK, "-o", tmp_path)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("place", ["a file", "a file/inside"])
    def test_an_output_that_cannot_be_written_is_refused_before_the_work(self, cli, shop, tmp_path, monkeypatch, place):
        def fail(*args):
            raise AssertionError("cross-validated in vain")

        monkeypatch.setattr(command, "score_all", fail)
        (tmp_path / "a file").touch()
        done = cli("train", "-d", shop, *QUICK, "-o", tmp_path / place)
        assert done.code == 2
        last = done.err.splitlines()[-1]
        assert last.startswith(f"error: cannot write to --output '{tmp_path / place}' (")
        assert last.endswith("); name another folder")

    # Two folds of a start and two epochs are six calls, the refit has three, the fit with a held-out part three more.
    @pytest.mark.parametrize("at", [1, 4, 8, 11])
    def test_ctrl_c_ends_in_130_and_leaves_no_folder(self, cli, shop, tmp_path, monkeypatch, at):
        calls = []

        def press(bar, record, factors):
            calls.append(record.epoch)
            if len(calls) == at:
                raise KeyboardInterrupt

        monkeypatch.setattr(EpochProgress, "__call__", press)
        done = cli("train", "-d", shop, *QUICK, "-o", tmp_path)
        assert done.code == 130
        assert done.err.splitlines()[-1] == "interrupted"
        assert "saved" not in done.err
        assert len(calls) == at
        assert list(tmp_path.iterdir()) == []


class TestCheckpoint:
    def interrupt(self, cli, shop, folder, monkeypatch, at, *args):
        """Press Ctrl-C at the n-th record of all fits, and let go again."""
        calls = []

        def press(bar, record, factors):
            calls.append(record.epoch)
            if len(calls) == at:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(EpochProgress, "__call__", press)
            return self.train(cli, shop, folder, *args)

    def train(self, cli, shop, folder, *args):
        return cli("train", "-d", shop, *QUICK, "--checkpoint", folder / "c.safetensors", "-o", folder / "runs", *args)

    # Two folds of a start and two epochs are six records, the refit has three, the fit with a held-out part three more.
    @pytest.mark.parametrize(("at", "epoch"), [(7, 0), (8, 1), (9, 2), (11, 2)])
    def test_a_resumed_run_is_the_run_and_cross_validates_once(self, cli, shop, tmp_path, monkeypatch, at, epoch):
        stopped = self.interrupt(cli, shop, tmp_path, monkeypatch, at)
        assert stopped.code == 130
        assert f"kept in {tmp_path / 'c.safetensors'}: the same command with --resume goes on from there" in stopped.err
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["c.safetensors", "runs"]
        with monkeypatch.context() as patch:
            patch.setattr(command, "score_all", lambda *args: pytest.fail("cross-validated again"))
            done = self.train(cli, shop, tmp_path, "--resume")
        assert done.code == 0, done.err
        assert f"resuming the refit after epoch {epoch}; the scores are those of" in done.err
        assert not (tmp_path / "c.safetensors").exists()
        assert cli("train", "-d", shop, *QUICK, "-o", tmp_path / "whole").code == 0
        resumed, whole = (tmp_path / name / "latest" for name in ("runs", "whole"))
        np.testing.assert_array_equal(*(NMF.load(run / "model.safetensors").W_ for run in (resumed, whole)))
        assert without_seconds(read(resumed / "metrics.json")["mean"]) == without_seconds(
            read(whole / "metrics.json")["mean"]
        )
        assert read(resumed / "run.json")["command"] == read(whole / "run.json")["command"]

    def test_ctrl_c_before_the_refit_keeps_nothing_and_resume_starts_anew(self, cli, shop, tmp_path, monkeypatch):
        stopped = self.interrupt(cli, shop, tmp_path, monkeypatch, 4)
        assert (stopped.code, "kept in" in stopped.err) == (130, False)
        assert self.train(cli, shop, tmp_path, "--resume").code == 0
        assert (tmp_path / "runs" / "latest" / "model.safetensors").is_file()

    def test_another_run_is_refused_before_the_work(self, cli, shop, tmp_path, monkeypatch, demo):
        self.interrupt(cli, shop, tmp_path, monkeypatch, 8)
        monkeypatch.setattr(command, "score_all", lambda *args: pytest.fail("cross-validated in vain"))
        where = ("--checkpoint", tmp_path / "c.safetensors", "-o", tmp_path / "runs", "--resume")
        start = f"error: cannot resume from '{tmp_path / 'c.safetensors'}': its run had "
        for changes, what in (
            (
                ("-d", shop, *QUICK, "-k", 3),
                "model NMF(n_components=2, max_iter=2, random_state=0), not NMF(n_components=3, ",
            ),
            (("-d", shop, *QUICK, "--folds", 3), "folds 2, not 3; delete it"),
            (("-d", "demo", *QUICK), "other ratings; delete it to start anew"),
        ):
            done = cli("train", *changes, *where)
            assert (done.code, done.out) == (2, "")
            assert done.err.splitlines()[-1].startswith(start + what)

    def test_a_file_is_not_overwritten_and_resume_needs_one(self, cli, shop, tmp_path):
        (tmp_path / "c.safetensors").touch()
        assert "exists: pass resume to go on from it" in self.train(cli, shop, tmp_path).err
        done = cli("train", "-d", shop, *QUICK, "--resume", "-o", tmp_path)
        assert (done.code, done.err.splitlines()[-1]) == (
            2, "error: --resume needs --checkpoint FILE, the file to go on from",
        )  # fmt: skip


@pytest.mark.parametrize("command", ["train", "evaluate"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weighting", "half"], "weighting='half' is unknown"),
        (["--weighting", "1.5"], "weighting must be a finite number >= 0 and <= 1, got 1.5"),
        (["--exact-below", "-1"], "exact_below must be an integer >= 0, got -1"),
        (["--l1-ratio", "2"], "l1_ratio must be a finite number >= 0 and <= 1, got 2.0"),
    ],
)
def test_an_impossible_penalty_is_refused_before_anything_is_read(command, options, message, cli):
    done = cli(command, "-d", "missing.csv", *options)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_a_typed_exponent_reaches_the_model(cli, shop, tmp_path):
    done = cli(
        "train", "-d", shop, *QUICK, "--weighting", "0.6", "--l1-ratio", "0.25", "--exact-below", 9, "-o", tmp_path
    )
    assert done.code == 0, done.err
    model = NMF.load(tmp_path / "latest" / "model.safetensors")
    assert (model.weighting, model.l1_ratio, model.exact_below) == (0.6, 0.25, 9)
