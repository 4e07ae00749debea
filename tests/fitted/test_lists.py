import numpy as np
import pandas as pd
import pytest

from nmf_scratch import NMF, InputError, Ratings
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.fitted.lists import most_rated
from nmf_scratch.fitted.similarity import SUPPORT

RNG = np.random.default_rng(0)
CODES = RNG.permutation(30 * 40)[:500]
FRAME = pd.DataFrame(
    {
        "user": [f"u{code:02d}" for code in CODES // 40],
        "item": CODES % 40 + 100,
        "rating": RNG.integers(1, 11, 500) / 2,
    }
)
ITEMS = pd.DataFrame({"item": range(100, 140), "title": [f"Film {n}" for n in range(40)]})


@pytest.fixture(scope="module")
def model():
    return NMF(4, solver="als", alpha=0.05, random_state=0).fit(Dataset(name="x", ratings=FRAME, items=ITEMS))


class TestWishes:
    def test_candidates_are_all_there_is(self, model):
        whole = model.recommend("u03", n=40)
        chosen = [*whole["item"].iloc[[1, 5, 9]], 9999, "tea"]
        table = model.recommend("u03", n=10, candidates=chosen)
        expected = whole[whole["item"].isin(chosen)].reset_index(drop=True)
        pd.testing.assert_frame_equal(table, expected)

    def test_blocked_items_are_passed_over(self, model):
        whole = model.recommend("u03", n=40)
        table = model.recommend("u03", n=5, blocked=[*whole["item"].iloc[:3], 9999])
        np.testing.assert_array_equal(table["item"], whole["item"].iloc[3:8])

    def test_both_hold_for_new_users_and_the_folded_in_too(self, model):
        folded = model.fold_in(FRAME[FRAME["user"] == "u03"][["item", "rating"]])
        chosen = model.item_ids_[5:20]
        table = model.recommend(["nobody", folded, "u03"], n=8, candidates=chosen, blocked=chosen[:4])
        assert set(table["item"]) <= set(chosen[4:])
        assert len(table[table["user"] == "nobody"]) == 8
        counts = FRAME["item"].value_counts()[chosen[4:]].sort_values(ascending=False)
        assert counts[table[table["user"] == "nobody"]["item"]].tolist() == counts.iloc[:8].tolist()

    @pytest.mark.parametrize("candidates", [[], [9999]])
    def test_nothing_to_list_is_an_empty_table(self, model, candidates):
        for user in ("u03", "nobody"):
            table = model.recommend(user, candidates=candidates, diversity=0.5)
            assert list(table.columns) == ["item", "title", "score", "stars", "n_ratings"]
            assert table.empty

    @pytest.mark.parametrize(
        ("wishes", "message"),
        [
            ({"candidates": 101}, "candidates must be a list of item ids, got 101"),
            ({"blocked": "b"}, "blocked must be a list of item ids, got 'b'"),
            ({"diversity": 1.5}, "diversity must be a finite number >= 0 and <= 1, got 1.5"),
            ({"diversity": -0.1}, "diversity must be"),
        ],
    )
    def test_what_is_no_wish_is_refused(self, model, wishes, message):
        with pytest.raises(InputError, match=message):
            model.recommend("u03", **wishes)


def likeness(model, items):
    rows = model.H_[np.searchsorted(model.item_ids_, items)]
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows @ rows.T)[np.triu_indices(len(rows), 1)].mean()


class TestWhatIsShown:
    def test_stars_are_the_score_on_the_scale_and_ratings_are_counted(self):
        model = NMF(4, solver="als", alpha=0.01, random_state=0).fit(FRAME)
        table = model.recommend(list(model.user_ids_), n=40, exclude_seen=False)
        np.testing.assert_array_equal(table["stars"], table["score"].clip(0.5, 5.0))
        assert (table["score"] > 5).any()
        np.testing.assert_allclose(table["stars"], model.predict(table[["user", "item"]]), rtol=1e-5)
        counts = FRAME["item"].value_counts()
        assert table["n_ratings"].tolist() == counts[table["item"]].tolist()

    def test_items_with_too_few_ratings_can_be_left_out(self, model):
        whole = model.recommend(["u03", "nobody"], n=40)
        table = model.recommend(["u03", "nobody"], n=40, min_ratings=13)
        expected = whole[whole["n_ratings"] >= 13].reset_index(drop=True)
        pd.testing.assert_frame_equal(table, expected)
        assert 0 < len(table) < len(whole)
        with pytest.raises(InputError, match="min_ratings must be an integer >= 0, got -1"):
            model.recommend("u03", min_ratings=-1)


class TestDiversity:
    def test_lists_grow_less_alike_and_keep_their_scores(self, model):
        lists = [model.recommend("u05", n=6, diversity=diversity) for diversity in (0.0, 0.5, 1.0)]
        pd.testing.assert_frame_equal(lists[0], model.recommend("u05", n=6))
        alike = [likeness(model, table["item"]) for table in lists]
        assert alike[0] > alike[1] > alike[2]
        scores = model.recommend("u05", n=40).set_index("item")["score"]
        for table in lists:
            assert len(table) == 6
            np.testing.assert_array_equal(scores[table["item"]], table["score"])

    def test_one_of_many_gets_the_list_it_would_get_alone(self, model):
        table = model.recommend(["u05", "nobody", "u09"], n=6, diversity=0.5)
        for user in ("u05", "nobody", "u09"):
            alone = model.recommend(user, n=6, diversity=0.5)
            np.testing.assert_array_equal(table[table["user"] == user]["item"], alone["item"])


