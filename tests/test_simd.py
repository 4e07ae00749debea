"""The hot loops must stay vectorised: one number at a time is several times slower.

What may cost a loop its SIMD instructions, with no test of results noticing: a float64 literal among float32 numbers,
arrays the compiler cannot tell apart, sums that may not be reordered. So look at what the compiler made.
"""

import platform
import re
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np
import pytest

from nmf_scratch import _jit
from nmf_scratch.data.ratings import ones
from nmf_scratch.problem.factors import Columns
from nmf_scratch.problem.objective import Penalty
from nmf_scratch.solvers import (
    adagrad,
    adam,
    coordinate_descent,
    exact_rows,
    exponentiated_gradient,
    multiplicative,
    sgd,
)
from nmf_scratch.solvers.grid import Side, Visits

CONSTRAINTS = (Path(__file__).parents[1] / "constraints.txt").read_text(encoding="utf-8").split()

pytestmark = [
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads the assembly of x86-64"),
    pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled without Numba's compiler"),
    pytest.mark.skipif(bool(numba.config.BOUNDSCHECK), reason="where each index is checked nothing is packed"),
    pytest.mark.skipif(
        f"numba=={numba.__version__}" not in CONSTRAINTS, reason="instructions are counted for one version of LLVM"
    ),
]

NUMBER = np.float32(1)
VECTOR, MATRIX = np.ones(16, np.float32), np.ones((8, 16), np.float32)
CODES, STARTS, ONES = np.zeros(1, np.int32), np.zeros(2, np.int64), ones()
PENALTY = Penalty(VECTOR, VECTOR, NUMBER, NUMBER, VECTOR)
VISITS = Visits(STARTS, STARTS, CODES, CODES, VECTOR, ONES)
SIDE = Side(MATRIX, *[VECTOR] * 4, NUMBER)
SUMS = adagrad.Sums(MATRIX, VECTOR, MATRIX, VECTOR)
MEMORY = adam.Memory(*[MATRIX] * 4)
RATES = exponentiated_gradient.Rates(VECTOR, NUMBER)

WIDE = llvmlite.binding.get_host_cpu_features().get("avx512f", False)
"""Whether there is AVX-512: the compiler then unrolls the visits of the stochastic solvers further than with AVX2."""

HOT = {
    "sgd": (sgd.sgd_sweep, (VISITS, SIDE, SIDE, True, NUMBER), 13 if WIDE else 9),
    "adagrad": (adagrad.by_row, (VISITS, SIDE, SIDE, SUMS, True, NUMBER, NUMBER, NUMBER), 17 if WIDE else 15),
    "adagrad, coordinates": (adagrad.by_coordinate, (VISITS, SIDE, SIDE, SUMS, True, NUMBER), 17),
    "adam": (adam.adam_sweep, (VISITS, SIDE, SIDE, MEMORY, MEMORY, True, (NUMBER,) * 4), 25),
    "eg": (exponentiated_gradient.eg_sweep, (VISITS, SIDE, SIDE, RATES, RATES, True, NUMBER, (NUMBER,) * 8), 48),
    "mu": (multiplicative.pull_of_squares, (VECTOR, MATRIX, (CODES, VECTOR, ONES), VECTOR, VECTOR), 34),
    "cd, residuals": (coordinate_descent.gather_row, (VECTOR, MATRIX, CODES, VECTOR, ONES, MATRIX, VECTOR), 13),
    "cd, columns": (
        coordinate_descent.cycle_columns,
        (VECTOR, MATRIX, VECTOR, MATRIX, NUMBER, NUMBER, PENALTY, Columns(14, 14, 15)),
        10,
    ),
    "als": (exact_rows.multiply_three, (MATRIX, *[np.uint64(0)] * 3, MATRIX), 9),
}
"""Kernel, arguments it is compiled for, and the least packed products: more than remain when sums stay scalar."""

PACKED = re.compile(r"\bv?(?:mul|fn?m(?:add|sub)\d+)ps\b")


def packed_products(kernel, arguments, **options):
    """Compile afresh and count the instructions that multiply several float32 numbers at once."""
    compiled = numba.njit(**{**_jit._OPTIONS, "cache": False, **options})(kernel.py_func)
    compiled.compile(tuple(map(numba.typeof, arguments)))
    (assembly,) = compiled.inspect_asm().values()
    return len(PACKED.findall(assembly))


@pytest.mark.parametrize("name", HOT)
def test_hot_loops_multiply_several_numbers_at_once(name):
    kernel, arguments, least = HOT[name]
    assert packed_products(kernel, arguments) >= least


@pytest.mark.parametrize("name", HOT)
def test_sums_in_strict_order_would_be_noticed(name):
    kernel, arguments, least = HOT[name]
    assert packed_products(kernel, arguments, fastmath={"contract"}) < least


def test_kernels_have_one_specialisation_per_type_of_factors():
    """A second one costs seconds of compilation: it comes from arrays that differ in nothing but a flag or a layout."""
    from nmf_scratch import NMF, load_dataset

    ratings = load_dataset("demo").ratings.head(2000)
    before = len(sgd.sgd_sweep.signatures)
    for _ in range(2):
        NMF(3, max_iter=2, random_state=0).fit(ratings)
        NMF(3, max_iter=2, random_state=0, biases=False, alpha=0.0).fit(ratings)
    assert len(sgd.sgd_sweep.signatures) <= max(before, 1)
