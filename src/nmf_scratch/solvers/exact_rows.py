"""Rows that are exactly best, the other side fixed: for `als`, for new users, and for rows with few ratings.

A row's problem is to minimise ½ w·Aw − d·w over w ≥ 0, with A and d of (ALS.1) and (ALS.2), `nmf_scratch.solvers.als`.
A row is lowest when its gradient Aw − d is nowhere negative, and zero where w is positive. So all there is to find out
is *which* entries are positive. For a guess S, with zeros outside it, linear algebra does the rest:

    A_SS w_S = d_S,   by Cholesky: A_SS = L Lᵀ                                                      (ALS.3)
    g_f = Σ_j∈S A_fj w_j − d_f           for f outside S                                            (ALS.4)
    V = {f in S: w_f < 0} ∪ {f outside S: g_f < 0};   S ← S with the entries of V changed over      (ALS.5)

until V is empty: *block principal pivoting* (Kim & Park 2011, section 3). If V has not shrunk to a new low for a few
rounds, only its last entry changes over, which cannot cycle. The first guess is the support of the row as it is; late
in a run it is right at once.

A_SS is singular when there are fewer ratings than columns and no ridge. Then (ALS.3) has no single solution, the lowest
points fill a line or more, and the row goes downhill from where it is, entry after entry, until nothing moves:

    w_f ← max(0, w_f − g_f / A_ff)       with g kept equal to Aw − d                                (ALS.6)

`als` with `method="descent"` does so for every row, as cmfrec does.

The sums are taken in the dtype of the factors, twice as fast in float32; what they come to is solved in float64: A has
the square of the condition number of the h_i, and (ALS.5) decides by sign. Partners are copied side by side, four
ratings and four rows of A are taken at once, and each number that is fetched is used four times.

Cost: O(n_u · K²) for the sums of a row, O(K³) per guess, O(K²) per sweep of the descent.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from nmf_scratch._jit import LINE, kernel, parallel_kernel, serial
from nmf_scratch.data.ratings import Compressed
from nmf_scratch.problem.factors import NO_COLUMN, Columns
from nmf_scratch.problem.objective import Penalty
from nmf_scratch.solvers.rows import fetch_ahead, gram_of

SINGULAR = 1e-10
"""A Cholesky pivot below this share of its diagonal entry is rounding, not curvature: the matrix counts as singular."""

SINGULAR_IN_FLOAT32 = 1e-5
"""The same for sums in float32."""

ROUNDING = 1e-12
"""Numbers are zero below this share of what they were computed from; else rounding would decide what is positive.

