"""From factors to a short list: the best unseen items of each user.

All scores together are one matrix product W Hᵀ, too large to hold (138,000 users × 27,000 items are 15 GB) and of no
use but for a few numbers per row. So it is never held: users go in blocks, items in tiles that fit the first-level
cache, and the scores of four users on one tile are looked at as soon as they are there, while still in that cache.

- *Scoring.* A tile holds 128 items, transposed: one row per factor, so that vector registers run along the items. Four
  factors of four users at a time turn eight loads into sixteen multiply-adds: arithmetic is the bottleneck, not memory,
  as in a BLAS. Unlike in a BLAS, the sum runs in the same order for one user and for all: the last bit is the same.
- *Selecting.* Each user's n best so far are a heap with the worst on top. Few scores beat the worst of ten: items among
  which none does are passed over by vector comparisons alone. One that does is looked for among the items seen (binary
  search) and enters at O(log n); in random order about n log(n_items / n) do.

Cost: n_users · n_items · K multiply-adds. Memory: the answer, and some 150 KB per thread. Each list is the
work of one thread and ties go to the lower code, so the answer depends neither on blocks nor on threads.

References: Goto & van de Geijn, *Anatomy of high-performance matrix multiplication*, ACM TOMS 34(3), 2008, section 4;
Knuth, *The Art of Computer Programming* 3, section 5.2.3 (heaps).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import InputError
from nmf_scratch._jit import kernel, operand, parallel_kernel, threads
from nmf_scratch.data.ratings import Compressed, ones

NONE = -1
"""Code that fills up a list that ends early, and row of `seen` of a user who has seen nothing."""

BLOCK = 256
"""Users that share one pass over the items: enough to make up for transposing them, few enough to share out."""

TILE = 128
"""Items scored together: at 64 factors 32 KB in float32."""

CHUNK = 64
"""Scores compared with the worst of the heap at once."""


def top_n(
    W: NDArray[np.floating],
    H: NDArray[np.floating],
    n: int,
    *,
    seen: Compressed | None = None,
    rows: NDArray[np.integer] | None = None,
    allowed: NDArray[np.bool_] | None = None,
    n_threads: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return the n best items of each row of W, best first, ties by code.

    Parameters
    ----------
    W : ndarray, shape (n_users, K)
        Rows to recommend to.
    H : ndarray, shape (n_items, K)
        All items.
    n : int
        Length of the lists, 0 or more.
    seen : Compressed, optional
        Items to leave out, codes ascending within a row.
    rows : ndarray of int, shape (n_users,), optional
        Row of `seen` for each row of W, −1 for none; by default the same row.
    allowed : ndarray of bool, shape (n_items,), optional
        Items that may be recommended at all.
    n_threads : int, optional
        Threads to use; by default all that Numba may. Up to `BLOCK` users are always served on the calling thread.

    Returns
    -------
    items : ndarray of int64, shape (n_users, min(n, number of allowed items))
        Codes. Where a user has fewer items left, the list ends early and the rest is −1, never a seen item.
    scores : ndarray, same shape, dtype of W and H
        w_u · h_i, unclipped, in the unit of the product; −inf beyond the end. Only finite scores are listed.

    Raises
    ------
    InputError
        If shapes do not go together, or `n_threads` is not a positive integer.
    """
    seen, rows = _seen_by(len(W), seen, rows)
    codes = np.arange(len(H)) if allowed is None else np.flatnonzero(allowed)
    _check_shapes(W, H, codes, seen, rows)
    items = np.full((len(W), min(n, len(codes))), NONE)
    scores = np.full(items.shape, -np.inf, np.result_type(W, H))
    floats = (operand(factors, scores.dtype) for factors in (W, H))
    # Codes of items fit 32 bits where their factors fit any memory.
    ids = zip((codes, seen.indptr, seen.indices, rows), (np.int64, np.int64, np.int32, np.int64), strict=True)
    arguments = (*floats, *(operand(array, dtype) for array, dtype in ids), items, scores)
    if len(W) > BLOCK and items.size:
        with threads(n_threads):
            fill_blocks(*arguments)
    elif items.size:  # not worth a parallel region, nor waiting for a fit in another Python thread
        fill_block(*arguments)
    return items, scores


