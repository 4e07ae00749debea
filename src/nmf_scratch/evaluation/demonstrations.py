"""Two problems small enough to be watched: what solvers do, step by step.

*Two numbers.* One user with two factors, five ratings, H fixed: minimise over w ≥ 0 the convex function

    f(w) = ½ ‖r − H w‖²,       gradient  Hᵀ(H w − r)

whose lowest point lies where w₂ would be negative, so the best allowed one is on the edge, w₂ = 0. Each solver stands
here in its shortest form: multiplicative updates (MU.4) slow down before the edge and never reach it, projected
stochastic gradient descent (SGD.3) steps over it and is put back, coordinate descent (CD.3) goes along the axes, the
exact solve (ALS.3) is there in one step.

*A small table.* Planted factors, most cells unknown: how W Hᵀ fills in what was never seen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import check_number
from nmf_scratch._random import generator
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.history import EpochRecord
from nmf_scratch.problem.factors import Factors, scaled_start
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers import SOLVERS
from nmf_scratch.training import Monitor, Stopping, fit_factors

Matrix = NDArray[np.float64]

H = np.array([[1.0, 0.2], [0.8, 0.9], [0.3, 1.0], [1.1, 0.6], [0.5, 0.4]])
R = np.array([2.3, 1.3, 0.1, 2.2, 0.9])
START = np.array([0.6, 2.2])
STEP = 0.35
"""Of stochastic gradient descent, at first; it falls with the epochs, as 1 / √t."""

_ORDER, _TRUTH, _KNOWN, _NOISE = range(4)
_KEY = 19990828


class Path(NamedTuple):
    """The way of a solver through the plane.

    Attributes
    ----------
    epochs : ndarray, shape (n_moves + 1,)
        When each point is reached; moves within an epoch have fractions.
    points : ndarray, shape (n_moves + 1, 2)
        Where.
    """

    epochs: Matrix
    points: Matrix


def value(w: Matrix) -> Matrix:
    """Return the objective at points of shape (…, 2)."""
    return np.asarray(0.5 * ((R - w @ H.T) ** 2).sum(axis=-1))


def minimum() -> Matrix:
    """Return the best allowed point: the best of the four that a support each leads to (ALS.3), shape (2,)."""
    found = [_on_support(support) for support in ([], [0], [1], [0, 1])]
    return min((point for point in found if (point >= 0).all()), key=lambda point: float(value(point)))


def _on_support(support: list[int]) -> Matrix:
    point = np.zeros(2)
    point[support] = np.linalg.lstsq(H[:, support], R, rcond=None)[0]
    return point


def paths(n_epochs: int = 8) -> dict[str, Path]:
    """Return the ways of four solvers from one start.

    Parameters
    ----------
    n_epochs : int
        An epoch looks at every rating once; of the exact solve, it is one solve.

    Returns
    -------
    dict of str to Path
        For mu, sgd, cd and als: two numbers, unlike in the solvers themselves nothing else is updated.
    """
    check_number("n_epochs", n_epochs, minimum=1, integer=True)
    moves = {"mu": _mu, "sgd": _sgd, "cd": _cd, "als": _als}
    found = {}
    for name, epoch in moves.items():
        points = [START]
        for number in range(n_epochs):
            points += epoch(points[-1], number)
        found[name] = Path(np.linspace(0, n_epochs, len(points)), np.array(points))
    return found


def _mu(w: Matrix, epoch: int) -> list[Matrix]:
    return [w * (H.T @ R) / (H.T @ (H @ w))]


def _sgd(w: Matrix, epoch: int) -> list[Matrix]:
    step, points = STEP / np.sqrt(epoch + 1), []
    for i in generator(_KEY, _ORDER, epoch).permutation(len(R)):
        w = np.maximum(0, w + step * (R[i] - H[i] @ w) * H[i])
        points.append(w)
    return points


def _cd(w: Matrix, epoch: int) -> list[Matrix]:
    points = []
    for f in range(2):
        w = w.copy()
        w[f] = max(0.0, w[f] + H[:, f] @ (R - H @ w) / (H[:, f] @ H[:, f]))
        points.append(w)
    return points


def _als(w: Matrix, epoch: int) -> list[Matrix]:
    return [minimum()]


class Reconstruction(NamedTuple):
    """A table with gaps, and what a model makes of it, epoch by epoch.

    Attributes
    ----------
    truth, known : ndarray, shape (n_users, n_items)
        The planted table; the ratings that were given, NaN where there is none.
    predictions : ndarray, shape (n_epochs + 1, n_users, n_items)
        W Hᵀ, from the start on.
    known_rmse, hidden_rmse : ndarray, shape (n_epochs + 1,)
        Errors on the ratings that were given, and against the truth on the others.
    solver : str
        That fitted it.
    """

    truth: Matrix
    known: Matrix
    predictions: Matrix
    known_rmse: Matrix
    hidden_rmse: Matrix
    solver: str


def reconstruct(solver: str = "cd", n_epochs: int = 20, *, n_users: int = 24, n_items: int = 32) -> Reconstruction:
    """Fit three planted factors to a table of which four cells in ten are known, and keep every epoch.

    Parameters
    ----------
    solver : str
        A name in `nmf_scratch.solvers.SOLVERS`.
    n_epochs : int
        Epochs to run.
    n_users, n_items : int
        Shape of the table.

    Returns
    -------
    Reconstruction
    """
    truth = _planted(n_users, n_items)
    unknown = generator(_KEY, _KNOWN).random(truth.shape) > 0.4
    noisy = truth + 0.3 * generator(_KEY, _NOISE).standard_normal(truth.shape)
    known = np.where(unknown, np.nan, np.clip(noisy, 0.5, 5.0))
    train = Ratings.from_dense(known)
    kept: list[Matrix] = []

    def look(record: EpochRecord, factors: Factors) -> None:
        kept.append(factors.W @ factors.H.T)

    start = scaled_start(train, 3, biases=False, dtype="float64", key=0)
    objective, monitor = Objective(alpha=(0.05, 0.05)), Monitor(callbacks=(look,))
    fit_factors(train, start, SOLVERS[solver](), objective, Stopping(n_epochs), monitor=monitor)
    predictions = np.array(kept)
    errors = [np.where(mask, (predictions - table) ** 2, 0).sum(axis=(1, 2)) / mask.sum()
              for mask, table in ((~unknown, np.nan_to_num(known)), (unknown, truth))]  # fmt: skip
    return Reconstruction(truth, known, predictions, np.sqrt(errors[0]), np.sqrt(errors[1]), solver)


def _planted(n_users: int, n_items: int) -> Matrix:
    """Return a table of three factors: each user and each item has mostly one of them, and they stand side by side."""
    rng = generator(_KEY, _TRUTH)
    sides = []
    for n in (n_users, n_items):
        own = np.arange(n) * 3 // n
        sides.append(rng.uniform(0.2, 0.7, (n, 3)) + 1.5 * (own[:, None] == np.arange(3)))
    return np.asarray(np.clip(sides[0] @ sides[1].T, 0.5, 5.0))
