"""CCD++ as the paper has it: add a column pair back to the residuals, alternate on it, subtract it again.

The kernel: src/nmf_scratch/solvers/ccd.py.
"""

import numpy as np


def best_column(leftover, w, h, lam, rho, centre):
    """Minimise ½ Σ (leftover − w h)² plus penalty over w; `leftover` has NaN where nothing was observed."""
    observed = ~np.isnan(leftover)
    pull = np.where(observed, leftover, 0.0) @ h + lam * ((1 - rho) * centre - rho)  # (CD.2)
    curvature = observed @ h**2 + lam * (1 - rho)  # (P.4)
    best = np.maximum(0, pull / np.where(curvature > 0, curvature, 1.0))  # (CD.3)
    return np.where((curvature > 0) | (pull < 0), best, w)


def epoch(R, W, H, sides, frozen, inner_sweeps):
    """Go through the column pairs once, residuals of the others maintained."""
    W, H = W.copy(), H.copy()
    (lam_W, rho_W, m_W), (lam_H, rho_H, m_H) = sides
    error = R - W @ H.T  # (CD.1)
    for f in range(W.shape[1]):
        error = error + np.outer(W[:, f], H[:, f])
        for _ in range(inner_sweeps):
            if f != frozen[0]:
                W[:, f] = best_column(error, W[:, f], H[:, f], lam_W[:, f], rho_W[f], m_W[f])
            if f != frozen[1]:
                H[:, f] = best_column(error.T, H[:, f], W[:, f], lam_H[:, f], rho_H[f], m_H[f])
        error = error - np.outer(W[:, f], H[:, f])
    return W, H
