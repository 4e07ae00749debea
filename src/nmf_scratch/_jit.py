"""The only place that knows how kernels are compiled.

Kernels are plain functions on plain arrays, compiled by Numba on their first call (never at import) and kept on the
disk (`nmf_scratch._kernel_cache`). All share one set of options:

- `fastmath` allows sums to be reordered (`reassoc`), multiplications and additions to be fused (`contract`),
  signed zeros to be ignored (`nsz`) and divisions to become products (`arcp`). That is what lets a dot product use
  SIMD registers. It never includes `nnan` or `ninf`: those delete NaN checks, and divergence must stay visible.
- `parallel` is for `prange` alone. Numba would also make a loop of its own of each operation on arrays within, which
  takes long to compile and is no faster.
- `error_model="numpy"`: a division by zero gives inf or NaN as in NumPy, without a branch in every loop.

`NUMBA_DISABLE_JIT=1` turns every kernel back into the Python function it was written as, for the debugger.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, event, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from nmf_scratch._check import InputError, check_number
from nmf_scratch._kernel_cache import KernelCache

F = TypeVar("F", bound=Callable[..., Any])

LINE = 16
"""float32 numbers in a cache line, and in a 512-bit register: rows are padded with zeros to a multiple of it."""

_OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
}
_NOT_PARALLEL = ("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion")
_PARALLEL: dict[str, Any] = {**_OPTIONS, "parallel": {**dict.fromkeys(_NOT_PARALLEL, False), "prange": True}}
_ONE_FIT_AT_A_TIME = threading.RLock()


def kernel(function: F) -> F:
    """Compile a serial kernel, and make it part of each kernel that calls it.

    A callee that is not inlined is compiled with its caller *and* by itself, the two may sum in different orders, and
    which one runs depends on whether the caller came from the cache: the same seed would not give the same bits.
    """
    return _kept(numba.njit(forceinline=True, **_OPTIONS)(function), function)


def parallel_kernel(function: F) -> F:
    """Compile a kernel whose `prange` loop owns its output rows, so that its result is free of the thread count."""
    return _kept(numba.njit(**_PARALLEL)(function), function)


def serial(parallel: F) -> F:
    """Compile a parallel kernel once more, for the calling thread: short work is not worth waking the others."""
    function = getattr(parallel, "py_func", parallel)
    return _kept(numba.njit(**_OPTIONS)(function), function, "serial")


def _kept(compiled: Any, function: F, kind: str = "") -> F:
    """Let a kernel keep what is compiled of it; without Numba it is the function itself, and nothing is."""
    if compiled is not function:
        compiled._cache = KernelCache(function, kind)
    return compiled  # type: ignore[no-any-return]


def operand(array: NDArray[Any], dtype: Any = None) -> NDArray[Any]:
    """Return an array as kernels take what they only read: in C order, read-only, and copied only if it must be.

    To Numba, layout and permission to write belong to the type, and each combination of types is compiled anew.
    """
    return read_only(np.ascontiguousarray(array, dtype=dtype))


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """View an array as one that is only read, whatever its layout."""
    view = array.view()
    view.flags.writeable = False
    return view


@contextmanager
def threads(n_threads: int | None) -> Iterator[None]:
    """Run parallel kernels on `n_threads` threads (None: all that Numba may use).

    Numba's portable threading layer aborts the process when two Python threads enter parallel kernels at once
    (numba issue 8563), so the block is also a critical section: concurrent fits take turns.
    """
    if n_threads is not None:
        check_number("n_threads", n_threads, minimum=1, integer=True)
    if _left_behind():
        raise InputError(
            "this process was forked from one that had run parallel kernels, whose threads (OpenMP) stayed behind: "
            'start workers with multiprocessing.get_context("spawn"), or set NUMBA_THREADING_LAYER=workqueue'
        )
    with _ONE_FIT_AT_A_TIME:
        before = numba.get_num_threads()
        most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
        # Asking for more than there are is no mistake: a script written on a larger machine should run here.
        numba.set_num_threads(min(n_threads or most, most))
        try:
            yield
        finally:
            numba.set_num_threads(before)


def _left_behind() -> bool:
    """Tell whether this process was forked from one that had run parallel kernels on OpenMP, which would kill it."""
    return _PARENT.get("layer") == "omp"


def _after_fork() -> None:
    """Remember which threading layer the parent had started, if any; a lock that was held then is free now."""
    global _ONE_FIT_AT_A_TIME
    _ONE_FIT_AT_A_TIME = threading.RLock()
    with suppress(ValueError):  # none
        _PARENT["layer"] = numba.threading_layer()  # type: ignore[attr-defined]


_PARENT: dict[str, str] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def parallel_turn() -> Iterator[bool]:
    """Say whether this Python thread may enter parallel kernels in the block: not while another one is inside them.

    For short work that has a serial way to the same result, which is better than waiting for somebody's fit.
    """
    is_free = not _left_behind() and _ONE_FIT_AT_A_TIME.acquire(blocking=False)
    try:
        yield is_free
    finally:
        if is_free:
            _ONE_FIT_AT_A_TIME.release()


class _Patience(event.Listener):
    """Runs out whenever a second, or so, was spent on compiling."""

    def __init__(self, tell: Callable[[], None], seconds: float) -> None:
        self._tell, self._seconds, self._left = tell, seconds, seconds
        self._depth, self._began, self._timer = 0, 0.0, threading.Timer(0, tell)

    def on_start(self, found: event.Event) -> None:
        """Start the clock, unless this kernel is compiled within another."""
        self._depth += 1
        if self._depth == 1:
            self._began, self._timer = time.monotonic(), threading.Timer(self._left, self._tell)
            self._timer.daemon = True
            self._timer.start()

    def on_end(self, found: event.Event) -> None:
        """Stop the clock; what is left is left for the next kernel."""
        self._depth -= 1
        if self._depth == 0:
            self._timer.cancel()
            self._left -= time.monotonic() - self._began
            self._left = self._left if self._left > 0 else self._seconds


def when_compiling(tell: Callable[[], None], seconds: float = 1.0) -> None:
    """Have a function called whenever compiling has taken so many seconds; it is called in a thread of its own."""
    event.register("numba:compile", _Patience(tell, seconds))  # type: ignore[no-untyped-call]


def _generate_prefetch(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Emit LLVM's prefetch of one element of a matrix: to read, to keep, as data."""
    array_type, *index_types = signature.args
    array = context.make_array(array_type)(context, builder, arguments[0])
    pairs = zip(arguments[1:], index_types, strict=True)
    indices = [context.cast(builder, value, from_type, types.intp) for value, from_type in pairs]
    pointer = cgutils.get_item_pointer(context, builder, array_type, array, indices, wraparound=False)  # type: ignore[no-untyped-call]
    pointer = builder.bitcast(pointer, cgutils.voidptr_t)
    number = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
    hint = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
    builder.call(hint, [pointer, number(0), number(3), number(1)])
    return context.get_dummy_value()


def _prefetch(typing_context: Any, matrix: Any, row: Any, column: Any) -> Any:
    """Ask the processor to fetch the cache line of an element; nothing is read, and no index is checked."""
    return types.void(matrix, row, column), _generate_prefetch


def _no_prefetch(matrix: Any, row: Any, column: Any) -> None:
    """Stand in where nothing is compiled."""


prefetch: Callable[..., None] = _no_prefetch if numba.config.DISABLE_JIT else intrinsic(_prefetch)  # type: ignore[attr-defined]
