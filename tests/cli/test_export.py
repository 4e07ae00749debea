import json
import shutil

import pandas as pd
import pytest

from nmf_scratch import NMF
from nmf_scratch.cli import _runs


@pytest.fixture
def runs(demo_runs, tmp_path, monkeypatch):
    """Copy the demo run to runs/ under a folder of its own, and go there."""
    shutil.copytree(demo_runs, tmp_path / "runs", symlinks=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def test_the_latest_run_gets_its_tables(cli, runs):
    done = cli("export")
    assert (done.code, done.out) == (0, "")
    run = runs / "latest"
    model = NMF.load(run / "model.safetensors")
    users, items = (pd.read_csv(run / f"{name}_factors.csv") for name in ("user", "item"))
    assert users["user"].tolist() == model.user_ids_.tolist()
    assert list(items) == ["item", "title", "bias", "factor_0", "factor_1", "factor_2"]
    assert done.err.splitlines()[0].startswith("model: runs/demo-adagrad-")
    assert done.err.splitlines()[1].endswith(f"user_factors.csv: {len(users):,} rows, 3 factors")


def test_json_says_what_was_written_where(cli, runs, tmp_path):
    done = cli("export", "--format", "parquet", "-o", tmp_path / "tables", "--json")
    content = json.loads(done.out)
    assert content["users"] == str(tmp_path / "tables" / "user_factors.parquet")
    assert content["n_components"] == 3
    model = NMF.load(content["model"])
    assert content["rows"] == {"users": len(model.user_ids_), "items": len(model.item_ids_)}
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == [
        "item_factors.parquet", "user_factors.parquet",
    ]  # fmt: skip


def test_a_run_is_named_by_its_folder_its_name_or_its_model(cli, runs, tmp_path):
    name = (runs / "latest").resolve().name
    for number, run in enumerate([name, f"runs/{name}", runs / "latest", runs / "latest" / "model.safetensors"]):
        assert cli("export", "--run", run, "-o", tmp_path / str(number)).code == 0
        assert (tmp_path / str(number) / "user_factors.csv").is_file()


def test_mistakes_end_in_one_line(cli, runs, tmp_path, monkeypatch):
    done = cli("export", "--run", "nowhere")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: --run 'nowhere' is neither a run folder, nor a run under 'runs', nor a model file\n"
    assert cli("export", "-o", tmp_path).code == 0
    again = cli("export", "-o", tmp_path)
    assert again.code == 2
    assert "user_factors.csv' exists: overwrite it (overwrite=True, --overwrite)" in again.err
    assert cli("export", "-o", tmp_path, "--overwrite").code == 0
    assert "format='xls' is unknown" in cli("export", "-f", "xls").err
    monkeypatch.setattr(_runs, "RUNS", tmp_path / "no runs")
    assert "run `nmf-scratch train` first" in cli("export").err
