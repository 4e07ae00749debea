"""Adam with lazy moments, one rating at a time.

The kernel: src/nmf_scratch/solvers/adam.py.
"""

import numpy as np


def start(W, H):
    """First moments, second moments and visits of both sides."""
    return [(np.zeros_like(X), np.zeros_like(X), np.zeros(len(X), dtype=int)) for X in (W, H)]


def epoch(R, W, H, sides, frozen, order, step, moments, beta1, beta2):
    """Visit observed ratings (numbered row by row) in the given order; return new W and H, change the moments."""
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
        for X, (m, v, t), row, g, held in ((W, moments[0], u, g_w, frozen[0]), (H, moments[1], i, g_h, frozen[1])):
            if held is not None:
                g[held] = 0
            t[row] += 1
            m[row] = beta1 * m[row] + (1 - beta1) * g  # (ADAM.1)
            v[row] = beta2 * v[row] + (1 - beta2) * g**2  # (ADAM.2)
            mean, square = m[row] / (1 - beta1 ** t[row]), v[row] / (1 - beta2 ** t[row])
            X[row] = np.maximum(0, X[row] - step * mean / (np.sqrt(square) + 1e-8))  # (ADAM.3)
    return W, H
