"""Multiplicative updates, one line per equation."""

import numpy as np


def half_step(R, W, H, lam, rho, centre, frozen):
    """Return the updated W; R has NaN where nothing was observed."""
    observed = ~np.isnan(R)
    prediction = np.where(observed, W @ H.T, 0.0)  # (MU.1)
    numerator = np.where(observed, R, 0.0) @ H + lam * (1 - rho) * centre  # (MU.2)
    denominator = prediction @ H + lam * ((1 - rho) * W + rho)  # (MU.3)
    updated = np.where(denominator > 0, W * numerator / np.where(denominator > 0, denominator, 1.0), W)  # (MU.4)
    if frozen is not None:
        updated[:, frozen] = W[:, frozen]
    return updated


def epoch(R, W, H, sides, frozen):
    """One alternation: users first, then items against the new users."""
    W = half_step(R, W, H, *sides[0], frozen[0])
    H = half_step(R.T, H, W, *sides[1], frozen[1])
    return W, H
