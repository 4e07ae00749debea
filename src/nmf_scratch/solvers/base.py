"""What a solver is: a frozen set of hyper-parameters that knows how to make one pass over the observed ratings.

A solver contributes nothing else. The loop, the clock, stopping rules and history are written once, in `training`;
the problem and its optimality measure once, in `objective`. All that changes during a fit lives in the *state*, a flat
dict of arrays and numbers that `start` returns and `epoch` updates in place: one solver object can serve many folds at
once, and saving the state is saving the run.

What a checkpoint saves of it (`nmf_scratch.checkpoint`) are W, H and the entries that the solver names in `memory`:
all that epochs change and read again. What `start` computes from the data is computed again. A test resumes every
solver after every epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._jit import kernel, operand, prefetch, read_only
from nmf_scratch.data.ratings import Compressed, Ratings, ones, spaced
from nmf_scratch.problem.factors import Factors
from nmf_scratch.problem.objective import Objective

State = dict[str, Any]

N_SPANS = 256
"""Runs of rows that threads share out. Long tails make equal numbers of rows very unequal work."""

TILE_BYTES = 2**22
"""Partners that `tile_cuts` puts into a tile: a share of the last-level cache that two threads need not fight for.

Tiles for the second-level cache leave each row a few ratings per tile only, and cost more than they save."""

AHEAD = 12
"""How many ratings ahead `fetch_ahead` looks: memory answers within the time of about as many."""

LINE = 16
"""float32 numbers in a cache line."""

ROW_WORK = 16
"""What a row costs besides its ratings, in ratings."""


@dataclass(frozen=True)
class Defaults:
    """What "auto" stands for; chosen on inner validation splits, never on a test fold.

    Attributes
    ----------
    alpha, alpha_bias : float
        Penalty strengths of the latent and the bias columns, for ratings scaled to a mean of 1.
    max_iter : int
        Number of epochs.
    """

    alpha: float
    alpha_bias: float
    max_iter: int


class Solver(Protocol):
    """The protocol that every entry of `SOLVERS` follows.

    Attributes
    ----------
    name : str
        Key in the registry.
    monotone : bool
        Whether each epoch is guaranteed not to increase the objective.
    stochastic : bool
        Whether the updates follow a random order (then it should follow `Rewinds` too).
    parallel : bool
        Whether an epoch uses several threads (its result never depends on how many).
    losses : tuple of float
        Smallest and largest β of the β-divergences it can minimise; (2, 2) is squared error only.
    defaults : Defaults
        What "auto" stands for.
    memory : tuple of str
        Entries of the state that one epoch leaves for the next, besides W and H: numbers, arrays, tuples of arrays.
    """

    name: ClassVar[str]
    monotone: ClassVar[bool]
    stochastic: ClassVar[bool]
    parallel: ClassVar[bool]
    losses: ClassVar[tuple[float, float]]
    defaults: ClassVar[Defaults]
    memory: ClassVar[tuple[str, ...]]

    def start(self, train: Ratings, factors: Factors, objective: Objective, *, key: int, max_iter: int) -> State:
        """Prepare the state of a run that will update `factors` in place."""
        ...

    def epoch(self, state: State) -> None:
        """Make one pass over the observed ratings."""
        ...


@runtime_checkable
class Rewinds(Protocol):
    """A solver with a step size: where it diverges, it is mended by going back with half of it."""

    def rewind(self, state: State, epoch: int) -> None:
        """Go on with half the step after an earlier epoch, whose W and H are back."""
        ...


def missing_of(solver: Any) -> list[str]:
    """Return what an object lacks to follow `Solver`."""
    owed = ("name", "monotone", "stochastic", "parallel", "losses", "defaults", "memory", "start", "epoch")
    return [name for name in owed if not hasattr(solver, name)]


def row_state(train: Ratings, factors: Factors, objective: Objective) -> State:
    """Return what solvers that go row by row start from: factors, both views, both penalties, both layouts."""
    penalty_W, penalty_H = objective.penalties(train, factors)
    return {
        "W": factors.W,
        "H": factors.H,
        "by_user": in_dtype(factors.W.dtype, train.by_user),
        "by_item": in_dtype(factors.W.dtype, train.by_item),
        "spans_W": even_spans(train.by_user),
        "spans_H": even_spans(train.by_item),
        "penalty_W": penalty_W,
        "penalty_H": penalty_H,
        "columns": factors.columns,
    }


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


def tile_cuts(view: Compressed, partners: NDArray[Any], tile_bytes: int = TILE_BYTES) -> NDArray[np.int64]:
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
