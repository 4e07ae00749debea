"""What the compiler may not do: let results depend on the cache, compile the same twice, or be slow in silence."""

import os
import subprocess
import sys
import time

import numba
import numpy as np
import pytest
from numba.core import event

from nmf_scratch import NMF, _jit, _progress
from nmf_scratch._jit import operand
from nmf_scratch.solvers import SOLVERS

compiled = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

BITS = """
import hashlib, sys
from nmf_scratch import NMF, load_dataset
demo = load_dataset("demo")
for solver in sys.argv[1:]:
    model = NMF(5, solver=solver, random_state=0, max_iter=3).fit(demo)
    print(solver, hashlib.sha256(model.W_.tobytes() + model.H_.tobytes()).hexdigest())
"""

VARIANTS = """
import sys
from numba.core.dispatcher import Dispatcher
from nmf_scratch import NMF, load_dataset

demo, folder = load_dataset("demo"), sys.argv[1]
model = NMF(3, solver="als", max_iter=1, random_state=0).fit(demo)
model.save(f"{folder}/model")
for model in (model, NMF.load(f"{folder}/model"), NMF.load(f"{folder}/model", mmap=True)):
    users, items = model.user_ids_, model.item_ids_
    new = model.fold_in({items[0]: 5, items[1]: 1})
    for asked in (users[0], new, list(users[:300]), [users[0], new]):
        model.recommend(asked, n=5)
    model.predict([(users[0], items[0]), (new, items[1])])
    model.explain(users[0], items[0]), model.explain(new, items[0])
    model.similar_items(items[0]), model.similar_users(new)
for name, module in list(sys.modules.items()):
    for kernel in vars(module).values() if name.startswith("nmf_scratch") else ():
        if isinstance(kernel, Dispatcher) and kernel.py_func.__module__ == name and len(kernel.signatures) > 1:
            print(kernel.py_func.__name__)
"""


def run(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-c", *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@compiled
@pytest.mark.slow  # the short form is that of the command, below
def test_kernels_from_the_cache_give_the_bits_of_new_ones(tmp_path):
    # A helper that is not inlined exists twice, summing in two orders; which one runs once depended on the cache.
    new, cached = (run(BITS, *SOLVERS, NUMBA_CACHE_DIR=str(tmp_path)).stdout for _ in range(2))
    assert new.count("\n") == len(SOLVERS)
    assert cached == new


@compiled
def test_whatever_a_model_of_one_type_is_asked_each_kernel_is_compiled_once(tmp_path):
    assert run(VARIANTS, tmp_path).stdout.split() == []


@compiled
def test_a_command_that_compiles_says_so_once_and_trains_the_bits_of_one_that_finds_all_there(tmp_path):
    command = "import sys; from nmf_scratch.cli import main; sys.argv[0] = 'nmf-scratch'; main()"
    train = ("train", "--dataset", "demo", "-k", 3, "--folds", 2, "--max-iter", 2, "--output")
    runs = [tmp_path / "new", tmp_path / "cached"]
    new, cached = (run(command, *train, folder, NUMBA_CACHE_DIR=str(tmp_path)).stderr for folder in runs)
    assert new.count("compiling kernels") == 1
    assert "compiling" not in cached
    first, second = (NMF.load(folder / "latest" / "model.safetensors") for folder in runs)
    np.testing.assert_array_equal(first.W_, second.W_)
    np.testing.assert_array_equal(first.H_, second.H_)


class TestOperand:
    def test_what_is_as_it_should_be_is_not_copied(self, tmp_path):
        array = np.ones((3, 2), np.float32)
        assert np.shares_memory(operand(array), array)
        assert np.shares_memory(operand(array, np.float32), array)
        assert array.flags.writeable
        mapped = np.memmap(tmp_path / "mapped", np.float32, mode="w+", shape=(3, 2))
        assert np.shares_memory(operand(mapped), mapped)

    @pytest.mark.parametrize(
        "array", [np.ones((3, 2), order="F"), np.ones((6, 4))[::2, ::2], np.ones((3, 2), np.int32)]
    )
    def test_layout_and_type_are_one(self, array):
        result = operand(array, np.float64)
        assert result.flags.c_contiguous
        assert not result.flags.writeable
        assert result.dtype == np.float64
        np.testing.assert_array_equal(result, array)


class TestPatience:
    @pytest.fixture
    def told(self):
        return []

    @pytest.fixture
    def patience(self, told):
        return _jit._Patience(lambda: told.append(1), 0.05)

    @pytest.mark.parametrize(("pieces", "expected"), [([0.0], 0), ([0.3], 1), ([0.03] * 3, 1), ([0.3, 0.3], 2)])
    def test_it_runs_out_whenever_so_much_was_compiled(self, patience, told, pieces, expected):
        for seconds in pieces:
            patience.on_start(None)
            time.sleep(seconds)
            patience.on_end(None)
        time.sleep(0.2)
        assert len(told) == expected

    def test_a_kernel_within_a_kernel_is_part_of_it(self, patience, told):
        patience.on_start(None)
        for _ in range(2):
            patience.on_start(None)
            patience.on_end(None)
        time.sleep(0.3)
        patience.on_end(None)
        assert len(told) == 1

    @compiled
    def test_numba_tells_of_what_it_compiles(self):
        with event.install_recorder("numba:compile") as found:
            _jit.kernel(lambda x: x + 1)(1.0)
        assert [piece.is_start for _, piece in found.buffer] == [True, False]


def test_a_bar_says_what_takes_so_long_until_the_next_epoch(monkeypatch):
    assert not _progress.mention_compiling()
    monkeypatch.setattr(_progress.PlainConsole, "is_terminal", True)
    with _progress.EpochProgress(3, "fit") as bar:
        bar.reach(1, "fit", "RMSE 1")
        assert _progress.mention_compiling()
        assert [task.fields["error"] for task in bar._progress.tasks] == [_progress.COMPILING]
        bar.reach(2, "fit", "RMSE 0.9")
        assert [task.fields["error"] for task in bar._progress.tasks] == ["RMSE 0.9"]
    assert not _progress.mention_compiling()


FORKS = """
import multiprocessing as mp
from nmf_scratch import NMF

PAIRS = [("a", 1), ("b", 1), ("a", 2)]

def fit(solver):
    try:
        return NMF(2, solver=solver, max_iter=2, random_state=0).fit(PAIRS, [1, 2, 3]).n_iter_
    except ValueError as error:
        return str(error)

if __name__ == "__main__":
    before = fit("als")
    with mp.get_context("fork").Pool(1) as pool:
        print(before, *pool.map_async(fit, ["als"]).get(50))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_a_forked_worker_answers_or_says_why_not(tmp_path, layer):
    """OpenMP kills a forked process that enters a parallel kernel, and the pool waits for it forever."""
    (tmp_path / "forks.py").write_text(FORKS)
    env = {**os.environ, "NUMBA_THREADING_LAYER": layer}
    done = subprocess.run(
        [sys.executable, "forks.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100, check=True
    )
    expected = "2 2" if layer == "workqueue" else "2 this process was forked from"
    assert done.stdout.startswith(expected), done.stdout
