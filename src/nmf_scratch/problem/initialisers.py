"""Where factors start from: four ways, compared on the same footing.

    "scaled"       random, right on average (in `nmf_scratch.problem.factors`, with the layout of the columns)
    "popularity"   the same, but rows with few ratings start near the average row, and biases at their own means
    "nndsvda"      from the leading singular vectors of the ratings, holes filled by the bias model
    own factors    warm start from another model

NNDSVD (Boutsidis & Gallopoulos 2008) needs a complete matrix. Filling the holes by the bias model gives

    M = E + (μ + b) 1ᵀ + 1 cᵀ      with E = ratings − bias model on the observed pairs, 0 elsewhere,        (INIT.1)

a sparse matrix plus one of rank two. Its leading singular vectors come from products M x and Mᵀ y alone, each of cost
O(n_ratings + n_users + n_items): M itself is never formed. Each pair of singular vectors is split into its positive
and its negative parts, and the pair of parts with the larger product of norms is kept. Zeros would be locked under
multiplicative updates, so they are filled with a tenth of the mean of their column, the variant "a".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import InputError
from nmf_scratch._random import INIT, generator
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.problem.factors import BIAS_LEVEL, Factors, scaled_start

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

SHRINKAGE = 10.0
"""Ratings at which a row is taken half at its word."""

FILL = 0.1
"""What replaces zeros of the singular vectors, as a share of their column's mean."""


def popularity_start(
    ratings: Ratings, n_components: int, *, biases: bool = True, dtype: str = "float32", key: int = 0
) -> Factors:
    """Draw a scaled start that trusts rows by their number of ratings.

    The random deviation of a row from the common level is multiplied by n / (n + 10), and so is the deviation of its
    bias, which starts at the row's mean error under the common level: a row with few ratings starts as the average
    row, one with many as itself. Parameters and return value as in `scaled_start`.
    """
    factors = scaled_start(ratings, n_components, biases=biases, dtype="float64", key=key)
    counts = (ratings.user_counts, ratings.item_counts)
    for X, count, columns in zip((factors.W, factors.H), counts, factors.columns, strict=True):
        trust = (count / (count + SHRINKAGE))[:, None]
        latent = X[:, : columns.n_latent]
        latent[:] = latent.mean() + trust * (latent - latent.mean())
    if biases:
        mean = ratings.mean
        offsets = shrunk_offsets(ratings, ratings.values - mean, SHRINKAGE, SHRINKAGE)
        for X, offset, columns in zip((factors.W, factors.H), offsets, factors.columns, strict=True):
            X[:, columns.free_bias] = np.maximum(0.0, X[:, columns.free_bias] + offset)
    return Factors(factors.W.astype(dtype), factors.H.astype(dtype), biases)


def nndsvda_start(
    ratings: Ratings, n_components: int, *, biases: bool = True, dtype: str = "float32", key: int = 0
) -> Factors:
    """Split the leading singular vectors of the filled ratings into non-negative factors.

    With biases, these start at their common level, and the latent columns approximate the rest. More components than
    the matrix has singular vectors are drawn as in `scaled_start`. Parameters and return value as there.
    """
    factors = scaled_start(ratings, n_components, biases=biases, dtype="float64", key=key)
    mean = ratings.mean or 1.0
    taken = 2 * BIAS_LEVEL * mean if biases else 0.0
    rank = min(n_components, min(ratings.shape) - 1)
    if rank > 0:
        W, H = _nonnegative_double_svd(filled(ratings, taken), rank, key)
        latent = np.einsum("rf,rf->r", W[ratings.users], H[ratings.items]).mean()
        balance = np.sqrt((mean - taken) * (rank / n_components) / latent)
        factors.W[:, :rank], factors.H[:, :rank] = W * balance, H * balance
    return Factors(factors.W.astype(dtype), factors.H.astype(dtype), biases)


def filled(ratings: Ratings, taken: float) -> LinearOperator:
    """Return the operator M of (INIT.1) less a constant, shape (n_users, n_items), without forming it."""
    values = ratings.values.astype(np.float64)
    mean = values.mean()
    b, c = shrunk_offsets(ratings, values - mean, SHRINKAGE, SHRINKAGE)
    rows = mean - taken + b  # (n_users,)
    sparse = ratings.with_values(values - taken - (rows[ratings.users] + c[ratings.items])).to_sparse()
    from scipy.sparse.linalg import LinearOperator

    return LinearOperator(
        ratings.shape,
        matvec=lambda x: sparse @ x.ravel() + rows * x.sum() + c @ x.ravel(),  # (INIT.1)
        rmatvec=lambda y: sparse.T @ y.ravel() + rows @ y.ravel() + c * y.sum(),
        dtype=np.float64,
    )


