import copy
import warnings

import numpy as np
import pandas as pd
import pytest
from problems import EMPTY_USER, small_ratings
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

from nmf_scratch import NMF, InputError, KFold, PredefinedSplit, Ratings, cross_validate
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.inputs import encode
from nmf_scratch.evaluation.baselines import BiasModel
from nmf_scratch.solvers import SGD, SOLVERS, MultiplicativeUpdates
from nmf_scratch.solvers.base import Defaults

RNG = np.random.default_rng(0)
CODES = RNG.permutation(30 * 18)[:300]
FRAME = pd.DataFrame(
    {
        "user": [f"u{code:02d}" for code in CODES // 18],
        "item": CODES % 18 + 100,
        "rating": RNG.integers(1, 11, 300) / 2,
    }
)
X, Y = FRAME[["user", "item"]], FRAME["rating"]


class Descent:
    """Projected gradient descent by hand, with a fixed step: what somebody might bring along."""

    name, monotone, stochastic, parallel, losses, memory = "descent", True, False, False, (2.0, 2.0), ()
    unobserved = True
    defaults = Defaults(alpha=0.01, alpha_bias=1.0, max_iter=12)

    def start(self, train, factors, objective, *, key, max_iter):
        return {"problem": (train, factors, objective)}

    def epoch(self, state):
        train, factors, objective = state["problem"]
        gradients = objective.gradient(train, factors)
        for matrix, gradient in zip((factors.W, factors.H), gradients, strict=True):
            matrix[:] = np.maximum(0, matrix - 0.02 * gradient)


@pytest.fixture(scope="module")
def model():
    return NMF(3, random_state=0).fit(X, Y)


class TestAttributes:
    def test_shapes_ids_and_non_negativity(self, model):
        assert model.W_.shape == (30, 3)
        assert model.H_.shape == (18, 3)
        assert model.user_ids_.tolist() == sorted(FRAME["user"].unique())
        assert model.item_ids_.tolist() == sorted(FRAME["item"].unique())
        for array in (model.W_, model.H_, model.user_bias_, model.item_bias_):
            assert (array >= 0).all()
            assert np.isfinite(array).all()

    def test_the_parts_add_up_to_the_prediction(self, model):
        scores = model.W_ @ model.H_.T + model.user_bias_[:, None] + model.item_bias_
        rows, columns = np.searchsorted(model.user_ids_, FRAME["user"]), np.searchsorted(model.item_ids_, FRAME["item"])
        expected = np.clip(scores[rows, columns], 0.5, 5.0)
        np.testing.assert_allclose(model.predict(X), expected, rtol=1e-5)

    def test_auto_is_resolved_per_solver(self):
        for name, solver in SOLVERS.items():
            fitted = NMF(2, solver=name, random_state=0).fit(X, Y)
            defaults = solver.defaults
            resolved = (fitted.alpha_, fitted.alpha_bias_, fitted.max_iter_)
            assert resolved == (defaults.alpha, defaults.alpha_bias, defaults.max_iter)

    def test_without_biases_they_are_zero(self):
        fitted = NMF(3, biases=False, random_state=0).fit(X, Y)
        assert fitted.W_.shape == (30, 3)
        assert not fitted.user_bias_.any()
        assert not fitted.item_bias_.any()

    def test_the_history_has_an_entry_per_epoch(self, model):
        frame = model.history_.to_frame()
        assert frame["epoch"].tolist() == list(range(model.n_iter_ + 1))
        assert model.stop_reason_ == "max_iter"


class TestInput:
    def test_all_forms_of_the_same_data_give_the_same_model(self, model):
        object_array = X.to_numpy(dtype=object)
        as_dataset = Dataset(name="x", ratings=FRAME, users=None, items=None, citation="", licence="")
        for form, ratings in [
            (object_array, Y),
            (FRAME, None),
            (as_dataset, None),
            (list(X.itertuples(index=False)), Y),
        ]:
            other = NMF(3, random_state=0).fit(form, ratings)
            np.testing.assert_array_equal(other.W_, model.W_)
            assert other.item_ids_.dtype.kind == "i"

    def test_encoded_ratings_are_taken_as_they_are(self):
        ratings = small_ratings(1)
        fitted = NMF(2, random_state=0).fit(ratings)
        assert fitted.user_ids_.tolist() == list(range(23))
        assert fitted.predict([(EMPTY_USER, 0)]) == fitted.predict([(99, 0)])

    def test_file_order_does_not_matter(self, model):
        shuffled = FRAME.sample(frac=1, random_state=3)
        np.testing.assert_array_equal(NMF(3, random_state=0).fit(shuffled).H_, model.H_)

    def test_scaling_the_ratings_scales_the_predictions(self, model):
        stars, percent = FRAME, FRAME.assign(rating=FRAME["rating"] * 16)
        small, large = (NMF(3, dtype="float64", random_state=0).fit(frame) for frame in (stars, percent))
        np.testing.assert_allclose(large.predict(X), 16 * small.predict(X), rtol=1e-6)

    @pytest.mark.parametrize(
        ("pairs", "ratings", "message"),
        [
            (
                FRAME[["user"]],
                Y,
                r"X must have columns 'user' and 'item', or two columns in that order; got \['user'\]",
            ),
            (np.ones((4, 3)), np.ones(4), r"shape \(n, 2\), got shape \(4, 3\)"),
            (X, Y[:-1], r"y must hold one number per row of X, shape \(300,\); got shape \(299,\)"),
            (X, ["five"] * 300, "y must hold numbers"),
            (X, None, "y is missing: pass the ratings, or a frame with columns user, item and rating"),
            (X[:0], Y[:0], "X is empty"),
            (X, -Y, "finite and not negative, got -"),
            (X, Y * np.nan, "finite and not negative, got nan"),
        ],
    )
    def test_unusable_data_is_refused(self, pairs, ratings, message):
        with pytest.raises(InputError, match=message):
            NMF(2).fit(pairs, ratings)

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"n_components": 0}, "n_components must be an integer >= 1 and <= 10000, got 0"),
            ({"n_components": 20_000}, "got 20000"),
            ({"n_components": 2.5}, "got 2.5"),
            ({"solver": "sdg"}, r"solver='sdg' is unknown \(did you mean 'sgd'\?\); choose one of: adagrad, .*, sgd"),
            ({"solver": 3}, "solver must be a name or an object that follows solvers.Solver, got 3, without name"),
            ({"loss": 1.0}, "solver 'adagrad' cannot minimise loss=1.0; these can: mu"),
            ({"loss": 3.0}, "loss must be a finite number >= 0 and <= 2, got 3.0"),
            ({"alpha": -1.0}, "alpha must be a finite number >= 0, got -1.0"),
            ({"alpha": (1.0, 2.0, 3.0)}, r"alpha must be a number, a pair \(users, items\) or 'auto'"),
            ({"alpha_bias": "strong"}, "alpha_bias must be a finite number >= 0, got 'strong'"),
            ({"l1_ratio": 2}, "l1_ratio must be"),
            ({"weighting": "none"}, "weighting='none' is unknown"),
            ({"max_iter": 0}, "max_iter must be an integer >= 1, got 0"),
            ({"tol": -1}, "tol must be"),
            ({"validation_fraction": 0.0}, "validation_fraction must be a finite number > 0 and <= 0.5, got 0.0"),
            ({"rating_scale": (5, 1)}, r"rating_scale=\(5, 1\) must hold all ratings, which span \(0.5, 5.0\)"),
            ({"rating_scale": "stars"}, r"rating_scale must be 'infer' or a pair \(lowest, highest\), got 'stars'"),
            ({"unknown": "nan"}, "unknown='nan' is unknown"),
            ({"dtype": "float16"}, "dtype='float16' is unknown"),
            ({"n_threads": 0}, "n_threads must be an integer >= 1, got 0"),
            ({"random_state": -1}, "random_state must be"),
        ],
    )
    def test_unusable_parameters_are_refused_by_fit(self, parameters, message):
        estimator = NMF(**parameters)  # the constructor only stores
        with pytest.raises(InputError, match=message):
            estimator.fit(X, Y)

    @pytest.mark.parametrize("loss", [1.5, 1.0, 0.0])
    def test_other_divergences_where_the_solver_can(self, loss):
        fitted = NMF(3, solver="mu", loss=loss, random_state=0).fit(X, Y)
        frame = fitted.history_.to_frame()
        assert frame["objective"].iloc[-1] < frame["objective"].iloc[0]
        assert np.isfinite(fitted.predict(X)).all()

    def test_ratings_of_zero_have_no_itakura_saito_divergence(self):
        with pytest.raises(InputError, match="has no value at a rating of 0: use a loss above 0"):
            NMF(2, solver="mu", loss=0.0).fit([("a", 1), ("b", 2)], [0, 3])

    def test_per_side_penalties(self):
        weak, strong = (NMF(3, alpha=(0.01, alpha), random_state=0).fit(X, Y) for alpha in (0.01, 1.0))
        assert strong.H_.sum() < weak.H_.sum()


