"""What the compiler may not do: let results depend on whether a kernel was compiled just now or came from the cache."""

import os
import subprocess
import sys

import numba
import pytest

SCRIPT = """
import hashlib
from nmf_scratch import NMF, load_dataset
demo = load_dataset("demo")
for solver in ("sgd", "adam", "eg", "ccd", "cd"):
    model = NMF(5, solver=solver, random_state=0, max_iter=3).fit(demo)
    print(solver, hashlib.sha256(model.W_.tobytes() + model.H_.tobytes()).hexdigest())
"""


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_kernels_from_the_cache_give_the_bits_of_new_ones(tmp_path):
    # A helper that is not inlined exists twice, summing in two orders; which one runs once depended on the cache.
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    new, cached = (
        subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert new.stdout.count("\n") == 5
    assert cached.stdout == new.stdout
