"""What is special to multiplicative updates: the other divergences, and the slow tail."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from problems import OBJECTIVES, dense, naive_frozen, naive_sides, small_ratings
from reference import multiplicative as naive

from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.solvers import MultiplicativeUpdates, multiplicative
from nmf_scratch.solvers.multiplicative import pulls
from nmf_scratch.solvers.rows import tile_cuts
from nmf_scratch.training import Monitor, Stopping, fit_factors

BETAS = [1.5, 1.0, 0.5, 0.0]  # squared error is in the contract


def fit(ratings, objective, *, biases=True, key=1, max_iter=5, **settings):
    start = scaled_start(ratings, 3, biases=biases, dtype="float64", key=key)
    return fit_factors(ratings, start, MultiplicativeUpdates(), objective, Stopping(max_iter), **settings)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("kind", OBJECTIVES)
@pytest.mark.parametrize("biases", [True, False])
def test_equals_the_twin_for_every_divergence(beta, kind, biases):
    ratings, objective = small_ratings(3), replace(OBJECTIVES[kind], loss=beta)
    start = scaled_start(ratings, 3, biases=biases, dtype="float64", key=1)
    W, H = start.W.copy(), start.H.copy()
    for _ in range(5):
        W, H = naive.epoch(dense(ratings), W, H, naive_sides(objective, ratings, start), naive_frozen(start), beta)
    factors = fit(ratings, objective, biases=biases).factors
    np.testing.assert_allclose(factors.W, W, rtol=1e-10)
    np.testing.assert_allclose(factors.H, H, rtol=1e-10)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("kind", OBJECTIVES)
@pytest.mark.parametrize("seed", range(4))
def test_every_divergence_falls_at_every_step(beta, kind, seed):
    history = fit(small_ratings(seed), replace(OBJECTIVES[kind], loss=beta), key=seed, max_iter=60).history
    values = history.to_frame()["objective"].to_numpy()
    assert (values[1:] <= values[:-1] * (1 + 1e-12)).all()


def test_the_plain_exponent_would_not_be_monotone_with_a_ridge():
    """The reason for the exponent 1/(3−β): with exponent 1 the objective goes up on some problems."""
    rises = 0
    for seed in range(20):
        ratings, objective = small_ratings(seed), replace(OBJECTIVES["plain"], alpha=(300.0, 300.0), loss=1.0)
        start = scaled_start(ratings, 3, biases=False, dtype="float64", key=seed)
        sides, W = naive_sides(objective, ratings, start), start.W
        values = []
        for _ in range(6):
            values.append(objective.value(ratings, start))
            start.W[:] = naive.half_step(dense(ratings), start.W, start.H, *sides[0], None, 1.0, np.ones(W.shape[1]))
        rises += (np.diff(values) > 1e-9).any()
    assert rises > 0


def test_the_tail_is_slow_but_goes_down():
    history = fit(small_ratings(2), OBJECTIVES["count"], max_iter=2000, monitor=Monitor(every=500, kkt=True)).history
    kkt = history.to_frame()["kkt"].to_numpy()
    assert kkt[-1] < 0.5 * kkt[1] < 0.5 * kkt[0]


@pytest.mark.parametrize("loss", [2.0, 1.0])
@pytest.mark.parametrize("rows_per_tile", [1, 3, 5])
def test_tiles_of_partners_change_nothing_but_rounding(monkeypatch, loss, rows_per_tile):
    ratings, objective = small_ratings(3), replace(OBJECTIVES["count"], loss=loss)
    whole = fit(ratings, objective).factors
    n_bytes = rows_per_tile * whole.W.shape[1] * whole.W.itemsize
    cuts = []
    monkeypatch.setattr(multiplicative, "tile_cuts", lambda *args: cuts.append(tile_cuts(*args, n_bytes)) or cuts[-1])
    tiled = fit(ratings, objective).factors
    assert [cut.shape[1] for cut in cuts[-2:]] == [-(-n // rows_per_tile) + 1 for n in (14, 23)]
    np.testing.assert_allclose(tiled.W, whole.W, rtol=1e-12)
    np.testing.assert_allclose(tiled.H, whole.H, rtol=1e-12)


def test_cuts_share_out_each_row_by_tile():
    ratings = small_ratings(0)
    view, partners = ratings.by_user, np.zeros((ratings.n_items, 2))
    cuts = tile_cuts(view, partners, 4 * partners[0].nbytes)
    assert cuts.shape == (ratings.n_users, -(-ratings.n_items // 4) + 1)
    np.testing.assert_array_equal(cuts[:, 0], view.indptr[:-1])
    np.testing.assert_array_equal(cuts[:, -1], view.indptr[1:])
    for row in cuts:
        for tile, (first, end) in enumerate(pairwise(row)):
            assert (view.indices[first:end] // 4 == tile).all()


@pytest.mark.parametrize(("beta", "expected"), [(1.0, (2e12, 1.0)), (0.5, (2e18, 1e6)), (2.0, (2.0, 1e-12))])
def test_a_prediction_of_zero_pulls_as_the_least_one_does(beta, expected):
    assert pulls(2.0, 0.0, beta, 1e-12) == pytest.approx(expected)
