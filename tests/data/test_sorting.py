import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmf_scratch._jit import parallel_turn, threads
from nmf_scratch.data import sorting
from nmf_scratch.data.sorting import count, group, is_increasing

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12)


def columns(keys):
    """Return two columns that tell every entry from every other."""
    return np.arange(len(keys), dtype=np.int32), np.arange(len(keys), dtype=np.float32) / 2


def check(keys, n_keys):
    order = np.argsort(keys, kind="stable")
    indptr, others, values = group(keys, n_keys, *columns(keys))
    np.testing.assert_array_equal(others, order)
    np.testing.assert_array_equal(values, order / 2)
    np.testing.assert_array_equal(np.diff(indptr), np.bincount(keys, minlength=n_keys))
    np.testing.assert_array_equal(count(keys, n_keys), np.diff(indptr))
    assert indptr.dtype == count(keys, n_keys).dtype == np.int64


@given(st.lists(st.integers(0, 9), max_size=60))
def test_grouping_is_a_stable_sort(keys):
    check(np.array(keys, dtype=np.int32), 10)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 16))
def test_any_number_of_chunks_gives_the_same(keys, n_chunks):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "_n_chunks", lambda n, n_keys: n_chunks)
        check(np.array(keys, dtype=np.int32), 4)


@pytest.mark.parametrize("n_threads", [1, 2, None])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_large_columns_are_grouped_in_parallel_whatever_the_threads(monkeypatch, n_threads, dtype):
    calls = []
    genuine = sorting.scatter_chunks
    monkeypatch.setattr(sorting, "PARALLEL_SORT", 1000)
    monkeypatch.setattr(sorting, "scatter_chunks", lambda *args: calls.append(len(args[3])) or genuine(*args))
    keys = (np.arange(5000) * 7919 % 300).astype(dtype)
    with threads(n_threads):
        check(keys, 300)
    assert calls == [16]


def test_chunks_never_count_in_more_memory_than_the_keys_take():
    n = sorting.PARALLEL_SORT
    assert sorting._n_chunks(n - 1, 1) == 1
    assert sorting._n_chunks(n, 1) == 16
    assert sorting._n_chunks(n, n // 3) == 3
    assert sorting._n_chunks(n, 2 * n) == 1


@pytest.mark.compiled
def test_two_threads_never_meet_in_parallel_kernels(monkeypatch):
    """Numba's workqueue layer aborts the process when they do."""
    monkeypatch.setattr(sorting, "PARALLEL_SORT", 1000)
    keys = (np.arange(200_000) * 7919 % 300).astype(np.int32)
    expected = group(keys, 300, *columns(keys))[1]
    results = [None] * 4

    def work(place):
        results[place] = [group(keys, 300, *columns(keys))[1] for _ in range(20)]

    workers = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all((found == expected).all() for result in results for found in result)


def test_while_a_fit_runs_elsewhere_the_serial_way_is_taken():
    seen = []

    def ask():
        with parallel_turn() as may_run_parallel:
            seen.append(may_run_parallel)

    with threads(1):
        other = threading.Thread(target=ask)
        other.start()
        other.join()
        ask()
    ask()
    assert seen == [False, True, True]


@given(PAIRS)
def test_increasing_means_sorted_without_repeats(pairs):
    major, minor = np.array(pairs, dtype=np.int32).T.copy()
    assert is_increasing(major, minor) == (pairs == sorted(set(pairs)))
