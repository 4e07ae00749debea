"""What callers may pass: every kind of id column, of rating column and of container gives one and the same model."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from nmf_scratch import NMF, Dataset, InputError, Ratings, cross_validate
from nmf_scratch.data.inputs import encode, read_input

USERS = [30, 10, 20, 30, 10, 20, 10]
ITEMS = ["b", "a", "a", "a", "c", "b", "b"]
STARS = [1.0, 2.0, 3.0, 4.0, 5.0, 3.0, 0.0]
PAIRS = pd.DataFrame({"user": USERS, "item": ITEMS})

NUMBERS = {
    "int64": lambda ids: np.array(ids, dtype=np.int64),
    "uint8": lambda ids: np.array(ids, dtype=np.uint8),
    "float64": lambda ids: np.array(ids, dtype=np.float64),
    "object": lambda ids: np.array(ids, dtype=object),
    "Int64": lambda ids: pd.array(ids, dtype="Int64"),
    "category": pd.Categorical,
    "ordered": lambda ids: pd.Categorical(ids, categories=[99, 30, 20, 10], ordered=True),
    "sliced": lambda ids: pd.Series([*ids, 99], dtype="category").iloc[: len(ids)].array,
    "int64[pyarrow]": lambda ids: pd.array(ids, dtype="int64[pyarrow]"),
}
"""Ways to hold integer ids, by the name of the dtype."""

KEPT = {"uint8": "uint8", "float64": "float64"}
"""The dtype that `user_ids_` has where it is not int64."""

TEXTS = {
    "object": lambda ids: np.array(ids, dtype=object),
    "str": lambda ids: np.array(ids),
    "string": lambda ids: pd.array(ids, dtype="string[python]"),
    "string[pyarrow]": lambda ids: pd.array(ids, dtype="string[pyarrow]"),
    "category": pd.Categorical,
    "unused": lambda ids: pd.Categorical(ids, categories=["zz", *sorted(set(ids))]),
}
"""Ways to hold ids that are text."""

VALUES = {
    "list": list,
    "tuple": tuple,
    "float32": lambda stars: np.array(stars, dtype=np.float32),
    "int": lambda stars: np.array(stars, dtype=np.int8),
    "object": lambda stars: np.array(stars, dtype=object),
    "Int64": lambda stars: pd.array([int(star) for star in stars], dtype="Int64"),
    "Float64": lambda stars: pd.array(stars, dtype="Float64"),
    "category": pd.Categorical,
    "column": lambda stars: np.array(stars)[:, None],
    "frame": lambda stars: pd.DataFrame({"rating": stars}),
    "other index": lambda stars: pd.Series(stars, index=range(len(stars), 0, -1)),
}


def column(kind, make, ids):
    if "pyarrow" in kind:
        pytest.importorskip("pyarrow")
    return make(ids)


def each_with_itself_and_the_next(kinds):
    """Pair kinds of columns, so that each is learnt from and asked for, alike and unlike."""
    kinds = list(kinds)
    return [*zip(kinds, kinds, strict=True), *zip(kinds, kinds[1:] + kinds[:1], strict=True)]


def fit(X, y=None):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return NMF(2, max_iter=3, random_state=0).fit(X, y)


@pytest.fixture(scope="module")
def expected():
    return fit(PAIRS, STARS)


class TestColumns:
    @pytest.mark.parametrize(("kind", "asked"), each_with_itself_and_the_next(NUMBERS))
    def test_integer_ids_of_any_kind_are_the_same_ids(self, expected, kind, asked):
        model = fit(pd.DataFrame({"user": column(kind, NUMBERS[kind], USERS), "item": ITEMS}), STARS)
        np.testing.assert_array_equal(model.W_, expected.W_)
        assert model.user_ids_.tolist() == [10, 20, 30]
        assert model.user_ids_.dtype == KEPT.get(kind, "int64")
        again = pd.DataFrame({"user": column(asked, NUMBERS[asked], USERS), "item": ITEMS})
        np.testing.assert_array_equal(model.predict(again), expected.predict(PAIRS))

    @pytest.mark.parametrize(("kind", "asked"), each_with_itself_and_the_next(TEXTS))
    def test_text_ids_of_any_kind_are_the_same_ids(self, expected, kind, asked):
        model = fit(pd.DataFrame({"user": USERS, "item": column(kind, TEXTS[kind], ITEMS)}), STARS)
        np.testing.assert_array_equal(model.H_, expected.H_)
        assert model.item_ids_.tolist() == ["a", "b", "c"]
        assert all(isinstance(item, str) for item in model.recommend(10, exclude_seen=False)["item"])
        again = pd.DataFrame({"user": USERS, "item": column(asked, TEXTS[asked], ITEMS)})
        np.testing.assert_array_equal(model.predict(again), expected.predict(PAIRS))

    @pytest.mark.parametrize("kind", VALUES)
    def test_ratings_of_any_kind_are_the_same_ratings(self, expected, kind):
        model = fit(PAIRS, VALUES[kind](STARS))
        np.testing.assert_array_equal(model.W_, expected.W_)

    @given(st.lists(st.integers(-(2**63), 2**64 - 1), min_size=1, max_size=20, unique=True))
    def test_integers_of_any_size_come_back(self, ids):
        frame = pd.DataFrame({"user": pd.Series(ids, dtype=object), "item": 1})
        encoder, _ = encode(frame, np.ones(len(ids)))
        assert encoder.users.classes_.tolist() == sorted(ids)
        assert encoder.transform(frame)[0].tolist() == np.argsort(np.argsort(np.array(ids, dtype=object))).tolist()

    def test_dates_keep_their_dtype(self):
        dates = pd.date_range("2020-01-01", periods=7)
        model = fit(PAIRS.assign(item=dates), STARS)
        assert model.recommend(10)["item"].dtype.kind == "M"
        assert model.predict([(10, dates[0])]) == model.predict(pd.DataFrame({"user": [10], "item": dates[:1]}))


class TestContainers:
    @pytest.mark.parametrize(
        "make",
        [
            lambda pairs: pairs.to_numpy(dtype=object),
            lambda pairs: pairs.to_numpy().tolist(),
            lambda pairs: list(zip(USERS, ITEMS, strict=True)),
            lambda pairs: tuple(pairs.itertuples(index=False)),
            lambda pairs: pairs.rename(columns={"user": "reader", "item": "isbn"}),
            lambda pairs: pairs.set_axis([0, 1], axis=1),
            lambda pairs: pairs[["item", "user"]],
            lambda pairs: pairs.assign(when=0),
        ],
        ids=["object array", "lists", "tuples", "named tuples", "renamed", "numbered", "swapped", "more columns"],
    )
    def test_tables_of_pairs(self, expected, make):
        model = fit(make(PAIRS), STARS)
        np.testing.assert_array_equal(model.W_, expected.W_)
        np.testing.assert_array_equal(model.predict(make(PAIRS)), expected.predict(PAIRS))
        assert model.user_ids_.tolist() == [10, 20, 30]

    def test_tables_with_their_ratings(self, expected):
        table = PAIRS.assign(rating=STARS)
        for whole in (table, Dataset("x", table)):
            model = fit(whole)
            np.testing.assert_array_equal(model.W_, expected.W_)
            np.testing.assert_array_equal(model.predict(whole), expected.predict(PAIRS))

    def test_arrow_tables(self, expected):
        arrow = pytest.importorskip("pyarrow")
        model = fit(arrow.table({"user": USERS, "item": ITEMS, "rating": STARS}))
        np.testing.assert_array_equal(model.W_, expected.W_)

    def test_arrays_of_text_stay_text(self):
        model = fit(PAIRS.astype(str).to_numpy(dtype=str), STARS)
        assert model.user_ids_.tolist() == ["10", "20", "30"]

    def test_matrices_hold_what_is_observed_zeros_included(self):
        rows, columns, n_rows, n_columns = [0, 0, 3, 4, 1], [0, 5, 2, 5, 1], 6, 7
        stars = np.array([4.0, 0.0, 2.5, 5.0, 3.0])
        dense = np.full((n_rows, n_columns), np.nan)
        dense[rows, columns] = stars
        coo = sparse.coo_array((stars, (rows, columns)), shape=(n_rows, n_columns))
        ratings = Ratings.from_arrays(rows, columns, stars, n_users=n_rows, n_items=n_columns)
        model = fit(ratings)
        assert model.W_.shape == (6, 2)
        assert model.H_.shape == (7, 2)
        forms = [dense, dense.astype(np.float32), coo, coo.tocsr(), coo.tocsc(), sparse.csr_matrix(coo)]
        for form in forms:
            other = fit(form)
            np.testing.assert_array_equal(other.W_, model.W_)
            np.testing.assert_array_equal(other.H_, model.H_)
            assert other.fitted_.ratings.values.tolist() == ratings.values.tolist()
        np.testing.assert_array_equal(model.predict(ratings), model.predict(np.c_[ratings.users, ratings.items]))

    def test_a_pivoted_table_keeps_its_ids(self, expected):
        wide = PAIRS.assign(rating=STARS).pivot(index="user", columns="item", values="rating")
        for form in (wide, wide.astype("Float64"), wide.iloc[::-1, ::-1]):
            model = fit(form)
            np.testing.assert_array_equal(model.W_, expected.W_)
            assert model.item_ids_.tolist() == ["a", "b", "c"]

    def test_cross_validation_takes_what_fit_takes(self):
        rng = np.random.default_rng(0)
        matrix = sparse.csr_array(rng.integers(0, 6, (12, 9)).astype(np.float64))
        ratings = Ratings.from_sparse(matrix)
        table = pd.DataFrame({"user": ratings.users, "item": ratings.items, "rating": ratings.values})
        nullable = table.astype({"user": "Int64", "item": "category", "rating": "Float64"})
        scores = [cross_validate(NMF(2, random_state=0), X, cv=3)["rmse"] for X in (table, nullable, matrix, ratings)]
        for score in scores[1:]:
            np.testing.assert_array_equal(score, scores[0])

    def test_columns_are_found_by_the_names_that_fit_saw(self):
        renamed = PAIRS.rename(columns={"user": "reader", "item": "isbn"})
        model = fit(renamed, STARS)
        np.testing.assert_array_equal(model.predict(renamed[["isbn", "reader"]]), model.predict(PAIRS))
        np.testing.assert_array_equal(model.predict(renamed.set_axis(["r", "i"], axis=1)), model.predict(PAIRS))


def with_gap(values, place, missing):
    return [*values[:place], missing, *values[place + 1 :]]


class TestRefused:
    @pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=repr)
    def test_missing_ids_name_the_column_and_the_row(self, missing):
        for name, values in (("user", USERS), ("item", ITEMS)):
            gap = with_gap(values, 4, missing)
            for holed in (gap, pd.Categorical(gap), pd.Series(gap).convert_dtypes()):
                with pytest.raises(InputError, match=f"{name} ids: 1 of 7 labels are missing, the first at position 4"):
                    fit(PAIRS.assign(**{name: holed}), STARS)

    @pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=repr)
    def test_missing_ids_are_refused_when_asked_too(self, expected, missing):
        with pytest.raises(InputError, match="item ids: 1 of 2 labels are missing, the first at position 1"):
            expected.predict(pd.DataFrame({"user": [10, 20], "item": ["a", missing]}))
        with pytest.raises(InputError, match="user ids: 1 of 2 labels are missing, the first at position 1"):
            expected.recommend([10, missing])

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            (with_gap(STARS, 2, None), "got nan at position 2; drop such rows"),
            (with_gap(STARS, 2, np.nan), "got nan at position 2; drop such rows"),
            (pd.array(with_gap([1] * 7, 2, None), dtype="Int64"), "got nan at position 2; drop such rows"),
            (with_gap(STARS, 2, pd.NA), "y must hold numbers, got <NA> at position 2: convert or drop it"),
            (with_gap(STARS, 2, "five"), "y must hold numbers, got 'five' at position 2: convert or drop it"),
            (with_gap(STARS, 2, np.inf), "got inf at position 2; drop such rows"),
            (with_gap(STARS, 2, -1.0), "got -1.0 at position 2; shift the scale so that its lowest rating is 0"),
            (np.array(STARS) + 1j, "y must hold real numbers. Complex data not supported"),
            (np.ones((7, 2)), r"shape \(7,\); got shape \(7, 2\)"),
        ],
    )
    def test_unusable_ratings_are_named(self, y, message):
        with pytest.raises(InputError, match=message):
            fit(PAIRS, y)

    @pytest.mark.parametrize(
        ("X", "y", "message"),
        [
            (np.ones((6, 8)), None, r"X is a full matrix of shape \(6, 8\), in which every 0 would be a rating"),
            (np.eye(6, dtype=np.int64), None, r"NaN where nothing was rated goes through Ratings.from_dense\(X\)"),
            (np.array([[1, np.nan, 3]]), None, "y is missing: pass the ratings"),  # as likely a triple as a matrix
            (sparse.eye_array(6).tocsr(), np.ones(6), "X is a csr_array, sparse with ratings of its own: leave y out"),
            (Ratings.from_arrays([0], [0], [1]), [1], "X is a Ratings, sparse with ratings of its own: leave y out"),
            (pd.concat([PAIRS, PAIRS], axis=1), STARS, "X has several columns named 'user': rename all but one"),
            (PAIRS.assign(item=with_gap(ITEMS, 3, 7)), STARS, "item ids: labels must be sortable, got 'b' .* and 7"),
            ([], [], "X is empty: pass at least one rating"),
        ],
    )
    def test_what_could_be_misread_is_refused(self, X, y, message):
        with pytest.raises(InputError, match=message):
            fit(X, y)

    def test_a_sparse_matrix_is_no_table_of_pairs_to_predict(self, expected):
        with pytest.raises(InputError, match="X is a sparse matrix where"):
            expected.predict(sparse.eye_array(2).tocsr())


class TestOtherTypes:
    def test_text_that_would_be_a_known_number_is_unknown_and_warned_about(self, expected):
        with pytest.warns(UserWarning, match="user .10. was not seen in training, but 10 was: pass ids of") as told:
            asked = expected.predict(np.array([["new", "a"], ["10", "a"], ["20", "a"]]))
        assert len(told) == 1
        assert told[0].filename == __file__
        np.testing.assert_array_equal(asked, expected.predict([(-1, "a"), (-2, "a"), (-3, "a")]))
        with pytest.warns(UserWarning, match="user '10' was not seen in training, but 10 was"):
            expected.recommend("10")

    def test_a_number_that_would_be_a_known_text_is_warned_about(self):
        model = fit(PAIRS.astype(str), STARS)
        with pytest.warns(UserWarning, match="user 10 was not seen in training, but '10' was"):
            model.predict([(10, "a")])

    @pytest.mark.parametrize("user", ["new", "1e99", 40, 10.5, (10,)])
    def test_new_users_of_any_type_are_no_reason_to_warn(self, expected, user):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert expected.predict(pd.DataFrame({"user": [user], "item": ["a"]})) == expected.predict([(-1, "a")])


@given(
    st.lists(
        st.tuples(st.integers(-5, 5), st.text("abc", min_size=1, max_size=2), st.sampled_from([0.0, 0.5, 4.5])),
        min_size=1,
        unique_by=lambda triple: triple[:2],
    )
)
def test_encoding_loses_nothing_whatever_the_form(triples):
    frame = pd.DataFrame(triples, columns=["user", "item", "rating"])
    nullable = frame.astype({"user": "Int64", "item": "category", "rating": "Float64"})
    pivoted = frame.pivot(index="user", columns="item", values="rating")
    # A table without a hole, but with a 0, may be one whose holes were filled, and is refused.
    forms = (frame, nullable, pivoted) if pivoted.isna().any(axis=None) or (pivoted > 0).all(axis=None) else (frame,)
    for form in forms:
        encoder, ratings = encode(form)
        decoded = zip(
            encoder.users.classes_[ratings.users].tolist(),
            encoder.items.classes_[ratings.items].tolist(),
            ratings.values.tolist(),
            strict=True,
        )
        assert list(decoded) == sorted(triples)


def test_reading_a_table_leaves_ids_and_times_as_they_were():
    times = pd.date_range("2020-01-01", periods=len(STARS))
    table = PAIRS.assign(rating=STARS, timestamp=times).astype({"user": "Int64", "item": "category"})
    read = read_input(table)
    assert (read.users.dtype, read.items.dtype, read.values.dtype) == ("Int64", "category", "float32")
    assert (read.times == times).all()
    assert read_input(PAIRS, STARS).times is None
