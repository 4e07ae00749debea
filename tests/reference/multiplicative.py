"""Multiplicative updates, one line per equation.

The kernel: src/nmf_scratch/solvers/multiplicative.py.
"""

import numpy as np


def half_step(R, W, H, lam, rho, centre, frozen, beta=2.0, power=1.0):
    """Return the updated W; R has NaN where nothing was observed, and one exponent per column."""
    observed = ~np.isnan(R)
    prediction = np.where(observed, W @ H.T, 1.0)  # (MU.1)
    numerator = np.where(observed, R * prediction ** (beta - 2), 0.0) @ H + lam * (1 - rho) * centre  # (MU.2)
    denominator = np.where(observed, prediction ** (beta - 1), 0.0) @ H + lam * ((1 - rho) * W + rho)  # (MU.3)
    ratio = numerator / np.where(denominator > 0, denominator, 1.0)
    updated = np.where(denominator > 0, W * ratio**power, W)  # (MU.4)
    if frozen is not None:
        updated[:, frozen] = W[:, frozen]
    return updated


def exponent(lam, rho, beta):
    """Return the exponent of every column: smaller where the column has a ridge."""
    has_ridge = (lam * (1 - rho) > 0).any(axis=0)
    return np.where(has_ridge, 1 / (3 - beta), 1.0 if beta >= 1 else 1 / (2 - beta))


def epoch(R, W, H, sides, frozen, beta=2.0):
    """One alternation: users first, then items against the new users."""
    powers = [exponent(lam, rho, beta) for lam, rho, _ in sides]
    W = half_step(R, W, H, *sides[0], frozen[0], beta, powers[0])
    H = half_step(R.T, H, W, *sides[1], frozen[1], beta, powers[1])
    return W, H