@pytest.fixture(scope="module")
def both(ml_100k):
    """Fit a model of ratings and one for lists, as `nmf-scratch train` does."""
    return NMF(random_state=0).fit(ml_100k), NMF(task="ranking", random_state=0).fit(ml_100k)


class TestSimilar:
    def test_items_by_cosine_without_the_item_itself(self, model):
        table = model.similar_items(107, n=100)
        assert list(table.columns) == ["item", "title", "similarity", "n_ratings"]
        assert sorted(table["item"]) == sorted(set(model.item_ids_) - {107})
        unit = model.H_ / np.linalg.norm(model.H_, axis=1, keepdims=True)
        codes = np.searchsorted(model.item_ids_, table["item"])
        counts = FRAME["item"].value_counts()[table["item"]].to_numpy()
        np.testing.assert_array_equal(table["n_ratings"], counts)
        cosines = unit[codes] @ unit[np.searchsorted(model.item_ids_, 107)]
        np.testing.assert_allclose(table["similarity"], counts / (counts + SUPPORT) * cosines, rtol=1e-5)
        assert table["similarity"].is_monotonic_decreasing
        assert table["title"].tolist() == [f"Film {item - 100}" for item in table["item"]]

    def test_items_that_are_close_by_another_model_too(self, model):
        """The other model knows other items, in another order, and not all of them."""
        other = NMF(3, solver="als", max_iter=5, random_state=2).fit(FRAME[FRAME["item"] != 110].assign(title="x"))
        plain = model.similar_items(107, n=100).set_index("item")["similarity"]
        table = model.similar_items(107, n=100, beside=other)
        unit = other.H_ / np.linalg.norm(other.H_, axis=1, keepdims=True)
        close = unit @ unit[np.searchsorted(other.item_ids_, 107)]
        expected = {
            i: plain[i] * close[np.searchsorted(other.item_ids_, i)] ** 2 if i != 110 else 0 for i in plain.index
        }
        np.testing.assert_allclose(table["similarity"], [expected[i] for i in table["item"]], rtol=1e-4, atol=1e-9)
        assert sorted(table["item"]) == sorted(plain.index)

    def test_users_that_are_close_by_another_model_too(self, model):
        other = NMF(3, solver="als", max_iter=5, random_state=2).fit(FRAME)
        plain = model.similar_users("u03", n=100).set_index("user")["similarity"]
        table = model.similar_users("u03", n=100, beside=other)
        unit = other.W_ / np.linalg.norm(other.W_, axis=1, keepdims=True)
        close = unit @ unit[np.searchsorted(other.user_ids_, "u03")]
        expected = plain[table["user"]] * close[np.searchsorted(other.user_ids_, table["user"])] ** 2
        np.testing.assert_allclose(table["similarity"], expected, rtol=1e-4, atol=1e-9)

    @pytest.mark.compiled
    @pytest.mark.parametrize(
        ("title", "friends"),
        [
            ("Star Wars (1977)", ["Empire Strikes Back, The (1980)", "Return of the Jedi (1983)"]),
            ("Godfather, The (1972)", ["Godfather: Part II, The (1974)"]),
            ("Scream (1996)", ["Scream 2 (1997)", "I Know What You Did Last Summer (1997)"]),
            ("Lion King, The (1994)", ["Aladdin (1992)", "Beauty and the Beast (1991)"]),
            ("Alien (1979)", ["Aliens (1986)", "Blade Runner (1982)"]),
        ],
    )
    def test_neighbours_are_such_as_a_friend_would_name(self, ml_100k, both, title, friends):
        titles = ml_100k.items.set_index("item")["title"]
        ratings, ranking = both
        near = ranking.similar_items(titles.index[titles == title][0], n=3, beside=ratings)
        assert set(friends) <= set(near["title"])

    def test_users_and_the_folded_in(self, model):
        table = model.similar_users("u03", n=4)
        assert list(table.columns) == ["user", "similarity", "n_ratings"]
        assert "u03" not in set(table["user"])
        folded = model.fold_in(FRAME[FRAME["user"] == "u03"][["item", "rating"]])
        alike = model.similar_users(folded, n=5)
        assert [user for user in alike["user"] if user != "u03"] == table["user"].tolist()
        twin = alike.set_index("user").loc["u03"]
        assert twin["similarity"] == pytest.approx(twin["n_ratings"] / (twin["n_ratings"] + SUPPORT), abs=1e-6)

    def test_the_unknown_has_no_likeness(self, model):
        with pytest.raises(InputError, match="item 9999 was not seen in training"):
            model.similar_items(9999)
        with pytest.raises(InputError, match="user 'nobody' was not seen in training: pass what they rated to fold_in"):
            model.similar_users("nobody")
        with pytest.raises(InputError, match="n must be an integer"):
            model.similar_items(107, n=0)


def test_most_rated_breaks_ties_by_code():
    ratings = Ratings.from_arrays([0, 0, 1, 1, 2], [0, 1, 1, 0, 2], [1.0, 2.0, 3.0, 4.0, 5.0])
    assert most_rated(ratings, 2).tolist() == [0, 1]
    assert most_rated(ratings, 10).tolist() == [0, 1, 2]
