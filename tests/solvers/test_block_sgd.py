import numba
import numpy as np
import pytest
from problems import OBJECTIVES, small_ratings

from nmf_scratch import InputError, Ratings
from nmf_scratch._random import SHUFFLE, generator
from nmf_scratch.data.synthetic import planted_ratings
from nmf_scratch.factors import scaled_start
from nmf_scratch.objective import Objective
from nmf_scratch.solvers import BlockSGD
from nmf_scratch.solvers.block_sgd import deal, into_blocks, strata
from nmf_scratch.training import Stopping, fit_factors


def long_tailed():
    planted = planted_ratings(900, 300, 3, n_ratings=20_000, random_state=0)
    return Ratings.from_arrays(planted.users, planted.items, planted.values, n_users=900, n_items=300)


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


def test_rows_are_dealt_back_and_forth_by_hand():
    np.testing.assert_array_equal(deal(np.array([5, 9, 1, 7, 3, 3, 0]), 3), [2, 0, 0, 1, 2, 1, 0])


@pytest.mark.parametrize("n_blocks", [2, 3, 8])
def test_dealt_groups_differ_by_no_more_than_the_largest_row(n_blocks):
    for seed in range(20):
        counts = np.random.default_rng(seed).zipf(1.5, size=200).clip(max=5000)
        sums = np.bincount(deal(counts, n_blocks), weights=counts, minlength=n_blocks)
        assert sums.max() - sums.min() <= counts.max()


def test_blocks_hold_about_equally_many_ratings():
    ratings = long_tailed()
    starts, order = into_blocks(ratings, 8, generator(0, SHUFFLE))
    assert sorted(order) == list(range(len(ratings)))
    sizes = np.diff(starts)
    assert sizes.max() < 1.25 * sizes.mean()
    assert sizes.min() > 0.75 * sizes.mean()


def test_ratings_lie_in_their_block():
    ratings = long_tailed()
    starts, order = into_blocks(ratings, 4, generator(0, SHUFFLE))
    user_groups, item_groups = deal(ratings.user_counts, 4), deal(ratings.item_counts, 4)
    for block in range(16):
        inside = order[starts[block] : starts[block + 1]]
        assert (user_groups[ratings.users[inside]] == block // 4).all()
        assert (item_groups[ratings.items[inside]] == block % 4).all()
        assert not np.array_equal(inside, np.sort(inside))


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
