"""Splits: honest (disjoint, each sample held out once), equal to scikit-learn's, clear about mistakes."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn import model_selection as oracle
from sklearn.linear_model import Ridge

from nmf_scratch._check import InputError
from nmf_scratch.evaluation.splits import KFold, PredefinedSplit, check_cv, train_test_split


def assert_same_folds(ours, theirs):
    ours, theirs = list(ours), list(theirs)
    assert len(ours) == len(theirs)
    for (train, test), (expected_train, expected_test) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(train, expected_train)
        np.testing.assert_array_equal(test, expected_test)
        assert train.dtype == test.dtype == np.intp


@st.composite
def samples_and_folds(draw):
    n_splits = draw(st.integers(2, 12))
    return draw(st.integers(n_splits, 300)), n_splits


class TestKFold:
    @given(samples_and_folds())
    def test_unshuffled_folds_equal_scikit_learns_index_for_index(self, case):
        n_samples, n_splits = case
        X = np.zeros((n_samples, 2))
        assert_same_folds(KFold(n_splits).split(X), oracle.KFold(n_splits).split(X))

    @given(samples_and_folds(), st.booleans(), st.integers(0, 2**64 - 1))
    def test_each_sample_is_held_out_exactly_once(self, case, shuffle, seed):
        n_samples, n_splits = case
        folds = KFold(n_splits, shuffle=shuffle, random_state=seed if shuffle else None)
        splits = list(folds.split(np.zeros(n_samples)))
        held_out = np.concatenate([test for _, test in splits])
        np.testing.assert_array_equal(np.sort(held_out), np.arange(n_samples))
        for train, test in splits:
            np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(n_samples))
        sizes = [len(test) for _, test in splits]
        assert sizes == [len(test) for _, test in oracle.KFold(n_splits, shuffle=shuffle).split(np.zeros(n_samples))]

    def test_an_int_repeats_the_folds_and_another_int_changes_them(self):
        first, again, other = (
            list(KFold(3, shuffle=True, random_state=seed).split(np.zeros(50))) for seed in (11, 11, 12)
        )
        assert_same_folds(first, again)
        assert not np.array_equal(first[0][1], other[0][1])

    def test_shuffled_folds_are_no_blocks_and_ascend_within(self):
        _, test = next(KFold(2, shuffle=True, random_state=0).split(np.zeros(40)))
        assert not np.array_equal(test, np.arange(20))
        np.testing.assert_array_equal(test, np.sort(test))

    @pytest.mark.parametrize("fresh", [lambda: None, lambda: np.random.default_rng(5)], ids=["None", "Generator"])
    def test_without_an_int_each_call_deals_anew(self, fresh):
        folds = KFold(2, shuffle=True, random_state=fresh())
        (_, first), (_, second) = next(folds.split(np.zeros(64))), next(folds.split(np.zeros(64)))
        assert not np.array_equal(first, second)

    def test_equal_generators_deal_equal_folds(self):
        one, two = (KFold(4, shuffle=True, random_state=np.random.default_rng(9)) for _ in range(2))
        assert_same_folds(one.split(np.zeros(30)), two.split(np.zeros(30)))

    def test_folds_come_lazily(self):
        folds = KFold(5).split(np.zeros(10))
        assert iter(folds) is folds
        assert len(next(folds)[1]) == 2

    @pytest.mark.parametrize(
        "X",
        [
            [1, 2, 3, 4, 5, 6, 7],
            pd.DataFrame({"user": range(7)}),
            pd.Series(range(7)),
            sparse.csr_matrix(np.eye(7, 3)),
        ],
        ids=["list", "frame", "series", "sparse"],
    )
    def test_any_container_with_a_length_is_split(self, X):
        assert_same_folds(KFold(3).split(X), oracle.KFold(3).split(np.zeros(7)))

    def test_works_as_cv_inside_scikit_learn(self):
        rng = np.random.default_rng(3)
        X, y = rng.normal(size=(60, 4)), rng.normal(size=60)
        ours, theirs = (oracle.cross_val_score(Ridge(), X, y, cv=cv) for cv in (KFold(4), oracle.KFold(4)))
        np.testing.assert_array_equal(ours, theirs)
        shuffled = KFold(3, shuffle=True, random_state=0)
        search = oracle.GridSearchCV(Ridge(), {"alpha": [0.1, 10.0]}, cv=shuffled).fit(X, y)
        assert search.n_splits_ == shuffled.get_n_splits() == 3

    def test_copies_and_pickles_are_equal(self):
        folds = KFold(3, shuffle=True, random_state=7)
        assert copy.deepcopy(folds) == pickle.loads(pickle.dumps(folds)) == folds
        assert repr(folds) == "KFold(n_splits=3, shuffle=True, random_state=7)"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"n_splits": 1}, "n_splits must be an integer >= 2, got 1"),
            ({"n_splits": 0}, "n_splits must be an integer >= 2, got 0"),
            ({"n_splits": 2.5}, "n_splits must be an integer >= 2, got 2.5"),
            ({"n_splits": True}, "n_splits must be an integer >= 2, got True"),
            ({"shuffle": 1}, "shuffle must be True or False, got 1"),
            (
                {"random_state": 3},
                "random_state=3 has no effect without shuffling: set shuffle=True, or leave random_state out",
            ),
        ],
    )
    def test_what_scikit_learn_refuses_is_refused_with_the_remedy(self, arguments, message):
        with pytest.raises(InputError) as caught:
            KFold(**arguments)
        assert str(caught.value) == message
        with pytest.raises((ValueError, TypeError)):
            oracle.KFold(**arguments)

    def test_more_folds_than_samples_names_both_numbers_at_the_call(self):
        with pytest.raises(InputError) as caught:
            KFold(7).split(np.zeros(6))
        assert str(caught.value) == (
            "n_splits=7 is more than the number of samples, 6: use fewer folds or pass more samples"
        )
        assert len(list(KFold(6).split(np.zeros(6)))) == 6

    def test_different_lengths_are_named(self):
        with pytest.raises(InputError, match="X has 6, y has 5; pass arrays of one length"):
            KFold(2).split(np.zeros(6), np.zeros(5))

    @pytest.mark.parametrize("X", [3, np.float64(3.0), None.__class__], ids=["int", "scalar", "type"])
    def test_what_has_no_length_is_refused(self, X):
        with pytest.raises(InputError, match="X must have a length, got .*: pass an array, a table or a list"):
            KFold(2).split(X)

    def test_groups_are_ignored_with_a_warning(self):
        with pytest.warns(UserWarning, match="KFold ignores groups") as caught:
            folds = KFold(2).split(np.zeros(4), groups=[0, 0, 1, 1])
        assert caught[0].filename == __file__
        assert_same_folds(folds, oracle.KFold(2).split(np.zeros(4)))


class TestPredefinedSplit:
    @given(st.lists(st.integers(-1, 6), min_size=1, max_size=60).filter(lambda folds: max(folds) >= 0))
    def test_folds_equal_scikit_learns(self, test_fold):
        ours, theirs = PredefinedSplit(test_fold), oracle.PredefinedSplit(test_fold)
        assert_same_folds(ours.split(), theirs.split())
        assert ours.get_n_splits() == theirs.get_n_splits()
        np.testing.assert_array_equal(ours.unique_folds, theirs.unique_folds)

    def test_minus_one_trains_in_every_fold(self):
        for train, test in PredefinedSplit([1, -1, 0, 1]).split():
            assert 1 in train
            assert 1 not in test

    @pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64])
    def test_small_integer_types_and_series_are_taken(self, dtype):
        folds = PredefinedSplit(pd.Series([0, 1, 1, 0, 2], dtype=dtype))
        assert_same_folds(folds.split(np.zeros((5, 2))), oracle.PredefinedSplit([0, 1, 1, 0, 2]).split())
        assert folds.test_fold.dtype == np.intp

    def test_works_as_cv_inside_scikit_learn(self):
        rng = np.random.default_rng(4)
        X, y, test_fold = rng.normal(size=(30, 2)), rng.normal(size=30), rng.integers(-1, 3, size=30)
        ours, theirs = (
            oracle.cross_val_score(Ridge(), X, y, cv=split(test_fold))
            for split in (PredefinedSplit, oracle.PredefinedSplit)
        )
        np.testing.assert_array_equal(ours, theirs)

    @pytest.mark.parametrize(
        ("test_fold", "message"),
        [
            ([0, 1, -2], "test_fold holds -2: number the folds from 0; -1 means always train"),
            ([-1, -1], "test_fold holds no sample out: give at least one sample a fold number >= 0"),
            ([0.0, 1.5], "got an array of float64 with shape (2,)"),
            ([[0, 1]], "got an array of int64 with shape (1, 2)"),
        ],
    )
    def test_a_wrong_fold_array_is_refused(self, test_fold, message):
        with pytest.raises(InputError) as caught:
            PredefinedSplit(test_fold)
        assert message in str(caught.value)

    def test_data_of_another_length_is_refused(self):
        with pytest.raises(InputError, match="test_fold has 3, X has 4"):
            PredefinedSplit([0, 1, 0]).split(np.zeros(4))

    def test_groups_are_ignored_with_a_warning(self):
        with pytest.warns(UserWarning, match="PredefinedSplit ignores groups"):
            PredefinedSplit([0, 1]).split(groups=[0, 0])

    def test_repr_says_what_it_holds(self):
        assert repr(PredefinedSplit([0, 1, -1, 4])) == "PredefinedSplit(4 samples, 3 folds)"


class TestTrainTestSplit:
    @given(
        st.integers(2, 200).flatmap(
            lambda n: st.tuples(st.just(n), st.one_of(st.integers(1, n - 1), st.floats(0.001, 0.5)))
        )
    )
    def test_sizes_equal_scikit_learns_and_nothing_is_lost(self, case):
        n_samples, test_size = case
        train, test = train_test_split(np.arange(n_samples), test_size=test_size, random_state=1)
        expected_train, expected_test = oracle.train_test_split(np.arange(n_samples), test_size=test_size)
        assert (len(train), len(test)) == (len(expected_train), len(expected_test))
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(n_samples))

    def test_unshuffled_equals_scikit_learn(self):
        for ours, theirs in zip(
            train_test_split(np.arange(11), shuffle=False),
            oracle.train_test_split(np.arange(11), shuffle=False),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)

    def test_every_container_is_split_alike_and_keeps_its_type(self):
        index = ["some", "labels", "repeat"] * 3
        frame = pd.DataFrame({"user": range(9), "item": list("abcdefghi")}, index=index)
        array, matrix = np.arange(9), sparse.csr_matrix(np.diag(np.arange(9)))
        parts = train_test_split(frame, frame["user"], array, list(range(9)), matrix, random_state=2)
        frame_test, series_test, array_test, list_test, matrix_test = parts[1::2]
        assert len(array_test) == 3
        pd.testing.assert_frame_equal(frame_test, frame.iloc[array_test])
        pd.testing.assert_series_equal(series_test, frame["user"].iloc[array_test])
        assert list_test == array_test.tolist()
        assert matrix_test.shape == (3, 9)
        np.testing.assert_array_equal(matrix_test.toarray().sum(axis=1), array_test)

    def test_an_int_repeats_and_the_test_part_is_drawn_at_random(self):
        first, again, other = (train_test_split(np.arange(80), random_state=seed)[1] for seed in (5, 5, 6))
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)
        assert first.min() < 60

    @pytest.mark.parametrize("test_size", [0, 8, -1, 0.0, 1.0, 1.5, "0.5", True, float("nan")])
    def test_a_size_that_leaves_a_part_empty_is_refused(self, test_size):
        with pytest.raises(InputError) as caught:
            train_test_split(np.arange(8), test_size=test_size)
        assert str(caught.value) == (
            f"test_size={test_size!r} must be a fraction between 0 and 1 or a number of samples "
            "between 0 and 8, both excluded"
        )

    def test_a_fraction_that_takes_everything_is_refused(self):
        with pytest.raises(InputError, match=r"test_size=0.9 of 3 samples leaves none to train on"):
            train_test_split(np.arange(3), test_size=0.9)

    def test_no_array_different_lengths_and_idle_seeds_are_refused(self):
        with pytest.raises(InputError, match="needs at least one array"):
            train_test_split()
        with pytest.raises(InputError, match="array 1 has 4, array 2 has 3"):
            train_test_split(np.zeros(4), np.zeros(3))
        with pytest.raises(InputError, match="random_state=0 has no effect without shuffling"):
            train_test_split(np.zeros(4), shuffle=False, random_state=0)


class TestCheckCv:
    def test_a_list_of_splits_is_a_splitter(self):
        splits = list(KFold(2).split(range(5)))
        splitter = check_cv(splits)
        assert splitter.get_n_splits() == 2
        assert list(splitter.split(None)) == splits

    @pytest.mark.parametrize("cv", [4, np.int64(4)])
    def test_a_number_becomes_unshuffled_folds_as_in_scikit_learn(self, cv):
        assert check_cv(cv) == KFold(4)
        assert_same_folds(check_cv(cv).split(np.zeros(9)), oracle.check_cv(cv).split(np.zeros(9)))

    @pytest.mark.parametrize("cv", [KFold(3), PredefinedSplit([0, 1]), oracle.ShuffleSplit()], ids=repr)
    def test_a_splitter_passes_through(self, cv):
        assert check_cv(cv) is cv

    def test_none_is_five_folds_and_lists_of_splits_stay(self):
        assert check_cv(None) == KFold(5)
        splits = [([0, 1], [2]), ([2], [0, 1])]
        for form in (splits, tuple(splits), iter(splits), [list(split) for split in splits]):
            found = check_cv(form)
            assert [(train.tolist(), test.tolist()) for train, test in found.split(range(3))] == splits
            assert found.get_n_splits() == 2

    @pytest.mark.parametrize("cv", ["5", 2.0, True, [], [1, 2]], ids=repr)
    def test_anything_else_is_refused_with_an_example(self, cv):
        with pytest.raises(InputError) as caught:
            check_cv(cv)
        assert str(caught.value) == (
            f"cv={cv!r} must be a number of folds, a list of (train, test), or an object with split and get_n_splits, "
            "such as KFold(5, shuffle=True, random_state=0)"
        )
