import numpy as np
import pytest

from nmf_scratch import Ratings
from nmf_scratch.data.synthetic import planted_ratings
from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.problem.objective import Objective
from nmf_scratch.solvers import SOLVERS, grid
from nmf_scratch.solvers.grid import (
    Visits,
    balanced_groups,
    in_pieces,
    into_grid,
    shuffle_tiles,
    visiting_order,
    visits,
)
from nmf_scratch.solvers.stochastic import order_of


def long_tailed():
    planted = planted_ratings(900, 300, 3, n_ratings=20_000, random_state=0)
    return Ratings.from_arrays(planted.users, planted.items, planted.values, n_users=900, n_items=300)


@pytest.fixture
def small_caches(monkeypatch):
    """Take caches to be so small that 900 x 300 factors need tiles."""
    monkeypatch.setattr(grid, "CACHE_BYTES", 0)
    monkeypatch.setattr(grid, "TILE_BYTES", 4096)


def gridded(n_blocks, k=6, dtype="float64"):
    ratings = long_tailed()
    return ratings, into_grid(ratings, scaled_start(ratings, k, dtype=dtype), n_blocks)


def as_set(columns):
    return set(zip(*(column.tolist() for column in columns), strict=True))


def test_rows_go_back_and_forth_by_hand():
    np.testing.assert_array_equal(balanced_groups(np.array([5, 9, 1, 7, 3, 3, 0]), 3), [2, 0, 0, 1, 2, 1, 0])


@pytest.mark.parametrize("n_groups", [2, 3, 8])
def test_balanced_groups_differ_by_no_more_than_the_largest_row(n_groups):
    for seed in range(20):
        counts = np.random.default_rng(seed).zipf(1.5, size=200).clip(max=5000)
        sums = np.bincount(balanced_groups(counts, n_groups), weights=counts, minlength=n_groups)
        assert sums.max() - sums.min() <= counts.max()


def test_tiles_hold_about_equally_many_ratings():
    ratings, made = gridded(8)
    sizes = np.diff(made.starts)
    assert len(sizes) == 64
    assert sizes.sum() == len(ratings)
    assert sizes.max() < 1.25 * sizes.mean()
    assert sizes.min() > 0.75 * sizes.mean()


