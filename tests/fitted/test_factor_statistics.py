import numpy as np
import pandas as pd
import pytest

from nmf_scratch import NMF, Ratings
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.fitted.factor_statistics import (
    CARRIED,
    factor_strengths,
    factor_summary,
    factor_usage,
    genre_lifts,
    item_map,
    leading_groups,
    leading_items,
    lifts,
    masses,
    nearest_factors,
    normalize,
    principal_plane,
    prior_of,
    singular_values,
    user_map,
)

RNG = np.random.default_rng(0)
CODES = RNG.permutation(30 * 40)[:500]
FRAME = pd.DataFrame({"user": CODES // 40, "item": CODES % 40 + 100, "rating": RNG.integers(1, 11, 500) / 2})
ITEMS = pd.DataFrame({"item": range(100, 140), "title": [f"Film {n}" for n in range(40)]})


@pytest.fixture(
    scope="module", params=[{}, {"biases": False}, {"solver": "mu", "loss": 1.0, "n_components": 7}], ids=str
)
def model(request):
    return NMF(**{"n_components": 4, "solver": "cd", "random_state": 0, **request.param}).fit(
        Dataset(name="x", ratings=FRAME, items=ITEMS)
    )


def parts_of(model):
    """Every part as a matrix over all pairs, by name."""
    parts = {f"factor {f}": np.outer(model.W_[:, f], model.H_[:, f]) for f in range(model.W_.shape[1])}
    if model.fitted_.factors.biases:
        parts["user bias"] = np.repeat(model.user_bias_[:, None], len(model.item_ids_), axis=1)
        parts["item bias"] = np.repeat(model.item_bias_[None, :], len(model.user_ids_), axis=0)
    return {name: part.astype(float) for name, part in parts.items()}


def test_strength_is_the_root_mean_square_of_each_part(model):
    table, parts = factor_strengths(model.fitted_), parts_of(model)
    assert sorted(table["part"]) == sorted(parts)
    for row in table.itertuples():
        assert row.strength == pytest.approx(np.sqrt((parts[row.part] ** 2).mean()), rel=1e-5)
    assert (np.diff(table["strength"][: model.W_.shape[1]]) <= 0).all()
    assert list(table["part"][model.W_.shape[1] :]) == ["user bias", "item bias"][: 2 * model.fitted_.factors.biases]


def test_explained_shares_are_those_of_the_definition_and_add_up_to_r_squared(model):
    table, parts = factor_strengths(model.fitted_).set_index("part"), parts_of(model)
    where = np.searchsorted(model.user_ids_, FRAME["user"]), np.searchsorted(model.item_ids_, FRAME["item"])
    r, predicted = FRAME["rating"].to_numpy(), sum(parts.values())[where]
    spread = ((r - r.mean()) ** 2).sum()
    for name, part in parts.items():
        share = ((part[where] - part[where].mean()) * (2 * r - r.mean() - predicted)).sum() / spread
        assert table.loc[name, "explained"] == pytest.approx(share, abs=1e-6)
    r_squared = 1 - ((r - predicted) ** 2).sum() / spread
    rest = len(r) * (predicted.mean() - r.mean()) ** 2 / spread
    assert table["explained"].sum() - rest == pytest.approx(r_squared, abs=1e-6)


def test_singular_values_are_those_of_the_product(model):
    product = model.W_.astype(float) @ model.H_.T.astype(float)
    expected = np.linalg.svd(product, compute_uv=False)[: model.W_.shape[1]] / np.sqrt(product.size)
    np.testing.assert_allclose(singular_values(model.fitted_), expected, atol=1e-6)
    squares = (factor_strengths(model.fitted_)["strength"][: model.W_.shape[1]] ** 2).sum()
    assert squares <= (singular_values(model.fitted_) ** 2).sum() * (1 + 1e-9)


def test_more_factors_than_rows_have_singular_values_of_zero():
    few = NMF(9, solver="cd", random_state=0).fit(FRAME[FRAME["user"] < 5])
    values = singular_values(few.fitted_)
    assert len(values) == 9
    assert (values[5:] == 0).all()
    assert (values[:3] > 0).all()


def test_rows_without_ratings_count_for_nothing():
    users, items = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 3])
    plain = Ratings.from_arrays(users, items, np.array([5.0, 1, 4, 2, 3]))
    padded = Ratings.from_arrays(users, items, np.array([5.0, 1, 4, 2, 3]), n_users=9, n_items=9)
    models = [NMF(2, solver="cd", random_state=0).fit(ratings) for ratings in (plain, padded)]
    for model in models:
        W, H = model.W_[:3].astype(float), model.H_[[0, 1, 3]].astype(float)
        expected = np.linalg.norm(W, axis=0) * np.linalg.norm(H, axis=0) / 3
        np.testing.assert_allclose(
            np.sort(factor_strengths(model.fitted_)["strength"][:2]), np.sort(expected), rtol=1e-6
        )


