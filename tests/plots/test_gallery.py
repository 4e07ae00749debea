import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "docs" / "gallery").glob("plot_*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_each_script_runs_alone_on_the_built_in_data(script, tmp_path):
    path = os.pathsep.join(filter(None, [str(script.parents[2] / "src"), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:FigureCanvasAgg is non-interactive", script],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg", "NMF_SCRATCH_DATA_DIR": str(tmp_path), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The data are demo.\n") == ("load_dataset" in script.read_text(encoding="utf-8"))
    assert not list(tmp_path.iterdir())
