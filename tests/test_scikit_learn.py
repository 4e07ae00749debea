"""`NMF` inside scikit-learn: its searches, pipelines and estimator checks, none of which know what a user is."""

import copy
import io
import pickle
import warnings

import joblib
import numba
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    cross_val_predict,
    cross_val_score,
)
from sklearn.model_selection import KFold as SklearnKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

from nmf_scratch import NMF, InputError, KFold, NotFittedError, cross_validate
from nmf_scratch.solvers import SGD, CoordinateDescent

RMSE = "neg_root_mean_squared_error"
needs_numba = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="100,000 ratings: minutes without Numba")
FOLDS = KFold(3, shuffle=True, random_state=0)


@pytest.fixture(scope="module")
def pairs(demo):
    """Return a sample of the demo data as (X, y)."""
    sample = demo.ratings.sample(3000, random_state=0)
    return sample[["user", "item"]], sample["rating"]


# --- scikit-learn's own checks ---------------------------------------------------------------------------------------


class FirstTwoColumns(NMF):
    """`NMF` for the tables that the checks make up: whole numbers in up to ten columns, of which it takes two."""

    def fit(self, X, y=None, sample_weight=None):
        return super().fit(first_two(X), y, sample_weight)

    def partial_fit(self, X, y=None, sample_weight=None):
        return super().partial_fit(first_two(X), y, sample_weight)

    def predict(self, X):
        return super().predict(first_two(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # the numbers depend on the columns that are left out
        return tags


def first_two(X):
    array = np.asarray(X) if isinstance(X, list) else X
    return array[:, :2] if isinstance(array, np.ndarray) and array.ndim == 2 else X


OWN_WORDS = "refused, in words of our own that name the remedy: "
EXCLUDED = {
    "check_estimators_unfitted": "ours is no subclass of scikit-learn's, which is no dependency to take it from",
    "check_n_features_in_after_fitting": "the adapter takes two columns of any number; NMF refuses, see below",
    "check_estimators_empty_data_messages": OWN_WORDS + "the shape of X",
    "check_fit2d_1feature": OWN_WORDS + "the shape of X",
    "check_fit2d_predict1d": OWN_WORDS + "the shape of X",
    "check_complex_data": OWN_WORDS + "the shape of X, which is one complex column",
    "check_estimators_nan_inf": OWN_WORDS + "a missing id; infinity is an id like any other number",
    "check_requires_y_none": OWN_WORDS + "y may also come with X, as a column or a matrix",
    "check_supervised_y_2d": "a y of one column is taken without a warning: there is only one way to read it",
    "check_sample_weight_equivalence_on_dense_data": "a pair repeated is rated anew, the last counts; with pairs that "
    "are not repeated see test_weights.py",
    "check_regressor_data_not_an_array": "the adapter cannot slice what is no array",
}
"""Checks that cannot pass, and why; one that does pass, or that is not listed and fails, fails the suite."""


with warnings.catch_warnings(category=UserWarning, action="ignore"):  # that NMF does not inherit from BaseEstimator
    every_check = parametrize_with_checks([FirstTwoColumns(2, max_iter=30)], expected_failed_checks=lambda _: EXCLUDED)


@pytest.mark.filterwarnings("ignore:.* repeated .user, item. pairs:UserWarning")  # in the numbers that checks make up
@every_check
def test_estimator_checks(estimator, check):
    check(estimator)


def test_before_fit_errors_are_those_that_scikit_learn_looks_for(pairs):
    unfitted = NMF()
    unfitted.epochs()  # sets alpha_ and others
    with pytest.raises(SklearnNotFittedError):
        check_is_fitted(unfitted)
    with pytest.raises(NotFittedError, match="this NMF is not fitted yet: call fit first") as caught:
        unfitted.predict(pairs[0])
    assert isinstance(caught.value, InputError)
    assert isinstance(caught.value, SklearnNotFittedError.__bases__)
    for name in ("W_", "user_bias_", "item_ids_", "n_features_in_", "feature_names_in_"):
        assert not hasattr(unfitted, name)


def test_features_are_the_two_columns(pairs):
    X, y = pairs
    named, bare = NMF(2, max_iter=2).fit(X, y), NMF(2, max_iter=2).fit(X.to_numpy(), y)
    check_is_fitted(named)
    assert is_regressor(named)
    assert named.n_features_in_ == bare.n_features_in_ == 2
    assert named.feature_names_in_.tolist() == ["user", "item"]
    assert not hasattr(bare, "feature_names_in_")
    with pytest.raises(InputError, match=r"of shape \(n, 2\), got shape \(4, 3\)"):
        bare.predict(np.ones((4, 3)))


@pytest.mark.parametrize("y", [[3, 3, 3], [1, 2, 5]])
def test_score_is_r_squared_of_constants_too(y):
    X = [(1, 1), (2, 1), (3, 2)]
    model = NMF(1, random_state=0).fit(X, [3, 3, 4])
    assert model.score(X, y) == pytest.approx(r2_score(y, model.predict(X)))
    assert model.score(X, model.predict(X)) == 1


# --- searches and pipelines ------------------------------------------------------------------------------------------


@needs_numba
def test_scores_on_ml_100k_are_ours_on_the_same_folds(ml_100k):
    X, y = ml_100k.ratings[["user", "item"]], ml_100k.ratings["rating"]
    model = NMF(5, max_iter=6, random_state=0)
    for folds in (FOLDS, SklearnKFold(3, shuffle=True, random_state=0)):
        ours = cross_validate(model, X, y, cv=folds)["rmse"]
        np.testing.assert_allclose(-cross_val_score(model, X, y, cv=folds, scoring=RMSE), ours, rtol=1e-12)
    by_hand = [clone(model).fit(X.iloc[a], y.iloc[a]).score(X.iloc[b], y.iloc[b]) for a, b in FOLDS.split(X)]
    np.testing.assert_allclose(cross_val_score(model, X, y, cv=FOLDS), by_hand, rtol=1e-12)


@needs_numba
def test_a_grid_search_on_ml_100k_scores_as_we_do(ml_100k):
    X, y = ml_100k.ratings[["user", "item"]], ml_100k.ratings["rating"]
    grid = {"n_components": [2, 8]}
    scoring = {"rmse": RMSE, "r2": "r2"}
    search = GridSearchCV(NMF(max_iter=5, random_state=0), grid, cv=FOLDS, scoring=scoring, refit="rmse").fit(X, y)
    results = search.cv_results_
    for place, parameters in enumerate(results["params"]):
        model = NMF(max_iter=5, random_state=0, **parameters)
        ours = cross_validate(model, X, y, cv=FOLDS)["rmse"]
        theirs = [-results[f"split{fold}_test_rmse"][place] for fold in range(3)]
        np.testing.assert_allclose(theirs, ours, rtol=1e-12)
        own_r2 = [clone(model).fit(X.iloc[a], y.iloc[a]).score(X.iloc[b], y.iloc[b]) for a, b in FOLDS.split(X)]
        np.testing.assert_allclose([results[f"split{fold}_test_r2"][place] for fold in range(3)], own_r2, rtol=1e-12)
    assert search.best_params_ == results["params"][int(np.argmax(results["mean_test_rmse"]))]
    best = NMF(max_iter=5, random_state=0, **search.best_params_).fit(X, y)
    np.testing.assert_array_equal(search.predict(X), best.predict(X))
    assert search.n_features_in_ == 2


def test_solver_objects_can_be_searched_over(pairs):
    solvers = ["mu", SGD(step=0.02), CoordinateDescent()]
    search = GridSearchCV(NMF(3, max_iter=4, random_state=0), {"solver": solvers}, cv=2, error_score="raise").fit(
        *pairs
    )
    assert [choice["solver"] for choice in search.cv_results_["params"]] == solvers
    assert search.best_estimator_.solver in solvers


@pytest.mark.compiled
@pytest.mark.parametrize("resource", ["n_samples", "max_iter"])
def test_successive_halving_on_ratings_and_on_epochs(pairs, resource):
    limits = {"min_resources": 4, "max_resources": 12} if resource == "max_iter" else {"min_resources": 300}
    search = HalvingRandomSearchCV(
        NMF(random_state=0), {"n_components": [2, 3, 4], "alpha": [0.01, 0.1]}, resource=resource, **limits,
        n_candidates=4, cv=2, scoring=RMSE, random_state=0, error_score="raise",
    ).fit(*pairs)  # fmt: skip
    assert search.n_iterations_ >= 2
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    if resource == "max_iter":
        assert sorted(set(search.cv_results_["n_resources"])) == [4, 12]
        assert search.best_estimator_.max_iter == 12


def with_text_items(X):
    return X.assign(item="film " + X["item"].astype(str))


def test_a_pipeline_passes_ids_and_parameters_on(pairs):
    X, y = pairs
    pipeline = Pipeline([("text", FunctionTransformer(with_text_items)), ("nmf", NMF(3, random_state=0))])
    pipeline.set_params(nmf__alpha=0.07, nmf__max_iter=5)
    assert pipeline.get_params()["nmf__alpha"] == pipeline["nmf"].alpha == 0.07
    pipeline.fit(X, y)
    direct = NMF(3, alpha=0.07, max_iter=5, random_state=0).fit(with_text_items(X), y)
    np.testing.assert_array_equal(pipeline.predict(X), direct.predict(with_text_items(X)))
    assert pipeline["nmf"].item_ids_[0].startswith("film ")
    assert pipeline.score(X, y) == direct.score(with_text_items(X), y)
    assert "NMF" in pipeline._repr_html_()
    search = GridSearchCV(pipeline, {"nmf__alpha": [0.02, 0.2]}, cv=2, error_score="raise").fit(X, y)
    assert search.best_params_["nmf__alpha"] in (0.02, 0.2)


def test_other_tools_that_wrap_an_estimator(pairs):
    X, y = pairs
    model = NMF(3, max_iter=5, random_state=0)
    held_out = cross_val_predict(model, X, y, cv=FOLDS)
    train, test = next(iter(FOLDS.split(X)))
    np.testing.assert_array_equal(held_out[test], clone(model).fit(X.iloc[train], y.iloc[train]).predict(X.iloc[test]))
    doubled = TransformedTargetRegressor(model, func=double, inverse_func=halve)
    np.testing.assert_allclose(doubled.fit(X, y).predict(X), clone(model).fit(X, y).predict(X), rtol=1e-3)


def double(y):
    return 2 * y


def halve(y):
    return y / 2


@pytest.mark.parametrize(
    "form",
    [lambda X: X.to_numpy(dtype=object), lambda X: list(X.itertuples(index=False)), lambda X: X.astype("Int64")],
    ids=["object array", "list", "nullable"],
)
def test_folds_of_any_form_of_pairs_score_alike(pairs, form):
    X, y = pairs
    model = NMF(3, max_iter=5, random_state=0)
    expected = cross_val_score(model, X, y, cv=3)
    np.testing.assert_array_equal(cross_val_score(model, form(X), y, cv=3), expected)


# --- copies and other processes --------------------------------------------------------------------------------------


def through_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.compiled
@pytest.mark.parametrize(
    "copied",
    [lambda model: pickle.loads(pickle.dumps(model)), copy.deepcopy, copy.copy, through_joblib],
    ids=["pickle", "deepcopy", "copy", "joblib"],
)
def test_copies_of_a_fitted_model_answer_alike(pairs, copied):
    X, y = pairs
    model = NMF(3, solver=SGD(step=0.02), random_state=0).fit(X, y)
    again = copied(model)
    asked = pd.concat([X.head(50), pd.DataFrame({"user": [-1], "item": [-1]})])
    np.testing.assert_array_equal(again.predict(asked), model.predict(asked))
    pd.testing.assert_frame_equal(again.recommend([X["user"].iloc[0], -1]), model.recommend([X["user"].iloc[0], -1]))
    np.testing.assert_array_equal(again.fit(X, y).W_, model.W_)


def test_a_clone_has_the_parameters_and_nothing_learnt(pairs):
    model = NMF(3, solver=SGD(step=0.02), callbacks=[print], random_state=0, max_iter=2, alpha=(0.1, 0.2))
    twin = clone(model.fit(*pairs))
    assert twin.get_params() == {**model.get_params(), "callbacks": twin.callbacks}
    assert not hasattr(twin, "W_")


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("backend", "solver"),
    [pytest.param("loky", "als", marks=pytest.mark.slow), ("threading", "als"), ("threading", "block-sgd")],
)
def test_parallel_kernels_in_several_workers_give_the_same_bits(pairs, backend, solver):
    model = NMF(3, solver=solver, max_iter=5, random_state=0)
    alone = cross_val_score(model, *pairs, cv=4)
    with joblib.parallel_backend(backend):
        np.testing.assert_array_equal(cross_val_score(model, *pairs, cv=4, n_jobs=2), alone)
