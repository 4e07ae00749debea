import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def description(path):
    with Image.open(path) as image:
        return image.info["Description"]


def brightness(path):
    with Image.open(path) as image:
        return np.asarray(image).mean()


@pytest.fixture
def model(demo_runs):
    return demo_runs / "latest" / "model.safetensors"


def test_figures_go_where_they_are_wanted_and_their_text_is_told(cli, model, tmp_path):
    done = cli("plot", "convergence", "--model", model, "-o", tmp_path / "new" / "folder", "--json")
    assert done.code == 0
    figures = json.loads(done.out)["figures"]
    assert all(description(row["file"]) == row["text"] != "" for row in figures)
    assert {Path(row["file"]).parent for row in figures} == {tmp_path / "new" / "folder"}
    assert done.out.count('"figure"') == len(figures) > 0


def test_without_a_folder_they_lie_beside_the_model(cli, demo_runs, tmp_path):
    model = shutil.copytree(demo_runs / "latest", tmp_path / "run") / "model.safetensors"
    done = cli("plot", "convergence", "--model", model, "--format", "svg", "--json")
    (row, *_) = json.loads(done.out)["figures"]
    assert Path(row["file"]).parent == model.parent / "figures"
    assert Path(row["file"]).read_text(encoding="utf-8").startswith("<?xml")


def test_dark_figures_are_dark(cli, model, tmp_path):
    for name, options in {"dark": ["--dark"], "light": []}.items():
        cli("plot", "convergence", "--model", model, "-o", tmp_path / name, *options)
    dark, light = (brightness(tmp_path / name / "convergence.png") for name in ("dark", "light"))
    assert dark < 90 < 180 < light


def test_the_table_says_what_each_file_shows(cli, model, tmp_path):
    done = cli("plot", "convergence", "--model", model, "-o", tmp_path)
    assert "convergence.png" in done.out
    assert "what it shows" in done.out


def test_a_folder_that_cannot_be_made_is_named(cli, model, tmp_path):
    (tmp_path / "file").write_text("")
    done = cli("plot", "convergence", "--model", model, "-o", tmp_path / "file" / "figures")
    assert done.code == 2
    assert done.err.startswith(f"error: cannot write to --output '{tmp_path / 'file' / 'figures'}'")


def test_factors_are_drawn_one_file_a_question(cli, model, tmp_path):
    done = cli("plot", "factors", "--model", model, "-o", tmp_path, "--json")
    assert done.code == 0
    figures = json.loads(done.out)["figures"]
    assert [row["figure"] for row in figures][:3] == ["factor-genres", "factor-titles", "factor-strengths"]
    assert all(description(row["file"]) == row["text"] != "" for row in figures)


def test_without_genres_the_rest_is_drawn(cli, shop, tmp_path):
    cli("train", "-d", shop, "-k", 2, "--folds", 2, "--max-iter", 2, "-o", tmp_path / "runs")
    done = cli(
        "plot", "factors", "--model", tmp_path / "runs" / "latest" / "model.safetensors", "-o", tmp_path, "--json"
    )
    assert [row["figure"] for row in json.loads(done.out)["figures"]][:2] == ["factor-titles", "factor-strengths"]
    assert "no genres are known" in done.err


def test_predictions_are_evaluated_on_what_a_copy_has_not_seen(cli, model, tmp_path):
    done = cli("plot", "predictions", "--model", model, "-o", tmp_path, "--user", 7, "--item", 9, "--json")
    assert done.code == 0
    figures = {row["figure"]: row["text"] for row in json.loads(done.out)["figures"]}
    assert list(figures) == ["prediction-errors", "prediction-groups", "prediction-lists", "prediction-explanation"]
    assert "evaluated on 7,931 ratings, 1 part in 5" in done.err
    assert "7,931 held-out ratings" in figures["prediction-errors"]
    explained = json.loads(cli("explain", 7, 9, "--model", model, "--json").out)
    assert figures["prediction-explanation"].startswith(
        f"{explained['title']} scores {explained['score']:.2f} for user 7"
    )


def test_who_and_what_to_explain_may_be_left_to_the_command(cli, model, tmp_path):
    for asked in ([], ["--user", 7]):
        done = cli("plot", "predictions", "--model", model, "-o", tmp_path, "--folds", 10, "--json", *asked)
        text = json.loads(done.out)["figures"][-1]["text"]
        assert " scores " in text
        assert not asked or "for user 7:" in text
    done = cli("plot", "predictions", "--model", model, "--item", 9)
    assert (done.code, done.err.strip()) == (2, "error: --item 9 needs --user: whose score is to be explained?")


@pytest.fixture
def sketched(monkeypatch):
    """Draw figures without writing them out."""
    monkeypatch.setattr("nmf_scratch.plots.style.figure_bytes", lambda figure, form: b"")


def test_the_figures_of_a_dataset(cli, tmp_path, sketched):
    done = cli("plot", "dataset", "--dataset", "demo", "-o", tmp_path, "--format", "svg", "--json")
    assert done.code == 0
    figures = {row["figure"]: row["text"] for row in json.loads(done.out)["figures"]}
    assert {"ratings", "treemap", "users", "item-graph"} < figures.keys()
    assert "39,655 ratings" in figures["ratings"]
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(figures)
    assert done.err == ""


def test_what_a_dataset_lacks_is_left_out_with_a_word(cli, shop, tmp_path, monkeypatch, sketched):
    monkeypatch.chdir(tmp_path)
    done = cli("plot", "dataset", "-d", shop, "--json")
    assert done.code == 0
    assert "does not say titles or genres or who the users are" in done.err
    rows = json.loads(done.out)["figures"]
    assert "treemap" not in {row["figure"] for row in rows}
    assert {Path(row["file"]).parent for row in rows} == {Path("runs/figures") / shop.stem}


def test_convergence_goes_by_what_the_run_folder_holds(cli, model, tmp_path):
    done = cli("plot", "convergence", "--model", model, "-o", tmp_path, "--longer", 2, "--json")
    assert done.code == 0
    (row,) = json.loads(done.out)["figures"]
    assert "above that of a much longer run" in row["text"]
    assert "on those held out it is lowest after" in row["text"]
    assert "the bias model has" in row["text"]
    assert "the longer run of" in done.err


def test_animations_are_written_twice_each(cli, tmp_path, monkeypatch):
    def save(animation, path):
        animation._draw_was_started = True  # else matplotlib warns that it was made for nothing
        return f"said of {path.name}"

    monkeypatch.setattr("nmf_scratch.plots.animation.save_animation", save)
    done = cli("plot", "animations", "-o", tmp_path / "new", "--json")
    assert done.code == 0
    rows = json.loads(done.out)["figures"]
    names = ["solver-paths.gif", "solver-paths.html", "reconstruction.gif", "reconstruction.html"]
    assert [Path(row["file"]).name for row in rows] == names
    assert rows[0]["text"] == "said of solver-paths.gif"
