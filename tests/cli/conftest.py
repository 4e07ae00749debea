"""The command line as a user meets it: arguments in; exit code, stdout and stderr out."""

import contextlib
import io
import sys
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from nmf_scratch import _jit
from nmf_scratch.cli import _common, main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def call(*args):
    """Run nmf-scratch in this process, on a terminal of 100 columns that is none."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        patch.setattr(sys, "argv", ["nmf-scratch", *map(str, args)])
        patch.setattr(_common.stdout, "width", 100)
        main()
    return Outcome(ended.value.code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def cli():
    """Call commands in this process, in which kernels may or may not be compiled already: they do not say so."""
    _common.tell_when_compiling.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_jit, "when_compiling", lambda tell: None)
        _common.tell_when_compiling()
    return call


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """Write a small ratings file with a header: 40 users, 25 items, 360 ratings, ids of both kinds."""
    rng = np.random.default_rng(7)
    cells = rng.permutation(40 * 25)[:360]
    frame = pd.DataFrame(
        {
            "user": cells // 25 + 100,
            "item": [f"b{code:02d}" for code in cells % 25],
            "rating": rng.integers(1, 11, 360) / 2,
            "timestamp": rng.integers(10**9, 2 * 10**9, 360),
        }
    )
    path = tmp_path_factory.mktemp("shop") / "shop.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def demo_runs(tmp_path_factory, cli):
    """Train on the demo data once, briefly; return the folder of runs."""
    runs = tmp_path_factory.mktemp("demo") / "runs"
    done = cli("train", "-d", "demo", "-k", 3, "--folds", 3, "--max-iter", 4, "-o", runs)
    assert done.code == 0
    return runs


@pytest.fixture(scope="session")
def plays(tmp_path_factory):
    """Write plays of artists: two groups of listeners, from one play to thousands; and who played whom, no more."""
    rng = np.random.default_rng(5)
    users, items = np.repeat(np.arange(60), 12), rng.integers(0, 20, 720) + np.repeat(np.arange(60) % 2, 12) * 20
    frame = pd.DataFrame({"user": users, "artist": [f"band {i}" for i in items]}).drop_duplicates()
    frame["plays"] = np.exp(rng.uniform(0, 9, len(frame))).astype(int)
    path = tmp_path_factory.mktemp("plays") / "plays.csv"
    frame.to_csv(path, index=False)
    frame[["user", "artist"]].to_csv(path.with_name("played.csv"), index=False)
    return path