def _seen_by(n_users: int, seen: Compressed | None, rows: Any) -> tuple[Compressed, NDArray[np.int64]]:
    """Return the seen items and each user's row in them."""
    if seen is None:
        nothing = Compressed(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), ones())
        return nothing, np.full(n_users, NONE)
    return seen, np.arange(n_users) if rows is None else np.asarray(rows, dtype=np.int64)


def _check_shapes(W: Any, H: Any, codes: NDArray[np.int64], seen: Compressed, rows: NDArray[np.int64]) -> None:
    """Refuse what would make the kernels, which do not look, read past the end of an array."""
    if W.shape[1] != H.shape[1] or codes.max(initial=-1) >= len(H):
        raise InputError(f"W, H and allowed must go together, got {W.shape}, {H.shape} and {len(codes)} codes")
    if len(rows) != len(W) or rows.max(initial=-1) >= len(seen.indptr) - 1:
        raise InputError(f"seen and rows must cover the {len(W)} rows of W, got {len(rows)} of {len(seen.indptr) - 1}")


@parallel_kernel
def fill_blocks(
    W: NDArray[Any],
    H: NDArray[Any],
    codes: NDArray[np.int64],
    indptr: NDArray[np.int64],
    indices: NDArray[Any],
    rows: NDArray[np.int64],
    items: NDArray[np.int64],
    scores: NDArray[Any],
) -> None:
    """Fill the lists of all users, each iteration those of its own block; arguments as in `fill_block`."""
    for block in numba.prange((len(items) + BLOCK - 1) // BLOCK):
        a, z = block * BLOCK, (block + 1) * BLOCK
        fill_block(W[a:z], H, codes, indptr, indices, rows[a:z], items[a:z], scores[a:z])


@kernel
def fill_block(
    W: NDArray[Any],
    H: NDArray[Any],
    codes: NDArray[np.int64],
    indptr: NDArray[np.int64],
    indices: NDArray[Any],
    rows: NDArray[np.int64],
    items: NDArray[np.int64],
    scores: NDArray[Any],
) -> None:
    """Fill the lists of a block of users.

    Parameters
    ----------
    W : ndarray, shape (n_users, K)
        The users' rows.
    H : ndarray, shape (n_items, K)
        All items.
    codes : ndarray of int64
        Those to choose from, ascending.
    indptr, indices : ndarray of int
        Seen items of each row, ascending.
    rows : ndarray of int64, shape (n_users,)
        The user's row in them, −1 for none.
    items, scores : ndarray, shape (n_users, n)
        −1 and −inf; overwritten with the best items, best first.
    """
    # Copies of the block's own: what threads write (entries, reference counts) should not be shared between them.
    w, best, best_scores = in_fours(W, scores.dtype), items.copy(), scores.copy()
    tile, found = np.zeros((w.shape[1], TILE), w.dtype), np.empty((4, TILE), w.dtype)
    for start in range(0, len(codes), TILE):
        of_tile = codes[start : start + TILE]
        fill_tile(H, of_tile, tile)
        for first in range(0, len(w), 4):
            score_tile(w[first : first + 4], tile, found)
            for u in range(first, min(first + 4, len(rows))):
                if any_above(found[u - first], best_scores[u, 0]):
                    seen = (indptr[rows[u]], indptr[rows[u] + 1]) if rows[u] >= 0 else (0, 0)
                    offer(found[u - first], of_tile, indices, seen, best[u], best_scores[u])
    for u in range(len(rows)):
        sort_heap(best[u], best_scores[u])
        for place in range(items.shape[1]):  # a slice instead would compile text for an error that cannot happen
            items[u, place], scores[u, place] = best[u, place], best_scores[u, place]


@kernel
def in_fours(W: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Copy W with zeros after it, up to the next multiple of four both ways."""
    w = np.zeros(((len(W) + 3) // 4 * 4, (W.shape[1] + 3) // 4 * 4), dtype)
    for u in range(len(W)):
        for f in range(W.shape[1]):
            w[u, f] = W[u, f]
    return w


@kernel
def fill_tile(H: NDArray[Any], codes: NDArray[np.int64], tile: NDArray[Any]) -> None:
    """Write row codes[j] of H into column j of the tile, shape (K, TILE)."""
    for j in range(len(codes)):
        h = H[codes[j]]
        for f in range(len(h)):
            tile[f, j] = h[f]


@kernel
def score_tile(W: NDArray[Any], tile: NDArray[Any], found: NDArray[Any]) -> None:
    """Write the scores of four users on the items of a tile into `found`, shape (4, TILE).

    Written out rather than looped over, because the sixteen weights then stay in registers.
    """
    found[:] = 0
    for f in range(0, len(tile), 4):
        h0, h1, h2, h3 = tile[f], tile[f + 1], tile[f + 2], tile[f + 3]
        a0, a1, a2, a3 = W[0, f], W[0, f + 1], W[0, f + 2], W[0, f + 3]
        b0, b1, b2, b3 = W[1, f], W[1, f + 1], W[1, f + 2], W[1, f + 3]
        c0, c1, c2, c3 = W[2, f], W[2, f + 1], W[2, f + 2], W[2, f + 3]
        d0, d1, d2, d3 = W[3, f], W[3, f + 1], W[3, f + 2], W[3, f + 3]
        for j in range(TILE):
            x0, x1, x2, x3 = h0[j], h1[j], h2[j], h3[j]
            found[0, j] += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
            found[1, j] += b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
            found[2, j] += c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3
            found[3, j] += d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3


@kernel
def offer(
    found: NDArray[Any],
    codes: NDArray[np.int64],
    indices: NDArray[Any],
    seen: tuple[int, int],
    items: NDArray[np.int64],
    scores: NDArray[Any],
) -> None:
    """Let these codes (ascending, with scores `found`) into the heap `items`, `scores`, but for the seen ones."""
    for start in range(0, len(codes), CHUNK):
        chunk, its_codes = found[start : start + CHUNK], codes[start : start + CHUNK]
        if not any_above(chunk, scores[0]):
            continue
        for j in range(len(its_codes)):
            # An equal score has the higher code, which loses. Neither NaN nor infinity passes.
            if scores[0] < chunk[j] < np.inf and not contains(indices, seen, its_codes[j]):
                items[0], scores[0] = its_codes[j], chunk[j]
                sift_down(items, scores)


@kernel
def any_above(values: NDArray[Any], bound: float) -> bool:
    """Tell whether any value is above the bound, by counting them all: that takes no branches."""
    above = 0
    for j in range(len(values)):
        above += values[j] > bound
    return above > 0


@kernel
def contains(ascending: NDArray[Any], part: tuple[int, int], code: int) -> bool:
    """Tell whether a sorted part of an array, given by its start and its end, holds the code."""
    low, high = part
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < code:
            low = middle + 1
        else:
            high = middle
    return low < part[1] and ascending[low] == code


@kernel
def sift_down(items: NDArray[np.int64], scores: NDArray[Any]) -> None:
    """Restore the heap (worst item on top) after its top was replaced."""
    item, score, hole, child = items[0], scores[0], 0, 1
    while child < len(items):
        if child + 1 < len(items) and worse(items[child + 1], scores[child + 1], items[child], scores[child]):
            child += 1
        if not worse(items[child], scores[child], item, score):
            break
        items[hole], scores[hole] = items[child], scores[child]
        hole, child = child, 2 * child + 1
    items[hole], scores[hole] = item, score


@kernel
def worse(item: int, score: float, other: int, other_score: float) -> bool:
    """Tell whether an item goes after another: lower score or, of equal ones, higher code."""
    return score < other_score or (score == other_score and item > other)


@kernel
def sort_heap(items: NDArray[np.int64], scores: NDArray[Any]) -> None:
    """Turn the heap into a list, best first: time and again the worst goes to the end of what is left."""
    for last in range(len(items) - 1, 0, -1):
        items[0], items[last] = items[last], items[0]
        scores[0], scores[last] = scores[last], scores[0]
        sift_down(items[:last], scores[:last])
