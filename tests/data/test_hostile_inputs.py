"""What people pass by mistake, or by another library's habit: it works as meant, or an `InputError` says what to do."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from nmf_scratch import NMF, InputError, KFold, LabelEncoder, LeaveNOut, Ratings, cross_validate, train_test_split
from nmf_scratch.data.inputs import encode

PAIRS, STARS = [("a", 1), ("a", 2), ("b", 1), ("b", 3), ("c", 2)], [5, 3, 4, 1, 2]
LONG = pd.DataFrame(PAIRS, columns=["user", "item"]).assign(rating=np.array(STARS, float))
SIX = Ratings.from_arrays([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2], [1, 2, 3, 4, 5, 3])


@pytest.fixture(scope="module")
def model():
    return NMF(2, solver="als", random_state=0, max_iter=5).fit(PAIRS, STARS)


def triples(form, *y):
    encoder, ratings = encode(form, *y)
    users, items = encoder.users.classes_[ratings.users], encoder.items.classes_[ratings.items]
    return list(zip(users.tolist(), items.tolist(), ratings.values.tolist(), strict=True))


EXPECTED = [(*pair, float(star)) for pair, star in zip(PAIRS, STARS, strict=True)]


class TestTables:
    def test_a_long_table_whose_columns_have_a_name_is_no_matrix(self):
        tall = LONG.melt(["user", "item"], var_name="what")
        flat = tall.pivot_table(index=["user", "item"], columns="what", values="value").reset_index()
        assert flat.columns.name == "what"
        assert triples(flat) == EXPECTED

    def test_a_matrix_whose_users_became_a_column_is_refused(self):
        wide = LONG.pivot(index="user", columns="item", values="rating").reset_index()
        with pytest.raises(InputError, match="called 'item', as pivot calls them, but its rows have no name: make"):
            encode(wide)
        assert triples(wide.set_index("user")) == EXPECTED

    @pytest.mark.parametrize(
        "filled",
        [
            lambda: LONG.pivot(index="user", columns="item", values="rating").fillna(0),
            lambda: LONG.pivot_table(index="user", columns="item", values="rating", fill_value=0),
            lambda: pd.crosstab(LONG["user"], LONG["item"]),
        ],
        ids=["fillna", "fill_value", "crosstab"],
    )
    def test_a_matrix_whose_holes_were_filled_is_refused(self, filled):
        with pytest.raises(InputError, match=r"X is a full matrix of shape \(3, 3\), in which every 0 would be a rat"):
            encode(filled())
        assert triples(filled().where(lambda cells: cells > 0))  # the remedy that the message names

    def test_text_in_a_matrix_is_one_line(self):
        wide = LONG.astype({"rating": str}).pivot(index="user", columns="item", values="rating")
        with pytest.raises(InputError, match="must hold numbers, or NaN where nothing was rated"):
            encode(wide.fillna("none"))

    @pytest.mark.parametrize("dtype", [np.uint64, np.float64])
    def test_large_ids_in_lists_of_pairs_stay_apart(self, dtype):
        users, items = [1234567890123456789, 1234567890123456788], np.array([1, 1], dtype=dtype)
        encoder, ratings = encode(list(zip(np.array(users), items, strict=True)), [1.0, 5.0])
        assert encoder.users.classes_.tolist() == users[::-1]
        assert (encoder.users.classes_.dtype, len(ratings)) == (np.int64, 2)

    def test_integers_that_no_float_holds_are_refused_beside_floats(self):
        with pytest.raises(InputError, match="mix floats with integers too large for them, such as 9007199254740993"):
            LabelEncoder().fit([2**53, 2**53 + 1, 0.5])
        with pytest.raises(InputError, match="labels mix floats"):
            LabelEncoder().fit([10**400, 0.5])
        with pytest.raises(InputError, match="labels mix floats"):
            encode([(2**53 + 1, 1), (0.5, 1)], [1, 2])
        assert LabelEncoder().fit([2**53, 3, 0.5]).classes_.tolist() == [0.5, 3.0, 2.0**53]

    def test_new_ids_of_the_other_sign_keep_their_value(self):
        users = [2**62 + 1, 2**62 + 3]
        model = NMF(2, solver="als", max_iter=2).fit(pd.DataFrame({"user": users, "item": [1, 2], "rating": [1.0, 2]}))
        new = pd.DataFrame({"user": np.array([2**62 + 2], np.uint64), "item": [1], "rating": [2.0]})
        assert model.partial_fit(new).user_ids_.tolist() == [2**62 + 1, 2**62 + 2, 2**62 + 3]
        too_large = new.assign(user=np.array([2**63 + 1], np.uint64))
        with pytest.raises(InputError, match=r"ids of users? beyond 2\*\*63"):
            model.partial_fit(too_large)

    def test_triples_zips_and_generators_work(self):
        assert triples(EXPECTED) == EXPECTED
        assert triples(zip(*zip(*PAIRS, strict=True), strict=True), iter(STARS)) == EXPECTED
        assert triples((pair for pair in PAIRS), STARS) == EXPECTED
        assert triples(np.array([[1, 2], [3, 4]]).view(np.matrix), [5, 6]) == [(1, 2, 5.0), (3, 4, 6.0)]
        with pytest.raises(InputError, match="its rows differ in length"):
            encode([(1, 2), (3,)], [1, 2])

    def test_masked_entries_were_not_observed(self):
        cells = np.ma.masked_equal(np.arange(10.0).reshape(2, 5), 3)
        assert len(Ratings.from_dense(cells)) == 9
        assert len(encode(cells)[1]) == 9
        with pytest.raises(InputError, match="y must hold numbers, got masked entries"):
            encode(PAIRS, np.ma.masked_equal(STARS, 1))
        with pytest.raises(InputError, match="1 of 3 labels are missing, the first at position 1"):
            LabelEncoder().fit(np.ma.masked_equal([1, 2, 3], 2))

    @pytest.mark.parametrize("y", [pd.date_range("2020", periods=5), np.arange(5).astype("m8[s]")])
    def test_times_are_no_ratings(self, y):
        with pytest.raises(InputError, match="y must hold numbers, got times"):
            encode(PAIRS, y)

    def test_polars_without_pyarrow(self, monkeypatch):
        frame = pl.DataFrame({"user": list("aabbc"), "item": [1, 2, 1, 3, 2], "rating": [5.0, 3, 4, 1, 2]})
        assert triples(frame) == EXPECTED

        def missing(self, *args, **kwargs):
            raise ModuleNotFoundError("pyarrow is required")

        monkeypatch.setattr(pl.DataFrame, "to_pandas", missing)
        assert triples(frame) == EXPECTED


RAW = {
    "sparse, one dimension": lambda model: NMF(2).fit(sparse.coo_array([1.0, 2.0])),
    "arrays as alpha": lambda model: NMF(2, alpha=np.array([0.1, 0.2])).fit(PAIRS, STARS),
    "arrays as rating_scale": lambda model: NMF(2, rating_scale=np.array([1, 5])).fit(PAIRS, STARS),
    "MultiIndex": lambda model: LabelEncoder().fit(pd.MultiIndex.from_tuples([(1, 2)])),
    "uint64 codes": lambda model: Ratings.from_arrays(np.array([2**64 - 1, 0], dtype=np.uint64), [0, 1], [1, 2]),
    "a position too far": lambda model: SIX.take([9]),
    "a position below": lambda model: SIX.take([-1]),
    "a position twice": lambda model: SIX.take([1, 1]),
    "half a mask": lambda model: SIX.take([True, False]),
    "float positions": lambda model: SIX.take([0.5]),
    "a frame of users": lambda model: model.recommend(LONG),
    "a frame of candidates": lambda model: model.recommend("a", candidates=LONG),
    "a frame as an item": lambda model: model.similar_items(LONG),
    "user and item": lambda model: model.predict("a", 1),
    "a number as ratings": lambda model: model.fold_in(5),
    "text as ratings": lambda model: model.fold_in("ab"),
    "score with NaN": lambda model: model.score(PAIRS, [1, 2, np.nan, 4, 5]),
    "score of one": lambda model: model.score(PAIRS, [3]),
    "score without y": lambda model: model.score(PAIRS),
    "score of two columns": lambda model: model.score(PAIRS, np.ones((5, 2))),
    "an infinite weight": lambda model: model.score(PAIRS, STARS, [1, 1, np.inf, 1, 1]),
    "train_size of all": lambda model: train_test_split(STARS, train_size=5),
    "sizes of more than all": lambda model: train_test_split(STARS, train_size=4, test_size=2),
    "another number of factors": lambda model: NMF(3, max_iter=2).fit(PAIRS, STARS).recommend(model.fold_in([(1, 5)])),
}


@pytest.mark.parametrize("name", RAW)
def test_never_another_exception(model, name):
    with pytest.raises(InputError) as caught:
        RAW[name](model)
    assert "\n" not in str(caught.value)
    assert "np." not in str(caught.value).replace("np.array", "")


class TestWorksAsMeant:
    def test_ids_from_sets_generators_and_series_of_others(self, model):
        assert model.recommend("c", candidates=(item for item in [1]))["item"].tolist() == [1]
        assert model.recommend("c", candidates={1}, blocked=set())["item"].tolist() == [1]
        assert model.fitted_.item_codes({77}).tolist() == [-1]
        assert model.fitted_.user_codes(pl.Series(["q", "b"])).tolist() == [-1, 1]

    def test_score_of_data_that_holds_its_ratings(self, model):
        assert model.score(LONG) == model.score(PAIRS, STARS) == model.score(PAIRS, np.array(STARS)[:, None])

    def test_folds_of_ratings_are_folds_over_ratings(self):
        for splitter in (KFold(2), LeaveNOut(1, random_state=0)):
            for train, test in splitter.split(SIX):
                assert sorted([*train, *test]) == list(range(6))
        left, right = train_test_split(SIX, test_size=2, random_state=0)
        assert (len(left), len(right), left.shape) == (4, 2, SIX.shape)

    def test_any_sparse_matrix_is_split_by_rows(self):
        left, right = train_test_split(sparse.coo_matrix(np.eye(4)), shuffle=False)
        assert (left.toarray() == np.eye(4)[:3]).all()
        assert (right.toarray() == np.eye(4)[3:]).all()

    @pytest.mark.parametrize(
        ("sizes", "n"), [({"train_size": 0.6}, (6, 4)), ({"train_size": 3, "test_size": 2}, (3, 2))]
    )
    def test_train_size(self, sizes, n):
        train, test = train_test_split(np.arange(10), random_state=1, **sizes)
        assert (len(train), len(test), set(train) & set(test)) == (*n, set())

    def test_masks_and_positions_take_the_same(self):
        assert SIX.take(SIX.values > 3).values.tolist() == SIX.take([4, 3]).values.tolist() == [4, 5]

    def test_scikit_learns_clone_copies_an_encoder(self):
        clone = pytest.importorskip("sklearn.base").clone
        assert clone(LabelEncoder(unknown="code")).unknown == "code"
        assert repr(LabelEncoder(unknown="code")) == "LabelEncoder(unknown='code')"

    def test_flags_of_numpy(self):
        assert KFold(2, shuffle=np.True_, random_state=0).shuffle
        assert len(cross_validate(NMF(2, max_iter=2, random_state=np.random.RandomState(0)), LONG, cv=None)) == 5


class TestAnotherState:
    def test_a_folded_user_of_before_an_update_is_refused(self):
        model = NMF(2, solver="als", random_state=0, max_iter=5).fit(PAIRS, STARS)
        folded = model.fold_in([(3, 5)])
        before = model.recommend(folded)["item"].tolist()
        model.partial_fit([("a", 0)], [2.0])
        for ask in (model.recommend, model.similar_users, lambda user: model.explain(user, 1)):
            with pytest.raises(InputError, match="it has learnt since: fold them in again, model.fold_in"):
                ask(folded)
        again = model.fold_in(list(zip(folded.items, folded.ratings, strict=True)))
        assert set(model.recommend(again)["item"]) == {*before, 0}

    def test_of_another_model_too_but_not_of_the_same_saved_and_loaded(self, model, tmp_path):
        folded = model.fold_in([(1, 5)])
        with pytest.raises(InputError, match="a FoldedUser belongs to the model"):
            NMF(2, solver="als", random_state=1, max_iter=5).fit(PAIRS, STARS).predict([(folded, 2)])
        model.save(tmp_path / "m.safetensors")
        assert NMF.load(tmp_path / "m.safetensors").predict([(folded, 2)]) == model.predict([(folded, 2)])


def test_ctrl_c_in_a_fit_is_said():
    def interrupt(record, factors):
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="Ctrl-C ended the fit after 2 of 9 epochs; the model keeps what"):
        model = NMF(2, random_state=0, max_iter=9, callbacks=(interrupt,)).fit(PAIRS, STARS)
    assert model.stop_reason_ == "interrupted"
