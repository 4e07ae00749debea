"""Rows that are exactly best, the other side fixed: for `als`, for new users, and for rows with few ratings.

A row's problem is to minimise ½ w·Aw − d·w over w ≥ 0, with A and d of (ALS.1) and (ALS.2), `nmf_scratch.solvers.als`.
A row is lowest when its gradient Aw − d is nowhere negative, and zero where w is positive. So all there is to find out
is *which* entries are positive. For a guess S, with zeros outside it, linear algebra does the rest:

    A_SS w_S = d_S,   by Cholesky: A_SS = L Lᵀ                                                      (ALS.3)
    g_f = Σ_j∈S A_fj w_j − d_f           for f outside S                                            (ALS.4)
    V = {f in S: w_f < 0} ∪ {f outside S: g_f < 0};   S ← S with the entries of V changed over      (ALS.5)

until V is empty: *block principal pivoting* (Kim & Park 2011, section 3). If V has not shrunk to a new low for a few
rounds, only its last entry changes over, which cannot cycle. The first guess is the support of the row as it is after
two sweeps of (ALS.6), which cost less than the round or two that they save; late in a run it is right at once.

A_SS is singular when there are fewer ratings than columns and no ridge. Then (ALS.3) has no single solution, the lowest
points fill a line or more, and the row goes downhill from where it is, entry after entry, until nothing moves:

    w_f ← max(0, w_f − g_f / A_ff)       with g kept equal to Aw − d                                (ALS.6)

`als` with `method="descent"` does so for every row, as cmfrec does.

The sums are taken in the dtype of the factors, twice as fast in float32; what they come to is solved in float64: A has
the square of the condition number of the h_i, and (ALS.5) decides by sign. Partners are copied side by side, a column
for each rating, so that every sum is a product of two rows in memory. Three by three of them are taken at once: each
number that is fetched is used three times, and nothing is stored until the end. (Sums that are stored as they grow
would have to be told apart from the copies, by the compiler's checks, each time that a short loop begins.)

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
from nmf_scratch.solvers.rows import AHEAD, fetch_ahead, gram_of

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

GUESSING_SWEEPS = 2
"""Sweeps of the descent before the first guess."""

COPIES = 96
"""Ratings whose partners are copied side by side at once: with 64 columns they fill a first-level cache."""

TILE = 3
"""Rows and columns of the sums that are added up at once: nine of them, and six numbers, fit into sixteen registers."""

LANES = 8
"""Numbers of float32 in a register of 256 bits: chunks of ratings are filled up with zeros to a multiple of it."""

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
    latent : ndarray, shape (n_columns, K)
        Its latent columns.
    explained : ndarray, shape (n_columns,)
        What the frozen column of the other side predicts for each of its rows.
    cells_A, cells_d : ndarray of float64, shapes (n_free, n_free) and (n_free,)
        What cells that count without a rating add to each row's A and d; zero where they do not count.
    """

    latent: NDArray[Any]
    explained: NDArray[Any]
    cells_A: NDArray[np.float64]
    cells_d: NDArray[np.float64]


def fixed(H: NDArray[Any], columns: Columns, unobserved_weight: float) -> Fixed:
    """Lay out the fixed side for rows of the given columns."""
    free = [*range(columns.n_latent), *([columns.free_bias] if columns.free_bias >= 0 else [])]
    has_frozen = columns.frozen != NO_COLUMN
    explained = H[:, columns.frozen].copy() if has_frozen else np.zeros(len(H), H.dtype)
    cells_A, cells_d = np.zeros((len(free), len(free))), np.zeros(len(free))
    if unobserved_weight:
        gram = gram_of(H, unobserved_weight)
        cells_A = gram[np.ix_(free, free)]  # (CELL.3)
        cells_d = -gram[free, columns.frozen] if has_frozen else cells_d  # (CELL.3)
    return Fixed(np.ascontiguousarray(H[:, : columns.n_latent]), explained, cells_A, cells_d)


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
    arguments = (X, partners, in_float64, columns, singular, options)
    if spans is None:
        solve_rows_here(view, np.array([0, len(X)]), *arguments)
    else:
        solve_rows(view, spans, *arguments)


