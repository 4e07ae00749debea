import warnings

import numpy as np
import pandas as pd
import pytest

from nmf_scratch import NMF, InputError, Ratings
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.evaluation.metrics import rmse
from nmf_scratch.problem.factors import Factors
from nmf_scratch.solvers import SOLVERS

RNG = np.random.default_rng(0)
CODES = RNG.permutation(30 * 18)[:300]
FRAME = pd.DataFrame(
    {
        "user": [f"u{code:02d}" for code in CODES // 18],
        "item": CODES % 18 + 100,
        "rating": RNG.integers(1, 11, 300) / 2,
    }
)
DETERMINISTIC = [name for name, solver in SOLVERS.items() if not solver.stochastic]


def own(user):
    return FRAME[FRAME["user"] == user][["item", "rating"]]


@pytest.fixture(scope="module")
def model():
    return NMF(3, solver="als", random_state=0).fit(FRAME)


class TestFoldIn:
    @pytest.mark.parametrize("name", DETERMINISTIC)
    @pytest.mark.parametrize(
        "settings",
        [
            {},
            {"biases": False},
            {"l1_ratio": 0.5},
            {"weighting": "plain", "alpha": 0.3},
            {"weighting": 0.5},
            {"alpha": (0.01, 0.1)},
        ],
        ids=str,
    )
    def test_own_ratings_give_the_own_row(self, name, settings):
        fitted = NMF(3, solver=name, random_state=0, **settings).fit(FRAME)
        folded = fitted.fold_in_many(FRAME)
        assert list(folded) == fitted.user_ids_.tolist()
        np.testing.assert_allclose([user.factors for user in folded.values()], fitted.W_, atol=1e-4)
        np.testing.assert_allclose([user.bias for user in folded.values()], fitted.user_bias_, atol=1e-4)

    def test_early_stopping_keeps_its_factors(self):
        stopped = NMF(3, solver="als", early_stopping=True, random_state=0).fit(FRAME)
        assert np.abs([user.factors for user in stopped.fold_in_many(FRAME).values()] - stopped.W_).max() > 1e-3

    def test_all_forms_and_orders_give_the_same_row(self, model):
        frame = own("u07")
        pairs = list(frame.itertuples(index=False, name=None))
        forms = [
            frame, frame[["rating", "item"]], frame.set_axis([0, 1], axis=1), pairs, pairs[::-1], dict(pairs),
            [(item, 1.0) for item, _ in pairs] + pairs, np.array(pairs),
        ]  # fmt: skip
        rows = [model.fold_in(form).row for form in forms]
        for row in rows:
            np.testing.assert_array_equal(row, rows[0])

    def test_it_is_asked_like_a_user(self, model):
        folded = model.fold_in(own("u07"))
        pd.testing.assert_frame_equal(model.recommend(folded, n=5), model.recommend("u07", n=5), rtol=1e-5)
        pd.testing.assert_frame_equal(
            model.recommend(folded, n=50, exclude_seen=False),
            model.recommend("u07", n=50, exclude_seen=False),
            rtol=1e-5,
        )
        asked = [(folded, 100), ("u07", 100), ("nobody", 100), (folded, 101)]
        predicted = model.predict(asked)
        np.testing.assert_allclose(predicted[0], predicted[1], rtol=1e-5)
        expected = model.predict([("u07", 100), ("u07", 100), ("nobody", 100), ("u07", 101)])
        np.testing.assert_allclose(predicted, expected, rtol=1e-5)

    def test_one_list_for_people_of_all_kinds(self, model):
        folded = model.fold_in(own("u07"))
        table = model.recommend(["u01", folded, "nobody"], n=4)
        for who, alone in (("u01", "u01"), (folded, folded), ("nobody", "nobody")):
            mine = table[[user is who or (isinstance(who, str) and user == who) for user in table["user"]]]
            np.testing.assert_array_equal(mine["item"], model.recommend(alone, n=4)["item"])

    def test_unknown_items_are_left_out_and_said_so(self, model):
        with pytest.warns(UserWarning, match="2 of 3 rated items were not seen in training and are left out: 'x', 9"):
            folded = model.fold_in([("x", 5), (9, 1), (104, 4.0)])
        np.testing.assert_array_equal(folded.row, model.fold_in([(104, 4.0)]).row)
        assert folded.items.tolist() == [104]
        assert folded.unknown_items.tolist() == ["x", 9]
        assert folded.known

    def test_unknown_items_go_with_their_own_user(self, model):
        table = pd.DataFrame({"user": [3, 1, 1, 2, 3], "item": [999, 100, 998, 101, 104], "rating": 4.0})
        with pytest.warns(UserWarning, match="2 of 5"):
            folded = model.fold_in_many(table)
        assert [user.unknown_items.tolist() for user in folded.values()] == [[998], [], [999]]
        assert [user.items.tolist() for user in folded.values()] == [[100], [101], [104]]

    @pytest.mark.parametrize("ratings", [[], {}, [(999, 5.0)]])
    def test_without_a_known_item_the_policy_answers(self, ratings):
        asked = "nobody"
        for unknown in ("bias", "mean"):
            fitted = NMF(3, unknown=unknown, random_state=0).fit(FRAME)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                folded = fitted.fold_in(ratings)
            assert not folded.known
            np.testing.assert_array_equal(fitted.predict([(folded, 100)]), fitted.predict([(asked, 100)]))
            pd.testing.assert_frame_equal(fitted.recommend(folded), fitted.recommend(asked))

    @pytest.mark.filterwarnings("ignore:1 of 1 rated")
    def test_without_a_known_item_the_policy_may_refuse(self):
        fitted = NMF(3, unknown="raise", random_state=0).fit(FRAME)
        with pytest.raises(InputError, match="none of the rated items was seen"):
            fitted.fold_in([(999, 5.0)])

    def test_an_average_row_is_that_of_people_who_rated(self):
        ratings = Ratings.from_arrays([0, 0, 2, 3], [0, 1, 1, 0], [5, 4, 3, 1], n_users=5)
        fitted = NMF(2, solver="als", random_state=0).fit(ratings)
        with pytest.warns(UserWarning, match="not seen in training"):
            row = fitted.fold_in([(99, 3)]).factors
        np.testing.assert_allclose(row, fitted.W_[[0, 2, 3]].mean(axis=0), rtol=1e-6)
        assert np.abs(row - fitted.W_.mean(axis=0)).max() > 1e-3

    @pytest.mark.parametrize(("ratings", "noticed"), [((0.5, 5), False), ((0.4, 5), True), ((0.5, 5.1), True)])
    def test_the_ends_of_the_scale_belong_to_it(self, model, ratings, noticed):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fold_in(list(zip([100, 101], ratings, strict=True)))
        assert ["go beyond the model's scale" in str(warning.message) for warning in caught] == [True] * noticed

    def test_ratings_of_another_scale_are_noticed(self, model):
        with pytest.warns(UserWarning, match="ratings from 60 to 90 go beyond the model's scale, 0.5 to 5"):
            model.fold_in([(100, 60), (101, 90)])

    @pytest.mark.parametrize(
        ("ratings", "message"),
        [
            ([(100, -1)], "finite and not negative"),
            ([(100, np.nan)], "finite and not negative"),
            ([(100, "good")], "y must hold numbers"),
            ([100, 101], "ratings must be pairs"),
            ([(100, 1, 2)], "ratings must be pairs"),
            (FRAME, None),
            (pd.DataFrame({"a": [1], "b": [1], "c": [1]}), "columns 'item' and 'rating', or two columns; got"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:ratings from")
    def test_what_are_no_ratings_is_refused(self, model, ratings, message):
        if message is None:  # a frame with more columns is fine when they are named
            assert model.fold_in(ratings).known
        else:
            with pytest.raises(InputError, match=message):
                model.fold_in(ratings)

    def test_scale_of_the_ratings_does_not_matter(self):
        stars, percent = FRAME, FRAME.assign(rating=FRAME["rating"] * 16)
        models = [NMF(3, solver="als", dtype="float64", random_state=0).fit(frame) for frame in (stars, percent)]
        small, large = (
            fitted.predict([(fitted.fold_in([(100, 4.0 * f), (107, 2.0 * f)]), 103)])
            for fitted, f in zip(models, (1, 16), strict=True)
        )
        np.testing.assert_allclose(large, 16 * small, rtol=1e-6)

    def test_a_refit_is_noticed(self, model):
        fitted = NMF(3, solver="als", random_state=0).fit(FRAME)
        fitted.fold_in([(100, 4.0)])
        fitted.fit(FRAME.assign(rating=6 - FRAME["rating"]))
        fresh = NMF(3, solver="als", random_state=0).fit(FRAME.assign(rating=6 - FRAME["rating"]))
        np.testing.assert_array_equal(fitted.fold_in([(100, 4.0)]).row, fresh.fold_in([(100, 4.0)]).row)

    def test_other_losses_come_close(self):
        """As low an objective as training reached: along a flat valley the rows themselves may be elsewhere."""
        fitted = NMF(3, solver="mu", loss=1.0, max_iter=3000, tol=0, random_state=0).fit(FRAME)
        rows = np.array([user.row for user in fitted.fold_in_many(FRAME).values()])
        ratings, unit = fitted.fitted_.ratings.scaled(fitted.fitted_.unit), 1 / fitted.fitted_.unit
        trained, folded = (
            Factors(W, fitted.fitted_.factors.H, True).in_unit(unit) for W in (fitted.fitted_.factors.W, rows)
        )
        objective = fitted.fitted_.objective
        assert objective.value(ratings, folded) == pytest.approx(objective.value(ratings, trained), rel=1e-3)

    def test_before_fitting_it_is_refused(self):
        with pytest.raises(InputError, match="not fitted yet"):
            NMF().fold_in([(1, 2)])


class TestPartialFit:
    def test_before_fit_it_is_fit(self, model):
        np.testing.assert_array_equal(NMF(3, solver="als", random_state=0).partial_fit(FRAME).W_, model.W_)

    def test_new_ids_take_their_sorted_place_and_others_keep_their_rows(self):
        fitted = NMF(3, solver="als", random_state=0).fit(FRAME)
        before = {user: row.copy() for user, row in zip(fitted.user_ids_, fitted.W_, strict=True)}
        items = {item: row.copy() for item, row in zip(fitted.item_ids_, fitted.H_, strict=True)}
        new = [("aaa", 103), ("aaa", 50), ("u07", 103), ("a name longer than others", 104)]
        assert fitted.partial_fit(new, [5, 4, 1, 3]) is fitted
        assert fitted.user_ids_.tolist() == sorted([*before, "aaa", "a name longer than others"])
        assert fitted.item_ids_.tolist() == sorted([*items, 50])
        assert fitted.item_ids_.dtype == np.int64
        for ids, rows, old, touched in (
            (fitted.user_ids_, fitted.W_, before, {"u07"}),
            (fitted.item_ids_, fitted.H_, items, {103, 104}),
        ):
            changed = {i for i, row in zip(ids.tolist(), rows, strict=True) if i in old and (row != old[i]).any()}
            assert changed <= touched
            assert changed
        assert len(fitted.recommend("aaa", n=50)) == 19 - 2
        np.testing.assert_allclose(
            fitted.fold_in([(103, 5), (50, 4)]).row[:3], fitted.W_[list(fitted.user_ids_).index("aaa")], atol=1e-4
        )

    def test_a_second_opinion_replaces_the_first(self):
        fitted = NMF(3, solver="als", random_state=0).fit(FRAME)
        n, (user, item) = len(fitted.fitted_.ratings), FRAME[["user", "item"]].iloc[0]
        before = fitted.predict([(user, item)])[0]
        opposite = 0.5 if before > 2.5 else 5.0
        fitted.partial_fit([(user, item)], [opposite])
        assert len(fitted.fitted_.ratings) == n
        assert abs(fitted.predict([(user, item)])[0] - opposite) < abs(before - opposite)

    def test_titles_move_along_and_new_ones_are_learnt(self):
        table = pd.DataFrame({"item": range(100, 118), "title": [f"Film {n}" for n in range(18)]})
        fitted = NMF(2, random_state=0).fit(Dataset(name="x", ratings=FRAME, items=table))
        more = pd.DataFrame({"user": ["u01", "u02"], "item": [7, 107], "rating": [3.0, 4.0]})
        fitted.partial_fit(Dataset(name="x", ratings=more, items=pd.DataFrame({"item": [7], "title": ["Seven"]})))
        titles = dict(zip(fitted.item_ids_.tolist(), fitted.items_["title"], strict=True))
        assert titles == {7: "Seven", **{100 + n: f"Film {n}" for n in range(18)}}
        fitted.partial_fit([("u01", 8)], [2.0])
        assert fitted.recommend("u02", n=30).set_index("item")["title"][115] == "Film 15"

    def test_where_both_tables_know_something_the_new_one_counts(self):
        first = pd.DataFrame({"item": range(100, 118), "title": [f"old {i}" for i in range(18)], "year": 1990.0})
        second = pd.DataFrame({"item": [100, 101], "genres": ["Drama", "Crime"], "title": ["new 0", None]})
        fitted = NMF(2, random_state=0).fit(Dataset("one", FRAME, items=first))
        fitted.partial_fit(Dataset("two", FRAME[FRAME["item"] < 102], items=second))
        assert list(fitted.items_) == ["title", "year", "genres"]
        assert fitted.items_["title"].tolist()[:3] == ["new 0", "old 1", "old 2"]
        assert fitted.items_["year"].tolist() == [1990.0] * 18
        assert fitted.items_["genres"].tolist()[:2] == ["Drama", "Crime"]

    def test_what_is_refused_changes_nothing(self):
        fitted = NMF(2, rating_scale=(0.5, 5), random_state=0).fit(FRAME)
        before = fitted.predict(FRAME[["user", "item"]])
        for pairs, ratings, message in (
            ([("u01", "tea")], [3], "labels must be sortable"),
            (
                pd.DataFrame({"user": ["u01"], "item": pd.array(["tea"], dtype="string")}),
                [3],
                "items must be of the type that fit saw, int64",
            ),
            ([("u01", 100)], [9], "must hold all ratings"),
            ([("u01", 100)], [-1], "not negative"),
        ):
            with pytest.raises(InputError, match=message):
                fitted.partial_fit(pairs, ratings)
        np.testing.assert_array_equal(fitted.predict(FRAME[["user", "item"]]), before)

    @pytest.mark.compiled
    @pytest.mark.parametrize("solver", ["als", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sgd", "mu"))])
    def test_it_comes_close_to_the_refit(self, ml_100k, solver):
        frame = ml_100k.ratings.sample(frac=1, random_state=0)
        first, more, test = frame[:80_000], frame[80_000:90_000], frame[90_000:]
        updated = NMF(20, solver=solver, random_state=0).fit(first).partial_fit(more)
        refit = NMF(20, solver=solver, random_state=0).fit(frame[:90_000])
        errors = [rmse(test["rating"], fitted.predict(test[["user", "item"]])) for fitted in (updated, refit)]
        assert errors[0] < 1.005 * errors[1]
