"""In which order the stochastic solvers visit the ratings: a grid of tiles, whose rows fit a processor's cache.

In a random order every visit fetches two rows from anywhere in memory, and with large factors a processor spends most
of its time waiting for them. So users and items are cut into groups, whose ratings form the *tiles* of a grid, and tile
after tile is visited: the rows of one tile fit the cache. The ratings are copied into this order once, shuffled inside
each tile; every epoch takes the tiles in a new order.

Ratings have long tails. So rows are sorted by their number of ratings and given to the groups in turns, back and
forth: all groups get about as many ratings, and of each kind of row. With B groups the row of rank j (from 0) goes,
with l = j mod 2B, to

    group min(l, 2B − 1 − l)                                                                        (BLOCK.2)

A block of several tiles is visited group of users by group of users: these rows stay in the cache while the groups of
items change. Factors that fit the cache as a whole need no tiles: their ratings are shuffled as a whole, once, and cut
into some thousand pieces, which every epoch takes in a new order. (To draw a new order of all ratings, and to fetch
them in it, costs as much as visiting them.)

A visit is a few dozen instructions, and what it costs is how it finds its numbers. So an epoch works on copies of W and
H that are laid out for it: rows that are visited together lie together, latent columns fill whole SIMD registers,
biases stand apart, and what a visit carries of a row's penalty, 1/n_u of it, is divided beforehand. Copying them there
and back costs as much as a visit or two per row. Places are unsigned numbers in a kernel: one that may be negative is
tested whether to count from the end, which costs a tenth. And each kernel has the few lines of the residual (SGD.1)
written out: called as a function they cost `sgd` nearly half of its speed, and the others up to a fifth.

The grid follows the data and the parameters, never the machine: same seed, same bits anywhere.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from nmf_scratch._jit import LINE, kernel, parallel_kernel, read_only
from nmf_scratch.data.ratings import Ratings, ones, spaced
from nmf_scratch.problem.factors import NO_COLUMN, Columns, Factors
from nmf_scratch.problem.objective import Penalty
from nmf_scratch.solvers.base import State

Triples = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


class Visits(NamedTuple):
    """Ratings, and in which order to visit them: the tiles as listed, each from its start to the next one's.

    Attributes
    ----------
    tiles : ndarray of int64, shape (n_tiles,)
    starts : ndarray of int64
        Tile t owns the places starts[t] … starts[t + 1] − 1.
    users, items, values : ndarray, shape (n_ratings,)
    weights : ndarray, shape (n_ratings,) or more
        How often each rating counts.
    """

    tiles: NDArray[np.int64]
    starts: NDArray[np.int64]
    users: NDArray[Any]
    items: NDArray[Any]
    values: NDArray[Any]
    weights: NDArray[Any]


CACHE_BYTES = 2**20
"""Factors up to this size are taken to fit a core's cache whole."""

TILE_BYTES = 2**17
"""Size of the users' rows, and of the items' rows, of one tile: two of them leave room in any current L2 cache."""

N_PIECES = 4096
"""Pieces of a single tile, whose order is new in each epoch: one rating each, if there are no more ratings."""


class Grid(NamedTuple):
    """Ratings in the order of a grid of tiles, its groups in blocks.

    Attributes
    ----------
    n_blocks : int
        Blocks B per side.
    tiles : tuple of int
        Groups of users and of items in each block.
    starts : ndarray of int64, shape (n_tiles + 1,)
        The tile of groups (a, b) owns the places starts[c] … starts[c + 1], c = a · n_item_groups + b.
    triples : (users, items, values)
        The ratings, tile by tile; each array of shape (n_ratings,).
    rows_W, rows_H : ndarray of int64, shapes (n_users,) and (n_items,)
        Users and items in the order of their groups.
    weights : ndarray, shape (n_ratings,) or more
        How often each rating counts, tile by tile.
    """

    n_blocks: int
    tiles: tuple[int, int]
    starts: NDArray[np.int64]
    triples: Triples
    rows_W: NDArray[np.int64]
    rows_H: NDArray[np.int64]
    weights: NDArray[Any]


