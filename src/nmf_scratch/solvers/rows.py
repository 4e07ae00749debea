"""The frame of the solvers that go row by row: one half-step, for the users and then for the items.

With H fixed, the objective falls apart into one small problem per user, and the rows of W do not depend on each other:
a *half-step* is one parallel loop over them. With the roles swapped, the same loop updates H against the new W. So such
a solver is one method, `half_step`, and an epoch calls it twice; what it is called for is a `Side`.

Reference: block coordinate descent with two blocks, Grippo & Sciandrone 2000.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from nmf_scratch._jit import LINE, kernel, operand, parallel_kernel, parallel_turn, prefetch, read_only, serial
from nmf_scratch.data.ratings import Compressed, Ratings, ones, spaced
from nmf_scratch.problem.factors import Columns, Factors
from nmf_scratch.problem.objective import Objective, Penalty
from nmf_scratch.solvers.base import State
from nmf_scratch.solvers.extrapolation import extrapolated_epoch, prepare_extrapolation

N_SPANS = 256
"""Runs of rows that threads share out. Long tails make equal numbers of rows very unequal work."""

PARTNER_BYTES = 2**22
"""Partners that `tile_cuts` puts into a tile: a share of the last-level cache that two threads need not fight for.

Tiles for the second-level cache leave each row a few ratings per tile only, and cost more than they save."""

AHEAD = 12
"""How many ratings ahead `fetch_ahead` looks: memory answers within the time of about as many."""

N_PARTS = 64
"""Runs of rows that a Gram matrix is summed up from, however many threads there are: the same bits."""

ROW_WORK = 16
"""What a row costs besides its ratings, in ratings."""


class Side(NamedTuple):
    """What a half-step is called for: the rows to update, and all that it reads.

    Attributes
    ----------
    X : ndarray, shape (n_rows, K)
        W or H, updated in place.
    partners : ndarray, shape (n_columns, K)
        The other one, fixed.
    view : Compressed
        The ratings, grouped by the rows of X, in the dtype of the factors.
    penalty : Penalty
        Of X.
    columns : Columns
        Layout of X.
    work : Any
        How threads share out the rows: what `RowWise.share_out` returned.
    unobserved_weight : float
        ω_0 of (CELL.1).
    """

    X: NDArray[Any]
    partners: NDArray[Any]
    view: Compressed
    penalty: Penalty
    columns: Columns
    work: Any
    unobserved_weight: float

    def cells(self) -> NDArray[np.float64]:
        """Return what the cells that count without a rating add to each row's problem, see `gram_of`."""
        return gram_of(self.partners, self.unobserved_weight)


class RowWise:
    """A solver that has nothing to say but its `half_step`."""

    extrapolate: bool = False

    monotone: ClassVar[bool] = True
    stochastic: ClassVar[bool] = False
    parallel: ClassVar[bool] = True
    losses: ClassVar[tuple[float, float]] = (2.0, 2.0)
    unobserved: ClassVar[bool] = False
    memory: ClassVar[tuple[str, ...]] = ("before", "objective", "momentum", "momentum_cap")  # of the extrapolation

    def start(self, train: Ratings, factors: Factors, objective: Objective, *, key: int, max_iter: int) -> State:
        """Prepare both sides; nothing here is random or scheduled."""
        both = (factors.W, factors.H), (train.by_user, train.by_item), objective.penalties(train, factors)
        sides = []
        for X, view, penalty, columns in zip(*both, factors.columns, strict=True):
            partners, view = factors.H if X is factors.W else factors.W, in_dtype(X.dtype, view)
            work = self.share_out(view, partners)
            sides.append(Side(X, partners, view, penalty, columns, work, objective.unobserved_weight))
        state = {"W": factors.W, "H": factors.H, "sides": sides}
        return prepare_extrapolation(state, train, factors, objective) if self.extrapolate else state

    def epoch(self, state: State) -> None:
        """Update every user row, then every item row against the new user rows."""
        if self.extrapolate:
            extrapolated_epoch(self.alternate, state)
        else:
            self.alternate(state)

    def alternate(self, state: State) -> None:
        """Call the half-step for the users, then for the items."""
        for side in state["sides"]:
            self.half_step(side, state)

    def half_step(self, side: Side, state: State) -> None:
        """Update each row of `side.X` in place, the partners fixed."""
        raise NotImplementedError

    def share_out(self, view: Compressed, partners: NDArray[Any]) -> Any:
        """Return how threads share out the rows."""
        return even_spans(view)