def test_leading_items_are_those_of_the_summary_with_their_lifts(model):
    table, summary = leading_items(model.fitted_, 3), factor_summary(model.fitted_, 3)
    mass = masses(model.fitted_)
    expected = lifts(mass, prior_of(model.fitted_, mass))
    for row in summary.itertuples():
        mine = table[table["factor"] == row.factor]
        assert list(mine["name"]) == row.titles
        np.testing.assert_allclose(mine["lift"], np.sort(expected[:, row.factor])[::-1][:3])


def test_no_more_items_than_there_are(model):
    assert len(leading_items(model.fitted_, 99)) == 40 * model.W_.shape[1]


def test_usage_counts_zeros_and_little(model):
    table, summary = factor_usage(model.fitted_), factor_summary(model.fitted_)
    pd.testing.assert_frame_equal(table[["factor", "share"]], summary[["factor", "share"]])
    for row in table.itertuples():
        for side, column in (("users", model.W_[:, row.factor]), ("items", model.H_[:, row.factor])):
            assert getattr(row, f"{side}_zero") == pytest.approx((column == 0).mean())
            little = (column > 0) & (column < CARRIED * column.max())
            assert getattr(row, f"{side}_small") == pytest.approx(little.mean())


def test_a_factor_of_zeros_is_used_by_nobody():
    fitted = NMF(2, solver="als", alpha=50.0, random_state=0).fit(FRAME)
    table = factor_usage(fitted.fitted_)
    assert (fitted.H_ == 0).all()
    assert table[["users_zero", "items_zero"]].to_numpy().tolist() == [[1, 1], [1, 1]]
    assert len(item_map(fitted.fitted_).table) == 0


def test_the_nearest_factor_has_the_largest_cosine(model):
    H, k = model.H_.astype(float), model.W_.shape[1]
    nearest = nearest_factors(model.fitted_)
    for f in range(k):
        others = [H[:, f] @ H[:, g] / (np.linalg.norm(H[:, f]) * np.linalg.norm(H[:, g])) for g in range(k) if g != f]
        assert nearest[f] == pytest.approx(max(others))
    assert nearest_factors(NMF(1, random_state=0).fit(FRAME).fitted_).tolist() == [0]


class TestMaps:
    def test_the_plane_is_that_of_the_singular_vectors(self):
        rows = np.random.default_rng(0).random((40, 5)) * [5, 1, 3, 1, 1]
        points, shares = principal_plane(rows)
        left, values, vectors = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
        np.testing.assert_allclose(np.abs(points), np.abs(left[:, :2] * values[:2]), atol=1e-12)
        np.testing.assert_allclose(shares, values[:2] ** 2 / (values**2).sum())
        for axis, vector in zip(points.T, vectors, strict=False):
            sign = np.sign(vector[np.abs(vector).argmax()])
            np.testing.assert_allclose(axis, sign * (rows - rows.mean(axis=0)) @ vector, atol=1e-12)

    def test_one_column_has_one_direction_and_equal_rows_none(self):
        points, shares = principal_plane(np.array([[1.0], [3.0]]))
        assert (points.tolist(), shares) == ([[-1, 0], [1, 0]], (1, 0))
        assert principal_plane(np.ones((4, 3)))[1] == (0, 0)

    def test_rows_lean_to_what_they_have_more_of_than_others(self):
        mix = np.array([[9.0, 1.0], [8.0, 2.0], [6.0, 4.0]])  # all have more of the first
        assert leading_groups(mix, pd.DataFrame()) == ["factor 0", "factor 0", "factor 1"]
        genres = pd.DataFrame([[1.0, 3.0], [2.0, 0.5], [9.0, 9.0]], index=["Drama", "War", "Western"])
        assert leading_groups(mix, genres) == ["War", "War", "Drama"]
        own = np.array([[True, False, False], [True, True, False], [False, False, False]])
        assert leading_groups(mix, genres, own) == ["Drama", "War", "no genre"]

    def test_the_most_rated_come_first_with_their_own_genres(self):
        rng = np.random.default_rng(1)
        items = ITEMS.assign(genres=rng.choice(["Drama", "War", "Drama|War", ""], 40))
        fitted = NMF(4, solver="cd", random_state=0).fit(Dataset(name="x", ratings=FRAME, items=items))
        table, shares = item_map(fitted.fitted_, 25)
        counts = FRAME["item"].value_counts()
        assert table["ratings"].tolist() == sorted(counts, reverse=True)[:25]
        genres = items.set_index("title")["genres"]
        for row in table.itertuples():
            assert row.group in (genres[row.name].split("|") if genres[row.name] else ["no genre"])
            assert counts[100 + int(row.name.split()[1])] == row.ratings
        assert 0 < shares[1] <= shares[0] < 1
        users = user_map(fitted.fitted_).table
        assert users["ratings"].tolist() == sorted(FRAME["user"].value_counts(), reverse=True)
        mix = normalize(fitted.fitted_).W[np.searchsorted(fitted.user_ids_, users["name"].astype(int))]
        assert users["group"].tolist() == leading_groups(mix, genre_lifts(fitted.fitted_))