class TestUnknown:
    ASKED = (("u00", 999), ("new", 100), ("new", 999))

    def test_bias_policy_is_the_average_over_the_other_side(self):
        fitted = NMF(3, dtype="float64", rating_scale=(0, 100), random_state=0).fit(X, Y)
        everyone = [(user, 100) for user in fitted.user_ids_]
        everything = [("u00", item) for item in fitted.item_ids_]
        predictions = fitted.predict(self.ASKED)
        np.testing.assert_allclose(predictions[0], fitted.predict(everything).mean(), rtol=1e-9)
        np.testing.assert_allclose(predictions[1], fitted.predict(everyone).mean(), rtol=1e-9)
        assert np.isfinite(predictions).all()

    def test_mean_policy(self):
        fitted = NMF(3, unknown="mean", random_state=0).fit(X, Y)
        np.testing.assert_allclose(fitted.predict(self.ASKED), Y.mean(), rtol=1e-6)

    def test_raise_policy_counts_the_new_users(self):
        fitted = NMF(3, unknown="raise", random_state=0).fit(X, Y)
        with pytest.raises(InputError, match="3 pairs have an id that was not seen in training"):
            fitted.predict(self.ASKED)
        with pytest.raises(InputError, match="user 'new' was not seen"):
            fitted.recommend(["u00", "new"])