Entries are compared by w_f √A_ff, the length of what they predict: a column may be as small as its partners are large.
"""

PATIENCE = 3
"""Rounds that may pass without fewer wrong signs than ever before, until entries change over one at a time."""

ROUNDS = 500
"""Rounds after which rounding must be to blame (a handful is usual), and descent takes over."""

COPIES = 128
"""Ratings whose partners are copied side by side at once: with 64 columns they fill a first-level cache."""

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


class Method(NamedTuple):
    """How a row is solved.

    Attributes
    ----------
    pivoting : bool
        Whether to try block principal pivoting; where it fails, or without it, coordinate descent follows.
    sweeps : int
        The descent ends after so many sweeps at the latest,
    tolerance : float
        or when no entry moves by more than this share of the largest, as far as predictions go.
    """

    pivoting: bool = True
    sweeps: int = 1000
    tolerance: float = 1e-10


PIVOTING = Method()


class Fixed(NamedTuple):
    """The fixed side, as rows of the other one are solved against it.

    Attributes
    ----------
    latent : ndarray, shape (n_columns, width)
        Its latent columns, with zeros up to a multiple of `LINE`.
    explained : ndarray, shape (n_columns,)
        What the frozen column of the other side predicts for each of its rows.
    cells : ndarray of float64, shape (K, K) or (0, 0)
        What cells that count without a rating add to each row's problem.
    """

    latent: NDArray[Any]
    explained: NDArray[Any]
    cells: NDArray[np.float64]


def fixed(H: NDArray[Any], columns: Columns, unobserved_weight: float) -> Fixed:
    """Lay out the fixed side for rows of the given columns."""
    latent = np.zeros((len(H), -(-columns.n_latent // LINE) * LINE), H.dtype)
    latent[:, : columns.n_latent] = H[:, : columns.n_latent]
    explained = np.zeros(len(H), H.dtype) if columns.frozen == NO_COLUMN else H[:, columns.frozen].copy()
    return Fixed(latent, explained, gram_of(H, unobserved_weight))


def solve(
    view: Compressed,
    X: NDArray[Any],
    partners: Fixed,
    penalty: Penalty,
    columns: Columns,
    *,
    method: Method = PIVOTING,
    spans: NDArray[np.int64] | None = None,
) -> None:
    """Replace each row of X by the non-negative minimiser of its problem.

    Parameters
    ----------
    view : Compressed
        Ratings grouped by the rows of X, in the dtype of the factors.
    X : ndarray, shape (n_rows, K)
        Updated in place but for a frozen column; a row starts from where it is.
    partners : Fixed
    penalty : Penalty
        Of the side of X.
    columns : Columns
        Layout of X.
    method : Method
    spans : ndarray of int64, optional
        Runs of rows for threads to share out, see `nmf_scratch.solvers.rows.even_spans`. Without them all is done on
        the calling thread, which a few rows are not worth more than, nor waiting for a fit in another one.
    """
    singular = SINGULAR if X.dtype == np.float64 else SINGULAR_IN_FLOAT32
    in_float64 = Penalty._make(np.asarray(part, np.float64)[()] for part in penalty)
    options = (method.pivoting, method.sweeps, method.tolerance)
    arguments = (X, *partners, in_float64, columns, singular, options)
    if spans is None:
        solve_rows_here(view, np.array([0, len(X)]), *arguments)
    else:
        solve_rows(view, spans, *arguments)


@parallel_kernel
def solve_rows(
    view: Compressed,
    spans: NDArray[np.int64],
    W: NDArray[Any],
    partners: NDArray[Any],
    explained: NDArray[Any],
    cells: NDArray[np.float64],
    penalty: Penalty,
    columns: Columns,
    singular: float,
    method: tuple[bool, int, float],
) -> None:
    """Replace each row of W by its minimiser; arguments as in `solve`, a fixed side, and when a pivot is rounding."""
    indptr, indices, values, weights = view
    pivoting, sweeps, tolerance = method
    k, width = columns.n_latent, partners.shape[1]
    n_free = k + (columns.free_bias >= 0)
    for span in numba.prange(len(spans) - 1):
        copies = np.zeros((COPIES, width + LINE), partners.dtype)
        sums, totals = np.empty((width + 4, width), partners.dtype), np.empty(2, partners.dtype)
        A, d, w = np.empty((n_free, n_free)), np.empty(n_free), np.empty(n_free)
        for u in range(spans[span], spans[span + 1]):
            observed = slice(indptr[u], indptr[u + 1])
            own = indices[observed], values[observed], weights[observed]
            sum_products(own, partners, explained, copies, sums, totals)
            normal_equations(sums, totals, penalty, u, k, A, d)
            if len(cells):
                add_cells(cells, columns, A, d)
            for f in range(k):
                w[f] = W[u, f]
            if columns.free_bias >= 0:
                w[k] = W[u, columns.free_bias]
            if not (pivoting and pivot(A, d, w, singular)):
                descend(A, d, w, sweeps, tolerance)
            for f in range(k):
                W[u, f] = w[f]
            if columns.free_bias >= 0:
                W[u, columns.free_bias] = w[k]


solve_rows_here = serial(solve_rows)


@kernel
def sum_products(
    own: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    partners: NDArray[Any],
    explained: NDArray[Any],
    copies: NDArray[Any],
    sums: NDArray[Any],
    totals: NDArray[Any],
) -> None:
    """Add up what the ratings of one row contribute to its problem.

    Parameters
    ----------
    own : (items, values, weights), each of shape (n_row,)
        The row's ratings.
    partners : ndarray, shape (n_columns, width)
    explained : ndarray, shape (n_columns,)
    copies : ndarray, shape (COPIES, width + LINE)
        Room for the partners of a chunk of ratings; behind each a one, its target, and zeros: whole cache lines. All
        is multiplied by the root of the rating's weight, so that products have the weight.
    sums : ndarray, shape (width + 4, width)
        Overwritten with copiesᵀ · copies as far as needed: Σ h_if h_ij for j ≤ f, then Σ h_ij, then Σ target h_ij.
    totals : ndarray, shape (2,)
        Overwritten with the sum of the weights, and Σ weight · target.
    """
    items, values, weights = own
    width = partners.shape[1] // LINE * LINE
    sums[:] = 0
    totals[:] = 0
    for first in range(0, len(items), COPIES):
        n = min(COPIES, len(items) - first)
        for p in range(n):
            fetch_ahead(partners, items, first + p)
            item, root = np.uint64(items[first + p]), np.sqrt(weights[first + p])
            for f in range(width):
                copies[p, f] = root * partners[item, f]
            copies[p, width] = root
            copies[p, width + 1] = root * (values[first + p] - explained[item])
            totals[0] += root * copies[p, width]
            totals[1] += root * copies[p, width + 1]
        for p in range(n, (n + 3) // 4 * 4):  # up to a multiple of four
            copies[p, :width] = 0
        for f in range(np.uint64(0), np.uint64(width + 4), np.uint64(4)):
            n_columns = min(np.uint64(width), (f // np.uint64(LINE) + np.uint64(1)) * np.uint64(LINE))
            multiply_four(copies, sums, np.uint64(n), f, n_columns)


@kernel
def multiply_four(copies: NDArray[Any], sums: NDArray[Any], n_ratings: Any, f: Any, n_columns: Any) -> None:
    """Add the products of the first n_ratings copies, four at a time, to rows f … f + 3 of the sums."""
    for p in range(np.uint64(0), n_ratings, np.uint64(4)):
        a0, a1, a2, a3 = copies[p, f], copies[p + 1, f], copies[p + 2, f], copies[p + 3, f]
        b0, b1, b2, b3 = copies[p, f + 1], copies[p + 1, f + 1], copies[p + 2, f + 1], copies[p + 3, f + 1]
        c0, c1, c2, c3 = copies[p, f + 2], copies[p + 1, f + 2], copies[p + 2, f + 2], copies[p + 3, f + 2]
        d0, d1, d2, d3 = copies[p, f + 3], copies[p + 1, f + 3], copies[p + 2, f + 3], copies[p + 3, f + 3]
        for j in range(n_columns):
            h0, h1, h2, h3 = copies[p, j], copies[p + 1, j], copies[p + 2, j], copies[p + 3, j]
            sums[f, j] += a0 * h0 + a1 * h1 + a2 * h2 + a3 * h3  # (ALS.1)
            sums[f + 1, j] += b0 * h0 + b1 * h1 + b2 * h2 + b3 * h3
            sums[f + 2, j] += c0 * h0 + c1 * h1 + c2 * h2 + c3 * h3
            sums[f + 3, j] += d0 * h0 + d1 * h1 + d2 * h2 + d3 * h3


@kernel
def normal_equations(
    sums: NDArray[Any], totals: NDArray[Any], penalty: Penalty, row: int, k: int, A: Matrix, d: Vector
) -> None:
    """Write the row's problem, (ALS.1) and (ALS.2), into A and d: k latent entries, then perhaps the bias."""
    width = sums.shape[1]
    ridge, lasso = penalty.ridge[row], penalty.lasso[row]
    for f in range(k):
        for j in range(f + 1):
            A[f, j] = sums[f, j]
            A[j, f] = sums[f, j]
        A[f, f] += ridge  # (ALS.1)
        d[f] = sums[width + 1, f] - lasso  # (ALS.2)
    if len(d) > k:  # the partner of a bias is one
        for f in range(k):
            A[k, f] = sums[width, f]
            A[f, k] = sums[width, f]
        A[k, k] = totals[0] + penalty.bias_ridge
        d[k] = totals[1] + penalty.bias_ridge * penalty.bias_level


@kernel
def add_cells(cells: Matrix, columns: Columns, A: Matrix, d: Vector) -> None:
    """Add to a row's problem what all cells pull to zero, which is the same for every row."""
    k = columns.n_latent
    for f in range(len(d)):
        row = cells[f if f < k else columns.free_bias]
        for j in range(len(d)):
            A[f, j] += row[j if j < k else columns.free_bias]  # (CELL.3)
        if columns.frozen >= 0:
            d[f] -= row[columns.frozen]  # (CELL.3)


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
        chosen[f] = x[f] * size[f] > ROUNDING * largest


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
            wrong[f] = x[f] * size[f] < -ROUNDING * largest
        else:
            slope = dot(A[f], x, len(d)) - d[f]  # (ALS.4)
            wrong[f] = slope < -ROUNDING * (dot(A[f], magnitude, len(d)) + abs(d[f]))
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
