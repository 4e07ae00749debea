"""The order in which block-parallel descent visits ratings, when the blocks of a stratum run one after the other.

The kernel: src/nmf_scratch/solvers/block_sgd.py.
"""

import numpy as np


def balanced_groups(counts, n_blocks):
    """Give rows, most ratings first, to the groups: 0, 1, …, B−1, B−1, …, 1, 0, 0, 1 and so on."""
    hands = [*range(n_blocks), *reversed(range(n_blocks))]
    groups = np.empty(len(counts), dtype=int)
    for place, row in enumerate(sorted(range(len(counts)), key=lambda row: (-counts[row], row))):
        groups[row] = hands[place % len(hands)]  # (BLOCK.2)
    return groups


def tiles(R, n_groups, rng):
    """Return the positions of the ratings of each tile, tile by tile, shuffled inside."""
    users, items = np.nonzero(~np.isnan(R))
    user_groups = balanced_groups((~np.isnan(R)).sum(axis=1), n_groups)
    item_groups = balanced_groups((~np.isnan(R)).sum(axis=0), n_groups)
    parts = [[] for _ in range(n_groups**2)]
    for p in range(len(users)):
        parts[user_groups[users[p]] * n_groups + item_groups[items[p]]].append(p)
    return [[part[n] for n in rng.permutation(len(part))] for part in parts]


def visits(parts, tours):
    """Return the positions of an epoch: stratum by stratum, and of each its blocks, tile by tile."""
    order = []
    for stratum in tours:
        for block in reversed(stratum):  # backwards: the blocks of a stratum share no row, any order is as good
            for tile in block:
                order += parts[tile]
    return order
