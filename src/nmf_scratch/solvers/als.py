"""Alternating non-negative least squares, each row solved exactly (Kim & Park 2011; on ratings: Zhou et al. 2008).

Idea: with H fixed, every user has a small problem of their own, convex, with one minimum. Do not step towards it: go
there. Over the free columns, with what the frozen one explains taken off each rating (h_i,frozen; without biases 0),
user u minimises ½ w·Aw − d·w, where

    A_fj = Σ_i∈Ω_u h_if h_ij + λ_uf (1−ρ) [f = j]                                                   (ALS.1)
    d_f  = Σ_i∈Ω_u (r_ui − h_i,frozen) h_if + λ_uf ((1−ρ) m_f − ρ)                                  (ALS.2)

Where cells that nobody rated count too (`nmf_scratch.problem.objective`), with G = HᵀH over all items,

    A_fj ← A_fj + ω_0 (HᵀH)_fj,  d_f ← d_f − ω_0 (HᵀH)_f,frozen                                     (CELL.3)

How these sums are taken, and how such a problem is solved, by block principal pivoting or by coordinate descent, is in
`nmf_scratch.solvers.exact_rows`. Derived, with an example by hand, in docs/learn/alternating-least-squares.md.

Cost: O(n_ratings · K²) for the sums, where the time goes, and O(K³) per row and guess. Epochs are expensive, and few
are needed. The objective never goes up, and since both halves are exact, every limit point is stationary (Grippo &
Sciandrone 2000).

The same in plain NumPy, its naive twin: tests/reference/als.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nmf_scratch._check import check_choice, check_number
from nmf_scratch.solvers.base import Defaults, State
from nmf_scratch.solvers.exact_rows import Method, fixed, solve
from nmf_scratch.solvers.rows import RowWise, Side

METHODS = ("pivoting", "descent")


@dataclass(frozen=True)
class AlternatingLeastSquares(RowWise):
    """Alternating non-negative least squares.

    Parameters
    ----------
    method : {"pivoting", "descent"}
        How a row is solved: block principal pivoting, or coordinate descent on the Gram matrix.
    descent_sweeps : int
        Coordinate descent ends after so many sweeps over a row at the latest.
    tolerance : float
        Coordinate descent ends when no entry moves by more than this share of the largest, as far as predictions go.
    extrapolate : bool
        Whether to go on in the direction of the last epoch, see `nmf_scratch.solvers.extrapolation`.
    """

    method: str = "pivoting"
    descent_sweeps: int = 1000
    tolerance: float = 1e-10
    extrapolate: bool = False

    name: ClassVar[str] = "als"
    exact: ClassVar[bool] = True
    unobserved: ClassVar[bool] = True
    defaults: ClassVar[Defaults] = Defaults(alpha=0.28, alpha_bias=16.0, max_iter=20)

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        check_number("descent_sweeps", self.descent_sweeps, minimum=1, integer=True)
        check_number("tolerance", self.tolerance, minimum=0.0)

    def half_step(self, side: Side, state: State) -> None:
        """Replace each row by the minimiser of its problem."""
        method = Method(self.method == "pivoting", self.descent_sweeps, float(self.tolerance))
        partners = fixed(side.partners, side.columns, side.unobserved_weight)
        solve(side.view, side.X, partners, side.penalty, side.columns, method=method, spans=side.work)
