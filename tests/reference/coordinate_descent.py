"""Element-wise coordinate descent, one line per equation, residuals from scratch for every column.

The kernel: src/nmf_scratch/solvers/coordinate_descent.py.
"""

import numpy as np


def half_step(R, W, H, lam, rho, centre, frozen, inner_sweeps, cells=0.0):
    """Return the updated W; R has NaN where nothing was observed; every cell pulls to zero with the weight `cells`."""
    W, observed = W.copy(), ~np.isnan(R)
    for f in [f for _ in range(inner_sweeps) for f in range(W.shape[1]) if f != frozen]:
        error = np.where(observed, R - W @ H.T, 0.0)  # (CD.1)
        square = (observed + cells) @ H[:, f] ** 2
        curvature = square + lam[:, f] * (1 - rho[f])  # (P.4)
        error -= cells * W @ H.T  # (CELL.4)
        pull = error @ H[:, f] + W[:, f] * square + lam[:, f] * ((1 - rho[f]) * centre[f] - rho[f])  # (CD.2)
        best = np.maximum(0, pull / np.where(curvature > 0, curvature, 1.0))  # (CD.3)
        W[:, f] = np.where((curvature > 0) | (pull < 0), best, W[:, f])
    return W


def epoch(R, W, H, sides, frozen, inner_sweeps, cells=0.0):
    """One alternation: users first, then items against the new users."""
    W = half_step(R, W, H, *sides[0], frozen[0], inner_sweeps, cells)
    H = half_step(R.T, H, W, *sides[1], frozen[1], inner_sweeps, cells)
    return W, H
