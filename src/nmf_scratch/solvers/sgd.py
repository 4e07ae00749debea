"""Projected stochastic gradient descent (Robbins & Monro 1951; for ratings: Funk 2006, Koren et al. 2009).

Idea: visit the ratings in random order; each one alone gives a noisy but nearly free estimate of the gradient, that
touches two rows only. Step against it, and project back onto the non-negative numbers. For rating r_ui,

    e_ui = r_ui − w_u · h_i                                                                         (SGD.1)
    g_uf = −e_ui h_if + λ_uf/n_u ((1−ρ) (w_uf − m_f) + ρ),      g_if likewise                       (SGD.2)
    w_uf ← max(0, w_uf − η g_uf)                                                                    (SGD.3)
    h_if ← max(0, h_if − η g_if)      with g_if from the old w_uf                                   (SGD.4)

A row of n_u ratings is visited n_u times in an epoch, so each visit carries 1/n_u of its penalty: λ_uf/n_u is
alpha n_u^(ν−1) for a latent column, and alpha_bias/n_u for a bias. The step η follows a schedule (SGD.5),
(SGD.6), in `nmf_scratch.solvers.stochastic`; the order of the visits is that of `nmf_scratch.solvers.grid`.

A visit is a few dozen instructions, and what it costs is how it finds its numbers. So an epoch works on copies of W and
H that are laid out for it: rows that are visited together lie together, latent columns fill whole SIMD registers, and
biases stand apart. Copying them there and back costs as much as a visit or two per row.

Momentum (Polyak's heavy ball, 1964) remembers the way of the last epoch, and goes a fraction of it again before the
first visit of the next:

    W ← max(0, W + momentum · (W − W at the start of the last epoch)),    likewise H                (SGD.7)

Once per epoch, not per visit: a velocity that decays per visit is gone after ten of them, which is a moment for a busy
item and ten epochs for a quiet one. Per epoch, every row remembers equally long and the visit stays as cheap as it was.

Cost: O(n_ratings · k) per epoch with a small constant: the fastest way to a good test error. Not monotone. Projection
makes exact zeros, which a later gradient can revive (a multiplicative update cannot). Derived in
docs/learn/projected-sgd.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import check_number
from nmf_scratch._jit import kernel, parallel_kernel
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.factors import NO_COLUMN, Columns, Factors
from nmf_scratch.objective import Objective, Penalty
from nmf_scratch.solvers.base import Defaults, State
from nmf_scratch.solvers.grid import Visits
from nmf_scratch.solvers.stochastic import Stochastic, order_of

LANES = 16
"""Rows are padded with zeros to a multiple of this: float32 numbers in a cache line, and in a 512-bit register."""


@dataclass(frozen=True)
class SGD(Stochastic):
    """Projected stochastic gradient descent.

    Parameters
    ----------
    step, schedule, decay, growth : float, str, float, float
        Step size and schedule, see `nmf_scratch.solvers.stochastic.Stochastic`.
    momentum : float
        Share of the last epoch's way that is gone again before the next, 0 … 0.99.
    """

    step: float = 0.15
    momentum: float = 0.0

    name: ClassVar[str] = "sgd"
    parallel: ClassVar[bool] = False
    defaults: ClassVar[Defaults] = Defaults(alpha=0.025, alpha_bias=8.0, max_iter=60)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("momentum", self.momentum, minimum=0.0, maximum=0.99)

    def start(self, train: Ratings, factors: Factors, objective: Objective, *, key: int, max_iter: int) -> State:
        """Prepare as all do, and the layout that epochs work on."""
        return lay_out(super().start(train, factors, objective, key=key, max_iter=max_iter), factors)

    def forget(self, state: State) -> None:
        """Stand still: the last epoch led nowhere."""
        super().forget(state)
        if self.momentum:
            state["before_W"], state["before_H"] = state["W"].copy(), state["H"].copy()

    def epoch(self, state: State) -> None:
        """Visit every rating once, in a new random order."""
        step = self.open_epoch(state)
        if self.momentum:
            for side in ("W", "H"):
                push(state[side], state[f"before_{side}"], self.momentum)
        copy_in(state)
        squares = sweep(order_of(state), *operands(state), step)
        copy_out(state)
        self.close_epoch(state, squares)


def push(X: NDArray[Any], before: NDArray[Any], momentum: float) -> None:
    """Move X on by a share of the way from `before`, which becomes X as it was; a frozen column has gone no way."""
    way = X - before
    before[:] = X
    np.maximum(X + X.dtype.type(momentum) * way, 0, out=X)  # (SGD.7)


class Side(NamedTuple):
    """One side of the factors as `sweep` reads it, its rows in grid order.

    Attributes
    ----------
    latent : ndarray, shape (n_rows, width)
        Latent columns, padded with zeros to a multiple of `LANES`. They stay zero: nothing pulls them.
    bias : ndarray, shape (n_rows,)
        The free bias, or zeros.
    share : ndarray, shape (n_rows,)
        1/n_u, what one visit carries of the penalty on a bias.
    ridge, lasso : ndarray, shape (n_rows,)
        What one visit carries of a row's penalty on its latent columns: λ_u (1−ρ)/n_u and λ_u ρ/n_u.
    """

    latent: NDArray[Any]
    bias: NDArray[Any]
    share: NDArray[Any]
    ridge: NDArray[Any]
    lasso: NDArray[Any]


def lay_out(state: State, factors: Factors) -> State:
    """Add to a state both sides in grid order, and make its ratings speak of places there."""
    grid = state["grid"]
    both = (factors.W, factors.H), grid.triples[:2], (grid.rows_W, grid.rows_H), factors.columns
    for side, X, ids, rows, columns in zip("WH", *both, strict=True):
        state[f"rows_{side}"] = rows
        places = np.empty(len(X), ids.dtype)
        places[rows] = np.arange(len(X), dtype=ids.dtype)
        np.take(places, ids, out=ids, mode="clip")  # in place; the mode only says that codes need no check
        penalty = state[f"penalty_{side}"]
        counts = penalty.counts[rows]
        share = np.divide(1, counts, out=np.zeros_like(counts), where=counts > 0)
        width = -(-columns.n_latent // LANES) * LANES
        parts = share, share * penalty.ridge[rows], share * penalty.lasso[rows]
        state[f"side_{side}"] = Side(aligned((len(X), width), X.dtype), np.zeros(len(X), X.dtype), *parts)
        state[f"columns_{side}"] = columns
    return state


def aligned(shape: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a matrix whose rows begin with a cache line, if they are a multiple of one."""
    n_bytes = shape[0] * shape[1] * dtype.itemsize
    buffer = np.empty(n_bytes + 64, np.uint8)
    first = -buffer.ctypes.data % 64
    matrix: NDArray[Any] = buffer[first : first + n_bytes].view(dtype).reshape(shape)
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


