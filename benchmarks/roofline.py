"""How fast could an epoch be? What the machine can attain, what a solver must do at least, and the share it reaches.

The roofline model (Williams, Waterman & Patterson 2009, CACM 52(4)): a program that makes `flops` operations and moves
`bytes` to do so takes no less time than the slowest of its resources,

    bound = max( flops / attainable flops,  cache bytes / cache bandwidth,  memory bytes / memory bandwidth )

and its share is bound / measured time. What is attainable is measured, not looked up, by Numba kernels compiled with
the options of the solvers: fused multiply-adds that never leave the registers, and the triad a = b + s·c (McCalpin's
STREAM) on arrays that fit a second-level cache, and on arrays far too large for any.

What a solver must do is counted from its algorithm, per rating and epoch: R ratings, m users, n items, k columns,
rows = (m + n) / R. An operation is an addition, a multiplication or a comparison of two numbers. The counts are lower
bounds, so a share of 100 % is out of reach:

- *Cache bytes* are what must pass between a row's copy in the second-level cache and the registers. It is taken for
  granted that every partner row is found there; with factors larger than that cache, it often is not.
- *Memory bytes* are the ratings, once per half-step, and every factor matrix once per use.
- Penalties, biases, loop counters and set-up count nothing; `als` is granted the right guess in the first round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nmf_scratch._jit import kernel, parallel_kernel, threads
from nmf_scratch.plots import style as looks

CACHE_ARRAY, MEMORY_ARRAY = 2**17, 2**26
"""Bytes of each of the triad's three arrays: 384 KB together per thread, and 192 MB."""

REGISTERS = 1024
"""Numbers that the arithmetic kernel works on per thread: they stay in the first-level cache between 32 operations."""


class Roofs(NamedTuple):
    """What the machine attains on some number of threads, per second: operations by size of a number, and bytes."""

    float32: float
    float64: float
    cache: float
    memory: float


class Work(NamedTuple):
    """What an epoch takes per rating, at least: operations by size of a number, and bytes."""

    float32: float
    cache: float
    memory: float
    float64: float = 0.0

    @property
    def flops(self) -> float:
        """Operations of both kinds."""
        return self.float32 + self.float64

    def times(self, roofs: Roofs) -> dict[str, float]:
        """Return the seconds per rating that each resource takes for itself."""
        operations = self.float32 / roofs.float32 + self.float64 / roofs.float64
        return {"operations": operations, "cache": self.cache / roofs.cache, "memory": self.memory / roofs.memory}

    def bound(self, roofs: Roofs) -> tuple[str, float]:
        """Return the resource that takes longest, and its seconds per rating."""
        return max(self.times(roofs).items(), key=lambda pair: pair[1])

    def intensity(self, roofs: Roofs) -> float:
        """Return operations per byte: of memory if that is the bound, else of cache."""
        return self.flops / (self.memory if self.bound(roofs)[0] == "memory" else self.cache)


# ---- what a solver must do


def work_of_block_sgd(k: int, rows: float) -> Work:
    """Count a visit: the product of two rows, and a step of both."""
    return Work(float32=2 * k + 2 * 4 * k, cache=4 * 4 * k, memory=12 + 4 * k * 2 * rows)


def work_of_mu(k: int, rows: float) -> Work:
    """Count two half-steps: the product of two rows, and a multiple of one added to two sums."""
    return Work(float32=2 * 6 * k, cache=2 * 4 * k, memory=2 * 8 + 4 * k * 3 * rows)


def work_of_cd(k: int, rows: float) -> Work:
    """Count two half-steps: residual and transposed copy, then per column two sums and one correction."""
    return Work(float32=2 * (2 + 4 + 2) * k, cache=2 * 3 * 4 * k, memory=2 * 8 + 4 * k * 3 * rows)


def work_of_als(k: int, rows: float) -> Work:
    """Count two half-steps: half of a Gram matrix and a right-hand side, and per row one system in float64."""
    sums = 2 * (k * (k + 1) + 2 * k)
    solve = (k**3 / 3 + 2 * k**2) * rows
    return Work(float32=sums, float64=solve, cache=2 * 4 * k, memory=2 * 8 + 4 * k * 3 * rows)


