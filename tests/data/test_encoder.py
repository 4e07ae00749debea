"""LabelEncoder: scikit-learn's results on every kind of label, there and back, and clear refusals."""

import copy
import pickle
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import LabelEncoder as Oracle

from nmf_scratch._check import InputError
from nmf_scratch.data.encoder import LabelEncoder, _code_dtype

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8)
LABELS = {
    "ints": st.integers(-(2**63), 2**63 - 1),
    "small ints": st.integers(-5, 30),
    "huge ints": st.integers(-(2**70), 2**70),
    "floats": st.floats(allow_nan=False),
    "booleans": st.booleans(),
    "strings": TEXT,
    "bytes": st.binary(max_size=5).map(lambda label: label + b"."),
    "dates": st.dates(),
    "times": st.datetimes(),
    "pairs": st.tuples(st.integers(0, 9), TEXT),
}

COLUMNS = {
    "list of ints": [302, 50, 196, 50, -7],
    "list of strings": ["tokyo", "Paris", "", "été", "Paris"],
    "list of ints and floats": [2, 0.5, 2.0],
    "range": range(7, 1, -2),
    "int8": np.array([3, -128, 127, 3], dtype=np.int8),
    "uint64 beyond int64": np.array([2**64 - 1, 5, 2**63], dtype=np.uint64),
    "big-endian": np.array([70000, 5, 70000], dtype=">i4"),
    "sparse ints": np.array([10**15, -(10**12), 3, 10**15]),
    "extreme ints": np.array([2**63 - 1, -(2**63), 0]),
    "float32": np.array([0.1, -np.inf, 2.5, 0.1], dtype=np.float32),
    "bool": np.array([True, False, True]),
    "one class": np.array([4, 4]),
    "numpy strings": np.array(["b", "aa", "b"]),
    "bytes": np.array([b"b", b"aa"]),
    "objects": np.array(["b", "aa", "b"], dtype=object),
    "object ints": np.array([10, 9, 2**80, 9], dtype=object),
    "dates": np.array(["2001-05-01", "1998-01-31", "2001-05-01"], dtype="M8[D]"),
    "durations": np.array([5, 3, 5], dtype="m8[h]"),
    "series of ints": pd.Series([4, 1, 4], index=[7, 7, 8]),
    "series of objects": pd.Series(["x", "a"], dtype=object),
    "series of times": pd.Series(pd.to_datetime(["2020-01-02", "2019-01-01"])),
    "index": pd.Index([5, 2, 5]),
}
# Strings in pandas 3; before, "str" meant plain objects.
AS_STR = np.dtype("<U1") if pd.api.types.is_extension_array_dtype(pd.Series([""], dtype="str")) else np.dtype(object)
PANDAS = {
    "nullable": (pd.Series([9, 2, 9], dtype="Int64"), [2, 9], np.int64),
    "nullable bool": (pd.Series([True, False], dtype="boolean"), [False, True], np.bool_),
    "str": (pd.Series(["b", "a", "b"], dtype="str"), ["a", "b"], AS_STR),
    "string": (pd.Series(["bb", "a"], dtype="string"), ["a", "bb"], np.dtype("<U2")),
    "category of str": (pd.Series(["b", "a", "b"], dtype="str").astype("category"), ["a", "b"], AS_STR),
    "category of ints": (pd.Categorical([3, 1], categories=[9, 3, 1], ordered=True), [1, 3], np.int64),
    "extension array": (pd.array([2, 1], dtype="UInt8"), [1, 2], np.uint8),
    "time zone": (
        pd.Series(pd.to_datetime(["2020-01-02", "2019-01-01"], utc=True)),
        list(pd.to_datetime(["2019-01-01", "2020-01-02"], utc=True)),
        np.dtype(object),
    ),
}


