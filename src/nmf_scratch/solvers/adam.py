"""Adam (Kingma & Ba 2015, ICLR, algorithm 1) with sparse moments, projected.

Idea: keep a running mean of every entry's gradients and of their squares, and step by mean / root mean square: an entry
whose gradients agree moves a full step η, one whose gradients differ in sign stays about where it is, and their size
cancels. With the gradient g_uf of (SGD.2), at each visit of row u, and likewise of an item's row,

    a_uf ← β₁ a_uf + (1−β₁) g_uf                                                                    (ADAM.1)
    v_uf ← β₂ v_uf + (1−β₂) g_uf²                                                                   (ADAM.2)
    w_uf ← max(0, w_uf − η a_uf/(1−β₁^n) / (√(v_uf/(1−β₂^n)) + ε))                                  (ADAM.3)

where n counts the visits of *this row*: both means start at zero, and the divisions undo that. They are *lazy*: a row
that a rating does not touch keeps them, where the original would let them fade and move the row on without a reason of
its own, at the cost of touching every row at every rating.

How long the means remember decides what is minimised. With a long memory (β₂ near 1) the root in (ADAM.3) is a constant
between two visits, and the steps balance where the gradients do: at the objective's minimum. With a short one the
gradient of this very visit is a good part of the root that divides it: no step is longer than η √(1/(1−β₂)), and large
gradients are held back while small ones are not. That is no robust loss, since the partner's size is cancelled with the
residual's. The default is short, β₁ = 0 and β₂ = 0.9: it ends at a *higher* objective than sgd, and predicts held-out
ratings better (on the validation splits of choose_defaults.py; their scores are kept in benchmarks/results/defaults);
why is open (a robust loss does not help als, see
benchmarks/huber.py). To minimise the objective itself take beta2=0.999.

Cost: O(n_ratings · k) per epoch, three times the memory. Not monotone. Derived in docs/learn/adaptive-steps.md.

The same in plain NumPy, its naive twin: tests/reference/adam.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import check_number
from nmf_scratch._jit import LINE, kernel
from nmf_scratch.solvers.base import Defaults, State
from nmf_scratch.solvers.grid import Side, Visits
from nmf_scratch.solvers.stochastic import Stochastic, order_of

EPSILON = 1e-8
"""ε of (ADAM.3): keeps an entry whose gradients were all zero from dividing by zero."""


@dataclass(frozen=True)
class Adam(Stochastic):
    """Adam with moments per entry that change only when their row is visited.

    Parameters
    ----------
    step, schedule, decay, growth : float, str, float, float
        Step size and schedule, see `nmf_scratch.solvers.stochastic.Stochastic`; a step is about how far an entry
        moves per visit.
    beta1, beta2 : float
        How much of the running means of gradients and of their squares is kept at a visit, 0 … 0.9999.
    """

    step: float = 0.005
    beta1: float = 0.0
    beta2: float = 0.9

    name: ClassVar[str] = "adam"
    parallel: ClassVar[bool] = False
    defaults: ClassVar[Defaults] = Defaults(alpha=0.17, alpha_bias=16.0, max_iter=30)
    memory: ClassVar[tuple[str, ...]] = (
        *Stochastic.memory,
        "latent_moments_W",
        "latent_moments_H",
        "bias_moments_W",
        "bias_moments_H",
        "powers_W",
        "powers_H",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("beta1", "beta2"):
            check_number(name, getattr(self, name), minimum=0.0, maximum=0.9999)

    def forget(self, state: State) -> None:
        """Set all moments to zero and all powers of β to one."""
        super().forget(state)
        for side in ("W", "H"):
            latent, bias, *_ = state[f"side_{side}"]
            state[f"latent_moments_{side}"] = np.zeros((2, *latent.shape), latent.dtype)
            state[f"bias_moments_{side}"] = np.zeros((len(bias), 2), bias.dtype)
            state[f"powers_{side}"] = np.ones((len(bias), 2), bias.dtype)

    def sweep(self, state: State, step: Any) -> float:
        """Visit every rating once."""
        numbers = tuple(step.dtype.type(number) for number in (step, self.beta1, self.beta2, EPSILON))
        sides = state["side_W"], state["side_H"]
        memories = memory_of(state, "W"), memory_of(state, "H")
        return adam_sweep(order_of(state), *sides, *memories, state["biases"], numbers)


class Memory(NamedTuple):
    """What `Adam` remembers of one side, rows in grid order.

    Attributes
    ----------
    mean, square : ndarray, shape (n_rows, width)
        First and second moments of the latent columns.
    bias : ndarray, shape (n_rows, 2)
        First and second moment of the bias.
    powers : ndarray, shape (n_rows, 2)
        β₁^n and β₂^n of the visits so far.
    """

    mean: NDArray[Any]
    square: NDArray[Any]
    bias: NDArray[Any]
    powers: NDArray[Any]


def memory_of(state: State, side: str) -> Memory:
    """Return views of what a state remembers."""
    mean, square = state[f"latent_moments_{side}"]
    return Memory(mean, square, state[f"bias_moments_{side}"], state[f"powers_{side}"])


@kernel
def adam_sweep(
    visits: Visits,
    side_W: Side,
    side_H: Side,
    memory_W: Memory,
    memory_H: Memory,
    biases: bool,
    numbers: tuple[Any, Any, Any, Any],
) -> float:
    """Visit the ratings one by one, update both sides in place; return the sum of the squared residuals.

    Parameters
    ----------
    visits : Visits
        The ratings and their order.
    side_W, side_H : Side
    memory_W, memory_H : Memory
    biases : bool
        Whether there are any.
    numbers : tuple of float
        η of this epoch, β₁, β₂ and ε, in the dtype of the factors.
    """
    tiles, starts, users, items, values, weights = visits
    W, b, ridge_w, lasso_w, bias_ridge_w, level_w = side_W
    H, c, ridge_h, lasso_h, bias_ridge_h, level_h = side_H
    width = W.shape[1] // LINE * LINE
    g_w, g_h = np.empty_like(W[0]), np.empty_like(H[0])
    squares = 0.0
    for tile in tiles:
        for p in range(np.uint64(starts[tile]), np.uint64(starts[tile + 1])):
            u, i, weight = np.uint64(users[p]), np.uint64(items[p]), weights[p]
            error = values[p]
            for f in range(width):
                error -= W[u, f] * H[i, f]  # (SGD.1)
            if biases:
                error -= b[u] + c[i]
            squares += weight * error * error
            for f in range(width):
                g_w[f] = weight * (ridge_w[u] * W[u, f] + lasso_w[u] - error * H[i, f])  # (SGD.2)
                g_h[f] = weight * (ridge_h[i] * H[i, f] + lasso_h[i] - error * W[u, f])
            move(W, u, g_w, memory_W, numbers)
            move(H, i, g_h, memory_H, numbers)
            if biases:
                g_b = weight * (bias_ridge_w[u] * (b[u] - level_w) - error)
                g_c = weight * (bias_ridge_h[i] * (c[i] - level_h) - error)
                move_bias(b, u, g_b, memory_W, numbers)
                move_bias(c, i, g_c, memory_H, numbers)
    return squares


@kernel
def move(X: NDArray[Any], row: Any, gradient: NDArray[Any], memory: Memory, numbers: tuple[Any, Any, Any, Any]) -> None:
    """Take the gradient of one rating, shape (width,), into the moments of a row of X, and move the row."""
    step, beta1, beta2, epsilon = numbers
    zero, one = step - step, step / step  # both in the dtype of the factors
    mean, square, powers = memory.mean, memory.square, memory.powers
    powers[row, 0] *= beta1
    powers[row, 1] *= beta2
    rate, unbias = step / (one - powers[row, 0]), one / (one - powers[row, 1])
    for f in range(X.shape[1] // LINE * LINE):
        g = gradient[f]
        mean[row, f] = beta1 * mean[row, f] + (one - beta1) * g  # (ADAM.1)
        square[row, f] = beta2 * square[row, f] + (one - beta2) * g * g  # (ADAM.2)
        X[row, f] = max(
            X[row, f] - rate * mean[row, f] / (np.sqrt(square[row, f] * unbias) + epsilon), zero
        )  # (ADAM.3)


@kernel
def move_bias(bias: NDArray[Any], row: Any, gradient: Any, memory: Memory, numbers: tuple[Any, Any, Any, Any]) -> None:
    """Do the same for a bias, once `move` has counted the visit."""
    step, beta1, beta2, epsilon = numbers
    zero, one = step - step, step / step
    mean_and_square, powers = memory.bias, memory.powers
    mean = beta1 * mean_and_square[row, 0] + (one - beta1) * gradient  # (ADAM.1)
    square = beta2 * mean_and_square[row, 1] + (one - beta2) * gradient * gradient  # (ADAM.2)
    mean_and_square[row, 0], mean_and_square[row, 1] = mean, square
    size = np.sqrt(square / (one - powers[row, 1])) + epsilon
    bias[row] = max(bias[row] - step * mean / (one - powers[row, 0]) / size, zero)  # (ADAM.3)
