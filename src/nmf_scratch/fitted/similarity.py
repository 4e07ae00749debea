"""What is like what, and lists that do not repeat themselves: cosines between factor rows.

The direction of an item's row says what it is about, its length how strongly people feel about it. So two items are
compared by the cosine of the angle between their latent rows, which leaves length and biases out:

    cos(i, j) = h_i · h_j / (‖h_i‖ ‖h_j‖)

Factors are not negative, so no two rows point away from each other: cosines lie between 0 (no factor in common) and 1,
and those of items that most people like are high throughout. Their order tells more than their size.

The direction of a row that few ratings have shaped is mostly chance, and of thousands of such rows some point the same
way. So a cosine is believed as far as the other row has ratings, and is shrunk towards 0, as correlations of few common
raters are (Koren, *Factor in the neighbors*, ACM TKDD 4(1), 2010, equation 2):

    similarity(i, j) = n_j / (n_j + SUPPORT) · cos(i, j)

*Two models.* Factors of lists say what the same people choose, and put whatever everybody has seen side by side: Fargo
beside Star Wars. Factors of stars say what the same people like, whoever saw it. What is close in both is what a friend
would name: with a model beside, the similarity is multiplied by the square of its cosine (the square, because cosines
between well-liked items crowd near 1).

*Diversity*: a list of the best scores can be ten times the same thing. Maximal marginal relevance (Carbonell &
Goldstein, *The use of MMR*, SIGIR 1998) picks one item after the other, each time the one with the highest

    (1 − δ) · relevance(i)  −  δ · max over those picked before of cos(i, j)

from a pool of the best. Relevance is the score, stretched to 0 … 1 over the pool, so that δ means the same to all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmf_scratch.fitted.top_n import NONE, top_n

SUPPORT = 20
"""Ratings at which half of a cosine is believed."""

POOL, POOL_AT_LEAST = 5, 50
"""Candidates that diversity chooses from: so many times the length of the list, and at least so many."""


def directions(rows: NDArray[Any]) -> NDArray[Any]:
    """Return the rows scaled to length one; a row of zeros stays one."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: NDArray[Any] = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return scaled


def cosines(row: NDArray[Any], others: NDArray[Any]) -> NDArray[Any]:
    """Return the cosines between one row, shape (k,), and others, shape (n_rows, k); 0 for rows of zeros."""
    close: NDArray[Any] = directions(others) @ directions(row[None, :])[0]
    return close


def most_similar(
    row: NDArray[Any],
    others: NDArray[Any],
    n: int,
    counts: NDArray[Any],
    *,
    allowed: NDArray[np.bool_],
    beside: NDArray[Any] | None = None,
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return the n rows most similar to one, best first, ties by code.

    Parameters
    ----------
    row : ndarray, shape (k,)
        Latent factors.
    others : ndarray, shape (n_rows, k)
        Latent factors to compare with.
    n : int
        At most so many.
    counts : ndarray of int, shape (n_rows,)
        Ratings of each.
    allowed : ndarray of bool, shape (n_rows,)
        Which of them count.
    beside : ndarray, shape (n_rows,), optional
        Cosines of each by another model.

    Returns
    -------
    codes : ndarray of int64, shape (≤ n,)
    similarities : ndarray, same shape
    """
    believed = counts / (counts + SUPPORT) * (1 if beside is None else beside**2)
    scaled = directions(others) * believed.astype(others.dtype)[:, None]
    codes, similarities = top_n(directions(row[None, :]), scaled, n, allowed=allowed)
    listed = codes[0] != NONE
    return codes[0][listed], np.minimum(similarities[0][listed], 1)


def diversified(
    items: NDArray[np.int64], scores: NDArray[Any], H: NDArray[Any], n: int, diversity: float
) -> NDArray[np.int64]:
    """Return the positions of n candidates in the order that maximal marginal relevance picks them.

    Parameters
    ----------
    items : ndarray of int64, shape (n_pool,)
        Candidates, best first; −1 ends the list early.
    scores : ndarray, shape (n_pool,)
    H : ndarray, shape (n_items, k)
        Latent factors of all items.
    n : int
        Length of the list; fewer where there are fewer candidates.
    diversity : float
        δ, from 0 (the best scores) to 1 (the least alike).
    """
    n_pool = int(np.sum(items != NONE))
    rows = directions(H[items[:n_pool]].astype(np.float64))
    spread = float(np.ptp(scores[:n_pool])) if n_pool else 0.0
    relevance = (scores[:n_pool] - scores[:n_pool].min(initial=np.inf)) / (spread or 1.0)
    closest, left = np.zeros(n_pool), np.ones(n_pool, dtype=np.bool_)
    picked = np.zeros(min(n, n_pool), dtype=np.int64)
    for place in range(len(picked)):
        gain = np.where(left, (1 - diversity) * relevance - diversity * closest, -np.inf)
        picked[place] = best = int(np.argmax(gain))  # the first of equals: the better score
        left[best] = False
        closest = np.maximum(closest, rows @ rows[best])
    return picked