WORK: dict[str, Callable[[int, float], Work]] = {
    "block-sgd": work_of_block_sgd,
    "cd": work_of_cd,
    "als": work_of_als,
    "mu": work_of_mu,
}

FORMULAS = [
    (
        "`block-sgd`",
        "2k + 2·4k",
        "4·4k",
        "12 + 2·4k·rows",
        "One product of two rows; then two rows of a number times a decay, plus a number times a push, cut at zero. "
        "Both rows are read and written, and a tile's rows are made to fit the cache. A rating is two ids and a value, "
        "streamed once; both matrices are read and written once.",
    ),
    (
        "`cd`",
        "2·(2 + 4 + 2)k",
        "2·3·4k",
        "2·8 + 3·4k·rows",
        "Per half-step the residual, and per column two sums and the correction of the residual. The partner's row is "
        "read, its transposed copy written, and read column by column; of the two passes over a column the second "
        "finds it in the first-level cache. A rating is an id and a value; matrices are read as rows, as partners, and "
        "written.",
    ),
    (
        "`als`",
        "2·(k(k + 1) + 2k) + (k³/3 + 2k²)·rows",
        "2·4k",
        "2·8 + 3·4k·rows",
        "Per half-step a multiply-add for each of the k(k + 1)/2 different entries of the Gram matrix, which stays in "
        "the first-level cache, and k for the right-hand side; per row a Cholesky factor (k³/6 multiply-adds) and two "
        "triangular systems, in float64.",
    ),
    (
        "`mu`",
        "2·6k",
        "2·4k",
        "2·8 + 3·4k·rows",
        "Per half-step one product of two rows, and the partner's row added to numerator and denominator, which stay "
        "in the first-level cache.",
    ),
]
"""The functions above in words: solver, operations, cache bytes, memory bytes, why."""


# ---- what the machine attains


def measure_roofs(n_threads: Sequence[int], seconds: float = 0.5) -> dict[int, Roofs]:
    """Return what is attained on each number of threads; more threads attain no less, as some may be left idle."""
    roofs: dict[int, Roofs] = {}
    for n in sorted(n_threads):
        found = [measured(n, seconds), *roofs.values()]
        roofs[n] = Roofs(*map(max, zip(*found, strict=True)))
    return roofs


