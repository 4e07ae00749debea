import json
import shutil

import pytest

from nmf_scratch import NMF, report
from nmf_scratch.report.examples import chosen


@pytest.fixture
def run(demo_runs, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(demo_runs / "latest", folder)
    return folder


@pytest.fixture
def quick(monkeypatch):
    """Leave out the comparison, which is measured elsewhere."""
    monkeypatch.setattr("nmf_scratch.cli.report.BRIEF_UP_TO", 0)


@pytest.fixture
def sketched(monkeypatch):
    """Draw figures without writing them out: what a page says is the same."""
    monkeypatch.setattr("nmf_scratch.report.pictures.figure_bytes", lambda figure, form: b"")


@pytest.mark.usefixtures("quick")
class TestReport:
    @pytest.mark.parametrize("figures", ["sketched", pytest.param("drawn", marks=pytest.mark.slow)])
    def test_the_page_lies_beside_the_model_and_is_told(self, cli, run, figures, request):
        if figures == "sketched":
            request.getfixturevalue("sketched")
        done = cli("report", "--model", run / "model.safetensors", "--json")
        assert done.code == 0
        told = json.loads(done.out)
        assert told["report"] == str(run / "report.html")
        text = (run / "report.html").read_text(encoding="utf-8")
        assert told["bytes"] == len(text.encode()) < 8_000_000
        metrics = json.loads((run / "metrics.json").read_text())
        fold = metrics["by_fold"]["NMF, adagrad, k = 3"]["rmse"][0]
        assert f"others: RMSE {fold:.4f}" in text  # the fit that is shown is the first fold of the run
        assert "demo holds 39,655 ratings" in text

    def test_examples_are_the_lists_of_the_run(self, cli, run, sketched):
        done = cli("report", "--model", run / "model.safetensors")
        assert done.code == 0
        text = (run / "report.html").read_text(encoding="utf-8")
        lists = NMF.load(run / "ranking.safetensors")
        user = chosen(lists)[0]
        assert lists.recommend(user, n=1)["title"].iloc[0] in text
        assert "A score says how likely a choice is" in text

    def test_a_run_that_learnt_choices_is_told_by_its_lists(self, cli, plays, tmp_path, sketched):
        assert cli("train", "-d", plays, "--implicit", "--folds", 2, "-k", 3, "-o", tmp_path).code == 0
        run = (tmp_path / "latest").resolve()
        assert cli("report", "--model", run / "ranking.safetensors").code == 0
        text = (run / "report.html").read_text(encoding="utf-8")
        means = json.loads((run / "metrics.json").read_text())["mean"]
        said = "In cross-validation with 2 folds, its lists had an nDCG of {:.4f}, where lists of the most popular"
        assert said.format(means["NMF, ranking"]["ndcg"]) in text
        assert "How well it predicts" not in text
        assert "compare --ranking --dataset" in text

    @pytest.mark.slow
    def test_figures_of_a_model_for_lists(self, cli, plays, tmp_path):
        assert cli("train", "-d", plays, "--implicit", "--folds", 2, "-k", 3, "-o", tmp_path).code == 0
        assert cli("report", "--model", (tmp_path / "latest").resolve() / "ranking.safetensors").code == 0
        text = (tmp_path / "latest" / "report.html").read_text(encoding="utf-8")
        assert "units of the score" in text or "has a strength of" in text
        assert "of the variance, factor" not in text

    def test_data_that_changed_is_not_described(self, cli, run, sketched):
        content = json.loads((run / "run.json").read_text())
        content["options"]["dataset"] = "gone.csv"
        (run / "run.json").write_text(json.dumps(content))
        done = cli("report", "--model", run / "model.safetensors")
        assert done.code == 0
        assert "goes by the ratings in the model file" in done.err
        assert f"saved to {run / 'report.html'}" in done.err

    def test_other_data_is_refused(self, cli, run, shop):
        done = cli("report", "--model", run / "model.safetensors", "-d", shop)
        assert done.code == 2
        assert "is not what the model was trained on" in done.err

    def test_places_that_cannot_be_written_are_named(self, cli, run, tmp_path):
        for place, words in ((tmp_path, "is a folder"), (tmp_path / "none" / "x.html", "there is no folder")):
            done = cli("report", "--model", run / "model.safetensors", "-o", place)
            assert done.code == 2
            assert words in done.err

    def test_ctrl_c_leaves_no_half_file_and_the_old_one(self, cli, run, monkeypatch):
        def interrupted(*args, **kwargs):
            raise KeyboardInterrupt

        (run / "report.html").write_text("old")
        before = sorted(run.iterdir())
        monkeypatch.setattr(report, "make_page", interrupted)
        assert cli("report", "--model", run / "model.safetensors").code == 130
        assert sorted(run.iterdir()) == before
        assert (run / "report.html").read_text() == "old"

    def test_a_model_outside_a_run_is_enough(self, cli, demo_runs, tmp_path, sketched):
        NMF.load(demo_runs / "latest" / "model.safetensors").save(tmp_path / "alone.safetensors")
        assert cli("report", "--model", tmp_path / "alone.safetensors").code == 0
        assert "stands in no run folder" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_comparison_on_the_same_ratings_is_used(cli, run, tmp_path, sketched):
    assert (
        cli("compare", "mu", "cd", "-d", "demo", "-k", 2, "--folds", 2, "--max-iter", 2, "-o", tmp_path / "c").code == 0
    )
    assert cli("report", "--model", run / "model.safetensors", "--comparison", tmp_path / "c").code == 0
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "Of 2 solvers" in text
    assert "brief look" not in text