class TestRecommend:
    def test_best_unseen_items_first(self, model):
        table = model.recommend("u07", n=5)
        assert list(table.columns) == ["item", "score", "stars", "n_ratings"]
        seen = set(FRAME.loc[FRAME["user"] == "u07", "item"])
        assert not seen & set(table["item"])
        unseen = [item for item in model.item_ids_ if item not in seen]
        row = np.searchsorted(model.user_ids_, "u07")
        scores = model.W_ @ model.H_.T + model.user_bias_[:, None] + model.item_bias_
        expected = np.sort(scores[row, np.searchsorted(model.item_ids_, unseen)])[::-1][:5]
        np.testing.assert_allclose(table["score"], expected, rtol=1e-5)

    def test_seen_items_on_request_and_never_more_than_there_are(self, model):
        n_seen = (FRAME["user"] == "u07").sum()
        assert len(model.recommend("u07", n=1000)) == 18 - n_seen
        assert len(model.recommend("u07", n=1000, exclude_seen=False)) == 18

    def test_many_users_get_a_user_column(self, model):
        table = model.recommend(["u07", "new", "u01"], n=3)
        assert list(table.columns) == ["user", "item", "score", "stars", "n_ratings"]
        assert table["user"].tolist() == ["u07"] * 3 + ["new"] * 3 + ["u01"] * 3
        single = model.recommend("u01", n=3)
        np.testing.assert_array_equal(table[table["user"] == "u01"]["item"], single["item"])
        assert list(model.recommend([], n=3).columns) == ["user", "item", "score", "stars", "n_ratings"]

    def test_a_new_user_gets_the_most_rated_items(self, model):
        counts = FRAME["item"].value_counts()
        assert counts[model.recommend("new", n=4)["item"]].tolist() == counts.iloc[:4].tolist()

    def test_titles_come_with_a_dataset(self):
        items = pd.DataFrame({"item": range(100, 118), "title": [f"Film {n}" for n in range(18)]})
        dataset = Dataset(name="x", ratings=FRAME, users=None, items=items, citation="", licence="")
        table = NMF(2, random_state=0).fit(dataset).recommend("u00", n=2)
        assert list(table.columns) == ["item", "title", "score", "stars", "n_ratings"]
        assert table["title"].tolist() == [f"Film {item - 100}" for item in table["item"]]

    @pytest.mark.parametrize("n", [0, -3, 2.5])
    def test_a_bad_length_is_refused(self, model, n):
        with pytest.raises(InputError, match="n must be an integer >= 1"):
            model.recommend("u00", n=n)


