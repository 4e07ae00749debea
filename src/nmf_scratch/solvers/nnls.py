"""Non-negative least squares for one row: minimise ½ w·Aw − d·w over w ≥ 0 (pivoting: Kim & Park 2011, section 3).

A row w ≥ 0 is lowest when its slope Aw − d is nowhere negative, and zero where w is positive. So all there is to find
out is *which* entries are positive. For a guess S, with zeros outside it, linear algebra does the rest:

    A_SS w_S = d_S,   by Cholesky: A_SS = L Lᵀ                                                      (ALS.3)
    g_f = Σ_j∈S A_fj w_j − d_f           for f outside S                                            (ALS.4)
    V = {f in S: w_f < 0} ∪ {f outside S: g_f < 0};   S ← S with the entries of V changed over      (ALS.5)

until V is empty: *block principal pivoting*. If V has not shrunk to a new low for a few rounds, only its last entry
changes over, which cannot cycle. The first guess is the support of the row as it is; late in a run it is right at once.

A_SS is singular when there are fewer ratings than columns and no ridge. Then (ALS.3) has no single solution, the lowest
points fill a line or more, and the row goes downhill from where it is, entry after entry, until nothing moves:

    w_f ← max(0, w_f − g_f / A_ff)       with g kept equal to Aw − d                                (ALS.6)

`als` with `method="descent"` does so for every row, as cmfrec does.

Cost: O(K³) per guess, O(K²) per sweep of the descent. Everything is in float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._jit import kernel

SINGULAR = 1e-10
"""A Cholesky pivot below this share of its diagonal entry is rounding, not curvature: the matrix counts as singular."""

SLACK = 1e-12
"""Numbers are zero below this share of what they were computed from; else rounding would decide what is positive.

Entries are compared by w_f √A_ff, the length of what they predict: a column may be as small as its partners are large.
"""

PATIENCE = 3
"""Rounds that may pass without fewer wrong signs than ever before, until entries change over one at a time."""

ROUNDS = 500
"""Rounds after which rounding must be to blame (a handful is usual), and descent takes over."""

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@kernel
def pivot(A: Matrix, d: Vector, w: Vector, singular: float = SINGULAR) -> bool:
    """Move w to the minimiser by block principal pivoting; on a singular system leave it alone and return False."""
    size = lengths(A)
    chosen = np.zeros(len(d), dtype=np.bool_)  # S
    choose_positive(w, size, chosen)
    x, L, wrong = np.zeros_like(d), np.empty_like(A), np.zeros(len(d), dtype=np.bool_)
    fewest, patience = len(d) + 1, PATIENCE
    for _ in range(ROUNDS):
        if not solve_on(chosen, A, d, x, L, singular):
            return False
        n_wrong = wrong_signs(chosen, A, d, x, size, wrong)  # V
        if n_wrong == 0:
            choose_positive(x, size, chosen)
            for f in range(len(d)):
                w[f] = x[f] if chosen[f] else 0.0
            return True
        if n_wrong < fewest:
            fewest, patience = n_wrong, PATIENCE
        elif patience > 0:
            patience -= 1
        else:
            keep_last(wrong)
        for f in range(len(d)):
            chosen[f] = chosen[f] != wrong[f]  # (ALS.5)
    return False


@kernel
def choose_positive(x: Vector, size: Vector, chosen: NDArray[np.bool_]) -> None:
    """Mark the entries that are positive by more than rounding."""
    largest = x[0] * size[0]
    for f in range(1, len(x)):
        largest = max(largest, x[f] * size[f])
    for f in range(len(x)):
        chosen[f] = x[f] * size[f] > SLACK * largest


@kernel
def keep_last(marks: NDArray[np.bool_]) -> None:
    """Take away every mark but the last."""
    found = False
    for f in range(len(marks) - 1, -1, -1):
        marks[f], found = marks[f] and not found, found or marks[f]


@kernel
def solve_on(chosen: NDArray[np.bool_], A: Matrix, d: Vector, x: Vector, L: Matrix, singular: float) -> bool:
    """Solve (ALS.3) on the chosen entries, zero elsewhere, with L for scratch; return False if it is singular."""
    members, n_members = np.empty(len(d), np.int64), 0
    for f in range(len(d)):
        x[f] = 0.0
        if chosen[f]:
            members[n_members] = f
            n_members += 1
    solution, inverse = np.empty(n_members), np.empty(n_members)  # inverse: of the diagonal of L
    for a in range(n_members):
        f = members[a]
        for b in range(a):
            total = A[f, members[b]]
            for c in range(b):
                total -= L[a, c] * L[b, c]
            L[a, b] = total * inverse[b]  # (ALS.3)
        square, right = A[f, f], d[f]
        for c in range(a):
            square -= L[a, c] * L[a, c]
            right -= L[a, c] * solution[c]
        if square <= singular * A[f, f]:
            return False
        inverse[a] = 1 / np.sqrt(square)  # (ALS.3)
        solution[a] = right * inverse[a]  # forwards
    for a in range(n_members - 1, -1, -1):  # backwards
        solution[a] *= inverse[a]
        for b in range(a):
            solution[b] -= L[a, b] * solution[a]
        x[members[a]] = solution[a]
    return True


@kernel
def dot(x: Vector, y: Vector, n: int) -> float:
    """Return the product of the first n entries."""
    total = 0.0
    for f in range(n):
        total += x[f] * y[f]
    return total


@kernel
def lengths(A: Matrix) -> Vector:
    """Return √A_ff, and 1 for a column without any effect."""
    size = np.empty(len(A))
    for f in range(len(A)):
        size[f] = np.sqrt(A[f, f]) if A[f, f] != 0 else 1.0
    return size


@kernel
def wrong_signs(
    chosen: NDArray[np.bool_], A: Matrix, d: Vector, x: Vector, size: Vector, wrong: NDArray[np.bool_]
) -> int:
    """Mark V: chosen entries that are negative, and others with a negative gradient; rounding counts as zero.

    Returns how many they are.
    """
    magnitude, largest, n_wrong = np.empty_like(x), 0.0, 0
    for f in range(len(d)):
        magnitude[f] = abs(x[f])
        largest = max(largest, magnitude[f] * size[f])
    for f in range(len(d)):
        if chosen[f]:
            wrong[f] = x[f] * size[f] < -SLACK * largest
        else:
            slope = dot(A[f], x, len(d)) - d[f]  # (ALS.4)
            wrong[f] = slope < -SLACK * (dot(A[f], magnitude, len(d)) + abs(d[f]))
        n_wrong += wrong[f]
    return n_wrong


@kernel
def descend(A: Matrix, d: Vector, w: Vector, sweeps: int, tolerance: float) -> None:
    """Lower one entry of w after the other to the bottom of its parabola, sweep after sweep, until nothing moves."""
    slope, size = np.empty_like(d), lengths(A)
    for f in range(len(d)):
        slope[f] = dot(A[f], w, len(d)) - d[f]
    for _ in range(sweeps):
        moved, largest = 0.0, 0.0
        for f in range(len(d)):
            lowest = 0.0 if slope[f] > 0 else w[f]  # of a straight line
            if A[f, f] > 0:
                lowest = max(0.0, w[f] - slope[f] / A[f, f])  # (ALS.6)
            move, w[f] = lowest - w[f], lowest
            for j in range(len(d)):
                slope[j] += move * A[f, j]
            moved, largest = max(moved, size[f] * abs(move)), max(largest, size[f] * w[f])
        if moved <= tolerance * largest:
            return
