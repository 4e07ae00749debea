"""What the shell is told when Tab is pressed, asked the way that bash asks."""

import os
import subprocess
import sys

import pytest

from nmf_scratch.cli import _complete
from nmf_scratch.readers.catalogue import CATALOGUE
from nmf_scratch.solvers import SOLVERS

RUN = "import sys; sys.argv = ['nmf-scratch']; from nmf_scratch.cli import main\ntry:\n    main()\nfinally:\n    "


def offered(line, folder="."):
    """Return what is offered for the last word of a command line, and the libraries loaded to find it."""
    words = line.split(" ")
    asked = {"_NMF_SCRATCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", RUN + "print(*sys.modules, file=sys.stderr)"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **asked},
        capture_output=True, text=True, cwd=folder, check=True,
    )  # fmt: skip
    return done.stdout.split(), set(done.stderr.split())


def test_the_names_are_those_of_the_registries():
    assert tuple(SOLVERS) == _complete.SOLVER_NAMES
    assert tuple(CATALOGUE) == _complete.DATASET_NAMES


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("nmf-scratch tr", ["train"]),
        ("nmf-scratch train --sol", ["--solver"]),
        ("nmf-scratch train --solver a", ["als", "adagrad", "adam"]),
        ("nmf-scratch compare mu c", ["cd", "ccd"]),
        ("nmf-scratch data download ml-1", ["ml-100k", "ml-1m", "ml-10m"]),
    ],
)
def test_names_are_completed_without_loading_what_takes_long(line, names):
    found, loaded = offered(line)
    assert found == names
    assert loaded & {"numba", "pandas", "scipy", "matplotlib", "pooch"} == set()


def test_datasets_are_names_and_files(tmp_path):
    (tmp_path / "demons.csv").touch()
    (tmp_path / "demos").mkdir()
    assert offered("nmf-scratch evaluate -d dem", tmp_path)[0] == ["demo", "demons.csv", "demos/"]
    assert offered("nmf-scratch evaluate -d demos[", tmp_path)[0] == []
