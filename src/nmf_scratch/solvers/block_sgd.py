"""Block-parallel stochastic gradient descent, by strata (DSGD: Gemulla, Nijkamp, Haas & Sismanis 2011, KDD, section 4).

Idea: two visits to ratings of different users and different items touch no common row, so their order does not matter
and they may happen at once. Cut users and items into B groups each: the ratings fall into B × B blocks. B blocks in
which no group of users and no group of items occurs twice are a *stratum*; they are swept in parallel, without locks
and without races. An epoch is B strata that together hold every block once:

    stratum j = { (σ_W(l), σ_H((l + j) mod B)) : l = 0 … B−1 },    j = 0 … B−1                      (BLOCK.1)

with σ_W and σ_H new random permutations of the groups in each epoch. Inside a block each visit is that of projected
stochastic gradient descent, (SGD.1) to (SGD.4).

A stratum lasts as long as its largest block, so rows are given to the groups by their number of ratings, as in
`nmf_scratch.solvers.grid`, which also cuts large blocks into tiles whose rows fit a processor's cache: even on one
thread it is the fastest way through the ratings. The price: inside a tile the order never changes again.

The grid is a parameter and never follows the number of threads: same seed, same bits on any machine size.

Cost: O(n_ratings · k) per epoch, B barriers. Not monotone. Derived in docs/learn/block-sgd.md.

The same in plain NumPy, its naive twin: tests/reference/block_sgd.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numba
import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import check_number
from nmf_scratch._jit import parallel_kernel, read_only
from nmf_scratch._random import SHUFFLE, generator
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.problem.factors import Factors
from nmf_scratch.solvers.base import Defaults, State
from nmf_scratch.solvers.grid import Grid, Side, Visits, in_pieces, into_grid, shuffle_tiles, visiting_order
from nmf_scratch.solvers.sgd import sgd_sweep
from nmf_scratch.solvers.stochastic import Stochastic

VISITS = 12
"""Ratings per row and block that pay for fetching the row, for the automatic size of the grid."""

LEAST_GROUPS = 32
"""The automatic grid has so many groups of users and of items at least: only the order of its tiles is ever new."""


@dataclass(frozen=True)
class BlockSGD(Stochastic):
    """Stochastic gradient descent on conflict-free blocks in parallel.

    Parameters
    ----------
    step, schedule, decay, growth : float, str, float, float
        Step size and schedule, see `nmf_scratch.solvers.stochastic.Stochastic`.
    n_blocks : int or "auto"
        Groups B of users and of items; at most so many threads can work at once. "auto" takes the power of two from 2
        to 8 that leaves a row about `VISITS` ratings in a block: with fewer, fetching rows costs more than it gives.
    """

    step: float = 0.1
    n_blocks: int | str = "auto"

    name: ClassVar[str] = "block-sgd"
    parallel: ClassVar[bool] = True
    defaults: ClassVar[Defaults] = Defaults(alpha=0.24, alpha_bias=16.0, max_iter=60)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_blocks != "auto":
            check_number("n_blocks", self.n_blocks, minimum=1, maximum=1024, integer=True)

    def grid(self, train: Ratings, factors: Factors, rng: np.random.Generator) -> Grid:
        """Sort the ratings into B² blocks."""
        auto = self.n_blocks == "auto"
        grid = into_grid(train, factors, *((blocks_for(train), LEAST_GROUPS) if auto else (int(self.n_blocks), 1)))
        shuffle_tiles(grid, rng)
        return in_pieces(grid)

    def sweep(self, state: State, step: Any) -> float:
        """Sweep every block once, stratum by stratum."""
        grid, rng = state["grid"], generator(state["key"], SHUFFLE, state["epoch"])
        tiles = visiting_order(grid, strata(grid.n_blocks, rng), rng)
        columns = (*grid.triples, read_only(grid.weights))
        squares = sweep_strata(tiles, grid.starts, columns, state["side_W"], state["side_H"], state["biases"], step)
        return float(squares.sum())


def blocks_for(train: Ratings) -> int:
    """Return how many groups of users and of items suit the ratings: 2, 4 or 8."""
    visits = len(train) / max(train.shape)
    return int(2 ** np.clip(np.floor(np.log2(visits / VISITS)), 1, 3))


def strata(n_blocks: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the blocks of each stratum, shape (n_blocks, n_blocks), equation (BLOCK.1)."""
    user_groups, item_groups = rng.permutation(n_blocks), rng.permutation(n_blocks)
    shift = np.arange(n_blocks)[:, None] + np.arange(n_blocks)  # stratum, place
    blocks: NDArray[np.int64] = user_groups * n_blocks + item_groups[shift % n_blocks]  # (BLOCK.1)
    return blocks


@parallel_kernel
def sweep_strata(
    tiles: NDArray[np.int64],
    starts: NDArray[np.int64],
    columns: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]],
    side_W: Side,
    side_H: Side,
    biases: bool,
    step: Any,
) -> NDArray[np.float64]:
    """Sweep the blocks, those of a stratum in parallel; both sides are updated in place.

    Parameters
    ----------
    tiles : ndarray of int64, shape (B, B, tiles per block)
        Stratum by stratum its blocks, which share no rows, and of each block the tiles.
    starts : ndarray of int64, shape (n_tiles + 1,)
        Where each tile begins.
    columns : (users, items, values, weights)
        The ratings in grid order, each array of shape (n_ratings,).
    side_W, side_H : Side
    biases : bool
        Whether there are any.
    step : float
        η of this epoch, in the dtype of the factors.

    Returns
    -------
    ndarray of float64, shape (B, B)
        Sum of the squared residuals of each block: added up outside, in fixed order.
    """
    users, items, values, weights = columns
    squares = np.zeros(tiles.shape[:2])
    for stratum in range(len(tiles)):
        for b in numba.prange(tiles.shape[1]):
            visits = Visits(tiles[stratum, b], starts, users, items, values, weights)
            squares[stratum, b] = sgd_sweep(visits, side_W, side_H, biases, step)
    return squares
