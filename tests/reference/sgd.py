"""Projected stochastic gradient descent, one rating at a time.

The kernel: src/nmf_scratch/solvers/sgd.py.
"""

import numpy as np


def epoch(R, W, H, sides, frozen, order, step):
    """Visit observed ratings (numbered row by row) in the given order; return new W and H."""
    W, H = W.copy(), H.copy()
    users, items = np.nonzero(~np.isnan(R))
    n_u, n_i = (~np.isnan(R)).sum(axis=1), (~np.isnan(R)).sum(axis=0)
    (lam_W, rho_W, m_W), (lam_H, rho_H, m_H) = sides
    for position in order:
        u, i = users[position], items[position]
        w, h = W[u].copy(), H[i].copy()
        e = R[u, i] - w @ h  # (SGD.1)
        W[u] = np.maximum(0, w + step * (e * h - lam_W[u] / n_u[u] * ((1 - rho_W) * (w - m_W) + rho_W)))  # (SGD.3)
        H[i] = np.maximum(0, h + step * (e * w - lam_H[i] / n_i[i] * ((1 - rho_H) * (h - m_H) + rho_H)))  # (SGD.4)
        if frozen[0] is not None:
            W[u, frozen[0]] = 1.0
            H[i, frozen[1]] = 1.0
    return W, H
