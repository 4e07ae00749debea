"""Cells that nobody rated: the solvers that let them count, and what is asked of a model that did."""

import threading

import numpy as np
import pandas as pd
import pytest
from problems import WITH_CELLS, dense, naive_frozen, naive_sides, small_ratings
from reference import als as naive_als
from reference import coordinate_descent as naive_cd

from nmf_scratch import NMF, InputError
from nmf_scratch._jit import threads
from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.solvers import SOLVERS, Unsuited, rows
from nmf_scratch.solvers.rows import gram_of
from nmf_scratch.training import Stopping, fit_factors

ABLE = [name for name, solver in SOLVERS.items() if solver.unobserved]
TWINS = {"als": naive_als.epoch, "cd": lambda *args: naive_cd.epoch(*args[:-1], 1, args[-1])}

both_forms = pytest.mark.parametrize("biases", [True, False], ids=["biases", "plain"])
every_kind = pytest.mark.parametrize("kind", WITH_CELLS)
able = pytest.mark.parametrize("name", ABLE)


def run(solver, ratings, kind, *, biases=True, max_iter=6, dtype="float64", **settings):
    start = scaled_start(ratings, 3, biases=biases, dtype=dtype, key=3)
    return fit_factors(ratings, start, solver, WITH_CELLS[kind], Stopping(max_iter), **settings)


@able
@both_forms
@every_kind
def test_equals_the_naive_twin(name, biases, kind):
    ratings, objective = small_ratings(3), WITH_CELLS[kind]
    start = scaled_start(ratings, 3, biases=biases, dtype="float64", key=3)
    W, H, sides, frozen = start.W, start.H, naive_sides(objective, ratings, start), naive_frozen(start)
    for _ in range(6):
        W, H = TWINS[name](dense(ratings), W, H, sides, frozen, objective.unobserved_weight)
    factors = run(SOLVERS[name](), ratings, kind, biases=biases).factors
    np.testing.assert_allclose(factors.W, W, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(factors.H, H, rtol=1e-10, atol=1e-10)


@able
@both_forms
@every_kind
def test_no_epoch_raises_the_objective_and_the_kkt_residual_goes_to_zero(name, biases, kind):
    for seed in range(5):
        result = run(SOLVERS[name](), small_ratings(seed), kind, biases=biases, max_iter=400)
        values = result.history.to_frame()["objective"].to_numpy()
        assert (values[1:] <= values[:-1] * (1 + 1e-12)).all(), seed
        assert result.history.records[-1].kkt < 1e-3, seed


@able
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_the_thread_count(name, dtype):
    ratings = small_ratings(5, n_users=301, n_items=97, density=0.2)
    one, two = (run(SOLVERS[name](), ratings, "count", dtype=dtype, n_threads=n).factors for n in (1, 2))
    np.testing.assert_array_equal(one.W, two.W)
    np.testing.assert_array_equal(one.H, two.H)


@pytest.mark.parametrize("n_rows", [0, 1, 63, 1000])
def test_the_gram_matrix_is_that_of_numpy(n_rows):
    X = np.random.default_rng(n_rows).random((n_rows, 5), dtype=np.float32)
    np.testing.assert_allclose(gram_of(X, 0.3), 0.3 * X.T.astype(float) @ X.astype(float), rtol=1e-12)
    assert gram_of(X, 0.0).shape == (0, 0)


def test_while_another_thread_fits_the_gram_matrix_is_summed_up_on_the_calling_one(monkeypatch):
    X = np.random.default_rng(0).random((1000, 5), dtype=np.float32)
    expected = gram_of(X, 0.3)
    monkeypatch.setattr(rows, "add_up_gram", lambda *args: pytest.fail("two threads in parallel kernels at once"))
    held, done = threading.Event(), threading.Event()

    def fit():
        with threads(1):
            held.set()
            done.wait(60)

    other = threading.Thread(target=fit)
    other.start()
    held.wait(60)
    found = gram_of(X, 0.3)
    done.set()
    other.join()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", [name for name in SOLVERS if name not in ABLE])
def test_the_others_refuse_and_name_those_that_can(name):
    with pytest.raises(InputError, match=rf"solver '{name}' cannot let unrated cells count .*these can: cd, als"):
        NMF(2, solver=name, unobserved_weight=0.1).fit([(0, 0), (1, 1)], [1.0, 2.0])


@pytest.mark.parametrize("name", [name for name in SOLVERS if name not in ABLE])
def test_the_loop_refuses_them_too(name):
    with pytest.raises(Unsuited, match=rf"solver '{name}' cannot let unrated cells count"):
        run(SOLVERS[name](), small_ratings(1), "count")


RNG = np.random.default_rng(1)
PAIRS = pd.DataFrame({"user": RNG.integers(0, 40, 500), "item": RNG.integers(0, 25, 500)}).drop_duplicates()
WEIGHTS = RNG.uniform(0.5, 2, len(PAIRS))


def fit(biases, weights=WEIGHTS):
    options = {"solver": "als", "unobserved_weight": 0.2, "alpha": 0.01, "random_state": 0, "dtype": "float64"}
    return NMF(4, biases=biases, tol=0.0, max_iter=30, **options).fit(PAIRS, np.ones(len(PAIRS)), weights)


@pytest.fixture(scope="module", params=[True, False], ids=["biases", "plain"])
def model(request):
    return fit(request.param)


def test_lists_have_scores_and_no_stars(model):
    assert list(model.recommend(7, 3).columns) == ["item", "score", "n_ratings"]


def test_predictions_of_rated_cells_are_higher(model):
    everything = model.predict([(user, item) for user in range(40) for item in range(25)]).reshape(40, 25)
    rated = np.zeros((40, 25), bool)
    rated[PAIRS["user"], PAIRS["item"]] = True
    assert everything[rated].mean() > everything[~rated].mean() + 0.1


def test_a_user_folded_in_has_the_row_of_the_fit(model):
    """Folding in weighs each rating once, and so has the row of a user whose ratings all did."""
    plain = fit(model.biases, None)
    own = PAIRS.loc[PAIRS["user"] == 7, "item"]
    folded = plain.fold_in([(item, 1.0) for item in own])
    np.testing.assert_allclose(folded.factors, plain.W_[list(plain.user_ids_).index(7)], atol=1e-8)


def test_an_update_ends_where_the_rows_are_exact(model):
    fitted = fit(model.biases).partial_fit([(7, 3), (99, 3)], [1.0, 1.0]).fitted_
    changed, columns = [7, 40], fitted.factors.columns[0]
    scaled = fitted.ratings.scaled(fitted.unit), fitted.factors.in_unit(1 / fitted.unit)
    gradient, W = fitted.objective.gradient(*scaled)[0][changed], fitted.factors.W[changed]
    free = [f for f in range(W.shape[1]) if f != columns.frozen]
    assert np.abs(np.where(W > 0, gradient, 0)[:, free]).max() < 1e-9
    assert gradient[W == 0].min(initial=0) > -1e-9


def test_influences_add_up_to_the_score_without_biases():
    explained = fit(biases=False).explain(7, 3)
    assert explained.reasons["influence"].sum() == pytest.approx(explained.score, abs=1e-8)


def test_a_saved_model_folds_in_alike(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    again = NMF.load(tmp_path / "model.safetensors")
    given = [(3, 1.0), (5, 1.0)]
    np.testing.assert_array_equal(again.fold_in(given).factors, model.fold_in(given).factors)