def message_of(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    return str(caught.value)


class TestAgainstScikitLearn:
    @pytest.mark.parametrize("name", COLUMNS)
    def test_classes_and_codes_are_equal(self, name):
        labels = COLUMNS[name]
        ours, theirs = LabelEncoder(), Oracle()
        np.testing.assert_array_equal(ours.fit_transform(labels), theirs.fit_transform(labels))
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
        assert ours.classes_.dtype == theirs.classes_.dtype
        np.testing.assert_array_equal(ours.transform(labels), theirs.transform(labels))
        np.testing.assert_array_equal(ours.inverse_transform([0, 0]), theirs.inverse_transform([0, 0]))

    @pytest.mark.parametrize("name", PANDAS)
    def test_classes_of_pandas_types_are_plain_numpy(self, name):
        labels, classes, dtype = PANDAS[name]
        encoder = LabelEncoder()
        np.testing.assert_array_equal(encoder.fit_transform(labels), Oracle().fit_transform(labels))
        assert encoder.classes_.tolist() == classes
        assert encoder.classes_.dtype == dtype
        np.testing.assert_array_equal(encoder.transform(encoder.classes_), np.arange(len(classes)))

    @given(
        st.sampled_from(["small ints", "ints", "floats", "strings"]).flatmap(lambda k: st.lists(LABELS[k], min_size=1))
    )
    def test_any_list_is_encoded_alike(self, labels):
        np.testing.assert_array_equal(LabelEncoder().fit_transform(labels), Oracle().fit_transform(labels))


class TestRoundTrip:
    @pytest.mark.parametrize("kind", LABELS)
    def test_decoding_gives_the_labels_back(self, kind):
        @given(st.lists(LABELS[kind], min_size=1, max_size=40))
        def check(labels):
            encoder = LabelEncoder()
            codes = encoder.fit_transform(labels)
            assert encoder.inverse_transform(codes).tolist() == labels
            np.testing.assert_array_equal(encoder.transform(labels), codes)
            assert encoder.classes_.tolist() == sorted(set(labels))

        check()

    @given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2), st.randoms(use_true_random=False))
    def test_codes_do_not_depend_on_the_order_of_the_file(self, labels, random):
        shuffled = random.sample(labels, len(labels))
        np.testing.assert_array_equal(
            LabelEncoder().fit(shuffled).transform(labels), LabelEncoder().fit_transform(labels)
        )

    def test_classes_survive_fitting_anew_copying_and_pickling(self):
        encoder = LabelEncoder(unknown="code").fit(["b", "a", "c"])
        for twin in (LabelEncoder().fit(encoder.classes_), copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
            np.testing.assert_array_equal(twin.classes_, encoder.classes_)
            np.testing.assert_array_equal(twin.transform(["c", "a"]), [2, 0])

    def test_nothing_is_encoded_as_nothing(self):
        assert LabelEncoder().fit([]).classes_.size == 0
        encoder = LabelEncoder().fit([3, 1])
        assert encoder.transform([]).shape == (0,)
        assert encoder.inverse_transform([]).dtype == encoder.classes_.dtype

    def test_fit_returns_itself_and_forgets_the_previous_labels(self):
        encoder = LabelEncoder(unknown="code")
        assert encoder.fit([1, 2]) is encoder
        np.testing.assert_array_equal(encoder.fit(["x"]).transform([1, "x"]), [-1, 0])

    def test_codes_are_int32_while_they_fit(self):
        encoder = LabelEncoder(unknown="code").fit([8, 3])
        assert encoder.fit_transform([8, 3]).dtype == encoder.transform([8, 9]).dtype == np.int32
        assert _code_dtype(2**31) is np.int32
        assert _code_dtype(2**31 + 1) is np.int64

    def test_the_input_is_left_alone(self):
        labels = np.array([3, 1, 3])
        labels.flags.writeable = False
        LabelEncoder().fit_transform(labels)
        np.testing.assert_array_equal(labels, [3, 1, 3])


class TestEquality:
    """Labels are equal when Python says so, whatever they are stored in."""

    @pytest.mark.parametrize(
        ("seen", "asked", "codes"),
        [
            ([1, 2, 5], [2.0, 5.0, 1.5], [1, 2, -1]),
            ([1, 2, 5], np.array([5, 1, "5"], dtype=object), [2, 0, -1]),
            ([1, 2, 5], ["1", "5"], [-1, -1]),
            (np.array([1, 2, 5], dtype=np.uint8), [-251, 5, 261], [-1, 2, -1]),
            ([2**53, 2**53 + 1], [2.0**53, 2.0**53 + 2], [0, -1]),
            ([0.5, 2.0], [2, 1, True], [1, -1, -1]),
            ([2**63 - 2, 2**63 - 1], [-(2**63), 2**63 - 1], [-1, 1]),
            ([-(2**63), -(2**63) + 1], [2**63 - 1, -(2**63)], [-1, 0]),
            (np.array([2**64 - 1, 5], dtype=np.uint64), [-1, 5], [-1, 0]),
            (np.array(["a", "bb"]), pd.Series(["bb", "c"], dtype="str"), [1, -1]),
            (np.array(["a", "bb"]), np.array(["bb", "a long one"], dtype=object), [1, -1]),
            (
                np.array(["2020-01-02"], dtype="M8[D]"),
                pd.to_datetime(["2020-01-02 00:00", "2020-01-02 01:00"]),
                [0, -1],
            ),
            (np.array(["2020-01-02"], dtype="M8[D]"), [pd.Timestamp("2020-01-02")], [0]),
            (np.array(["1970-01-06"], dtype="M8[D]"), [5], [-1]),
            (np.array([1], dtype="m8[D]"), np.array([1, 24], dtype="m8[h]"), [-1, 0]),
            ([(1, "a"), (2, "b")], [(2, "b"), (2, "a")], [1, -1]),
        ],
    )
    def test_labels_of_another_type_match_exactly_or_not_at_all(self, seen, asked, codes):
        np.testing.assert_array_equal(LabelEncoder(unknown="code").fit(seen).transform(asked), codes)

    @given(st.sets(st.integers(-40, 40), min_size=1), st.lists(st.integers(-60, 60)))
    def test_unseen_integers_become_minus_one(self, seen, asked):
        codes = LabelEncoder(unknown="code").fit(list(seen)).transform(asked)
        known = sorted(seen)
        assert codes.tolist() == [known.index(label) if label in seen else -1 for label in asked]


class TestRefusals:
    def test_unseen_labels_are_named_with_the_remedy(self):
        encoder = LabelEncoder().fit([10, 20, 30])
        assert message_of(encoder.transform, [20, 99, 7, 99]) == (
            "3 of 4 labels were not seen in fit: 99, 7 (3 labels of dtype int64 were); fit on all labels, "
            'or use LabelEncoder(unknown="code") to encode the unseen as -1'
        )
        assert "'20' (3 labels of dtype int64 were)" in message_of(encoder.transform, ["20"])

    def test_only_the_first_few_unseen_labels_are_shown(self):
        assert "100 of 100 labels were not seen in fit: 0, 1, 2, 3, 4, … (" in message_of(
            LabelEncoder().fit([-1]).transform, range(100)
        )
        assert "seen in fit: 0, 1, 2, 3, 4 (" in message_of(LabelEncoder().fit([-1]).transform, range(5))

    def test_unseen_dates_are_shown_as_dates(self):
        encoder = LabelEncoder().fit(np.array(["2020-01-02"], dtype="M8[D]"))
        assert "'1999-12-31'" in message_of(encoder.transform, np.array(["1999-12-31"], dtype="M8[D]"))

    @pytest.mark.parametrize(
        "labels",
        [
            [1.0, float("nan"), 2.0, None],
            ["a", None, "b", float("nan")],
            np.array(["a", pd.NA, 3, np.nan], dtype=object),
            np.array(["2020", "NaT", "2021", "NaT"], dtype="M8[D]"),
            pd.Series([1, None, 2, None], dtype="Int64"),
            pd.Series(["a", None, "b", None], dtype="str"),
            pd.Series(["a", None, "b", None], dtype="category"),
            pd.Series([1, None, 2, None], dtype="category"),
        ],
        ids=["floats", "strings", "objects", "dates", "Int64", "str", "category of str", "category of ints"],
    )
    @pytest.mark.parametrize("unknown", ["raise", "code"])
    def test_missing_labels_are_counted_and_located(self, labels, unknown):
        expected = "2 of 4 labels are missing, the first at position 1: drop these rows or give them a label"
        assert message_of(LabelEncoder(unknown=unknown).fit, labels) == expected
        assert message_of(LabelEncoder(unknown=unknown).fit(labels[:1]).transform, labels) == expected

    def test_labels_that_cannot_be_sorted_are_named(self):
        expected = (
            "labels must be sortable, got 1 (int) and 'a' (str): convert them to one type first, for example to str"
        )
        assert message_of(LabelEncoder().fit, [1, "a", 2]) == expected
        assert message_of(LabelEncoder().fit_transform, np.array([1, "a"], dtype=object)) == expected
        assert "got 1j (complex): convert" in message_of(LabelEncoder().fit, [1j, 2 + 0j])

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([[1, 2], [3, 4]], "labels must be hashable: pass one column of ids (unhashable type: 'list')"),
            (
                np.zeros((3, 2)),
                "labels must be one-dimensional, got shape (3, 2): pass one column, such as frame['user']",
            ),
            (pd.DataFrame({"user": [1]}), "labels must be one-dimensional, got shape (1, 1): pass one column"),
            ("abc", "labels must be a list, an array or a column, got 'abc': wrap a single one, ['abc']"),
            (7, "labels must be a list, an array or a column, got 7: wrap a single one, [7]"),
            (["a\x00", "b"], "labels must not end in a NUL character, which NumPy strings drop: strip it"),
        ],
    )
    def test_what_is_no_column_of_ids_is_refused(self, labels, message):
        assert message in message_of(LabelEncoder().fit, labels)

    @pytest.mark.parametrize("codes", [[0, -1], [3], np.array([0, 3], dtype=np.int8), pd.Series([2, 3], dtype="Int64")])
    def test_codes_without_a_label_are_refused(self, codes):
        message = message_of(LabelEncoder().fit(["a", "b", "c"]).inverse_transform, codes)
        assert message == (
            f"codes must be from 0 to 2, got {-1 if -1 in list(codes) else 3}: "
            "leave out what has no label (-1 marks the unseen)"
        )

    def test_codes_that_are_no_integers_are_refused(self):
        encoder = LabelEncoder().fit(["a", "b", "c"])
        assert message_of(encoder.inverse_transform, [0.0, 1.5]) == (
            "codes must be integers, as transform returns them, got 0.0, 1.5"
        )
        assert "codes must be one-dimensional" in message_of(encoder.inverse_transform, np.zeros((1, 2), dtype=int))

    @pytest.mark.parametrize("method", ["transform", "inverse_transform"])
    def test_an_encoder_that_has_seen_nothing_says_so(self, method):
        assert message_of(getattr(LabelEncoder(), method), [0]) == (
            "this LabelEncoder has not seen any labels yet: call fit(labels) first"
        )

    def test_an_unknown_policy_is_refused(self):
        assert message_of(lambda: LabelEncoder(unknown="ignore")) == (
            "unknown='ignore' is unknown; choose one of: code, raise"
        )

    def test_repr_is_the_constructor(self):
        assert repr(LabelEncoder(unknown="code")) == "LabelEncoder(unknown='code')"


@pytest.mark.parametrize("kind", ["dense ints", "sparse ints", "strings"])
def test_a_million_labels_take_a_fraction_of_a_second(kind):
    picks = np.random.default_rng(8).integers(0, 100_000, size=1_000_000)
    pool = {
        "dense ints": np.arange(100_000) + 1,
        "sparse ints": np.arange(100_000) * 10**10,
        "strings": np.array([f"user-{i:06d}" for i in range(100_000)], dtype=object),
    }[kind]
    labels = pool[picks]
    start = time.process_time()
    codes = LabelEncoder().fit(labels).transform(labels)
    seconds = time.process_time() - start
    assert seconds < 2.0  # a few times what it takes; the margin is for busy machines
    assert codes.max() == len(np.unique(picks)) - 1
    if kind != "strings":
        np.testing.assert_array_equal(codes[:1000], np.unique(picks, return_inverse=True)[1][:1000])
