import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import dense, small_ratings
from scipy import sparse

from nmf_scratch import InputError, Ratings

TRIPLES = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 4), st.sampled_from([0.0, 0.5, 1.0, 4.5])),
    min_size=1,
    max_size=40,
    unique_by=lambda triple: triple[:2],
)


@given(TRIPLES, st.randoms())
def test_canonical_order_is_free_of_the_order_given(triples, random):
    shuffled = random.sample(triples, len(triples))
    first, second = (Ratings.from_arrays(*zip(*rows, strict=True)) for rows in (triples, shuffled))
    for name in ("users", "items", "values"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert list(zip(first.users.tolist(), first.items.tolist(), first.values.tolist(), strict=True)) == sorted(triples)


@given(TRIPLES)
def test_both_views_hold_the_same_matrix(triples):
    ratings = Ratings.from_arrays(*zip(*triples, strict=True), n_users=8, n_items=6)
    indptr, indices, values, _ = ratings.by_user
    by_user = sparse.csr_array((values, indices, indptr), shape=ratings.shape).toarray()
    indptr, indices, values, _ = ratings.by_item
    by_item = sparse.csc_array((values, indices, indptr), shape=ratings.shape).toarray()
    expected = np.zeros(ratings.shape)
    for user, item, value in triples:
        expected[user, item] = value
    np.testing.assert_array_equal(by_user, expected)
    np.testing.assert_array_equal(by_item, expected)
    np.testing.assert_array_equal(np.diff(ratings.by_item.indptr), ratings.item_counts)
    np.testing.assert_array_equal(np.diff(ratings.by_user.indptr), ratings.user_counts)


def test_views_are_sorted_within_rows_and_read_only():
    ratings = small_ratings(1)
    for view in (ratings.by_user, ratings.by_item):
        for row in range(len(view.indptr) - 1):
            assert (np.diff(view.indices[view.indptr[row] : view.indptr[row + 1]]) > 0).all()
        for array in view:
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1


def test_the_last_of_repeated_pairs_wins_and_is_reported():
    with pytest.warns(UserWarning, match=r"2 repeated \(user, item\) pairs: the last rating of each was kept"):
        ratings = Ratings.from_arrays([0, 1, 0, 0], [2, 0, 2, 2], [1.0, 3.0, 5.0, 2.0])
    assert ratings.values.tolist() == [2.0, 3.0]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_the_arrays_of_the_caller_stay_the_callers(dtype):
    users, items, values = np.array([0, 0, 1], dtype), np.array([0, 2, 1], dtype), np.ones(3, np.float32)
    ratings = Ratings.from_arrays(users, items, values)
    for array in (users, items, values):
        array[:] = 7
    assert ratings.users.tolist() == [0, 0, 1]
    assert ratings.values.tolist() == [1.0, 1.0, 1.0]


def test_sorted_arrays_can_be_handed_over():
    users, items, values = np.array([0, 0, 1], np.int32), np.array([0, 2, 1], np.int32), np.ones(3, np.float32)
    ratings = Ratings.from_arrays(users, items, values, copy=False)
    pairs = [(ratings.users, users), (ratings.items, items), (ratings.values, values)]
    assert all(np.shares_memory(kept, given) for kept, given in pairs)


def test_what_is_sorted_is_not_sorted_again(monkeypatch):
    monkeypatch.setattr("nmf_scratch.data.ratings.group", None)
    assert len(Ratings.from_arrays([0, 0, 1], [0, 2, 1], [1.0, 2.0, 3.0])) == 3
    with pytest.raises(TypeError):
        Ratings.from_arrays([0, 0, 1], [2, 0, 1], [1.0, 2.0, 3.0])


def test_transpose_swaps_the_roles():
    ratings = small_ratings(2)
    np.testing.assert_array_equal(dense(ratings.T), dense(ratings).T)
    np.testing.assert_array_equal(dense(ratings.T.T), dense(ratings))


def test_take_keeps_the_shape_and_the_canonical_order():
    ratings = small_ratings(3)
    kept = ratings.take([7, 2, 5])
    assert kept.shape == ratings.shape
    np.testing.assert_array_equal(kept.values, ratings.values[[2, 5, 7]])


def test_sparse_and_dense_sources_agree_and_stored_zeros_are_ratings():
    ratings = Ratings.from_dense([[np.nan, 0.0, 3.0], [1.0, np.nan, np.nan]])
    assert len(ratings) == 3
    stored = sparse.coo_array(([0.0, 3.0, 1.0], ([0, 0, 1], [1, 2, 0])), shape=(2, 3))
    again = Ratings.from_sparse(stored)
    np.testing.assert_array_equal(dense(again), dense(ratings))
    np.testing.assert_array_equal(ratings.to_sparse().toarray(), np.nan_to_num(dense(ratings)))


def test_repr_says_size_and_density():
    assert (
        repr(Ratings.from_dense([[np.nan, 2.0], [1.0, np.nan]])) == "Ratings(2 of 2 users × 2 items, 50.00% observed)"
    )


def test_ids_are_32_bit_and_values_single_precision():
    ratings = small_ratings(1)
    assert (ratings.users.dtype, ratings.items.dtype, ratings.values.dtype) == (np.int32, np.int32, np.float32)


@pytest.mark.parametrize(
    ("users", "items", "values", "sizes", "message"),
    [
        ([0, 1], [0], [1.0, 2.0], {}, "items and values must have one length, got 1 and 2"),
        ([], [], [], {}, "there is no rating"),
        (["a"], [0], [1.0], {}, "users must be integer codes, got dtype <U1: encode ids with LabelEncoder first"),
        ([0, -1], [0, 1], [1.0, 2.0], {}, "users must be codes from 0 to 0, got -1"),
        ([0, 4], [0, 1], [1.0, 2.0], {"n_users": 4}, "users must be codes from 0 to 3, got 4"),
        ([0, 1], [0, 1], [1.0, -2.0], {}, r"finite and not negative, got -2.0 at position 1"),
        ([0, 1], [0, 1], [np.nan, 2.0], {}, "got nan at position 0"),
        ([0, 1], [0, 1], [1.0, np.inf], {}, "got inf at position 1"),
    ],
)
def test_bad_triples_are_refused(users, items, values, sizes, message):
    with warnings.catch_warnings(), pytest.raises(InputError, match=message):
        Ratings.from_arrays(users, items, values, **sizes)


def test_a_dense_source_needs_two_dimensions():
    with pytest.raises(InputError, match=r"two dimensions \(users, items\), got shape \(3,\)"):
        Ratings.from_dense([1.0, 2.0, 3.0])
