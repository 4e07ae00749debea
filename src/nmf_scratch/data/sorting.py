"""Counting sort, on all cores: how ratings are grouped by user or by item in linear time.

Codes 0 … n_keys − 1 need no comparisons. *Count* how often each key occurs, turn the counts into the places where each
key's run starts, *scatter* every entry to the next free place of its key: O(n + n_keys), against O(n log n), and
stable, so that sorting by two keys is a matter of sorting twice (least significant key first).

In parallel, the entries are cut into chunks. Each chunk counts for itself, and a running sum over (key, chunk) gives
every chunk its own places within each run:

    key        0                1             …
    chunk    0    1    2      0    1    2
    places  |────|────|────| |────|────|────|

No two chunks then write to one place, nothing is locked, and earlier chunks come first. A stable order is unique, so
the result cannot depend on the number of chunks or threads. What is to be grouped (the other id, the rating) is
scattered itself: there is no array of positions (8 bytes per rating), and no gathering through it afterwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from nmf_scratch._jit import kernel, operand, parallel_kernel, parallel_turn

PARALLEL_SORT = 500_000
"""Below this many entries a parallel region costs more than it saves."""

_MAX_CHUNKS = 16  # each counts for itself: 4 bytes per key and chunk
_MAX_INT32 = np.iinfo(np.int32).max

Array = NDArray[Any]


def group(keys: Array, n_keys: int, others: Array, values: Array) -> tuple[NDArray[np.int64], Array, Array]:
    """Sort two columns by integer keys, stably, in O(n + n_keys).

    Parameters
    ----------
    keys : ndarray of int, shape (n,)
        Codes 0 … n_keys − 1.
    n_keys : int
        Number of distinct codes possible.
    others, values : ndarray, shape (n,)
        What is sorted: the other id and the rating.

    Returns
    -------
    indptr : ndarray of int64, shape (n_keys + 1,)
        Where each key's run starts.
    others, values : ndarray, shape (n,)
        The columns in the order of the keys, in new arrays.
    """
    keys, others, values = map(operand, (keys, others, values))
    result = np.empty_like(others), np.empty_like(values)
    with parallel_turn() as may_run_parallel:
        n_chunks = _n_chunks(len(keys), n_keys) if may_run_parallel else 1
        places = _count(keys, n_keys, n_chunks)
        indptr = to_places(places)
        if n_chunks == 1:
            scatter(keys, others, values, places[0], *result)
        else:
            scatter_chunks(keys, others, values, places, *result)
    return indptr, *result


def count(keys: Array, n_keys: int) -> NDArray[np.int64]:
    """Count how often each key 0 … n_keys − 1 occurs, shape (n_keys,), without a copy of the keys."""
    with parallel_turn() as may_run_parallel:
        n_chunks = _n_chunks(len(keys), n_keys) if may_run_parallel else 1
        counts: NDArray[np.int64] = _count(operand(keys), n_keys, n_chunks).sum(axis=0, dtype=np.int64)
    return counts


def is_increasing(major: Array, minor: Array) -> bool:
    """Whether the pairs (major, minor), two columns of shape (n,), ascend with no pair repeated."""
    return bool(pairs_increase(operand(major), operand(minor)))


def _n_chunks(n: int, n_keys: int) -> int:
    """As many chunks as keep the counts smaller than the column of keys, at most `_MAX_CHUNKS`."""
    return 1 if n < PARALLEL_SORT else max(1, min(_MAX_CHUNKS, n // n_keys))


def _count(keys: Array, n_keys: int, n_chunks: int) -> Array:
    """Count keys per chunk, shape (n_chunks, n_keys)."""
    counts = np.zeros((n_chunks, n_keys), dtype=np.int32 if len(keys) <= _MAX_INT32 else np.int64)
    if n_chunks == 1:
        count_keys(keys, counts[0])
    else:
        count_chunks(keys, counts)
    return counts


@kernel
def pairs_increase(major: Array, minor: Array) -> bool:
    """Compare each pair with the one before, up to the first that does not ascend."""
    for n in range(1, len(major)):
        if major[n] < major[n - 1] or (major[n] == major[n - 1] and minor[n] <= minor[n - 1]):
            return False
    return True


@kernel
def count_keys(keys: Array, counts: Array) -> None:
    """Add the number of occurrences of each key to `counts`, shape (n_keys,)."""
    for key in keys:
        counts[key] += 1


@parallel_kernel
def count_chunks(keys: Array, counts: Array) -> None:
    """Count the keys of each chunk in its own row of `counts`, shape (n_chunks, n_keys)."""
    n, n_chunks = len(keys), len(counts)
    for chunk in prange(n_chunks):
        count_keys(keys[n * chunk // n_chunks : n * (chunk + 1) // n_chunks], counts[chunk])


@kernel
def to_places(counts: Array) -> NDArray[np.int64]:
    """Turn counts, shape (n_chunks, n_keys), into first places, in place; return where each key's run starts."""
    n_chunks, n_keys = counts.shape
    indptr = np.zeros(n_keys + 1, dtype=np.int64)
    place = 0
    for key in range(n_keys):
        for chunk in range(n_chunks):
            found = counts[chunk, key]
            counts[chunk, key] = place
            place += found
        indptr[key + 1] = place
    return indptr


@kernel
def scatter(keys: Array, others: Array, values: Array, places: Array, to_others: Array, to_values: Array) -> None:
    """Put each entry into the next free place of its key; `places`, shape (n_keys,), move on."""
    for n in range(len(keys)):
        place = places[keys[n]]
        to_others[place] = others[n]
        to_values[place] = values[n]
        places[keys[n]] = place + 1


@parallel_kernel
def scatter_chunks(
    keys: Array, others: Array, values: Array, places: Array, to_others: Array, to_values: Array
) -> None:
    """Scatter each chunk from its own row of `places`, shape (n_chunks, n_keys): no two chunks share a place."""
    n, n_chunks = len(keys), len(places)
    for chunk in prange(n_chunks):
        first, last = n * chunk // n_chunks, n * (chunk + 1) // n_chunks
        scatter(keys[first:last], others[first:last], values[first:last], places[chunk], to_others, to_values)
