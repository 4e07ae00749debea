"""Alternating non-negative least squares, one row at a time: textbook pivoting, textbook coordinate descent.

The kernel: src/nmf_scratch/solvers/als.py.
"""

import numpy as np


def normal_equations(r, H, explained, lam, rho, centre, cells=0.0):
    """Return A and d of one row, over its free columns; r has NaN where nothing was observed."""
    observed = ~np.isnan(r)
    h, target = H[observed], r[observed] - explained[observed]
    A = h.T @ h + np.diag(lam * (1 - rho))  # (ALS.1)
    d = target @ h + lam * ((1 - rho) * centre - rho)  # (ALS.2)
    return A + cells * H.T @ H, d - cells * explained @ H  # (CELL.3)


def lengths(A):
    """Return √A_ff, and 1 where that is 0."""
    return np.where(np.diag(A) > 0, np.sqrt(np.diag(A)), 1.0)


def pivot(A, d, w):
    """Block principal pivoting (Kim & Park 2011, Algorithm 1); None on a singular system."""
    size = lengths(A)
    support = w * size > 1e-12 * (w * size).max()
    fewest, patience = np.inf, 3
    while True:
        if support.any() and np.linalg.matrix_rank(A[np.ix_(support, support)]) < support.sum():
            return None
        x = np.zeros(len(d))
        x[support] = np.linalg.solve(A[np.ix_(support, support)], d[support])  # (ALS.3)
        gradient = A @ x - d  # (ALS.4)
        wrong = np.where(support, x * size < -1e-12 * (abs(x) * size).max(), gradient < -1e-12 * (A @ abs(x) + abs(d)))
        if not wrong.any():
            return np.where(x * size > 1e-12 * (x * size).max(), x, 0.0)
        if wrong.sum() < fewest:
            fewest, patience = wrong.sum(), 3
        elif patience > 0:
            patience -= 1
        else:
            wrong = np.arange(len(d)) == np.flatnonzero(wrong).max()
        support = support ^ wrong  # (ALS.5)


def descend(A, d, w, sweeps=1000, tolerance=1e-10):
    """Coordinate descent on ½ w·Aw − d·w."""
    w = w.copy()
    for _ in range(sweeps):
        before = w.copy()
        for f in range(len(w)):
            gradient = A[f] @ w - d[f]
            if A[f, f] > 0:
                w[f] = max(0.0, w[f] - gradient / A[f, f])  # (ALS.6)
            elif gradient > 0:
                w[f] = 0.0
        if (lengths(A) * np.abs(w - before)).max() <= tolerance * (lengths(A) * w).max():
            break
    return w


def half_step(R, W, H, lam, rho, centre, frozen, cells=0.0):
    """Return the updated W; R has NaN where nothing was observed; every cell pulls to zero with the weight `cells`."""
    free = [f for f in range(W.shape[1]) if f != frozen]
    explained = np.zeros(len(H)) if frozen is None else H[:, frozen]
    updated = W.copy()
    for u in range(len(W)):
        A, d = normal_equations(R[u], H[:, free], explained, lam[u, free], rho[free], centre[free], cells)
        guess = descend(A, d, W[u, free], sweeps=2)
        solution = pivot(A, d, guess)
        updated[u, free] = descend(A, d, guess) if solution is None else solution
    return updated


def epoch(R, W, H, sides, frozen, cells=0.0):
    """One alternation: users first, then items against the new users."""
    W = half_step(R, W, H, *sides[0], frozen[0], cells)
    H = half_step(R.T, H, W, *sides[1], frozen[1], cells)
    return W, H
