import numpy as np
import pandas as pd
import pytest

from nmf_scratch import NMF, InputError
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.evaluation.baselines import BiasModel, Popularity
from nmf_scratch.evaluation.diagnosis import (
    Z,
    calibration_bins,
    errors_by_count,
    evaluate_predictions,
    exposure,
    head_size,
    hold_out,
    residuals_by_rating,
    training_ratings,
    typical_pair,
)
from nmf_scratch.evaluation.metrics import rmse

RNG = np.random.default_rng(0)
CODES = RNG.permutation(30 * 40)[:500]
FRAME = pd.DataFrame(
    {"user": [f"u{c:02d}" for c in CODES // 40], "item": CODES % 40 + 100, "rating": RNG.integers(1, 11, 500) / 2}
)
ITEMS = pd.DataFrame({"item": range(100, 140), "title": [f"Film {n}" for n in range(40)]})
PAIRS = ["user", "item"]


@pytest.fixture(scope="module")
def model():
    return NMF(3, solver="cd", max_iter=5, random_state=4).fit(Dataset(name="x", ratings=FRAME, items=ITEMS))


@pytest.fixture(scope="module")
def held_out(model):
    return hold_out(model)


@pytest.fixture(scope="module")
def table(held_out):
    return evaluate_predictions(*held_out)


class TestHoldOut:
    def test_both_parts_are_the_models_ratings(self, model, held_out):
        together = pd.concat([held_out.train, held_out.test]).sort_values(PAIRS, ignore_index=True)
        pd.testing.assert_frame_equal(together, FRAME.sort_values(PAIRS, ignore_index=True), check_dtype=False)
        assert len(held_out.test) == 100
        pd.testing.assert_frame_equal(training_ratings(held_out.model), held_out.train, check_dtype=False)

    def test_the_copy_is_the_same_model_fitted_to_less(self, model, held_out):
        again = NMF(3, solver="cd", max_iter=5, random_state=4).fit(held_out.train)
        np.testing.assert_array_equal(held_out.model.predict(held_out.test[PAIRS]), again.predict(held_out.test[PAIRS]))
        assert list(held_out.model.items_["title"]) == [f"Film {item - 100}" for item in held_out.model.item_ids_]

    def test_it_is_the_same_each_time_and_after_a_file(self, model, held_out, tmp_path):
        model.save(tmp_path / "model.safetensors")
        again = hold_out(NMF.load(tmp_path / "model.safetensors"))
        pd.testing.assert_frame_equal(again.test, held_out.test)
        assert hold_out(model, n_folds=2).test.shape == (250, 3)

    def test_what_was_trained_on_is_no_test(self, model, held_out):
        with pytest.raises(InputError, match="was trained on 100 of 100 test ratings: fit it to others"):
            evaluate_predictions(model, held_out.train, held_out.test)
        with pytest.raises(InputError, match="trained on 1 of 101"):
            evaluate_predictions(held_out.model, held_out.train, pd.concat([held_out.test, held_out.train[:1]]))
        with pytest.raises(InputError, match="holds no rating"):
            evaluate_predictions(held_out.model, held_out.train, held_out.test[:0])

    @pytest.mark.filterwarnings("ignore:Ctrl-C ended the fit")
    def test_an_interrupted_fit_is_not_evaluated(self, model):
        def stop(record, factors):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            hold_out(model, callbacks=(stop,))


class TestTables:
    def test_rows_say_what_the_model_had_to_go_by(self, held_out, table):
        fitted, train, test = held_out
        np.testing.assert_array_equal(table["prediction"], fitted.predict(test[PAIRS]))
        np.testing.assert_array_equal(table["bias_model"], BiasModel().fit(train[PAIRS], train["rating"]).predict(test))
        for side in PAIRS:
            counts = train[side].value_counts()
            assert list(table[f"{side}_ratings"]) == list(counts.reindex(test[side]).fillna(0))
            ordered = table.sort_values(f"{side}_group")[f"{side}_ratings"]
            assert (
                ordered.is_monotonic_increasing or ordered.groupby(table[f"{side}_group"]).min().is_monotonic_increasing
            )
            assert table[f"{side}_group"].between(1, 10).all()

    def test_a_new_user_in_the_test_has_no_training_ratings(self, held_out):
        fitted, train, _ = held_out
        strange = pd.DataFrame({"user": ["nobody"], "item": [999], "rating": [3.0]})
        row = evaluate_predictions(fitted, train, strange).iloc[0]
        assert (row["user_ratings"], row["item_ratings"], row["user_group"], row["item_group"]) == (0, 0, 1, 1)

    def test_residuals_by_their_definitions(self, table):
        found = residuals_by_rating(table)
        assert found["n"].sum() == len(table)
        for row in found.itertuples():
            errors = (table["rating"] - table["prediction"])[table["rating"] == row.rating]
            assert row.n == len(errors)
            assert row.mean == pytest.approx(errors.mean())
            assert [row.q5, row.q50, row.q95] == pytest.approx(list(np.quantile(errors, [0.05, 0.5, 0.95])))

    def test_fine_scales_are_grouped(self):
        ratings = np.arange(1000) / 10
        found = residuals_by_rating(pd.DataFrame({"rating": ratings, "prediction": ratings - 2}))
        assert len(found) == 11
        assert found["mean"].tolist() == pytest.approx([2] * 11)
        assert found["n"].min() >= 90

    def test_calibration_by_hand(self):
        table = pd.DataFrame(
            {"user": list("aabbc"), "prediction": [1.0, 1.5, 1.2, 3.0, 2.9], "rating": [1.0, 2.0, 3.0, 4.0, 2.0]}
        )
        found = calibration_bins(table, 2)
        assert found["n"].tolist() == [3, 2]
        assert found[["left", "right"]].to_numpy().ravel().tolist() == [1, 2, 2, 3]
        assert found["observed"].tolist() == [2, 3]
        assert found["predicted"].tolist() == pytest.approx([3.7 / 3, 2.95])
        # First bin: deviations −1 and 0 of user a, 1 of b: √(2 / 1 · (1 + 1)) / 3; second: 1 of b and −1 of c.
        half = Z * np.array([2 / 3, np.sqrt(2 * 2) / 2])
        np.testing.assert_allclose(found["high"] - found["observed"], half)
        np.testing.assert_allclose(found["observed"] - found["low"], half)

    def test_predictions_that_are_all_alike_have_one_bin(self):
        table = pd.DataFrame({"user": ["a", "b"], "prediction": [3.0, 3.0], "rating": [2.0, 5.0]})
        found = calibration_bins(table)
        assert found[["n", "observed"]].to_numpy().tolist() == [[2, 3.5]]

    def test_one_users_ratings_have_no_interval(self):
        table = pd.DataFrame({"user": ["a", "a"], "prediction": [3.0, 3.0], "rating": [2.0, 5.0]})
        assert calibration_bins(table)[["low", "high"]].isna().all(axis=None)

    def test_intervals_hold_the_truth_as_often_as_they_say(self):
        """Ratings of one user share a deviation; intervals for independent ratings would fail here."""
        rng, held = np.random.default_rng(1), 0
        for _ in range(300):
            users = np.repeat(np.arange(50), 8)
            ratings = 3 + rng.standard_normal(50)[users] + 0.3 * rng.standard_normal(400)
            found = calibration_bins(pd.DataFrame({"user": users, "prediction": 3.0, "rating": ratings}), 1)
            held += found["low"].item() < 3 < found["high"].item()
        assert 0.9 < held / 300 < 0.98

    @pytest.mark.parametrize("side", ["item", "user"])
    def test_errors_by_count_are_those_of_each_group(self, table, side):
        found = errors_by_count(table, side)
        assert found["n"].sum() == len(table)
        assert (found["most"].to_numpy()[:-1] <= found["fewest"].to_numpy()[1:]).all()
        for row in found.itertuples():
            group = table[table[f"{side}_group"] == row.group]
            assert row.rmse == pytest.approx(rmse(group["rating"], group["prediction"]))
            assert row.bias_model == pytest.approx(rmse(group["rating"], group["bias_model"]))
            assert (row.fewest, row.most) == (group[f"{side}_ratings"].min(), group[f"{side}_ratings"].max())
            assert not row.low > row.rmse > row.high


class TestLists:
    def test_everybodys_list_of_the_popular(self):
        train = pd.DataFrame({"user": list("aaabbc"), "item": list("xyzxyx"), "rating": 3.0})
        found = exposure(Popularity().fit(train[PAIRS], train["rating"]), train, n=1)
        assert found.rated.tolist() == [3, 2, 1]
        assert found.listed.tolist() == [0, 1, 1]  # a has seen all, b is shown z, c is shown y
        assert found.coverage == pytest.approx(2 / 3)
        assert head_size(found.rated) == 2  # x and y hold 5 of 6 ratings
        assert found.tail == 0.5

    def test_the_models_lists_are_counted(self, held_out):
        fitted, train, _ = held_out
        found = exposure(fitted, train, n=4)
        lists = fitted.recommend(np.unique(train["user"]), n=4)["item"]
        counts = train["item"].value_counts()
        assert found.listed.sum() == len(lists)
        assert found.coverage == lists.nunique() / train["item"].nunique()
        tail = counts.index[np.argsort(-counts.to_numpy(), kind="stable")][head_size(found.rated) :]
        assert abs(found.tail - lists.isin(tail).mean()) < 0.2  # ties at the border go either way
        assert found.rated.tolist() == sorted(counts, reverse=True)

    def test_the_typical_user_has_the_median_number_of_ratings(self, model):
        user, item = typical_pair(model)
        counts = FRAME["user"].value_counts()
        assert counts[user] in (np.floor(counts.median()), np.ceil(counts.median()), np.sort(counts)[len(counts) // 2])
        assert item == model.recommend(user, n=1)["item"].iloc[0]