def test_ratings_lie_in_their_tile_once_each():
    ratings, made = gridded(4)
    user_groups, item_groups = balanced_groups(ratings.user_counts, 4), balanced_groups(ratings.item_counts, 4)
    users, items, _ = made.triples
    for tile in range(16):
        inside = slice(made.starts[tile], made.starts[tile + 1])
        assert (user_groups[users[inside]] == tile // 4).all()
        assert (item_groups[items[inside]] == tile % 4).all()
    assert as_set(made.triples) == as_set((ratings.users, ratings.items, ratings.values.astype("f8")))


@pytest.mark.usefixtures("small_caches")
def test_the_rows_of_a_tile_fit_its_share_of_the_cache():
    _, made = gridded(2)  # 8 columns of 8 bytes: a tile has room for 64 rows
    assert made.tiles == (8, 3)  # 450 and 150 rows
    assert len(made.starts) - 1 == 16 * 6
    assert sorted(made.rows_W) == list(range(900))
    groups = balanced_groups(long_tailed().user_counts, 16)[made.rows_W]
    assert (np.diff(groups) >= 0).all()


@pytest.mark.parametrize(("n_pieces", "largest"), [(4096, 5), (7, 2858), (10**6, 1)])
def test_factors_that_fit_the_cache_are_one_tile_whose_pieces_come_in_a_new_order_each_epoch(
    n_pieces, largest, monkeypatch
):
    monkeypatch.setattr(grid, "N_PIECES", n_pieces)
    _, made = gridded(1)
    assert made.tiles == (1, 1)
    pieces = in_pieces(made)
    assert pieces.tiles == (1, len(pieces.starts) - 1) == (1, min(n_pieces, 20_000))
    assert np.diff(pieces.starts).max() == largest
    first, second = (visits(pieces, np.random.default_rng(seed)) for seed in (0, 1))
    assert sorted(first.tiles) == sorted(second.tiles) == list(range(pieces.tiles[1]))
    assert not np.array_equal(first.tiles, second.tiles)
    assert in_pieces(gridded(2)[1]).tiles == (1, 1)  # blocks stay whole: they are tiles already


@pytest.mark.usefixtures("small_caches")
def test_shuffling_stays_inside_the_tiles():
    _, made = gridded(2)
    before = [column.copy() for column in made.triples]
    shuffle_tiles(made, np.random.default_rng(0))
    for first, last in zip(made.starts[:-1], made.starts[1:], strict=True):
        inside = slice(first, last)
        assert as_set(c[inside] for c in before) == as_set(c[inside] for c in made.triples)
    assert not np.array_equal(before[1], made.triples[1])


@pytest.mark.usefixtures("small_caches")
def test_a_tour_takes_every_tile_of_a_block_once_users_by_users():
    _, made = gridded(2)
    blocks = np.arange(4).reshape(2, 2)
    tours = visiting_order(made, blocks, np.random.default_rng(0))
    assert tours.shape == (2, 2, 24)
    assert sorted(tours.ravel()) == list(range(16 * 6))
    for block in range(4):
        tiles = tours[block // 2, block % 2]
        assert set(tiles // 6 // 8) == {block // 2}
        assert set(tiles % 6 // 3) == {block % 2}
        assert (np.diff(tiles // 6) != 0).sum() == 7  # eight groups of users, each left once
    assert not np.array_equal(tours, visiting_order(made, blocks, np.random.default_rng(1)))


def epoch_of(name, ratings, step=1e-6):
    factors = scaled_start(ratings, 6, dtype="float64", key=1)
    solver = SOLVERS[name](step=step, schedule="constant")
    solver.epoch(solver.start(ratings, factors, Objective((0.02, 0.03), (2.0, 4.0), 0.25), key=1, max_iter=5))
    return factors


@pytest.mark.usefixtures("small_caches")
@pytest.mark.parametrize("name", ["sgd", "eg", "block-sgd"])
def test_tiles_change_the_order_and_nothing_else(name, monkeypatch):
    """Every rating is visited once: with a tiny step any order must come to the same, up to second order."""
    ratings = long_tailed()
    start, tiled = scaled_start(ratings, 6, dtype="float64", key=1), epoch_of(name, ratings)
    monkeypatch.setattr(grid, "CACHE_BYTES", 2**30)
    plain = epoch_of(name, ratings)
    for before, first, second in zip(*((f.W, f.H) for f in (start, tiled, plain)), strict=True):
        assert np.abs(first - before).max() > 0
        np.testing.assert_allclose(first - before, second - before, rtol=1e-2, atol=1e-4 * np.abs(first - before).max())


def laid_flat(state):
    tiles, starts, *columns, weights = order_of(state)
    runs = [slice(starts[tile], starts[tile + 1]) for tile in tiles]
    ends = np.array([0, starts[-1]])
    return Visits(np.zeros(1, np.int64), ends, *(np.concatenate([c[run] for run in runs]) for c in columns), weights)


@pytest.mark.usefixtures("small_caches")
@pytest.mark.parametrize("name", ["sgd", "adagrad", "adam", "eg"])
def test_kernels_follow_the_tour(name, monkeypatch):
    """Copying the ratings into the visiting order, as one tile, must give the same bits."""
    ratings = long_tailed()
    tiled = epoch_of(name, ratings, step=0.01)
    monkeypatch.setattr(f"{SOLVERS[name].__module__}.order_of", laid_flat)
    flat = epoch_of(name, ratings, step=0.01)
    np.testing.assert_array_equal(tiled.W, flat.W)
    np.testing.assert_array_equal(tiled.H, flat.H)