@parallel_kernel
def solve_rows(
    view: Compressed,
    spans: NDArray[np.int64],
    W: NDArray[Any],
    partners: Fixed,
    penalty: Penalty,
    columns: Columns,
    singular: float,
    method: tuple[bool, int, float],
) -> None:
    """Replace each row of W by its minimiser; arguments as in `solve`, a fixed side, and when a pivot is rounding."""
    latent, explained, cells_A, cells_d = partners
    pivoting, sweeps, tolerance = method
    k, n_free = columns.n_latent, len(cells_d)
    n_rows = -(-(k + 2) // TILE) * TILE
    for span in numba.prange(len(spans) - 1):
        copies, sums = np.zeros((n_rows, COPIES + LINE), latent.dtype), np.empty((n_rows, n_rows), latent.dtype)
        rows = np.empty(COPIES, np.uint64)
        A, d, w = np.empty((n_free, n_free)), np.empty(n_free), np.empty(n_free)
        for u in range(spans[span], spans[span + 1]):
            sum_products(view, u, latent, explained, rows, copies, sums)
            normal_equations(sums, cells_A, cells_d, penalty, u, k, A, d)
            for f in range(k):
                w[f] = W[u, f]
            if n_free > k:
                w[k] = W[u, columns.free_bias]
            if pivoting:
                descend(A, d, w, GUESSING_SWEEPS, tolerance)
            if not (pivoting and pivot(A, d, w, singular)):
                descend(A, d, w, sweeps, tolerance)
            for f in range(k):
                W[u, f] = w[f]
            if n_free > k:
                W[u, columns.free_bias] = w[k]


solve_rows_here = serial(solve_rows)


@kernel
def sum_products(
    view: Compressed,
    row: int,
    partners: NDArray[Any],
    explained: NDArray[Any],
    rows: NDArray[np.uint64],
    copies: NDArray[Any],
    sums: NDArray[Any],
) -> None:
    """Add up what the ratings of one row contribute to its problem.

    Parameters
    ----------
    view : Compressed
        Ratings of all rows,
    row : int
        and the row in question.
    partners : ndarray, shape (n_columns, K)
    explained : ndarray, shape (n_columns,)
    rows : ndarray of uint64, shape (COPIES,)
        Room for the partners' rows of a chunk of ratings.
    copies : ndarray, shape (K + 2 up to a multiple of `TILE`, COPIES + LINE)
        Room for a chunk of ratings, a column for each: its partner, a one, its target. All is multiplied by the root
        of the rating's weight, so that products have the weight. Wider than need be, as rows that begin at multiples
        of a power of two would displace one another in the cache.
    sums : ndarray, as many rows and columns as copies has rows
        Overwritten with copies · copiesᵀ on and below the diagonal: Σ h_if h_ij; then Σ h_ij with the sum of the
        weights behind it; then Σ target h_ij, and Σ target.
    """
    indptr, items, values, weights = view
    k, share = partners.shape[1], COPIES * TILE // len(sums) + 1
    sums[:] = 0
    for first in range(indptr[row], indptr[row + 1], COPIES):
        n = min(COPIES, indptr[row + 1] - first)
        n_lanes = (n + LANES - 1) // LANES * LANES
        for p in range(n_lanes):
            place = first + min(p, n - 1)
            rows[p] = items[place]
            copies[k, p] = np.sqrt(weights[place]) if p < n else 0
            copies[k + 1, p] = copies[k, p] * (values[place] - explained[rows[p]])
        for p in range(0, n_lanes, 4):  # four columns at once: a row of copies takes a piece of a cache line
            a, b, c, d = rows[p], rows[p + 1], rows[p + 2], rows[p + 3]
            root_a, root_b, root_c, root_d = copies[k, p], copies[k, p + 1], copies[k, p + 2], copies[k, p + 3]
            for f in range(k):
                copies[f, p], copies[f, p + 1] = root_a * partners[a, f], root_b * partners[b, f]
                copies[f, p + 2], copies[f, p + 3] = root_c * partners[c, f], root_d * partners[d, f]
        for f in range(np.uint64(0), np.uint64(len(sums)), np.uint64(TILE)):
            for p in range(share):  # for the next chunk, be it of this row or of the next one
                fetch_ahead(partners, items, first + n - AHEAD + np.int64(f) // TILE * share + p)
            for j in range(np.uint64(0), f + np.uint64(TILE), np.uint64(TILE)):
                multiply_three(copies, np.uint64(n_lanes), f, j, sums)


@kernel
def multiply_three(copies: NDArray[Any], n: Any, f: Any, j: Any, sums: NDArray[Any]) -> None:
    """Add the products of rows f … f + 2 of the copies with rows j … j + 2, n numbers long, to the sums."""
    zero = copies.dtype.type(0)
    aa, ab, ac, ba, bb, bc, ca, cb, cc = zero, zero, zero, zero, zero, zero, zero, zero, zero
    for p in range(n):
        a, b, c = copies[f, p], copies[f + 1, p], copies[f + 2, p]
        h_a, h_b, h_c = copies[j, p], copies[j + 1, p], copies[j + 2, p]
        aa, ab, ac = aa + a * h_a, ab + a * h_b, ac + a * h_c  # (ALS.1)
        ba, bb, bc = ba + b * h_a, bb + b * h_b, bc + b * h_c
        ca, cb, cc = ca + c * h_a, cb + c * h_b, cc + c * h_c
    sums[f, j], sums[f, j + 1], sums[f, j + 2] = sums[f, j] + aa, sums[f, j + 1] + ab, sums[f, j + 2] + ac
    f += np.uint64(1)
    sums[f, j], sums[f, j + 1], sums[f, j + 2] = sums[f, j] + ba, sums[f, j + 1] + bb, sums[f, j + 2] + bc
    f += np.uint64(1)
    sums[f, j], sums[f, j + 1], sums[f, j + 2] = sums[f, j] + ca, sums[f, j + 1] + cb, sums[f, j + 2] + cc


@kernel
def normal_equations(
    sums: NDArray[Any], cells_A: Matrix, cells_d: Vector, penalty: Penalty, row: int, k: int, A: Matrix, d: Vector
) -> None:
    """Write the row's problem, (ALS.1) and (ALS.2) with (CELL.3), into A and d: k latent entries, perhaps a bias."""
    ridge, lasso = penalty.ridge[row], penalty.lasso[row]
    for f in range(len(d)):
        for j in range(f + 1):
            A[f, j] = sums[f, j] + cells_A[f, j]  # (CELL.3)
        d[f] = sums[k + 1, f] + cells_d[f]  # (CELL.3)
    for f in range(k):
        A[f, f] += ridge  # (ALS.1)
        d[f] -= lasso  # (ALS.2)
    if len(d) > k:  # the partner of a bias is one
        A[k, k] += penalty.bias_ridge
        d[k] += penalty.bias_ridge * penalty.bias_level
    for f in range(len(d)):
        for j in range(f):
            A[j, f] = A[f, j]


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
            gradient = dot(A[f], x, len(d)) - d[f]  # (ALS.4)
            wrong[f] = gradient < 0 and gradient < -ROUNDING * (dot(A[f], magnitude, len(d)) + abs(d[f]))
        n_wrong += wrong[f]
    return n_wrong


@kernel
def descend(A: Matrix, d: Vector, w: Vector, sweeps: int, tolerance: float) -> None:
    """Lower one entry of w after the other to the bottom of its parabola, sweep after sweep, until nothing moves."""
    gradient, size = np.empty_like(d), lengths(A)
    for f in range(len(d)):
        gradient[f] = dot(A[f], w, len(d)) - d[f]
    for _ in range(sweeps):
        moved, largest = 0.0, 0.0
        for f in range(len(d)):
            lowest = 0.0 if gradient[f] > 0 else w[f]  # of a straight line
            if A[f, f] > 0:
                lowest = max(0.0, w[f] - gradient[f] / A[f, f])  # (ALS.6)
            move, w[f] = lowest - w[f], lowest
            for j in range(len(d)):
                gradient[j] += move * A[f, j]
            moved, largest = max(moved, size[f] * abs(move)), max(largest, size[f] * w[f])
        if moved <= tolerance * largest:
            return
