"""What the shell offers when Tab is pressed: names of solvers and datasets, and files where a file will do.

The shell runs the program anew for every Tab, so the names stand here as text: asking the registries would import Numba
and pandas first, which takes a second. A test holds the lists equal to the registries.
"""

from __future__ import annotations

import glob
from pathlib import Path

SOLVER_NAMES = ("mu", "cd", "ccd", "als", "pgd", "sgd", "adagrad", "adam", "eg", "block-sgd")
DATASET_NAMES = ("demo", "ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m", "ml-latest-small", "ml-latest")


def complete_solver(incomplete: str) -> list[str]:
    """Return the solvers whose names begin so."""
    return [name for name in SOLVER_NAMES if name.startswith(incomplete)]


def complete_dataset(incomplete: str) -> list[str]:
    """Return the datasets whose names begin so, then files and folders (these end in a slash)."""
    paths = sorted(map(Path, glob.glob(glob.escape(incomplete) + "*")))  # noqa: PTH207 - as typed, "./" included
    names = [name for name in DATASET_NAMES if name.startswith(incomplete)]
    return [*names, *(f"{path}/" if path.is_dir() else str(path) for path in paths)]