def _nonnegative_double_svd(operator: LinearOperator, rank: int, key: int) -> tuple[NDArray[Any], NDArray[Any]]:
    from scipy.sparse.linalg import svds

    first = generator(key, INIT).uniform(0.5, 1.5, size=min(operator.shape))
    U, sigma, Vt = svds(operator, k=rank, v0=first)
    W, H = np.empty((operator.shape[0], rank)), np.empty((operator.shape[1], rank))
    for column, f in enumerate(np.argsort(-sigma)):
        w, h = _larger_parts(U[:, f], Vt[f])
        scale = np.sqrt(sigma[f])
        W[:, column], H[:, column] = scale * _without_zeros(w), scale * _without_zeros(h)
    return W, H


def _larger_parts(u: NDArray[Any], v: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the positive or the negative parts of a pair of vectors, whichever matter more, balanced in norm."""
    parts = [(np.maximum(sign * u, 0.0), np.maximum(sign * v, 0.0)) for sign in (1, -1)]
    w, h = max(parts, key=lambda pair: np.linalg.norm(pair[0]) * np.linalg.norm(pair[1]))
    norms = np.linalg.norm(w), np.linalg.norm(h)
    balance = np.sqrt(norms[1] / norms[0]) if min(norms) > 0 else 1.0
    return w * balance, h / balance


def _without_zeros(column: NDArray[Any]) -> NDArray[Any]:
    floor = FILL * column.mean() or FILL / np.sqrt(len(column))
    positive: NDArray[Any] = np.maximum(column, floor)
    return positive


def own_start(
    given: Any, ratings: Ratings, n_components: int, *, biases: bool = True, dtype: str = "float32"
) -> Factors:
    """Take the caller's factors, in the unit of the ratings given here.

    Parameters
    ----------
    given : tuple of array_like
        (W, H) of shapes (n_users, k) and (n_items, k); with biases also (W, H, user_bias, item_bias), by default at
        their common level.
    ratings : Ratings
        What will be fitted.
    n_components : int
        Latent columns k.
    biases : bool
        Whether the model has bias columns.
    dtype : {"float32", "float64"}
        Type of the factors.

    Returns
    -------
    Factors
    """
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 4):
        raise InputError(f"init must be a name, (W, H) or (W, H, user_bias, item_bias), got {type(given).__name__}")
    W, H = (np.array(matrix, dtype=np.float64) for matrix in given[:2])
    for name, matrix, rows in (("W", W, ratings.n_users), ("H", H, ratings.n_items)):
        if matrix.shape != (rows, n_components):
            raise InputError(f"init: {name} must have shape {(rows, n_components)}, got {matrix.shape}")
    if biases:
        levels = _biases(given, ratings)
        W = np.column_stack([W, levels[0], np.ones(len(W))])
        H = np.column_stack([H, np.ones(len(H)), levels[1]])
    factors = Factors(W.astype(dtype), H.astype(dtype), biases)
    factors.check()
    return factors


def _biases(given: Any, ratings: Ratings) -> tuple[Any, Any]:
    if len(given) == 2:
        level = BIAS_LEVEL * ratings.mean
        return np.full(ratings.n_users, level), np.full(ratings.n_items, level)
    for name, bias, rows in zip(("user_bias", "item_bias"), given[2:], ratings.shape, strict=True):
        if np.shape(bias) != (rows,):
            raise InputError(f"init: {name} must have shape {(rows,)}, got {np.shape(bias)}")
    return given[2], given[3]


INITIALISERS: dict[str, Callable[..., Factors]] = {
    "scaled": scaled_start,
    "popularity": popularity_start,
    "nndsvda": nndsvda_start,
}
"""Every initialiser by its name."""


def shrunk_offsets(
    ratings: Ratings, centred: NDArray[Any], reg_user: float, reg_item: float, max_iter: int = 20
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the offsets b_u and c_i of (BL.1) for ratings whose mean was taken off, by alternation."""
    b, c = np.zeros(ratings.n_users), np.zeros(ratings.n_items)
    for _ in range(max_iter):
        c = shrunk_means(ratings.items, centred - b[ratings.users], ratings.n_items, reg_item)
        b = shrunk_means(ratings.users, centred - c[ratings.items], ratings.n_users, reg_user)
    return b, c


def shrunk_means(codes: NDArray[Any], values: NDArray[Any], n_codes: int, reg: float) -> NDArray[np.float64]:
    """Mean of the values of each code, as if `reg` more values of 0 had been seen; 0 where there are none."""
    totals = np.bincount(codes, weights=values, minlength=n_codes)
    counts = np.bincount(codes, minlength=n_codes) + reg
    means: NDArray[np.float64] = np.divide(totals, counts, out=np.zeros(n_codes), where=counts > 0)
    return means