def measured(n_threads: int, seconds: float) -> Roofs:
    """Return the best that the kernels below reach within so many seconds each."""
    with threads(n_threads):
        flops = [best_flops(n_threads, dtype, seconds) for dtype in (np.float32, np.float64)]
        in_cache = best_bandwidth(n_threads, CACHE_ARRAY, 512, seconds)
        memory = best_bandwidth(n_threads, MEMORY_ARRAY // n_threads, 1, seconds)
    return Roofs(*flops, in_cache, memory)


def best_flops(n_threads: int, dtype: type, seconds: float) -> float:
    """Return operations per second of 32 fused multiply-adds in a row, on many numbers independently."""
    numbers = np.full((n_threads, REGISTERS), 0.1, dtype)
    repeats = 1000
    best = fastest(lambda: multiply_add(numbers, dtype(0.1), repeats), seconds)
    return 2 * 32 * repeats * numbers.size / best


def best_bandwidth(n_threads: int, n_bytes: int, repeats: int, seconds: float) -> float:
    """Return bytes per second that the triad reads and writes, each thread on its own three arrays.

    As in STREAM, a line that is fetched only to be overwritten does not count.
    """
    a, b, c = (np.full((n_threads, n_bytes // 4), value, np.float32) for value in (0, 1, 2))
    best = fastest(lambda: triad(a, b, c, np.float32(3), repeats), seconds)
    return repeats * (a.nbytes + b.nbytes + c.nbytes) / best


def fastest(function: Callable[[], None], seconds: float) -> float:
    """Return the least time of a call, after one that compiles."""
    function()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


@parallel_kernel
def triad(a: NDArray[Any], b: NDArray[Any], c: NDArray[Any], factor: Any, repeats: int) -> None:
    """Write b + factor · c into a, arrays of shape (n_threads, n), so many times."""
    for thread in numba.prange(len(a)):
        for _ in range(repeats):
            add_multiple(a[thread], b[thread], c[thread], factor)


@kernel
def add_multiple(a: NDArray[Any], b: NDArray[Any], c: NDArray[Any], factor: Any) -> None:
    for j in range(len(a)):
        a[j] = b[j] + factor * c[j]


@parallel_kernel
def multiply_add(numbers: NDArray[Any], shift: Any, repeats: int) -> None:
    """Map every x to x² + shift, 32 times per repeat: no rule of algebra shortens that, and it stays between 0 and 1.

    A processor needs some ten independent vectors to be busy: neighbours in `numbers`, shape (n_threads, n).
    """
    for thread in numba.prange(len(numbers)):
        for _ in range(repeats):
            map_all(numbers[thread], shift)


@kernel
def map_all(x: NDArray[Any], shift: Any) -> None:
    for j in range(len(x)):
        x[j] = eight(eight(eight(eight(x[j], shift), shift), shift), shift)


@kernel
def eight(x: Any, shift: Any) -> Any:
    x = x * x + shift
    x = x * x + shift
    x = x * x + shift
    x = x * x + shift
    x = x * x + shift
    x = x * x + shift
    x = x * x + shift
    return x * x + shift


# ---- the chart


class Point(NamedTuple):
    """A solver's epoch: what it takes per rating, and the seconds that it took."""

    solver: str
    work: Work
    seconds: float


def draw_roofline(roofs: dict[int, Roofs], points: dict[int, list[Point]], title: str) -> Figure:
    """Draw one panel per number of threads: a roof per level of memory, and each solver below its bound."""
    with looks.style():
        figure = looks.new_figure(11.0, 5.8)
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        panels = figure.subplots(1, len(roofs), sharey=True, squeeze=False)[0]
        for axes, (n_threads, roof) in zip(panels, roofs.items(), strict=True):
            draw_roofs(axes, roof)
            for point in points.get(n_threads, []):
                draw_point(axes, roof, point)
            looks.log_axis(axes.xaxis)
            looks.log_axis(axes.yaxis)
            axes.set(title=f"{n_threads} thread(s)", xlabel="operations per byte")
        panels[0].set_ylabel("billion operations per second")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def draw_roofs(axes: Axes, roofs: Roofs) -> None:
    """Draw bandwidth as slopes and arithmetic as ceilings."""
    intensity = np.geomspace(0.1, 100, 200)
    for level, line in (("cache", "-"), ("memory", "--")):
        bandwidth = getattr(roofs, level) / 1e9
        attained = np.minimum(intensity * bandwidth, roofs.float32 / 1e9)
        axes.plot(intensity, attained, line, color=looks.GREY, label=f"{level} bandwidth, float32")
        angle = {
            "rotation": np.degrees(np.arctan(bandwidth)),
            "rotation_mode": "anchor",
            "transform_rotates_text": True,
        }
        axes.text(0.11, 0.125 * bandwidth, f"{level} {bandwidth:.0f} GB/s", va="bottom", **angle)
    axes.axhline(roofs.float64 / 1e9, color=looks.GREY, linestyle=":", linewidth=1.2, label="float64")
    for name in ("float32", "float64"):
        height = getattr(roofs, name) / 1e9
        axes.annotate(f"{name} {height:.0f} Gflop/s", (100, height), ha="right", va="bottom")


def draw_point(axes: Axes, roofs: Roofs, point: Point) -> None:
    """Draw what a solver attained, a ring at its bound, and the way between."""
    colour = looks.solver_look(point.solver)["color"]
    x = point.work.intensity(roofs)
    _, bound = point.work.bound(roofs)
    low, high = (point.work.flops / seconds / 1e9 for seconds in (point.seconds, bound))
    axes.plot([x, x], [low, high], color=colour, linewidth=1.2)
    axes.plot([x], [high], "o", color=colour, markerfacecolor="white", markersize=7)
    axes.plot([x], [low], "o", color=colour, markersize=9, label=point.solver)
    axes.annotate(f"{bound / point.seconds:.0%}", (x, low), xytext=(8, -4), textcoords="offset points", color=colour)
