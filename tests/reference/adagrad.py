"""AdaGrad, one rating at a time; the latent columns of a row share one accumulator, or no columns do.

The kernel: src/nmf_scratch/solvers/adagrad.py.
"""

import numpy as np


def epoch(R, W, H, sides, frozen, order, step, G_W, G_H, n_shared):
    """Visit observed ratings (numbered row by row) in the given order; return new W, H and accumulators.

    G_W and G_H have a column per column of W and H; the first n_shared columns of a row are kept equal.
    """
    W, H, G_W, G_H = W.copy(), H.copy(), G_W.copy(), G_H.copy()
    users, items = np.nonzero(~np.isnan(R))
    n_u, n_i = (~np.isnan(R)).sum(axis=1), (~np.isnan(R)).sum(axis=0)
    (lam_W, rho_W, m_W), (lam_H, rho_H, m_H) = sides
    for position in order:
        u, i = users[position], items[position]
        w, h = W[u].copy(), H[i].copy()
        e = R[u, i] - w @ h  # (SGD.1)
        g_w = -e * h + lam_W[u] / n_u[u] * ((1 - rho_W) * (w - m_W) + rho_W)  # (SGD.2)
        g_h = -e * w + lam_H[i] / n_i[i] * ((1 - rho_H) * (h - m_H) + rho_H)
        for X, G, row, g, held in ((W, G_W, u, g_w, frozen[0]), (H, G_H, i, g_h, frozen[1])):
            if held is not None:
                g[held] = 0
            X[row] = np.maximum(0, X[row] - step * g / np.sqrt(G[row]))  # (ADG.1)
            G[row, :n_shared] += np.mean(g[:n_shared] ** 2)  # (ADG.2)
            G[row, n_shared:] += g[n_shared:] ** 2
    return W, H, G_W, G_H
