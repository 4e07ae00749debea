"""Multiplicative updates on the observed ratings (Lee & Seung 2001; with a mask: Zhang et al. 2006).

Idea: split the gradient of each factor entry into what pulls it up and what pushes it down, both non-negative, and
multiply the entry by their ratio. Non-negativity is then free: a product of non-negative numbers. For user u,

    r̂_ui  = w_u · h_i                                                    for i in Ω_u               (MU.1)
    num_f = Σ_i∈Ω_u r_ui h_if + λ_uf (1−ρ) m_f                                                      (MU.2)
    den_f = Σ_i∈Ω_u r̂_ui h_if + λ_uf ((1−ρ) w_uf + ρ)                                               (MU.3)
    w_uf ← w_uf · num_f / den_f                                                                     (MU.4)

and the same for every item with the roles swapped (λ, ρ and m are the penalty's, see `nmf_scratch.objective`).
Derived in docs/multiplicative-updates.md.

The rows of one side do not depend on each other, so a half-step is one parallel loop over rows. The two sides must
*alternate*: (MU.4) minimises an upper bound of the objective in which the other side is fixed, so the objective never
increases only if H is updated with the new W. (Updating both from the same residuals, as some libraries do, loses the
proof.) With `weighting="count"` (MU.4) is the single-element rule of Luo et al. (2014, IEEE TII 10(2)), alternated.

Cost: O(n_ratings · k) per half-step. Entries that reach zero stay there, and the tail of convergence is slow; what
it has is simplicity: no step size, and an objective that never goes up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numba
import numpy as np
from numpy.typing import NDArray

from nmf_scratch._jit import parallel_kernel
from nmf_scratch.data.ratings import Compressed, Ratings
from nmf_scratch.factors import Columns, Factors
from nmf_scratch.objective import Objective, Penalty
from nmf_scratch.solvers.base import Defaults, State, in_dtype_of


@dataclass(frozen=True)
class MultiplicativeUpdates:
    """Alternating multiplicative updates; has no hyper-parameters of its own."""

    name: ClassVar[str] = "mu"
    monotone: ClassVar[bool] = True
    stochastic: ClassVar[bool] = False
    parallel: ClassVar[bool] = True
    defaults: ClassVar[Defaults] = Defaults(alpha=0.02, alpha_bias=4.0, max_iter=100)

    def start(self, train: Ratings, factors: Factors, objective: Objective, *, key: int, max_iter: int) -> State:
        """Prepare both views and penalties; nothing here is random or scheduled."""
        penalty_W, penalty_H = objective.penalties(train, factors)
        return {
            "W": factors.W,
            "H": factors.H,
            "by_user": in_dtype_of(factors, train.by_user),
            "by_item": in_dtype_of(factors, train.by_item),
            "penalty_W": penalty_W,
            "penalty_H": penalty_H,
            "columns": factors.columns,
        }

    def epoch(self, state: State) -> None:
        """Update every user row, then every item row against the new user rows."""
        columns_W, columns_H = state["columns"]
        multiply_rows(state["by_user"], state["W"], state["H"], state["penalty_W"], columns_W)
        multiply_rows(state["by_item"], state["H"], state["W"], state["penalty_H"], columns_H)


@parallel_kernel
def multiply_rows(view: Compressed, W: NDArray[Any], H: NDArray[Any], penalty: Penalty, columns: Columns) -> None:
    """Update each row of W in place, H fixed; called with the roles swapped it updates H.

    Parameters
    ----------
    view : Compressed
        Ratings grouped by the rows of W.
    W, H : ndarray, shapes (n_rows, K) and (n_columns, K)
    penalty : Penalty
        Of the side of W.
    columns : Columns
        Layout of W.
    """
    indptr, indices, values = view
    _, free_bias, frozen = columns
    for u in numba.prange(len(indptr) - 1):
        w = W[u]
        ridge = penalty.ridge_rating * penalty.counts[u] + penalty.ridge_row
        lasso = penalty.lasso_rating * penalty.counts[u] + penalty.lasso_row
        numerator = np.zeros_like(w)
        denominator = ridge * w + lasso
        if free_bias >= 0:
            numerator[free_bias] = penalty.bias_ridge * penalty.bias_level
            denominator[free_bias] = penalty.bias_ridge * w[free_bias]
        for p in range(indptr[u], indptr[u + 1]):
            h = H[indices[p]]
            prediction = lasso - lasso  # zero in the dtype of the factors
            for f in range(len(w)):
                prediction += w[f] * h[f]  # (MU.1)
            for f in range(len(w)):
                numerator[f] += values[p] * h[f]  # (MU.2)
                denominator[f] += prediction * h[f]  # (MU.3)
        for f in range(len(w)):
            # Where nothing pushes down the entry has no effect on the objective, and stays.
            if f != frozen and denominator[f] > 0:
                w[f] *= numerator[f] / denominator[f]  # (MU.4)
