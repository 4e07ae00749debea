"""The objective of `nmf_scratch.problem.objective` on dense matrices: R with NaN where nothing was observed."""

import numpy as np


def strengths(n_ratings, alpha, alpha_bias, weighting, k, free_bias, n_columns):
    """λ_uf as a full matrix, shape (n_rows, n_columns)."""
    lam = np.zeros((len(n_ratings), n_columns))
    lam[:, :k] = alpha * n_ratings[:, None] ** {"count": 1.0, "plain": 0.0}.get(weighting, weighting)
    if free_bias is not None:
        lam[:, free_bias] = alpha_bias
    return lam


def side_terms(k, free_bias, n_columns, bias_level, l1_ratio):
    """Rows of ρ and m, shape (n_columns,) each."""
    rho, centre = np.zeros(n_columns), np.zeros(n_columns)
    rho[:k] = l1_ratio
    if free_bias is not None:
        centre[free_bias] = bias_level
    return rho, centre


def divergence(r, p, beta):
    """β-divergence of one rating r and its prediction p, by the textbook's cases."""
    if beta == 1:
        return (r * np.log(r / p) if r > 0 else 0.0) - r + p
    if beta == 0:
        return r / p - np.log(r / p) - 1
    return r**beta / (beta * (beta - 1)) + p**beta / beta - r * p ** (beta - 1) / (beta - 1)


def objective(R, W, H, sides, beta=2.0, cells=0.0):
    """f(W, H); `sides` holds (λ, ρ, m) of W and of H, `cells` is the weight of each cell's pull to zero."""
    total = sum(divergence(R[u, i], W[u] @ H[i], beta) for u, i in np.argwhere(~np.isnan(R)))
    total += sum(0.5 * cells * (W[u] @ H[i]) ** 2 for u in range(len(W)) for i in range(len(H)))  # (CELL.1)
    for X, (lam, rho, centre) in zip((W, H), sides, strict=True):
        total += np.sum(lam * (0.5 * (1 - rho) * (X - centre) ** 2 + rho * X))
    return total
