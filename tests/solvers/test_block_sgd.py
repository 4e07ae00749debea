import numba
import numpy as np
import pytest
from problems import OBJECTIVES, small_ratings

from nmf_scratch import InputError, Ratings
from nmf_scratch._random import SHUFFLE, generator
from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers import BlockSGD
from nmf_scratch.solvers.block_sgd import blocks_for, strata
from nmf_scratch.training import Stopping, fit_factors


@pytest.mark.parametrize("n_blocks", [1, 2, 5, 8])
def test_strata_hold_every_block_once_and_share_no_row(n_blocks):
    for epoch in range(5):
        blocks = strata(n_blocks, generator(1, SHUFFLE, epoch))
        assert sorted(blocks.ravel()) == list(range(n_blocks**2))
        for stratum in blocks:
            assert len(set(stratum // n_blocks)) == len(set(stratum % n_blocks)) == n_blocks


def test_strata_come_in_another_order_each_epoch():
    first, second = (strata(8, generator(1, SHUFFLE, epoch)) for epoch in (0, 1))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("n_ratings", "n_blocks"), [(300, 2), (20_000, 2), (47_999, 2), (48_000, 4), (95_999, 4), (96_000, 8), (200_000, 8)]
)
def test_the_automatic_grid_follows_the_ratings_per_row(n_ratings, n_blocks):
    n_users, n_items = 1000, 300
    cells = np.sort(np.random.default_rng(0).permutation(n_users * n_items)[:n_ratings])
    ratings = Ratings(cells // n_items, cells % n_items, np.ones(n_ratings, np.float32), n_users, n_items)
    assert blocks_for(ratings) == n_blocks


@pytest.mark.parametrize("n_blocks", [1, 3, 40])
def test_any_grid_learns_and_its_bits_are_free_of_the_thread_count(n_blocks):
    ratings = small_ratings(4)  # 40 groups: more than there are rows, so that some blocks are empty
    ends = []
    for n_threads in (1, numba.config.NUMBA_NUM_THREADS):
        start = scaled_start(ratings, 3, key=4)
        solver = BlockSGD(n_blocks=n_blocks)
        result = fit_factors(ratings, start, solver, OBJECTIVES["count"], Stopping(20), key=4, n_threads=n_threads)
        records = result.history.records
        assert records[-1].objective < 0.9 * records[0].objective
        ends.append(result.factors)
    np.testing.assert_array_equal(ends[0].W, ends[1].W)
    np.testing.assert_array_equal(ends[0].H, ends[1].H)


def test_another_grid_gives_other_factors():
    ratings, ends = small_ratings(5), []
    for n_blocks in (2, 3):
        factors, solver = scaled_start(ratings, 3, key=5), BlockSGD(n_blocks=n_blocks)
        solver.epoch(solver.start(ratings, factors, Objective(), key=5, max_iter=1))
        ends.append(factors.W)
    assert not np.array_equal(*ends)


@pytest.mark.parametrize("n_blocks", [0, 1025, 2.5])
def test_a_bad_grid_is_refused(n_blocks):
    with pytest.raises(InputError, match="n_blocks must be an integer >= 1 and <= 1024, got"):
        BlockSGD(n_blocks=n_blocks)
