"""Rating metrics: how far predictions are from the ratings that were held out.

Both are in the unit of the ratings (stars). They pool over all pairs; a mean of per-user errors is a different, usually
smaller number, and must not be compared with these.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmf_scratch._check import InputError


def rmse(truth: ArrayLike, predictions: ArrayLike) -> float:
    """Root mean squared error, √(mean (r − r̂)²), in the unit of the ratings; both of shape (n,)."""
    errors = _errors(truth, predictions)
    return float(np.sqrt(np.mean(errors**2)))  # (EV.1)


def mae(truth: ArrayLike, predictions: ArrayLike) -> float:
    """Mean absolute error, mean |r − r̂|, in the unit of the ratings; both of shape (n,)."""
    return float(np.mean(np.abs(_errors(truth, predictions))))  # (EV.2)


def _errors(truth: ArrayLike, predictions: ArrayLike) -> NDArray[np.float64]:
    truth, predictions = np.asarray(truth, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    if truth.shape != predictions.shape or truth.ndim != 1 or truth.size == 0:
        raise InputError(
            f"truth and predictions must be non-empty and of one shape (n,), got {truth.shape} and {predictions.shape}"
        )
    errors: NDArray[np.float64] = truth - predictions
    return errors