class TestSaving:
    def test_a_loaded_model_gives_the_same_bits(self, tmp_path):
        solver = SGD(step=0.05, schedule="inverse-time")
        items = pd.DataFrame({"item": range(100, 117), "title": [f"Film {n}" for n in range(17)], "year": 1990})
        dataset = Dataset(name="x", ratings=FRAME, users=None, items=items, citation="", licence="")
        model = NMF(3, solver=solver, alpha=(0.01, 0.03), random_state=np.random.default_rng(1)).fit(dataset)
        model.save(tmp_path / "m.npz")
        loaded = NMF.load(tmp_path / "m.npz")
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
        pd.testing.assert_frame_equal(loaded.recommend("u03"), model.recommend("u03"), check_dtype=False)
        pd.testing.assert_frame_equal(loaded.history_.to_frame(), model.history_.to_frame())
        assert (loaded.solver, loaded.alpha, loaded.key_) == (solver, (0.01, 0.03), model.key_)
        assert loaded.stop_reason_ == model.stop_reason_
        assert loaded.items_["year"].iloc[0] == 1990
        assert loaded.items_["title"].iloc[-1] == ""  # item 117 has no entry in the table

    def test_a_loaded_model_can_be_fitted_again(self, model, tmp_path):
        model.save(tmp_path / "m.npz")
        again = NMF.load(tmp_path / "m.npz").fit(X, Y)
        np.testing.assert_array_equal(again.W_, model.W_)

    def test_integer_ids_stay_integers(self, model, tmp_path):
        model.save(tmp_path / "m.npz")
        assert NMF.load(tmp_path / "m.npz").item_ids_.dtype == np.int64

    def test_asking_before_fitting_is_refused(self, tmp_path):
        for ask in (lambda m: m.predict(X), lambda m: m.recommend("u"), lambda m: m.W_, lambda m: m.user_ids_,
                    lambda m: m.save(tmp_path / "m.npz"), lambda m: m.user_bias_):  # fmt: skip
            with pytest.raises(InputError, match="this NMF is not fitted yet: call fit first"):
                ask(NMF())


