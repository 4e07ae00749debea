"""Exponentiated gradient, one rating at a time.

The kernel: src/nmf_scratch/solvers/exponentiated_gradient.py.
"""

import numpy as np


def epoch(R, W, H, sides, frozen, order, step, sizes):
    """Visit observed ratings (numbered row by row) in the given order; return new W and H."""
    W, H = W.copy(), H.copy()
    users, items = np.nonzero(~np.isnan(R))
    n_u, n_i = (~np.isnan(R)).sum(axis=1), (~np.isnan(R)).sum(axis=0)
    (lam_W, rho_W, m_W), (lam_H, rho_H, m_H) = sides
    for position in order:
        u, i = users[position], items[position]
        w, h = W[u].copy(), H[i].copy()
        e = R[u, i] - w @ h  # (SGD.1)
        g_w = -e * h + lam_W[u] / n_u[u] * ((1 - rho_W) * (w - m_W) + rho_W)  # (SGD.2)
        g_h = -e * w + lam_H[i] / n_i[i] * ((1 - rho_H) * (h - m_H) + rho_H)
        for X, size, row, g, held in ((W, sizes[0], u, g_w, frozen[0]), (H, sizes[1], i, g_h, frozen[1])):
            if held is not None:
                g[held] = 0
            x = np.clip(-step * g / size, -1, 1)  # (EG.1)
            X[row] = np.maximum(1e-8, X[row] * np.exp(x))  # (EG.2)
    return W, H