def even_spans(view: Compressed, n_spans: int = N_SPANS) -> NDArray[np.int64]:
    """Cut the rows into runs of about equal work, so that threads that share them out finish together.

    Returns
    -------
    ndarray of int64, shape (n_spans + 1,)
        Span s holds the rows spans[s] … spans[s + 1] − 1; it may be empty.
    """
    work = view.indptr + ROW_WORK * np.arange(len(view.indptr))
    cuts = np.arange(1, n_spans) * work[-1] // n_spans
    spans: NDArray[np.int64] = np.concatenate([[0], np.searchsorted(work, cuts), [len(work) - 1]])
    return spans


def tile_cuts(view: Compressed, partners: NDArray[Any], tile_bytes: int = PARTNER_BYTES) -> NDArray[np.int64]:
    """Return where each row's ratings pass from one tile of partners to the next.

    A solver that only adds up over a row's ratings can take them tile after tile, all rows' ratings of one tile before
    the next: the partners are then in the cache whenever they are needed, however many there are.

    Returns
    -------
    ndarray of int64, shape (n_rows, n_tiles + 1)
        The ratings of row u in tile t are those at cuts[u, t] … cuts[u, t + 1] − 1.
    """
    per_tile = max(1, tile_bytes // (partners.shape[1] * partners.itemsize))
    n_tiles = max(1, -(-len(partners) // per_tile))
    cuts = np.empty((len(view.indptr) - 1, n_tiles + 1), np.int64)
    fill_cuts(view.indptr, view.indices, per_tile, cuts)
    return cuts


def in_dtype(dtype: np.dtype[Any], view: Compressed) -> Compressed:
    """Return the view with its numbers in the dtype of the factors: one type to compute in, one to compile for."""
    few = view.indices.dtype == np.int64 and view.indices.max(initial=0) <= np.iinfo(np.int32).max
    weights = ones(dtype) if view.weights.strides == (0,) else read_only(spaced(view.weights, dtype))
    return Compressed(
        operand(view.indptr, np.int64),
        operand(view.indices, np.int32 if few else None),
        operand(view.values, dtype),
        weights,
    )


def gram_of(X: NDArray[Any], weight: float) -> NDArray[np.float64]:
    """Return weight · XᵀX in float64, shape (K, K); of weight 0 nothing, shape (0, 0)."""
    if not weight:
        return np.zeros((0, 0))
    parts = np.zeros((N_PARTS, X.shape[1], X.shape[1]))
    with parallel_turn() as may_run_parallel:
        (add_up_gram if may_run_parallel else add_up_gram_here)(X, parts)
    lower = parts.sum(axis=0)
    gram: NDArray[np.float64] = weight * (lower + np.tril(lower, -1).T)  # (CELL.2)
    return gram


@parallel_kernel
def add_up_gram(X: NDArray[Any], parts: NDArray[np.float64]) -> None:
    """Add up the products of the columns, on and below the diagonal, over as many runs of rows as there are parts."""
    for part in numba.prange(len(parts)):
        for row in range(len(X) * part // len(parts), len(X) * (part + 1) // len(parts)):
            for f in range(X.shape[1]):
                x = np.float64(X[row, f])
                for j in range(f + 1):
                    parts[part, f, j] += x * X[row, j]


add_up_gram_here = serial(add_up_gram)


@kernel
def fill_cuts(indptr: NDArray[np.int64], indices: NDArray[Any], per_tile: int, cuts: NDArray[np.int64]) -> None:
    """Fill `tile_cuts`; the partners of a row are in ascending order."""
    for u in range(len(cuts)):
        position = indptr[u]
        for tile in range(cuts.shape[1]):
            while position < indptr[u + 1] and indices[position] < tile * per_tile:
                position += 1
            cuts[u, tile] = position
        cuts[u, -1] = indptr[u + 1]


@kernel
def fetch_ahead(X: NDArray[Any], rows: NDArray[Any], position: int) -> None:
    """Ask for the row of X that will be needed `AHEAD` positions on: large factors are as slow as memory answers.

    A processor looks ahead by itself, but not across the arithmetic of several ratings.
    """
    if position + AHEAD < len(rows):
        for f in range(0, X.shape[1], LINE):
            prefetch(X, rows[position + AHEAD], f)