class TestEstimatorContract:
    def test_parameters_round_trip_and_show(self):
        estimator = NMF(7, solver="mu")
        assert estimator.get_params()["n_components"] == 7
        assert estimator.set_params(alpha=0.5).alpha == 0.5
        assert repr(estimator) == "NMF(n_components=7, solver='mu', alpha=0.5)"
        with pytest.raises(InputError, match="parameter='aplha' is unknown"):
            estimator.set_params(aplha=1)

    def test_a_clone_has_the_same_parameters_but_those_given(self):
        clone = NMF(3, alpha=0.5).clone(alpha=0.25)
        assert (clone.n_components, clone.alpha) == (3, 0.25)
        with pytest.raises(InputError, match="parameter"):
            clone.clone(aplha=1)

    def test_looking_at_parameters_learns_nothing(self):
        model = NMF(3, solver="sgd")
        assert model.epochs() > 0
        assert [name for name in vars(model) if name.startswith("_") or name.endswith("_")] == []

    def test_a_fit_or_an_update_that_fails_leaves_the_model_as_it_was(self, model):
        changed, before = copy.copy(model), model.predict(X)
        with pytest.raises(InputError, match="rating_scale"):
            changed.set_params(rating_scale=(4, 5)).fit(X, Y)
        with pytest.raises(InputError, match="rating_scale"):
            changed.partial_fit([("new", 100)], [1.0])
        np.testing.assert_array_equal(changed.predict(X), before)
        assert changed.n_iter_ == model.n_iter_
        assert "new" not in changed.user_ids_

    def test_inside_scikit_learn(self):
        assert clone(NMF(7)).n_components == 7
        scores = cross_val_score(NMF(3, random_state=0), X, Y, cv=3, scoring="neg_root_mean_squared_error")
        ours = cross_validate(NMF(3, random_state=0), X, Y, cv=3)["rmse"]
        np.testing.assert_allclose(-scores, ours)
        search = GridSearchCV(NMF(random_state=0), {"n_components": [1, 3]}, cv=KFold(2)).fit(X, Y)
        assert search.best_params_["n_components"] in (1, 3)

    def test_score_is_r_squared(self, model):
        from sklearn.metrics import r2_score

        assert model.score(X, Y) == pytest.approx(r2_score(Y, model.predict(X)))

    def test_same_seed_same_bits_and_the_key_repeats_a_fit(self, model):
        np.testing.assert_array_equal(NMF(3, random_state=0).fit(X, Y).W_, model.W_)
        free = NMF(3).fit(X, Y)
        np.testing.assert_array_equal(NMF(3, random_state=free.key_).fit(X, Y).W_, free.W_)
        assert not np.array_equal(free.W_, model.W_)

    def test_solver_objects_are_taken(self):
        by_name, by_object = (NMF(3, solver=s, random_state=0).fit(X, Y) for s in ("mu", MultiplicativeUpdates()))
        np.testing.assert_array_equal(by_name.W_, by_object.W_)

    def test_anybodys_object_that_follows_the_protocol_is_a_solver(self, tmp_path):
        fitted = NMF(3, solver=Descent(), biases=False, tol=0, random_state=0).fit(X, Y, checkpoint=tmp_path / "c")
        objective = fitted.history_.to_frame()["objective"]
        assert (len(objective), fitted.max_iter_, fitted.alpha_) == (13, 12, 0.01)
        assert objective.is_monotonic_decreasing
        assert objective.iloc[-1] < 0.7 * objective.iloc[0]
        fitted.save(tmp_path / "m")
        loaded = NMF.load(tmp_path / "m")
        np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))
        with pytest.raises(InputError, match="solver='descent' is unknown; choose one of: adagrad"):
            loaded.fit(X, Y)
        with pytest.raises(InputError, match="'descent' cannot minimise loss=1.0; these can: mu"):
            NMF(3, solver=Descent(), loss=1.0).fit(X, Y)

    def test_a_class_in_place_of_a_solver_is_refused(self):
        with pytest.raises(InputError, match="a class: make an object of it"):
            NMF(3, solver=SGD).fit(X, Y)

    def test_early_stopping_keeps_the_best_epoch(self):
        fitted = NMF(15, solver="mu", alpha=0.0, early_stopping=True, random_state=0).fit(X, Y)
        frame = fitted.history_.to_frame()
        assert fitted.stop_reason_ == "no_improvement"
        assert frame["valid_rmse"].idxmin() == len(frame) - 1 - fitted.patience

    def test_a_fit_beyond_repair_says_so_and_leaves_sound_factors(self):
        with pytest.warns(UserWarning, match="diverged; the factors of epoch 0 were kept; use a smaller step"):
            fitted = NMF(3, solver=SGD(step=1e30), random_state=0).fit(X, Y)
        assert fitted.stop_reason_ == "diverged"
        assert np.isfinite(fitted.predict(X)).all()

    def test_early_stopping_needs_enough_ratings(self):
        with pytest.raises(InputError, match="early_stopping needs more than 2 ratings"):
            NMF(2, early_stopping=True).fit([("a", 1), ("b", 2)], [1, 2])

    def test_a_generator_as_seed_and_repeated_pairs_are_fine(self):
        doubled = pd.concat([FRAME, FRAME.assign(rating=3.0)])
        with pytest.warns(UserWarning, match="300 repeated"):
            fitted = NMF(2, random_state=np.random.default_rng(0)).fit(doubled)
        assert fitted.predict(X) == pytest.approx(3.0, abs=0.2)

    def test_verbose_shows_a_bar_and_changes_nothing(self, model, capsys):
        with warnings.catch_warnings():
            loud = NMF(3, verbose=True, random_state=0).fit(X, Y)
        np.testing.assert_array_equal(loud.W_, model.W_)


@pytest.mark.compiled
@pytest.mark.parametrize("n_folds", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_beats_the_bias_model_on_data_with_factors(demo, n_folds):
    fold = np.arange(len(demo.ratings)) % 3
    folds = PredefinedSplit(np.where(fold < n_folds, fold, -1))
    bar = cross_validate(BiasModel(), demo, cv=folds)["rmse"].mean()
    for name in SOLVERS:
        assert cross_validate(NMF(10, solver=name, random_state=0), demo, cv=folds)["rmse"].mean() < bar - 0.01, name


def test_encode_gives_codes_in_the_order_of_the_sorted_ids():
    encoder, ratings = encode(FRAME)
    assert isinstance(ratings, Ratings)
    users, items = encoder.transform(X)
    np.testing.assert_array_equal(encoder.users.classes_[users], X["user"])
    np.testing.assert_array_equal(encoder.items.classes_[items], X["item"])


def test_a_loaded_model_finds_columns_by_the_names_of_training(tmp_path):
    table = pd.DataFrame({"reader": [1, 1, 2, 3], "book": [7, 8, 7, 8]})
    model = NMF(2, solver="cd", random_state=0).fit(table, [5.0, 3.0, 4.0, 2.0])
    model.save(tmp_path / "model.safetensors")
    swapped = table[["book", "reader"]]
    np.testing.assert_array_equal(NMF.load(tmp_path / "model.safetensors").predict(swapped), model.predict(table))
