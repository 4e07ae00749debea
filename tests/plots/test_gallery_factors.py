import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "gallery" / "plot_factors.py"


@pytest.mark.slow
def test_the_script_runs_alone_and_says_what_it_draws(tmp_path):
    path = os.pathsep.join(filter(None, [str(SCRIPT.parents[2] / "src"), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, SCRIPT],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg", "NMF_SCRATCH_DATA_DIR": str(tmp_path), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "The data are demo.\n"
