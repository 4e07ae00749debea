"""From factors to a short list: the best unseen items of each user.

Scores of a block of users are one matrix product; then, per user, seen items are struck out and the n best are
selected without sorting the rest. Memory is bounded by the block. Ties go to the lower item code, so the answer is a
function of the factors alone. A user who has seen nearly everything gets fewer items, never padded or seen ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nmf_scratch.data.ratings import Compressed

BLOCK_CELLS = 2**22
"""Scores held in memory at once."""


def top_n(
    W: NDArray[np.floating],
    H: NDArray[np.floating],
    n: int,
    *,
    seen: Compressed | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.floating]]]:
    """Yield, for each row of W in turn, the codes and scores of its n best items.

    Parameters
    ----------
    W : ndarray, shape (n_users, K)
        Rows to recommend to.
    H : ndarray, shape (n_items, K)
        All items.
    n : int
        Length of the lists.
    seen : Compressed, optional
        Items to leave out, one row per row of W.
    allowed : ndarray of bool, shape (n_items,), optional
        Items that may be recommended at all.

    Yields
    ------
    items : ndarray of int, shape (≤ n,)
        Best first.
    scores : ndarray, shape (≤ n,)
        w_u · h_i, unclipped.
    """
    block = max(1, BLOCK_CELLS // max(1, len(H)))
    for start in range(0, len(W), block):
        scores = W[start : start + block] @ H.T  # (block, n_items)
        if allowed is not None:
            scores[:, ~allowed] = -np.inf
        for row, row_scores in enumerate(scores, start=start):
            if seen is not None:
                row_scores[seen.indices[seen.indptr[row] : seen.indptr[row + 1]]] = -np.inf
            items = best_of(row_scores, n)
            yield items, row_scores[items]


def best_of(scores: NDArray[np.floating], n: int) -> NDArray[np.intp]:
    """Return the positions of the n largest finite scores, largest first, ties by position."""
    n = min(n, len(scores))
    threshold = np.partition(scores, len(scores) - n)[len(scores) - n] if n else np.inf
    candidates = np.flatnonzero((scores >= threshold) & np.isfinite(scores))
    return candidates[np.lexsort((candidates, -scores[candidates]))][:n]


def rows_of(view: Compressed, rows: NDArray[np.integer]) -> Compressed:
    """Return the given rows of a compressed view, in the given order; row −1 is empty."""
    parts = [np.arange(view.indptr[row], view.indptr[row + 1]) if row >= 0 else _NOTHING for row in rows]
    indptr = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    kept = np.concatenate([_NOTHING, *parts])
    return Compressed(indptr, view.indices[kept], view.values[kept])


_NOTHING = np.arange(0)
