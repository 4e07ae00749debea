"""`NMF(task="ranking")`: what "auto" becomes, what a rating means, and lists that are better for it."""

import numpy as np
import pandas as pd
import pytest

from nmf_scratch import NMF, InputError, PredefinedSplit, cross_validate, evaluate_ranking
from nmf_scratch._random import STARTS, generator, random_key

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"user": RNG.integers(0, 40, 500), "item": RNG.integers(0, 30, 500)}).drop_duplicates()
FRAME["rating"] = RNG.integers(1, 6, len(FRAME)).astype(float)
CHOICES = FRAME[["user", "item"]]
QUICK = {"task": "ranking", "n_components": 6, "random_state": 0}


@pytest.fixture(scope="module")
def model():
    return NMF(**QUICK).fit(FRAME)


def test_joined_fits_predict_the_mean_of_their_predictions():
    options = {"solver": "sgd", "random_state": 0, "dtype": "float64", "max_iter": 4}
    joined = NMF(5, n_starts=3, **options).fit(FRAME)
    keys = [0, *(random_key(generator(0, STARTS, n)) for n in (1, 2))]
    alone = [NMF(5, **{**options, "random_state": key}).fit(FRAME) for key in keys]
    assert joined.W_.shape[1] == 15
    for part in ("user_bias_", "item_bias_"):
        np.testing.assert_allclose(getattr(joined, part), np.mean([getattr(one, part) for one in alone], axis=0))
    mean = np.mean([one.W_ @ one.H_.T for one in alone], axis=0)
    np.testing.assert_allclose(joined.W_ @ joined.H_.T, mean, rtol=1e-10)
    assert "3 fits from different starts were joined, 15 factors" in joined.history_.events[-1]


def test_joined_rankers_end_with_exact_rows_of_users_beside_all_factors_of_items():
    joined = NMF(**QUICK, n_starts=2, dtype="float64").fit(FRAME)
    keys = [0, random_key(generator(0, STARTS, 1))]
    alone = [NMF(**{**QUICK, "random_state": key}, dtype="float64").fit(FRAME).H_ for key in keys]
    np.testing.assert_allclose(joined.H_, np.hstack(alone) / np.sqrt(2), rtol=1e-10)
    assert "40 users were solved exactly" in joined.history_.events[-1]


def test_a_joined_model_is_saved_and_folds_in_like_its_own_users(tmp_path):
    model = NMF(**QUICK, n_starts=2, dtype="float64").fit(FRAME)
    model.save(tmp_path / "model.safetensors")
    own = FRAME[FRAME["user"] == 7]
    folded = NMF.load(tmp_path / "model.safetensors").fold_in(list(zip(own["item"], own["rating"], strict=True)))
    np.testing.assert_allclose(folded.factors, model.W_[list(model.user_ids_).index(7)], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_starts": 0}, "n_starts must be an integer >= 1, got 0"),
        ({"n_starts": 2, "init": (np.ones((40, 6)), np.ones((30, 6)))}, "n_starts=2 needs starts that differ"),
    ],
)
def test_starts_that_cannot_be_joined_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        NMF(**QUICK, **changes).fit(FRAME)


def test_a_checkpoint_keeps_one_run(tmp_path):
    with pytest.raises(InputError, match="a checkpoint keeps one run, and n_starts=2 makes several"):
        NMF(**QUICK, n_starts=2).fit(FRAME, checkpoint=tmp_path / "c.safetensors")


@pytest.mark.filterwarnings("ignore:Ctrl-C ended the fit")
def test_ctrl_c_leaves_what_was_joined_so_far():
    def stop(record, factors):
        told.append(record.epoch)
        if len(told) == 20:
            raise KeyboardInterrupt

    told = []
    model = NMF(**QUICK, n_starts=3, max_iter=12, tol=0.0, callbacks=(stop,)).fit(FRAME)
    assert (model.stop_reason_, model.W_.shape[1]) == ("interrupted", 12)


def test_auto_is_resolved_by_the_task_and_stays_auto_in_the_parameters(model):
    assert (model.solver, model.solver_, model.alpha_, model.max_iter_) == ("auto", "als", 0.3, 16)
    assert model.fitted_.objective.unobserved_weight == 0.2
    assert not model.fitted_.factors.biases
    stars = NMF(2, max_iter=1, random_state=0).fit(FRAME)
    assert (stars.solver_, stars.fitted_.objective.unobserved_weight) == ("adagrad", 0)
    assert stars.fitted_.factors.biases


