"""Accelerated projected gradient with restarts, one row at a time; everything is computed anew where it is needed.

The kernel: src/nmf_scratch/solvers/projected_gradient.py.
"""

import numpy as np


def value(w, r, h, lam, rho, centre):
    """Return the row's part of the objective."""
    return 0.5 * np.sum((r - h @ w) ** 2) + np.sum(lam * (0.5 * (1 - rho) * (w - centre) ** 2 + rho * w))


def gradient(w, r, h, lam, rho, centre):
    """Return its gradient."""
    return -(r - h @ w) @ h + lam * ((1 - rho) * (w - centre) + rho)  # (PGD.1)


def row(w, n_steps, free, *problem):
    """Return the row after n_steps; `problem` is (r, h, λ, ρ, m) with the observed ratings only."""
    _, h, lam, rho, _ = problem
    bound = (h[:, free].T @ h[:, free]).sum(axis=1) + (lam * (1 - rho))[free]  # (PGD.3)
    y, tau, lowest = w, 1.0, value(w, *problem)
    for _ in range(n_steps):
        g, new = gradient(y, *problem), w.copy()
        all_the_way = np.where(g[free] > 0, np.inf, 0.0)  # along a line without a bend, a lasso's, or a level one
        step = np.divide(g[free], bound, out=all_the_way, where=bound > 0)
        new[free] = np.maximum(0, y[free] - step)  # (PGD.2)
        if value(new, *problem) > lowest * (1 + 1e-14):
            y, tau = w, 1.0
            continue
        lowest = min(lowest, value(new, *problem))
        if g @ (new - w) > 0:  # (PGD.7)
            tau = 1.0
        after = (1 + np.sqrt(1 + 4 * tau**2)) / 2  # (PGD.5)
        y, w, tau = new + (tau - 1) / after * (new - w), new, after  # (PGD.6)
    return w


def half_step(R, W, H, lam, rho, centre, frozen, n_steps):
    """Return the updated W; R has NaN where nothing was observed."""
    free = [f for f in range(W.shape[1]) if f != frozen]
    updated = W.copy()
    for u in range(len(W)):
        observed = ~np.isnan(R[u])
        updated[u] = row(W[u], n_steps, free, R[u, observed], H[observed], lam[u], rho, centre)
    return updated


def epoch(R, W, H, sides, frozen, n_steps):
    """One alternation: users first, then items against the new users."""
    W = half_step(R, W, H, *sides[0], frozen[0], n_steps)
    H = half_step(R.T, H, W, *sides[1], frozen[1], n_steps)
    return W, H