def into_grid(train: Ratings, factors: Factors, n_blocks: int, least: int = 1) -> Grid:
    """Sort ratings by tile, values in the dtype of the factors; inside a tile they stay sorted by (user, item).

    Both sides are cut into `least` groups at least, and so that tiles fit the cache.
    """
    row_bytes = factors.W.shape[1] * factors.W.itemsize
    users, items = (tiles_per_block(len(X) * row_bytes // n_blocks) for X in (factors.W, factors.H))
    if (len(factors.W) + len(factors.H)) * row_bytes <= CACHE_BYTES:
        users = items = 1
    users, items = (max(n, -(-least // n_blocks)) for n in (users, items))
    groups = balanced_groups(train.user_counts, n_blocks * users), balanced_groups(train.item_counts, n_blocks * items)
    values = train.values.astype(factors.W.dtype, copy=False)
    where = (*groups, n_blocks * users, n_blocks * items)
    starts, *triples = into_tiles(train.users, train.items, values, *where)
    weights = ones(values.dtype)
    if train.weights is not None:
        weights = train.weights.astype(values.dtype, copy=False)
        weights = spaced(into_tiles(train.users, train.items, weights, *where)[3], values.dtype)
    rows_W, rows_H = (np.argsort(group, kind="stable") for group in groups)
    return Grid(n_blocks, (users, items), starts, (triples[0], triples[1], triples[2]), rows_W, rows_H, weights)


def tiles_per_block(n_bytes: int) -> int:
    """Return into how many groups rows of so many bytes must be cut to take up `TILE_BYTES` each at most."""
    return max(1, -(-n_bytes // TILE_BYTES))


def balanced_groups(counts: NDArray[np.int64], n_groups: int) -> NDArray[np.int64]:
    """Return the group of each row, equation (BLOCK.2): rows by falling count, back and forth."""
    lap = np.arange(len(counts)) % (2 * n_groups)
    groups = np.empty(len(counts), dtype=np.int64)
    groups[np.argsort(-counts, kind="stable")] = np.minimum(lap, 2 * n_groups - 1 - lap)  # (BLOCK.2)
    return groups


def shuffle_tiles(grid: Grid, rng: np.random.Generator) -> None:
    """Shuffle the ratings inside each tile, in place."""
    columns = grid.triples if grid.weights.strides == (0,) else (*grid.triples, grid.weights)
    for first, last in zip(grid.starts[:-1], grid.starts[1:], strict=True):
        order = first + rng.permutation(last - first)
        for column in columns:
            column[first:last] = column[order]


def visiting_order(grid: Grid, blocks: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the tiles of each block in a new order: group of users by group of users, the items' groups for each.

    Parameters
    ----------
    grid : Grid
    blocks : ndarray of int64
        Blocks a · B + b (block a of users with block b of items) in an array of any shape.
    rng : Generator

    Returns
    -------
    ndarray of int64, shape (…, tiles per block)
    """
    n_users, n_items = grid.tiles
    users = rng.permuted(np.broadcast_to(np.arange(n_users), (*blocks.shape, n_users)), axis=-1)
    items = rng.permuted(np.broadcast_to(np.arange(n_items), (*users.shape, n_items)), axis=-1)
    users = users + (blocks // grid.n_blocks * n_users)[..., None]
    items = items + (blocks % grid.n_blocks * n_items)[..., None, None]
    tiles: NDArray[np.int64] = users[..., None] * (grid.n_blocks * n_items) + items
    return tiles.reshape(*blocks.shape, n_users * n_items)


def in_pieces(grid: Grid) -> Grid:
    """Cut a single tile into pieces that are tiles of their own, and leave any other grid as it is."""
    n_ratings = int(grid.starts[-1])
    if len(grid.starts) > 2:
        return grid
    n_pieces = max(1, min(N_PIECES, n_ratings))
    starts = np.arange(n_pieces + 1) * n_ratings // n_pieces
    return grid._replace(tiles=(1, n_pieces), starts=starts)


def visits(grid: Grid, rng: np.random.Generator) -> Visits:
    """Return the visits of an epoch, for a grid of one block."""
    return Visits(
        visiting_order(grid, np.zeros(1, np.int64), rng)[0], grid.starts, *grid.triples, read_only(grid.weights)
    )


class Side(NamedTuple):
    """One side of the factors as an epoch works on it, its rows in grid order.

    Attributes
    ----------
    latent : ndarray, shape (n_rows, width)
        Latent columns, padded with zeros to a multiple of `LINE`.
    bias : ndarray, shape (n_rows,)
        The free bias, or zeros.
    ridge, lasso : ndarray, shape (n_rows,)
        What one visit carries of a row's penalty on its latent columns: λ_u (1−ρ)/n_u and λ_u ρ/n_u.
    bias_ridge : ndarray, shape (n_rows,)
        What one visit carries of the penalty on its bias.
    bias_level : float
        What biases are pulled to, in the dtype of the factors.
    """

    latent: NDArray[Any]
    bias: NDArray[Any]
    ridge: NDArray[Any]
    lasso: NDArray[Any]
    bias_ridge: NDArray[Any]
    bias_level: Any


def lay_out(state: State, factors: Factors, penalties: tuple[Penalty, Penalty]) -> State:
    """Add to a state both sides in grid order, and make its ratings speak of places there."""
    grid = state["grid"]
    both = (factors.W, factors.H), grid.triples[:2], (grid.rows_W, grid.rows_H), factors.columns, penalties
    for side, X, ids, rows, columns, penalty in zip("WH", *both, strict=True):
        places = np.empty(len(X), ids.dtype)
        places[rows] = np.arange(len(X), dtype=ids.dtype)
        np.take(places, ids, out=ids, mode="clip")  # in place; the mode only says that codes need no check
        state[side], state[f"rows_{side}"], state[f"columns_{side}"] = X, rows, columns
        state[f"side_{side}"] = side_of(len(X), columns.n_latent, penalty, rows)
    return state


def side_of(n_rows: int, n_latent: int, penalty: Penalty, rows: NDArray[np.int64]) -> Side:
    """Return an empty side, with what one visit of each row carries of its penalty."""
    counts = penalty.counts[rows]
    share = np.divide(1, counts, out=np.zeros_like(counts), where=counts > 0)
    parts = share * penalty.ridge[rows], share * penalty.lasso[rows], share * penalty.bias_ridge
    return Side(padded(n_rows, n_latent, counts.dtype), np.zeros_like(counts), *parts, penalty.bias_level)


def padded(n_rows: int, n_columns: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an empty matrix whose rows begin with a cache line, with columns for whole registers."""
    width = -(-n_columns // LINE) * LINE
    n_bytes = n_rows * width * dtype.itemsize
    buffer = np.empty(n_bytes + 64, np.uint8)
    first = -buffer.ctypes.data % 64
    matrix: NDArray[Any] = buffer[first : first + n_bytes].view(dtype).reshape(n_rows, width)
    return matrix


def copy_in(state: State) -> None:
    """Copy W and H, as they are now, to where the epoch works on them."""
    for side in ("W", "H"):
        latent, bias, *_ = state[f"side_{side}"]
        gather_rows(state[side], state[f"rows_{side}"], state[f"columns_{side}"], latent, bias)


def copy_out(state: State) -> None:
    """Copy what the epoch made of W and H back."""
    for side in ("W", "H"):
        latent, bias, *_ = state[f"side_{side}"]
        scatter_rows(state[side], state[f"rows_{side}"], state[f"columns_{side}"], latent, bias)


@kernel
def into_tiles(
    users: NDArray[Any],
    items: NDArray[Any],
    values: NDArray[Any],
    user_groups: NDArray[np.int64],
    item_groups: NDArray[np.int64],
    n_user_groups: int,
    n_item_groups: int,
) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Sort ratings by tile, stably, by counting: O(n_ratings + n_tiles).

    Parameters
    ----------
    users, items, values : ndarray, shape (n_ratings,)
    user_groups, item_groups : ndarray of int64, shapes (n_users,) and (n_items,)
        Group of each row.
    n_user_groups, n_item_groups : int

    Returns
    -------
    starts : ndarray of int64, shape (n_user_groups · n_item_groups + 1,)
    users, items, values : ndarray, shape (n_ratings,)
        Copies in tile order.
    """
    starts = np.zeros(n_user_groups * n_item_groups + 1, dtype=np.int64)
    for p in range(len(values)):
        starts[user_groups[users[p]] * n_item_groups + item_groups[items[p]] + 1] += 1
    for tile in range(n_user_groups * n_item_groups):
        starts[tile + 1] += starts[tile]
    place = starts[:-1].copy()
    tile_users, tile_items, tile_values = np.empty_like(users), np.empty_like(items), np.empty_like(values)
    for p in range(len(values)):
        tile = user_groups[users[p]] * n_item_groups + item_groups[items[p]]
        tile_users[place[tile]] = users[p]
        tile_items[place[tile]] = items[p]
        tile_values[place[tile]] = values[p]
        place[tile] += 1
    return starts, tile_users, tile_items, tile_values


@parallel_kernel
def gather_rows(
    X: NDArray[Any], rows: NDArray[np.int64], columns: Columns, latent: NDArray[Any], bias: NDArray[Any]
) -> None:
    """Copy rows of X, in the given order, into the layout of `Side`."""
    for place in numba.prange(len(rows)):
        x, y = X[rows[place]], latent[place]
        for f in range(columns.n_latent):
            y[f] = x[f]
        for f in range(columns.n_latent, len(y)):
            y[f] = 0  # afresh: a run that diverged leaves NaN even here
        if columns.free_bias != NO_COLUMN:
            bias[place] = x[columns.free_bias]


@parallel_kernel
def scatter_rows(
    X: NDArray[Any], rows: NDArray[np.int64], columns: Columns, latent: NDArray[Any], bias: NDArray[Any]
) -> None:
    """Copy rows from the layout of a `Side` back to where they are in X."""
    for place in numba.prange(len(rows)):
        x, y = X[rows[place]], latent[place]
        for f in range(columns.n_latent):
            x[f] = y[f]
        if columns.free_bias != NO_COLUMN:
            x[columns.free_bias] = bias[place]