def test_what_is_chosen_is_kept_though_it_be_nothing():
    chosen = (
        NMF(**QUICK, unobserved_weight=0.0, target=None, confidence=None, biases=True, alpha=0.0).fit(FRAME).fitted_
    )
    assert (chosen.objective.unobserved_weight, chosen.objective.alpha) == (0, (0, 0))
    assert chosen.predicts_ratings
    assert chosen.factors.biases


def test_scores_are_scores(model):
    scores = model.predict(CHOICES)
    assert scores.min() < 1 < FRAME["rating"].min() + 1
    assert list(model.recommend(7, 3).columns) == ["item", "score", "n_ratings"]


def test_its_errors_are_not_measured_in_stars(model):
    with pytest.raises(InputError, match="a ranking model predicts scores, not ratings: evaluate its lists"):
        cross_validate(NMF(**QUICK), FRAME, cv=2)
    with pytest.raises(InputError, match="a ranking model predicts scores, not ratings: evaluate its lists"):
        model.score(CHOICES, FRAME["rating"])
    with pytest.raises(InputError, match="early_stopping goes by errors of held-out ratings"):
        NMF(**QUICK, early_stopping=True).fit(FRAME)
    scores = evaluate_ranking(NMF(**QUICK), FRAME, cv=2)
    assert scores["rmse"].isna().all()
    assert (scores["ndcg"] > 0).all()


@pytest.mark.parametrize("factor", [0.5, 20])
def test_the_scale_of_the_ratings_does_not_matter(model, factor):
    other = NMF(**QUICK).fit(FRAME.assign(rating=FRAME["rating"] * factor))
    np.testing.assert_allclose(other.W_, model.W_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(other.H_, model.H_, rtol=1e-4, atol=1e-5)


def test_a_user_folded_in_has_the_row_of_the_fit():
    model = NMF(**QUICK, dtype="float64").fit(FRAME)
    own = FRAME[FRAME["user"] == 7]
    folded = model.fold_in(list(zip(own["item"], own["rating"], strict=True)))
    np.testing.assert_allclose(folded.factors, model.W_[list(model.user_ids_).index(7)], atol=1e-8)


def test_reasons_are_in_stars_and_add_up():
    explained = NMF(**QUICK, dtype="float64").fit(FRAME).explain(7, 3)
    assert explained.reasons["influence"].sum() == pytest.approx(explained.score, abs=1e-8)
    assert set(explained.reasons["rating"]) <= {1, 2, 3, 4, 5}


@pytest.mark.parametrize("confidence", ["log", {1: 0.1, 5: 1.0}])
def test_a_saved_model_knows_what_a_rating_means(tmp_path, confidence):
    model = NMF(**QUICK, confidence=confidence).fit(FRAME)
    model.save(tmp_path / "model.safetensors")
    again = NMF.load(tmp_path / "model.safetensors")
    assert again.get_params() == model.get_params()
    assert again.fitted_.preference == model.fitted_.preference
    np.testing.assert_array_equal(again.fold_in([(3, 2.0)]).factors, model.fold_in([(3, 2.0)]).factors)


def test_an_update_goes_by_the_same_preference(model):
    before = model.W_.copy()
    updated = NMF(**QUICK).fit(FRAME).partial_fit([(7, 3), (99, 3)], [5.0, 1.0])
    assert len(updated.W_) == 41
    new = updated.fold_in([(3, 1.0)]).factors
    np.testing.assert_allclose(updated.W_[-1], new, atol=1e-5)
    np.testing.assert_array_equal(model.W_, before)


def test_choices_need_no_ratings_and_count_as_often_as_they_occur():
    plain = NMF(**QUICK).fit(CHOICES)
    np.testing.assert_array_equal(plain.W_, NMF(**QUICK).fit(CHOICES, np.ones(len(CHOICES))).W_)
    often = pd.concat([CHOICES] + [CHOICES.iloc[:5]] * 99)
    counted = NMF(**QUICK).fit(often)
    assert counted.fitted_.ratings.values.max() == 100
    assert counted.fitted_.preference.logarithmic
    with pytest.raises(InputError, match="y is missing"):
        NMF(2).fit(CHOICES)


def test_an_unknown_task_is_refused():
    with pytest.raises(InputError, match=r"task='rank' is unknown \(did you mean 'ranking'\?\)"):
        NMF(task="rank").fit(FRAME)


def test_lists_on_movielens(ml_100k):
    folds = PredefinedSplit(ml_100k.test_fold)
    scores = evaluate_ranking(NMF(task="ranking", random_state=0), ml_100k, cv=folds, threshold=4.0)
    assert scores["ndcg"].mean() >= 0.417
    assert scores["recall"].mean() >= 0.29
