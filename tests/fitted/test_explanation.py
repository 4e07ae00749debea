import numpy as np
import pandas as pd
import pytest

from nmf_scratch import NMF, InputError
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.fitted import factor_statistics
from nmf_scratch.fitted.factor_statistics import (
    CARRIED,
    factor_summary,
    genre_lifts,
    lifts,
    normalize,
    sparsity,
    stability,
)

RNG = np.random.default_rng(0)
CODES = RNG.permutation(30 * 40)[:500]
FRAME = pd.DataFrame(
    {"user": [f"u{c:02d}" for c in CODES // 40], "item": CODES % 40 + 100, "rating": RNG.integers(1, 11, 500) / 2}
)
ITEMS = pd.DataFrame(
    {
        "item": range(100, 139),
        "title": [f"Film {n}" for n in range(39)],
        "genres": ["odd|late" if n % 2 else "even" for n in range(39)],
    }
)
DATA = Dataset(name="x", ratings=FRAME, items=ITEMS)


@pytest.fixture(
    scope="module",
    params=[
        {"alpha": 0.03},
        {"biases": False},
        {"weighting": "plain", "alpha": 0.1},
        {"weighting": "count", "alpha": 0.02},
    ],
    ids=str,
)
def model(request):
    return NMF(4, solver="als", random_state=0, **request.param).fit(DATA)


def score(model, user, item):
    u, i = np.searchsorted(model.user_ids_, user), np.searchsorted(model.item_ids_, item)
    return float(model.W_[u] @ model.H_[i] + model.user_bias_[u] + model.item_bias_[i])


class TestExplain:
    @pytest.mark.parametrize("n_pairs", [50, pytest.param(1000, marks=pytest.mark.slow)])
    def test_contributions_add_up_to_the_score(self, model, n_pairs):
        rng = np.random.default_rng(1)
        for user, item in zip(rng.choice(model.user_ids_, n_pairs), rng.choice(model.item_ids_, n_pairs), strict=True):
            explained = model.explain(user, item)
            assert explained.to_frame()["contribution"].sum() == pytest.approx(score(model, user, item), abs=1e-5)
            assert explained.score == pytest.approx(score(model, user, item), abs=1e-5)
            assert (explained.parts["contribution"] >= 0).all()

    def test_influences_of_the_own_ratings_add_up_to_each_part(self, model):
        for user, item in [("u03", 107), ("u29", 139), ("u00", 100)]:
            explained = model.explain(user, item)
            sums = explained.reasons.groupby("factor")["influence"].sum()
            latent = explained.parts[explained.parts["part"].str.startswith("factor ")]
            found = sums.reindex(latent["part"].str[7:].astype(int)).fillna(0)
            np.testing.assert_allclose(found, latent["contribution"], atol=1e-4)
            assert set(explained.reasons["item"]) <= set(FRAME.loc[FRAME["user"] == user, "item"])

    def test_the_folded_in_are_explained_like_themselves(self, model):
        folded = model.fold_in(FRAME[FRAME["user"] == "u03"][["item", "rating"]])
        one, other = model.explain(folded, 107), model.explain("u03", 107)
        assert one.score == pytest.approx(other.score, rel=1e-5)
        assert one.user == "someone new"
        np.testing.assert_allclose(one.reasons["influence"].sum(), other.reasons["influence"].sum(), rtol=1e-4)

    def test_it_prints_what_it_knows(self, model):
        lines = str(model.explain("u04", 107)).splitlines()
        assert lines[0] == f"Film 7 for user u04: {score(model, 'u04', 107):.2f}"
        assert any("factor " in line and "Film " in line for line in lines[1:])
        shown = sum(float(line.split()[0]) for line in lines[1:])
        assert shown == pytest.approx(score(model, "u04", 107), abs=0.05)

    def test_what_is_small_is_added_up(self):
        many = NMF(9, solver="als", alpha=0.001, random_state=0).fit(DATA)
        lines = many.explain("u04", 107).lines(n_factors=2)
        assert [part for _, part, _, _ in lines][0::3] == ["user bias", lines[3][1]]
        assert lines[-1][1] == "other factors"
        assert sum(value for value, *_ in lines) == pytest.approx(score(many, "u04", 107), abs=1e-5)

    @pytest.mark.parametrize(("user", "item"), [("nobody", 107), ("u03", 999), ("nobody", 999)])
    def test_the_unknown_is_explained_as_it_is_predicted(self, user, item):
        for unknown in ("bias", "mean"):
            fitted = NMF(3, unknown=unknown, rating_scale=(0, 100), random_state=0).fit(DATA)
            explained = fitted.explain(user, item)
            assert explained.score == pytest.approx(fitted.predict([(user, item)])[0], abs=1e-6)
            assert explained.parts["contribution"].sum() == pytest.approx(explained.score)
        with pytest.raises(InputError, match="was not seen in training"):
            NMF(3, unknown="raise", random_state=0).fit(DATA).explain(user, item)

    def test_without_a_table_of_items_ids_do(self):
        fitted = NMF(3, solver="als", random_state=0).fit(FRAME)
        assert str(fitted.explain("u03", 107)).startswith("107 for user u03: ")


class TestFactors:
    def test_the_summary_by_its_definitions(self, model):
        table = factor_summary(model.fitted_, n=4)
        assert table["share"].sum() == pytest.approx(1)
        assert table["share"].is_monotonic_decreasing
        mass = np.zeros(model.H_.shape)
        for user, item in zip(FRAME["user"], FRAME["item"], strict=True):
            i = np.searchsorted(model.item_ids_, item)
            mass[i] += model.W_[np.searchsorted(model.user_ids_, user)] * model.H_[i]
        for row in table.itertuples():
            column = model.H_[:, row.factor]
            assert row.share == pytest.approx(mass[:, row.factor].sum() / mass.sum(), rel=1e-5)
            assert row.items == pytest.approx((column >= CARRIED * column.max()).mean())
            assert len(row.titles) == 4
        pd.testing.assert_frame_equal(model.factor_summary(4), table)

    def test_lifts_by_hand(self):
        mass = np.array([[8.0, 0.0], [0.0, 8.0], [0.0, 0.0]])
        np.testing.assert_allclose(lifts(mass, 0.5), [[8.5 / 4.5, 0.5 / 4.5], [0.5 / 4.5, 8.5 / 4.5], [1, 1]])
        assert np.abs(lifts(mass, 1e9) - 1).max() < 1e-6

    def test_a_planted_genre_leads_its_factor(self):
        odd = FRAME["item"] % 2 == FRAME["user"].str[1:].astype(int) % 2
        planted = FRAME.assign(rating=np.where(odd, 5.0, 1.0))
        fitted = NMF(2, solver="als", biases=False, random_state=0).fit(Dataset(name="x", ratings=planted, items=ITEMS))
        assert sorted(genre_lifts(fitted.fitted_).idxmax()) in (["even", "late"], ["even", "odd"])
        assert {genres.split(",")[0] for genres in factor_summary(fitted.fitted_)["genres"]} & {"even"}

    def test_a_genre_of_many_ratings_names_a_factor_before_a_rare_one_of_higher_lift(self, model, monkeypatch):
        mass = np.array([[60.0, 20.0], [6.0, 0.0], [14.0, 60.0]])
        monkeypatch.setattr(
            factor_statistics, "genre_members", lambda model: pd.DataFrame(np.eye(3), columns=list("abc"))
        )
        excess = factor_statistics.genre_excess(model.fitted_, mass)[0]
        assert lifts(mass, 0)[:, 0].argmax() == 1
        assert excess.idxmax() == "a"
        assert excess["a"] == pytest.approx((60 - 40) / np.sqrt(40))

    def test_items_without_a_genre_make_no_genre(self):
        items = ITEMS.assign(genres=["odd" if n % 2 else "" for n in range(39)])
        fitted = NMF(2, solver="als", random_state=0).fit(Dataset(name="x", ratings=FRAME, items=items))
        assert list(genre_lifts(fitted.fitted_).index) == ["odd"]
        assert genre_lifts(NMF(2, solver="als", random_state=0).fit(FRAME).fitted_).shape == (0, 2)

    def test_sparsity_by_hand(self):
        H = np.array([[1.0, 5.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
        np.testing.assert_allclose(sparsity(H), [0, 1, 1])

    def test_normalising_changes_units_and_no_prediction(self, model):
        W, H = normalize(model.fitted_)
        np.testing.assert_allclose(W @ H.T, model.W_ @ model.H_.T, rtol=1e-5, atol=1e-6)
        weights = H[np.searchsorted(model.item_ids_, FRAME["item"])].mean(axis=0)
        np.testing.assert_allclose(weights, np.where(model.H_.any(axis=0), 1, 0), rtol=1e-5)

    @pytest.mark.compiled
    def test_factors_in_the_data_are_stable_and_others_are_not(self):
        odd = FRAME["item"] % 2 == FRAME["user"].str[1:].astype(int) % 2
        planted = FRAME.assign(rating=np.where(odd, 5.0, 0.5))
        stable, noise = (
            stability(NMF(2, solver="als", biases=False, random_state=0).fit(data), data, n_seeds=3)
            for data in (planted, FRAME)
        )
        assert list(stable.columns) == ["factor", "mean", "minimum"]
        assert stable["minimum"].min() > 0.99
        assert noise["minimum"].min() < stable["minimum"].min()
        with pytest.raises(InputError, match="it has other items"):
            stability(NMF(2, random_state=0).fit(FRAME), FRAME[FRAME["item"] > 105])
