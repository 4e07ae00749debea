"""Block-parallel stochastic gradient descent, by strata (DSGD: Gemulla, Nijkamp, Haas & Sismanis 2011, KDD, section 4).

Idea: two visits to ratings of different users and different items touch no common row, so their order does not matter
and they may happen at once. Cut users and items into B groups each: the ratings fall into B × B blocks. B blocks in
which no group of users and no group of items occurs twice are a *stratum*; they are swept in parallel, without locks
and without races. An epoch is B strata that together hold every block once:

    stratum s = { (π(b), σ((b + s) mod B)) : b = 0 … B−1 },    s = 0 … B−1                          (BLOCK.1)

with π and σ new random permutations of the groups in each epoch. Inside a block each visit is that of projected
stochastic gradient descent, (SGD.1) to (SGD.4).

Ratings have long tails, and a stratum lasts as long as its largest block. So rows are sorted by their number of ratings
and dealt to the groups like cards, back and forth: all groups get about as many ratings, and of each kind of row. The
row of rank p (from 0) goes, with a = p mod 2B, to

    group min(a, 2B − 1 − a)                                                                        (BLOCK.2)

The ratings are copied into block order once, shuffled inside. The kernel then reads them one after the other, and the
rows of a block fit a processor's cache: even on one thread it is the fastest way through the ratings. The price: inside
a block the order never changes again.

The grid is a parameter and never follows the number of threads: same seed, same bits on any machine size.

Cost: O(n_ratings · k) per epoch, B barriers. Not monotone. Derived in docs/block-sgd.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numba
import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import check_number
from nmf_scratch._jit import parallel_kernel
from nmf_scratch._random import SHUFFLE, generator
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.factors import Factors
from nmf_scratch.objective import Objective, Penalty
from nmf_scratch.solvers.base import Defaults, State
from nmf_scratch.solvers.stochastic import Stochastic, Triples, sweep, triples


@dataclass(frozen=True)
class BlockSGD(Stochastic):
    """Stochastic gradient descent on conflict-free blocks in parallel.

    Parameters
    ----------
    step, schedule, decay, growth : float, str, float, float
        Step size and schedule, see `nmf_scratch.solvers.stochastic.Stochastic`.
    n_blocks : int
        Groups B of users and of items; at most so many threads can work at once.
    """

    step: float = 0.07
    n_blocks: int = 8

    name: ClassVar[str] = "block-sgd"
    parallel: ClassVar[bool] = True
    defaults: ClassVar[Defaults] = Defaults(alpha=0.022, alpha_bias=8.0, max_iter=60)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("n_blocks", self.n_blocks, minimum=1, maximum=1024, integer=True)

    def start(self, train: Ratings, factors: Factors, objective: Objective, *, key: int, max_iter: int) -> State:
        """Prepare as all do, then copy the ratings into block order."""
        state = super().start(train, factors, objective, key=key, max_iter=max_iter)
        state["starts"], order = into_blocks(train, self.n_blocks, generator(key, SHUFFLE, max_iter))
        for column in ("users", "items", "values"):
            state[column] = state[column][order]
        return state

    def epoch(self, state: State) -> None:
        """Sweep every block once, stratum by stratum."""
        step = self.open_epoch(state)
        squares = sweep_strata(
            strata(self.n_blocks, generator(state["key"], SHUFFLE, state["epoch"])),
            state["starts"],
            triples(state),
            state["W"],
            state["H"],
            state["penalty_W"],
            state["penalty_H"],
            state["biases"],
            step,
        )
        self.close_epoch(state, float(squares.sum()))


def into_blocks(
    ratings: Ratings, n_blocks: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sort ratings by block, in random order inside each.

    Returns
    -------
    starts : ndarray of int64, shape (n_blocks² + 1,)
        Block (a, b), group a of users with group b of items, owns the places starts[c] … starts[c + 1] of the order,
        c = a · n_blocks + b.
    order : ndarray of int64, shape (n_ratings,)
    """
    users, items = deal(ratings.user_counts, n_blocks), deal(ratings.item_counts, n_blocks)
    blocks = users[ratings.users] * n_blocks + items[ratings.items]
    starts = np.zeros(n_blocks**2 + 1, dtype=np.int64)
    np.cumsum(np.bincount(blocks, minlength=n_blocks**2), out=starts[1:])
    shuffle = rng.permutation(len(ratings))
    return starts, shuffle[np.argsort(blocks[shuffle], kind="stable")]


def deal(counts: NDArray[np.int64], n_blocks: int) -> NDArray[np.int64]:
    """Return the group of each row, equation (BLOCK.2): rows by falling count, dealt back and forth."""
    lap = np.arange(len(counts)) % (2 * n_blocks)
    groups = np.empty(len(counts), dtype=np.int64)
    groups[np.argsort(-counts, kind="stable")] = np.minimum(lap, 2 * n_blocks - 1 - lap)  # (BLOCK.2)
    return groups


def strata(n_blocks: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the blocks of each stratum, shape (n_blocks, n_blocks), equation (BLOCK.1)."""
    user_groups, item_groups = rng.permutation(n_blocks), rng.permutation(n_blocks)
    shift = np.arange(n_blocks)[:, None] + np.arange(n_blocks)  # stratum, place
    blocks: NDArray[np.int64] = user_groups * n_blocks + item_groups[shift % n_blocks]  # (BLOCK.1)
    return blocks


@parallel_kernel
def sweep_strata(
    strata: NDArray[np.int64],
    starts: NDArray[np.int64],
    triples: Triples,
    W: NDArray[Any],
    H: NDArray[Any],
    penalty_W: Penalty,
    penalty_H: Penalty,
    biases: bool,
    step: float,
) -> NDArray[np.float64]:
    """Sweep the blocks, those of a stratum in parallel; W and H are updated in place.

    Parameters
    ----------
    strata : ndarray of int64, shape (B, B)
        Blocks of each stratum, which share no rows.
    starts : ndarray of int64, shape (B² + 1,)
        Where each block begins.
    triples : (users, items, values)
        The ratings in block order, each array of shape (n_ratings,).
    W, H : ndarray, shapes (n_users, K) and (n_items, K)
    penalty_W, penalty_H : Penalty
    biases : bool
        Whether the last two columns are bias columns, laid out as in `nmf_scratch.factors`.
    step : float
        η of this epoch, in the dtype of the factors.

    Returns
    -------
    ndarray of float64, shape (B²,)
        Sum of the squared residuals of each block: added up outside, in fixed order.
    """
    squares = np.zeros(len(starts) - 1)
    for stratum in strata:
        for b in numba.prange(len(stratum)):
            block = stratum[b]
            ratings = range(starts[block], starts[block + 1])
            squares[block] = sweep(ratings, triples, W, H, penalty_W, penalty_H, biases, step)
    return squares
