"""The two non-negative factor matrices, and where they start from.

The model predicts rating r̂_ui = w_u · h_i from a row of W and a row of H. Biases are part of the same product: with
two more columns, one frozen to ones on each side,

    column      0 … k−1      k       k+1
    w_u         latent       b_u     1        (the user's row: its last column is frozen)
    h_i         latent       1       c_i      (the item's row: its column k is frozen)

the product is w_u · h_i = latent part + b_u + c_i. It is plain NMF of rank k + 2: every solver, proof and test covers
the biases without knowing of them, as long as frozen columns are left alone.

Scaled start: with all entries around a value a, r̂ is about k a². Choosing a = √(mean rating / k) makes the first
predictions right on average at any rank (scikit-learn's rule, restricted to the observed entries).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import InputError
from nmf_scratch._jit import kernel, operand, parallel_kernel, parallel_turn, serial
from nmf_scratch._random import INIT, generator
from nmf_scratch.data.ratings import Ratings

BIAS_LEVEL = 0.35
"""Share of the mean rating that each of the two biases starts from, and is pulled to; the latent part gets the rest."""

PARALLEL_PAIRS = 20_000
"""Pairs that are worth several threads."""

NO_COLUMN = -1
"""Index of a bias column in a model without biases."""


class Columns(NamedTuple):
    """Where the columns of one side are: latent 0 … n_latent − 1, its free bias, and the one frozen to ones."""

    n_latent: int
    free_bias: int
    frozen: int


@dataclass
class Factors:
    """A pair of non-negative factor matrices that solvers update in place.

    Attributes
    ----------
    W : ndarray of float, shape (n_users, K), C-contiguous
        User factors; K = k + 2 with biases, else k.
    H : ndarray of float, shape (n_items, K), C-contiguous
        Item factors.
    biases : bool
        Whether the last two columns are the bias columns of the module's table.
    """

    W: NDArray[Any]
    H: NDArray[Any]
    biases: bool = False

    @property
    def n_components(self) -> int:
        """Number of latent columns k, biases not counted."""
        return int(self.W.shape[1]) - 2 * self.biases

    @property
    def columns(self) -> tuple[Columns, Columns]:
        """Layout of W and of H, after the module's table."""
        k = self.n_components
        if not self.biases:
            return Columns(k, NO_COLUMN, NO_COLUMN), Columns(k, NO_COLUMN, NO_COLUMN)
        return Columns(k, k, k + 1), Columns(k, k + 1, k)

    def predict(self, users: NDArray[Any], items: NDArray[Any]) -> NDArray[np.float64]:
        """Predict r̂ for pairs of codes.

        Parameters
        ----------
        users, items : ndarray of int, shape (n,)
            Codes; negative ones count from the end.

        Returns
        -------
        ndarray of float64, shape (n,)
            w_u · h_i, in the unit of the ratings that were fitted, not clipped.
        """
        predictions = np.empty(len(users), dtype=np.float64)
        pairs = operand(users % len(self.W), np.int64), operand(items % len(self.H), np.int64)
        with parallel_turn() as may_run_parallel:
            many = may_run_parallel and len(users) >= PARALLEL_PAIRS
            (predict_pairs if many else predict_few)(*pairs, operand(self.W), operand(self.H), predictions)
        return predictions

    def with_average_rows(self, ratings: Ratings) -> Factors:
        """Append the mean of the trained rows to both sides: code −1, an unknown row, then points to it."""
        sides = ((self.W, ratings.user_counts), (self.H, ratings.item_counts))
        W, H = (np.vstack([side, side[counts > 0].mean(axis=0)]) for side, counts in sides)
        return Factors(W, H, self.biases)

    def copy(self) -> Factors:
        """Return an independent copy."""
        return Factors(self.W.copy(), self.H.copy(), self.biases)

    def in_unit(self, unit: float) -> Factors:
        """Return factors whose predictions are `unit` times as large: √unit on each side, all of it on the biases."""
        scaled = self.copy()
        for matrix, (n_latent, free_bias, _) in zip((scaled.W, scaled.H), self.columns, strict=True):
            matrix[:, :n_latent] *= np.sqrt(unit)
            if self.biases:
                matrix[:, free_bias] *= unit
        return scaled

    def overwrite(self, other: Factors) -> None:
        """Take over the numbers of `other`, in place: solvers hold on to these very arrays."""
        self.W[:] = other.W
        self.H[:] = other.H

    def check(self) -> None:
        """Refuse factors that are not a non-negative, finite, C-contiguous pair with ones where frozen."""
        for name, matrix, (_, _, frozen) in zip("WH", (self.W, self.H), self.columns, strict=True):
            if matrix.ndim != 2 or not matrix.flags.c_contiguous:
                raise InputError(f"{name} must be a C-contiguous matrix, got shape {matrix.shape}")
            if not (np.isfinite(matrix).all() and (matrix >= 0).all()):
                raise InputError(f"{name} must be finite and non-negative, got a minimum of {matrix.min()}")
            if frozen != NO_COLUMN and not (matrix[:, frozen] == 1).all():
                raise InputError(f"column {frozen} of {name} is frozen and must be all ones")
        if self.W.shape[1] != self.H.shape[1]:
            raise InputError(f"W and H must have as many columns, got {self.W.shape[1]} and {self.H.shape[1]}")


def scaled_start(
    ratings: Ratings,
    n_components: int,
    *,
    biases: bool = True,
    dtype: str = "float32",
    key: int = 0,
) -> Factors:
    """Draw random factors whose first predictions average to the mean rating.

    Entries are uniform on [a/2, 3a/2] with a = √(share / k): bounded away from zero, because a multiplicative update
    can never leave it, and different from each other, because equal columns would stay equal forever. With biases the
    mean rating is shared out: `BIAS_LEVEL` of it to each bias, the rest to the latent part.

    Parameters
    ----------
    ratings : Ratings
        Only shape and mean are used.
    n_components : int
        Latent columns k.
    biases : bool
        Whether to add the two bias columns.
    dtype : {"float32", "float64"}
        Type of the factors. The draws are made in float64 and rounded: both types start from the same point.
    key : int
        64-bit key of the random draws.

    Returns
    -------
    Factors
    """
    mean = ratings.mean or 1.0
    bias = BIAS_LEVEL * mean if biases else 0.0
    rng = generator(key, INIT)
    level = np.sqrt((mean - 2 * bias) / n_components)
    latent = [level * rng.uniform(0.5, 1.5, size=(rows, n_components)) for rows in ratings.shape]
    if not biases:
        return Factors(*(matrix.astype(dtype) for matrix in latent))
    W = np.hstack([latent[0], np.full((ratings.n_users, 1), bias), np.ones((ratings.n_users, 1))])
    H = np.hstack([latent[1], np.ones((ratings.n_items, 1)), np.full((ratings.n_items, 1), bias)])
    return Factors(W.astype(dtype), H.astype(dtype), biases=True)


@parallel_kernel
def predict_pairs(
    users: NDArray[Any], items: NDArray[Any], W: NDArray[Any], H: NDArray[Any], predictions: NDArray[Any]
) -> None:
    """Write w_u · h_i for each pair into `predictions`; each iteration owns one output."""
    for position in numba.prange(len(users)):
        predictions[position] = product(W[users[position]], H[items[position]])


predict_few = serial(predict_pairs)


@kernel
def product(w: NDArray[Any], h: NDArray[Any]) -> float:
    """Return w · h, summed in float64."""
    total = 0.0
    for f in range(len(w)):
        total += float(w[f]) * float(h[f])
    return total  # (P.1)