def operands(state: State) -> tuple[Side, Side, Penalty, Penalty, bool]:
    """Return what `sweep` takes besides ratings and step."""
    return state["side_W"], state["side_H"], state["penalty_W"], state["penalty_H"], state["biases"]


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


@kernel
def sweep(
    visits: Visits,
    side_W: Side,
    side_H: Side,
    penalty_W: Penalty,
    penalty_H: Penalty,
    biases: bool,
    step: Any,
) -> float:
    """Visit ratings one after the other, update both sides in place, and return the sum of the squared residuals.

    Parameters
    ----------
    visits : Visits
        The ratings and their order.
    side_W, side_H : Side
    penalty_W, penalty_H : Penalty
    biases : bool
        Whether there are any.
    step : float
        η of this epoch, in the dtype of the factors.
    """
    tiles, starts, users, items, values, weights = visits
    W, b, share_w, ridge_w, lasso_w = side_W
    H, c, share_h, ridge_h, lasso_h = side_H
    width = W.shape[1] // LANES * LANES  # the division tells the compiler that no remainder is to be looked after
    zero, one = step - step, step / step  # in the dtype of the factors: a literal would widen float32 to float64
    squares = 0.0
    for tile in tiles:
        # Unsigned: an index that may be negative is tested whether to count from the end, which costs a tenth.
        for p in range(np.uint64(starts[tile]), np.uint64(starts[tile + 1])):
            u, i = np.uint64(users[p]), np.uint64(items[p])
            error = values[p]
            for f in range(width):
                error -= W[u, f] * H[i, f]  # (SGD.1)
            if biases:
                error -= b[u] + c[i]
            squares += weights[p] * error * error
            eta = step * weights[p]
            push = eta * error
            keep_w, less_w = one - eta * ridge_w[u], eta * lasso_w[u]
            keep_h, less_h = one - eta * ridge_h[i], eta * lasso_h[i]
            for f in range(width):
                w_f, h_f = W[u, f], H[i, f]
                W[u, f] = max(keep_w * w_f + push * h_f - less_w, zero)  # (SGD.3)
                H[i, f] = max(keep_h * h_f + push * w_f - less_h, zero)  # (SGD.4)
            if biases:  # the same two lines where the other side is frozen to one
                b[u] = max(b[u] + push - eta * penalty_W.bias_ridge * share_w[u] * (b[u] - penalty_W.bias_level), zero)
                c[i] = max(c[i] + push - eta * penalty_H.bias_ridge * share_h[i] * (c[i] - penalty_H.bias_level), zero)
    return squares
